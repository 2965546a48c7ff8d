"""What lies between the panels: the reduced working copy of a page and masks of its paper.

The colour between panels is not known in advance (white, yellowed paper, black, a flat colour), so a page gives a
short list of candidate colours, and each candidate gives a mask of the pixels that have it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image
from scipy import ndimage

from comictool.panels.cells import unit
from comictool.panels.planes import closing, opening, share
from comictool.panels.twins import Bands, bands_of

WORK_PIXELS = 720_000  # about 710x1010: a 4-pixel gutter of a 1200x1700 page keeps 2 to 3 pixels
WORK_WIDTH = 360  # pixels of the shorter side
MOST_WORK_PIXELS = 4_000_000
LOCAL_SPREAD = 0.07  # blur of the local paper colour, as a share of the longer side: stains and fading are wider
NEAR_COLOUR = 48  # levels within which a pixel counts as the same paper before its local shade is known
TOLERANCE = (15.0, 40.0)  # levels: clean digital pages need the first, grainy scans up to the second
SCANNED = 2.0  # grain from which a page is taken for a scan, whose paper has stains and shadows
GRAINY = 9.0  # grain from which a page is smoothed first: noise as strong as faint lines
SMOOTHING = 0.8  # units
GRAIN = 5.0  # tolerance in units of the paper's grain; the mean step of Gaussian noise is 1.13 deviations
LINE = 5  # units (`cells.unit`); frame lines are thinner
SPECK = 10  # square units: dust and print grain, below the size of a letter
RIM = 2  # working pixels along the page's edge that count as background whatever they show
RING_SHARE = 0.2  # share of the margin that must have one colour before it is taken for the gutter
DISTINCT = 40  # levels between two guesses worth trying both
RING = (0.004, 0.03)  # the page margin as shares of the shorter side; the outermost rim is often a scan edge


@dataclass(frozen=True)
class WorkingPage:
    """A reduced page.

    Attributes:
        planes: (3, h, w) uint8 red, green, blue; planes, because reductions over a last axis of 3 crawl.
        scale: working pixels per page pixel, at most 1.
    """

    planes: np.ndarray
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the working copy."""
        return self.planes.shape[1], self.planes.shape[2]

    @cached_property
    def grey(self) -> np.ndarray:
        """(h, w) float32 in 0..255, the mean of the three."""
        return np.asarray(np.mean(self.planes, axis=0, dtype=np.float32))

    @cached_property
    def bands(self) -> tuple[Bands, Bands]:
        """Light runs between dark pixels, for lines across and, transposed, for upright ones."""
        return bands_of(self.grey), bands_of(self.grey.T)


@dataclass(frozen=True)
class Background:
    """One guess at what lies between the panels.

    Attributes:
        colour: RGB.
        mask: (h, w) bool, True where the page has the gutter colour (also inside balloons and white clothes).
    """

    colour: tuple[int, int, int]
    mask: np.ndarray

    @property
    def light(self) -> bool:
        """Whether it is nearer white than black."""
        return sum(self.colour) >= 3 * 128


def reduce_page(image: np.ndarray) -> WorkingPage:
    """Average a page, (H, W, 3) uint8, down to about `WORK_PIXELS`, long strips to more."""
    height, width = image.shape[:2]
    # A long strip keeps enough width to show its gutters, up to a bound on the whole.
    scale = max((WORK_PIXELS / (height * width)) ** 0.5, WORK_WIDTH / min(height, width))
    scale = min(1.0, scale, (MOST_WORK_PIXELS / (height * width)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(np.ascontiguousarray(image))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BOX)
    planes = np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))
    return WorkingPage(planes, size[0] / width)


def candidate_backgrounds(page: WorkingPage) -> Iterator[Background]:
    """Guesses at the gutter, the most likely first: the margin's colour, the lightest paper, black."""
    colours: list[np.ndarray] = []
    colour, usual = _mode(_ring(page.planes))
    if usual >= RING_SHARE:
        colours.append(colour)
    flat = page.planes[:, ::2, ::2].reshape(3, -1)
    light = flat.mean(0, dtype=np.float32)
    for pool in (flat[:, light >= max(150.0, np.percentile(light, 97) - 40)], flat[:, light <= 40]):
        if pool.shape[1] >= 0.03 * flat.shape[1]:
            colours.append(_mode(pool)[0])
    tried: list[np.ndarray] = []
    for colour in colours:
        if all(np.abs(colour - other).max() > DISTINCT for other in tried):
            tried.append(colour)
            red, green, blue = (int(value) for value in colour)
            yield Background((red, green, blue), background_mask(page.planes, colour))


