"""The published encoder of panel sequences, and its two heads.

Names of parameters are those of the published checkpoints: `model.linear_in.weight`, `model.mas_token`,
`model.encoder.layers.0.…`, `model_head_cls.weight`, `model_head_tok.weight`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from comictool.asterx.windows import MAX_TOKENS, WindowShape
from comictool.core.errors import UsageError

TOKEN_SCALE = 0.01  # learned tokens begin uniform in 0 .. this
POSITION_BASE = 10_000.0
MOST_LAYERS, MOST_WIDE = 256, 65_536  # far beyond use; a damaged file is not to fill the memory


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of the encoder; the defaults are the published ones.

    Attributes:
        features: D, numbers in a panel's vector.
        width: W, of the tokens.
        feedforward: of the hidden layer in each block.

    Raises:
        UsageError: a size below 1 or beyond use, heads that do not divide the width, or dropout outside 0 .. 1.
    """

    features: int = 384
    width: int = 768
    layers: int = 8
    heads: int = 8
    feedforward: int = 2048
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("features", "width", "layers", "heads", "feedforward"):
            most = MOST_LAYERS if name == "layers" else MOST_WIDE
            if not 1 <= getattr(self, name) <= most:
                raise UsageError(f"{name} is {getattr(self, name)}: 1 to {most}")
        if self.width % self.heads or self.width % 2:
            raise UsageError(
                f"a width of {self.width} with {self.heads} heads",
                cause="the heads share the width evenly, and positions need an even one",
            )
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout {self.dropout} is outside 0 .. 1")


class Positions(nn.Module):
    """Fixed sinusoidal positions, added to the tokens (Vaswani and others 2017, section 3.5)."""

    pe: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        angle = torch.arange(MAX_TOKENS)[:, None] * torch.exp(
            torch.arange(0, width, 2) * (-math.log(POSITION_BASE) / width)
        )
        self.register_buffer("pe", torch.stack((angle.sin(), angle.cos()), dim=-1).reshape(1, MAX_TOKENS, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """`tokens` (B, T, W) with the positions 0 .. T - 1 added."""
        return tokens + self.pe[:, : tokens.shape[1]]


class SequenceEncoder(nn.Module):
    """`[CLS] first window [SEP] second window` through a post-norm transformer."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.linear_in = nn.Linear(shape.features, shape.width)
        self.mas_token = nn.Parameter(torch.rand(1, 1, shape.width) * TOKEN_SCALE)
        self.cls_token = nn.Parameter(torch.rand(1, 1, shape.width) * TOKEN_SCALE)
        self.sep_token = nn.Parameter(torch.rand(1, 1, shape.width) * TOKEN_SCALE)
        self.positional_encoding = Positions(shape.width)
        layer = nn.TransformerEncoderLayer(
            shape.width, shape.heads, shape.feedforward, shape.dropout, activation="relu", batch_first=True
        )
        # Nested tensors would leave padding out of the result, whose places are counted on.
        self.encoder = nn.TransformerEncoder(layer, shape.layers, enable_nested_tensor=False)

    def forward(
        self,
        first: Tensor,
        first_real: Tensor,
        first_hidden: Tensor,
        second: Tensor | None = None,
        second_real: Tensor | None = None,
        second_hidden: Tensor | None = None,
    ) -> Tensor:
        """Tokens after the last layer.

        Padding, and `[SEP]` where a row has no second window, take no part in attention: a row without second window
        gives the same tokens as the one-window layout.

        Args:
            first, second: (B, L, D) vectors; what stands at padding does not matter.
            first_real, second_real: (B, L) bool, False at padding.
            first_hidden, second_hidden: (B, L) bool, panels that are replaced by `[MASK]`.

        Returns:
            (B, 1 + L, W), or (B, 2 + 2 L, W) with second windows.
        """
        count = len(first)
        yes = torch.ones(count, 1, dtype=torch.bool, device=first.device)
        parts, real = [self.cls_token.expand(count, 1, -1), self._project(first, first_hidden)], [yes, first_real]
        if second is not None:
            assert second_real is not None
            assert second_hidden is not None
            parts += [self.sep_token.expand(count, 1, -1), self._project(second, second_hidden)]
            real += [second_real.any(dim=1, keepdim=True), second_real]
        # Under autocast the projection is narrower than the learned tokens.
        tokens = self.positional_encoding(torch.cat([part.to(parts[0].dtype) for part in parts], dim=1))
        encoded: Tensor = self.encoder(tokens, src_key_padding_mask=~torch.cat(real, dim=1))
        return encoded

    def _project(self, window: Tensor, hidden: Tensor) -> Tensor:
        tokens = self.linear_in(window)
        return torch.where(hidden[..., None], self.mas_token.to(tokens.dtype), tokens)


@dataclass
class SequenceOutput:
    """What the model says of B windows.

    Attributes:
        tokens: (B, T, W).
        sequence: (B, W), the `[CLS]` token.
        centre: (B, W), the token of the first window's centre.
        order: (B,) logits: above 0, the second window comes after the first.
        prediction: (B, D), the vector expected at the centre, in the space of standardised features.
    """

    tokens: Tensor
    sequence: Tensor
    centre: Tensor
    order: Tensor
    prediction: Tensor


class SequenceModel(nn.Module):
    """Encoder and heads, with the windows it is made for and the scale of its features.

    Panel vectors enter as `standardise` gives them: less their mean, times one number. One number for all dimensions
    keeps who is nearest to whom; mean 0 and scale 1, as in published weights, leave vectors as they are.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, shape: EncoderShape, window: WindowShape, *, hide_second: bool = True) -> None:
        super().__init__()
        self.shape, self.window, self.hide_second = shape, window, hide_second
        self.model = SequenceEncoder(shape)
        self.model_head_cls = nn.Linear(shape.width, 1)
        self.model_head_tok = nn.Linear(shape.width, shape.features)
        self.register_buffer("feature_mean", torch.zeros(shape.features))
        self.register_buffer("feature_scale", torch.ones(()))

    def standardise(self, features: Tensor) -> Tensor:
        """Vectors (..., D) as the encoder takes them."""
        return (features.to(self.feature_mean.dtype) - self.feature_mean) * self.feature_scale

    def forward(
        self,
        first: Tensor,
        first_real: Tensor,
        hide: Tensor,
        second: Tensor | None = None,
        second_real: Tensor | None = None,
    ) -> SequenceOutput:
        """Encode windows of standardised vectors.

        Args:
            first, second: (B, L, D); L is the window's length.
            first_real, second_real: (B, L) bool, False at padding.
            hide: (B,) bool, whether the centre is hidden (in the second window too, with `hide_second`).
        """
        hidden = torch.zeros_like(first_real)
        hidden[:, self.window.before] = hide
        tokens = self.model(first, first_real, hidden, second, second_real, hidden & self.hide_second)
        sequence, centre = tokens[:, 0], tokens[:, 1 + self.window.before]
        return SequenceOutput(
            tokens, sequence, centre, self.model_head_cls(sequence)[:, 0], self.model_head_tok(centre)
        )
