"""Panel layouts: where the panels of a page lie, in reading order.

Layouts are made for reading from left to right. For right-to-left pages the finished layout is mirrored, which keeps
the order exact by construction. All coordinates are page pixels.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from comictool.drawn.canvas import Point


@dataclass(frozen=True)
class Cell:
    """One panel's area. `kind`: framed, open (no frame, no background), bare (a frame and no background), bleed (runs
    off the page), inset."""

    corners: tuple[Point, Point, Point, Point]  # clockwise from the top left
    kind: str = "framed"

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """The upright box around the cell."""
        xs, ys = [p[0] for p in self.corners], [p[1] for p in self.corners]
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def slanted(self) -> bool:
        """Whether the cell is not an upright rectangle."""
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = self.corners
        return abs(ax - dx) > 0.5 or abs(bx - cx) > 0.5 or abs(ay - by) > 0.5 or abs(cy - dy) > 0.5

    def mirrored(self, width: float) -> Cell:
        """The cell on a page read the other way round."""
        a, b, c, d = ((width - x, y) for x, y in self.corners)
        return replace(self, corners=(b, a, d, c))


@dataclass(frozen=True)
class Area:
    """What a layout fills: the page inside its margins, and the gutter width."""

    x0: float
    y0: float
    x1: float
    y1: float
    gutter: float

    @property
    def width(self) -> float:
        """Pixels across."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Pixels down."""
        return self.y1 - self.y0


def make_layout(rng: random.Random, family: str, area: Area, direction: str, page_width: float) -> list[Cell]:
    """The cells of one page in reading order.

    Args:
        rng: the page's stream.
        family: one of `FAMILIES`.
        area: margins and gutter.
        direction: ltr, rtl or ttb.
        page_width: to mirror about, for rtl.
    """
    cells = FAMILIES[family](rng, area)
    return [cell.mirrored(page_width) for cell in cells] if direction == "rtl" else cells


def rectangle(x0: float, y0: float, x1: float, y1: float, kind: str = "framed") -> Cell:
    """An upright cell."""
    return Cell(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), kind)


def _shares(rng: random.Random, count: int, spread: float) -> list[float]:
    """Positive parts that add up to 1, unequal by up to `spread`."""
    parts = [1.0 + rng.uniform(-spread, spread) for _ in range(count)]
    total = sum(parts)
    return [part / total for part in parts]


def _cuts(start: float, end: float, shares: list[float], gutter: float) -> list[tuple[float, float]]:
    """Intervals of the given shares with gutters between."""
    room = end - start - gutter * (len(shares) - 1)
    out, at = [], start
    for share in shares:
        out.append((at, at + room * share))
        at += room * share + gutter
    return out


def _grid(rng: random.Random, area: Area) -> list[Cell]:
    rows, columns = rng.choice(((2, 2), (3, 2), (3, 2), (4, 2), (3, 3), (2, 3)))
    tops = _cuts(area.y0, area.y1, [1 / rows] * rows, area.gutter)
    lefts = _cuts(area.x0, area.x1, [1 / columns] * columns, area.gutter)
    return [rectangle(x0, y0, x1, y1) for y0, y1 in tops for x0, x1 in lefts]


def _tiers(rng: random.Random, area: Area) -> list[Cell]:
    rows = rng.choice((2, 3, 3, 3, 4))
    cells = []
    last = 0
    for y0, y1 in _cuts(area.y0, area.y1, _shares(rng, rows, 0.3), area.gutter):
        count = rng.choice([n for n in ((1, 2, 3) if rows > 2 else (1, 2)) if n != last])
        if (y1 - y0) > 1.2 * area.width / max(1, count) and count == 3:
            count = 2
        last = count
        cells += [
            rectangle(x0, y0, x1, y1) for x0, x1 in _cuts(area.x0, area.x1, _shares(rng, count, 0.35), area.gutter)
        ]
    return cells


