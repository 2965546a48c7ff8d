"""How alike two small pictures are, whatever is lettered onto them and however their borders were cut.

The pictures are compared in 225 overlapping windows. A window agrees when its pixels correlate; brightness and contrast
do not matter. The similarity is the share of the drawn-on windows that agree: balloons spoil some windows, another
drawing spoils nearly all, a panel used twice saves only its own.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from comictool.duplicates.fingerprint import SIDE
from comictool.duplicates.hashes import COARSE, TEXTURE, coarse

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

UNMOVED = np.array([1, 0, 1, 0], np.float32)

# How a page looks with its borders cut: nothing cut, the middle, and towards each corner. The alignment finds its way
# over a twentieth of the page; copies cut by up to 8 % a side are that near to one of these.
CUT = 0.92
_PLAY = (1 - CUT) / 2 * COARSE
CUTS = np.array(
    [UNMOVED, (CUT, 0, CUT, 0), *((CUT, x, CUT, y) for x in (-_PLAY, _PLAY) for y in (-_PLAY, _PLAY))], np.float32
)


def similarity(
    one: np.ndarray, other: np.ndarray, *, starts: np.ndarray | None = None, enough: float = 1.0, hopeless: float = 0.0
) -> np.ndarray:
    """The similarity of pairs as they begin or after alignment, whichever is larger.

    Args:
        one, other: `(P, 64, 64)`.
        starts: `(P, 4)` where the pixels of the coarse `one` are thought to lie in `other`; at the same place if None.
        enough: pairs that reach this as they begin are not aligned.
        hopeless: pairs whose softened wholes correlate less than this get 0 and are not looked at.

    Returns:
        `(P,)` float32, 0..1; 0 for pairs with too little drawn on them.
    """
    begin = np.tile(UNMOVED, (len(one), 1)) if starts is None else starts
    scores = np.zeros(len(one), np.float32)
    for start in range(0, len(one), PAIRS_AT_ONCE):
        piece = slice(start, start + PAIRS_AT_ONCE)
        pair = one[piece].astype(np.float32), other[piece].astype(np.float32)
        scores[piece] = _similarity(*pair, begin[piece], enough, hopeless)
    return scores


def best_starts(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each pair of `(P, 64, 64)` pictures the one of `CUTS` and their inverses that makes them most alike."""
    moves = np.concatenate([CUTS, inverse(CUTS[1:])])
    first, second = coarse(one), coarse(other)
    soft = softened(first)
    alike = [(soft * softened(move(second, np.tile(each, (len(second), 1)))[0])).mean(axis=(1, 2)) for each in moves]
    return moves[np.argmax(alike, axis=0)]


def inverse(moves: np.ndarray) -> np.ndarray:
    """The moves back."""
    scale, shift = moves[:, 0::2], moves[:, 1::2]
    return np.stack([1 / scale, -shift / scale], axis=2).reshape(-1, 4).astype(np.float32)


def _similarity(one: np.ndarray, other: np.ndarray, starts: np.ndarray, enough: float, hopeless: float) -> np.ndarray:
    scores = np.zeros(len(one), np.float32)
    coarse_other = coarse(other)
    soft_one = softened(coarse(one))
    begun = softened(move(coarse_other, starts)[0])
    alike = np.flatnonzero((soft_one * begun).mean(axis=(1, 2)) >= hopeless)
    scores[alike] = agreement(one[alike], *move(other[alike], _finer(starts[alike])))
    unsure = alike[scores[alike] < enough]
    moves = align(soft_one[unsure], softened(coarse_other[unsure]), starts[unsure])
    aligned = agreement(one[unsure], *move(other[unsure], _finer(moves)))
    scores[unsure] = np.maximum(scores[unsure], aligned)
    return scores


def _finer(moves: np.ndarray) -> np.ndarray:
    """Moves of coarse pictures for small ones, which have more pixels."""
    return moves * np.array([1, SIDE / COARSE, 1, SIDE / COARSE], np.float32)


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


def softened(pictures: np.ndarray) -> np.ndarray:
    """Pictures blurred a little, with mean 0 and standard deviation 1."""
    soft = gaussian_filter1d(gaussian_filter1d(pictures, SOFTENING, axis=1), SOFTENING, axis=2)
    soft = soft - soft.mean(axis=(1, 2), keepdims=True)
    return soft / np.maximum(np.sqrt((soft * soft).mean(axis=(1, 2), keepdims=True)), 1.0)


def align(one: np.ndarray, other: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Where each pixel of `one` lies in `other`: `(P, 4)` scale and shift across, scale and shift down.

    Both are `softened` pictures, `(P, 32, 32)`; the search begins at `starts`.
    """
    axis_pixels = _axis(COARSE)
    moves = starts.copy()
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
