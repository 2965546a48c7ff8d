"""Reading order of boxes: recursive cuts into rows and columns that forgive slanted and overlapping boxes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from comictool.corpus.records import Box

INSET = 0.75  # share of a box inside a larger one from which it is an inset, read with its host
ROW_OVERLAP = 0.2  # rows may overlap by this share of the lower of two boxes: slanted gutters, small stagger
COLUMN_OVERLAP = 0.25
SIDE_BY_SIDE = 0.6  # share of their height that two panels of a strip have in common when they stand in one row
ORDERS = ("auto", "rows", "columns")
STRIP = 4  # panels of a 4-koma strip; two of them stand side by side and are read one after the other
SAME_SIZE = 0.08  # how far such panels may be from the usual one: balloons over both rims move boxes by up to .06
# Strips are so many times further apart than the panels of one, at least; in a grid all gutters are alike. From left to
# right grids are common and strips are not.
WIDER = {"rtl": 1.25, "ltr": 2.0}
WIDE_GAP = 1.8  # a spread's fold is this many times wider than the gutters beside it
SPREAD = 1.2  # width by height of a picture that may be two pages side by side


def order_boxes(boxes: Sequence[Box], direction: str = "ltr", order: str = "auto") -> list[int]:
    """Indices of boxes in reading order.

    Args:
        boxes: (x0, y0, x1, y1), x1 and y1 exclusive.
        direction: "ltr" rows from left to right, "rtl" rows from right to left, "ttb" one strip from top to bottom, and
            what stands side by side in it from left to right.
        order: "rows" or "columns" first; "auto" is rows, except on pages of two 4-koma strips. One strip
            from top to bottom is the same in all of them.

    Raises:
        ValueError: an unknown direction or order.
    """
    if order not in ORDERS:
        raise ValueError(f"order is {', '.join(ORDERS)}, not {order!r}")
    if direction not in ("ltr", "rtl", "ttb"):
        raise ValueError(f"direction is ltr, rtl or ttb, not {direction!r}")
    if direction == "ttb":
        return _down(boxes)
    turned = [(-b[2], b[1], -b[0], b[3]) for b in boxes] if direction == "rtl" else [tuple(b) for b in boxes]
    hosts = _hosts(turned)
    free = [i for i in range(len(boxes)) if hosts[i] is None]
    ordered: list[int] = []

    def visit(index: int) -> None:
        ordered.append(index)
        for inset in _ordered([i for i, host in enumerate(hosts) if host == index], turned):
            visit(inset)

    down = order == "columns" or (order == "auto" and _is_yonkoma(free, turned, WIDER[direction]))
    for index in _columns(free, turned) if down else _pages(free, turned):
        visit(index)
    return ordered


def _down(boxes: Sequence[Box]) -> list[int]:
    """Boxes of a strip from top to bottom; what stands beside the uppermost box left comes with it, left first."""
    rest = sorted(range(len(boxes)), key=lambda i: (boxes[i][1], boxes[i][0], i))
    ordered: list[int] = []
    while rest:
        top = boxes[rest[0]]
        beside = [i for i in rest if _shared_height(top, boxes[i]) >= SIDE_BY_SIDE]
        ordered += sorted(beside, key=lambda i: (boxes[i][0], boxes[i][1], i))
        rest = [i for i in rest if i not in beside]
    return ordered


def _shared_height(a: Box, b: Box) -> float:
    """The share of the lower box's height that two boxes have in common."""
    return (min(a[3], b[3]) - max(a[1], b[1])) / max(1, min(a[3] - a[1], b[3] - b[1]))


def _is_yonkoma(members: list[int], boxes: Sequence[tuple[int, ...]], wider: float) -> bool:
    """Whether a page is two columns of four equal panels, `wider` times further apart than the panels of a column."""
    if len(members) != 2 * STRIP:
        return False
    across = sorted((boxes[i] for i in members), key=lambda box: box[0] + box[2])
    first, second = (sorted(part, key=lambda box: box[1] + box[3]) for part in (across[:STRIP], across[STRIP:]))
    width, height = (median(box[axis + 2] - box[axis] for box in across) for axis in (0, 1))
    off = (SAME_SIZE * width, SAME_SIZE * height)
    if any(abs(box[2] - box[0] - width) > off[0] or abs(box[3] - box[1] - height) > off[1] for box in across):
        return False
    if any(abs(a[1] + a[3] - b[1] - b[3]) > 2 * off[1] for a, b in zip(first, second, strict=True)):
        return False
    gaps = [b[1] - a[3] for column in (first, second) for a, b in pairwise(column)]
    between = median(box[0] for box in second) - median(box[2] for box in first)
    return min(gaps) >= -off[1] and between > wider * max(gaps)


