"""Reading and writing ASTERX models: our plugin directories, and checkpoints in the layout of the published code.

A published checkpoint is a .pt of three state dicts, `model`, `model_head_tok`, `model_head_cls`. It says neither how
many heads the attention has nor how long its windows are: the published settings are taken unless others are given.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from comictool import __version__
from comictool.asterx.model import EncoderShape, SequenceModel
from comictool.asterx.windows import WindowShape
from comictool.core.errors import ComicError, InputError
from comictool.core.files import atomic_file
from comictool.plugins.encoder import identity_of
from comictool.plugins.export import export_plugin
from comictool.plugins.manifest import Manifest, OutputSpec, read_manifest, weights_path
from comictool.plugins.names import MANIFEST_NAME
from comictool.plugins.trust import hash_file
from comictool.plugins.weights import read_checkpoint, verified_weights

ARCHITECTURE = "asterx"
PARTS = ("model", "model_head_tok", "model_head_cls")
PUBLISHED_HEADS = 8
ORIGIN_LENGTH = 200  # of what a manifest keeps of an encoder's identity
SIZES = ("features", "width", "layers", "heads", "feedforward", "dropout")


@dataclass
class SequencePlugin:
    """A model ready for use.

    Attributes:
        identity: `id@version+weights+…`; vectors of one identity may be compared.
        single: share of training samples without second window; above 0, the one-window layout was learnt too.
        visible: share of training samples whose centre was not hidden.
        similarity: by which the model was taught to find panels.
        reads: what made the panel vectors that it was trained on; empty when unknown.
    """

    model: SequenceModel
    identity: str
    title: str
    single: float = 0.0
    visible: float = 0.0
    similarity: str = "euclidean"
    reads: str = ""


def load_sequence_model(
    path: Path, *, heads: int = PUBLISHED_HEADS, window: WindowShape | None = None
) -> SequencePlugin:  # fmt: skip
    """Load a run directory, a plugin directory or a published checkpoint.

    Args:
        path: `runs/x`, `runs/x/model`, or `checkpoint.pt`.
        heads, window: of a checkpoint in the published layout, which does not say them.

    Raises:
        InputError: nothing there, another kind of model, or weights that do not fit. No code in a file is run.
    """
    for folder in (path, path / "model"):
        if (folder / MANIFEST_NAME).is_file():
            return _load_plugin(folder)
    if path.is_dir():
        raise InputError(
            f"{path} is neither a run nor a plugin directory", hint=f"a model directory has a {MANIFEST_NAME}"
        )
    return _load_published(path, heads, window or WindowShape())


def export_model(
    folder: Path, model: SequenceModel, *, single: float, visible: float, similarity: str, origin: str = "",
    force: bool = False,
) -> Manifest:  # fmt: skip
    """Write a model as a plugin directory of the kind `sequence`.

    Args:
        single, visible, similarity: how it was trained, see `SequencePlugin`.
        origin: of the panel vectors that it reads (an encoder's identity); empty when unknown.

    Raises:
        UsageError: the folder exists and `force` is not set.
    """
    arguments: dict[str, Any] = {name: getattr(model.shape, name) for name in SIZES}
    arguments |= {
        "before": model.window.before, "after": model.window.after, "hide_second": model.hide_second,
        "single": single, "visible": visible, "similarity": similarity,
    }  # fmt: skip
    if origin:
        arguments["reads"] = origin[:ORIGIN_LENGTH]
    manifest = Manifest(
        id="asterx", version="1", title="ASTERX panel sequence encoder", kind="sequence",
        licence="that of the comics it was trained on", architecture=ARCHITECTURE, arguments=arguments,
        output=OutputSpec(model.shape.width, normalised=False), minimum_tool=__version__,
    )  # fmt: skip
    return export_plugin(folder, manifest, model.state_dict(), force=force)


def save_published(path: Path, model: SequenceModel) -> None:
    """Write a checkpoint in the published layout.

    That layout has no place for the standardisation of features, so it goes into the weights: the first layer takes
    raw vectors, and the `tok` head answers with raw ones. Distances between them are those of standardised vectors
    divided by the scale; order, ranks and tokens are the same.
    """
    mean, scale = model.feature_mean.double(), model.feature_scale.double()
    parts: dict[str, dict[str, Tensor]] = {
        name: {key: value.detach().cpu().clone() for key, value in getattr(model, name).state_dict().items()}
        for name in PARTS
    }
    mean, scale = mean.cpu(), scale.cpu()
    body, tok = parts["model"], parts["model_head_tok"]
    weight = body["linear_in.weight"].double() * scale
    body["linear_in.bias"] = (body["linear_in.bias"].double() - weight @ mean).float()
    body["linear_in.weight"] = weight.float()
    tok["weight"] = (tok["weight"].double() / scale).float()
    tok["bias"] = (tok["bias"].double() / scale + mean).float()
    with atomic_file(path) as stream:
        torch.save(parts, stream)


def _load_plugin(folder: Path) -> SequencePlugin:
    manifest = read_manifest(folder)
    file = folder / MANIFEST_NAME
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
        facts = (float(given["single"]), float(given["visible"]), str(given["similarity"]), str(given.get("reads", "")))
    except (KeyError, TypeError, ValueError, ComicError) as error:
        raise InputError(
            f"{file}: [architecture.arguments] do not describe an ASTERX model", cause=str(error)
        ) from error
    model = _fitted(
        lambda: SequenceModel(shape, window, hide_second=hide_second), read_checkpoint(weights), str(weights)
    )
    return SequencePlugin(model.eval(), identity_of(manifest, manifest.weights.sha256), manifest.title, *facts)


def _load_published(path: Path, heads: int, window: WindowShape) -> SequencePlugin:
    checkpoint = read_checkpoint(path)
    missing = [part for part in PARTS if not isinstance(checkpoint, Mapping) or part not in checkpoint]
    if missing:
        raise InputError(
            f"{path} has no {missing[0]!r}", cause="a published ASTERX checkpoint holds " + ", ".join(PARTS),
            hint="for a model trained here, name the run's folder",
        )  # fmt: skip
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
    tensors = {
        f"{part}.{name}": tensor for part in PARTS for name, tensor in checkpoint[part].items()
    } | {"feature_mean": torch.zeros(features), "feature_scale": torch.ones(())}  # fmt: skip
    shape = EncoderShape(features, width, layers, heads, feedforward)
    model = _fitted(lambda: SequenceModel(shape, window), tensors, str(path))
    title = f"ASTERX checkpoint {path.name}"
    settings = "" if heads == PUBLISHED_HEADS else f".heads{heads}"
    settings += "" if window == WindowShape() else f".window{window.before}-{window.after}"
    return SequencePlugin(model.eval(), f"asterx@0+{hash_file(path)[:16]}+own{settings}", title)


def _fitted(make: Callable[[], SequenceModel], tensors: Mapping[str, Any], source: str) -> SequenceModel:
    """A model with weights; built without memory first, so that sizes which the file does not bear out take none."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nothing is copied, which is what is wanted here
            make().load_state_dict(dict(tensors))
        if inflated := [name for name, tensor in tensors.items() if _takes_more_than_it_holds(tensor)]:
            raise InputError(f"{source} is damaged: {inflated[0]} is larger than what the file holds of it")
        model = make()
        model.load_state_dict(dict(tensors))
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = str(error).split("\n")
        raise InputError(
            f"the weights in {source} are not those of an ASTERX model",
            cause=" ".join(line.strip() for line in lines[1:4]),
        ) from error
    unsound = [name for name, tensor in model.state_dict().items() if not bool(torch.isfinite(tensor).all())]
    if unsound:
        raise InputError(f"the weights in {source} hold numbers that are not finite: {unsound[0]}")
    return model


def _takes_more_than_it_holds(tensor: Tensor) -> bool:
    """Whether numbers are repeated by strides: a few bytes in a file would become any size in a model."""
    return tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()
