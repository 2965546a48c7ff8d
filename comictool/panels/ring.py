"""A thin line around all panels: it closes both ends of every gutter, so it is taken off before the page is cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from comictool.panels.background import RIM
from comictool.panels.cells import unit

DEEPEST = 0.2  # share of the page's width or height from its edge within which the line lies
THICKEST = 7  # units, as `lines.WIDTHS`
SLOPES = tuple(step / 250 for step in range(-6, 7))  # crooked scans; 3 units over a page lie between two of them
WANDERS = 3  # units to either side in which the line may wander then
SHOWN = 0.4  # share of a side that shows it at least: a panel may run over it
SHOWN_IN_ALL = 0.6  # the same of all sides together
BROKEN = 2  # units along the line through which paper may pass: gutters part the frames of panels, not the line
STRAIGHT = 0.5  # share of a side along which what comes next is straight too, the frames of panels
BLED = 0.8  # share of ink at the page's edge that says that a panel runs over all of a side
EDGE = 4  # units of such an edge that are looked at
STRAIGHT_SIDES = 3  # how many sides must show that: in a picture that fills the page next to none does


@dataclass(frozen=True)
class _Side:
    """One side of the line, on the page turned so that it is on the left: `x = offset + slope * y`."""

    offset: float
    slope: float

    def at(self, y: np.ndarray) -> np.ndarray:
        return np.rint(self.offset + self.slope * y).astype(np.intp)


def without_ring(paper: np.ndarray) -> np.ndarray | None:
    """A page's background (h, w) bool with the line around its panels as part of it; None where there is no such line.

    The line is thin and straight, has paper on both sides, encloses the page's four sides without a gap, and what
    comes next inside it is straight as well. Panels may run over it, and over all of one side.
    """
    one = unit(paper)
    thin: list[np.ndarray] = []
    sides: list[_Side | None] = []
    for turn in range(4):
        ink = ~_turned(paper, turn)
        thin.append(_thin(ink, one))
        sides.append(None if _bleeds(ink, one) else _outermost(thin[-1], one))
        if sides[-1] is None and (None in sides[:-1] or not _bleeds(ink, one)):
            return None
    ends = [RIM if side is None else max(RIM, round(side.offset)) for side in sides]
    peeled = paper.copy()
    shown, straight, length = 0, 0, 0
    for turn, side in enumerate(sides):
        if side is None:
            continue
        turned, peeled_page = _turned(paper, turn), _turned(peeled, turn)
        before, after = (ends[1], ends[3]) if turn % 2 == 0 else (ends[0], ends[2])
        y = np.arange(before, len(turned) - after)
        wander = round(WANDERS * one)
        columns = np.clip(side.at(y)[:, None] + np.arange(-wander, wander + 1), 0, thin[turn].shape[1] - 1)
        on_line = thin[turn][y[:, None], columns]
        here = on_line.any(1)
        passes = turned[y[:, None], columns].all(1) & _open_before(turned, y, side)
        if not len(y) or here.mean() < SHOWN or _longest(passes) > max(2, round(BROKEN * one)):
            return None
        rows, at = np.nonzero(on_line)
        peeled_page[y[rows], columns[rows, at]] = True
        corner = before, ends[turn]
        peeled_page[tuple(slice(max(0, c - wander), c + 2 * wander) for c in corner)] = True
        shown, length = shown + int(here.sum()), length + len(y)
        straight += _straight_beyond(turned, y[here], columns[here], on_line[here], one) >= STRAIGHT
    return peeled if shown >= SHOWN_IN_ALL * length and straight >= STRAIGHT_SIDES else None


def _bleeds(ink: np.ndarray, one: float) -> bool:
    """Whether a panel runs over the left edge of the page, along nearly all of it."""
    return bool(ink[:, RIM : RIM + max(1, round(EDGE * one))].mean() >= BLED)


def _turned(plane: np.ndarray, side: int) -> np.ndarray:
    """A view of a plane in which its left, top, right or bottom side (0..3) lies on the left."""
    return (plane, plane.T, plane[:, ::-1], plane[::-1].T)[side]


def _thin(ink: np.ndarray, one: float) -> np.ndarray:
    """The ink near the left edge that has paper on both sides of it in its row, (h, w) bool."""
    thickest = round(THICKEST * one)
    near = ~ink[:, : int(DEEPEST * ink.shape[1])]
    closed = ndimage.maximum_filter1d(near.astype(np.uint8), thickest + 1, axis=1)
    closed = ndimage.minimum_filter1d(closed, thickest + 1, axis=1, origin=-1 if thickest % 2 else 0)
    thin: np.ndarray = closed.astype(bool) & ~near
    return thin


def _outermost(thin: np.ndarray, one: float) -> _Side | None:
    """The first long straight upright line from the left in (h, w) bool, or None."""
    height, width = thin.shape
    first = thin.copy()
    first[:, 1:] &= ~thin[:, :-1]
    y, x = np.nonzero(first)
    if len(y) < SHOWN * height:
        return None
    window = max(2, round(2 * one))
    best: tuple[float, _Side] | None = None
    for slope in sorted(SLOPES, key=abs):
        level = np.rint(x - slope * (y - height / 2)).astype(np.intp)
        tally = np.bincount(level[(level >= 0) & (level < width)], minlength=width).astype(np.float64)
        at = np.flatnonzero(tally >= 0.5 * SHOWN * height)
        if not len(at):
            continue
        part = tally[at[0] : at[0] + window + 1]
        share = float(part.sum()) / height
        if best is None or share > best[0] * 1.02:
            middle = float((part * np.arange(len(part))).sum() / part.sum()) + at[0]
            best = share, _Side(middle - slope * height / 2, slope)
    return best[1] if best is not None and best[0] >= SHOWN else None


def _open_before(paper: np.ndarray, y: np.ndarray, side: _Side) -> np.ndarray:
    """Whether nothing but paper lies between the edge and the line in each row: no panel that runs over it."""
    at = side.at(y)
    near = paper[y, : int(DEEPEST * paper.shape[1])]
    first, bare = (~near).argmax(1), near.all(1)
    opened: np.ndarray = bare | (first >= at)
    return opened


def _straight_beyond(paper: np.ndarray, y: np.ndarray, columns: np.ndarray, on_line: np.ndarray, one: float) -> float:
    """The share of rows in which the first ink beyond the line lies in one narrow window of distances, 0..1."""
    last = columns[np.arange(len(y)), columns.shape[1] - 1 - on_line[:, ::-1].argmax(1)]
    reach = int(DEEPEST * paper.shape[1])
    ink = ~paper[y[:, None], np.minimum(last[:, None] + 1 + np.arange(reach), paper.shape[1] - 1)]
    gap = np.where(ink.any(1), ink.argmax(1), reach)
    tally = np.bincount(gap, minlength=reach + 1)[:reach].astype(np.float64)
    sums = np.convolve(tally, np.ones(max(2, round(WANDERS * one))))
    return float(sums.max()) / max(1, len(y))


def _longest(flags: np.ndarray) -> int:
    """The longest run of True in (n,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))
