"""Figures of re-identification, each by its published definition.

A query is answered from a gallery in order of score, ties in gallery order; candidates of its own page (or itself) are
excluded. A query whose character has no other candidate left cannot be answered and does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comictool.core.errors import InputError
from comictool.reid.scoring import Excluded


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
    shares = [float(np.mean(right[labels == label])) for label in np.unique(labels)]
    return float(np.mean(shares)) if shares else float("nan")


@dataclass(frozen=True)
class Rates:
    """Error rates of "same character" at every threshold, from accepting nothing to accepting all.

    Attributes:
        thresholds: descending, starting with infinity; a pair is accepted at a score >= the threshold.
        false_positive, false_negative: shares of different and of same pairs.
    """

    thresholds: np.ndarray
    false_positive: np.ndarray
    false_negative: np.ndarray


def error_rates(scores: np.ndarray, same: np.ndarray) -> Rates:
    """Rates of (N,) pair scores against (N,) truth. Equal scores are accepted together.

    Raises:
        InputError: no pair of the same character, or none of different ones, or a score that is not a number.
    """
    truth = np.asarray(same, dtype=bool)
    if not np.isfinite(scores).all():
        raise InputError("some pair scores are not finite numbers")
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        raise InputError(
            f"{positives} pairs of the same character and {negatives} of different ones",
            cause="error rates need both kinds",
        )
    order = np.argsort(-scores, kind="stable")
    values = np.asarray(scores, np.float64)[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    accepted_same = np.cumsum(truth[order])[last]
    accepted_different = last + 1 - accepted_same
    return Rates(
        np.append(np.inf, values[last]),
        np.append(0, accepted_different) / negatives,
        1 - np.append(0, accepted_same) / positives,
    )


def equal_error_rate(scores: np.ndarray, same: np.ndarray) -> float:
    """Where the two rates cross, with straight lines between thresholds."""
    rates = error_rates(scores, same)
    gap = rates.false_positive - rates.false_negative
    after = int(np.argmax(gap >= 0))
    before = max(after - 1, 0)
    step = gap[after] - gap[before]
    part = 0.0 if step == 0 else -gap[before] / step
    return float(rates.false_positive[before] + part * (rates.false_positive[after] - rates.false_positive[before]))


def false_positives_at(scores: np.ndarray, same: np.ndarray, false_negatives: float) -> float:
    """The least false positive rate with at most this false negative rate (the ZACI-20 protocol)."""
    rates = error_rates(scores, same)
    return float(rates.false_positive[rates.false_negative <= false_negatives + 1e-12].min())


def detection_at(
    known: np.ndarray, right: np.ndarray, unknown: np.ndarray, false_acceptance: float
) -> tuple[float, float]:
    """Detection and identification rate at a false acceptance rate (Grother, Micheals and Phillips, 2003).

    Args:
        known: (K,) best scores of pictures whose character is enrolled.
        right: (K,) bool, whether the best character was the true one.
        unknown: (U,) best scores of pictures whose character is not.
        false_acceptance: the share of `unknown` that may be accepted.

    Returns:
        (rate, threshold). This threshold sees the answers; a fitted one is measured by `evaluation.open_set`.
    """
    allowed = int(np.floor(false_acceptance * len(unknown) + 1e-9))
    ordered = np.sort(unknown)[::-1]
    threshold = -np.inf if allowed >= len(ordered) else float(np.nextafter(ordered[allowed], np.inf))
    return (float(np.mean(right & (known >= threshold))) if len(known) else float("nan")), threshold


def confusion(truth: Sequence[str], answers: Sequence[str | None]) -> tuple[list[str], np.ndarray]:
    """Names in order (those answered too, and last "" for no name) and counts, rows truth, columns answers."""
    given = ["" if answer is None else answer for answer in answers]
    names = sorted((set(truth) | set(given)) - {""})
    names.append("")
    place = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, ([place[name] for name in truth], [place[name] for name in given]), 1)
    return names, counts


def clustering_agreement(truth: Sequence[str], clusters: np.ndarray) -> dict[str, float]:
    """`ari`, `ami`, `nmi` of clusters with the truth; noise (-1) counts as clusters of one."""
    from sklearn.metrics import (
        adjusted_mutual_info_score,
        adjusted_rand_score,
        normalized_mutual_info_score,
    )

    found = np.asarray(clusters, np.int64).copy()
    noise = np.flatnonzero(found < 0)
    found[noise] = found.max(initial=-1) + 1 + np.arange(len(noise))
    return {
        "ari": float(adjusted_rand_score(truth, found)),
        "ami": float(adjusted_mutual_info_score(truth, found)),
        "nmi": float(normalized_mutual_info_score(truth, found)),
    }
