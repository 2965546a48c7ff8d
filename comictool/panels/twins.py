"""Gutters between two frame lines, straight or leaning, on pages whose art is full of screentone or runs off the edge.

Such a gutter is a light band as wide all along as a gutter is, with a dark line on either side, from one end of a
cell to the other. Balloons may lie over a part of it. That is told from the grey page, not from its background: tone
and hatching break up a mask of the background, but no tone has dark pixels on two straight lines and none between.

As in `gutters`, all geometry is for nearly horizontal gutters; upright ones are found on the transposed page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comictool.panels.cells import unit
from comictool.panels.gutters import Gutter

DARK = 128  # levels: half of a frame line one pixel thick that lies over two pixels
WIDTHS = (1, 14)  # pixels, and units, of the band; wider gutters are open enough for `gutters`
LEAN = 0.36  # slope up to which frames lean (20 degrees)
EVEN = 1.5  # pixels in which the two lines may wander: leaning lines are drawn in steps
SHOWN = 0.3  # share of the span that must show the band between its lines: balloons cover most of some
WELL_SHOWN = 0.4  # share from which more of it may be broken
BROKEN = (0.2, 0.4)  # what is broken at most, as a share of what shows, by less or more of it; hatching breaks 0.7 up
BROKEN_BESIDE = 0.06  # the same where a balloon hides one end: or it is a gutter of other panels drawn out too far
REACHED = 0.1  # share of the 18 % at either end that must show it, or an end is hidden
OPEN_END = 0.5  # share of the 6 % at either end in which nothing dark may lie over it
END = 0.06  # the share of the span that is meant
NARROW = 2  # pixels; a narrower band is between any two strokes
SHOWN_NARROW = 0.7  # share that must show it then
VOTES = 0.2  # share of the span that must vote for a line
SLOPE_STEP = 2.0  # pixels that two neighbouring slopes differ by over the span
MOST_LINES = 6  # best voted lines that are measured
MOST_VOTERS = 20000  # bounds the time on pages full of hatching
SHORTEST = 16  # pixels of a cell's sides


@dataclass(frozen=True)
class Bands:
    """Light runs between dark pixels in every column of a page.

    Attributes:
        dark: (h, w) bool.
        above, below: (h, w) row of the nearest dark pixel upwards and downwards, far off the page where there is none.
        columns, starts, stops: (n,) of the runs as narrow as gutters: first row and row after the last.
        unit: pixels per unit.
    """

    dark: np.ndarray
    above: np.ndarray
    below: np.ndarray
    columns: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    unit: float


def bands_of(grey: np.ndarray) -> Bands:
    """The bands of a working page (h, w), 0..255."""
    dark = grey < DARK
    height = len(dark)
    rows = np.arange(height, dtype=np.int32)[:, None]
    above = np.maximum.accumulate(np.where(dark, rows, -height), axis=0)
    below = np.minimum.accumulate(np.where(dark, rows, 2 * height)[::-1], axis=0)[::-1]
    length, one = below - above - 1, unit(grey)
    first = np.zeros_like(dark)
    first[1:] = dark[:-1] & ~dark[1:]
    columns, starts = np.nonzero((first & (length >= WIDTHS[0]) & (length <= WIDTHS[1] * one)).T)
    return Bands(dark, above, below, columns, starts, starts + length[starts, columns], one)


def find_twins(bands: Bands, left: int, top: int, inside: np.ndarray) -> list[Gutter]:
    """The nearly horizontal gutters between two frame lines through a part of the page, in no order.

    Args:
        bands: of the page.
        left, top: of the part.
        inside: (h, w) bool, the part.
    """
    height, width = inside.shape
    if height < SHORTEST or width < SHORTEST:
        return []
    part = slice(*np.searchsorted(bands.columns, (left, left + width)))
    x = bands.columns[part] - left
    starts, stops = bands.starts[part] - top, bands.stops[part] - top
    keep = (starts > 2) & (stops < height - 2)
    keep[keep] = inside[((starts + stops - 1) // 2)[keep], x[keep]]
    x, starts, stops = x[keep], starts[keep], stops[keep]
    narrow = stops - starts < NARROW
    for some in (~narrow, narrow):  # by themselves: hatching has so many narrow ones that they outvote the others
        lines = _voted_lines(x[some], (starts + stops - 1)[some] / 2, inside)
        measured = [measure(bands, left, top, inside, slope, offset) for slope, offset in lines]
        found = [gutter for gutter in measured if gutter is not None]
        if found:
            return found
    return []


def _voted_lines(x: np.ndarray, y: np.ndarray, inside: np.ndarray) -> list[tuple[float, float]]:
    """Slopes and offsets of the lines through most of the points (n,), the most first."""
    width = inside.shape[1]
    enough = VOTES * int(inside.any(0).sum())
    if len(x) < enough:
        return []
    stride = -(-len(x) // MOST_VOTERS)
    x, y = (x[::stride] - width / 2).astype(np.float32), y[::stride].astype(np.float32)
    pad = int(LEAN * width / 2) + 2  # keeps every bin number positive
    step = SLOPE_STEP / width
    votes: list[tuple[int, float, float]] = []
    for index in range(-int(LEAN / step), int(LEAN / step) + 1):
        slope = index * step
        tally = np.bincount((y - np.float32(slope) * x + pad).astype(np.int32), minlength=2)
        pair = tally[:-1] + tally[1:]
        for at in np.argsort(pair)[-2:]:
            if pair[at] * stride >= enough:
                votes.append((int(pair[at]), slope, float(at + 1 - pad)))
    votes.sort(key=lambda vote: -vote[0])
    chosen: list[tuple[float, float]] = []
    for _, slope, middle in votes:
        if len(chosen) == MOST_LINES:
            break
        if not any(abs(middle - m) < 5 and abs(slope - s) * width < 10 for s, m in chosen):
            chosen.append((slope, middle))
    return [(slope, middle - slope * width / 2) for slope, middle in chosen]


def measure(
    bands: Bands, left: int, top: int, inside: np.ndarray, slope: float, offset: float, *, refit: bool = True
) -> Gutter | None:
    """Judge the line `y = offset + slope * x` of a part of the page as such a gutter; None when it is none.

    With `refit`, along the middle between its two lines where that can be told.
    """
    height, width = inside.shape
    x = np.arange(width)
    y = np.rint(offset + slope * x).astype(np.intp)
    x, y = x[(y >= 0) & (y < height)], y[(y >= 0) & (y < height)]
    x, y = x[inside[y, x]], y[inside[y, x]]
    if len(x) < SHORTEST:
        return None
    line = offset + slope * x
    at = y + top, x + left
    above, below, dark = bands.above[at] - top - line, bands.below[at] - top - line, bands.dark[at]
    length = below - above - 1
    band = ~dark & (length >= WIDTHS[0]) & (length <= WIDTHS[1] * bands.unit)
    if band.sum() < SHOWN * len(x):
        return None
    up, down = _usual(above[band]), _usual(below[band])
    twin = band & (np.abs(above - up) <= EVEN) & (np.abs(below - down) <= EVEN)
    if refit and twin.sum() >= 8:
        again = np.polyfit(x[twin], (line + (above + below) / 2)[twin], 1)
        better = measure(bands, left, top, inside, float(again[0]), float(again[1]), refit=False)
        if better is not None:
            return better
    whole = twin | (~dark & (above <= up + EVEN) & (below >= down - EVEN))  # a balloon is light beyond either line
    shown, broken, end = float(twin.mean()), float(1 - whole.mean()), max(3, round(END * len(x)))
    beside = min(twin[: 3 * end].mean(), twin[-3 * end :].mean()) < REACHED
    most = BROKEN_BESIDE if beside else BROKEN[shown >= WELL_SHOWN]
    least = SHOWN_NARROW if down - up - 1 < NARROW + 0.5 else WELL_SHOWN if beside else SHOWN
    if shown < least or broken > most * shown or min(whole[:end].mean(), whole[-end:].mean()) < OPEN_END:
        return None
    quality = shown - broken
    return Gutter(slope, offset, 1 - broken, shown, shown, shown, down - up - 1, quality, bands.unit)


def _usual(steps: np.ndarray) -> float:
    """The middle of the two pixels that hold most of the distances (n,)."""
    halves = (2 * (steps - np.floor(steps.min()))).astype(np.intp)
    last = int(np.convolve(np.bincount(halves), np.ones(4)).argmax())
    return float(np.median(steps[(halves > last - 4) & (halves <= last)]))
