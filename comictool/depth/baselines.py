"""Baselines that need no model: the floors that stand beside every score.

What is compared is worth nothing unless it beats a constant and the simplest rules of drawing: what is lower on the
page, taller, larger, or drawn over something else is nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from comictool.corpus.boxes import area, share_inside
from comictool.corpus.records import Panel
from comictool.depth.predicting import SegmentDepth
from comictool.depth.ranking import Pooled, ranks
from comictool.depth.segments import Segment

INSIDE = 0.9  # of a box within another: drawn over it


def _lower(segments: Sequence[Segment]) -> list[float]:
    return [-float(each.box[3]) for each in segments]


def _taller(segments: Sequence[Segment]) -> list[float]:
    return [-float(each.box[3] - each.box[1]) for each in segments]


def _larger(segments: Sequence[Segment]) -> list[float]:
    return [-float(area(each.box)) for each in segments]


def _over(segments: Sequence[Segment]) -> list[float]:
    boxes = [each.box for each in segments]
    return [-float(sum(share_inside(box, other) >= INSIDE for other in boxes)) for box in boxes]


GEOMETRY: dict[str, Callable[[Sequence[Segment]], list[float]]] = {
    "lower": _lower,
    "taller": _taller,
    "larger": _larger,
    "over": _over,
}


@dataclass(frozen=True)
class Geometric:
    """A rule about boxes, panel by panel: `lower`, `taller`, `larger` or `over` (within other boxes) is nearer."""

    name: str

    def predict(self, picture: np.ndarray, segments: Sequence[Segment], panels: Sequence[Panel]) -> list[SegmentDepth]:
        """See `Predictor`; the picture is not looked at."""
        out = [SegmentDepth(0.0, 1.0)] * len(segments)
        for panel in {each.panel for each in segments}:
            members = [i for i, each in enumerate(segments) if each.panel == panel]
            chosen = [segments[i] for i in members]
            depths = GEOMETRY[self.name](chosen)
            found = ranks(chosen, [Pooled(depth) for depth in depths], float(np.ptp(depths)))
            for i, answer in zip(members, found, strict=True):
                out[i] = SegmentDepth(*answer)
        return out


@dataclass(frozen=True)
class Constant:
    """The same for every segment, or for every segment of a category.

    Attributes:
        name: `mean`, `median` or `category`.
        level: (inter, intra).
        by_category: (inter, intra) of those that have their own.
    """

    name: str
    level: tuple[float, float]
    by_category: Mapping[str, tuple[float, float]]

    def predict(self, picture: np.ndarray, segments: Sequence[Segment], panels: Sequence[Panel]) -> list[SegmentDepth]:
        """See `Predictor`; the picture is not looked at."""
        return [SegmentDepth(*self.by_category.get(each.category, self.level)) for each in segments]


def constants(segments: Sequence[Segment]) -> list[Constant]:
    """The best constants there are for these segments: mean, median, and the mean of each category."""
    level = _middle(segments, np.mean)
    kinds: dict[str, list[Segment]] = {}
    for each in segments:
        kinds.setdefault(each.category, []).append(each)
    by_category = {name: _middle(members, np.mean, level) for name, members in kinds.items()}
    return [
        Constant("mean", level, {}),
        Constant("median", _middle(segments, np.median), {}),
        Constant("category", level, by_category),
    ]


def _middle(
    segments: Sequence[Segment], of: Callable[..., np.floating], default: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    inter = [each.inter for each in segments if each.inter is not None]
    intra = [each.intra for each in segments if each.intra is not None]
    return (float(of(inter)) if inter else default[0], float(of(intra)) if intra else default[1])
