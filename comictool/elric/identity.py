"""Metrics of character vectors where the candidates of a query are all of its own comic, and never of its own page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from comictool.elric.sources import Character
from comictool.measure.chance import random_precision, random_rank
from comictool.measure.metrics import Metric, share, statistic
from comictool.measure.points import Answers, Points
from comictool.measure.probes import knn, linear_probe_folds, unit
from comictool.measure.retrieval import macro, retrieval


@dataclass
class Pooled:
    """Answers of several comics, each asked within itself.

    Attributes:
        right: one truth value a query that could be answered.
        truth: its label, with the comic before it.
        groups: its page.
        chance, macro_chance: what guessing gets in the query's own comic.
    """

    right: list[bool] = field(default_factory=list)
    truth: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    chance: list[float] = field(default_factory=list)
    macro_chance: list[float] = field(default_factory=list)

    def add(self, answers: Answers, pages: np.ndarray) -> None:
        """Add what was answered in one comic, whose characters stand on these pages."""
        self.right += [bool(right) for right in answers.truth == answers.answers]
        self.truth += [answers.classes[code] for code in answers.truth]
        self.groups += [str(page) for page in pages[answers.asked]]
        self.chance += [answers.chance.accuracy] * len(answers.asked)
        self.macro_chance += [answers.chance.macro] * len(answers.asked)

    @property
    def accuracy(self) -> float:
        """Share of right answers; nan for none."""
        return float(np.mean(self.right)) if self.right else float("nan")

    def metrics(self, name: str) -> list[Metric]:
        """Accuracy and macro accuracy; intervals by drawing whole pages."""
        right = np.array(self.right, bool)
        _, truth = np.unique(np.array(self.truth, dtype=str), return_inverse=True)
        chance = float(np.mean(self.chance)) if self.chance else float("nan")
        even = float(np.mean(self.macro_chance)) if self.macro_chance else float("nan")
        return [
            share(f"{name} accuracy", right, chance, groups=self.groups),
            statistic(
                f"{name} macro accuracy",
                len(right),
                lambda rows: macro(right[rows], truth[rows]),
                even,
                groups=self.groups,
            ),
        ]


def by_comic(characters: Sequence[Character]) -> dict[str, np.ndarray]:
    """The rows of each comic."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, character in enumerate(characters):
        rows[character.comic].append(row)
    return {comic: np.array(found) for comic, found in rows.items()}


def pages_of(characters: Sequence[Character]) -> np.ndarray:
    """`<comic>/<page>` of each: characters of one page are no candidates for each other."""
    return np.array([f"{character.comic}/{character.page}" for character in characters], dtype=str)


def points_by_comic(vectors: np.ndarray, characters: Sequence[Character]) -> list[Points]:
    """The characters of each comic, labelled by identity, grouped by page."""
    labels, pages = np.array([character.label for character in characters], dtype=str), pages_of(characters)
    return [Points(vectors[rows], labels[rows], pages[rows]) for rows in by_comic(characters).values()]


def knn_within_comics(vectors: np.ndarray, characters: Sequence[Character], k: int) -> Pooled:
    """k-NN identification: each character asks those of its own comic on other pages.

    Against all comics at once the task is easier than it seems: the style of a comic gives its characters away.
    """
    pooled = Pooled()
    for points in points_by_comic(vectors, characters):
        assert points.groups is not None
        pooled.add(knn(points, points, (k,))[k], points.groups)
    return pooled


def linear_within_comics(vectors: np.ndarray, characters: Sequence[Character], *, folds: int, seed: int) -> Pooled:
    """Identification by a linear probe for each comic, fitted on some of its pages and asked about the others."""
    pooled = Pooled()
    for points in points_by_comic(vectors, characters):
        assert points.groups is not None
        if len(np.unique(points.groups)) > 1 and len(np.unique(points.labels)) > 1:
            pooled.add(linear_probe_folds(points, folds, seed), points.groups)
    return pooled


def retrieval_within_comics(vectors: np.ndarray, characters: Sequence[Character], name: str) -> list[Metric]:
    """mAP and rank-1 of finding the same character on other pages of its comic, beside a random ranking."""
    precision, first, groups = [], [], []
    candidates, right = [], []
    for points in points_by_comic(vectors, characters):
        assert points.groups is not None
        rows = unit(points.vectors)
        excluded = points.groups[:, None] == points.groups[None, :]
        same = (points.labels[:, None] == points.labels[None, :]) & ~excluded
        found = retrieval(rows @ rows.T, points.labels, points.labels, excluded)
        precision += found.precision.tolist()
        first += found.within(1).tolist()
        groups += points.groups[found.answered].tolist()
        candidates += (~excluded).sum(axis=1)[found.answered].tolist()
        right += same.sum(axis=1)[found.answered].tolist()
    values, hits = np.array(precision), np.array(first)
    n, r = np.array(candidates, np.int64), np.array(right, np.int64)
    guess = float(random_precision(n, r).mean()) if len(n) else float("nan")
    once = float(random_rank(n, r, 1).mean()) if len(n) else float("nan")
    return [
        statistic(f"{name} mAP", len(values), lambda rows: float(values[rows].mean()), guess, groups=groups),
        share(f"{name} rank-1", hits, once, groups=groups),
    ]
