"""Telling same from different: error rates at thresholds, and detection in an open set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comictool.core.errors import InputError


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


def auroc(scores: np.ndarray, same: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a same pair scores above a different one, ties counting half.

    Args:
        scores: (N,) of pairs, higher is more alike; same: (N,) truth.

    Raises:
        InputError: as `error_rates`.
    """
    rates = error_rates(scores, same)
    return float(np.trapezoid(1 - rates.false_negative, rates.false_positive))


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