def _tall(rng: random.Random, area: Area) -> list[Cell]:
    """A tall panel beside a stack, with a wide tier above or below."""
    stack = rng.choice((2, 2, 3))
    share = rng.uniform(0.36, 0.5)
    wide = rng.choice(("top", "bottom", "none"))
    parts = {"top": [0.3, 0.7], "bottom": [0.68, 0.32], "none": [1.0]}[wide]
    intervals = _cuts(area.y0, area.y1, parts, area.gutter)
    y0, y1 = intervals[-1] if wide == "top" else intervals[0]
    tall_first = rng.random() < 0.5
    columns = _cuts(area.x0, area.x1, [share, 1 - share] if tall_first else [1 - share, share], area.gutter)
    (tx0, tx1), (sx0, sx1) = columns if tall_first else (columns[1], columns[0])
    tall = [rectangle(tx0, y0, tx1, y1)]
    pile = [rectangle(sx0, a, sx1, b) for a, b in _cuts(y0, y1, _shares(rng, stack, 0.2), area.gutter)]
    cells = tall + pile if tall_first else pile + tall
    if wide == "none":
        return cells
    a, b = intervals[0] if wide == "top" else intervals[-1]
    tier = [
        rectangle(x0, a, x1, b)
        for x0, x1 in _cuts(area.x0, area.x1, _shares(rng, rng.choice((1, 2)), 0.3), area.gutter)
    ]
    return tier + cells if wide == "top" else cells + tier


def _inset(rng: random.Random, area: Area) -> list[Cell]:
    """A big panel with small ones laid over its lower edge or corner, then perhaps a tier."""
    deep = rng.choice((1.0, 0.72))
    (y0, y1), *rest = _cuts(area.y0, area.y1, [deep, 1 - deep] if deep < 1 else [1.0], area.gutter)
    cells = [rectangle(area.x0, y0, area.x1, y1)]
    count = rng.choice((1, 2, 3))
    pad = 0.03 * area.width
    high = (y1 - y0) * rng.uniform(0.22, 0.3)
    if count == 1:
        w = area.width * rng.uniform(0.36, 0.46)
        cells.append(rectangle(area.x1 - pad - w, y1 - pad - high, area.x1 - pad, y1 - pad, "inset"))
    else:
        for x0, x1 in _cuts(area.x0 + pad, area.x1 - pad, _shares(rng, count, 0.15), 0.025 * area.width):
            cells.append(rectangle(x0, y1 - pad - high, x1, y1 - pad, "inset"))
    for a, b in rest:
        cells += [rectangle(x0, a, x1, b) for x0, x1 in _cuts(area.x0, area.x1, _shares(rng, 2, 0.25), area.gutter)]
    return cells


def _bleed(rng: random.Random, area: Area) -> list[Cell]:
    """A tier that runs off three sides of the page, the others inside the margins."""
    gap = max(10.0, area.gutter)
    rows = _cuts(area.y0, area.y1, rng.choice(([0.46, 0.54], [0.4, 0.3, 0.3], [0.3, 0.3, 0.4])), gap)
    at = rng.choice((0, len(rows) - 1))
    cells = []
    for index, (y0, y1) in enumerate(rows):
        if index == at:
            top = -BEYOND if index == 0 else y0
            bottom = y1 if index == 0 else area.y1 + area.y0 + BEYOND
            cells.append(rectangle(-BEYOND, top, area.x1 + area.x0 + BEYOND, bottom, "bleed"))
        else:
            spans = _cuts(area.x0, area.x1, _shares(rng, rng.choice((2, 2, 3)), 0.25), gap)
            cells += [rectangle(x0, y0, x1, y1) for x0, x1 in spans]
    return cells


