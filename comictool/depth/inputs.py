"""How a panel and its segments become what a network sees: the same in training and prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from comictool.depth.segments import Segment
from comictool.depth.settings import MULTIPLE

CELL = 8  # pixels of a cell of the masks' grid
FINER = 2  # masks are drawn so many times finer than that and averaged
LONGEST = 4  # sides: an aspect beyond 4 : 1 is squashed to it


def fitted_shape(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) near the aspect of a picture, whole multiples of 32, about `side` squared pixels."""
    aspect = min(LONGEST, max(1 / LONGEST, height / width))
    rows = max(1, round(side * math.sqrt(aspect) / MULTIPLE))
    columns = max(1, round(side / math.sqrt(aspect) / MULTIPLE))
    return rows * MULTIPLE, columns * MULTIPLE


def scaled(image: np.ndarray, shape: tuple[int, int]) -> torch.Tensor:
    """(H, W, 3) uint8 to (1, 3, height, width) uint8."""
    # torch shares memory with arrays, and warns about read-only ones, which pictures from Pillow are.
    pixels = image[..., :3] if image.flags.writeable else image[..., :3].copy()
    planes = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
    return functional.interpolate(planes, size=shape, mode="bicubic", antialias=True)


def as_input(pictures: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) uint8 to -1 .. 1, as EfficientNet-lite was trained."""
    return pictures.float() / 127.5 - 1


def segment_inputs(
    segments: Sequence[Segment], window: tuple[int, int, int, int], shape: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `SegmentNetwork` is told of segments of a panel.

    Args:
        segments: S of them.
        window: the panel on the page.
        shape: (height, width) that the panel is scaled to.

    Returns:
        (S, height / 8, width / 8) share of each cell that a segment covers, and (S, 4) its box in 0 .. 1.
    """
    rows, columns = shape[0] // CELL, shape[1] // CELL
    masks = np.zeros((len(segments), rows * FINER, columns * FINER), np.float32)
    for place, segment in enumerate(segments):
        masks[place] = segment.mask(window, (rows * FINER, columns * FINER))
    x0, y0, x1, y1 = window
    corner, size = np.array([x0, y0, x0, y0]), np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
    boxes = np.array([segment.box for segment in segments], np.float32).reshape(-1, 4)
    fractions = np.clip((boxes - corner) / size, 0, 1)
    outside = (fractions[:, 2] <= fractions[:, 0]) | (fractions[:, 3] <= fractions[:, 1])
    fractions[outside] = [0, 0, 1, 1]  # beside its panel: all that is known is the panel
    coarse = masks.reshape(-1, rows, FINER, columns, FINER).mean((2, 4))
    return torch.from_numpy(coarse), torch.from_numpy(fractions.astype(np.float32))
