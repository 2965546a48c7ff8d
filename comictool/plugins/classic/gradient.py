"""Which way the lines run, cell by cell (after Dalal and Triggs, CVPR 2005), and what they meet in."""

from __future__ import annotations

import numpy as np

from comictool.plugins.classic.canvas import Canvas
from comictool.plugins.classic.pooling import centred_unit, pool

ORIENTATIONS = 8  # over half a turn: a line has no direction
CELLS = 6
FAINT = 0.02  # mean root gradient (lightness 0..1 per pixel) below which a cell counts as empty
STEP = 0.05  # lightness 0..1 that two opposite neighbours must differ by to count as an edge and not as grain


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


def oriented_cells(canvas: Canvas) -> np.ndarray:
    """Orientation histogram of each cell: `(ORIENTATIONS * CELLS ** 2,)`, mean 0, unit length.

    Half of each cell's own strength is divided out, so faint cells still speak. Without the centring any two
    pictures would agree at .95 and more, all histograms being positive.
    """
    votes = pool(orientation_planes(canvas.lightness), CELLS)
    strength = np.sqrt((votes * votes).sum(axis=0, keepdims=True))
    return centred_unit(np.sqrt(votes / (strength + FAINT)) * np.sqrt(strength))


def line_texture(canvas: Canvas) -> np.ndarray:
    """How often each pattern of edges around a pixel occurs: `(81,)`, mean 0, unit length.

    Centre-symmetric local patterns (Heikkila and others, 2009) with three answers per pair of opposite
    neighbours: lighter, darker, or equal within `STEP`. Tells hatching, screentone, wash and flat colour apart.
    """
    light = canvas.lightness
    rows, columns = light.shape
    pattern = np.zeros((rows - 2, columns - 2), np.int64)
    for down, right in ((1, 1), (1, 0), (1, -1), (0, -1)):
        change = (
            light[1 - down : rows - 1 - down, 1 - right : columns - 1 - right]
            - light[1 + down : rows - 1 + down, 1 + right : columns - 1 + right]
        )
        pattern = pattern * 3 + (change > STEP) + 2 * (change < -STEP)
    return centred_unit(np.sqrt(np.bincount(pattern.ravel(), minlength=81) / pattern.size))
