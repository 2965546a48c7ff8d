"""Boxes and outlines as other formats write them, and which box holds which."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from comictool.corpus.boxes import area, share_inside
from comictool.corpus.records import Box, PageRecord, clamp_box
from comictool.formats.fitting import Sheet
from comictool.formats.values import number_of

FloatBox: TypeAlias = tuple[float, float, float, float]
Points: TypeAlias = list[tuple[float, float]]

MAX_POINTS = 100_000
# What Python writes around numbers when a list of points becomes text: np.float64(1.5), array([...]), {'x': 1, 'y': 2}.
_TYPED = re.compile(r"\b(?:np\.|numpy\.)?(?:u?int|float)\d+\b|\barray\b|\bdtype=\w+|['\"]?\b[xy]\b['\"]?\s*[:=]")
# Coordinates that are all at most this are shares of the page, as DataSpec's public loader takes them. One at least
# must be written with a decimal point: whole ones are pixels of a very small panel.
UNIT = 1.1
INSIDE = 0.5  # a character belongs to the panel that holds at least this share of it


def parse_vertices(text: str) -> Points:
    """The points of a `(x0,y0),(x1,y1),...` text; brackets and blanks of any kind, decimals and exponents allowed.

    Raises:
        ValueError: no numbers, an odd number of them, something that is no finite number, or too many.
    """
    plain = _TYPED.sub(" ", text)
    for bracket in "()[]{}":
        plain = plain.replace(bracket, " ")
    tokens = plain.replace(",", " ").replace(";", " ").split()
    if not tokens:
        raise ValueError("no vertices")
    if len(tokens) % 2 or len(tokens) < 4:
        raise ValueError(f"{len(tokens)} numbers make no box or polygon")
    if len(tokens) > 2 * MAX_POINTS:
        raise ValueError(f"more than {MAX_POINTS:,} points")
    numbers = [number_of(token) for token in tokens]
    bad = next((token for token, number in zip(tokens, numbers, strict=True) if number is None), None)
    if bad is not None:
        raise ValueError(f"{bad[:20]!r} is no number")
    values = [number for number in numbers if number is not None]
    return list(zip(values[::2], values[1::2], strict=True))


def bounds(points: Sequence[tuple[float, float]]) -> FloatBox:
    """The smallest box around points."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def box_of_xywh(value: Any) -> FloatBox | None:
    """`[x, y, width, height]` to `(x0, y0, x1, y1)`; None when it is not four finite numbers with an area."""
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    numbers = [number_of(v) for v in value]
    if any(n is None for n in numbers):
        return None
    x, y, width, height = (n for n in numbers if n is not None)
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


def are_shares(boxes: Iterable[Sequence[Any]]) -> bool:
    """Whether boxes are given in shares of the page (0 to 1) and not in pixels: all of them, and one with decimals."""
    values = [v for box in boxes for v in box if isinstance(v, (int, float)) and not isinstance(v, bool)]
    return any(isinstance(v, float) and v % 1 for v in values) and all(0 <= v <= UNIT for v in values)


def xywh(box: Sequence[int]) -> list[int]:
    """`(x0, y0, x1, y1)` to `[x, y, width, height]`."""
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def place(box: FloatBox | None, page: PageRecord) -> Box | None:
    """A box on a page: rounded outwards and cut to the page; None when nothing of it is on the page."""
    if box is not None and isinstance(page, Sheet) and page.fit:
        box = page.fit.box(box)
    return None if box is None else clamp_box(box, page.width, page.height)


def place_outline(points: Points, box: Box | None, page: PageRecord) -> list[tuple[int, int]] | None:
    """An outline on a page, as the box around it was placed: points rounded and moved onto the page.

    Returns:
        Points whose bounding box is that box; None for fewer than three points, or when they do not fit it.
    """
    if box is None or len(points) < 3:
        return None
    if isinstance(page, Sheet) and page.fit:
        points = [page.fit.point(x, y) for x, y in points]
    found = [(min(page.width, max(0, round(x))), min(page.height, max(0, round(y)))) for x, y in points]
    # Boxes are rounded outwards, points to the next pixel: those at an edge move along with it.
    edges = bounds(found)
    if any(abs(ours - theirs) > 1 for ours, theirs in zip(edges, box, strict=True)):
        return None
    across, down = {edges[0]: box[0], edges[2]: box[2]}, {edges[1]: box[1], edges[3]: box[3]}
    return [(across.get(x, x), down.get(y, y)) for x, y in found]


def shape_on(points: Points, box: Box | None, page: PageRecord) -> list[list[int]] | None:
    """An outline on a page that says more than its box does, as a fact of its own; None when it is but the box."""
    placed = place_outline(points, box, page)
    if placed is None or box is None or all(x in (box[0], box[2]) and y in (box[1], box[3]) for x, y in placed):
        return None
    return [list(point) for point in placed]


def extent(boxes: Sequence[FloatBox]) -> tuple[int, int]:
    """Width and height that hold all boxes; at least 1x1."""
    finite = [box for box in boxes if all(math.isfinite(v) and v < 1e6 for v in box)]
    width = max((math.ceil(box[2]) for box in finite), default=1)
    height = max((math.ceil(box[3]) for box in finite), default=1)
    return max(1, width), max(1, height)


def host_of(box: Sequence[float], hosts: Sequence[Sequence[float]], at_least: float = INSIDE) -> int | None:
    """Index of the box that holds most of another; of those that hold equally much the smallest; None if none does."""
    best, best_key = None, (at_least, -math.inf)
    for index, host in enumerate(hosts):
        key = (share_inside(box, host), -area(host))
        if key[0] >= at_least and (best is None or key > best_key):
            best, best_key = index, key
    return best


def is_outline_of(polygon: Sequence[tuple[int, int]] | None, box: Box) -> bool:
    """Whether an outline has three points or more and exactly this bounding box."""
    if polygon is None or len(polygon) < 3 or not all(isinstance(v, int) for point in polygon for v in point):
        return False
    return bounds(polygon) == box
