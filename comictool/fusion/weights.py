"""Reading and writing fusion models: our plugin directories, and checkpoints of Closure Lite.

A checkpoint of Closure Lite (`ClosureLiteSimple`) is a .pt whose `model_state_dict` holds a ViT and a RoBERTa beside
the fusion. The fusion part is taken; the encoders are plugins of their own here, whose columns it reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from comictool import __version__
from comictool.core.device import choose_device
from comictool.core.errors import InputError, UsageError
from comictool.fusion.encoding import ROWS, inputs_of
from comictool.fusion.model import MODALITIES, FusionModel, FusionShape
from comictool.fusion.settings import LEARNING, PUBLISHED
from comictool.plugins.building import build_with_weights
from comictool.plugins.encoder import encoder_id_of, unit_rows
from comictool.plugins.export import export_plugin
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import VECTOR, Manifest, OutputSpec, read_manifest, weights_path
from comictool.plugins.names import MANIFEST_NAME
from comictool.plugins.weights import named_tensors, read_checkpoint, verified_weights

ARCHITECTURE = "closure"
ORIGIN_LENGTH = 200  # of what a manifest keeps of an encoder's encoder_id
# Names of the published network (facts of its files), and ours.
PUBLISHED_NAMES = (
    (r"atom\.vision\.proj\.", "image."),
    (r"atom\.text\.proj\.", "text."),
    (r"atom\.comp\.mlp\.", "layout."),
    (r"atom\.fuse\.gate\.", "gate."),
    (r"han\.attention\.heads\.", "page.heads."),
    (r"han\.attention\.content_scorers\.", "page.scorers."),
    (r"han\.attention\.out_proj\.", "page.out."),
    (r"next_head\.scorer\.", "next_panel."),
    (r"pop_classifier\.clf\.", "page_order."),
)


class FusionPlugin:
    """A model ready for use; see `comictool.plugins.protocols.FusionEncoder`."""

    needs_torch: ClassVar[bool] = True

    def __init__(self, model: FusionModel, manifest: Manifest, encoder_id: str, device: str, note: str) -> None:
        self.model = model.eval().to(device)
        self.manifest, self.encoder_id, self.device_note = manifest, encoder_id, note
        self._device = device

    def fuse(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """By column (N, D) float32, a row of NaN where there is no vector, to (N, W) float32 of length 1.

        A column that is not given is absent in every row, so that a query by one modality is `{"panel/text": vectors}`.
        """
        return unit_rows(self._panels(columns).cpu().numpy(), self.manifest.id)

    @torch.no_grad()
    def fuse_pages(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The panels of one page, as for `fuse`, to its vector (1, W) of length 1."""
        panels = self._panels(columns)[None]
        real = torch.ones(panels.shape[:2], dtype=torch.bool, device=panels.device)
        # Only the published objectives train the attention; elsewhere the mean of a page's panels is its vector.
        found = self.model.page(panels, real) if self.model.shape.published else panels.mean(dim=1)
        return unit_rows(functional.normalize(found, dim=-1).cpu().numpy(), self.manifest.id)

    @torch.no_grad()
    def _panels(self, columns: Mapping[str, np.ndarray]) -> torch.Tensor:
        shape = self.model.shape
        count = len(next(iter(columns.values()), ()))
        given = {name: columns.get(f"panel/{name}") for name in MODALITIES}
        filled = {}
        for name, vectors in given.items():
            size = getattr(shape, name)
            if vectors is None:
                vectors = np.full((count, size), np.nan, np.float32)
            if vectors.shape != (count, size):
                raise InputError(
                    f"{self.manifest.id} reads panel/{name} of {size} numbers, not {list(vectors.shape)}",
                    hint="embed with the encoders that it was trained on: its manifest has them under [reads]",
                )
            filled[name] = vectors
        present = torch.from_numpy(np.stack([np.isfinite(filled[name]).all(axis=1) for name in MODALITIES], axis=1))
        inputs = inputs_of(shape, {name: np.nan_to_num(vectors) for name, vectors in filled.items()})
        for place, name in enumerate(MODALITIES):
            inputs[name] = inputs[name] * present[:, place : place + 1]
        found = [
            self.model(
                {name: tensor[start : start + ROWS].to(self._device) for name, tensor in inputs.items()},
                present[start : start + ROWS].to(self._device),
            )
            for start in range(0, count, ROWS)
        ]
        return torch.cat(found) if found else torch.zeros(0, shape.width)


def export_fusion(folder: Path, model: FusionModel, origins: Mapping[str, str], *, force: bool = False) -> Manifest:
    """Write a model as a plugin directory of the kind `fusion`.

    Args:
        origins: by modality, the encoder_id of the column that it was trained on.

    Raises:
        UsageError: the folder exists and `force` is not set.
    """
    shape = model.shape
    manifest = Manifest(
        id="fusion",
        version="1",
        title=f"Picture, words and layout of a panel as one vector (objective {shape.objective})",
        kind="fusion",
        licence="that of the comics it was trained on",
        architecture=ARCHITECTURE,
        arguments={name: getattr(shape, name) for name in FusionShape.__dataclass_fields__ if name != "dropout"},
        reads={f"panel/{name}": origins[name][:ORIGIN_LENGTH] for name in MODALITIES},
        output={VECTOR: OutputSpec(shape.width)},
        minimum_tool=__version__,
    )
    return export_plugin(folder, manifest, model.state_dict(), force=force)


