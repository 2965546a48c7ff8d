"""Vision transformers in DINO's layout: its names of weights, its LayerNorm, its rule for other picture sizes.

Published DINO, ELRIC and most later checkpoints of this family load by name: `cls_token`, `pos_embed`,
`patch_embed.proj`, `blocks.N.{norm1, attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2}`, `norm`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from comictool.core.errors import InputError

HEAD_WIDTH = 64  # numbers per attention head in every published size
LAYER_NORM_EPSILON = 1e-6  # timm's and DINO's; torch's own default is 1e-5
INITIAL_STD = 0.02  # of all matrices, from a truncated normal distribution
NARROW = 192  # the narrowest published width; .02 in narrower layers leaves next to nothing of their input
# DINO adds this to the number of patches before it divides by the trained number, against rounding; since torch
# resamples by the quotient itself, it moves every position a little, and a faithful forward needs it.
RESAMPLE_OFFSET = 0.1


@dataclass(frozen=True)
class ViTShape:
    """The size of a transformer.

    Attributes:
        width: numbers per token, D.
        depth: blocks.
        heads: of attention; they divide the width.
        patch_size: pixels a side.
        image_size: pixels a side that the positions are for; pictures of other sizes get resampled positions.
        mlp_ratio: hidden width of a block's MLP over the width.
    """

    width: int = 384
    depth: int = 12
    heads: int = 6
    patch_size: int = 16
    image_size: int = 224
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.heads, self.patch_size, self.image_size) < 1 or self.mlp_ratio <= 0:
            raise ValueError(f"every size of a transformer is above 0: {self}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be shared by {self.heads} heads")
        if self.image_size % self.patch_size:
            raise ValueError(f"pictures of {self.image_size} pixels are not whole patches of {self.patch_size}")


SIZES = {  # width, depth, heads: Caron and others 2021, table 1, and Touvron and others 2021 for tiny
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
}


def vit_shape(
    size: str = "",
    *,
    width: int = 0,
    depth: int = 0,
    heads: int = 0,
    patch_size: int = 16,
    image_size: int = 224,
    mlp_ratio: float = 4.0,
) -> ViTShape:
    """A shape by name, by numbers, or by name with some numbers changed.

    Args:
        size: tiny, small or base; small when nothing is said.
        width, depth, heads: 0 takes those of `size`. With a width alone there is one head for each 64 numbers, as in
            every published size.
        patch_size, image_size, mlp_ratio: see `ViTShape`.

    Raises:
        ValueError: no such name, or numbers that do not fit each other.
    """
    if size not in ("", *SIZES):
        raise ValueError(f"size {size!r} is none of {', '.join(SIZES)}")
    named = SIZES[size or "small"]
    if width and not heads:
        if width % HEAD_WIDTH:
            raise ValueError(
                f"width {width} is no multiple of {HEAD_WIDTH}, so say how many heads share it: heads = ..."
            )
        heads = width // HEAD_WIDTH
    return ViTShape(width or named[0], depth or named[1], heads or named[2], patch_size, image_size, mlp_ratio)


def shape_of(tensors: Mapping[str, torch.Tensor], heads: int = 0) -> ViTShape:
    """The sizes of a transformer, read off its weights, whatever stands before their names.

    Args:
        heads: how many share the width, which is in no tensor; 0: one for each 64 numbers, as in every published size.

    Raises:
        InputError: this is no vision transformer in DINO's layout, or one without such a width.
    """
    above = next((name.removesuffix("cls_token") for name in tensors if name.endswith("cls_token")), "")
    try:
        width = tensors[f"{above}cls_token"].shape[-1]
        patch = tensors[f"{above}patch_embed.proj.weight"].shape[-1]
        side = round(max(0, tensors[f"{above}pos_embed"].shape[1] - 1) ** 0.5)
        hidden = next(t.shape[0] for name, t in tensors.items() if name.endswith("0.mlp.fc1.weight"))
    except (KeyError, IndexError, StopIteration) as error:
        raise InputError("these weights are no vision transformer in DINO's layout", cause=f"no {error}") from error
    found = (re.match(r"blocks\.(?:\d+\.)*(\d+)\.", name.removeprefix(above)) for name in tensors)
    # Counted, not the highest number plus one: a name costs nothing and would be built.
    depth = len({match[1] for match in found if match})
    if width % HEAD_WIDTH and not heads:
        raise InputError(f"how many heads share a width of {width} cannot be read off the weights", hint="--heads N")
    try:
        return ViTShape(width, depth, heads or width // HEAD_WIDTH, patch, side * patch, hidden / max(1, width))
    except ValueError as error:
        raise InputError("these weights are no vision transformer", cause=str(error)) from error


class PatchEmbedding(nn.Module):
    """Cuts pictures into square patches, each projected to a token: (N, 3, H, W) to (N, H/p * W/p, D)."""

    def __init__(self, shape: ViTShape) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, shape.width, kernel_size=shape.patch_size, stride=shape.patch_size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Tokens row by row; pixels beyond the last whole patch are left out."""
        tokens: torch.Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return tokens


