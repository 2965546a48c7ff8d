"""Finding the line that parts a region in two: candidate gutters, straight or slanted, and how good each one is.

A gutter is a band of background with art on both sides whose edges are straight. Candidates come from two places:
rows (or columns) that are mostly background, and lines through the middles of short background runs, voted for in
a sparse Hough space (Duda and Hart, 1972), which finds slanted gutters and gutters that figures or balloons cross.
Every candidate is then measured on the page: how much of it is background, and how straight either edge is.

All geometry here is for nearly horizontal gutters; vertical ones are found on the transposed page. Lengths named
"units" are 1/710 of the page's longer side (`cells.unit`), so that they mean the same at every resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from comictool.panels.planes import counts

STRAIGHT_WINDOW = 5  # units in which a gutter's edge may wander: hand-drawn frames do
TILT = 0.05  # slope that scanning tilt and loose hands reach (about 3 degrees)
SLANT = 0.7  # slope up to which a gutter still counts as the border between two rows (35 degrees)
REACH = 45  # units to either side of the line in which its edges are sought; those of open rows at any distance
OPEN_SHARE = 0.72  # share of a row that must be background for it to be a candidate
CLEAR = 0.98  # share of background of a gutter that nothing crosses
NARROW = 5  # units; a narrower band may be a pair of strokes
CERTAIN = (0.65, 0.85)  # share of the span with both edges straight, of a narrow one: lines through art show .5
HALF_FRAMED = 0.3  # straightness that either side of a clear gutter must show at least
WIDE = 0.5  # straightness of both edges of a gutter wider than twice that; the white in a panel has less
LEAST_OPEN = 0.35  # share of background under which a line is not measured any further: a balloon over 60 % of it
MOST_VOTERS = 3000  # run middles that vote; art full of specks has far more, and a gutter has one for each column
END = 4  # units at either end of a gutter that must be open: a frame there means the inside of a panel
BLOCKED_END = 0.8  # what quality keeps for each end that is not
LASTING = 8  # units sideways that a run must go on with hardly another beginning and end: screentone does not
FRAMED_END = 0.6  # the same for an end that only a line closes, which is the frame of a panel around it
END_LINE = 7  # units that such a line is thick at most, as `lines.WIDTHS`; balloons and figures are wider
VOTES = 0.3  # share of the span that must vote for a slanted line
SLOPE_STEP = 4.0  # pixels that two neighbouring slopes of the Hough space differ by over the span; refitting mends it
BIN = 3.0  # pixels; the width of its bins, of which two neighbours count together
MOST_LINES = 6  # best voted lines that are measured


@dataclass(frozen=True)
class Gutter:
    """A measured gutter `y = offset + slope * x` in a region's own pixels.

    Attributes:
        open_share: share of the line that is background, 0..1.
        upper, lower: share of the span with a straight edge above and below, 0..1.
        both: share of the span with straight edges above and below at once, 0..1.
        width: distance between the edges in working pixels.
        quality: one figure for comparing gutters, 0..1.
        unit: pixels per unit.
        blocked: how many of its two ends are not open.
        hidden: share of the span, in one piece, along which not both edges show: what a balloon lies over.
        framed: how many of them are closed by no more than a line: door posts and floors end at the panel's frame.
    """

    slope: float
    offset: float
    open_share: float
    upper: float
    lower: float
    both: float
    width: float
    quality: float
    unit: float
    blocked: int = 0
    framed: int = 0
    hidden: float = 0.0

    @property
    def certain(self) -> bool:
        """Whether nothing but a gutter looks like this: open from end to end between two straight edges."""
        narrow = self.width < NARROW * self.unit
        return self.both >= CERTAIN[narrow] and self.open_share >= CLEAR and not self.blocked


class Plane:
    """A page's background along one axis, prepared once so that a line is measured with a few look-ups.

    Attributes:
        paper: (h, w) bool, True where it is open.
        unit: pixels per unit.
        ends: (n,) where open runs of columns begin and end in turn, as `column * (h + 2) + row`, ascending.
        runs: columns, first rows and rows after the last (n,) of the open runs that go on sideways, columns ascending.
    """

    def __init__(self, paper: np.ndarray, unit: float) -> None:
        self.paper, self.unit = paper, unit
        height, width = paper.shape
        turned = np.zeros((width, height + 2), dtype=bool)
        turned[:, 1:-1] = paper.T
        flat = turned.ravel()
        self.ends = np.flatnonzero(flat[1:] != flat[:-1])
        columns, starts = np.divmod(self.ends[::2], height + 2)
        stops = self.ends[1::2] - columns * (height + 2)
        lasting = _lasting(columns, starts, stops, max(2, int(LASTING * unit)), height)
        self.runs = columns[lasting], starts[lasting], stops[lasting]

    def steps(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows from points (n,) to the nearest closed pixel above and below.

        0 where the point is closed itself, and more than the rows there are where there is none.
        """
        height = self.paper.shape[0]
        if not len(self.ends):
            return np.zeros_like(y), np.zeros_like(y)
        first = x * (height + 2)
        number = np.searchsorted(self.ends, first + y, side="right")
        is_open = number % 2 == 1
        number = np.where(is_open, number, 1)
        start, stop = self.ends[number - 1] - first, self.ends[number] - first
        up = np.where(start > 0, y - start + 1, 2 * height)
        down = np.where(stop < height, stop - y, 2 * height)
        return np.where(is_open, up, 0), np.where(is_open, down, 0)


