"""Perceptual hashes of nine overlapping regions of a page, 32 bits each.

A bit is the sign of a low frequency of the region's discrete cosine transform, as in pHash (Zauner, "Implementation
and benchmarking of perceptual image hash functions", 2010), whose single hash of the whole page a few balloons
change in a third of its bits. Of nine regions nearly always one keeps all or all but two of its 24 lowest.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.fft import dct

from comictool.duplicates.fingerprint import SIDE

COARSE = SIDE // 2  # pixels of a side of the pictures that are hashed: lettering disappears
REGION = 16  # pixels of a region's side
_PLACES = range(0, COARSE - REGION + 1, 8)
REGIONS = tuple((top, left) for top in _PLACES for left in _PLACES)
BITS = 32
TEXTURE = 8.0  # grey levels (standard deviation) below which a region is flat and its bits are noise


def coarse(pictures: np.ndarray) -> np.ndarray:
    """Small pictures at half their size: `(N, 64, 64)` to `(N, 32, 32)` float32."""
    rows = np.add(pictures[:, ::2], pictures[:, 1::2], dtype=np.float32)
    return (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(0.25)


def region_frequencies(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The low frequencies of every region, lowest first, and which regions are drawn on.

    Args:
        pictures: `(N, 32, 32)` float32, as `coarse` makes them.

    Returns:
        `(N, 9, 32)` float32 and `(N, 9)` bool.
    """
    transform = _transform()
    count = len(pictures)
    frequencies = np.empty((count, len(REGIONS), BITS), np.float32)
    drawn = np.empty((count, len(REGIONS)), bool)
    for number, (top, left) in enumerate(REGIONS):
        region = pictures[:, top : top + REGION, left : left + REGION].reshape(count, -1)
        drawn[:, number] = region.std(axis=1) > TEXTURE
        frequencies[:, number] = region @ transform
    return frequencies, drawn


def packed_signs(frequencies: np.ndarray) -> np.ndarray:
    """Signs as one number, the lowest frequency in the highest bit: `(..., 32)` to `(...)` uint32."""
    weights = np.uint32(1) << np.arange(BITS - 1, -1, -1, dtype=np.uint32)
    return (frequencies > 0) @ weights


def region_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Bits that differ, region by region: `(P, 9)` uint8 of two `(P, 9)` uint32."""
    return np.bitwise_count(one ^ other)


@cache
def _transform() -> np.ndarray:
    """`(256, 32)`: from the pixels of a region to its lowest frequencies, the mean left out."""
    basis = dct(np.eye(REGION), axis=0, norm="ortho")
    down, across = np.divmod(np.arange(REGION * REGION), REGION)
    order = sorted(range(REGION * REGION), key=lambda n: (down[n] + across[n], max(down[n], across[n]), n))
    rows = [np.outer(basis[down[n]], basis[across[n]]).ravel() for n in order[1 : BITS + 1]]
    return np.stack(rows, axis=1).astype(np.float32)
