"""Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002), the mean over the orders of what ties."""

from __future__ import annotations

import numpy as np


def ndcg(scores: np.ndarray, gains: np.ndarray, k: int = 10) -> np.ndarray:
    """(Q,) of each query, in 0..1; nan where nothing has a gain.

    Args:
        scores: (Q, G), higher is nearer the top.
        gains: (Q, G), at least 0: how much each candidate is worth.
        k: the first so many count.
    """
    discounts = 1.0 / np.log2(np.arange(2, scores.shape[1] + 2))
    discounts[k:] = 0.0
    sums = np.concatenate([[0.0], np.cumsum(discounts)])
    found = np.empty(len(scores))
    for row, (line, worth) in enumerate(zip(scores, gains, strict=True)):
        _, group, sizes = np.unique(-line, return_inverse=True, return_counts=True)
        ends = np.cumsum(sizes)
        means = np.bincount(group, weights=worth) / sizes  # candidates that tie share their places
        best = float(np.sort(worth)[::-1] @ discounts)
        found[row] = float(means @ (sums[ends] - sums[ends - sizes])) / best if best > 0 else np.nan
    return found


def gain_of_one(before: np.ndarray, tied: np.ndarray, k: int = 10) -> np.ndarray:
    """The same where one candidate alone is right: (Q,), of how many stand before it and how many tie with it (itself
    among them).
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    sums = np.concatenate([[0.0], np.cumsum(discounts)])
    first, last = np.minimum(before, k), np.minimum(before + tied, k)
    shared: np.ndarray = (sums[last] - sums[first]) / np.maximum(tied, 1)
    return shared
