"""Networks of this room as plugins of the kind `depth`: what the table of kinds names, and what `train depth` exports.

depth_dense      a map of a panel
depth_segment    ranks of segments (`segment_depth`), and a coarse map of cells, each a segment of its own
depth_anything   Depth Anything V2's checkpoints, as they were published
depth_page       the released networks, which see a page in 128 x 128 pixels and no segment
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from comictool import __version__
from comictool.core.device import choose_device
from comictool.core.errors import InputError, UsageError
from comictool.depth.estimators import MapEstimator, SegmentEstimator, panel_fitting
from comictool.depth.network import DenseNetwork, SegmentNetwork
from comictool.depth.settings import MULTIPLE, DepthConfig
from comictool.plugins.building import build_with_weights
from comictool.plugins.encoder import encoder_id_of
from comictool.plugins.export import export_plugin
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import Manifest, OutputSpec, weights_path
from comictool.plugins.names import MANIFEST_NAME
from comictool.plugins.trust import hash_file
from comictool.plugins.weights import read_checkpoint, verified_weights

DENSE, SEGMENT, PAGE = "depth_dense", "depth_segment", "depth_page"
LICENCE = "that of the comics it was trained on"
TITLES = {DENSE: "Depth of panels as maps", SEGMENT: "Depth ranks of segments", PAGE: "Depth ranks of whole pages"}
UNIT = "0 near to 1 far within a panel"
MOST = 4096  # of any size that a manifest names


def export_model(folder: Path, network: nn.Module, config: DepthConfig, *, force: bool = False) -> Manifest:
    """Write a network as a plugin directory; numbers in fp16, which is as exact as any depth is known.

    Raises:
        UsageError: the folder exists and `force` is not set.
    """
    model = config.model
    name = {"dense": DENSE, "segment": SEGMENT, "cnn": PAGE}[model.kind]
    arguments: dict[str, Any] = {}
    if name != PAGE:
        arguments = {"side": model.side, "backbone": model.backbone, "taps": list(model.taps), "width": model.width}
    if name == SEGMENT:
        arguments |= {key: getattr(model, key) for key in ("hidden", "heads", "layers", "levels")}
    manifest = Manifest(
        id=name.replace("_", "-"),
        version="1",
        title=TITLES[name],
        kind="depth",
        licence=LICENCE,
        architecture=name,
        arguments=arguments,
        output={"depth": OutputSpec(form="map", unit=UNIT)},
        minimum_tool=__version__,
    )
    halved = {key: value.half() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    return export_plugin(folder, manifest, halved, force=force)


def load_dense(spec: EncoderSpec | None, folder: Path, manifest: Manifest) -> MapEstimator:
    """A `DenseNetwork` in a plugin directory; raises like `loaded`."""
    side, sizes = _sizes(manifest, folder, ("width",))

    def make(_: object) -> DenseNetwork:
        name, taps = _backbone(manifest)
        return DenseNetwork(name, taps, **sizes)

    found = loaded(spec, folder, manifest, make)
    return MapEstimator(found.network, manifest, found.identity, panel_fitting(side), found.note)


def load_segment(spec: EncoderSpec | None, folder: Path, manifest: Manifest) -> SegmentEstimator:
    """A `SegmentNetwork` in a plugin directory; raises like `loaded`."""
    side, sizes = _sizes(manifest, folder, ("width", "hidden", "heads", "layers", "levels"))

    def make(_: object) -> SegmentNetwork:
        name, taps = _backbone(manifest)
        return SegmentNetwork(name, taps, **sizes)

    found = loaded(spec, folder, manifest, make)
    return SegmentEstimator(found.network, manifest, found.identity, side, found.note)


def _backbone(manifest: Manifest) -> tuple[str, tuple[str, ...]]:
    name, taps = manifest.arguments.get("backbone"), manifest.arguments.get("taps")
    if not isinstance(name, str) or not isinstance(taps, list) or not all(isinstance(tap, str) for tap in taps):
        raise ValueError("backbone is a text and taps are texts")
    return name, tuple(taps)


def _sizes(manifest: Manifest, folder: Path, names: tuple[str, ...]) -> tuple[int, dict[str, int]]:
    """`side`, and whole numbers by name."""
    found = {}
    for name in ("side", *names):
        value = manifest.arguments.get(name)
        if type(value) is not int or not 1 <= value <= MOST:
            raise InputError(
                f"{folder / MANIFEST_NAME}: architecture.arguments.{name} must be 1 to {MOST}, not {value!r:.40}"
            )
        found[name] = value
    if found["side"] % MULTIPLE:
        raise InputError(f"{folder / MANIFEST_NAME}: architecture.arguments.side must be a multiple of {MULTIPLE}")
    return found.pop("side"), found


@dataclass(frozen=True)
class Loaded:
    """A network with its weights, what its answers may be kept under, and a note of where and how."""

    network: nn.Module
    identity: str
    note: str


def loaded(spec: EncoderSpec | None, folder: Path, manifest: Manifest, make: Callable[[Any], nn.Module]) -> Loaded:
    """A network with a plugin's weights, or those of `--weights`, on its device.

    Args:
        spec: None: on the CPU.
        make: from the content of the file to the network.

    Raises:
        InputError: no weights, or weights that do not fit.
        UsageError: weights that are not there to be read from anywhere.
    """
    file = folder / MANIFEST_NAME
    if spec is not None and spec.random_weights:
        raise UsageError(f"plugin {folder} answers nothing without weights", hint="leave ?random out")
    if spec is not None and spec.weights is not None:
        weights, digest = spec.weights, hash_file(spec.weights) if spec.weights.is_file() else ""
    elif manifest.weights is not None:
        weights, digest = weights_path(folder, manifest.weights), manifest.weights.sha256
        verified_weights(weights, digest, str(file))
    else:
        raise UsageError(f"plugin {folder.name} needs weights", hint="--weights FILE")
    checkpoint = read_checkpoint(weights)

    def checked() -> nn.Module:
        try:
            return make(checkpoint)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise InputError(
                f"{weights} is no {manifest.architecture}, or {file} describes another one", cause=str(error)[:300]
            ) from error

    network, fit = build_with_weights(checked, checkpoint, str(weights))
    device = choose_device(spec.device if spec is not None else "cpu")
    notes = [f"{device.name} ({device.reason})", fit.note()]
    ready = network.float().eval().requires_grad_(False).to(device.name)
    return Loaded(ready, encoder_id_of(manifest, digest), "; ".join(note for note in notes if note))
