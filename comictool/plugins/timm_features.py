"""A timm model up to one of its layers: what it sees there, pooled, is the vector.

    [architecture]
    name = "timm:tf_efficientnet_lite0"

    [architecture.arguments]
    features = "blocks.5"       a layer by the name that timm gives it; nothing after it is computed or has weights
    pooling = "bands"           mean (over the whole map) | bands (over each of some bands, one above the other)
    bands = 3

A classifier's last layers keep what tells its classes apart; the layers before them know more of what else there is to
see (Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901). Bands keep what is above what: hair, face, clothes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

POOLINGS = ("mean", "bands")
MOST_BANDS = 16


class Absent(nn.Module):
    """Stands where a layer was that comes after the features."""

    def forward(self, *_: Any, **__: Any) -> torch.Tensor:
        """Never to be asked.

        Raises:
            RuntimeError: the model computes this layer before its features.
        """
        raise RuntimeError("the model uses a layer before its features that is listed after them")


class _Reached(Exception):
    """The features are computed; the rest of the model is not."""

    def __init__(self, features: torch.Tensor) -> None:
        super().__init__("the features are computed")
        self.features = features


def until(model: Any, features: str, pooling: str = "mean", bands: int = 1) -> Any:
    """The model, which from now on gives (N, channels x bands) pooled features of one layer, the upper band first.

    Its `left_out` names the layers that it has no more, so that published weights may have them.

    Args:
        model: a timm model; it is changed.
        features: a layer by its dotted name.
        pooling: `mean` or `bands`.
        bands: into how many the map is cut; at least this many rows. Where rows do not divide, neighbours share one.

    Raises:
        ValueError: no such layer or pooling, or bands out of range.
    """
    if pooling not in POOLINGS or not 1 <= bands <= MOST_BANDS or (pooling == "mean" and bands != 1):
        raise ValueError(f"pooling is {pooling!r} with {bands} bands; mean, or bands = 1 to {MOST_BANDS}")
    if getattr(model, "output_fmt", "NCHW") != "NCHW":
        raise ValueError("the features of this model are no map of channels, height and width")
    layer, model.left_out = cut_after(model, features)
    layer.register_forward_hook(_reached)
    whole = model.forward

    def forward(pictures: torch.Tensor) -> torch.Tensor:
        try:
            whole(pictures)
        except _Reached as reached:
            return _pooled(reached.features, bands)
        raise RuntimeError(f"the model does not use its layer {features}")

    model.forward = forward
    return model


def cut_after(model: Any, features: str) -> tuple[nn.Module, tuple[str, ...]]:
    """The layer, and the names of those that come after it in the model's own list; they become `Absent`."""
    left_out = []
    layer, above = model, ""
    for word in features.split("."):
        names = [name for name, _ in layer.named_children()]
        if word not in names:
            raise ValueError(f"the model has no layer {above}{word}; it has {', '.join(above + n for n in names[:40])}")
        for later in names[names.index(word) + 1 :]:
            setattr(layer, later, Absent())
            left_out.append(above + later)
        layer, above = getattr(layer, word), f"{above}{word}."
    return layer, tuple(left_out)


def _reached(layer: nn.Module, given: Any, features: torch.Tensor) -> None:
    raise _Reached(features)


def _pooled(features: torch.Tensor, bands: int) -> torch.Tensor:
    """(N, C, H, W) to (N, bands x C)."""
    if features.ndim != 4 or features.shape[2] < bands:
        raise RuntimeError(f"features {list(features.shape)} are no map with {bands} rows at least")
    pooled = nn.functional.adaptive_avg_pool2d(features, (bands, 1))
    return pooled.flatten(2).transpose(1, 2).flatten(1)
