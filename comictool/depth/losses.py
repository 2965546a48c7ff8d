"""What depth is learned by. Every loss takes predictions in which larger is farther, leaves out what is missing (NaN in
the truth), and gives 0 with a gradient of 0 when nothing is left.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

SCALES = 4  # of the gradient term, as in MiDaS
LEAST_SPREAD = 1e-3  # of a truth's mean deviation: a flat panel has no scale to be aligned by


def _mean(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Mean of what counts; 0 for none."""
    total = torch.where(counted, values, torch.zeros_like(values)).sum()
    return total / counted.sum().clamp(min=1)


def aligned(maps: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Each map less its median, over its mean absolute deviation (arXiv:1907.01341, equation 5).

    Args:
        maps: (N, H, W) float.
        there: (N, H, W) bool, which numbers count. What does not is 0 in the answer.
    """
    flat, seen = maps.flatten(1), there.flatten(1)
    middle = torch.nanmedian(flat.masked_fill(~seen, math.nan), dim=1, keepdim=True).values.nan_to_num()
    off = torch.where(seen, flat - middle, torch.zeros_like(flat))
    spread = off.abs().sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)
    return (off / spread.clamp(min=LEAST_SPREAD)).view_as(maps)


def invariant_loss(
    maps: torch.Tensor, truth: torch.Tensor, *, trim: float = 0.2, gradient: float = 0.5
) -> torch.Tensor:
    """The trimmed absolute distance of aligned maps, and of their differences on four scales (MiDaS, arXiv:1907.01341).

    Args:
        maps: (N, H, W) predictions.
        truth: (N, H, W), NaN where there is none. A panel of one depth counts for nothing.
        trim: share of the largest residuals of a panel that is left out.
        gradient: weight of the differences.
    """
    there = truth.isfinite()
    aim = aligned(truth.nan_to_num(), there)
    varied = (aim.abs() > 0).flatten(1).any(1)
    there = there & varied[:, None, None]
    found = aligned(maps, there)
    off = (found - aim).abs()
    kept = there
    if trim > 0:
        ordered = off.detach().masked_fill(~there, math.inf).flatten(1).sort(1).values
        last = ((1 - trim) * there.flatten(1).sum(1)).ceil().long().clamp(min=1) - 1
        kept = there & (off.detach() <= ordered.gather(1, last[:, None])[:, :, None])
    loss = _mean(off, kept)
    if gradient > 0:
        loss = loss + gradient * gradient_loss(found - aim, there)
    return loss


def gradient_loss(residual: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Mean absolute differences of neighbours of (N, H, W) residuals, at every pixel, every second, fourth, eighth."""
    total = residual.sum() * 0.0
    for scale in range(SCALES):
        step = 2**scale
        own, seen = residual[:, ::step, ::step], there[:, ::step, ::step]
        for axis in (1, 2):
            size = own.shape[axis]
            if size < 2:
                continue
            first, second = own.narrow(axis, 0, size - 1), own.narrow(axis, 1, size - 1)
            both = seen.narrow(axis, 0, size - 1) & seen.narrow(axis, 1, size - 1)
            total = total + _mean((first - second).abs(), both)
    return total / SCALES


def direct_loss(maps: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean absolute distance of (N, H, W) maps."""
    return _mean((maps - truth.nan_to_num()).abs(), truth.isfinite())


def points_loss(maps: torch.Tensor, truth: torch.Tensor, places: torch.Tensor, *, least_gap: float) -> torch.Tensor:
    """Order of pairs of points: `log(1 + exp(-r (a - b)))`, `r` the sign of the true difference (arXiv:1604.03901).

    Differences are of aligned predictions, so that they do not grow for ever.

    Args:
        maps, truth: (N, H, W).
        places: (N, 2, P) indices of points of the flat maps.
        least_gap: pairs nearer to each other than that count for nothing.
    """
    found = aligned(maps, torch.ones_like(truth, dtype=torch.bool)).flatten(1)
    flat = truth.flatten(1)
    gap = flat.gather(1, places[:, 0]) - flat.gather(1, places[:, 1])
    ours = found.gather(1, places[:, 0]) - found.gather(1, places[:, 1])
    ordered = gap.isfinite() & (gap.abs() >= least_gap)
    return _mean(functional.softplus(-gap.nan_to_num().sign() * ours * 2), ordered)


def regression_loss(found: torch.Tensor, truth: torch.Tensor, *, huber: float = 0.0) -> torch.Tensor:
    """Squared distance of (...) ranks, halved; from `huber` on it grows linearly. 0: the plain squared distance."""
    there = truth.isfinite()
    aim = truth.nan_to_num()
    if huber > 0:
        return _mean(functional.huber_loss(found, aim, reduction="none", delta=huber), there)
    return _mean((found - aim).square(), there)


def ordinal_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """CORN (arXiv:2111.08851): step k answers whether the rank is above k, asked only where it is above k - 1.

    Args:
        logits: (..., K) of the steps 0 .. K - 1.
        truth: (...) ranks of 0 or more, NaN where missing; those of K or more are above every step.
    """
    steps = torch.arange(logits.shape[-1], device=logits.device, dtype=truth.dtype)
    rank = truth.nan_to_num().round()[..., None]
    asked = truth.isfinite()[..., None] & (rank > steps - 1)
    above = (rank > steps).to(logits.dtype)
    each = functional.binary_cross_entropy_with_logits(logits, above, reduction="none")
    return _mean(each, asked)


def pairwise_loss(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """`log(1 + exp(-r (a - b)))` over every pair of one panel with different ranks, panels weighing alike.

    Args:
        found: (B, S).
        truth: (B, S), NaN where missing.
    """
    gap = truth[:, :, None] - truth[:, None, :]
    ordered = gap > 0  # each pair once, the farther first; NaN compares false
    each = functional.softplus(-(found[:, :, None] - found[:, None, :]))
    counts = ordered.sum((1, 2))
    panels = torch.where(ordered, each, torch.zeros_like(each)).sum((1, 2)) / counts.clamp(min=1)
    return panels.sum() / (counts > 0).sum().clamp(min=1)


def listwise_loss(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """ListMLE (Xia and others 2008) of each panel, nearest first, over its number of segments; panels weigh alike.

    The chance of the true order when one after the other is drawn by a softmax of -found. Among equal ranks each is
    drawn from all that are not nearer, so that their own order does not matter.

    Args:
        found: (B, S).
        truth: (B, S), NaN where missing.
    """
    there = truth.isfinite()
    near = -found
    left = truth[:, None, :] >= truth[:, :, None]  # (B, i, j): j is still there when i is drawn
    scores = near[:, None, :].expand_as(left).masked_fill(~left, -math.inf)
    scores = torch.where(there[:, :, None], scores, torch.zeros_like(scores))  # rows that count for nothing stay finite
    each = torch.where(there, torch.logsumexp(scores, dim=2) - near, torch.zeros_like(near))
    counts = there.sum(1)
    return (each.sum(1) / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)
