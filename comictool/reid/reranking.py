"""What a whole set of vectors knows that one pair does not: centring, whitening, neighbours, k-reciprocal re-ranking.

Nothing here looks at names. What is fitted is fitted on the references, so a query's vector never depends on which
other queries came in the same run, except for `k_reciprocal`, which is about whole sets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from comictool.core.errors import UsageError
from comictool.reid.scoring import blocks, similarity

POWER = 3.0  # Radenovic, Tolias and Chum (2018) weigh neighbours by a power of the cosine; 3 is their value
MOST_RERANKED = 5_000  # k-reciprocal holds six tables of N x N: 0.7 GB at this size


@dataclass(frozen=True)
class Transform:
    """`unit((vector - mean) @ matrix)`; `matrix` None leaves the axes as they are.

    Attributes:
        mean: (D,) float32.
        matrix: (D, K) float32 or None.
    """

    mean: np.ndarray
    matrix: np.ndarray | None = None

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """(N, D) rows -> (N, K) float32 unit rows."""
        moved = vectors.astype(np.float32) - self.mean
        return unit_rows(moved if self.matrix is None else moved @ self.matrix)


def fit_centring(references: np.ndarray) -> Transform:
    """Take out what all references share (the paper, the printing, the artist): the mean of the (R, D) rows."""
    return Transform(references.mean(axis=0).astype(np.float32))


def fit_whitening(references: np.ndarray, shrinkage: float = 0.5) -> Transform:
    """Centre, and level directions in which all references vary much.

    The covariance is mixed with `shrinkage` (0..1] parts of a round one of the same trace: with fewer references than
    dimensions the rest of space has no spread of its own and would be blown up.

    Raises:
        UsageError: a shrinkage outside (0, 1].
    """
    if not 0 < shrinkage <= 1:
        raise UsageError(f"the shrinkage of whitening is {shrinkage}, not above 0 and at most 1")
    mean = references.mean(axis=0, dtype=np.float64)
    moved = references - mean
    # Through the singular vectors of the references: D x D is never decomposed.
    _, singular, axes = np.linalg.svd(moved, full_matrices=False)
    spread = singular**2 / max(len(references), 1)
    level = spread.sum() / references.shape[1]
    if level <= 0:
        return Transform(mean.astype(np.float32))
    outside = 1 / np.sqrt(shrinkage * level)
    inside = 1 / np.sqrt((1 - shrinkage) * spread + shrinkage * level)
    matrix = np.eye(references.shape[1]) * outside + (axes.T * (inside - outside)) @ axes
    return Transform(mean.astype(np.float32), (matrix / outside).astype(np.float32))


def join_neighbours(
    vectors: np.ndarray,
    pool: np.ndarray,
    *,
    excluded: np.ndarray | Callable[[int, int], np.ndarray] | None = None,
    count: int = 1,
    power: float = POWER,
) -> np.ndarray:
    """Add to each vector its `count` nearest of a pool, weighted by cosine to the `power`; (N, D) unit rows.

    Database augmentation (Turcot and Lowe, 2009): what two pictures of one character share is strengthened.

    Args:
        vectors: (N, D) unit rows.
        pool: (P, D) unit rows, usually the references.
        excluded: (N, P) mask, or its rows by range, of what is no neighbour: the vector itself, its own page.
    """
    joined = vectors.astype(np.float64)
    for start, stop in blocks(len(vectors), len(pool)):
        alike = similarity(vectors[start:stop], pool)
        if excluded is not None:
            alike[excluded(start, stop) if callable(excluded) else excluded[start:stop]] = -np.inf
        nearest = np.argsort(-alike, axis=1, kind="stable")[:, :count]
        weights = np.take_along_axis(alike, nearest, axis=1).clip(0).astype(np.float64) ** power
        joined[start:stop] += np.einsum("nk,nkd->nd", weights, pool[nearest])
    return unit_rows(joined)


def k_reciprocal(
    vectors: np.ndarray, *, near: int = 20, expand: int = 6, share: float = 0.3, excluded: np.ndarray | None = None
) -> np.ndarray:
    """Similarities of a set with itself, re-ranked by shared k-reciprocal neighbours (Zhong and others, CVPR 2017).

    Args:
        vectors: (N, D) unit rows, queries and gallery together.
        near: k1, how many neighbours must be mutual.
        expand: k2, over how many neighbours the encodings are averaged; 1 does not.
        share: lambda, the part that the plain distance keeps.
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
    return -((1 - share) * _jaccard(weights) + share * distance).astype(np.float32)


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


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32; a row of zeros stays one, and is like nothing."""
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(np.float32)
