"""Have the features collapsed? Two metrics that show it long before an accuracy does.

Self-supervised losses can fall while all pictures get the same vector (complete collapse), or vectors of a few
directions only (dimensional collapse). Neither shows in the loss.
"""

from __future__ import annotations

import math

import torch


@torch.no_grad()
def feature_std(features: torch.Tensor) -> float:
    """Mean over dimensions of the standard deviation of l2-normalised features.

    About 1/sqrt(D) when they point everywhere, 0 when they are all the same (Chen and He 2021, SimSiam, section 4.1).

    Args:
        features: (N, D), N >= 2.
    """
    normalised = torch.nn.functional.normalize(features.double(), dim=1)
    return float(normalised.std(dim=0, correction=0).mean())


@torch.no_grad()
def effective_rank(features: torch.Tensor) -> float:
    """exp of the entropy of the normalised singular values: how many directions are really used, 1 .. min(N, D).

    Roy and Vetterli 2007; as a measure of self-supervised features RankMe (Garrido et al. 2023), whose small constant
    in the logarithm is left out: a singular value of zero counts as nothing. Features are centred first, or a common
    offset would hide that nothing else differs.

    Args:
        features: (N, D), N >= 2.
    """
    centred = features.double() - features.double().mean(dim=0)
    values = torch.linalg.svdvals(centred)
    total = float(values.sum())
    if total <= 1e-12 * max(1.0, float(features.double().norm())):
        return 1.0  # all the same
    shares = values[values > 0] / total
    return math.exp(float(-(shares * shares.log()).sum()))


def collapse_metrics(features: torch.Tensor) -> dict[str, float]:
    """`feature_std`, `feature_spread` (the same times sqrt(D): 1 healthy, 0 collapsed), `effective_rank`.

    Args:
        features: (N, D) of held-out samples; a few hundred rows are enough.
    """
    std = feature_std(features)
    return {
        "feature_std": std,
        "feature_spread": std * math.sqrt(features.shape[1]),
        "effective_rank": effective_rank(features),
    }