def _lasting(columns: np.ndarray, starts: np.ndarray, stops: np.ndarray, length: int, height: int) -> np.ndarray:
    """Which runs are part of a chain of at least `length` runs in neighbouring columns, (n,) bool."""
    count = len(columns)
    if count == 0:
        return np.zeros(0, dtype=bool)
    wide = 2 * (height + 2)
    keys = columns * wide + starts + stops  # a run by its column and twice its middle, ascending
    wanted = keys + wide
    right = np.clip(np.searchsorted(keys, wanted), 0, count - 1)
    left = np.maximum(right - 1, 0)
    following = np.where(np.abs(keys[left] - wanted) < np.abs(keys[right] - wanted), left, right)
    linked = (columns[following] == columns + 1) & (np.abs(starts[following] - starts) <= 1)
    linked &= np.abs(stops[following] - stops) <= 1
    following = np.append(np.where(linked, following, count), count)  # `count` is the end of every chain
    jump, power, left_to_go = np.arange(count + 1), following, length - 1
    while left_to_go:
        if left_to_go & 1:
            jump = power[jump]
        power, left_to_go = power[power], left_to_go >> 1
    lasting = jump < count
    for _ in range(length - 1):  # what a long enough chain begins with is handed on to its end
        handed = np.zeros(count + 1, dtype=bool)
        handed[following[lasting]] = True
        lasting = lasting | handed
    return lasting[:count]


