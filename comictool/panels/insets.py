"""Small panels that lie on a larger one, parted from it by a thin band of background."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from comictool.panels.cells import Cell, is_lettering, page_area, page_extent, unit

SMALLEST = 0.015  # share of the page
LARGEST = 0.5  # share of the host
RECTANGULAR = 0.95  # share of its box that an inset fills
THINNEST = 20  # units
RIM = 4  # units; its frame is thinner
BAND = 0.03  # widest band around an inset, as a share of the page's longer side
SURROUNDED = 0.7  # share of each side beyond whose band the host's art goes on


def find_insets(host: Cell, paper: np.ndarray) -> list[Cell]:
    """Solid upright rectangles inside a cell with art all around them beyond a thin band of `paper` (h, w) bool."""
    ink = host.inside & ~host.of(paper)
    height, width = ink.shape
    labels, count = ndimage.label(ink)
    if count < 2:
        return []
    boxes = ndimage.find_objects(labels)
    band = max(4, int(BAND * page_extent(paper)))
    insets = []
    one = unit(paper)
    rim = round(RIM * one)
    for number, (rows, columns) in enumerate(boxes, start=1):
        h, w = rows.stop - rows.start, columns.stop - columns.start
        if not SMALLEST * page_area(paper) <= h * w <= LARGEST * height * width or min(h, w) < THINNEST * one:
            continue
        shape = ndimage.binary_fill_holes(labels[rows, columns] == number)
        inner = ink[rows, columns][rim:-rim, rim:-rim]
        if shape.mean() < RECTANGULAR or (inner.mean() < 0.6 and is_lettering(inner)):
            continue
        if _surrounded(ink, (columns.start, rows.start, columns.stop, rows.stop), band):
            insets.append(Cell(host.left + columns.start, host.top + rows.start, np.ones((h, w), dtype=bool)))
    return insets


def _surrounded(ink: np.ndarray, box: tuple[int, int, int, int], band: int) -> bool:
    """Whether art or the host's edge begins again soon beyond every side of a box."""
    x0, y0, x1, y1 = box
    height, width = ink.shape
    beyond = (
        (x0 < band, ink[y0:y1, max(0, x0 - band) : x0].any(1)),
        (y0 < band, ink[max(0, y0 - band) : y0, x0:x1].any(0)),
        (x1 > width - band, ink[y0:y1, x1 : x1 + band].any(1)),
        (y1 > height - band, ink[y1 : y1 + band, x0:x1].any(0)),
    )
    at_edge = sum(edge for edge, _ in beyond)
    return at_edge <= 2 and all(edge or float(art.mean()) >= SURROUNDED for edge, art in beyond)
