"""Boxes and outlines as other formats write them, and which box holds which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from comictool.corpus.boxes import area, share_inside
from comictool.corpus.formats.values import number_of
from comictool.corpus.records import Box, PageRecord, clamp_box

FloatBox: TypeAlias = tuple[float, float, float, float]
Points: TypeAlias = list[tuple[float, float]]

MAX_POINTS = 100_000
INSIDE = 0.5  # a character belongs to the panel that holds at least this share of it


def parse_vertices(text: str) -> Points:
    """The points of a `(x0,y0),(x1,y1),...` text; brackets and blanks of any kind, decimals and exponents allowed.

    Raises:
        ValueError: no numbers, an odd number of them, something that is no finite number, or too many.
    """
    plain = text
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


def xywh(box: Sequence[int]) -> list[int]:
    """`(x0, y0, x1, y1)` to `[x, y, width, height]`."""
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def place(box: FloatBox | None, page: PageRecord) -> Box | None:
    """A box on a page: rounded outwards and cut to the page; None when nothing of it is on the page."""
    return None if box is None else clamp_box(box, page.width, page.height)


def place_outline(points: Points, page: PageRecord) -> list[tuple[int, int]]:
    """An outline on a page: points rounded and moved onto the page."""
    return [(min(page.width, max(0, round(x))), min(page.height, max(0, round(y)))) for x, y in points]


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
