"""How well held-out panels are ordered."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from comictool.depth.data import DepthData
from comictool.depth.inputs import as_input
from comictool.depth.network import SegmentNetwork
from comictool.training.recipe import SampleKey

MOST_PANELS = 160  # of more, evenly chosen ones: validating must not cost what training does
BATCH = 8


class Validation:
    """Held-out panels, seen without changes.

    Args:
        data: of them.
    """

    def __init__(self, data: DepthData) -> None:
        self.data = data
        order = data.order(0, 0, 1)
        chosen = sorted(order, key=data.panels.aspect)
        self.chosen = chosen[:: max(1, math.ceil(len(chosen) / MOST_PANELS))]

    def metrics(self, network: nn.Module) -> dict[str, float]:
        """`pairwise`: share of pairs in the right order, ties half right, mean over panels: pairs of points at least
        `loss.least_gap` apart for maps, segments of different inter for segments, for which `intra` is the mean
        absolute distance of it and `inter` that of inter.
        """
        device = next(network.parameters()).device
        shares: list[float] = []
        distances: list[np.ndarray] = []
        for at in range(0, len(self.chosen), BATCH):
            keys = [SampleKey(n, n) for n in self.chosen[at : at + BATCH]]
            batch = {name: value.to(device) for name, value in self.data.load(keys).items()}
            pictures = as_input(batch["pictures"])
            if "truth" in batch:
                found = network(pictures).float().flatten(1)
                shares += _ordered(found, batch["truth"].flatten(1), batch["places"], self.data.config.loss.least_gap)
                continue
            if isinstance(network, SegmentNetwork):
                ranks = network(pictures, batch["masks"], batch["boxes"])[0].float()
            else:
                ranks = network(pictures).float()[:, None].expand_as(batch["ranks"])
            shares += pair_shares(ranks[..., 0], batch["ranks"][..., 0])
            distances.append((ranks - batch["ranks"]).abs().flatten(0, 1).cpu().numpy())
        found = {"pairwise": float(np.mean(shares)) if shares else float("nan")}
        if distances:
            inter, intra = np.nanmean(np.concatenate(distances), axis=0)
            found |= {"inter": float(inter), "intra": float(intra)}
        return found


def _ordered(found: torch.Tensor, truth: torch.Tensor, places: torch.Tensor, least: float) -> list[float]:
    ours, gap = (flat.gather(1, places[:, 0]) - flat.gather(1, places[:, 1]) for flat in (found, truth))
    return _shares(ours, gap, gap.isfinite() & (gap.abs() >= least))


def pair_shares(found: torch.Tensor, truth: torch.Tensor) -> list[float]:
    """Of each panel of (B, S) that has two different ranks, the share of such pairs in the right order."""
    gap = (truth[:, :, None] - truth[:, None, :]).flatten(1)
    return _shares((found[:, :, None] - found[:, None, :]).flatten(1), gap, gap > 0)


def _shares(ours: torch.Tensor, gap: torch.Tensor, counted: torch.Tensor) -> list[float]:
    right = torch.where(ours == 0, 0.5, (ours.sign() == gap.sign()).float())
    counts = counted.sum(1)
    shares = torch.where(counted, right, torch.zeros_like(right)).sum(1) / counts.clamp(min=1)
    return [float(share) for share, count in zip(shares, counts, strict=True) if count]
