"""Moving box edges from the working copy to the full page, to the pixel where the frame begins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comictool.corpus.records import Box

FULL_ROW = 0.3  # share of a side's pixels off the background that marks the frame's first row
OFF_BACKGROUND = 40  # levels


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
    height, width = image.shape[:2]
    reach = max(2, round(2.0 / scale))
    out: list[Box] = []
    for box in boxes:
        x0, y0, x1, y1 = (round(v / scale) for v in box)
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
        left = _edge(image[y0:y1, max(0, x0 - reach) : x0 + reach + 1], 0, colour, max(0, x0 - reach), x0)
        top = _edge(image[max(0, y0 - reach) : y0 + reach + 1, x0:x1], 1, colour, max(0, y0 - reach), y0)
        right = _edge(image[y0:y1, max(0, x1 - reach - 1) : x1 + reach][:, ::-1], 0, colour, 0, 0)
        bottom = _edge(image[max(0, y1 - reach - 1) : y1 + reach, x0:x1][::-1], 1, colour, 0, 0)
        right = x1 if right is None else min(width, x1 + reach) - right
        bottom = y1 if bottom is None else min(height, y1 + reach) - bottom
        left = x0 if left is None else left
        top = y0 if top is None else top
        out.append((left, top, right, bottom) if right - left > 1 and bottom - top > 1 else (x0, y0, x1, y1))
    return out


def _edge(band: np.ndarray, axis: int, colour: tuple[int, int, int], start: int, _: int) -> int | None:
    """Position of the first line of a band that is mostly off the background, counted from `start`."""
    off = np.abs(band.astype(np.int16) - np.array(colour, dtype=np.int16)).max(-1) > OFF_BACKGROUND
    share = off.mean(axis)
    at = np.flatnonzero(share >= FULL_ROW)
    return start + int(at[0]) if len(at) else None
