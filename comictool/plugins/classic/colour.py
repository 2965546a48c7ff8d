"""Where which colours are: a soft Lab histogram, cell histograms of hue, and the colour layout."""

from __future__ import annotations

import numpy as np

from comictool.plugins.classic.canvas import Canvas
from comictool.plugins.classic.pooling import cosines, pool, signed_root, unit

LIGHT_BINS, CHROMA_BINS = 4, 6  # of the histogram over the whole picture: 4 x 6 x 6 = 144
CHROMA_REACH = 60.0  # Lab units of a and b that the histogram spans to each side; print and paint rarely pass it
HUES = 8
HUE_CELLS = 3
LAYOUT = 5  # frequencies of the colour layout along each axis
FAINT = 5.0  # Lab chroma below which a colour reads as grey


def colour_histogram(canvas: Canvas) -> np.ndarray:
    """Histogram over (L, a, b) with linear votes, square-rooted (Hellinger): `(144,)`, unit length."""
    light = canvas.lightness.ravel() * (LIGHT_BINS - 1)
    reach = (CHROMA_BINS - 1) / 2
    green_red = _squeeze(canvas.green_red.ravel()) * reach + reach
    blue_yellow = _squeeze(canvas.blue_yellow.ravel()) * reach + reach
    total = np.zeros(LIGHT_BINS * CHROMA_BINS * CHROMA_BINS)
    light_votes, red_votes, yellow_votes = (
        _votes(light, LIGHT_BINS),
        _votes(green_red, CHROMA_BINS),
        _votes(blue_yellow, CHROMA_BINS),
    )
    for light_bin, light_share in light_votes:
        for red_bin, red_share in red_votes:
            place = (light_bin * CHROMA_BINS + red_bin) * CHROMA_BINS
            share = light_share * red_share
            for yellow_bin, yellow_share in yellow_votes:
                total += np.bincount(place + yellow_bin, share * yellow_share, minlength=total.size)
    return unit(np.sqrt(total))


def hue_cells(canvas: Canvas) -> np.ndarray:
    """Share of each hue in each cell, weighted by chroma: `(HUE_CELLS * HUE_CELLS * HUES,)`, unit length."""
    chroma = np.hypot(canvas.green_red, canvas.blue_yellow)
    angle = np.arctan2(canvas.blue_yellow, canvas.green_red) * (HUES / (2 * np.pi)) % HUES
    weight = chroma * chroma / (chroma + FAINT)
    distance = np.abs(angle[None] - np.arange(HUES, dtype=np.float32)[:, None, None])
    near = np.clip(1 - np.minimum(distance, HUES - distance), 0, None) * weight
    return unit(np.sqrt(pool(near.astype(np.float32), HUE_CELLS)), least=FAINT)


def colour_layout(canvas: Canvas) -> np.ndarray:
    """Low DCT frequencies of a and b (as in the MPEG-7 colour layout): `(2 * LAYOUT * LAYOUT,)`, unit length."""
    basis = cosines(LAYOUT)
    planes = np.stack([canvas.green_red, canvas.blue_yellow])
    return unit(signed_root(basis @ planes @ basis.T), least=FAINT)


def _squeeze(axis: np.ndarray) -> np.ndarray:
    """Lab a or b to -1..1, finer near grey where most colours of comics lie (square root, sign kept)."""
    return signed_root(np.clip(axis / CHROMA_REACH, -1.0, 1.0))


def _votes(place: np.ndarray, bins: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two bins next to each `place` (0..bins - 1) with the share of the vote that each gets."""
    lower = np.minimum(place.astype(np.int64), bins - 2)
    rest = place - lower
    return [(lower, 1 - rest), (lower + 1, rest)]
