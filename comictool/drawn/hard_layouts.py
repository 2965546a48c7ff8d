"""Layouts that are hard to cut into panels, asked for by name: manga, 4-koma, strips, and what else real pages do.

As in `layout`, cells are made for reading from left to right and mirrored for right-to-left pages. Gutters are in page
pixels whatever the page's size, for it is the few pixels that make them hard.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from comictool.drawn.canvas import Point
from comictool.drawn.layout import Area, Cell, rectangle

THIN = (4.0, 8.0)  # gutters between the panels of a row, pixels: 4 to 7 in print at 1200x1698, 4 to 8 at 600x837
_OFF = 6.0  # how far a bleeding panel's drawing runs past the page edge; screens reach 40 pixels, figures stand out too
Sides = tuple[float, float, float, float]


@dataclass(frozen=True)
class Arranged:
    """The panels of a page and what else lies on its paper.

    Attributes:
        cells: in reading order.
        black: rows of the page that are black from side to side, from and to; None on white paper.
        ring: box of a line round all panels, or None.
        panels: whether the cells count as panels; one picture over the whole page is none.
    """

    cells: list[Cell]
    black: tuple[float, float] | None = None
    ring: Sides | None = None
    panels: bool = True


def arrange(rng: random.Random, layout: str, area: Area, direction: str, size: tuple[int, int]) -> Arranged:
    """Lay out one page.

    Args:
        rng: the page's stream.
        layout: one of `plan.LAYOUTS`.
        area: the page inside its margins; its gutter is not used.
        direction: ltr, rtl or ttb.
        size: width and height of the page.
    """
    made = _MAKERS[layout](rng, replace(area, gutter=rng.uniform(*THIN)), size)
    if direction != "rtl":
        return made
    return replace(made, cells=[cell.mirrored(size[0]) for cell in made.cells])


def _manga(rng: random.Random, area: Area, size: tuple[int, int]) -> Arranged:
    """Upright or slightly slanted rows with thin gutters between columns, some of them running off some sides."""
    slanted = rng.random() < 0.25
    rows = _rows(rng, area, tilt=0.02 * slanted, lean=0.05 * slanted, row_gap=rng.uniform(1, 4) * area.gutter)
    bled = _bleed(rng, rows, size, sides=rng.choice((0, 1, 1, 2, 2, 3)), share=0.75)
    return Arranged(_loosened(rng, bled, share=0.12))


def _slanted(rng: random.Random, area: Area, size: tuple[int, int]) -> Arranged:
    """Rows and columns that lean, on small pages off all four sides."""
    rows = _rows(rng, area, tilt=0.07, lean=0.12, row_gap=rng.uniform(1, 1.6) * area.gutter)
    bled = _bleed(rng, rows, size, sides=rng.choice((2, 3, 4, 4)), share=0.85)
    black = (0.0, float(size[1])) if rng.random() < 0.12 else None
    return Arranged(_loosened(rng, bled, share=0.08), black=black)


def _black(rng: random.Random, area: Area, size: tuple[int, int]) -> Arranged:
    """White paper above and black below, or the other way round, or black gutters everywhere."""
    wide = replace(area, gutter=rng.uniform(6, 16))
    rows = _rows(rng, wide, row_gap=rng.uniform(1, 2) * wide.gutter)
    at = rng.randrange(1, len(rows))
    middle = (max(c.bounds[3] for c in rows[at - 1]) + min(c.bounds[1] for c in rows[at])) / 2
    black = rng.choice(((middle, float(size[1])), (middle, float(size[1])), (0.0, middle), (0.0, float(size[1]))))
    return Arranged(_bleed(rng, rows, size, sides=rng.choice((0, 0, 1, 2)), share=0.8), black=black)


def _pencil(rng: random.Random, area: Area, size: tuple[int, int]) -> Arranged:
    """Rows with little in them."""
    wide = replace(area, gutter=rng.uniform(8, 20))
    rows = _rows(rng, wide, row_gap=wide.gutter)
    return Arranged(_loosened(rng, _bleed(rng, rows, size, sides=0, share=0.0), share=0.4, open_share=0.0))


def _ring(rng: random.Random, area: Area, size: tuple[int, int]) -> Arranged:
    """Rows with a thin line round all of them."""
    wide = replace(area, gutter=rng.uniform(8, 28))
    gap = rng.uniform(6, 20)
    inner = Area(wide.x0 + gap, wide.y0 + gap, wide.x1 - gap, wide.y1 - gap, wide.gutter)
    cells = [cell for row in _rows(rng, inner, row_gap=wide.gutter) for cell in row]
    return Arranged(cells, ring=(wide.x0, wide.y0, wide.x1, wide.y1))


def _yonkoma(rng: random.Random, area: Area, size: tuple[int, int]) -> Arranged:
    """Two strips of four panels side by side, each read down, sometimes with room for a title above."""
    between = rng.uniform(0.02, 0.09) * size[0]
    gap = rng.uniform(8, 18)
    top = area.y0 + rng.choice((0.0, 0.05, 0.08)) * size[1]
    high = (area.y1 - top - 3 * gap) / 4
    wide = (area.width - between) / 2
    cells = []
    for x in (area.x0, area.x0 + wide + between):
        cells += [rectangle(x, y, x + wide, y + high) for y in (top + i * (high + gap) for i in range(4))]
    return Arranged(cells)


def _webtoon(rng: random.Random, area: Area, size: tuple[int, int]) -> Arranged:
    """A strip: panels of other widths, 100 to 600 pixels apart, cut by the slice above and below or whole."""
    width, height = size
    sliced = rng.random() < 0.5
    y = -_OFF if sliced and rng.random() < 0.7 else rng.uniform(20, 160)
    cells: list[Cell] = []
    while True:
        tall = width * rng.uniform(0.45, 1.1)
        cut = sliced and y + tall > height - 40
        if y + tall > height - 20 and not cut and cells:
            break
        bottom = height + _OFF if cut else min(y + tall, height - 20)
        edge = rng.random() < 0.25
        narrow = width * rng.uniform(0.04, 0.45)
        left = rng.choice((0.05, 0.5, 0.95)) * narrow
        x0, x1 = (-_OFF, width + _OFF) if edge else (left, width - narrow + left)
        if bottom - y < 60:
            break
        cells.append(rectangle(x0, y, x1, bottom, "bleed" if edge or cut or y < 0 else "framed"))
        y = bottom + rng.uniform(100, 600)
        if cut or y > height - 120:
            break
    return Arranged(cells)


def _shaded(rng: random.Random, area: Area, size: tuple[int, int]) -> Arranged:
    """Plain rows; the hard part is the paper."""
    wide = replace(area, gutter=rng.uniform(10, 24))
    return Arranged([cell for row in _rows(rng, wide, row_gap=wide.gutter) for cell in row])


def _picture(rng: random.Random, area: Area, size: tuple[int, int]) -> Arranged:
    """One picture over the whole page."""
    return Arranged([rectangle(-_OFF, -_OFF, size[0] + _OFF, size[1] + _OFF, "bleed")], panels=False)


def _rows(
    rng: random.Random, area: Area, *, tilt: float = 0.0, lean: float = 0.0, row_gap: float = 8.0
) -> list[list[Cell]]:
    """Rows of one to three cells, two at least on a page.

    Args:
        rng: the page's stream.
        area: what they fill; its gutter parts the cells of a row.
        tilt: how far the gutters between rows lean at most, as a share of the height.
        lean: how far the gutters within rows lean at most, as a share of the width.
        row_gap: pixels between rows.
    """
    count = rng.choice((2, 3, 3, 3, 4))
    levels = _levels(rng, area.y0, area.y1, count, 0.25)
    # Most gutters of a slanted page lean, and one may lean much
    tilts = [0.0, *(rng.choice((-1, 0, 1, 1)) * rng.uniform(0.3, 1) * tilt * area.height for _ in levels[1:-1]), 0.0]
    columns = [rng.choice((1, 2, 2, 3) if count > 2 else (2, 2, 3)) for _ in range(count)]
    if max(columns) == 1:
        columns[rng.randrange(count)] = 2

    def level(index: int, x: float) -> float:
        return levels[index] + tilts[index] * ((x - area.x0) / area.width - 0.5)

    rows = []
    for row, parts in enumerate(columns):
        spans = _levels(rng, area.x0, area.x1, parts, 0.3)
        leans = [0.0, *(rng.choice((-1, 1)) * rng.uniform(0.3, 1) * lean * area.width for _ in spans[1:-1]), 0.0]
        above, below = (row_gap / 2) * (row > 0), (row_gap / 2) * (row < count - 1)
        cells = []
        for i in range(parts):
            before, after = (area.gutter / 2) * (i > 0), (area.gutter / 2) * (i < parts - 1)
            upper = [spans[i] + leans[i] / 2 + before, spans[i + 1] + leans[i + 1] / 2 - after]
            lower = [spans[i] - leans[i] / 2 + before, spans[i + 1] - leans[i + 1] / 2 - after]
            a, b = ((x, level(row, x) + above) for x in upper)
            d, c = ((x, level(row + 1, x) - below) for x in lower)
            cells.append(Cell((a, b, c, d)))
        rows.append(cells)
    return rows


def _levels(rng: random.Random, start: float, end: float, count: int, spread: float) -> list[float]:
    """Places that cut an interval into unequal parts, both ends included."""
    parts = [1 + rng.uniform(-spread, spread) for _ in range(count)]
    return [start + (end - start) * sum(parts[:i]) / sum(parts) for i in range(count + 1)]


def _bleed(
    rng: random.Random, rows: list[list[Cell]], size: tuple[int, int], *, sides: int, share: float
) -> list[Cell]:
    """Let the outer cells on some sides of the page run off it, each with a chance of `share`."""
    width, height = size
    left, right, top, bottom = (side in rng.sample(range(4), 4)[:sides] for side in range(4))
    out = []
    for number, row in enumerate(rows):
        for place, cell in enumerate(row):
            a, b, c, d = cell.corners
            if left and place == 0 and rng.random() < share:
                a, d = (-_OFF, a[1]), (-_OFF, d[1])
            if right and place == len(row) - 1 and rng.random() < share:
                b, c = (width + _OFF, b[1]), (width + _OFF, c[1])
            if top and number == 0 and rng.random() < share:
                a, b = _along(d, a, -_OFF), _along(c, b, -_OFF)
            if bottom and number == len(rows) - 1 and rng.random() < share:
                d, c = _along(a, d, height + _OFF), _along(b, c, height + _OFF)
            corners = (a, b, c, d)
            out.append(cell if corners == cell.corners else Cell(corners, "bleed"))
    return out


def _along(start: Point, end: Point, y: float) -> Point:
    """Where the line through two points meets a row: a leaning gutter goes on as it leans."""
    return (start[0] + (end[0] - start[0]) * (y - start[1]) / (end[1] - start[1]), y)


def _loosened(rng: random.Random, cells: list[Cell], share: float, open_share: float = 0.5) -> list[Cell]:
    """Take the background from some cells, and from some of those that do not bleed the frame as well."""
    out = []
    for cell in cells:
        if rng.random() < share:
            bare = cell.kind == "bleed" or rng.random() >= open_share
            cell = replace(cell, kind="bare" if bare else "open")
        out.append(cell)
    return out


_MAKERS: dict[str, Callable[[random.Random, Area, tuple[int, int]], Arranged]] = {
    "manga": _manga,
    "slanted": _slanted,
    "black": _black,
    "pencil": _pencil,
    "ring": _ring,
    "yonkoma": _yonkoma,
    "webtoon": _webtoon,
    "shaded": _shaded,
    "picture": _picture,
}
