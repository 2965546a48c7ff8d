"""Moving box edges from the working copy to the full page, to the pixel where the frame begins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comictool.corpus.records import Box

FULL_ROW = 0.3  # share of a side's pixels off the background that marks the frame's first row
OFF_BACKGROUND = 40  # levels
REACH = 3.0  # working pixels to either side of an edge in which its true place is sought
AT_PAGE_EDGE = 4  # working pixels from the page's edge within which a panel runs over it


def refine_boxes(
    image: np.ndarray, boxes: Sequence[tuple[int, int, int, int]], scale: float, colour: tuple[int, int, int]
) -> list[Box]:
    """Working-page boxes as page boxes, each side moved to the first row or column that is not background.

    Args:
        image: (H, W, 3) uint8, the full page.
        boxes: (x0, y0, x1, y1) on the working page.
        scale: working pixels per page pixel.
        colour: the background.
    """
    return [_refined(image, box, scale, np.array(colour, dtype=np.int16)) for box in boxes]


def _refined(image: np.ndarray, box: tuple[int, int, int, int], scale: float, colour: np.ndarray) -> Box:
    height, width = image.shape[:2]
    reach, edge = max(2, round(REACH / scale)), AT_PAGE_EDGE / scale
    x0, y0, x1, y1 = (round(value / scale) for value in box)
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
    left = 0 if x0 <= edge else x0 + _shift(image[y0:y1, max(0, x0 - reach) : x0 + reach], x0, reach, colour)
    top = 0 if y0 <= edge else y0 + _shift(_turn(image[max(0, y0 - reach) : y0 + reach, x0:x1]), y0, reach, colour)
    mirrored = image[:, ::-1]
    from_right, from_bottom = width - x1, height - y1
    right = from_right + _shift(
        mirrored[y0:y1, max(0, from_right - reach) : from_right + reach], from_right, reach, colour
    )
    flipped = image[::-1]
    bottom = from_bottom + _shift(
        _turn(flipped[max(0, from_bottom - reach) : from_bottom + reach, x0:x1]), from_bottom, reach, colour
    )
    right = width if from_right <= edge else width - right
    bottom = height if from_bottom <= edge else height - bottom
    if right - left < 2 or bottom - top < 2:
        return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)
    return left, top, right, bottom


def _turn(band: np.ndarray) -> np.ndarray:
    return band.transpose(1, 0, 2)


def _shift(band: np.ndarray, at: int, reach: int, colour: np.ndarray) -> int:
    """How far to move a left edge: to the first column of a band (n, m, 3) that is mostly off the background.

    The band begins `reach` columns before the edge, or at the page's edge when that is nearer than that.
    """
    off = np.abs(band.astype(np.int16) - colour).max(-1) > OFF_BACKGROUND
    full = np.flatnonzero(off.mean(0) >= FULL_ROW)
    return int(full[0]) - min(at, reach) if len(full) else 0
