"""What a whole set of vectors knows that one pair does not: its common part, and k-reciprocal neighbours.

Nothing here looks at names. A re-ranked similarity depends on which other vectors are in the set, so it serves closed
sets and clusters, never the naming of pictures that come one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comictool.core.errors import UsageError
from comictool.reid.scoring import similarity

PLAIN = 0.3  # the part that the plain distance keeps, lambda of the paper
MOST_RERANKED = 5_000  # k-reciprocal holds six tables of N x N: 0.7 GB at this size


def centred(vectors: np.ndarray, references: np.ndarray, parts: Sequence[int] = ()) -> np.ndarray:
    """(N, D) unit rows less what all references (R, D) share (paper, printing, artist): their mean; unit rows again."""
    return less(vectors, references.mean(axis=0), parts)


def less(vectors: np.ndarray, mean: np.ndarray, parts: Sequence[int] = ()) -> np.ndarray:
    """(N, D) vectors less one (D,), as unit rows.

    Args:
        parts: how many numbers each part of a joined vector has; each part keeps the length that it had before.
    """
    moved = vectors.astype(np.float32) - mean.astype(np.float32)
    if len(parts) > 1 and sum(parts) == vectors.shape[1]:
        stop = 0
        for size in parts:
            start, stop = stop, stop + size
            before = np.linalg.norm(vectors[:, start:stop], axis=1, keepdims=True)
            left = np.linalg.norm(moved[:, start:stop], axis=1, keepdims=True)
            moved[:, start:stop] *= before / np.maximum(left, 1e-12)
    return (moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def k_reciprocal(
    vectors: np.ndarray, *, near: int = 20, expand: int = 6, excluded: np.ndarray | None = None
) -> np.ndarray:
    """Similarities of a set with itself, re-ranked by shared k-reciprocal neighbours (Zhong and others, CVPR 2017).

    Args:
        vectors: (N, D) unit rows, queries and gallery together.
        near: k1, how many neighbours must be mutual.
        expand: k2, over how many neighbours the encodings are averaged; 1 does not.
        excluded: (N, N) pairs that are no neighbours (the same page); the diagonal always stays.

    Returns:
        (N, N) float32, minus the re-ranked distance, -1..0.

    Raises:
        UsageError: more than `MOST_RERANKED` vectors.
    """
    number = len(vectors)
    if number > MOST_RERANKED:
        raise UsageError(
            f"{number} vectors are too many to re-rank",
            cause=f"k-reciprocal re-ranking holds every pair; the limit is {MOST_RERANKED}",
            hint="classify in parts, or leave re-ranking out",
        )
    distance = 2 - 2 * similarity(vectors, vectors)
    if excluded is not None:
        distance[excluded] = np.inf
    np.fill_diagonal(distance, 0)
    finite = np.where(np.isfinite(distance), distance, 4.0)
    distance = finite / np.maximum(finite.max(axis=1, keepdims=True), 1e-12)
    ranks = np.argsort(distance, axis=1, kind="stable")
    weights = np.zeros((number, number), np.float32)
    for row in range(number):
        mutual = _reciprocal(ranks, row, near)
        members = mutual
        for candidate in mutual:
            other = _reciprocal(ranks, int(candidate), max(1, round(near / 2)))
            # A candidate's own circle joins when two thirds of it are mutual already (the paper's rule).
            if len(np.intersect1d(other, mutual)) > 2 / 3 * len(other):
                members = np.union1d(members, other)
        strength = np.exp(-distance[row, members])
        weights[row, members] = strength / strength.sum()
    if expand > 1:
        weights = np.stack([weights[ranks[row, :expand]].mean(axis=0) for row in range(number)])
    return -((1 - PLAIN) * _jaccard(weights) + PLAIN * distance).astype(np.float32)


def _reciprocal(ranks: np.ndarray, row: int, near: int) -> np.ndarray:
    """The nearest of a row that have the row among their own nearest; itself included."""
    forward = ranks[row, : near + 1]
    return forward[(ranks[forward, : near + 1] == row).any(axis=1)]


def _jaccard(weights: np.ndarray) -> np.ndarray:
    """Jaccard distance of every two fuzzy sets whose weights sum to 1: `1 - m / (2 - m)`, m the sum of minima."""
    distance = np.empty((len(weights), len(weights)), np.float32)
    for row, own in enumerate(weights):
        used = np.flatnonzero(own)
        shared = np.minimum(weights[:, used], own[used]).sum(axis=1)
        distance[row] = 1 - shared / (2 - shared)
    return distance
