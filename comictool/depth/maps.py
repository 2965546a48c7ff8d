"""Maps of panels by a plugin, and of a whole page put together from them.

Depths of two panels cannot be compared, so a page is looked at panel by panel. A panel that is larger than a tile is
looked at as a whole, made small, and tile by tile: each tile is fitted to the whole by scale and shift (Ranftl and
others 2020, eq. 5, https://arxiv.org/abs/1907.01341) and faded into its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from comictool.corpus.records import Box, Panel
from comictool.plugins.protocols import DepthEstimator

TILE = 1536  # pixels; a panel of a page scanned at 300 dpi is below that
OVERLAP = 0.25  # of a tile


def panel_maps(model: DepthEstimator, pictures: Sequence[np.ndarray], *, tile: int = TILE) -> list[np.ndarray]:
    """One map (h, w) float32 for each picture (h, w, 3), larger is farther; all small ones in one call."""
    small = [picture if max(picture.shape[:2]) <= tile else _shrunk(picture, tile) for picture in pictures]
    maps = model.depth(small) if small else []
    return [
        whole if whole.shape == picture.shape[:2] else _tiled(model, picture, whole, tile)
        for picture, whole in zip(pictures, maps, strict=True)
    ]


def page_map(model: DepthEstimator, picture: np.ndarray, panels: Sequence[Panel], *, tile: int = TILE) -> np.ndarray:
    """A whole page, (H, W) float32, NaN outside of panels; later panels, such as insets, lie over earlier ones.

    Args:
        panels: without any, the page is one.
    """
    boxes = [panel.box for panel in panels] or [(0, 0, picture.shape[1], picture.shape[0])]
    found = np.full(picture.shape[:2], np.nan, np.float32)
    for (x0, y0, x1, y1), depth in zip(
        boxes, panel_maps(model, [cut(picture, box) for box in boxes], tile=tile), strict=True
    ):
        found[y0:y1, x0:x1] = depth
    return found


def cut(picture: np.ndarray, box: Box) -> np.ndarray:
    """A part of a picture."""
    x0, y0, x1, y1 = box
    return picture[y0:y1, x0:x1]


def scale_and_shift(values: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """The a and b for which a * values + b fits the target best (least squares); (0, mean) for constant values."""
    middle, aim = float(values.mean()), float(target.mean())
    off = values - middle
    variance = float((off * off).sum())
    scale = float((off * (target - aim)).sum()) / variance if variance > 0 else 0.0
    return scale, aim - scale * middle


def _tiled(model: DepthEstimator, picture: np.ndarray, small: np.ndarray, tile: int) -> np.ndarray:
    """A map of a large picture: its whole made large again, with what tiles add to it."""
    height, width = picture.shape[:2]
    whole = _resized(small, (height, width))
    total, weights = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for y0, y1 in _spans(height, tile):
        for x0, x1 in _spans(width, tile):
            depth = model.depth([np.ascontiguousarray(picture[y0:y1, x0:x1])])[0]
            scale, shift = scale_and_shift(depth.astype(np.float64), whole[y0:y1, x0:x1].astype(np.float64))
            # A tile that goes against the whole has nothing in it to tell near from far.
            fitted = scale * depth + shift if scale > 0 else whole[y0:y1, x0:x1]
            fade = np.minimum.outer(_fade(y1 - y0), _fade(x1 - x0))
            total[y0:y1, x0:x1] += fade * fitted
            weights[y0:y1, x0:x1] += fade
    found: np.ndarray = total / weights
    return found


def _spans(length: int, tile: int) -> Iterator[tuple[int, int]]:
    """Where tiles begin and end: evenly spread, each overlapping the next."""
    if length <= tile:
        yield 0, length
        return
    count = int(np.ceil((length - OVERLAP * tile) / (tile * (1 - OVERLAP))))
    for start in np.linspace(0, length - tile, count).round().astype(int):
        yield int(start), int(start) + tile


def _fade(length: int) -> np.ndarray:
    """Weights of a tile along one side: full in the middle, falling to its ends, never 0."""
    place = (np.arange(length) + 0.5) / length
    weights: np.ndarray = np.minimum(1.0, np.minimum(place, 1 - place) / OVERLAP).astype(np.float32)
    return weights


def _shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    scale = side / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _resized(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    picture = Image.fromarray(depth.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(picture)
