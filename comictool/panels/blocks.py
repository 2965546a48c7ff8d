"""Panels that no straight cut can part: solid shapes with background flowing all around each."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from comictool.panels.cells import Cell, page_area, trim, unit

PAGE_EDGES = 8  # units, both edges together
LAYOUT = 0.25  # share of the page under which a cell is one panel, and white curves in it are drawn things
BLOCK = 0.06  # share of a cell that a solid shape inside it must fill to be a panel of its own
SOLID = 0.85  # share of its hull that such a shape fills
BLOCKS_TILE = 0.85  # share of a cell that its solid shapes must cover: gutters between them are narrow
BLOCKS_HOLD = 0.85  # share of a cell's ink that its solid shapes must hold together


def solid_blocks(cell: Cell, paper: np.ndarray) -> list[Cell]:
    """The solid shapes of a cell when background flows all around each: layouts that no straight cut can part.

    Empty when there are none, in cells that are a small part of the page, and for a picture that runs over all four
    edges of the page: photographs and lettering on a cover are solid shapes too.
    """
    edges = PAGE_EDGES * unit(paper)
    if cell.inside.shape[0] >= paper.shape[0] - edges and cell.inside.shape[1] >= paper.shape[1] - edges:
        return []
    if cell.inside.sum() < LAYOUT * page_area(paper):
        return []
    ink = cell.inside & ~cell.of(paper)
    labels, count = ndimage.label(ink, structure=np.ones((3, 3), dtype=int))
    if count < 2:
        return []
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    hulls: list[np.ndarray] = []
    for number in np.flatnonzero(sizes >= 0.5 * BLOCK * ink.size):
        shape = labels == number
        body, hull = ndimage.binary_fill_holes(shape), _rough_hull(shape)
        if body.sum() >= max(BLOCK * ink.size, SOLID * hull.sum()):
            hulls.append(hull)
    if len(hulls) < 2:
        return []
    covered = np.sum(hulls, axis=0)
    if (covered > 0).sum() < BLOCKS_TILE * ink.size or (covered > 1).sum() > 0.02 * ink.size:
        return []
    if (ink & (covered > 0)).sum() < BLOCKS_HOLD * ink.sum():
        return []
    pieces = [trim(Cell(cell.left, cell.top, hull, cell.certain), paper) for hull in hulls]
    return [piece for piece in pieces if piece is not None]


def _rough_hull(shape: np.ndarray) -> np.ndarray:
    """Pixels that have the shape on both sides of them in their row and in their column."""
    rows = np.maximum.accumulate(shape, 1) & np.maximum.accumulate(shape[:, ::-1], 1)[:, ::-1]
    columns = np.maximum.accumulate(shape, 0) & np.maximum.accumulate(shape[::-1], 0)[::-1]
    hull: np.ndarray = rows & columns
    return hull
