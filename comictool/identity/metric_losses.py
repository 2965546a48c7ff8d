"""Losses and miners by name, by pytorch-metric-learning, told which pairs count."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_metric_learning import losses, miners
from torch import nn

from comictool.identity.reid_settings import LossOptions

Pairs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]  # anchors, positives, anchors, negatives


class MetricLoss(nn.Module):
    """The loss of unit vectors with names.

    Args:
        options: which.
        classes: identities, for arcface, whose centres are trained with the model.
        dimension: of the vectors.
    """

    def __init__(self, options: LossOptions, classes: int, dimension: int) -> None:
        super().__init__()
        self.kind = options.kind
        self.loss: Any = {
            "contrastive": lambda: losses.ContrastiveLoss(pos_margin=0, neg_margin=options.margin),
            "triplet": lambda: losses.TripletMarginLoss(margin=options.margin),
            "multi-similarity": lambda: losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
            "arcface": lambda: losses.ArcFaceLoss(classes, dimension),
            "supcon": lambda: losses.SupConLoss(temperature=options.temperature),
        }[options.kind]()
        distance = self.loss.distance
        self.miner: Any = {
            "all": lambda: None,
            "multi-similarity": lambda: miners.MultiSimilarityMiner(epsilon=options.epsilon, distance=distance),
            "semihard": lambda: miners.TripletMarginMiner(options.margin, "semihard", distance=distance),
            "hard": lambda: miners.TripletMarginMiner(options.margin, "hard", distance=distance),
        }[options.miner]()

    def forward(self, vectors: torch.Tensor, labels: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        """0-d; 0 when nothing can be compared.

        Args:
            vectors: (B, D) of length 1.
            labels: (B,) numbers of the identities.
            negative: (B, B) bool: who is known to be somebody else. Others of another name are nothing to each other.
        """
        value: torch.Tensor
        if self.kind == "arcface":
            value = self.loss(vectors, labels)
            return value
        indices = self._indices(vectors, labels, negative)
        if not len(indices[0]) or (not len(indices[-1]) and self.kind != "contrastive"):
            return vectors.sum() * 0.0
        value = self.loss(vectors, labels, indices)
        return value

    def _indices(self, vectors: torch.Tensor, labels: torch.Tensor, negative: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.miner is None:
            positive = (labels[:, None] == labels[None, :]).fill_diagonal_(False)
            return (*torch.where(positive), *torch.where(negative))
        found = self.miner(vectors, labels)
        if len(found) == 3:  # triplets, each judged by itself
            sound = negative[found[0], found[2]]
            return tuple(part[sound] for part in found)
        anchors, others = found[2:]
        sound = negative[anchors, others]
        return (*found[:2], anchors[sound], others[sound])
