"""What can be had without looking at the vectors: the levels that every metric stands beside."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Chance:
    """Levels of accuracy, and the same of macro accuracy, that an answerer without vectors reaches.

    Attributes:
        uniform: naming a class of the bank at random.
        majority: always naming the most frequent class of the bank.
        permuted: the same answers with the truth shuffled among the queries, in expectation: what is left when
            answers and truth are independent (closed form of a label permutation test).
        macro_uniform, macro_majority, macro_permuted: for the mean over classes.
    """

    uniform: float
    majority: float
    permuted: float
    macro_uniform: float
    macro_majority: float
    macro_permuted: float

    @property
    def accuracy(self) -> float:
        """The best of the three for accuracy."""
        return max(self.uniform, self.majority, self.permuted)

    @property
    def macro(self) -> float:
        """The best of the three for macro accuracy."""
        return max(self.macro_uniform, self.macro_majority, self.macro_permuted)

    def as_record(self) -> dict[str, float]:
        """The six levels."""
        return asdict(self)


def chance_of(bank: np.ndarray, truth: np.ndarray, answers: np.ndarray, classes: int) -> Chance:
    """Chance levels of classification.

    Args:
        bank: (N,) class numbers that answers come from.
        truth: (M,) class numbers of the queries.
        answers: (M,) class numbers given; -1 for none.
        classes: C, how many there are.
    """
    if not len(truth) or not len(bank):
        return Chance(*[float("nan")] * 6)
    in_bank = np.bincount(bank, minlength=classes)
    asked = np.bincount(truth, minlength=classes) / len(truth)
    given = np.bincount(answers[answers >= 0], minlength=classes) / len(answers)
    known = int((in_bank > 0).sum())
    most = int(np.argmax(in_bank))
    present = asked > 0
    return Chance(
        uniform=float(asked[in_bank > 0].sum()) / known,
        majority=float(asked[most]),
        permuted=float((asked * given).sum()),
        macro_uniform=float((in_bank[present] > 0).mean()) / known,
        macro_majority=float(present[most]) / int(present.sum()),
        macro_permuted=float(given[present].mean()),
    )


def random_precision(candidates: np.ndarray, right: np.ndarray, depth: np.ndarray | None = None) -> np.ndarray:
    """Expected average precision of a random ranking.

    With N candidates of which R are right it is (H_N + (R - 1) / (N - 1) * (N - H_N)) / N, H_N the N-th harmonic
    number: at rank k stands a right one with R / N, and given that the k - 1 before it hold (k - 1)(R - 1) / (N - 1).
    Of the first d ranks alone, divided by R as in mAP@R, d takes the place of N but in the divisions.

    Args:
        candidates, right: (Q,) N and R of each query, R >= 1.
        depth: (Q,) d, from 1 to N; None: N.

    Returns:
        (Q,) float64.
    """
    n, r = np.asarray(candidates, np.int64), np.asarray(right, np.float64)
    if not len(n):
        return np.empty(0)
    d = n if depth is None else np.asarray(depth, np.int64)
    harmonic = np.cumsum(1.0 / np.arange(1, d.max() + 1))[d - 1]
    return (harmonic + (r - 1) / np.maximum(n - 1, 1) * (d - harmonic)) / n


def random_rank(candidates: np.ndarray, right: np.ndarray, k: int | np.ndarray) -> np.ndarray:
    """Chance that a random ranking has a right candidate among its first k: 1 - C(N - R, k) / C(N, k).

    Args:
        candidates, right: (Q,) N and R of each query.
        k: for all, or (Q,) for each; 0 and below find nothing.

    Returns:
        (Q,) float64.
    """
    n, r = np.asarray(candidates, np.float64), np.asarray(right, np.float64)
    depth = np.broadcast_to(np.asarray(k), n.shape)
    missed = np.ones(len(n))
    for place in range(int(depth.max(initial=0))):
        drawn = np.clip((n - r - place) / np.maximum(n - place, 1.0), 0.0, 1.0)
        missed *= np.where(place < depth, drawn, 1.0)
    return 1.0 - missed


def random_reciprocal(candidates: np.ndarray, right: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
    """Expected reciprocal rank of the first right candidate in a random ranking.

    The first of R right ones among N is at j with C(N - j, R - 1) / C(N, R): j - 1 wrong ones are drawn, then a right.

    Args:
        candidates, right: (Q,) N and R of each query, R >= 1.
        before: (Q,) wrong candidates that stand before all of these; None: 0.

    Returns:
        (Q,) float64.
    """
    n, r = np.asarray(candidates, np.float64), np.asarray(right, np.float64)
    ahead = np.zeros(len(n)) if before is None else np.asarray(before, np.float64)
    found, wrong_so_far = np.zeros(len(n)), np.ones(len(n))
    for drawn in range(int((n - r).max(initial=-1)) + 1):
        left = np.maximum(n - drawn, 1.0)
        now = np.where(drawn <= n - r, wrong_so_far * r / left, 0.0)
        found += now / (ahead + drawn + 1)
        wrong_so_far *= np.clip((n - r - drawn) / left, 0.0, 1.0)
    return found
