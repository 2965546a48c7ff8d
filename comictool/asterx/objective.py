"""What ASTERX learns: which of two windows comes first, and which candidate is the hidden panel.

All is computed in float32, whatever the model's arithmetic: distances of near vectors are differences of large numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from comictool.core.errors import UsageError

SIMILARITIES = ("euclidean", "cosine")
NEAR = 1e-6


def order_losses(logits: Tensor, is_next: Tensor) -> Tensor:
    """Binary cross-entropy of each window pair, (B,): next is 1, previous 0."""
    return functional.binary_cross_entropy_with_logits(logits.float(), is_next.float(), reduction="none")


def candidate_scores(
    prediction: Tensor, candidates: Tensor, real: Tensor, *, similarity: str = "euclidean", temperature: float = 1.0
) -> Tensor:
    """How well each candidate fits the hidden panel; padding scores minus infinity, so that it is never chosen.

    Args:
        prediction: (B, D).
        candidates: (B, C, D), each row's own; or (N, D), the same for all rows.
        real: (B, C) or (B, N) bool, False at padding and at what may not be chosen.
        similarity: `euclidean`: minus the distance; `cosine`: the cosine.
        temperature: scores are divided by it.

    Returns:
        (B, C) or (B, N) float32.
    """
    check_similarity(similarity)
    with torch.autocast(prediction.device.type, enabled=False):
        query, answers = prediction.float(), candidates.float()
        if similarity == "cosine":
            scores = _products(functional.normalize(query, dim=-1), functional.normalize(answers, dim=-1))
        else:
            scores = -_distances(query, answers)
        return (scores / temperature).masked_fill(~real, -torch.inf)


def _products(query: Tensor, answers: Tensor) -> Tensor:
    """Inner products, (B, C): of (B, D) with (B, C, D), or with (C, D) shared by all rows."""
    return query @ answers.T if answers.dim() == 2 else torch.bmm(answers, query[..., None])[..., 0]


def _distances(query: Tensor, answers: Tensor) -> Tensor:
    """Euclidean distances, shapes as for `_products`.

    From lengths and products: the differences themselves would be a table of B x C x D numbers, and another one in the
    backward pass. Below `NEAR` of the squared lengths, where float32 no longer knows them, distances have no gradient.
    """
    lengths = query.pow(2).sum(dim=-1, keepdim=True) + answers.pow(2).sum(dim=-1)
    least = NEAR * lengths.detach() + torch.finfo(torch.float32).tiny
    return torch.maximum(lengths - 2 * _products(query, answers), least).sqrt()


def retrieval_losses(scores: Tensor, target: Tensor) -> Tensor:
    """Softmax cross-entropy of each row, (B,).

    Args:
        scores: (B, C), minus infinity where a candidate does not count.
        target: (B,) int64, the column of the hidden panel.
    """
    return functional.cross_entropy(scores, target, reduction="none")


def ranks(scores: Tensor, target: Tensor) -> Tensor:
    """Place of the hidden panel among the candidates, (B,) int64 from 1; equal scores stand before it."""
    own = scores.gather(1, target[:, None])
    return (scores >= own).sum(dim=1)


def mean_over(values: Tensor, counted: Tensor, total: Tensor | None = None) -> Tensor:
    """Mean of the `counted` (bool) among (B,) values, 0 when there are none; `total` instead of their number.

    Values that do not count are replaced before summing: minus infinity times zero would not be zero.
    """
    number = counted.sum() if total is None else total
    return torch.where(counted, values, torch.zeros_like(values)).sum() / number.clamp_min(1e-9)


def check_similarity(similarity: str) -> None:
    """Refuse an unknown similarity.

    Raises:
        UsageError: none of `SIMILARITIES`.
    """
    if similarity not in SIMILARITIES:
        raise UsageError(f"similarity {similarity!r}: it is {' or '.join(SIMILARITIES)}")
