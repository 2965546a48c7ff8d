"""Ranking a gallery for queries, each metric by its published definition.

A query is answered from a gallery in order of score; candidates of its own page (or itself) are excluded. Of ties each
figure is the mean over all their orders, in closed form (McSherry and Najork, ECIR 2008): galleries lie in page order,
where neighbours often show one character, so that vectors which are all equal would seem to know something. Scores that
differ by rounding alone are ties too. A query whose character has no other candidate left cannot be answered and does
not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from comictool.measure.chance import random_rank, random_reciprocal

# A (Q, G) mask of candidates that do not count, or a function from a range of queries to its rows of that mask.
Excluded = np.ndarray | Callable[[int, int], np.ndarray]
# In units of the scores' own rounding, at the largest of them: products of equal rows differ by so much with the place
# of a row in its block. At most 2 were seen for equal float32 rows of 8 to 2,048 numbers.
ROUNDING = 4


@dataclass(frozen=True)
class Retrieval:
    """Per query: `answered` are the indices of the A queries that count; the rest are (A,) in their order.

    Attributes:
        before: candidates above those that tie with the first right one.
        tied: candidates of that score.
        right: how many of those are right.
        precision: average precision, the mean over right candidates of the precision at their rank.
        at_r: the same over the first R ranks alone, divided by R, R being the number of right candidates
            (mAP@R: Musgrave and others, ECCV 2020).
        r_precision: the share of right ones among the first R.
        reciprocal: one over the rank of the first right candidate; its mean is MRR.
        labels: the character of each.
    """

    answered: np.ndarray
    before: np.ndarray
    tied: np.ndarray
    right: np.ndarray
    precision: np.ndarray
    at_r: np.ndarray
    r_precision: np.ndarray
    reciprocal: np.ndarray
    labels: np.ndarray

    def within(self, k: int) -> np.ndarray:
        """(A,) whether a right candidate is among the first k: 1 or 0, between them a chance where ties decide."""
        found = random_rank(self.tied, self.right, k - self.before)
        return found

    def rank(self, k: int) -> float:
        """Share of queries with a right candidate among the first k; nan for none."""
        return float(np.mean(self.within(k))) if len(self.answered) else float("nan")

    def macro_rank(self, k: int) -> float:
        """`rank`, the mean over characters."""
        return macro(self.within(k), self.labels)

    def by_query(self) -> dict[str, np.ndarray]:
        """(A,) of each query, by the names of pytorch-metric-learning's AccuracyCalculator.

        The plain mean of one is what that reports, `macro` with `labels` what it reports with `avg_of_avgs`.
        """
        return {
            "precision_at_1": self.within(1),
            "r_precision": self.r_precision,
            "mean_reciprocal_rank": self.reciprocal,
            "mean_average_precision": self.precision,
            "mean_average_precision_at_r": self.at_r,
        }

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
    rows: list[tuple[float, ...]] = []
    for number, line in enumerate(scores):
        left = np.ones(len(gallery), bool)
        if excluded is not None:
            left = ~(excluded(number, number + 1)[0] if callable(excluded) else excluded[number])
        right = gallery[left] == queries[number]
        if right.any():
            rows.append((number, *_expected(np.asarray(line)[left], right)))
    answered, before, tied, same = (np.array([row[i] for row in rows], np.int64) for i in range(4))
    precision, at_r, r_precision = (np.array([row[i] for row in rows], np.float64) for i in (4, 5, 6))
    reciprocal = random_reciprocal(tied, same, before)
    return Retrieval(answered, before, tied, same, precision, at_r, r_precision, reciprocal, queries[answered])


def _expected(scores: np.ndarray, right: np.ndarray) -> tuple[int, int, int, float, float, float]:
    """Of one query: `before`, `tied`, `right`, `precision`, `at_r` and `r_precision` as in `Retrieval`, means over
    orders of ties.

    With m of n ties right and b right ones before them, a tie is right with m / n, and of the j ties before it
    j (m - 1) / (n - 1) are right given that it is.
    """
    order = np.argsort(-scores, kind="stable")
    right, starts = right[order], tie_starts(scores[order])
    sizes = np.diff(np.append(starts, len(right)))
    own = np.add.reduceat(right.astype(np.int64), starts)
    earlier = np.cumsum(own) - own
    first = int(np.argmax(own > 0))
    n, m, b = (np.repeat(values, sizes) for values in (sizes, own, earlier))
    j = np.arange(len(right)) - np.repeat(starts, sizes)
    parts = m / n * (b + 1 + j * (m - 1) / np.maximum(n - 1, 1)) / np.arange(1, len(right) + 1)
    count = int(own.sum())
    averages = parts.sum() / count, parts[:count].sum() / count, (m / n)[:count].sum() / count
    return int(starts[first]), int(sizes[first]), int(own[first]), *averages


def tie_starts(ordered: np.ndarray) -> np.ndarray:
    """Where each group of ties begins in (N,) descending scores: none in it is further from its first than rounding."""
    ordered = np.asarray(ordered)
    unit = np.finfo(ordered.dtype).eps if np.issubdtype(ordered.dtype, np.floating) else 0.0
    finite = ordered[np.isfinite(ordered)]
    slack = ROUNDING * float(unit) * float(np.abs(finite).max(initial=0.0))
    with np.errstate(invalid="ignore"):  # of two infinite ones
        apart = np.append(True, ~((ordered[:-1] == ordered[1:]) | (ordered[:-1] - ordered[1:] <= slack)))
    starts = np.flatnonzero(apart)
    ends = np.append(starts[1:], len(ordered))
    found = []
    for start, end in zip(starts[ends - starts > 2], ends[ends - starts > 2], strict=True):
        # A chain of neighbours each within rounding may be longer than rounding: it is parted from its first on.
        while ordered[start] - ordered[end - 1] > slack:
            start += int(np.searchsorted(-ordered[start:end], slack - ordered[start], side="right"))
            found.append(start)
    return np.sort(np.append(starts, np.array(found, np.int64)))


def macro(right: np.ndarray, labels: np.ndarray) -> float:
    """Mean over characters of the share that is right; nan for none."""
    if not len(labels):
        return float("nan")
    # Counted in one pass: intervals ask a thousand times, and a pass for each label takes minutes with some hundreds.
    _, codes = np.unique(labels, return_inverse=True)
    return float(np.mean(np.bincount(codes, weights=right) / np.bincount(codes)))
