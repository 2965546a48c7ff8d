"""Cutting a page into cells along its gutters, best gutter first, until nothing looks like a gutter any more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from comictool.panels.blocks import solid_blocks
from comictool.panels.cells import Cell, is_lettering, page_area, page_extent, trim, unit
from comictool.panels.gutters import Gutter, Plane, Region, find_gutters
from comictool.panels.lines import LinePlanes, best_line, plain_line
from comictool.panels.twins import Bands, find_twins

LONGEST_RUN = 0.05  # widest slanted gutter, as a share of the page's longer side
SMALLEST_CELL = 0.004  # share of the page under which a cell is not cut further
SMALLEST_SLANTED = 0.03  # share of the page under which slanted gutters are not looked for
MOST_CELLS = 80  # a page with more is no comic page (tables, prose), and time is bounded
ENOUGH = 0.62  # quality of a gutter that is cut; see Gutter.quality
CROSSED = 0.42  # the same for a gutter that balloons or figures cross
PAIRED = 0.5  # share of a crossed gutter that shows between two straight edges; strokes of art show half of that
PAIRED_OPEN = 0.9  # share of what is open of it that does
CROSSED_STRAIGHT = (0.7, 0.8)  # share of what shows of it that has straight edges on both sides: ends open, one not
UNDER_BALLOON = (0.45, 0.95)  # share that shows between both edges beside one balloon, and share with what it hides
EVEN_EDGES = 0.9  # share of either edge that has the other one opposite then: lines of art end at different places
CROSSED_WIDTH = 3.0  # units that it must have: single strokes have two straight edges as well
CROSSED_PART = 0.15  # share of the page's shorter side that it must leave on either side: captions are lower
PLAIN_ENOUGH = 0.85  # quality of a gutter that is cut where twins explain the page: its tone and hatching reach .7
SURE_CELLS = 3  # cells beyond doubt from which they do
TWIN_CERTAIN = 0.25  # quality of a gutter between two frame lines from which it is beyond doubt
TWIN_PART = 0.12  # share of the page's shorter side that both parts beside a gutter between two frame lines keep
SMALLEST_LINED = 0.03  # share of the page under which a cell is not cut at bare frame lines
THINNEST_LINED = 0.08  # share of the page's shorter side that both parts must keep then
PLAIN_PART = 0.2  # the same on pages that gutters explain: captions and skirtings have lines as well
PLAIN_CELL = 0.1  # share of the page under which such pages' cells are not cut at lines
MINOR = 0.008  # share of the page under which a piece is no panel
THIN = 0.03  # share of the page's shorter side under which it is none
PAGE_EDGE = 4  # units
STROKE = 0.012  # share of the page's shorter side that frame lines reach
ONE_SIDED = 0.3  # straightness under which one side of a gutter shows no edge; the white inside a frame has one side
ONE_SIDED_PART = 0.1  # share of the page's shorter side that such a gutter must leave on either side
EDGE_UNDER_CAPTION = 0.75  # straightness that the panel must show under a caption that is cut off it


class Ground:
    """The background of a page as gutters are sought in it.

    Attributes:
        paper: (h, w) bool.
        planes: the same for lines across and, transposed, for upright ones.
    """

    def __init__(self, paper: np.ndarray) -> None:
        self.paper = paper
        self.planes = Plane(paper, unit(paper)), Plane(paper.T, unit(paper))

    def regions(self, cell: Cell) -> tuple[Region, Region]:
        """A cell for lines across and, transposed, for upright ones."""
        return (
            Region(self.planes[0], cell.left, cell.top, cell.inside),
            Region(self.planes[1], cell.top, cell.left, cell.inside.T),
        )


def cut_at_twins(ground: Ground, bands: tuple[Bands, Bands]) -> list[Cell]:
    """Cut a page at the gutters between two frame lines (`twins`), and at nothing else.

    Args:
        ground: its background.
        bands: of the page's grey, and of that transposed.
    """
    paper = ground.paper
    whole = trim(Cell(0, 0, np.ones_like(paper)), paper)
    return [] if whole is None else _cut([whole], lambda cell: _split_at_twins(cell, paper, bands))


def _split_at_twins(cell: Cell, paper: np.ndarray, bands: tuple[Bands, Bands]) -> list[Cell]:
    """The parts of a cell on either side of the best gutter between two frame lines; empty when it has none."""
    if cell.inside.sum() < SMALLEST_SLANTED * page_area(paper):
        return []
    found = [
        (gutter, bool(upright))
        for upright, gutters in enumerate(
            (
                find_twins(bands[0], cell.left, cell.top, cell.inside),
                find_twins(bands[1], cell.top, cell.left, cell.inside.T),
            )
        )
        for gutter in gutters
    ]
    for gutter, upright in sorted(found, key=lambda entry: -entry[0].quality):
        pieces = [piece for piece in _halves(cell, gutter, upright, paper) if piece is not None]
        if len(pieces) == 2 and min(min(p.inside.shape) for p in pieces) >= TWIN_PART * min(paper.shape):
            sure = cell.certain or gutter.quality >= TWIN_CERTAIN
            return [replace(piece, certain=sure) for piece in pieces]
    return []


def cut_page(ground: Ground, lines: LinePlanes | None = None, cells: Sequence[Cell] | None = None) -> list[Cell]:
    """Cut a page into cells.

    Args:
        ground: its background.
        lines: its thin dark strokes, for panels that share a frame line; None to go by gutters alone.
        cells: what it is cut into already; all of it by default.
    """
    paper = ground.paper
    if cells is None:
        whole = trim(Cell(0, 0, np.ones_like(paper)), paper)
        cells = [] if whole is None else [whole]

    enough = PLAIN_ENOUGH if sum(cell.certain for cell in cells) >= SURE_CELLS else ENOUGH

    def parts(cell: Cell) -> list[Cell]:
        return split(cell, ground, enough) or (split_at_line(cell, paper, lines) if lines is not None else [])

    return _cut(cells, parts)


def cut_at_plain_lines(cells: Sequence[Cell], ground: Ground, lines: LinePlanes) -> list[Cell]:
    """Cut cells further at frame lines so plain that they count on a page that has gutters too."""

    def parts(cell: Cell) -> list[Cell]:
        pieces = split_at_line(cell, ground.paper, lines, plain=True)
        return [part for piece in pieces for part in _cut([piece], lambda cell: split(cell, ground))]

    return _cut(cells, parts)


def _cut(cells: Sequence[Cell], parts: Callable[[Cell], list[Cell]]) -> list[Cell]:
    """Part cells again and again until none has parts."""
    finished: list[Cell] = []
    waiting = list(cells)
    while waiting:
        cell = waiting.pop()
        pieces = parts(cell) if len(finished) + len(waiting) < MOST_CELLS - 1 else []
        if pieces:
            waiting.extend(pieces)
        else:
            finished.append(cell)
    return finished


def split(cell: Cell, ground: Ground, enough: float = ENOUGH) -> list[Cell]:
    """The trimmed parts of a cell on either side of its best gutter; empty when it has none."""
    paper = ground.paper
    if cell.inside.sum() < SMALLEST_CELL * page_area(paper):
        return []
    longest_run = max(6, int(LONGEST_RUN * page_extent(paper)))
    crossed: list[tuple[Gutter, bool]] = []
    regions = ground.regions(cell)
    for slanted in (False, True):
        found: list[tuple[Gutter, bool]] = []
        for upright, region in enumerate(regions):
            gutters = find_gutters(region, slanted=slanted, longest_run=longest_run)
            best = max(gutters, key=_quality, default=None)
            if best is not None and best.quality >= enough:
                found.append((best, bool(upright)))
            crossed += [(gutter, bool(upright)) for gutter in gutters if _is_crossed(gutter, unit(paper))]
        for gutter, is_upright in sorted(found, key=lambda entry: -entry[0].quality):
            pieces = list(_halves(cell, gutter, is_upright, paper))
            if _sensible(pieces, gutter, paper):
                return [piece for piece in pieces if piece is not None]
        if found or cell.inside.sum() < SMALLEST_SLANTED * page_area(paper):
            break
    if enough > ENOUGH:
        return []
    return solid_blocks(cell, paper) or _split_at_crossed(cell, crossed, paper)


def _quality(gutter: Gutter) -> float:
    return gutter.quality


def _is_crossed(gutter: Gutter, unit: float) -> bool:
    """Whether a line is a gutter wherever nothing covers it: straight edges on both sides all along the rest."""
    if gutter.blocked <= 1 and not gutter.framed and gutter.both >= max(PAIRED, PAIRED_OPEN * gutter.open_share):
        return True
    if _is_under_balloon(gutter, unit):
        return True
    if gutter.blocked > 1 or gutter.quality < CROSSED or gutter.width < CROSSED_WIDTH * unit:
        return False
    return min(gutter.upper, gutter.lower) >= CROSSED_STRAIGHT[gutter.blocked] * gutter.open_share


def _is_under_balloon(gutter: Gutter, unit: float) -> bool:
    """Whether a line is a gutter but for one piece of it: the paper in a balloon is open too, its edges are hidden."""
    if gutter.blocked or gutter.width < CROSSED_WIDTH * unit or gutter.both < UNDER_BALLOON[0]:
        return False
    even = gutter.both >= EVEN_EDGES * max(gutter.upper, gutter.lower)
    return even and gutter.both + gutter.hidden >= UNDER_BALLOON[1]


def _split_at_crossed(cell: Cell, crossed: list[tuple[Gutter, bool]], paper: np.ndarray) -> list[Cell]:
    """The parts of a cell on either side of the best gutter that something crosses; empty when there is none."""
    for gutter, upright in sorted(crossed, key=lambda entry: -entry[0].quality):
        pieces = [piece for piece in _halves(cell, gutter, upright, paper) if piece is not None]
        if len(pieces) == 2 and min(min(p.inside.shape) for p in pieces) >= CROSSED_PART * min(paper.shape):
            return pieces
    return []


def split_at_line(cell: Cell, paper: np.ndarray, lines: LinePlanes, *, plain: bool = False) -> list[Cell]:
    """The parts of a cell on either side of a frame line that runs through all of it; empty when there is none.

    With `plain`, by the stricter rule for pages that have gutters too.
    """
    if cell.inside.sum() < (PLAIN_CELL if plain else SMALLEST_LINED) * page_area(paper):
        return []
    find = plain_line if plain else best_line
    across = find(cell.of(lines.level), cell.inside, lines.unit)
    upright = find(cell.of(lines.upright).T, cell.inside.T, lines.unit)
    if across is None and upright is None:
        return []
    is_upright = across is None or (upright is not None and upright.quality > across.quality)
    chosen = upright if is_upright else across
    assert chosen is not None
    pieces = [piece for piece in _halves(cell, chosen, is_upright, paper) if piece is not None]
    smallest = min((min(piece.inside.shape) for piece in pieces), default=0)
    return (
        pieces if len(pieces) == 2 and smallest >= (PLAIN_PART if plain else THINNEST_LINED) * min(paper.shape) else []
    )


def _sensible(pieces: list[Cell | None], gutter: Gutter, paper: np.ndarray) -> bool:
    """A caption may be cut from a panel only along the panel's own straight edge, and prose is not cut into lines."""
    minor = [piece is None or _is_minor(piece, paper) for piece in pieces]
    if all(minor) or any(piece is not None and _is_stroke(piece, pieces, paper) for piece in pieces):
        return False
    if not any(minor):
        smallest = min(int(piece.inside.sum()) / max(piece.inside.shape) for piece in pieces if piece is not None)
        return min(gutter.upper, gutter.lower) >= ONE_SIDED or smallest >= ONE_SIDED_PART * min(paper.shape)
    return (gutter.lower if minor[0] else gutter.upper) >= EDGE_UNDER_CAPTION


