"""Ranking a gallery for queries, each figure by its published definition.

A query is answered from a gallery in order of score, ties in gallery order; candidates of its own page (or itself) are
excluded. A query whose character has no other candidate left cannot be answered and does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# A (Q, G) mask of candidates that do not count, or a function from a range of queries to its rows of that mask.
Excluded = np.ndarray | Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class Retrieval:
    """Per query: `answered` are the indices of the A queries that count; the rest are (A,) in their order.

    Attributes:
        place: rank of the first right candidate, from 1.
        precision: average precision, the mean over right candidates of the precision at their rank.
        at_r: the same over the first R ranks alone, divided by R, R being the number of right candidates
            (mAP@R: Musgrave and others, ECCV 2020).
        labels: the character of each.
    """

    answered: np.ndarray
    place: np.ndarray
    precision: np.ndarray
    at_r: np.ndarray
    labels: np.ndarray

    def rank(self, k: int) -> float:
        """Share of queries with a right candidate among the first k; nan for none."""
        return float(np.mean(self.place <= k)) if len(self.place) else float("nan")

    def macro_rank(self, k: int) -> float:
        """`rank`, the mean over characters."""
        return macro(self.place <= k, self.labels)

    @property
    def mean_precision(self) -> float:
        """mAP, the mean over queries."""
        return float(np.mean(self.precision)) if len(self.precision) else float("nan")

    @property
    def mean_at_r(self) -> float:
        """mAP@R, the mean over queries."""
        return float(np.mean(self.at_r)) if len(self.at_r) else float("nan")


def retrieval(
    scores: np.ndarray,
    query_labels: Sequence[str] | np.ndarray,
    gallery_labels: Sequence[str] | np.ndarray,
    excluded: Excluded | None = None,
) -> Retrieval:
    """Rank the gallery for every query.

    Args:
        scores: (Q, G), higher is more alike.
        excluded: (Q, G) candidates that do not count, or rows of that mask by range.
    """
    queries, gallery = np.asarray(query_labels, dtype=str), np.asarray(gallery_labels, dtype=str)
    rows: list[tuple[int, int, float, float]] = []
    for number, line in enumerate(scores):
        left = np.ones(len(gallery), bool)
        if excluded is not None:
            left = ~(excluded(number, number + 1)[0] if callable(excluded) else excluded[number])
        candidates = np.flatnonzero(left)
        right = gallery[candidates[np.argsort(-line[candidates], kind="stable")]] == queries[number]
        places = np.flatnonzero(right) + 1
        if not len(places):
            continue
        precisions = np.arange(1, len(places) + 1) / places
        rows.append((number, places[0], precisions.mean(), precisions[places <= len(places)].sum() / len(places)))
    answered = np.array([row[0] for row in rows], np.int64)
    place, precision, at_r = (np.array([row[i] for row in rows], np.float64) for i in (1, 2, 3))
    return Retrieval(answered, place, precision, at_r, queries[answered])


def macro(right: np.ndarray, labels: np.ndarray) -> float:
    """Mean over characters of the share that is right; nan for none."""
    if not len(labels):
        return float("nan")
    # Counted in one pass: intervals ask a thousand times, and a pass for each label takes minutes with some hundreds.
    _, codes = np.unique(labels, return_inverse=True)
    return float(np.mean(np.bincount(codes, weights=right) / np.bincount(codes)))
