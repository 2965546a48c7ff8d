"""Ridge probes of numbers: valence, arousal, and grades in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comictool.core.errors import InputError
from comictool.measure.chance import chance_of
from comictool.measure.figures import Figure, share, statistic
from comictool.measure.points import Points, held_out, same_dimension, standardised, strangers
from comictool.measure.retrieval import macro

PENALTIES = tuple(10.0**exponent for exponent in range(-3, 6))


@dataclass(frozen=True)
class Predictions:
    """What a ridge probe predicted.

    Attributes:
        truth, predicted: (M,) numbers of the queries.
        bank: (N,) numbers that it was fitted on.
        penalty: the strength that was chosen on a part of the bank.
        groups: (M,) of the queries, or None.
    """

    truth: np.ndarray
    predicted: np.ndarray
    bank: np.ndarray
    penalty: float
    groups: np.ndarray | None = None

    def figures(self, name: str) -> list[Figure]:
        """Pearson's r (chance 0) and mean absolute error (chance: always the median of the bank)."""
        truth, predicted, chosen = self.truth, self.predicted, {"penalty": self.penalty}
        guess = float(np.abs(truth - np.median(self.bank)).mean()) if len(truth) else float("nan")
        return [
            statistic(
                f"{name} r", len(truth), lambda k: correlation(truth[k], predicted[k]), 0.0,
                groups=self.groups, details=chosen,
            ),
            statistic(
                f"{name} MAE", len(truth), lambda k: float(np.abs(truth[k] - predicted[k]).mean()), guess,
                groups=self.groups, higher_is_better=False, details=chosen,
            ),
        ]  # fmt: skip

    def grade_figures(self, name: str) -> list[Figure]:
        """For numbers that are grades in order (1 to 5): each prediction goes to the nearest grade of the bank.

        Accuracy, macro accuracy, and Spearman's rank correlation of the predictions before they are rounded.
        """
        grades, bank = np.unique(self.bank, return_inverse=True)
        answers = np.abs(self.predicted[:, None] - grades[None, :]).argmin(axis=1)
        # A grade that the bank does not have cannot be answered, and is wrong.
        levels = np.unique(np.concatenate([grades, self.truth]))
        bank, answers = np.searchsorted(levels, grades)[bank], np.searchsorted(levels, grades)[answers]
        codes = np.searchsorted(levels, self.truth)
        right, chance = codes == answers, chance_of(bank, codes, answers, len(levels))
        truth, predicted, details = self.truth, self.predicted, {"chance_levels": chance.as_record()}
        return [
            share(f"{name} grade accuracy", right, chance.accuracy, groups=self.groups, details=details),
            statistic(
                f"{name} grade macro accuracy", len(truth), lambda k: macro(right[k], codes[k]), chance.macro,
                groups=self.groups, details=details,
            ),
            statistic(
                f"{name} rank correlation", len(truth), lambda k: correlation(_ranks(truth[k]), _ranks(predicted[k])),
                0.0, groups=self.groups,
            ),
        ]  # fmt: skip


def ridge_probe(
    bank: Points, values: Sequence[float] | np.ndarray, queries: Points, truth: Sequence[float] | np.ndarray, *,
    penalties: Sequence[float] = PENALTIES, held: float = 0.2, seed: int = 0,
) -> Predictions:  # fmt: skip
    """Ridge regression on standardised vectors, its penalty chosen on a part of the bank by squared error.

    Minimises |y - Xw - b|^2 + penalty |w|^2 over the N points of the bank; the intercept b is not penalised.

    Args:
        bank, queries: of different groups. Their labels are not looked at.
        values, truth: (N,) and (M,) numbers.
        held: share of the bank's groups that the penalty is chosen on.

    Raises:
        InputError: bank and queries share a group, or a value is missing or not finite.
    """
    same_dimension(bank, queries)
    strangers(bank, queries)
    known, wanted = np.asarray(values, np.float64), np.asarray(truth, np.float64)
    if known.shape != (len(bank),) or wanted.shape != (len(queries),) or not len(bank):
        raise InputError(f"{known.shape} and {wanted.shape} values for {len(bank)} and {len(queries)} vectors")
    if not (np.isfinite(known).all() and np.isfinite(wanted).all()):
        raise InputError("some values are not finite numbers", hint="leave points without a value out")
    fit, rest = held_out(bank, held, seed)
    penalty = float(sorted(penalties)[len(penalties) // 2])
    if len(fit) and len(rest) and len(penalties) > 1:
        found = ridge(bank.vectors[fit], known[fit], bank.vectors[rest], penalties)
        errors = [((prediction - known[rest]) ** 2).mean() for prediction in found]
        penalty = float(penalties[int(np.argmin(errors))])
    (predicted,) = ridge(bank.vectors, known, queries.vectors, [penalty])
    return Predictions(wanted, predicted, known, penalty, queries.groups)


def ridge(x: np.ndarray, y: np.ndarray, queries: np.ndarray, penalties: Sequence[float]) -> list[np.ndarray]:
    """Predictions for each penalty, from one decomposition; columns are standardised on `x`."""
    fit, others = standardised(x, queries)
    middle = y.mean()
    left, sizes, right = np.linalg.svd(fit, full_matrices=False)
    toward = left.T @ (y - middle)
    return [others @ (right.T @ (sizes / (sizes**2 + penalty) * toward)) + middle for penalty in penalties]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r; nan where one of the two does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, equal values sharing the mean of theirs."""
    _, code, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[code]