def load_directory(spec: EncoderSpec, folder: Path, manifest: Manifest) -> FusionPlugin:
    """The model in a plugin directory; what the table of kinds names for the architecture `closure`.

    Raises:
        InputError: arguments that describe no model, or weights that do not fit.
        UsageError: weights from elsewhere, which would need a manifest of their own.
    """
    file = folder / MANIFEST_NAME
    if spec.weights is not None or spec.random_weights:
        raise UsageError(f"plugin {folder} has its own weights", hint="leave the weights out")
    if manifest.weights is None:
        raise InputError(f"{file}: [weights] is missing")
    weights = weights_path(folder, manifest.weights)
    verified_weights(weights, manifest.weights.sha256, str(file))
    shape = _shape_of(manifest, str(file))
    model, _ = build_with_weights(lambda: FusionModel(shape), read_checkpoint(weights), str(weights))
    device = choose_device(spec.device)
    note = f"{device.name} ({device.reason})"
    return FusionPlugin(model, manifest, encoder_id_of(manifest, manifest.weights.sha256), device.name, note)


def _shape_of(manifest: Manifest, file: str) -> FusionShape:
    given = dict(manifest.arguments)
    try:
        shape = FusionShape(**given)
    except TypeError as error:
        raise InputError(f"{file}: [architecture.arguments] do not describe a fusion", cause=str(error)) from error
    sizes = [shape.image, shape.text, shape.layout, shape.width, shape.heads]
    sound = all(type(size) is int and 1 <= size <= 65_536 for size in sizes) and shape.width % shape.heads == 0
    if not sound or shape.objective not in (*PUBLISHED, *LEARNING) or not isinstance(shape.temperature, float):
        raise InputError(f"{file}: [architecture.arguments] do not describe a fusion", cause=str(given)[:200])
    if not shape.temperature > 0:
        raise InputError(f"{file}: temperature must be above 0")
    return shape


def begin_from(model: FusionModel, path: Path) -> str:
    """Give a new model the weights of a run, a plugin, or a checkpoint of Closure Lite; says which.

    Raises:
        InputError: none of these, or of another shape.
    """
    for folder in (path, path / "model"):
        if (folder / MANIFEST_NAME).is_file():
            plugin = load_directory(EncoderSpec(str(folder), device="cpu"), folder, read_manifest(folder))
            _take(model, plugin.model.state_dict(), folder)
            return plugin.manifest.title
    if path.is_dir():
        raise InputError(f"{path} is neither a run nor a plugin directory")
    tensors = named_tensors(read_checkpoint(path))
    found = from_published(tensors)
    if not found:
        raise InputError(
            f"{path} is no checkpoint of Closure Lite",
            cause="it has none of the names of its fusion, such as atom.fuse.gate.weight",
        )
    if not model.shape.published:
        raise UsageError(
            "a checkpoint of Closure Lite continues with one of its own objectives",
            hint=f"--objective {', '.join(PUBLISHED)}",
        )
    _take(model, found, path)
    return f"Closure Lite checkpoint {path.name}"


def from_published(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of the fusion of a Closure Lite checkpoint under our names; its encoders and its position bias, one
    number that cancels in the softmax, are left out.
    """
    found = {}
    for name, tensor in tensors.items():
        plain = re.sub(r"^(.*\.)?(?=(atom|han|next_head|pop_classifier)\.)", "", name)
        for pattern, ours in PUBLISHED_NAMES:
            if re.match(pattern, plain):
                found[re.sub(pattern, ours, plain, count=1)] = tensor
    return found


def _take(model: FusionModel, tensors: Mapping[str, Any], source: Path) -> None:
    """Weights by name; heads of an objective that the other one had not stay new."""
    own = model.state_dict()
    heads = ("denoise.", "context.", "found.", "around.")
    missing = [name for name in own if name not in tensors and not name.startswith(heads)]
    other = [
        f"{name}: {list(tensors[name].shape)}, not {list(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if missing or other:
        raise InputError(
            f"the weights of {source} do not fit",
            cause=(other or [f"{missing[0]} is missing"])[0],
            hint="a fusion reads columns of the sizes that it was trained on; Closure Lite's are of a ViT-B/16 and of "
            "RoBERTa-base, 768 numbers each",
        )
    if bad := [name for name in own if name in tensors and not bool(tensors[name].isfinite().all())]:
        raise InputError(f"{source} holds numbers that are not finite: {bad[0]}")
    model.load_state_dict({name: tensors[name] for name in own if name in tensors}, strict=False)