def background_mask(planes: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Where a page (3, h, w) has the gutter colour, allowing slow changes of shade over a scan. Returns (h, w) bool."""
    near = _is_near(planes, colour, NEAR_COLOUR)
    grain = _grain(planes[1], near)
    if grain >= GRAINY and _grain(planes[1], near & _margin(near.shape)) >= GRAINY:  # else it is screentone
        sigma = SMOOTHING * unit(near)
        planes = np.stack([ndimage.gaussian_filter(plane.astype(np.float32), sigma) for plane in planes])
        near = _is_near(planes, colour, NEAR_COLOUR)
        grain = _grain(planes[1], near)
    tolerance = float(np.clip(GRAIN * grain, *TOLERANCE))
    shade = _local_shade(planes, colour, near) if grain >= SCANNED else colour
    mask = _without_specks(_is_near(planes, shade, tolerance) & ~_thin_lines(planes[1], colour, 0.8 * tolerance))
    # Scan borders and torn edges would close the ends of gutters that run off the page.
    mask[:RIM] = mask[-RIM:] = True
    mask[:, :RIM] = mask[:, -RIM:] = True
    return mask


def _local_shade(planes: np.ndarray, colour: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The paper's colour around every pixel: a wide blur over what looks like paper.

    Returns (3, rows, columns) float32, one colour for squares of `_square(near)` pixels.
    """
    sigma = LOCAL_SPREAD * max(planes.shape[1:])
    step = _square(near)
    sparse = planes[:, ::step, ::step]
    weight = near[::step, ::step].astype(np.float32)
    blurred = ndimage.gaussian_filter(weight, sigma / step) + 0.02
    local = np.empty(sparse.shape, dtype=np.float32)
    for channel in range(3):
        excess = (sparse[channel] - colour[channel]) * weight
        local[channel] = colour[channel] + ndimage.gaussian_filter(excess, sigma / step) / blurred
    return local


def _square(plane: np.ndarray) -> int:
    """The side of the squares of a page (h, w) for which the local shade is known."""
    return max(1, int(LOCAL_SPREAD * max(plane.shape) // 6))


def _thin_lines(grey: np.ndarray, colour: np.ndarray, contrast: float) -> np.ndarray:
    """Faint frame lines: pixels that stand out from what surrounds them by `contrast` levels. Returns (h, w) bool."""
    side = max(1, round(LINE * unit(grey)))
    size = side, side
    if float(np.mean(colour)) >= 128:
        return closing(grey, size) - grey > contrast
    return grey - opening(grey, size) > contrast


def _grain(grey: np.ndarray, near: np.ndarray) -> float:
    """The noise of the paper: mean difference between neighbours that both look like paper, in levels."""
    both = near[:, 1:] & near[:, :-1]
    step = np.maximum(grey[:, 1:], grey[:, :-1]) - np.minimum(grey[:, 1:], grey[:, :-1])
    return float((step * both).sum(dtype=np.float64)) / max(1, int(np.count_nonzero(both)))


def _is_near(planes: np.ndarray, colour: np.ndarray, levels: float) -> np.ndarray:
    """Where all channels (3, h, w) are within `levels` of a colour: (3,), or that of `_local_shade`.

    Beyond white or black there is nothing, so overshoot counts half. Returns (h, w) bool.
    """
    light = float(np.mean(colour)) >= 128
    below, above = (levels, 2 * levels) if light else (2 * levels, levels)
    inside = np.ones(planes.shape[1:], dtype=bool)
    for channel, plane in zip(colour, planes, strict=True):
        least, most = channel - below, channel + above
        if plane.dtype == np.uint8:  # whole levels compare ten times as fast
            least = np.clip(np.ceil(least), 0, 255).astype(np.uint8)
            most = np.clip(np.floor(most), 0, 255).astype(np.uint8)
        if colour.ndim > 1:
            least, most = (_spread(limit, plane) for limit in (least, most))
        inside &= (plane >= least) & (plane <= most)
    return inside


def _spread(coarse: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Values of squares (rows, columns) for every pixel of a plane (h, w)."""
    side = _square(plane)
    return np.repeat(np.repeat(coarse, side, 0), side, 1)[: plane.shape[0], : plane.shape[1]]


def _margin(shape: tuple[int, ...]) -> np.ndarray:
    """The page's margin as a mask (h, w) bool."""
    inner = max(3, int(RING[1] * min(shape)))
    mask = np.ones(shape, dtype=bool)
    mask[inner:-inner, inner:-inner] = False
    return mask


def _ring(planes: np.ndarray) -> np.ndarray:
    """The pixels (3, n) of a page's margin."""
    height, width = planes.shape[1:]
    outer, inner = (max(1, int(part * min(height, width))) for part in RING)
    inner = max(inner, outer + 2)
    parts = (
        planes[:, outer:inner, outer : width - outer],
        planes[:, height - inner : height - outer, outer : width - outer],
        planes[:, inner : height - inner, outer:inner],
        planes[:, inner : height - inner, width - inner : width - outer],
    )
    return np.concatenate([part.reshape(3, -1) for part in parts], axis=1)


def _mode(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """The commonest colour of (3, n) pixels and the share of pixels within 24 levels of it."""
    if pixels.shape[1] == 0:
        return np.full(3, 255.0), 0.0
    bins = pixels >> 4
    keys = (bins[0].astype(np.uint16) << 8) | (bins[1] << 4) | bins[2]
    colour = pixels[:, keys == np.bincount(keys).argmax()].mean(1)
    close = np.ones(pixels.shape[1], dtype=bool)
    for channel, plane in zip(colour, pixels, strict=True):
        close &= (plane >= math.ceil(channel - 24)) & (plane <= math.floor(channel + 24))
    return (pixels[:, close].mean(1) if close.any() else colour), share(close)


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """Dust on the paper becomes paper: non-background pieces under `SPECK` pixels."""
    labels, count = ndimage.label(~mask, structure=np.ones((3, 3), dtype=int))
    if count == 0:
        return mask
    small = np.bincount(labels.ravel()) < SPECK * unit(mask) ** 2
    small[0] = False
    return mask | small[labels]