def _is_minor(piece: Cell, paper: np.ndarray) -> bool:
    """Whether a piece is too small for a panel, or lettering."""
    height, width = piece.inside.shape
    area = int(piece.inside.sum())
    if area < MINOR * page_area(paper) or area / max(height, width) < THIN * min(paper.shape):  # also slanted slivers
        return True
    return is_lettering(piece.inside & ~piece.of(paper))


def _is_stroke(piece: Cell, pieces: list[Cell | None], paper: np.ndarray) -> bool:
    """Whether a piece is the frame of the other one: as thin as a line and nearly as long as the other's side.

    At the very edge of the page it is the scanner's border instead.
    """
    x0, y0, x1, y1 = piece.box
    if min(x0, y0, paper.shape[1] - x1, paper.shape[0] - y1) <= PAGE_EDGE * unit(paper):
        return False
    thin, long = sorted(piece.inside.shape)
    along = piece.inside.shape.index(long)
    other = max((p.inside.shape[along] for p in pieces if p is not None and p is not piece), default=0)
    return thin <= STROKE * min(paper.shape) and long >= 0.5 * other


def _halves(cell: Cell, gutter: Gutter, upright: bool, paper: np.ndarray) -> Iterator[Cell | None]:
    height, width = cell.inside.shape
    certain = cell.certain or gutter.certain
    if gutter.slope == 0:
        at = min(max(math.ceil(gutter.offset), 0), width if upright else height)
        halves = (cell.inside[:, :at], cell.inside[:, at:]) if upright else (cell.inside[:at], cell.inside[at:])
        left, top = (at, 0) if upright else (0, at)
        yield trim(Cell(cell.left, cell.top, halves[0], certain), paper)
        yield trim(Cell(cell.left + left, cell.top + top, halves[1], certain), paper)
        return
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    if upright:
        beyond = columns >= gutter.offset + gutter.slope * rows
    else:
        beyond = rows >= gutter.offset + gutter.slope * columns
    for side in (~beyond, beyond):
        yield trim(Cell(cell.left, cell.top, cell.inside & side, certain), paper)
