"""Depth Anything V2 (arXiv:2406.09414): DINOv2's vision transformer under DPT's head (arXiv:2103.13413).

Names and shapes of all weights are those of the published checkpoints: `pretrained.*` as DINOv2 has them,
`depth_head.*` as https://github.com/DepthAnything/Depth-Anything-V2 does. `refinenet4.resConfUnit1` has weights that
are never used; it is there so that nothing of a checkpoint is left over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from comictool.core.device import import_timm

PATCH = 14
OFFSET = 0.1  # DINOv2 enlarges the table of positions to this much more than whole patches, against rounding


@dataclass(frozen=True)
class AnythingShape:
    """Sizes of a network.

    Attributes:
        width, depth, heads: of the transformer.
        grid: side of the table of positions, in patches.
        taps: blocks, counted from 0, whose answers the head reads.
        decoder: channels of the head.
        projections: channels of the four taps.
        hidden: of the transformer's layers between, as a multiple of the width.
    """

    width: int = 384
    depth: int = 12
    heads: int = 6
    grid: int = 37
    taps: tuple[int, ...] = (2, 5, 8, 11)
    decoder: int = 64
    projections: tuple[int, ...] = (48, 96, 192, 384)
    hidden: float = 4.0


SIZES = {
    "small": AnythingShape(),
    "base": AnythingShape(768, 12, 12, decoder=128, projections=(96, 192, 384, 768)),
    "large": AnythingShape(1024, 24, 16, taps=(4, 11, 17, 23), decoder=256, projections=(256, 512, 1024, 1024)),
}


class Dinov2(nn.Module):
    """The transformer, with layers of timm's, whose names within a block are DINOv2's."""

    def __init__(self, shape: AnythingShape) -> None:
        super().__init__()
        import_timm()
        from timm.models.vision_transformer import Block

        normed: Any = partial(nn.LayerNorm, eps=1e-6)  # timm's hints ask for a class
        self.shape = shape
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + shape.grid**2, shape.width))
        self.mask_token = nn.Parameter(torch.zeros(1, shape.width))  # of its training alone
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, shape.width, PATCH, PATCH)})
        self.blocks = nn.ModuleList(
            Block(shape.width, shape.heads, mlp_ratio=shape.hidden, qkv_bias=True, init_values=1.0, norm_layer=normed)
            for _ in range(shape.depth)
        )
        self.norm = nn.LayerNorm(shape.width, eps=1e-6)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(N, 3, 14 h, 14 w) to the taps as maps (N, width, h, w), each through the last norm."""
        patches = self.patch_embed["proj"](pictures)
        rows, columns = patches.shape[2:]
        first, places = self._positions(rows, columns)
        tokens = patches.flatten(2).transpose(1, 2) + places
        tokens = torch.cat([(self.cls_token + first).expand(len(tokens), -1, -1), tokens], dim=1)
        found = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens)
            if number in self.shape.taps:
                maps = self.norm(tokens)[:, 1:].transpose(1, 2)
                found.append(maps.unflatten(2, (rows, columns)))
        return found

    def _positions(self, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions of the class token (1, 1, W) and of the patches (1, rows * columns, W)."""
        grid = self.shape.grid
        first, table = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        if (rows, columns) == (grid, grid):
            return first, table
        square = table.transpose(1, 2).unflatten(2, (grid, grid))
        # The scale, not the size, is what is handed over: with the offset it decides where samples are taken.
        scale = ((rows + OFFSET) / grid, (columns + OFFSET) / grid)
        resampled = functional.interpolate(square.float(), scale_factor=scale, mode="bicubic", antialias=False)
        return first, resampled.flatten(2).transpose(1, 2).to(table.dtype)


class Unit(nn.Module):
    """Two convolutions, each after a ReLU, added to what goes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to the same shape."""
        added: torch.Tensor = self.conv2(functional.relu(self.conv1(functional.relu(maps))))
        return maps + added


class Fusion(nn.Module):
    """A coarser map and the tap at its size, brought to the size of the next."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(width, width, 1)
        self.resConfUnit1 = Unit(width)
        self.resConfUnit2 = Unit(width)

    def forward(self, maps: torch.Tensor, tap: torch.Tensor | None, size: Sequence[int]) -> torch.Tensor:
        """(N, C, h, w) and, but for the coarsest, the tap of the same shape, to (N, C, *size)."""
        if tap is not None:
            maps = maps + self.resConfUnit1(tap)
        maps = functional.interpolate(self.resConfUnit2(maps), size=tuple(size), mode="bilinear", align_corners=True)
        found: torch.Tensor = self.out_conv(maps)
        return found


class Head(nn.Module):
    """DPT's head."""

    def __init__(self, shape: AnythingShape) -> None:
        super().__init__()
        width, sizes = shape.decoder, shape.projections
        self.projects = nn.ModuleList(nn.Conv2d(shape.width, size, 1) for size in sizes)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(sizes[0], sizes[0], 4, 4),
                nn.ConvTranspose2d(sizes[1], sizes[1], 2, 2),
                nn.Identity(),
                nn.Conv2d(sizes[3], sizes[3], 3, 2, 1),
            ]
        )
        scratch: dict[str, nn.Module] = {
            f"layer{n}_rn": nn.Conv2d(size, width, 3, padding=1, bias=False) for n, size in enumerate(sizes, start=1)
        }
        scratch |= {f"refinenet{n}": Fusion(width) for n in (1, 2, 3, 4)}
        scratch["output_conv1"] = nn.Conv2d(width, width // 2, 3, padding=1)
        scratch["output_conv2"] = nn.Sequential(
            nn.Conv2d(width // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1), nn.ReLU()
        )
        self.scratch = nn.ModuleDict(scratch)

    def forward(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Four maps (N, width, h, w) to disparity (N, 14 h, 14 w) of 0 or more."""
        rows, columns = taps[0].shape[2:]
        parts = self.scratch
        sized = [
            parts[f"layer{n}_rn"](resize(project(tap)))
            for n, (tap, project, resize) in enumerate(
                zip(taps, self.projects, self.resize_layers, strict=True), start=1
            )
        ]
        found = parts["refinenet4"](sized[3], None, sized[2].shape[2:])
        found = parts["refinenet3"](found, sized[2], sized[1].shape[2:])
        found = parts["refinenet2"](found, sized[1], sized[0].shape[2:])
        found = parts["refinenet1"](found, sized[0], [2 * side for side in found.shape[2:]])
        found = parts["output_conv1"](found)
        size = (PATCH * rows, PATCH * columns)
        found = functional.interpolate(found, size=size, mode="bilinear", align_corners=True)
        disparity: torch.Tensor = parts["output_conv2"](found)[:, 0]
        return disparity


class DepthAnything(nn.Module):
    """See the module. Larger is nearer: the loader turns that."""

    left_out: tuple[str, ...] = ()

    def __init__(self, shape: AnythingShape) -> None:
        super().__init__()
        if len(shape.taps) != 4 or len(shape.projections) != 4 or max(shape.taps) >= shape.depth:
            raise ValueError("there are four taps, within the depth, and a projection for each")
        self.pretrained = Dinov2(shape)
        self.depth_head = Head(shape)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, 14 h, 14 w), normalised as ImageNet, to disparity (N, 14 h, 14 w)."""
        found: torch.Tensor = self.depth_head(self.pretrained(pictures))
        return found


def shape_of(tensors: dict[str, Any]) -> AnythingShape:
    """The sizes that the names and shapes of a checkpoint say.

    Raises:
        ValueError: it is no checkpoint of this kind, or of a size whose taps nobody knows.
    """
    try:
        positions = tensors["pretrained.pos_embed"].shape
        width = int(positions[2])
        depth = sum(name.startswith("pretrained.blocks.") and name.endswith(".norm1.weight") for name in tensors)
        hidden = tensors["pretrained.blocks.0.mlp.fc1.weight"].shape[0] / width
        projections = tuple(int(tensors[f"depth_head.projects.{n}.weight"].shape[0]) for n in range(4))
        decoder = int(tensors["depth_head.scratch.layer1_rn.weight"].shape[0])
    except (KeyError, IndexError) as error:
        raise ValueError(f"it has no {error.args[0]}, as Depth Anything V2 does") from error
    known = next((shape for shape in SIZES.values() if (shape.width, shape.depth) == (width, depth)), None)
    # Of a size that was not published: heads of 64 numbers, and taps at the ends of four equal parts.
    heads = known.heads if known else max(1, width // 64)
    taps = known.taps if known else tuple(depth * part // 4 - 1 for part in (1, 2, 3, 4))
    grid = round(float(positions[1] - 1) ** 0.5)
    return AnythingShape(width, depth, heads, grid, taps, decoder, projections, hidden)
