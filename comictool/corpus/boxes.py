"""Arithmetic of boxes `(x0, y0, x1, y1)`, x1 and y1 exclusive, in any unit. One home for it."""

from __future__ import annotations

from collections.abc import Sequence


def area(box: Sequence[float]) -> float:
    """Area of a box."""
    return (box[2] - box[0]) * (box[3] - box[1])


def shared_area(a: Sequence[float], b: Sequence[float]) -> float:
    """Area that two boxes have in common; 0 when they only touch."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def share_inside(inner: Sequence[float], outer: Sequence[float]) -> float:
    """Which share of one box lies in another, 0..1; 0 for a box without area."""
    shared = shared_area(inner, outer)
    return shared / area(inner) if shared > 0 else 0.0


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union, 0..1."""
    shared = shared_area(a, b)
    return shared / (area(a) + area(b) - shared) if shared > 0 else 0.0
