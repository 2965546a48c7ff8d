"""From depths that were pooled to ranks as annotators give them, within one panel.

Annotators count planes: all parts of a figure share one, and figures side by side may. So segments that lie within
another are taken for its parts, things whose depths are close for one plane. The numbers given are not whole: within a
plane a remainder below one half keeps the order of depth, so that no pair is tied that the depths can tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from comictool.corpus.boxes import area, share_inside
from comictool.depth.segments import PANEL, Segment

PART = 0.9  # of a segment's box within another's: a part of it
LARGEST_PART = 0.8  # of the area of the whole; two boxes that are nearly one are two things
LARGEST_WHOLE = 0.5  # of the area of the panel's segments together: a backdrop has no parts
PLANE = 0.02  # of the range of depths in the panel: closer things are on one plane
REMAINDER = 0.49  # of a plane, within which its things are told apart


class Pooled(NamedTuple):
    """A segment's depth, larger is farther in any unit, and how far apart its quartiles are."""

    depth: float
    spread: float = 0.0


def ranks(segments: Sequence[Segment], pooled: Sequence[Pooled], spread: float) -> list[tuple[float, float]]:
    """`(inter, intra)` of the segments of one panel.

    Args:
        spread: range of depths in the panel.

    Returns:
        inter from 0 up, intra from 1 up, smaller is nearer, as AI4VA counts.
    """
    depths = np.array([each.depth for each in pooled], np.float64)
    if not len(depths):
        return []
    wholes = _wholes(segments)
    roots = sorted(set(wholes))
    # A figure is where the one that holds its parts is.
    things = {root: float(depths[root]) for root in roots}
    planes = _planes(np.array([things[root] for root in roots]), PLANE * spread)
    inter = dict(zip(roots, planes, strict=True))
    out: list[tuple[float, float]] = [(0.0, 0.0)] * len(segments)
    for plane in {int(value) for value in planes}:
        members = [i for i, root in enumerate(wholes) if int(inter[root]) == plane]
        within = _planes(depths[members], PLANE * spread)
        for i, value in zip(members, within, strict=True):
            out[i] = (float(inter[wholes[i]]), 1.0 + float(value))
    return out


def _planes(depths: np.ndarray, gap: float) -> np.ndarray:
    """The plane of each depth from 0, with a remainder by its order within the plane; equal depths stay equal."""
    values, back = np.unique(depths, return_inverse=True)
    starts = np.r_[True, np.diff(values) > gap]
    plane = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)[plane]
    last = np.r_[np.flatnonzero(starts)[1:], len(values)][plane]
    place = (np.arange(len(values)) - first) / np.maximum(1, last - first)
    found: np.ndarray = (plane + REMAINDER * place)[back]
    return found


def _wholes(segments: Sequence[Segment]) -> list[int]:
    """For each segment the index of the outermost one that it is a part of; its own when of none."""
    boxes = [each.box for each in segments]
    sizes = np.array([area(box) for box in boxes], np.float64)
    extent = max(1.0, float(area(_around(boxes))))
    parents = list(range(len(segments)))
    for i, part in enumerate(segments):
        if part.character is not None:
            same = [j for j, each in enumerate(segments) if each.character == part.character]
            parents[i] = max(same, key=lambda j: (sizes[j], -j))
            continue
        best = i
        for j, whole in enumerate(segments):
            if j == i or whole.category == PANEL or sizes[j] > LARGEST_WHOLE * extent:
                continue
            if sizes[i] <= LARGEST_PART * sizes[j] and share_inside(boxes[i], boxes[j]) >= PART:
                best = j if best == i or sizes[j] > sizes[best] else best
        parents[i] = best
    return [_outermost(parents, i) for i in range(len(segments))]


def _outermost(parents: list[int], i: int) -> int:
    """Follow parts to what holds them; every step goes to a larger one, but for figures, which end at themselves."""
    for _ in range(len(parents)):
        if parents[i] == i:
            return i
        i = parents[i]
    return i


def _around(boxes: Sequence[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)