class Attention(nn.Module):
    """Self-attention of all tokens with all tokens (Vaswani and others 2017), one matrix for q, k and v."""

    def __init__(self, shape: ViTShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.proj = nn.Linear(shape.width, shape.width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, D) to (N, T, D)."""
        number, length, width = tokens.shape
        parts = self.qkv(tokens).view(number, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        joined: torch.Tensor = self.proj(mixed.transpose(1, 2).reshape(number, length, width))
        return joined


class MLP(nn.Module):
    """Two layers with GELU between them, token by token."""

    def __init__(self, shape: ViTShape) -> None:
        super().__init__()
        hidden = round(shape.width * shape.mlp_ratio)
        self.fc1 = nn.Linear(shape.width, hidden)
        self.fc2 = nn.Linear(hidden, shape.width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, D) to (N, T, D)."""
        changed: torch.Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return changed


class Block(nn.Module):
    """Attention and MLP, each after its own norm and added to what came in; either may be skipped in training.

    Args:
        shape: of the transformer.
        drop_path: the probability with which a picture skips a branch in training (Huang and others 2016).
    """

    def __init__(self, shape: ViTShape, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(shape.width, eps=LAYER_NORM_EPSILON)
        self.attn = Attention(shape)
        self.norm2 = nn.LayerNorm(shape.width, eps=LAYER_NORM_EPSILON)
        self.mlp = MLP(shape)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, D) to (N, T, D)."""
        tokens = tokens + self._kept(self.attn(self.norm1(tokens)))
        return tokens + self._kept(self.mlp(self.norm2(tokens)))

    def _kept(self, branch: torch.Tensor) -> torch.Tensor:
        """The branch of the pictures that keep it, scaled so that its mean stays."""
        if not self.training or self.drop_path == 0.0:
            return branch
        keep = 1.0 - self.drop_path
        mask = torch.empty(branch.shape[0], 1, 1, dtype=branch.dtype, device=branch.device).bernoulli_(keep)
        return branch * (mask / keep)


class DinoViT(nn.Module):
    """The transformer of DINO (Caron and others, ICCV 2021): pictures of any size to the vector of their class token.

    Args:
        shape: sizes.
        drop_path: of the last block in training; it grows evenly from 0 at the first.
    """

    def __init__(self, shape: ViTShape, *, drop_path: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        side = shape.image_size // shape.patch_size
        self.patch_embed = PatchEmbedding(shape)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, side * side + 1, shape.width))
        rates = [drop_path * index / max(1, shape.depth - 1) for index in range(shape.depth)]
        self.blocks = nn.ModuleList(Block(shape, rate) for rate in rates)
        self.norm = nn.LayerNorm(shape.width, eps=LAYER_NORM_EPSILON)
        nn.init.trunc_normal_(self.pos_embed, std=INITIAL_STD)
        nn.init.trunc_normal_(self.cls_token, std=INITIAL_STD)
        self.apply(initialise_linear)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The vectors of pictures.

        Args:
            images: (N, 3, H, W), normalised; H and W at least one patch.

        Returns:
            (N, D), the class token after the last norm.
        """
        tokens = self.patch_embed(images)
        tokens = torch.cat([self.cls_token.to(tokens.dtype).expand(tokens.shape[0], -1, -1), tokens], dim=1)
        size = self.shape.patch_size
        tokens = tokens + self.positions(images.shape[2] // size, images.shape[3] // size).to(tokens.dtype)
        for block in self.blocks:
            tokens = block(tokens)
        vectors: torch.Tensor = self.norm(tokens[:, 0])  # the norm goes token by token, so the others need none
        return vectors

    def positions(self, rows: int, columns: int) -> torch.Tensor:
        """Position embeddings for a grid of patches, resampled by DINO's rule.

        Bicubic, not antialiased, each axis by the factor (patches + 0.1) / trained patches, the class token's left as
        it is. timm resamples to the size itself, antialiased: up to .05 away at 96 pixels.

        Returns:
            (1, 1 + rows * columns, D) float32 or wider.
        """
        trained = math.isqrt(self.pos_embed.shape[1] - 1)
        if rows == columns == trained:
            return self.pos_embed
        embedding = self.pos_embed if self.pos_embed.dtype == torch.float64 else self.pos_embed.float()
        grid = embedding[:, 1:].reshape(1, trained, trained, -1).permute(0, 3, 1, 2)
        factors = [(rows + RESAMPLE_OFFSET) / trained, (columns + RESAMPLE_OFFSET) / trained]
        grid = functional.interpolate(grid, scale_factor=factors, mode="bicubic")
        if grid.shape[2:] != (rows, columns):
            raise ValueError(f"positions for {rows}x{columns} patches came out as {list(grid.shape[2:])}")
        return torch.cat([embedding[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def initialise_linear(module: nn.Module) -> None:
    """Initial weights of linear layers: truncated normal of deviation .02, as DINO has them, biases 0.

    Layers with fewer inputs than any published one have 1 / sqrt(inputs), which keeps the size of what goes through.
    """
    if isinstance(module, nn.Linear):
        narrow = module.in_features < NARROW
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5 if narrow else INITIAL_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
