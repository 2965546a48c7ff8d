"""Points to probe, parted into bank and queries without leaks, and the answers of a probe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from comictool.core.errors import InputError
from comictool.measure.chance import Chance, chance_of
from comictool.measure.metrics import Metric, share, statistic
from comictool.measure.retrieval import macro


@dataclass(frozen=True)
class Points:
    """Vectors with what is known of them.

    Attributes:
        vectors: (N, D) finite numbers.
        labels: (N,) class names.
        groups: (N,) page, panel or comic of each; points of one group are never candidates for each other. None: no
            two points belong together.
    """

    vectors: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        vectors = np.asarray(self.vectors)
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise InputError(f"vectors of shape {vectors.shape} are no (N, D) matrix of finite numbers")
        for name in ("labels", "groups"):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, np.asarray(values, dtype=str))
                if len(values) != len(vectors):
                    raise InputError(f"{len(values)} {name} for {len(vectors)} vectors")

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class Answers:
    """What a probe said, for the queries that could be answered.

    Attributes:
        classes: C names.
        asked: (M,) indices of the queries that count.
        truth, answers: (M,) class numbers.
        rank: (M,) place of the true class among the answers, from 1; C + 1 when nothing spoke for it.
        chance: levels for these queries.
        frequent: (C,) class numbers, the most frequent of the bank first.
        groups: (M,) of the queries, or None.
        chosen: settings that the probe chose on a part of the bank.
    """

    classes: list[str]
    asked: np.ndarray
    truth: np.ndarray
    answers: np.ndarray
    rank: np.ndarray
    chance: Chance
    frequent: np.ndarray
    groups: np.ndarray | None = None
    chosen: dict[str, Any] | None = None

    @property
    def accuracy(self) -> float:
        """Share of right answers; nan for none."""
        return float(np.mean(self.truth == self.answers)) if len(self.truth) else float("nan")

    def metrics(self, name: str, *, top: Sequence[int] = ()) -> list[Metric]:
        """Accuracy, macro accuracy, and top-k accuracy for each k of `top`, with chance and intervals."""
        right, truth = self.truth == self.answers, self.truth
        details = {"chance_levels": self.chance.as_record(), **(self.chosen or {})}
        out = [share(f"{name} accuracy", right, self.chance.accuracy, groups=self.groups, details=details)]
        for k in top:
            # Without looking, the k most frequent classes of the bank are the best k answers.
            guess = float(np.isin(self.truth, self.frequent[:k]).mean()) if len(self.truth) else float("nan")
            out.append(share(f"{name} top-{k}", self.rank <= k, guess, groups=self.groups))
        out.append(
            statistic(
                f"{name} macro accuracy",
                len(right),
                lambda rows: macro(right[rows], truth[rows]),
                self.chance.macro,
                groups=self.groups,
                details=details,
            )
        )
        return out


def leave_groups_out(points: Points, folds: int = 5, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Parts of one set that are bank and queries by turns: (bank rows, query rows), whole groups on either side.

    Raises:
        InputError: fewer groups than two.
    """
    groups = points.groups if points.groups is not None else np.arange(len(points)).astype(str)
    names = np.unique(groups)
    folds = min(folds, len(names))
    if folds < 2:
        raise InputError(f"{len(names)} groups cannot be parted into bank and queries")
    part_of = np.random.default_rng(seed).permutation(len(names)) % folds
    part = part_of[np.searchsorted(names, groups)]
    for fold in range(folds):
        yield np.flatnonzero(part != fold), np.flatnonzero(part == fold)


def held_out(points: Points, part: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on and rows held back: whole groups where there are any, else points class by class."""
    rng = np.random.default_rng(seed)
    if points.groups is not None:
        names = np.unique(points.groups)
        count = min(max(1, round(part * len(names))), len(names) - 1)
        back = np.isin(points.groups, rng.permutation(names)[:count])
    else:
        back = np.zeros(len(points), bool)
        for label in np.unique(points.labels):
            rows = np.flatnonzero(points.labels == label)
            back[rng.permutation(rows)[: int(part * len(rows))]] = True
    return np.flatnonzero(~back), np.flatnonzero(back)


def standardised(fit: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Float64 columns of mean 0 and deviation 1 on `fit`, and others by the same numbers; constant columns are 0."""
    mean, deviation = fit.mean(axis=0, dtype=np.float64), fit.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 1e-12, deviation, np.inf)
    return [(np.asarray(part, np.float64) - mean) / scale for part in (fit, *others)]


