"""Vectors of panels by a model: from columns, and from some of their modalities alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from comictool.fusion.model import COMPOSITION, MODALITIES, FusionModel, FusionShape
from comictool.vectors.layout import NUMBERS, published_numbers

ROWS = 4096  # at once


def inputs_of(shape: FusionShape, columns: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """What the network is given: the columns by modality, and of the published one its own seven numbers of layout."""
    found = {name: torch.from_numpy(np.ascontiguousarray(columns[name], np.float32)) for name in MODALITIES}
    if shape.published:
        layout = columns["layout"]
        taken = published_numbers(layout) if layout.shape[1] == NUMBERS else layout[:, :COMPOSITION]
        found["layout"] = torch.from_numpy(np.ascontiguousarray(taken, np.float32))
    return found


@torch.no_grad()
def shown(model: FusionModel, inputs: Mapping[str, Tensor], present: Tensor, modalities: Sequence[str]) -> Tensor:
    """(N, W) of length 1, of panels of which only some modalities are shown.

    The published network knows no absence: what is not shown are zeros, as an empty text or a black picture would be.
    """
    kept = torch.tensor([name in modalities for name in MODALITIES], device=present.device)
    seen = present & kept
    found = []
    for start in range(0, len(present), ROWS):
        own = slice(start, start + ROWS)
        given = {
            name: inputs[name][own] * seen[own, place : place + 1].to(inputs[name].dtype)
            for place, name in enumerate(MODALITIES)
        }
        found.append(functional.normalize(model(given, seen[own]), dim=-1))
    return torch.cat(found) if found else torch.zeros(0, model.shape.width)


def recall(queries: Tensor, gallery: Tensor, k: int) -> float:
    """Share of rows of `queries` whose own row of `gallery` is among the k nearest; half of those that tie count."""
    found = 0.0
    for start in range(0, len(queries), ROWS):
        scores = queries[start : start + ROWS] @ gallery.T
        own = scores[torch.arange(len(scores)), torch.arange(start, start + len(scores))][:, None]
        above = (scores > own).sum(dim=1) + ((scores == own).sum(dim=1) - 1) / 2
        found += float((above < k).sum())
    return found / max(1, len(queries))