@dataclass(frozen=True)
class Region:
    """A part of a plane in which gutters are sought.

    Attributes:
        plane: of the whole page.
        left, top: of the part.
        inside: (h, w) bool; every column of it is in one piece.
    """

    plane: Plane
    left: int
    top: int
    inside: np.ndarray

    @cached_property
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The first row and the row after the last of every column, (w,) each; equal where there is none."""
        height, width = self.inside.shape
        if self.inside.all():
            return np.zeros(width, dtype=np.intp), np.full(width, height, dtype=np.intp)
        first = self.inside.argmax(0)
        after = height - self.inside[::-1].argmax(0)
        return first, np.where(self.inside.any(0), after, first)


def best_gutter(region: Region, *, slanted: bool, longest_run: int) -> Gutter | None:
    """The best nearly horizontal gutter through a region, or None; arguments as for `find_gutters`."""
    return max(find_gutters(region, slanted=slanted, longest_run=longest_run), key=_quality, default=None)


def _quality(gutter: Gutter) -> float:
    return gutter.quality


def find_gutters(region: Region, *, slanted: bool, longest_run: int) -> list[Gutter]:
    """The nearly horizontal lines through a region that may be gutters, each measured, in no order.

    Args:
        region: where.
        slanted: look at slanted lines only, beyond scanning tilt; otherwise only up to it.
        longest_run: the widest gutter in working pixels that may vote for a slanted line.
    """
    height, width = region.inside.shape
    if height < 16 or width < 8:
        return []
    limits = region.limits
    found = [] if slanted else [measure(region, limits, 0.0, row, far=True) for row in _open_rows(region)]
    for slope, offset in _voted_lines(region, limits, longest_run, (TILT, SLANT) if slanted else (0.0, TILT)):
        found.append(measure(region, limits, slope, offset, refit=True))
    return [gutter for gutter in found if gutter is not None]


def measure(
    region: Region,
    limits: tuple[np.ndarray, np.ndarray],
    slope: float,
    offset: float,
    *,
    far: bool = False,
    refit: bool = False,
) -> Gutter | None:
    """Sample the page along a line and judge it as a gutter; None when it is not worth it.

    Args:
        region, limits: where, and `region.limits`.
        slope, offset: the line in the region's pixels.
        far: seek its edges at any distance.
        refit: measure again along the line through the middle between the edges when that is another one.
    """
    plane = region.plane
    height, width = region.inside.shape
    first, after = limits
    x = np.arange(width)
    y = np.rint(offset + slope * x).astype(np.intp)
    within = (y >= first) & (y < after)
    x, y = x[within], y[within]
    span = len(x)
    if span < 8:
        return None
    at = y + region.top, x + region.left
    up, down = plane.steps(*at)
    centre_open = up > 0
    open_share = float(centre_open.mean())
    if open_share < LEAST_OPEN:
        return None
    reach = height if far else int(REACH * plane.unit)
    window = max(3, round(STRAIGHT_WINDOW * plane.unit))
    up = np.where((up > reach) | (up > y - first[x]), reach + 1, up)
    down = np.where((down > reach) | (down >= after[x] - y), reach + 1, down)
    upper, above = _straightest(up[centre_open], span, reach, window)
    lower, below = _straightest(down[centre_open], span, reach, window)
    on_upper, on_lower = np.abs(up - above) <= window // 2, np.abs(down - below) <= window // 2
    pair = on_upper & on_lower & centre_open
    if refit and pair.sum() >= 8:
        again = np.polyfit(x[pair], y[pair] + (down[pair] - up[pair]) / 2, 1)
        if abs(again[1] - offset) > 1 or abs((again[0] - slope) * width + again[1] - offset) > 1:
            better = measure(region, limits, float(again[0]), float(again[1]))
            if better is not None and better.both >= pair.mean():
                return better
    end = max(1, round(END * plane.unit))
    # A gutter of two pixels between corners that are not quite square is open beside its middle.
    over, under = np.maximum(at[0] - 1, 0), np.minimum(at[0] + 1, len(plane.paper) - 1)
    opened = centre_open | plane.paper[over, at[1]] | plane.paper[under, at[1]]
    closed = [_closed_at_end(opened, end), _closed_at_end(opened[::-1], end)]
    at_edge = at[1][0] <= 2 * end, at[1][-1] >= plane.paper.shape[1] - 2 * end  # no frame goes on there
    blocked = sum(run > 0 for run in closed)
    lines = sum(0 < run <= END_LINE * plane.unit and not edge for run, edge in zip(closed, at_edge, strict=True))
    # Where something crosses the gutter its edges are hidden too: they are judged where the gutter is open.
    edges = (0.25 * (upper + lower) + 0.5 * max(upper, lower)) / max(open_share, 0.5)
    quality = BLOCKED_END ** (blocked - lines) * FRAMED_END**lines * open_share**1.5 * min(1.0, edges)
    if open_share >= CLEAR and not blocked and min(upper, lower) >= HALF_FRAMED:
        # Panels without a frame beside framed ones: some panel's edge runs along every part of the gutter.
        quality = max(quality, float(((on_upper | on_lower) & centre_open).mean()) * 0.8)
    both = float(pair.mean())
    if above + below > 2 * REACH * plane.unit and (blocked or min(upper, lower) < WIDE):
        return None
    return Gutter(
        slope,
        offset,
        open_share,
        upper,
        lower,
        both,
        float(above + below - 1),
        quality,
        plane.unit,
        blocked,
        lines,
        max((b - a for a, b in _runs(~pair)), default=0) / span,
    )


def _closed_at_end(opened: np.ndarray, end: int) -> int:
    """The length of the closed run that begins within the first `end` pixels of a line (n,) bool; 0 without one."""
    if opened[:end].all():
        return 0
    rest = opened[int(opened.argmin()) :]
    return int(rest.argmax()) if rest.any() else len(rest)


def _straightest(steps: np.ndarray, span: int, reach: int, window: int) -> tuple[float, int]:
    """The share of columns whose edge lies in one narrow window, and the distance of that window."""
    counts = np.bincount(steps, minlength=reach + 2)[: reach + 1].astype(np.float64)
    counts[0] = 0.0
    sums = np.cumsum(counts)
    sums[window:] -= sums[:-window].copy()  # sums[i] = counts[i - window + 1] + ... + counts[i]
    last = int(sums.argmax())
    if sums[last] <= 0:
        return 0.0, 1
    begin = max(0, last - window + 1)
    part = counts[begin : last + 1]
    at = begin + int(np.searchsorted(np.cumsum(part), 0.5 * part.sum()))
    return float(sums[last]) / span, at


def _open_rows(region: Region) -> list[float]:
    """Rows in the middle of bands of rows that are mostly background, away from the region's ends."""
    height, width = region.inside.shape
    paper = region.plane.paper[region.top : region.top + height, region.left : region.left + width]
    total = counts(region.inside, 1)
    opened = counts(paper & region.inside, 1) / np.maximum(total, 1)
    opened[total < 0.3 * total.max()] = 0.0
    rows: list[float] = []
    for level in (OPEN_SHARE, 0.85, 0.95):
        rows += [(a + b - 1) / 2 for a, b in _runs(opened >= level) if a > 2 and b < len(opened) - 2]
    return list(dict.fromkeys(rows))


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _voted_lines(
    region: Region, limits: tuple[np.ndarray, np.ndarray], longest_run: int, slopes: tuple[float, float]
) -> list[tuple[float, float]]:
    """Lines, as steep as `slopes` says, through the middles of short background runs that have art at both ends."""
    width = region.inside.shape[1]
    columns, starts, stops = region.plane.runs
    part = slice(*np.searchsorted(columns, (region.left, region.left + width)))
    columns, starts, stops = columns[part] - region.left, starts[part] - region.top, stops[part] - region.top
    length = stops - starts
    keep = (length <= longest_run) & (length >= 2)
    keep &= (starts > limits[0][columns] + 2) & (stops < limits[1][columns] - 2)
    x = columns[keep].astype(np.float32)
    y = (starts[keep] + stops[keep] - 1).astype(np.float32) / 2
    if len(x) < VOTES * width:
        return []
    stride = -(-len(x) // MOST_VOTERS)
    x, y = x[::stride], y[::stride]
    enough = VOTES * width / stride
    centre = width / 2
    step = SLOPE_STEP / max(width, 1)
    floor = int(slopes[1] * width / BIN / 2) + 2  # keeps every bin number positive
    x, y = (x - centre) / BIN, y / BIN + floor
    votes: list[tuple[float, float, float]] = []
    for index in range(-int(slopes[1] / step), int(slopes[1] / step) + 1):
        slope = index * step
        if abs(slope) < slopes[0]:
            continue
        tally = np.bincount((y - np.float32(slope) * x).astype(np.int32))
        pair = tally[:-1] + tally[1:] if len(tally) > 1 else tally
        top = int(pair.argmax())
        if pair[top] >= enough:
            votes.append((float(pair[top]), slope, (top + 1 - floor) * BIN))
    votes.sort(key=lambda vote: -vote[0])
    chosen: list[tuple[float, float]] = []
    for _, slope, middle in votes:
        if len(chosen) == MOST_LINES:
            break
        near = any(abs(middle - m) < 8 and abs(slope - s) * width < 16 for s, m in chosen)
        if not near:
            chosen.append((slope, middle))
    return [(slope, middle - slope * centre) for slope, middle in chosen]
