"""How the picture is built: light and dark masses, where lines are dense, how wide it is for its height."""

from __future__ import annotations

import math

import numpy as np

from comictool.plugins.classic.canvas import Canvas
from comictool.plugins.classic.pooling import cosines, pool, signed_root, unit

MASSES = 8  # DCT frequencies along each axis
DENSITY_CELLS = 4
ASPECTS = 7  # soft steps of aspect ratio, from 1:4 to 4:1


def masses(canvas: Canvas) -> np.ndarray:
    """Low DCT frequencies of lightness without the mean: `(MASSES * MASSES - 1,)`, unit length."""
    basis = cosines(MASSES)
    return unit(signed_root(basis @ canvas.lightness @ basis.T).ravel()[1:], least=1e-3)


def line_density(canvas: Canvas) -> np.ndarray:
    """How busy each cell is, against the mean of the picture: `(DENSITY_CELLS ** 2,)`, unit length."""
    light = canvas.lightness
    change = np.zeros_like(light)
    change[:, 1:] += np.abs(np.diff(light, axis=1))
    change[1:, :] += np.abs(np.diff(light, axis=0))
    density = np.sqrt(pool(change, DENSITY_CELLS))
    return unit(density - density.mean(), least=1e-2)


def aspect(canvas: Canvas) -> np.ndarray:
    """Width over height as votes for the two nearest of `ASPECTS` logarithmic steps: `(ASPECTS,)`, unit length."""
    place = (math.log2(min(max(canvas.aspect, 0.25), 4.0)) / 4 + 0.5) * (ASPECTS - 1)
    return unit(np.clip(1 - np.abs(np.arange(ASPECTS) - place), 0, None))
