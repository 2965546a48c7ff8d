"""Which colours there are, and where: a soft Lab histogram and the colour layout."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from comictool.plugins.classic.canvas import SIDE, Canvas
from comictool.plugins.classic.pooling import cosines, unit

LIGHT_BINS, CHROMA_BINS = 3, 8  # 3 x 8 x 8 = 192 bins
CHROMA_REACH = 60.0  # Lab units of a and b that the histogram spans to each side; print and paint rarely pass it
GREY = 10.0  # Lab chroma at which a pixel counts half: grey, ink and paper say nothing here, line and mass measure them
MIDDLE = (
    0.25  # spread, in sides, of the bell that weights the middle of the picture: the subject, not frame and balloon
)
LEAST_COLOURED = 0.1  # root of the coloured share below which a picture counts as grey
LAYOUT = 5  # frequencies of the colour layout along each axis
LEAST_LAYOUT = 5.0  # Lab units: a fainter layout is noise and stays small


def colour_histogram(canvas: Canvas) -> np.ndarray:
    """Histogram over (L, a, b) with linear votes, square-rooted (Hellinger): `(192,)`, length 1 or less.

    Coloured pixels count, and those in the middle count more. A greyscale picture gives nearly zero, so that a
    grey scan of a coloured page is compared by its lines and masses and not taken for another grey page.
    """
    chroma_squared = canvas.green_red**2 + canvas.blue_yellow**2
    weight = (middle_weight() * chroma_squared / (chroma_squared + GREY**2)).ravel()
    scale = (CHROMA_BINS - 1) / 2
    light = canvas.lightness.ravel() * (LIGHT_BINS - 1)
    green_red = (np.clip(canvas.green_red.ravel() / CHROMA_REACH, -1, 1) + 1) * scale
    blue_yellow = (np.clip(canvas.blue_yellow.ravel() / CHROMA_REACH, -1, 1) + 1) * scale
    total = np.zeros(LIGHT_BINS * CHROMA_BINS * CHROMA_BINS)
    for light_bin, light_share in _votes(light, LIGHT_BINS):
        for red_bin, red_share in _votes(green_red, CHROMA_BINS):
            row = (light_bin * CHROMA_BINS + red_bin) * CHROMA_BINS
            share = weight * light_share * red_share
            for yellow_bin, yellow_share in _votes(blue_yellow, CHROMA_BINS):
                total += np.bincount(row + yellow_bin, share * yellow_share, minlength=total.size)
    return unit(np.sqrt(total), least=LEAST_COLOURED)


def colour_layout(canvas: Canvas) -> np.ndarray:
    """Low DCT frequencies of a and b (as in the MPEG-7 colour layout): `(2 * LAYOUT * LAYOUT,)`, length 1 or less."""
    basis = cosines(LAYOUT)
    planes = np.stack([canvas.green_red, canvas.blue_yellow])
    return unit(basis @ planes @ basis.T, least=LEAST_LAYOUT * SIDE)


@lru_cache(maxsize=1)
def middle_weight() -> np.ndarray:
    """A bell over the canvas that sums to 1: `(SIDE, SIDE)` float32."""
    place = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    bell = np.exp(-(place**2) / (2 * MIDDLE**2))
    weights = np.outer(bell, bell)
    return (weights / weights.sum()).astype(np.float32)


def _votes(place: np.ndarray, bins: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The two bins next to each `place` (0..bins - 1) with the share of the vote that each gets."""
    lower = np.minimum(place.astype(np.int64), bins - 2)
    rest = place - lower
    yield lower, 1 - rest
    yield lower + 1, rest
