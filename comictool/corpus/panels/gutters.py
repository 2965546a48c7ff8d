"""Finding the line that parts a region in two: candidate gutters, straight or slanted, and how good each one is.

A gutter is a band of background with art on both sides whose edges are straight. Candidates come from two places:
rows (or columns) that are mostly background, and lines through the middles of short background runs, voted for in
a sparse Hough space (Duda and Hart, 1972), which finds slanted gutters and gutters that figures or balloons cross.
Every candidate is then measured on the page: how much of it is background, and how straight either edge is.

All geometry here is for nearly horizontal gutters; vertical ones are found on the transposed region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STRAIGHT_WINDOW = 5  # working pixels in which a gutter's edge may wander: hand-drawn frames do
TILT = 0.05  # slope that scanning tilt and loose hands reach (about 3 degrees)
SLANT = 0.7  # slope up to which a gutter still counts as the border between two rows (35 degrees)
REACH = 45  # working pixels to either side of the line in which its edges are sought
OPEN_SHARE = 0.72  # share of a row that must be background for it to be a candidate
CLEAR = 0.98  # share of background of a gutter that nothing crosses
HALF_FRAMED = 0.3  # straightness that either side of a clear gutter must show at least
LEAST_OPEN = 0.5  # share of background under which a line is not measured any further
MOST_VOTERS = 4000  # run middles that vote; art full of specks has far more, and a gutter has one for each column
END = 4  # working pixels at either end of a gutter that must be open: a frame there means the inside of a panel
BLOCKED_END = 0.8  # what quality keeps for each end that is not
VOTES = 0.3  # share of the span that must vote for a slanted line


@dataclass(frozen=True)
class Gutter:
    """A measured gutter `y = offset + slope * x` in a region's own pixels.

    Attributes:
        open_share: share of the line that is background, 0..1.
        upper, lower: share of the span with a straight edge above and below, 0..1.
        width: distance between the edges in working pixels.
        quality: one figure for comparing gutters, 0..1.
        blocked: how many of its two ends are not open.
    """

    slope: float
    offset: float
    open_share: float
    upper: float
    lower: float
    width: float
    quality: float
    blocked: int = 0


def best_gutter(paper: np.ndarray, inside: np.ndarray, *, slanted: bool, longest_run: int) -> Gutter | None:
    """The best nearly horizontal gutter through a region, or None; arguments as for `find_gutters`."""
    return max(find_gutters(paper, inside, slanted=slanted, longest_run=longest_run), key=_quality, default=None)


def _quality(gutter: Gutter) -> float:
    return gutter.quality


def find_gutters(paper: np.ndarray, inside: np.ndarray, *, slanted: bool, longest_run: int) -> list[Gutter]:
    """The nearly horizontal lines through a region that may be gutters, each measured, in no order.

    Args:
        paper: (h, w) bool, background.
        inside: (h, w) bool, the region itself.
        slanted: look at slanted lines only, beyond scanning tilt; otherwise only up to it.
        longest_run: the widest gutter in working pixels that may vote for a slanted line.
    """
    height, width = paper.shape
    if height < 16 or width < 8:
        return []
    lines = [] if slanted else _open_rows(paper, inside)
    lines += _voted_lines(paper, inside, longest_run, (TILT, SLANT) if slanted else (0.0, TILT))
    measured = (measure(paper, inside, slope, offset) for slope, offset in lines)
    return [gutter for gutter in measured if gutter is not None]


def measure(paper: np.ndarray, inside: np.ndarray, slope: float, offset: float) -> Gutter | None:
    """Sample the page along a line and judge it as a gutter; None when it is not worth it."""
    height, width = paper.shape
    x = np.arange(width)
    y = np.rint(offset + slope * x).astype(np.intp)
    within = (y >= 0) & (y < height)
    x, y = x[within], y[within]
    in_region = inside[y, x]
    x, y = x[in_region], y[in_region]
    span = len(x)
    if span < 8 or paper[y, x].mean() < LEAST_OPEN:
        return None
    steps = np.arange(-REACH, REACH + 1)
    rows = y[None, :] + steps[:, None]
    clipped = np.clip(rows, 0, height - 1)
    outside = (rows < 0) | (rows >= height) | ~inside[clipped, x[None, :]]
    open_pixels = paper[clipped, x[None, :]] | outside
    centre_open = open_pixels[REACH]
    up = _first_closed(open_pixels[REACH::-1])
    down = _first_closed(open_pixels[REACH:])
    upper, above = _straightest(up[centre_open], span)
    lower, below = _straightest(down[centre_open], span)
    framed = (np.abs(up - above) <= STRAIGHT_WINDOW // 2) | (np.abs(down - below) <= STRAIGHT_WINDOW // 2)
    open_share = float(centre_open.mean())
    blocked = int(not centre_open[:END].all()) + int(not centre_open[-END:].all())
    # Where something crosses the gutter its edges are hidden too: they are judged where the gutter is open.
    edges = (0.25 * (upper + lower) + 0.5 * max(upper, lower)) / max(open_share, 0.5)
    quality = BLOCKED_END**blocked * open_share**1.5 * min(1.0, edges)
    if open_share >= CLEAR and not blocked and min(upper, lower) >= HALF_FRAMED:
        # Panels without a frame beside framed ones: some panel's edge runs along every part of the gutter.
        quality = max(quality, float((framed & centre_open).mean()) * 0.8)
    return Gutter(slope, offset, open_share, upper, lower, float(above + below - 1), quality, blocked)


def _first_closed(open_pixels: np.ndarray) -> np.ndarray:
    """For each column the number of steps to the first closed pixel; `REACH + 1` when there is none."""
    closed = ~open_pixels
    steps = closed.argmax(0)
    return np.where(closed.any(0), steps, REACH + 1)


def _straightest(steps: np.ndarray, span: int) -> tuple[float, int]:
    """The share of columns whose edge lies in one narrow window, and the distance of that window."""
    counts = np.bincount(steps, minlength=REACH + 2)[: REACH + 1].astype(np.float64)
    counts[0] = 0.0
    sums = np.convolve(counts, np.ones(STRAIGHT_WINDOW))  # sums[i] = counts[i - window + 1] + ... + counts[i]
    last = int(sums.argmax())
    if sums[last] == 0:
        return 0.0, 1
    begin = max(0, last - STRAIGHT_WINDOW + 1)
    part = counts[begin : last + 1]
    at = begin + int(np.searchsorted(np.cumsum(part), 0.5 * part.sum()))
    return float(sums[last]) / span, at


def _open_rows(paper: np.ndarray, inside: np.ndarray) -> list[tuple[float, float]]:
    """Horizontal lines in the middle of bands of rows that are mostly background, away from the region's ends."""
    total = inside.sum(1)
    share = (paper & inside).sum(1) / np.maximum(total, 1)
    share[total < 0.3 * total.max()] = 0.0
    lines = []
    for level in (OPEN_SHARE, 0.85, 0.95):
        for start, stop in _runs(share >= level):
            if start > 2 and stop < len(share) - 2:
                if stop - start <= 2 * REACH:
                    lines.append((0.0, (start + stop - 1) / 2))
                else:
                    lines += [(0.0, start + REACH / 2), (0.0, stop - REACH / 2)]
    return list(dict.fromkeys(lines))


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _voted_lines(
    paper: np.ndarray, inside: np.ndarray, longest_run: int, slopes: tuple[float, float]
) -> list[tuple[float, float]]:
    """Lines, as steep as `slopes` says, through the middles of short background runs that have art at both ends."""
    height, width = paper.shape
    open_pixels = (paper | ~inside).T
    padded = np.zeros((width, height + 2), dtype=np.int8)
    padded[:, 1:-1] = open_pixels
    change = np.diff(padded, axis=1)
    columns, starts = np.nonzero(change == 1)
    stops = np.nonzero(change == -1)[1]
    length = stops - starts
    last = np.maximum(stops - 1, 0)
    bounded = (starts > 2) & (stops < height - 2) & inside[starts, columns] & inside[last, columns]
    keep = bounded & (length <= longest_run) & (length >= 2)
    x = columns[keep].astype(np.float32)
    y = (starts[keep] + stops[keep] - 1).astype(np.float32) / 2
    if len(x) < VOTES * width:
        return []
    stride = -(-len(x) // MOST_VOTERS)
    x, y = x[::stride], y[::stride]
    enough = VOTES * width / stride
    centre = width / 2
    step = 2.5 / max(width, 1)
    floor = int(0.5 * slopes[1] * width) + 2  # keeps every bin number positive
    votes: list[tuple[float, float, float]] = []
    for index in range(-int(slopes[1] / step), int(slopes[1] / step) + 1):
        slope = index * step
        if abs(slope) < slopes[0]:
            continue
        tally = np.bincount(((y - slope * (x - centre)) * 0.5).astype(np.int32) + floor)
        pair = tally[:-1] + tally[1:] if len(tally) > 1 else tally
        top = int(pair.argmax())
        if pair[top] >= enough:
            votes.append((float(pair[top]), slope, (top + 1 - floor) * 2.0))
    votes.sort(key=lambda vote: -vote[0])
    chosen: list[tuple[float, float]] = []
    for _, slope, middle in votes:
        if len(chosen) == 4:
            break
        near = any(abs(middle - m) < 8 and abs(slope - s) * width < 16 for s, m in chosen)
        if not near:
            chosen.append((slope, middle))
    return [(slope, middle - slope * centre) for slope, middle in chosen]
