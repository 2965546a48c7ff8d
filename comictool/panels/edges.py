"""White panels that run over the page's edge: only their frame lines go on beyond the last ink of the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from comictool.panels.cells import EMPTY_LINE, Cell, unit

NEAR_EDGE = 4  # units from the page's edge within which a panel reaches it
SHORTEST = 6  # units of a line under which it cannot be told from a stroke
START = 6  # units at the end of the picture in which its frame line is picked up
STEP = 2  # pixels that a frame line may move sideways from one row to the next: slanted frames, ragged print
SHOWN = 0.85  # share of a line's rows that must show it: scans and tails of balloons break it


def reach_edges(cell: Cell, paper: np.ndarray) -> Cell:
    """A cell of the page (h, w) bool, lengthened to the page's edges that its frame lines run to.

    A side is moved to the edge where nothing but paper lies between, and a frame line goes there from either end of
    that side. An end needs no line where the panel runs over the edge beside as well.
    """
    x0, y0, x1, y1 = cell.box
    height, width = paper.shape
    near = NEAR_EDGE * unit(paper)
    gaps = (x0, y0, width - x1, height - y1)
    at_edge = [gap <= near for gap in gaps]
    lines = [(False, False)] * 4
    for side in range(4):
        if not at_edge[side]:
            lines[side] = _lines(_turned(~paper, side), _turned_cell(cell, side, paper.shape), unit(paper))
    # The ends of left and right are top and bottom, those of top and bottom left and right.
    moved = set()
    for side in range(4):
        ends = (1, 3) if side % 2 == 0 else (0, 2)
        if not at_edge[side] and any(lines[side]):
            bare = [end for end, line in zip(ends, lines[side], strict=True) if not line]
            if all(at_edge[end] or _meets(lines[end], side) for end in bare):
                moved.add(side)
    if not moved:
        return cell
    pads = [gaps[side] if side in moved else 0 for side in range(4)]
    inside = np.pad(cell.inside, ((pads[1], pads[3]), (pads[0], pads[2])), constant_values=True)
    return replace(cell, left=x0 - pads[0], top=y0 - pads[1], inside=inside, open_sides=tuple(sorted(moved)))


def _meets(lines: tuple[bool, bool], side: int) -> bool:
    """Whether a neighbouring side has a line to the edge at its end away from `side`: both run off at one corner."""
    return lines[1 if side < 2 else 0]


def _turned(plane: np.ndarray, side: int) -> np.ndarray:
    """A plane turned so that its left, top, right or bottom side (0..3) lies on top."""
    return (plane.T, plane, plane.T[::-1], plane[::-1])[side]


def _turned_cell(cell: Cell, side: int, shape: tuple[int, ...]) -> tuple[int, int, np.ndarray]:
    """Left, top and mask of a cell on the page turned so."""
    x0, y0, x1, y1 = cell.box
    left, top = ((y0, x0), (x0, y0), (y0, shape[1] - x1), (x0, shape[0] - y1))[side]
    return left, top, _turned(cell.inside, side)


def _lines(ink: np.ndarray, cell: tuple[int, int, np.ndarray], one: float) -> tuple[bool, bool]:
    """Whether frame lines run from the left and right end of a cell's top side to the top edge of the page."""
    left, top, inside = cell
    width = inside.shape[1]
    between = ink[:top, left : left + width]
    if top < SHORTEST * one or between.mean() > 1 - EMPTY_LINE:
        return False, False
    begin = inside[: max(2, round(START * one))]  # a cell may be lower than that: letters between panels
    columns = np.flatnonzero((ink[top : top + len(begin), left : left + width] & begin).any(0))
    if not len(columns):
        return False, False
    reach = round(START * one)
    found = []
    for at, outward in ((left + int(columns[0]), 1), (left + int(columns[-1]), -1)):
        found.append(_runs_to_top(ink[:top], at, outward * reach))
    return found[0], found[1]


def _runs_to_top(ink: np.ndarray, at: int, reach: int) -> bool:
    """Whether ink can be followed upwards through all rows of (h, w) bool from near column `at`."""
    shown = 0
    low, high = sorted((at, at + reach))
    low, high = low - STEP, high + STEP
    for row in ink[::-1]:
        here = np.flatnonzero(row[max(0, low) : high + 1])
        if len(here):
            shown += 1
            at = max(0, low) + int(here[0] if reach > 0 else here[-1])
            low, high = at - STEP, at + STEP
        else:
            low, high = low - 1, high + 1
            if high - low > 6 * STEP + abs(reach):
                return False
    return shown >= SHOWN * len(ink)
