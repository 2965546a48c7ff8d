"""Even light: a scan or photograph whose paper darkens across the page is brought back to one shade."""

from __future__ import annotations

import numpy as np

BLOCK = 64  # blocks along the longer side; each is as light as the paper in it
LIGHT_IN_BLOCK = 90  # percentile: print covers most of a block, hardly all of it
NARROWING = (60.0, 40.0, 25.0, 15.0, 10.0, 8.0, 8.0)  # levels below the surface at which a block still counts as paper
PAPER_SHARE = 0.12  # share of the blocks that must be paper at the end: gutters and margins alone have more
EVEN = 4.0  # levels within which the paper must keep to the surface: pictures do not
VARIES = 6.0  # levels; under it the paper is even enough for `background.TOLERANCE`
DARKEST = 90.0  # levels; what the surface says is darker than this is no lit paper
ROWS = 16  # that are brightened at once: what the processor keeps at hand


def even_light(image: np.ndarray) -> np.ndarray:
    """A page (H, W, 3) uint8 as it would look in even light; the same array where its light is even already.

    The light is a quadratic surface over the page that the lightest blocks keep to; print, which is darker, drops
    out of the fit step by step.
    """
    height, width = image.shape[:2]
    size = max(4, max(height, width) // BLOCK)
    rows, columns = height // size, width // size
    if min(rows, columns) < 6:
        return image
    step = max(1, size // 8)
    lightest = _lightest(image[: rows * size : step, : columns * size : step, 1], rows, columns)
    y, x = np.mgrid[0:rows, 0:columns]
    terms = _terms(y.ravel() / (rows - 1), x.ravel() / (columns - 1))
    level = lightest.ravel()
    paper = level >= np.percentile(level, 60)
    surface = np.empty(0)
    for below in NARROWING:
        factors = np.linalg.lstsq(terms[paper], level[paper], rcond=None)[0]
        surface = terms @ factors
        paper = level >= surface - below  # nothing is lighter than paper
        if paper.mean() < PAPER_SHARE:
            return image
    if np.std((level - surface)[paper]) > EVEN or np.ptp(surface) < VARIES or surface.min() < DARKEST:
        return image
    if (level > surface + NARROWING[-1]).mean() > 0.02:  # something is lighter than this "paper"
        return image
    gain = surface.max() / surface.reshape(rows, columns)
    at_y, at_x = np.linspace(0, rows - 1, height), np.linspace(0, columns - 1, width)
    by_row = np.stack([np.interp(at_y, np.arange(rows), gain[:, column]) for column in range(columns)], axis=1)
    low = np.minimum(at_x.astype(int), columns - 2)
    part = (at_x - low).astype(np.float32)
    lit = np.empty((height, 3 * width), dtype=np.uint8)
    pixels, by_row = image.reshape(height, 3 * width), by_row.astype(np.float32)
    for at in range(0, height, ROWS):
        some = by_row[at : at + ROWS]
        wide = np.repeat(some[:, low] * (1 - part) + some[:, low + 1] * part, 3, axis=1)
        wide *= pixels[at : at + ROWS]
        lit[at : at + ROWS] = np.minimum(wide, 255.0, out=wide)
    return lit.reshape(image.shape)


def _lightest(grey: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """How light the paper is in each of rows x columns blocks of a plane: (rows, columns) float64."""
    lightest = np.empty((rows, columns))
    down = np.linspace(0, grey.shape[0], rows + 1).astype(np.intp)
    across = np.linspace(0, grey.shape[1], columns + 1).astype(np.intp)
    heights, widths = np.diff(down), np.diff(across)
    for height in np.unique(heights):  # blocks of one size at once; there are two heights and two widths at most
        for width in np.unique(widths):
            at_y, at_x = np.flatnonzero(heights == height), np.flatnonzero(widths == width)
            y, x = down[at_y, None] + np.arange(height), across[at_x, None] + np.arange(width)
            blocks = grey[y[:, None, :, None], x[None, :, None, :]].reshape(len(at_y), len(at_x), -1)
            rank = height * width * LIGHT_IN_BLOCK // 100
            lightest[np.ix_(at_y, at_x)] = np.partition(blocks, rank, axis=-1)[..., rank]
    return lightest


def _terms(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=1)