def _columns(members: list[int], boxes: Sequence[tuple[int, ...]]) -> list[int]:
    """Columns one after the other, each downwards; panels across several part the page into what is above and below."""
    first, second = _cut(members, boxes, 0, COLUMN_OVERLAP)
    if first and second:
        return _columns(first, boxes) + _columns(second, boxes)
    bands, rest = [], members
    while rest:
        first, second = _cut(rest, boxes, 1, ROW_OVERLAP)
        bands.append(first or rest)
        rest = second
    if len(bands) <= 1:
        return _ordered(members, boxes)
    groups = bands[:1]
    for band in bands[1:]:
        if all(_cut([*groups[-1], *band], boxes, 0, COLUMN_OVERLAP)):
            groups[-1] = [*groups[-1], *band]
        else:
            groups.append(band)
    return [i for group in groups for i in _columns(group, boxes)]


def _hosts(boxes: Sequence[tuple[int, ...]]) -> list[int | None]:
    """For each box the smallest larger box that nearly contains it."""
    hosts: list[int | None] = []
    for i, box in enumerate(boxes):
        best: int | None = None
        for j, other in enumerate(boxes):
            larger = _area(other) > _area(box) or (_area(other) == _area(box) and j < i)
            inside = i != j and larger and _overlap(box, other) >= INSET * _area(box)
            if inside and (best is None or _area(other) < _area(boxes[best])):
                best = j
        hosts.append(best)
    return hosts


def _pages(members: list[int], boxes: Sequence[tuple[int, ...]]) -> list[int]:
    """A spread is read page by page: its fold is a gap much wider than the other gaps."""
    if len(members) >= 4:
        x0, x1 = min(boxes[i][0] for i in members), max(boxes[i][2] for i in members)
        y0, y1 = min(boxes[i][1] for i in members), max(boxes[i][3] for i in members)
        if x1 - x0 > SPREAD * (y1 - y0):
            left, right = _cut(members, boxes, axis=0, tolerance=0.0, near=((x0 + x1) / 2, 0.08 * (x1 - x0)))
            if len(left) >= 2 and len(right) >= 2:
                fold = min(boxes[i][0] for i in right) - max(boxes[i][2] for i in left)
                others = _gaps(left, boxes) + _gaps(right, boxes)
                if others and fold > WIDE_GAP * sorted(others)[len(others) // 2]:
                    return _ordered(left, boxes) + _ordered(right, boxes)
    return _ordered(members, boxes)


def _ordered(members: list[int], boxes: Sequence[tuple[int, ...]]) -> list[int]:
    if len(members) <= 1:
        return list(members)
    for axis, tolerance in ((1, 0.0), (1, ROW_OVERLAP), (0, 0.0), (0, COLUMN_OVERLAP), (1, 0.4), (0, 0.4)):
        first, second = _cut(members, boxes, axis, tolerance)
        if first and second:
            return _ordered(first, boxes) + _ordered(second, boxes)
    # Pinwheels and piles have no cut: take the box nearest the corner where reading starts, then the rest.
    head = min(members, key=lambda i: (boxes[i][1] * 2 + boxes[i][0], boxes[i][1], i))
    return [head, *_ordered([i for i in members if i != head], boxes)]


def _cut(
    members: list[int],
    boxes: Sequence[tuple[int, ...]],
    axis: int,
    tolerance: float,
    near: tuple[float, float] | None = None,
) -> tuple[list[int], list[int]]:
    """Part boxes along an axis (0: columns, 1: rows) at the first place where no two boxes overlap too much."""
    by_middle = sorted(members, key=lambda i: (boxes[i][axis] + boxes[i][axis + 2], boxes[i][axis], i))
    for at in range(1, len(by_middle)):
        first, second = by_middle[:at], by_middle[at:]
        if all(_apart(boxes[a], boxes[b], axis, tolerance) for a in first for b in second):
            if near is not None:
                gap = (max(boxes[i][axis + 2] for i in first) + min(boxes[i][axis] for i in second)) / 2
                if abs(gap - near[0]) > near[1]:
                    continue
            return first, second
    return [], []


def _apart(first: tuple[int, ...], second: tuple[int, ...], axis: int, tolerance: float) -> bool:
    overlap = first[axis + 2] - second[axis]
    smaller = min(first[axis + 2] - first[axis], second[axis + 2] - second[axis])
    return overlap <= tolerance * smaller


def _gaps(members: list[int], boxes: Sequence[tuple[int, ...]]) -> list[int]:
    """Widths of the gutters between boxes that face each other."""
    gaps = []
    for axis in (0, 1):
        other = 1 - axis
        for i in members:
            facing = [
                boxes[j][axis] - boxes[i][axis + 2]
                for j in members
                if boxes[j][axis] >= boxes[i][axis + 2]
                and min(boxes[i][other + 2], boxes[j][other + 2]) > max(boxes[i][other], boxes[j][other])
            ]
            if facing:
                gaps.append(min(facing))
    return gaps


def _area(box: tuple[int, ...]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
