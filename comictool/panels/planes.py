"""What is asked of whole working pages again and again, in the forms that numpy does fastest."""

from __future__ import annotations

import numpy as np

SUMMED = 255  # rows that 8 bits can count


def share(mask: np.ndarray) -> float:
    """The share of True in a bool array, 0..1; of an empty one 0."""
    return np.count_nonzero(mask) / max(1, mask.size)


def counts(mask: np.ndarray, axis: int) -> np.ndarray:
    """`mask.sum(axis)` of (h, w) bool, ten times as fast: numpy widens every pixel to 64 bits before it adds."""
    if mask.flags.f_contiguous and not mask.flags.c_contiguous:
        mask, axis = mask.T, 1 - axis
    bits = mask.view(np.uint8)
    if axis == 1:
        return np.add.reduce(bits, axis=1, dtype=np.uint16 if bits.shape[1] < 2**16 else np.uint32).astype(np.int64)
    total = np.zeros(bits.shape[1], dtype=np.int64)
    for at in range(0, len(bits), SUMMED):
        total += np.add.reduce(bits[at : at + SUMMED], axis=0, dtype=np.uint8)
    return total


def closing(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Grey closing by a rectangle of `size` (rows, columns): the least of the greatest around every pixel of (h, w).

    As `scipy.ndimage.grey_closing`, whose filters take a time for every pixel that these take for a row.
    """
    return _extreme(_extreme(plane, size, np.maximum), size, np.minimum)


def opening(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Grey opening: the greatest of the least."""
    return _extreme(_extreme(plane, size, np.minimum), size, np.maximum)


def _extreme(plane: np.ndarray, size: tuple[int, int], pick: np.ufunc) -> np.ndarray:
    """The greatest or least in a window around every pixel, cut off at the edges; even ones lean to either side."""
    for axis, length in enumerate(size):
        before = (length - 1) // 2 if pick is np.maximum else length // 2
        plane = _along(plane, axis, length, before, pick)
    return plane


def _along(plane: np.ndarray, axis: int, length: int, before: int, pick: np.ufunc) -> np.ndarray:
    """The extreme of `length` pixels along an axis, of which `before` lie before the pixel itself.

    Windows of 1, 2, 4... pixels are joined, so that a window costs the logarithm of its length.
    """
    pad = [(0, 0), (0, 0)]
    pad[axis] = (before, length - 1 - before)
    part = np.moveaxis(np.pad(plane, pad, mode="edge"), axis, 0)
    reached = 1
    while reached < length:
        step = min(reached, length - reached)
        part = pick(part[: len(part) - step], part[step:])
        reached += step
    return np.moveaxis(part, 0, axis)
