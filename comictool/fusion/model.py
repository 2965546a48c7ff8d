"""The network: three projections, a gate, attention over the panels of a page, and the heads of the objectives.

As published (`published`), every modality votes, one that is absent too, and nothing is scaled. Otherwise vectors of a
modality are scaled to length 1, one that is absent is a learnt token for the gate and has no vote.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

MODALITIES = ("image", "text", "layout")
COMPOSITION = 7  # numbers of Closure Lite's layout
HIDDEN = 256
ORDER_CLASSES = 3


@dataclass(frozen=True)
class FusionShape:
    """Sizes of a network: of the columns that it reads, of its vectors, and which objective it has heads for."""

    image: int
    text: int
    layout: int
    width: int = 384
    heads: int = 4
    temperature: float = 0.1
    dropout: float = 0.0
    objective: str = "base"

    @property
    def published(self) -> bool:
        """Whether it is the published network."""
        return self.objective in ("base", "denoise", "context", "context-denoise")


class PageAttention(nn.Module):
    """(B, N, W) panels to (B, W) pages: heads score each panel, their weighted means are averaged."""

    def __init__(self, width: int, heads: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.heads = nn.ModuleList(nn.Linear(width, width // heads) for _ in range(heads))
        self.scorers = nn.ModuleList(nn.Linear(width // heads, 1) for _ in range(heads))
        self.out = nn.Linear(width, width)

    def forward(self, panels: Tensor, real: Tensor) -> Tensor:
        """A page without a panel has the attention of nothing, and is the bias of the last layer."""
        found = []
        for head, scorer in zip(self.heads, self.scorers, strict=True):
            scores = scorer(head(panels))[..., 0] / self.temperature
            weights = functional.softmax(scores.masked_fill(~real, torch.finfo(scores.dtype).min), dim=-1) * real
            found.append((weights[..., None] * panels).sum(dim=1))
        mean: Tensor = self.out(torch.stack(found).mean(dim=0))
        return mean


class Projection(nn.Module):
    """Vectors of a column, less their mean and scaled, into the fused space: a linear way beside one with a bend."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(()))
        self.straight = nn.Linear(features, width)
        self.bent = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(features, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """(..., D) to (..., W) of length 1."""
        centred = (vectors - self.mean) * self.scale
        return functional.normalize(self.straight(centred) + self.bent(centred), dim=-1)


class FusionModel(nn.Module):
    """The network; inputs are dictionaries by modality, presence is (..., 3) bool in the order of `MODALITIES`."""

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.shape = shape
        width, objective = shape.width, shape.objective
        if shape.published:
            self.image: nn.Module = nn.Linear(shape.image, width)
            self.text: nn.Module = nn.Linear(shape.text, width)
            self.layout: nn.Module = nn.Sequential(nn.Linear(COMPOSITION, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width))
        else:
            self.image = Projection(shape.image, width, shape.dropout)
            self.text = Projection(shape.text, width, shape.dropout)
            self.layout = Projection(shape.layout, width, shape.dropout)
            self.tokens = nn.Parameter(torch.randn(len(MODALITIES), width) * width**-0.5)
        self.gate = nn.Linear(len(MODALITIES) * width, len(MODALITIES))
        self.page = PageAttention(width, shape.heads, shape.temperature)
        if shape.published:
            self.next_panel = nn.Bilinear(width, width, 1)
            self.page_order = nn.Sequential(nn.Linear(3 * width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, ORDER_CLASSES))
        if objective in ("denoise", "context-denoise"):
            self.denoise = _two_layers(width, 2 * width, width)
        if objective in ("context", "context-denoise"):
            self.context = _two_layers(width + COMPOSITION, 2 * width, width)
        if objective in ("masked", "all"):
            self.found = nn.ModuleDict({name: nn.Linear(width, width) for name in MODALITIES})
            for layer in self.found.values():
                assert isinstance(layer, nn.Linear)
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
        if objective in ("neighbour", "all"):
            self.around = _two_layers(2 * width, 2 * width, width)

    def parts(self, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
        """(..., 3, W): each modality in the fused space; a token where it is absent."""
        found = torch.stack([getattr(self, name)(inputs[name]) for name in MODALITIES], dim=-2)
        if self.shape.published:
            return found
        return torch.where(present[..., None], found, functional.normalize(self.tokens, dim=-1))

    def fused(self, parts: Tensor, present: Tensor) -> Tensor:
        """(..., W): the modalities by their gate; of length 1 unless published."""
        logits = self.gate(parts.flatten(-2))
        if self.shape.published:
            return (functional.softmax(logits, dim=-1)[..., None] * parts).sum(dim=-2)
        counted = present | ~present.any(dim=-1, keepdim=True)  # padding has a vector too, which nobody looks at
        weights = functional.softmax(logits.masked_fill(~counted, torch.finfo(logits.dtype).min), dim=-1)
        return functional.normalize((weights[..., None] * parts).sum(dim=-2), dim=-1)

    def forward(self, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
        """(..., D) of each modality to (..., W)."""
        return self.fused(self.parts(inputs, present), present)


def _two_layers(inside: int, hidden: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inside, hidden), nn.GELU(), nn.Linear(hidden, outside))
