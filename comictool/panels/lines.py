"""Frame lines without a gutter: dark strokes that run through a whole cell, as thick as frames are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from comictool.panels.cells import UNITS, page_extent
from comictool.panels.gutters import Gutter, Plane, Region, best_gutter, find_gutters
from comictool.panels.planes import closing

THICKEST = 9  # units; wider black bands are gutters or shadows
AVERAGED = 15  # units along a stroke, more than the pitch of coarse screentone
DARK = 120  # levels; printed frames are darker
CONTRAST = 45  # levels by which a line is darker than what lies beside it
COVERED = 0.72  # share of the span on which the line must show: balloons lie over frames
STRAIGHT = 0.93  # share of what shows that must be straight
WIDTHS = (1.0, 7.0)  # units
NEAR_END = 0.04  # share of the span at either end in which the line must show
RIM = 0.08  # share of a cell at either end in which a line is the cell's own frame
PLAIN_COVERED = 0.77  # COVERED on pages that gutters explain
PLAIN_WIDTH = 2.0  # units, the thinnest then
PLAIN_END = 0.7  # share of an end's pixels in which the line must show then, at either end
PLAIN_FRAME_SHARE = 0.6  # FRAME_SHARE then
PLAIN_AWAY = 0.15  # share of a cell at either end in which it must not lie then
FRAME_SHARE = 0.45  # thickness of the line against the frame around the cell: a horizon or a table is thinner


@dataclass(frozen=True)
class LinePlanes:
    """Where a working page has thin dark strokes: `level` nearly horizontal ones, `upright` nearly vertical ones.

    Both are (h, w) bool; `unit` is in pixels.
    """

    level: np.ndarray
    upright: np.ndarray
    unit: float


def line_planes(grey: np.ndarray) -> LinePlanes:
    """The strokes of a working page (h, w), 0..255. Averaging along the stroke makes screentone flat."""
    one = page_extent(grey) / UNITS
    return LinePlanes(_strokes(grey, one), _strokes(grey.T, one).T, one)


def _strokes(grey: np.ndarray, unit: float) -> np.ndarray:
    along = ndimage.uniform_filter1d(grey, round(AVERAGED * unit), axis=1)
    closed = closing(along, (max(1, round(THICKEST * unit)), 1))
    plane: np.ndarray = (along < DARK) & (closed - along > CONTRAST)
    return plane


def best_line(lines: np.ndarray, inside: np.ndarray, unit: float) -> Gutter | None:
    """The best nearly horizontal frame line through a cell, or None.

    Args:
        lines: (h, w) bool, thin dark strokes of the cell.
        inside: (h, w) bool, the cell.
        unit: pixels.
    """
    thickness = frame_thickness(lines, unit)
    own = int(RIM * lines.shape[0])
    lines = lines.copy()
    lines[:own] = lines[lines.shape[0] - own :] = False
    region = Region(Plane(lines, unit), 0, 0, inside)
    found = max(
        (best_gutter(region, slanted=slanted, longest_run=int(WIDTHS[1] * unit)) for slanted in (False, True)),
        key=lambda line: -1.0 if line is None else line.quality,
    )
    if found is None or found.open_share < COVERED or not WIDTHS[0] <= found.width <= WIDTHS[1] * unit:
        return None
    if min(found.upper, found.lower) < STRAIGHT * found.open_share:
        return None
    return found if found.width >= FRAME_SHARE * thickness > 0 and _reaches(lines, found, unit) else None


def plain_line(lines: np.ndarray, inside: np.ndarray, unit: float) -> Gutter | None:
    """The same by a stricter rule, for cells of pages that have gutters: thick, hardly covered, begun at the frame."""
    thickness = frame_thickness(lines, unit)
    own = int(PLAIN_AWAY * lines.shape[0])
    lines = lines.copy()
    lines[:own] = lines[lines.shape[0] - own :] = False
    region = Region(Plane(lines, unit), 0, 0, inside)
    found = [
        line
        for slanted in (False, True)
        for line in find_gutters(region, slanted=slanted, longest_run=int(WIDTHS[1] * unit))
        if line.open_share >= PLAIN_COVERED
        and max(PLAIN_WIDTH * unit, PLAIN_FRAME_SHARE * thickness) <= line.width <= WIDTHS[1] * unit
        and min(line.upper, line.lower) >= STRAIGHT * line.open_share
        and _reaches(lines, line, unit, PLAIN_END)
    ]
    return max(found, key=lambda line: line.quality, default=None)


def _reaches(lines: np.ndarray, found: Gutter, unit: float, least: float = 0.5) -> bool:
    """Whether a line begins at the cell's frame: lines of tables, doors and coupons stop before.

    A balloon or caption may lie over one of its ends; the `least` share of the other's pixels must show it.
    """
    height, width = lines.shape
    x = np.arange(width)
    y = np.clip(np.rint(found.offset + found.slope * x).astype(np.intp), 1, height - 2)
    shown = lines[y, x] | lines[y - 1, x] | lines[y + 1, x]
    near = max(round(AVERAGED * unit), int(NEAR_END * width))
    return bool(shown[:near].mean() >= least or shown[-near:].mean() >= least)


def frame_thickness(lines: np.ndarray, unit: float) -> float:
    """The median thickness of the stroke along a cell's top and bottom side, in working pixels; 0 without one."""
    most = round(THICKEST * unit)
    reach = min(lines.shape[0], 2 * most)
    runs = np.concatenate([_first_run(lines[:reach].T, most), _first_run(lines[::-1][:reach].T, most)])
    shown = runs[runs > 0]
    return float(np.median(shown)) if len(shown) > 0.4 * len(runs) else 0.0


def _first_run(lines: np.ndarray, most: int) -> np.ndarray:
    """The length of the stroke that begins within the first pixels of every row; 0 where none does."""
    begin = lines.argmax(1)
    padded = np.concatenate([lines, np.zeros((lines.shape[0], 1), dtype=bool)], axis=1)
    after = np.arange(padded.shape[1])[None, :] > begin[:, None]
    end = (after & ~padded).argmax(1)
    return np.where(lines.any(1) & (begin <= most), end - begin, 0)
