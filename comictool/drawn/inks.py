"""How a drawing was inked and printed: the last step from flat colours to a style.

Tone screens are threshold planes over the whole page, so that dots continue from panel to panel as they do on a plate.
A plane holds the brightness below which a pixel prints black; the comparison is soft by a few levels, which is
antialiasing enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

STYLES = ("flat", "line", "screentone", "hatching", "wash", "benday", "faded", "duotone", "painted")
GREY_STYLES = ("line", "screentone", "hatching", "wash")


@dataclass(frozen=True)
class Press:
    """What a style needs besides its name; chosen once per comic."""

    style: str
    pitch: float  # distance between dots or hatch lines, pixels
    duo: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]  # dark, middle, light
    shift: tuple[int, int]  # registration error of one plate, pixels
    page: tuple[int, int]  # width, height of the page


def ink(picture: np.ndarray, press: Press, x: int, y: int) -> np.ndarray:
    """Ink a finished panel.

    Args:
        picture: `(height, width, 3)` uint8, flat colours with black lines.
        press: the comic's style.
        x, y: where the panel's corner lies on the page (may be negative), which anchors the screens.

    Returns:
        The panel as printed, same shape and type.
    """
    style = press.style
    if style in ("flat", "faded"):
        return picture
    if style == "painted":
        weave = _window(_weave(*press.page), picture.shape, x, y)
        return np.clip(picture.astype(np.int16) + weave[..., None], 0, 255).astype(np.uint8)
    if style == "benday":
        out = np.empty_like(picture)
        for channel, angle in enumerate((15.0, 75.0, 0.0)):
            plane = _window(_dots(*press.page, press.pitch, angle), picture.shape, x, y)
            tone = picture[..., channel]
            # Ink spreads in cheap paper: half of the dot's contrast is left.
            out[..., channel] = (_screen(tone, plane, 3) // 2) + tone // 2 + 1
        return out
    grey = _grey(picture)
    if style == "line":
        flat = _screen(grey, _window(_strokes(*press.page, press.pitch), picture.shape, x, y), 5)
    elif style == "screentone":
        flat = _screen(_TONES[grey], _window(_dots(*press.page, press.pitch, 45.0), picture.shape, x, y), 4)
    elif style == "hatching":
        flat = _screen(_LIGHTER[grey], _window(_hatch(*press.page, press.pitch), picture.shape, x, y), 4)
    elif style == "wash":
        cloud = _window(_cloud(*press.page), picture.shape, x, y)
        soft = _SOFTER[grey].astype(np.int16)
        flat = np.clip(soft + (cloud * np.minimum(soft, 255 - soft) >> 6), 0, 255).astype(np.uint8)
    else:
        return _duo_table(press.duo)[_SOFTER[grey]]
    return np.repeat(flat[..., None], 3, axis=2)


def age(page: np.ndarray, press: Press, paper: tuple[int, int, int], strength: float) -> np.ndarray:
    """Old print: plates out of register, ink gone pale, yellowed grainy paper.

    Args:
        page: `(height, width, 3)` uint8.
        press: gives the registration error.
        paper: colour of the paper.
        strength: 0 (only the paper shows) .. 1 (badly faded).
    """
    out = page.copy()
    dx, dy = press.shift
    if dx or dy:
        out[..., 0] = np.roll(page[..., 0], (dy, dx), (0, 1))
        out[..., 2] = np.roll(page[..., 2], (-dx, dy), (0, 1))
    grain = _grain(page.shape[1], page.shape[0])
    low = 26 + round(40 * strength)  # black ink fades to dark brown
    for channel in range(3):
        span = paper[channel] - low * (0.9, 0.85, 0.9)[channel]
        table = (low * (1.0, 0.86, 0.8)[channel] + np.arange(256) * (span / 255)).clip(0, 255).astype(np.int16)
        out[..., channel] = np.clip(table[out[..., channel]] + grain, 0, 255)
    return out


def _grey(picture: np.ndarray) -> np.ndarray:
    """Luma in whole numbers (BT.601 weights in 1/256)."""
    wide = picture.astype(np.uint16)
    return ((wide[..., 0] * 77 + wide[..., 1] * 150 + wide[..., 2] * 29) >> 8).astype(np.uint8)


def _screen(tone: np.ndarray, plane: np.ndarray, gain: int) -> np.ndarray:
    """Soft threshold: black where the tone is darker than the plane."""
    return np.clip((tone.astype(np.int16) - plane) * gain + 128, 0, 255).astype(np.uint8)


def _window(plane: np.ndarray, shape: tuple[int, ...], x: int, y: int) -> np.ndarray:
    """The part of a page plane under a panel; planes have a margin for panels that stick out."""
    top, left = y + MARGIN, x + MARGIN
    return plane[top : top + shape[0], left : left + shape[1]]


MARGIN = 40
_LEVELS = np.arange(256, dtype=np.float32)
# Printed tones are far lighter than the colours they stand for: the page must stay mostly white, and ink stay black.
_LIGHTER = np.where(_LEVELS < 46, 0, 255 * np.clip((_LEVELS - 20) / 215, 0, 1) ** 0.72).astype(np.uint8)
_SOFTER = np.where(_LEVELS < 40, _LEVELS, 255 * (_LEVELS / 255) ** 0.72).astype(np.uint8)
# A sheet of screentone has one density: a few steps, and bare paper from light grey on.
_DENSITY = 90 + _LIGHTER.astype(np.int16) // 30 * 24
_TONES = np.where(_LIGHTER >= 200, 255, np.where(_LIGHTER < 40, 0, _DENSITY)).astype(np.uint8)


def _axes(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0 : height + 2 * MARGIN, 0 : width + 2 * MARGIN].astype(np.float32)
    return x, y


@lru_cache(maxsize=12)
def _dots(width: int, height: int, pitch: float, angle: float) -> np.ndarray:
    """Round dots on a turned square lattice; levels are spread evenly, so a tone covers its share of the area."""
    x, y = _axes(width, height)
    turn = math.radians(angle)
    u = (x * math.cos(turn) + y * math.sin(turn)) * (2 * math.pi / pitch)
    v = (-x * math.sin(turn) + y * math.cos(turn)) * (2 * math.pi / pitch)
    wave = (np.cos(u) + np.cos(v)) * 0.25 + 0.5
    return (44 + 200 * _even(wave)).astype(np.int16)


@lru_cache(maxsize=6)
def _hatch(width: int, height: int, pitch: float) -> np.ndarray:
    """Parallel strokes for half tones, crossed by others in the dark."""
    x, y = _axes(width, height)
    sway = 1.2 * np.sin(x / 37 + y / 53)
    first = np.abs(((x + y + sway) / (pitch * 1.5)) % 1.0 - 0.5) * 2
    second = np.abs(((x - y * 0.6 - sway) / (pitch * 1.7)) % 1.0 - 0.5) * 2
    # Half tones below 176 get the first strokes, thicker as it darkens; below 88 the second cross them.
    strokes = 60 + 116 * np.clip((first - 0.45) / 0.55, 0, 1) * (first > 0.45)
    cross = 30 + 58 * np.clip((second - 0.4) / 0.6, 0, 1)
    return np.maximum(strokes * (first > 0.45), cross).astype(np.int16)


@lru_cache(maxsize=6)
def _strokes(width: int, height: int, pitch: float) -> np.ndarray:
    """Line art: white but for the darkest, which is black, and a few parallel strokes on what is nearly so."""
    x, y = _axes(width, height)
    wave = np.abs(((x * 0.7 + y + 1.5 * np.sin(x / 41)) / (pitch * 1.3)) % 1.0 - 0.5) * 2
    return (58 + 52 * np.clip((wave - 0.5) / 0.5, 0, 1)).astype(np.int16)


def _even(wave: np.ndarray) -> np.ndarray:
    """Replace values by their share of the area below them (histogram equalisation)."""
    levels = np.clip((wave * 1023).astype(np.int32), 0, 1023)
    share = np.cumsum(np.bincount(levels.ravel(), minlength=1024)).astype(np.float32)
    return (share / share[-1])[levels]


@lru_cache(maxsize=4)
def _cloud(width: int, height: int) -> np.ndarray:
    """Slow unevenness of a brush wash, about -20..20."""
    return (_noise(width, height, 5, 18.0) * 6 + _noise(width, height, 6, 3.0) * 3).astype(np.int16)


@lru_cache(maxsize=4)
def _weave(width: int, height: int) -> np.ndarray:
    """Canvas and brush marks, about -18..18."""
    return (_noise(width, height, 7, 3.0, stretch=9.0) * 6 + _noise(width, height, 8, 60.0) * 5).astype(np.int16)


@lru_cache(maxsize=4)
def _grain(width: int, height: int) -> np.ndarray:
    """Paper fibres and stains, about -16..10, without the margin."""
    plane = _noise(width, height, 9, 1.0) * 4 + _noise(width, height, 10, 60.0) * 3 - 3
    return plane[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(np.int16)


def _noise(width: int, height: int, seed: int, size: float, *, stretch: float = 1.0) -> np.ndarray:
    """Smooth noise of unit variance; a fixed seed, for the paper is the same in every comic of the press."""
    rng = np.random.default_rng(seed)
    rows, columns = height + 2 * MARGIN, width + 2 * MARGIN
    step = max(1, int(size / 2))
    small = rng.standard_normal((rows // step + 3, columns // step + 3)).astype(np.float32)
    small = ndimage.gaussian_filter(small, (size / step / 2, size * stretch / step / 2))
    small /= float(small.std())
    if step == 1:
        return small[:rows, :columns]
    across = np.arange(columns) / step
    down = np.arange(rows) / step
    i, j = down.astype(int), across.astype(int)
    fy, fx = (down - i)[:, None].astype(np.float32), (across - j)[None, :].astype(np.float32)
    upper = small[i][:, j] * (1 - fx) + small[i][:, j + 1] * fx
    lower = small[i + 1][:, j] * (1 - fx) + small[i + 1][:, j + 1] * fx
    return upper * (1 - fy) + lower * fy


@lru_cache(maxsize=32)
def _duo_table(duo: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Grey to three steps of ink: dark, middle, light, with white kept."""
    table = np.empty((256, 3), dtype=np.uint8)
    for value in range(256):
        if value < 60:
            table[value] = duo[0]
        elif value < 130:
            table[value] = [int(a * 0.45 + b * 0.55) for a, b in zip(duo[0], duo[1], strict=True)]
        elif value < 190:
            table[value] = duo[1]
        elif value < 235:
            table[value] = duo[2]
        else:
            table[value] = [(c + 255 * 3) // 4 for c in duo[2]]
    return table
