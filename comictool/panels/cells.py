"""A cell: a piece of the page on its way to becoming a panel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from comictool.panels.planes import counts

SCREEN = 1.6  # height by width of the tallest usual page; what is longer is a strip
UNITS = 710  # of a page of 1000x1400 that is halved: one unit is then a pixel
LETTERING = 0.15  # the largest connected mark of prose or a caption covers less of its block than this
EMPTY_LINE = 0.985  # share of background that makes a row or column at the rim of a cell count as margin
COARSE = 3  # pixels that are looked at as one to see quickly that a piece is no lettering
TOUCHING = np.ones((3, 3), dtype=int)  # pixels that meet at a corner belong together


def page_extent(paper: np.ndarray) -> int:
    """The longer side of a page in pixels, by which distances are measured; of a long strip, that of one screen."""
    shorter, longer = sorted(paper.shape)
    return min(longer, int(SCREEN * shorter))


def unit(paper: np.ndarray) -> float:
    """Working pixels per unit, 1/710 of the page's longer side: the measure of strokes, letters and dust."""
    return page_extent(paper) / UNITS


def page_area(paper: np.ndarray) -> int:
    """The area of a page in pixels, by which sizes are measured; of a long strip, that of one screen."""
    return min(paper.shape) * page_extent(paper)


@dataclass(frozen=True)
class Cell:
    """A piece of the page, cut along gutters and trimmed of its margins.

    Attributes:
        left, top: position of the mask on the working page.
        inside: (h, w) bool, the piece; slanted gutters make it other than a rectangle.
        certain: whether a gutter beyond doubt helped to cut it out (`Gutter.certain`).
        open_sides: which of left, top, right, bottom (0..3) run over the page's edge with white, between frame lines.
    """

    left: int
    top: int
    inside: np.ndarray
    certain: bool = False
    open_sides: tuple[int, ...] = ()

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) on the working page."""
        height, width = self.inside.shape
        return self.left, self.top, self.left + width, self.top + height

    def of(self, plane: np.ndarray) -> np.ndarray:
        """The part of a page-sized plane under this cell's box."""
        x0, y0, x1, y1 = self.box
        return plane[y0:y1, x0:x1]


def trim(cell: Cell, paper: np.ndarray) -> Cell | None:
    """Cut a cell down to its content; None when there is none."""
    left, top, inside = cell.left, cell.top, cell.inside
    ink = inside & ~cell.of(paper)
    for _ in range(3):  # a margin freed on one side may free one on another
        height, width = inside.shape
        rows = _content_range(counts(ink, 1), counts(inside, 1))
        columns = _content_range(counts(ink, 0), counts(inside, 0))
        if rows is None or columns is None:
            return None
        if (rows, columns) == ((0, height), (0, width)):
            break
        part = slice(*rows), slice(*columns)
        inside, ink = inside[part], ink[part]
        top, left = top + rows[0], left + columns[0]
    return Cell(left, top, np.ascontiguousarray(inside), cell.certain)


def _content_range(ink: np.ndarray, total: np.ndarray) -> tuple[int, int] | None:
    longest = total.max(initial=0)
    has = (ink > (1 - EMPTY_LINE) * np.maximum(total, 0.3 * longest)) & (ink >= 2)
    at = np.flatnonzero(has)
    return (int(at[0]), int(at[-1]) + 1) if len(at) else None


def is_lettering(ink: np.ndarray) -> bool:
    """Whether a piece of page, (h, w) bool, holds only small separate marks: a caption, a page number, dust."""
    height, width = ink.shape
    h, w = height // COARSE * COARSE, width // COARSE * COARSE
    full = np.logical_and.reduce([ink[i:h:COARSE, j:w:COARSE] for i in range(COARSE) for j in range(COARSE)])
    boxes = ndimage.find_objects(ndimage.label(full, structure=TOUCHING)[0]) if full.size else []
    if max((_box_area(box) for box in boxes), default=0) * COARSE**2 >= LETTERING * height * width:
        return False  # as nearly always, and seen at a small part of the price: what is whole here is whole in full
    labels, count = ndimage.label(ink, structure=TOUCHING)
    if count == 0:
        return True
    largest = max(_box_area(box) for box in ndimage.find_objects(labels))
    return bool(largest < LETTERING * height * width)


def _box_area(box: tuple[slice, slice]) -> int:
    rows, columns = box
    return int((rows.stop - rows.start) * (columns.stop - columns.start))
