"""DINO's projection head: an MLP to a narrow unit vector, compared with prototypes of unit length."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from comictool.plugins.dino_vit import initialise_linear


class Prototypes(nn.Module):
    """A linear layer without bias whose rows have a length of their own: `weight_g * weight_v / |weight_v|`.

    Weight normalisation (arXiv:1602.07868) under the names that torch's older one gave, so the layers of old
    checkpoints load as they are. With `free_lengths` off, all lengths stay 1 and are not trained.

    Args:
        width: of what comes in.
        count: of prototypes, K.
        free_lengths: train the lengths too (DINO's `--norm_last_layer false`).
    """

    def __init__(self, width: int, count: int, *, free_lengths: bool = False) -> None:
        super().__init__()
        self.weight_v = nn.Parameter(torch.empty(count, width))
        self.weight_g = nn.Parameter(torch.ones(count, 1), requires_grad=free_lengths)
        nn.init.trunc_normal_(self.weight_v, std=0.02)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(N, width) to (N, K)."""
        lengths = self.weight_v.norm(dim=1, keepdim=True)
        return functional.linear(vectors, self.weight_v * (self.weight_g / lengths))


class DinoHead(nn.Module):
    """`mlp` (three linear layers with GELU between), unit length, `last_layer`: DINO's `DINOHead`.

    Args:
        width: of the backbone's vectors.
        prototypes: K.
        hidden: width of the two hidden layers, 2048 as published.
        bottleneck: width of the unit vector, 256 as published.
        free_lengths: see `Prototypes`.
        batch_norm: before each GELU (DINO's `--use_bn_in_head true`).
    """

    def __init__(
        self,
        width: int,
        prototypes: int,
        *,
        hidden: int = 2048,
        bottleneck: int = 256,
        free_lengths: bool = False,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in (width, hidden):
            layers += [nn.Linear(size, hidden), *([nn.BatchNorm1d(hidden)] if batch_norm else []), nn.GELU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, bottleneck))
        self.mlp.apply(initialise_linear)
        self.last_layer = Prototypes(bottleneck, prototypes, free_lengths=free_lengths)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(N, width) to scores of prototypes (N, K)."""
        scores: torch.Tensor = self.last_layer(functional.normalize(self.mlp(vectors), dim=-1))
        return scores
