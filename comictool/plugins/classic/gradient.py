"""Which way the lines run, cell by cell, at two scales (after Dalal and Triggs, CVPR 2005)."""

from __future__ import annotations

import numpy as np

from comictool.plugins.classic.canvas import Canvas
from comictool.plugins.classic.pooling import pool, unit

ORIENTATIONS = 8  # over half a turn: a line has no direction
FINE_CELLS, COARSE_CELLS = 6, 4
LEAST = 0.02  # mean gradient (lightness 0..1 per pixel) below which a cell counts as empty
CLIP = (
    0.3  # largest share one orientation of one cell may have of its cell, so that a frame line does not drown the rest
)


def orientation_planes(lightness: np.ndarray) -> np.ndarray:
    """Gradient strength split softly over orientations: `(ORIENTATIONS, side, side)` float32.

    Strength is square-rooted: a frame line then weighs three times a brush stroke and not ten times.
    """
    padded = np.pad(lightness, 1, mode="edge")
    across = padded[1:-1, 2:] - padded[1:-1, :-2]
    down = padded[2:, 1:-1] - padded[:-2, 1:-1]
    strength = np.sqrt(np.hypot(across, down) / 2)
    place = np.arctan2(down, across) * (ORIENTATIONS / np.pi) % ORIENTATIONS
    distance = np.abs(place[None] - np.arange(ORIENTATIONS, dtype=np.float32)[:, None, None])
    return np.clip(1 - np.minimum(distance, ORIENTATIONS - distance), 0, None) * strength


def oriented_cells(lightness: np.ndarray, cells: int) -> np.ndarray:
    """Orientation histogram of each cell, of unit length as a whole: `(ORIENTATIONS * cells ** 2,)`."""
    votes = pool(orientation_planes(lightness), cells)
    energy = np.sqrt((votes * votes).sum(axis=0, keepdims=True))
    return unit(np.sqrt(votes / (energy + LEAST)) * np.sqrt(energy))


def fine_gradient(canvas: Canvas) -> np.ndarray:
    """Lines at the full size of the canvas: `(ORIENTATIONS * FINE_CELLS ** 2,)`, unit length."""
    return oriented_cells(canvas.lightness, FINE_CELLS)


def coarse_gradient(canvas: Canvas) -> np.ndarray:
    """Masses at a third of the size: `(ORIENTATIONS * COARSE_CELLS ** 2,)`, unit length."""
    side = canvas.lightness.shape[0] // 3
    third = canvas.lightness[: side * 3, : side * 3].reshape(side, 3, side, 3).mean(axis=(1, 3))
    return oriented_cells(third, COARSE_CELLS)
