"""Reading and writing ASTERX models: our plugin directories, and checkpoints in the layout of the published code.

A published checkpoint is a .pt of three state dicts, `model`, `model_head_tok`, `model_head_cls`. It says neither how
many heads the attention has nor how long its windows are: the published settings are taken unless others are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from comictool import __version__
from comictool.asterx.encoding import encode_panels, standard_matrix
from comictool.asterx.model import EncoderShape, SequenceModel
from comictool.asterx.windows import WindowShape
from comictool.core.device import choose_device
from comictool.core.errors import ComicError, InputError, UsageError
from comictool.plugins.building import build_with_weights
from comictool.plugins.encoder import encoder_id_of
from comictool.plugins.export import export_plugin
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import VECTOR, Manifest, OutputSpec, read_manifest, weights_path
from comictool.plugins.names import MANIFEST_NAME
from comictool.plugins.trust import hash_file
from comictool.plugins.weights import read_checkpoint, verified_weights
from comictool.vectors.tables import Table

ARCHITECTURE = "asterx"
COLUMN = "panel/image"  # of a store: what it reads
PARTS = ("model", "model_head_tok", "model_head_cls")
PUBLISHED_HEADS = 8
ORIGIN_LENGTH = 200  # of what a manifest keeps of an encoder's encoder_id
SIZES = ("features", "width", "layers", "heads", "feedforward", "dropout")


@dataclass
class SequencePlugin:
    """A model ready for use.

    Attributes:
        encoder_id: `id@version+weights+…`; vectors of one encoder_id may be compared.
        single: share of training samples without second window; above 0, the one-window layout was learnt too.
        visible: share of training samples whose centre was not hidden.
        similarity: by which the model was taught to find panels.
        reads: what made the panel vectors that it was trained on; empty when unknown.
    """

    model: SequenceModel
    encoder_id: str
    title: str
    single: float = 0.0
    visible: float = 0.0
    similarity: str = "euclidean"
    reads: str = ""
    manifest: Manifest | None = None
    device_note: str = "cpu"
    needs_torch: ClassVar[bool] = True

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """The panels of one comic in reading order, (N, D) of the column that it reads, to (N, W) float32."""
        if not len(vectors):
            return np.zeros((0, self.model.shape.width), dtype=np.float32)
        panels = Table(np.asarray(vectors, np.float32), [""], np.array([0, len(vectors)]), [""] * len(vectors))
        device = next(self.model.parameters()).device
        matrix = standard_matrix(self.model, panels, device)
        return encode_panels(self.model, matrix, panels, two=self.single == 0).sequence


def load_sequence_model(
    path: Path, *, heads: int = PUBLISHED_HEADS, window: WindowShape | None = None
) -> SequencePlugin:
    """Load a run directory, a plugin directory or a published checkpoint.

    Args:
        path: `runs/x`, `runs/x/model`, or `checkpoint.pt`.
        heads, window: of a checkpoint in the published layout, which does not say them.

    Raises:
        InputError: nothing there, another kind of model, or weights that do not fit. No code in a file is run.
    """
    for folder in (path, path / "model"):
        if (folder / MANIFEST_NAME).is_file():
            return load_directory(None, folder, read_manifest(folder))
    if path.is_dir():
        raise InputError(
            f"{path} is neither a run nor a plugin directory", hint=f"a model directory has a {MANIFEST_NAME}"
        )
    return _load_published(path, heads, window or WindowShape())


def export_model(
    folder: Path,
    model: SequenceModel,
    *,
    single: float,
    visible: float,
    similarity: str,
    origin: str = "",
    force: bool = False,
) -> Manifest:
    """Write a model as a plugin directory of the kind `sequence`.

    Args:
        single, visible, similarity: how it was trained, see `SequencePlugin`.
        origin: of the panel vectors that it reads (an encoder's encoder_id); empty when unknown.

    Raises:
        UsageError: the folder exists and `force` is not set.
    """
    arguments: dict[str, Any] = {name: getattr(model.shape, name) for name in SIZES}
    arguments |= {
        "before": model.window.before,
        "after": model.window.after,
        "hide_second": model.hide_second,
        "single": single,
        "visible": visible,
        "similarity": similarity,
    }
    manifest = Manifest(
        id="asterx",
        version="1",
        title="ASTERX panel sequence encoder",
        kind="sequence",
        licence="that of the comics it was trained on",
        architecture=ARCHITECTURE,
        arguments=arguments,
        reads={COLUMN: origin[:ORIGIN_LENGTH]} if origin else {},
        output={VECTOR: OutputSpec(model.shape.width, normalised=False)},
        minimum_tool=__version__,
    )
    return export_plugin(folder, manifest, model.state_dict(), force=force)


def load_directory(spec: EncoderSpec | None, folder: Path, manifest: Manifest) -> SequencePlugin:
    """The model in a plugin directory; what the table of kinds names for the architecture `asterx`.

    Args:
        spec: the device, when one is wanted; None leaves the model on the CPU.
        folder: of the plugin.
        manifest: of it.

    Raises:
        InputError: another kind of model, or weights that do not fit.
        UsageError: weights from elsewhere, which would need a manifest of their own.
    """
    file = folder / MANIFEST_NAME
    if spec is not None and (spec.weights is not None or spec.random_weights):
        raise UsageError(f"plugin {folder} has its own weights", hint="leave the weights out")
    if manifest.kind != "sequence" or manifest.architecture != ARCHITECTURE:
        raise InputError(
            f"{folder} is a {manifest.kind} of the architecture {manifest.architecture}, no ASTERX model",
            hint="train one: comictool train asterx FEATURES -o runs/asterx",
        )
    if manifest.weights is None:
        raise InputError(f"{file}: [weights] is missing")
    weights = weights_path(folder, manifest.weights)
    verified_weights(weights, manifest.weights.sha256, str(file))
    given = dict(manifest.arguments)
    try:
        shape = EncoderShape(**{name: given[name] for name in SIZES})
        window = WindowShape(int(given["before"]), int(given["after"]))
        hide_second = bool(given["hide_second"])
        facts = (float(given["single"]), float(given["visible"]), str(given["similarity"]))
    except (KeyError, TypeError, ValueError, ComicError) as error:
        raise InputError(
            f"{file}: [architecture.arguments] do not describe an ASTERX model", cause=str(error)
        ) from error
    model, _ = build_with_weights(
        lambda: SequenceModel(shape, window, hide_second=hide_second), read_checkpoint(weights), str(weights)
    )
    device = choose_device(spec.device if spec is not None else "cpu")
    return SequencePlugin(
        model.eval().to(device.name),
        encoder_id_of(manifest, manifest.weights.sha256),
        manifest.title,
        *facts,
        reads=manifest.reads.get(COLUMN, ""),
        manifest=manifest,
        device_note=f"{device.name} ({device.reason})",
    )


def _load_published(path: Path, heads: int, window: WindowShape) -> SequencePlugin:
    checkpoint = read_checkpoint(path)
    missing = [part for part in PARTS if not isinstance(checkpoint, Mapping) or part not in checkpoint]
    if missing:
        raise InputError(
            f"{path} has no {missing[0]!r}",
            cause="a published ASTERX checkpoint holds " + ", ".join(PARTS),
            hint="for a model trained here, name the run's folder",
        )
    body = checkpoint["model"]
    try:
        width, features = body["linear_in.weight"].shape
        # Counted, not the highest number plus one: a name costs nothing and would be built.
        layers = len({name.split(".")[2] for name in body if name.startswith("encoder.layers.")})
        feedforward = body["encoder.layers.0.linear1.weight"].shape[0]
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: 'model' holds no ASTERX encoder", cause=str(error)) from error
    if not all(isinstance(checkpoint[part], Mapping) for part in PARTS):
        raise InputError(f"{path}: " + " and ".join(PARTS[1:]) + " are not both sets of named tensors")
    tensors = {f"{part}.{name}": tensor for part in PARTS for name, tensor in checkpoint[part].items()} | {
        "feature_mean": torch.zeros(features),
        "feature_scale": torch.ones(()),
    }
    shape = EncoderShape(features, width, layers, heads, feedforward)
    model, _ = build_with_weights(lambda: SequenceModel(shape, window), tensors, str(path))
    title = f"ASTERX checkpoint {path.name}, {heads} heads assumed"
    settings = "" if heads == PUBLISHED_HEADS else f".heads{heads}"
    settings += "" if window == WindowShape() else f".window{window.before}-{window.after}"
    return SequencePlugin(model.eval(), f"asterx@0+{hash_file(path)[:16]}+own{settings}", title)
