"""How alike two small pictures are, whatever is lettered onto them and however their borders were cut.

The pictures are compared in 225 overlapping windows. A window agrees when its pixels correlate; brightness and contrast
do not matter. The likeness is the share of the drawn-on windows that agree: balloons spoil some windows, another
drawing spoils nearly all, a panel used twice saves only its own.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from comictool.corpus.duplicates.fingerprint import SIDE
from comictool.corpus.duplicates.hashes import COARSE, TEXTURE, coarse

WINDOW = 8
WINDOW_STEP = 4
# Correlation from which a window agrees. Between .7 and .85 the best false and the worst true pair of the odd episodes
# lie equally far apart; lower values let gutters at the same place count, higher ones lose resized copies.
AGREES = 0.75
LEAST_WINDOWS = 40  # of 225 drawn on, or the pictures cannot be compared

# The alignment looks for `x' = scale * x + shift` on each axis by Gauss-Newton steps (Baker and Matthews,
# "Lucas-Kanade 20 years on", 2004), with weights that let differing pixels (balloons) count less.
ALIGN_STEPS = 6
LARGEST_SCALE = 1.18  # a copy cut to 85 % of a side
LARGEST_SHIFT = 4.0  # pixels of the coarse picture: an eighth of the page
RESIDUAL = 0.5  # in standard deviations of a page, where a pixel counts half
DAMPING = np.diag([20.0, 1.0, 20.0, 1.0]).astype(np.float32)
SOFTENING = 0.8  # pixels of blur, so that a step finds its way over a distance of two pixels
PAIRS_AT_ONCE = 256  # they take 100 MB while their windows are compared

_UNMOVED = np.array([1.0, 0.0, 1.0, 0.0], np.float32)


def likeness(one: np.ndarray, other: np.ndarray, *, enough: float = 1.0, hopeless: float = 0.0) -> np.ndarray:
    """The likeness of pairs, as they are or after alignment, whichever is larger.

    Args:
        one, other: `(P, 64, 64)` uint8.
        enough: pairs that reach this as they are, are not aligned.
        hopeless: pairs whose softened wholes correlate less than this get 0 and are not looked at.

    Returns:
        `(P,)` float32, 0..1; 0 for pairs with too little drawn on them.
    """
    scores = np.zeros(len(one), np.float32)
    for start in range(0, len(one), PAIRS_AT_ONCE):
        piece = slice(start, start + PAIRS_AT_ONCE)
        scores[piece] = _likeness(one[piece].astype(np.float32), other[piece].astype(np.float32), enough, hopeless)
    return scores


def _likeness(one: np.ndarray, other: np.ndarray, enough: float, hopeless: float) -> np.ndarray:
    scores = np.zeros(len(one), np.float32)
    soft_one, soft_other = softened(coarse(one)), softened(coarse(other))
    alike = np.flatnonzero((soft_one * soft_other).mean(axis=(1, 2)) >= hopeless)
    scores[alike] = agreement(one[alike], other[alike], np.ones((len(alike), SIDE, SIDE), bool))
    unsure = alike[scores[alike] < enough]
    moves = align(soft_one[unsure], soft_other[unsure])
    moves[:, 1::2] *= SIDE / COARSE
    moved, inside = move(other[unsure], moves)
    scores[unsure] = np.maximum(scores[unsure], agreement(one[unsure], moved, inside))
    return scores


def agreement(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The share of drawn-on windows in which pictures agree; `inside` says which pixels may be compared.

    All `(P, 64, 64)`; the result is `(P,)` float32.
    """
    first, first_contrast = _unit_windows(one)
    second, second_contrast = _unit_windows(other)
    whole = _windows(inside).all(axis=-1)
    drawn = (np.maximum(first_contrast, second_contrast) > TEXTURE) & whole
    agreeing = (np.einsum("pwn,pwn->pw", first, second) > AGREES) & drawn
    count = drawn.sum(axis=1)
    share = agreeing.sum(axis=1) / np.maximum(count, 1)
    return np.where(count >= LEAST_WINDOWS, share, 0.0).astype(np.float32)


def drawn_windows(pictures: np.ndarray) -> np.ndarray:
    """How many windows of each picture are drawn on: `(N, 64, 64)` to `(N,)`."""
    return np.concatenate(
        [
            (_unit_windows(pictures[start : start + PAIRS_AT_ONCE].astype(np.float32))[1] > TEXTURE).sum(axis=1)
            for start in range(0, len(pictures), PAIRS_AT_ONCE)
        ]
        or [np.zeros(0, np.int64)]
    )


