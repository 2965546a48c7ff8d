"""The network of BERT (Devlin and others, 2019) as sentence models use it: token states, their mean, length 1.

Names of weights are those of published files (`embeddings.word_embeddings.weight`, `encoder.layer.0...`), so that they
fit as they are; tested against the `transformers` library. Written out here since importing that takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

NORM_EPSILON = 1e-12


@dataclass(frozen=True)
class BertShape:
    """Sizes, all of which but `heads` can be read off the weights."""

    words: int
    positions: int
    types: int
    width: int
    layers: int
    heads: int
    hidden: int


class _Named(nn.Module):
    """A level in the names of the weights."""

    def __init__(self, /, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)

    if TYPE_CHECKING:  # torch says that it may be a tensor

        def __getattr__(self, name: str) -> Any: ...


class _Layer(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        width, self.heads = shape.width, shape.heads
        norm = {"LayerNorm": nn.LayerNorm(width, eps=NORM_EPSILON)}
        projections = {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        self.attention = _Named(self=_Named(**projections), output=_Named(dense=nn.Linear(width, width), **norm))
        self.intermediate = _Named(dense=nn.Linear(width, shape.hidden))
        norm = {"LayerNorm": nn.LayerNorm(width, eps=NORM_EPSILON)}
        self.output = _Named(dense=nn.Linear(shape.hidden, width), **norm)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        batch, length, width = states.shape
        own = self.attention.self
        query, key, value = (
            getattr(own, name)(states).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        joined = self.attention.output.dense(seen.transpose(1, 2).reshape(batch, length, width))
        states = self.attention.output.LayerNorm(states + joined)
        hidden = functional.gelu(self.intermediate.dense(states))
        return self.output.LayerNorm(states + self.output.dense(hidden))


class BertEncoder(nn.Module):
    """Token numbers to one vector a text."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        if shape.width % shape.heads:
            raise ValueError(f"{shape.heads} heads do not divide the width {shape.width}")
        self.embeddings = _Named(
            word_embeddings=nn.Embedding(shape.words, shape.width),
            position_embeddings=nn.Embedding(shape.positions, shape.width),
            token_type_embeddings=nn.Embedding(shape.types, shape.width),
            LayerNorm=nn.LayerNorm(shape.width, eps=NORM_EPSILON),
        )
        self.encoder = _Named(layer=nn.ModuleList(_Layer(shape) for _ in range(shape.layers)))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(N, L) int64 token numbers and (N, L) bool, which of them are real, to (N, D) float32 of length 1."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        parts = self.embeddings
        states = parts.word_embeddings(tokens) + parts.position_embeddings(places)[None]
        states = parts.LayerNorm(states + parts.token_type_embeddings(torch.zeros_like(tokens)))
        for layer in self.encoder.layer:
            states = layer(states, mask)
        real = mask[..., None].to(states.dtype)
        mean = (states * real).sum(dim=1) / real.sum(dim=1).clamp_min(1e-9)
        return functional.normalize(mean.float(), dim=1)
