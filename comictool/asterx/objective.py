"""What ASTERX learns: which of two windows comes first, and which candidate is the hidden panel.

All is computed in float32, whatever the model's arithmetic: distances of near vectors are differences of large numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from comictool.core.errors import UsageError

SIMILARITIES = ("euclidean", "cosine")


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
            query, answers = functional.normalize(query, dim=-1), functional.normalize(answers, dim=-1)
            scores = query @ answers.T if answers.dim() == 2 else torch.bmm(answers, query[..., None])[..., 0]
        elif answers.dim() == 2:
            scores = -torch.cdist(query, answers)
        else:
            scores = -torch.linalg.vector_norm(answers - query[:, None], dim=-1)
        return (scores / temperature).masked_fill(~real, -torch.inf)


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
