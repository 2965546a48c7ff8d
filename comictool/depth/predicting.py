"""Predictors: a page with its segments to two ranks for each segment, in one pass over the page.

Anything that can be asked is a `Predictor`: plugins of kind `depth` through `predictor_of`, and the baselines. A plugin
with a method `segment_depth` answers for segments itself. Any other gives maps, one for each panel: they are pooled by
the median under each mask, and what was pooled is turned into ranks panel by panel, for depths of two panels cannot be
compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from comictool.core.errors import InputError
from comictool.corpus.records import Box, Panel
from comictool.depth.maps import TILE, cut, panel_maps
from comictool.depth.ranking import Pooled, ranks
from comictool.depth.segments import Segment
from comictool.plugins.protocols import DepthEstimator

MOST_SAMPLES = 64  # pixels on a side of the mask that is pooled under; more do not move a median


class SegmentDepth(NamedTuple):
    """What is said of a segment: plane and order within it, smaller is nearer, and how sure that is, 0 to 1."""

    inter: float
    intra: float
    score: float = 1.0


class Predictor(Protocol):
    """Pages to ranks of their segments.

    Attributes:
        name: what reports call it.
    """

    @property
    def name(self) -> str: ...

    def predict(self, picture: np.ndarray, segments: Sequence[Segment], panels: Sequence[Panel]) -> list[SegmentDepth]:
        """One answer for each segment, in order.

        Args:
            picture: the page, (H, W, 3) uint8 RGB.
            segments: of the page, in its pixels.
            panels: of the page; those that segments name by number. Without any the page is one.
        """
        ...


def predictor_of(model: DepthEstimator) -> Predictor:
    """A plugin of kind `depth` as a predictor."""
    return SegmentPredictor(model) if hasattr(model, "segment_depth") else DensePredictor(model)


@dataclass
class SegmentPredictor:
    """A plugin that answers for segments itself: `segment_depth(picture, segments, panels) -> (N, 3)`."""

    model: Any

    @property
    def name(self) -> str:
        """The plugin's id."""
        return str(self.model.manifest.id)

    def predict(self, picture: np.ndarray, segments: Sequence[Segment], panels: Sequence[Panel]) -> list[SegmentDepth]:
        """One call of the plugin.

        Raises:
            InputError: its answer is not three finite numbers for each segment.
        """
        if not segments:
            return []
        found = np.asarray(self.model.segment_depth(picture, segments, panels), np.float64)
        if found.shape != (len(segments), 3) or not np.isfinite(found).all():
            raise InputError(f"plugin {self.name} gives numbers {list(found.shape)}, not finite {[len(segments), 3]}")
        return [SegmentDepth(*row) for row in found.tolist()]


@dataclass
class DensePredictor:
    """A plugin that gives maps, pooled."""

    model: DepthEstimator
    tile: int = TILE

    @property
    def name(self) -> str:
        """The plugin's id."""
        return self.model.manifest.id

    def predict(self, picture: np.ndarray, segments: Sequence[Segment], panels: Sequence[Panel]) -> list[SegmentDepth]:
        """Maps of all panels in one call, then a median under each mask."""
        boxes = group_of(segments, panels, picture.shape[:2])
        found = panel_maps(self.model, [cut(picture, box) for box in boxes.values()], tile=self.tile)
        return answers(segments, boxes, dict(zip(boxes, found, strict=True)))


def group_of(segments: Sequence[Segment], panels: Sequence[Panel], size: tuple[int, int]) -> dict[int | None, Box]:
    """Boxes of the panels that segments are in, by number; under None the page, for segments that are in none.

    Args:
        size: height and width of the page.
    """
    boxes: dict[int | None, Box] = {panel.id: panel.box for panel in panels}
    used = {each.panel if each.panel in boxes else None for each in segments}
    found: dict[int | None, Box] = {key: box for key, box in boxes.items() if key in used}
    return found | ({None: (0, 0, size[1], size[0])} if None in used else {})


def answers(
    segments: Sequence[Segment], boxes: dict[int | None, Box], maps: dict[int | None, np.ndarray]
) -> list[SegmentDepth]:
    """Ranks of segments by the maps of their panels.

    Args:
        boxes: by number of panel, on the page; None: the page, for segments in no panel.
        maps: of the panels that segments are in, (h, w) of the box, larger is farther.
    """
    out = [SegmentDepth(0.0, 1.0, 0.0)] * len(segments)
    groups: dict[int | None, list[int]] = {}
    for index, segment in enumerate(segments):
        groups.setdefault(segment.panel if segment.panel in boxes else None, []).append(index)
    for key, members in groups.items():
        pooled = [pool(segments[i], boxes[key], maps[key]) for i in members]
        spread = float(np.ptp(maps[key])) or 1.0
        for i, (inter, intra), seen in zip(
            members, ranks([segments[i] for i in members], pooled, spread), pooled, strict=True
        ):
            out[i] = SegmentDepth(inter, intra, max(0.0, 1.0 - seen.spread / spread))
    return out


def pool(segment: Segment, panel: Box, depth: np.ndarray) -> Pooled:
    """The median of a panel's map under the mask of a segment, and how far apart its quartiles are."""
    x0, y0 = max(segment.box[0], panel[0]), max(segment.box[1], panel[1])
    x1, y1 = min(segment.box[2], panel[2]), min(segment.box[3], panel[3])
    if x1 <= x0 or y1 <= y0:  # none of it in the panel: the nearest place that is
        row = min(max(segment.box[1] - panel[1], 0), depth.shape[0] - 1)
        column = min(max(segment.box[0] - panel[0], 0), depth.shape[1] - 1)
        return Pooled(float(depth[row, column]), 0.0)
    size = min(MOST_SAMPLES, y1 - y0), min(MOST_SAMPLES, x1 - x0)
    mask = segment.mask((x0, y0, x1, y1), size)
    rows = (y0 - panel[1]) + ((np.arange(size[0]) + 0.5) * (y1 - y0) / size[0]).astype(np.int64)
    columns = (x0 - panel[0]) + ((np.arange(size[1]) + 0.5) * (x1 - x0) / size[1]).astype(np.int64)
    values = depth[np.ix_(rows, columns)]
    under = values[mask] if mask.any() else values.ravel()
    low, middle, high = np.percentile(under, [25, 50, 75])
    return Pooled(float(middle), float(high - low))