def _slanted(rng: random.Random, area: Area) -> list[Cell]:
    """Tiers whose gutters lean."""
    rows = rng.choice((2, 3, 3, 4))
    half = max(3.0, area.gutter) / 2
    levels = [area.y0]
    for share in _shares(rng, rows, 0.2)[:-1]:
        levels.append(levels[-1] + share * area.height)
    levels.append(area.y1)
    tilts = [0.0, *(rng.choice((0.0, 1.0, -1.0)) * rng.uniform(0.02, 0.05) * area.height for _ in range(rows - 1)), 0.0]

    def level(index: int, x: float) -> float:
        share = (x - area.x0) / area.width - 0.5
        return levels[index] + tilts[index] * share

    cells = []
    for row in range(rows):
        count = rng.choice((1, 2, 2, 3))
        spans = [area.x0]
        for share in _shares(rng, count, 0.2)[:-1]:
            spans.append(spans[-1] + share * area.width)
        spans.append(area.x1)
        leans = [0.0, *(rng.choice((-1, 1)) * rng.uniform(0.03, 0.09) * area.width for _ in range(count - 1)), 0.0]
        top_gap = half if row else 0.0
        low_gap = half if row < rows - 1 else 0.0
        for i in range(count):
            left_gap, right_gap = (half if i else 0.0), (half if i < count - 1 else 0.0)
            ul, ur = spans[i] + leans[i] / 2 + left_gap, spans[i + 1] + leans[i + 1] / 2 - right_gap
            ll, lr = spans[i] - leans[i] / 2 + left_gap, spans[i + 1] - leans[i + 1] / 2 - right_gap
            cells.append(
                Cell(
                    (
                        (ul, level(row, ul) + top_gap),
                        (ur, level(row, ur) + top_gap),
                        (lr, level(row + 1, lr) - low_gap),
                        (ll, level(row + 1, ll) - low_gap),
                    )
                )
            )
    return cells


def _strip(rng: random.Random, area: Area) -> list[Cell]:
    """Webtoon: one column, wide gaps, panels of changing width, some running to the edge."""
    count = rng.choice((2, 3, 3, 4))
    gap = rng.uniform(0.035, 0.08) * area.height
    cells = []
    for y0, y1 in _cuts(area.y0, area.y1, _shares(rng, count, 0.35), gap):
        kind = rng.choice(("wide", "wide", "left", "right", "edge"))
        if kind == "edge":
            cells.append(rectangle(-BEYOND, y0, area.x1 + area.x0 + BEYOND, y1, "bleed"))
        else:
            cut = area.width * rng.uniform(0.1, 0.3)
            cells.append(rectangle(area.x0 + cut * (kind == "right"), y0, area.x1 - cut * (kind == "left"), y1))
    return cells


def _splash(rng: random.Random, area: Area) -> list[Cell]:
    """One panel fills the page, inside the margins or off its edges."""
    if rng.random() < 0.5:
        return [rectangle(-BEYOND, -BEYOND, area.x1 + area.x0 + BEYOND, area.y1 + area.y0 + BEYOND, "bleed")]
    return [rectangle(area.x0, area.y0, area.x1, area.y1)]


def _open(rng: random.Random, area: Area) -> list[Cell]:
    """Tiers of which some panels have neither frame nor background."""
    wide = replace(area, gutter=max(area.gutter, 22.0))
    cells = _tiers(rng, wide)
    while len(cells) < 3:
        cells = _tiers(rng, wide)
    chosen = rng.sample(range(len(cells)), max(1, len(cells) // 3))
    return [replace(cell, kind="open") if index in chosen else cell for index, cell in enumerate(cells)]


BARE = ("open", "bare")  # kinds that show figures before the bare paper
BEYOND = 12.0  # how far a bleeding panel's drawing runs past the page edge
FAMILIES: dict[str, Callable[[random.Random, Area], list[Cell]]] = {
    "grid": _grid,
    "tiers": _tiers,
    "tall": _tall,
    "inset": _inset,
    "bleed": _bleed,
    "slanted": _slanted,
    "strip": _strip,
    "splash": _splash,
    "open": _open,
}