def joined(points: Points, parts: Sequence[tuple[np.ndarray, Answers]]) -> Answers:
    """Answers of several folds as one: each fold's query rows of `points` and what was said of them.

    Raises:
        InputError: no parts.
    """
    if not parts:
        raise InputError("there are no folds to join")
    classes = sorted({str(label) for label in points.labels})
    place = {name: number for number, name in enumerate(classes)}

    def codes(answers: Answers, numbers: np.ndarray) -> np.ndarray:
        return np.array([place[answers.classes[n]] if n >= 0 else -1 for n in numbers], np.int64)

    asked = np.concatenate([rows[answers.asked] for rows, answers in parts])
    order = np.argsort(asked, kind="stable")
    truth = np.concatenate([codes(answers, answers.truth) for _, answers in parts])[order]
    given = np.concatenate([codes(answers, answers.answers) for _, answers in parts])[order]
    rank = np.concatenate([answers.rank for _, answers in parts])[order]
    bank = np.array([place[str(name)] for name in points.labels], np.int64)
    chance = chance_of(bank, truth, given, len(classes))
    groups = points.groups[asked[order]] if points.groups is not None else None
    return Answers(
        classes,
        asked[order],
        truth,
        given,
        rank,
        chance,
        frequent_first(bank, len(classes)),
        groups,
        parts[0][1].chosen,
    )


def answerable(bank: Points, queries: Points) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Class names, class numbers of the bank and of the queries that count, and which these are."""
    names, both = np.unique(np.concatenate([bank.labels, queries.labels]), return_inverse=True)
    codes, truth = both[: len(bank)], both[len(bank) :]
    candidates = np.bincount(codes, minlength=len(names))[truth]
    if bank.groups is not None and queries.groups is not None:
        _, group = np.unique(np.concatenate([bank.groups, queries.groups]), return_inverse=True)
        _, kind = np.unique(group * len(names) + both, return_inverse=True)  # class and group together
        candidates = candidates - np.bincount(kind[: len(bank)], minlength=len(kind))[kind[len(bank) :]]
    asked = np.flatnonzero(candidates > 0)
    return [str(name) for name in names], codes, truth[asked], asked


def frequent_first(codes: np.ndarray, classes: int) -> np.ndarray:
    """(C,) class numbers by how often they occur, most often first, equals in order."""
    return np.argsort(-np.bincount(codes, minlength=classes), kind="stable")


def decide(votes: np.ndarray, truth: int, *, silent: float) -> tuple[int, int]:
    """The class with most votes, the first of equals; and the place of the true one, C + 1 without any vote."""
    best = int(np.argmax(votes))
    answer = best if votes[best] > silent else -1
    if votes[truth] <= silent:
        return answer, len(votes) + 1
    before = int((votes > votes[truth]).sum() + (votes[:truth] == votes[truth]).sum())
    return answer, before + 1


def take(points: Points, rows: np.ndarray) -> Points:
    """Some of the points."""
    groups = points.groups[rows] if points.groups is not None else None
    return replace(points, vectors=points.vectors[rows], labels=points.labels[rows], groups=groups)


def same_dimension(bank: Points, queries: Points) -> None:
    """Refuse vectors that cannot be compared."""
    one, other = bank.vectors.shape[1], queries.vectors.shape[1]
    if one != other:
        raise InputError(f"the bank has vectors of {one} numbers, the queries of {other}")


def refuse_leakage(bank: Points, queries: Points) -> None:
    """Refuse a bank and queries that hold the same points or points of one group.

    Raises:
        InputError: they do.
    """
    if bank.groups is None or queries.groups is None:
        if bank.vectors.shape == queries.vectors.shape and np.array_equal(bank.vectors, queries.vectors):
            raise InputError(
                "bank and queries are the same points",
                cause="a probe that is scored on what it was fitted on finds every label, even in noise",
                hint="give the points groups, or part them (leave_groups_out)",
            )
        return
    shared = np.intersect1d(bank.groups, queries.groups)
    if len(shared):
        raise InputError(
            f"bank and queries share {len(shared)} groups, such as {str(shared[0])!r}",
            cause="a probe is never scored on what it was fitted on",
            hint="part them by group (leave_groups_out)",
        )
