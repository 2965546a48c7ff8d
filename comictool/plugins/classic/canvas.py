"""The common ground of all classic measurements: one small square picture in Lab, evened out in contrast."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE = 96  # pixels of the square every picture is squashed to; a 500-pixel panel keeps lines of about 5 pixels
STRETCH = (1.0, 99.0)  # percentiles of lightness that become black and white, so that faded scans agree with fresh ones
LEAST_RANGE = 20.0  # of the 100 steps of lightness: below this a picture counts as flat and its noise is not blown up

# sRGB to CIE XYZ (IEC 61966-2-1, D65), each row divided by the white point: the result is 1 for white.
_TO_XYZ = np.array(
    [
        [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883],
    ],
    dtype=np.float32,
)
_CODES = np.arange(256, dtype=np.float64) / 255.0
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)


class Canvas(NamedTuple):
    """A picture as the descriptor sees it.

    `lightness` is `(SIDE, SIDE)` float32 in 0..1 after the contrast was stretched; `green_red` and `blue_yellow`
    are the Lab axes a and b, `(SIDE, SIDE)` float32, about -100..100; `aspect` is width / height.
    """

    lightness: np.ndarray
    green_red: np.ndarray
    blue_yellow: np.ndarray
    aspect: float


def make_canvas(picture: Image.Image, box: tuple[float, float, float, float] | None = None) -> Canvas:
    """Squash an RGB picture, or the `box` of it (pixels, may be fractional), and turn it to Lab."""
    left, top, right, bottom = box if box is not None else (0.0, 0.0, float(picture.width), float(picture.height))
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX, box=(left, top, right, bottom), reducing_gap=3.0)
    lightness, green_red, blue_yellow = to_lab(np.asarray(small))
    return Canvas(stretch(lightness), green_red, blue_yellow, (right - left) / (bottom - top))


def to_lab(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sRGB `(H, W, 3)` uint8 to the CIE 1976 L (0..100), a and b planes, float32."""
    linear = _LINEAR[pixels].reshape(-1, 3)
    ratio = _TO_XYZ @ linear.T
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), ratio * (24389 / 27 / 116) + 16 / 116).astype(np.float32)
    height, width = pixels.shape[:2]
    lightness = (116 * root[1] - 16).reshape(height, width)
    green_red = (500 * (root[0] - root[1])).reshape(height, width)
    blue_yellow = (200 * (root[1] - root[2])).reshape(height, width)
    return lightness, green_red, blue_yellow


def stretch(lightness: np.ndarray) -> np.ndarray:
    """Lightness 0..100 to 0..1 so that the darkest and lightest percent of the picture reach the ends."""
    low, high = np.percentile(lightness, STRETCH)
    if high - low < LEAST_RANGE:
        middle = (low + high) / 2
        low, high = middle - LEAST_RANGE / 2, middle + LEAST_RANGE / 2
    return np.clip((lightness - low) / (high - low), 0.0, 1.0).astype(np.float32)
