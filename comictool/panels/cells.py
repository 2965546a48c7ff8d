"""A cell: a piece of the page on its way to becoming a panel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SCREEN = 1.6  # height by width of the tallest usual page; what is longer is a strip
UNITS = 710  # of a page of 1000x1400 that is halved: one unit is then a pixel
LETTERING = 0.15  # the largest connected mark of prose or a caption covers less of its block than this
EMPTY_LINE = 0.985  # share of background that makes a row or column at the rim of a cell count as margin


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
    for _ in range(3):  # a margin freed on one side may free one on another
        height, width = inside.shape
        ink = inside & ~paper[top : top + height, left : left + width]
        rows = _content_range(ink.sum(1), inside.sum(1))
        columns = _content_range(ink.sum(0), inside.sum(0))
        if rows is None or columns is None:
            return None
        if (rows, columns) == ((0, height), (0, width)):
            break
        inside = inside[rows[0] : rows[1], columns[0] : columns[1]]
        top, left = top + rows[0], left + columns[0]
    return Cell(left, top, np.ascontiguousarray(inside), cell.certain)


def _content_range(ink: np.ndarray, total: np.ndarray) -> tuple[int, int] | None:
    longest = total.max(initial=0)
    has = (ink > (1 - EMPTY_LINE) * np.maximum(total, 0.3 * longest)) & (ink >= 2)
    at = np.flatnonzero(has)
    return (int(at[0]), int(at[-1]) + 1) if len(at) else None


def is_lettering(ink: np.ndarray) -> bool:
    """Whether a piece of page, (h, w) bool, holds only small separate marks: a caption, a page number, dust."""
    labels, count = ndimage.label(ink, structure=np.ones((3, 3), dtype=int))
    if count == 0:
        return True
    height, width = ink.shape
    largest = max((p[0].stop - p[0].start) * (p[1].stop - p[1].start) for p in ndimage.find_objects(labels))
    return bool(largest < LETTERING * height * width)
