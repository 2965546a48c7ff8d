"""Probes during training: a few figures on held-out rows, for `Task.validate`, cheap enough for every epoch.

The full evaluation, with chance and intervals, is `comictool evaluate`; here only the direction matters.
"""

from __future__ import annotations

import numpy as np

from comictool.measure.points import take
from comictool.measure.probes import Points, knn, leave_groups_out, linear_probe
from comictool.training.collapse import collapse_figures

NEIGHBOURS = 20  # DINO's best k on ImageNet (Caron et al. 2021, table 2)


def probe_figures(points: Points, *, neighbours: int = NEIGHBOURS, linear: bool = False) -> dict[str, float]:
    """k-NN accuracy, optionally a linear probe's, its gain over chance, and whether the features have collapsed.

    Args:
        points: held-out rows with groups (page, comic): each row is told from those of other groups, never from itself.
        linear: also fit a linear probe on half of the groups and score it on the other half. Takes seconds.
        neighbours: k of the k-NN.

    Returns:
        `knn`, `knn_over_chance`, perhaps `linear`, `feature_std`, `feature_spread`, `effective_rank`; no `knn` when no
        row has another of its class in another group.
    """
    import torch

    figures: dict[str, float] = {}
    answers = knn(points, points, [neighbours])[neighbours]
    if len(answers.asked):
        figures["knn"] = answers.accuracy
        figures["knn_over_chance"] = answers.accuracy - answers.chance.accuracy
    if linear:
        bank, queries = next(leave_groups_out(points, folds=2))
        figures["linear"] = linear_probe(take(points, bank), take(points, queries)).accuracy
    return {**figures, **collapse_figures(torch.from_numpy(np.asarray(points.vectors)))}
