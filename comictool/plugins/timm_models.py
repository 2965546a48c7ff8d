"""timm architectures: as an architecture of manifests, and directly as `timm:NAME` without any directory."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from comictool.core.device import import_timm
from comictool.core.errors import InputError, SetupError, UsageError, near_matches
from comictool.plugins.architectures import Architecture
from comictool.plugins.manifest import INTERPOLATIONS, RESIZE_MODES, InputSpec
from comictool.plugins.names import TIMM

# Arguments of timm.create_model that read files, reach the network or run code, or that undo what we set.
RESERVED = frozenset(
    {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "features_only"}
    | {"scriptable", "exportable", "no_jit", "num_classes", "model_name", "in_chans"}
)


@dataclass(frozen=True)
class TimmName:
    """`timm:NAME?option&option` taken apart."""

    name: str
    random: bool = False
    resize: str = "squash"


def parse_timm_name(text: str) -> TimmName:
    """Take `NAME?random&resize=pad` apart (without the leading `timm:`).

    Raises:
        UsageError: an unknown option, or a source prefix that would reach the network.
    """
    name, _, query = text.partition("?")
    options = [option for option in query.split("&") if option]
    if ":" in name or "/" in name:
        raise UsageError(
            f"{TIMM}{text} names a source, not an architecture",
            hint=f"{TIMM}{name.replace('/', ':').split(':')[-1]}, with --weights FILE for weights that you have",
        )
    known = ["random", *(f"resize={mode}" for mode in RESIZE_MODES)]
    for option in options:
        if option not in known:
            raise UsageError(
                f"{TIMM}{text}: unknown option {option!r}",
                hint="known: " + ", ".join(known),
                near=near_matches(option, known),
            )
    resize = [option.split("=")[1] for option in options if option.startswith("resize=")]
    return TimmName(name, "random" in options, resize[-1] if resize else "squash")


def check_timm_name(name: str) -> None:
    """Make sure that timm knows an architecture (a pretrained tag after a dot is allowed).

    Raises:
        InputError: unknown, with the nearest names.
        SetupError: timm cannot be imported.
    """
    timm = import_timm()
    if not timm.is_model(name):
        near = near_matches(name, timm.list_models()) or near_matches(name.lower(), timm.list_models())
        raise InputError(
            f"timm has no architecture called {name!r}",
            near=[f"{TIMM}{candidate}" for candidate in near],
            hint=f"all of them: https://huggingface.co/docs/timm; the installed timm is {timm.__version__}",
        )


def timm_architecture(name: str) -> Architecture:
    """The registry entry of one timm architecture.

    Raises:
        InputError: unknown name.
    """
    check_timm_name(name)
    import timm

    # Most modules of timm have one function that turns checkpoints of others into its own names; only modules know it.
    module = sys.modules[timm.models.model_entrypoint(name).__module__]
    published = getattr(module, "checkpoint_filter_fn", None) or getattr(module, "_filter_fn", None)
    return Architecture(
        f"{TIMM}{name}",
        partial(build_timm, name),
        needs_torch=True,
        classifiers=_classifiers(name),
        published=published,
    )


def build_timm(name: str, *, features: str = "", pooling: str = "mean", bands: int = 1, **arguments: Any) -> Any:
    """A timm model without its classifier and without weights: (N, 3, H, W) to pooled features (N, D).

    Args:
        name: timm's own.
        features, pooling, bands: of a layer inside, in place of the last one: `comictool.plugins.timm_features`.
        arguments: from a manifest; those that would read files or reach the network are refused.

    Raises:
        InputError: a refused argument.
        ValueError: no such layer or pooling.
    """
    refused = sorted(RESERVED.intersection(arguments))
    if refused:
        raise InputError(
            f"{TIMM}{name}: argument {', '.join(refused)} is not for manifests",
            cause="it would read other files, reach the network, or change the output",
        )
    model = import_timm().create_model(name, pretrained=False, num_classes=0, **arguments)
    if not features:
        if (pooling, bands) != ("mean", 1):
            raise ValueError("pooling and bands are of a layer that `features` names")
        return model
    from comictool.plugins.timm_features import until

    return until(model, features, pooling, bands)


def download_timm(name: str) -> Any:
    """The same with its published weights, which timm fetches over the network; only ever after an explicit flag.

    Raises:
        SetupError: no network, or there are no published weights.
    """
    try:
        return import_timm().create_model(name, pretrained=True, num_classes=0)
    except (OSError, RuntimeError, ValueError) as error:  # the hub's errors are OSErrors, "no such weights" the others
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SetupError(
            f"the published weights of {TIMM}{name} could not be fetched",
            cause=lines[0][:200],
            hint="fetch them by hand and give them with --weights FILE",
        ) from error


def _classifiers(name: str) -> tuple[str, ...]:
    timm = import_timm()
    config = timm.get_pretrained_cfg(name)
    layers = (config.classifier if config is not None else None) or ()
    return (layers,) if isinstance(layers, str) else tuple(layers)


def timm_input(model: Any, resize: str, name: str) -> InputSpec:
    """The input that timm's own configuration of a model states; only the resize mode is ours (`squash` keeps the
    edges of a panel in sight, which timm's centre crop would cut).

    Raises:
        InputError: an architecture that does not take three channels.
    """
    import_timm()
    from timm.data import resolve_model_data_config

    config: Mapping[str, Any] = resolve_model_data_config(model)
    channels, height, width = config["input_size"]
    if channels != 3:
        raise InputError(f"{TIMM}{name} takes {channels} channels, not the 3 of a picture")
    interpolation = config["interpolation"] if config["interpolation"] in INTERPOLATIONS else "bilinear"
    return InputSpec((height, width), resize, interpolation, tuple(config["mean"]), tuple(config["std"]))  # type: ignore[arg-type]