def softened(pictures: np.ndarray) -> np.ndarray:
    """Pictures blurred a little, with mean 0 and standard deviation 1."""
    soft = gaussian_filter1d(gaussian_filter1d(pictures, SOFTENING, axis=1), SOFTENING, axis=2)
    soft = soft - soft.mean(axis=(1, 2), keepdims=True)
    return soft / np.maximum(np.sqrt((soft * soft).mean(axis=(1, 2), keepdims=True)), 1.0)


def align(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where each pixel of `one` lies in `other`: `(P, 4)` scale and shift across, scale and shift down.

    Both are `softened` pictures, `(P, 32, 32)`.
    """
    axis_pixels = _axis(COARSE)
    moves = np.tile(_UNMOVED, (len(one), 1))
    for _ in range(ALIGN_STEPS):
        moved, inside = move(other, moves)
        down, across = np.gradient(moved, axis=(1, 2))
        residual = one - moved
        weight = inside / (1 + (residual / RESIDUAL) ** 2)
        slopes = np.stack([across * axis_pixels, across, down * axis_pixels[:, None], down], axis=-1)
        slopes = slopes.reshape(len(one), COARSE * COARSE, 4)
        weighted = slopes * weight.reshape(len(one), COARSE * COARSE, 1)
        normal = weighted.transpose(0, 2, 1) @ slopes + DAMPING
        pull = (weighted * residual.reshape(len(one), COARSE * COARSE, 1)).sum(axis=1)
        step = np.linalg.solve(normal, pull[..., None])[..., 0]
        # the step is in the coordinates of `one`, so the move found so far comes after it
        for axis in (0, 2):
            shift = moves[:, axis + 1] + moves[:, axis] * step[:, axis + 1]
            scale = moves[:, axis] * (1 + step[:, axis])
            moves[:, axis] = np.clip(scale, 1 / LARGEST_SCALE, LARGEST_SCALE)
            moves[:, axis + 1] = np.clip(shift, -LARGEST_SHIFT, LARGEST_SHIFT)
    return moves


def move(pictures: np.ndarray, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sample square pictures of any size at moved places, bilinearly; also which places lie inside."""
    side = pictures.shape[1]
    pair = np.arange(len(pictures))[:, None]
    across, across_share, across_inside = _places(side, moves[:, 0], moves[:, 1])
    down, down_share, down_inside = _places(side, moves[:, 2], moves[:, 3])
    upper, lower = pictures[pair, down], pictures[pair, down + 1]
    turned = (upper + (lower - upper) * down_share[..., None]).transpose(0, 2, 1)
    left, right = turned[pair, across], turned[pair, across + 1]
    sampled = (left + (right - left) * across_share[..., None]).transpose(0, 2, 1)
    return sampled, down_inside[:, :, None] & across_inside[:, None, :]


def _axis(side: int) -> np.ndarray:
    """Pixels of a side, counted from the middle."""
    return (np.arange(side) - (side - 1) / 2).astype(np.float32)


def _places(side: int, scale: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    place = scale[:, None] * _axis(side) + shift[:, None] + np.float32((side - 1) / 2)
    inside = (place >= -0.5) & (place <= side - 0.5)
    place = np.clip(place, 0, side - 1)
    first = np.minimum(place.astype(np.int32), side - 2)
    return first, place - first, inside


def _windows(pictures: np.ndarray) -> np.ndarray:
    """`(P, 64, 64)` to `(P, 225, 64)`."""
    view = np.lib.stride_tricks.sliding_window_view(pictures, (WINDOW, WINDOW), axis=(1, 2))
    view = view[:, ::WINDOW_STEP, ::WINDOW_STEP]
    return view.reshape(len(pictures), view.shape[1] * view.shape[2], WINDOW * WINDOW)


def _unit_windows(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Windows with mean 0 and length 1, and their standard deviations."""
    windows = _windows(pictures)
    windows = windows - windows.mean(axis=-1, keepdims=True)
    contrast = np.sqrt((windows * windows).mean(axis=-1))
    return windows / (np.maximum(contrast, 1e-6) * WINDOW)[..., None], contrast
