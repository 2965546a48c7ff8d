"""What two views of each instance are compared by: NT-Xent and VICReg, by pytorch-metric-learning.

With one positive an anchor, SupCon (arXiv:2004.11362) is NT-Xent (arXiv:2002.05709) and InfoNCE in its symmetric form.
The library computes it as one matrix; its own `NTXentLoss` takes as many numbers as positives times negatives, 8 GB
for 640 pairs.
"""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import SupConLoss, VICRegLoss
from pytorch_metric_learning.reducers import MeanReducer


def nt_xent(
    first: torch.Tensor, second: torch.Tensor, temperature: float, ignored: torch.Tensor | None = None
) -> torch.Tensor:
    """Each view finds its partner among all other views.

    Args:
        first, second: (N, D) views of N instances in one order, of any length; N at least 2.
        temperature: of the softmax over cosine similarities.
        ignored: (N, N) bool, symmetric: instances that are no negatives of each other.

    Returns:
        0-d: the mean over the 2N views.
    """
    count = len(first)
    rows = torch.arange(2 * count, device=first.device)
    partner = (rows + count) % (2 * count)
    negative = torch.ones((2 * count, 2 * count), dtype=torch.bool, device=first.device)
    if ignored is not None:
        negative = ~ignored.repeat(2, 2)
    negative[rows, rows] = negative[rows, partner] = False
    anchors, others = torch.where(negative)
    loss = SupConLoss(temperature=temperature, reducer=MeanReducer())
    # In 32-bit numbers: a softmax at temperature .07 needs them, whatever made the vectors.
    value: torch.Tensor = loss(torch.cat([first, second]).float(), indices_tuple=(rows, partner, anchors, others))
    return value


def vicreg(
    first: torch.Tensor, second: torch.Tensor, *, invariance: float, variance: float, covariance: float
) -> torch.Tensor:
    """VICReg (arXiv:2105.04906) of (N, D) views of N instances in one order."""
    loss = VICRegLoss(invariance_lambda=invariance, variance_mu=variance, covariance_v=covariance)
    value: torch.Tensor = loss(first.float(), ref_emb=second.float())
    return value
