"""Student and teacher: a backbone, the context, a head; and the crops' way through them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from comictool.elric.context import ContextProjection, per_crop
from comictool.plugins.dino_vit import DinoViT
from comictool.selfsup.crops import crop_major
from comictool.selfsup.head import DinoHead


class ElricNetwork(nn.Module):
    """One of the two networks; `backbone` and `head` bear the names of DINO's checkpoints.

    Args:
        backbone: pictures to vectors (N, D).
        head: vectors to scores of prototypes (N, K).
        context: vectors of panels to what is added (B, D); None for plain DINO.
    """

    def __init__(self, backbone: DinoViT, head: DinoHead, context: ContextProjection | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.context = context

    def forward(self, crops: Sequence[torch.Tensor], context: torch.Tensor | None = None) -> torch.Tensor:
        """Scores of all crops.

        Args:
            crops: groups of equal size, each (B, crops of this size, 3, H, W).
            context: (B, C), one row a sample, however many crops it has.

        Returns:
            (S * B, K), crop-major: row `s * B + b` is crop s of sample b, in the order of the groups.
        """
        return self.scores(self.vectors(crops), context, sum(group.shape[1] for group in crops))

    def vectors(self, crops: Sequence[torch.Tensor]) -> torch.Tensor:
        """The backbone's vectors of all crops, (S * B, D), crop-major."""
        return torch.cat([self.backbone(crop_major(group)) for group in crops])

    def scores(self, vectors: torch.Tensor, context: torch.Tensor | None, crops: int) -> torch.Tensor:
        """Add the context to `crops` vectors of each sample, and score the prototypes."""
        if self.context is not None:
            if context is None:
                raise ValueError("this network was made with a context and is given none")
            vectors = vectors + per_crop(self.context(context), crops)
        scores: torch.Tensor = self.head(vectors)
        return scores
