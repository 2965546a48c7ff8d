"""The meaning of the panel around a character, added to its vector before the head: `x + W c`.

At inference the backbone stands alone. A context that student and teacher both see can leak which sample it is, and
the head may then match them without looking at the picture; dropout and the gate are there against that.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class ContextProjection(nn.Module):
    """`W c`, without bias, so that no context adds nothing.

    Args:
        context_width: numbers per context vector (768 for ASTERX).
        width: of the backbone's vectors, which the result is added to.
        normalise: bring each context vector to mean 0 and variance 1 first; one of zeros stays zero.
        gate: multiply by a trained number that starts at 0, so that training begins as plain DINO.
    """

    def __init__(self, context_width: int, width: int, *, normalise: bool = False, gate: bool = False) -> None:
        super().__init__()
        self.normalise = normalise
        self.projection = nn.Linear(context_width, width, bias=False)
        nn.init.trunc_normal_(self.projection.weight, std=0.02)
        self.gate = nn.Parameter(torch.zeros(1)) if gate else None

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        """(B, context_width) to (B, width)."""
        if self.normalise:
            context = functional.layer_norm(context, context.shape[1:])
        added: torch.Tensor = self.projection(context)
        return added if self.gate is None else self.gate * added


def drop_context(context: torch.Tensor, draws: torch.Tensor, probability: float) -> torch.Tensor:
    """Context dropout: whole vectors become zero, so that the sample is learned as plain DINO would.

    Args:
        context: (B, C).
        draws: (B,) numbers in 0..1 drawn for the samples; those below `probability` are dropped. Student and teacher
            that are given the same draws lose the same context.
        probability: 0..1.
    """
    if probability <= 0.0:
        return context
    return context * (draws >= probability).to(context.dtype).unsqueeze(1)


def per_crop(rows: torch.Tensor, crops: int) -> torch.Tensor:
    """One row per crop from one row per sample, crop by crop: (B, D) to (crops * B, D).

    Crops are stacked crop-major (first crop of all samples, second crop of all...), so row `c * B + b` is sample b's;
    `repeat_interleave` would give crop-major vectors the context of other samples.
    """
    return rows.repeat(crops, 1)
