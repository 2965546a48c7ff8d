"""Soft spatial cells and block normalisation that all measurements share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from comictool.plugins.classic.canvas import SIDE


@lru_cache(maxsize=16)
def cell_weights(cells: int, side: int = SIDE) -> np.ndarray:
    """How much each of `side` pixels counts in each of `cells` cells along one axis: `(cells, side)` float32.

    The weight falls off linearly to the middle of the neighbouring cell, so a small shift moves little from
    cell to cell (the trilinear vote of Dalal and Triggs, CVPR 2005). Every row sums to 1.
    """
    middle = (np.arange(side) + 0.5) / side * cells - 0.5
    distance = np.abs(np.clip(middle, 0, cells - 1)[None, :] - np.arange(cells)[:, None])
    weights = np.clip(1.0 - distance, 0.0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@lru_cache(maxsize=16)
def cosines(count: int, side: int = SIDE) -> np.ndarray:
    """The first `count` rows of the orthonormal DCT-II of `side` samples: `(count, side)` float32."""
    angle = np.pi / side * (np.arange(side) + 0.5)[None, :] * np.arange(count)[:, None]
    rows = np.cos(angle) * np.sqrt(2.0 / side)
    rows[0] /= np.sqrt(2.0)
    return rows.astype(np.float32)


def pool(planes: np.ndarray, cells: int) -> np.ndarray:
    """Cell means of square planes `(..., side, side)`: `(..., cells, cells)`."""
    weights = cell_weights(cells, planes.shape[-1])
    return weights @ planes @ weights.T


def unit(block: np.ndarray, least: float = 1e-6) -> np.ndarray:
    """Flat float32 copy of Euclidean length 1; a block shorter than `least` stays in proportion to it.

    `least` keeps the noise of an empty measurement (the colours of a grey page) from being blown up.
    """
    flat = np.asarray(block, dtype=np.float32).ravel()
    return flat / max(float(np.sqrt(np.dot(flat, flat))), least)


def signed_root(block: np.ndarray) -> np.ndarray:
    """Power normalisation, exponent 1/2, sign kept (Perronnin and others, ECCV 2010): tames a few large values."""
    return np.sign(block) * np.sqrt(np.abs(block))


def centred_unit(block: np.ndarray, least: float = 1e-3) -> np.ndarray:
    """`unit` of the block less its mean: the product of two such blocks is their correlation."""
    return unit(np.asarray(block, dtype=np.float32) - np.mean(block, dtype=np.float32), least)
