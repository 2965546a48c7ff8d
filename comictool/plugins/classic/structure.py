"""How the picture is built: light and dark masses, contrast, how wide it is for its height."""

from __future__ import annotations

import math

import numpy as np

from comictool.plugins.classic.canvas import Canvas
from comictool.plugins.classic.pooling import centred_unit, cosines, pool, signed_root, unit

MASSES = 8  # DCT frequencies along each axis
CELLS = 4
ASPECTS = 7  # soft steps of aspect ratio, from 1:4 to 4:1


def masses(canvas: Canvas) -> np.ndarray:
    """Low DCT frequencies of lightness without the mean: `(MASSES * MASSES - 1,)`, unit length."""
    basis = cosines(MASSES)
    return unit(signed_root(basis @ canvas.lightness @ basis.T).ravel()[1:], least=1e-3)


def light_cells(canvas: Canvas) -> np.ndarray:
    """Mean lightness and its spread in each cell, each against the whole: `(2 * CELLS ** 2,)`, unit length."""
    mean = pool(canvas.lightness, CELLS)
    spread = np.sqrt(np.maximum(pool(canvas.lightness**2, CELLS) - mean**2, 0))
    return unit(np.concatenate([mean - mean.mean(), spread - spread.mean()]), least=1e-2)


def aspect(canvas: Canvas) -> np.ndarray:
    """Width over height as votes for the two nearest of `ASPECTS` logarithmic steps: `(ASPECTS,)`, unit length."""
    place = (math.log2(min(max(canvas.aspect, 0.25), 4.0)) / 4 + 0.5) * (ASPECTS - 1)
    return centred_unit(np.clip(1 - np.abs(np.arange(ASPECTS) - place), 0, None))
