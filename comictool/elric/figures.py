"""Figures of character vectors where the candidates of a query are all of its own comic, and never of its own page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from comictool.elric.sources import Character
from comictool.measure.figures import Figure, share, statistic
from comictool.measure.points import Points
from comictool.measure.probes import knn
from comictool.measure.retrieval import macro

Labels = Callable[[Character], str]


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

    @property
    def accuracy(self) -> float:
        """Share of right answers; nan for none."""
        return float(np.mean(self.right)) if self.right else float("nan")

    def figures(self, name: str) -> list[Figure]:
        """Accuracy and macro accuracy; intervals by drawing whole pages."""
        right, truth = np.array(self.right, bool), np.array(self.truth, dtype=str)
        chance = float(np.mean(self.chance)) if self.chance else float("nan")
        even = float(np.mean(self.macro_chance)) if self.macro_chance else float("nan")
        return [
            share(f"{name} accuracy", right, chance, groups=self.groups),
            statistic(
                f"{name} macro accuracy", len(right), lambda rows: macro(right[rows], truth[rows]), even,
                groups=self.groups,
            ),
        ]  # fmt: skip


def by_comic(characters: Sequence[Character]) -> dict[str, np.ndarray]:
    """The rows of each comic."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, character in enumerate(characters):
        rows[character.comic].append(row)
    return {comic: np.array(found) for comic, found in rows.items()}


def pages_of(characters: Sequence[Character]) -> np.ndarray:
    """`<comic>/<page>` of each: characters of one page are no candidates for each other."""
    return np.array([f"{character.comic}/{character.page}" for character in characters], dtype=str)


def knn_within_comics(vectors: np.ndarray, characters: Sequence[Character], k: int) -> Pooled:
    """k-NN identification: each character asks those of its own comic on other pages.

    Against all comics at once the task is easier than it seems: the style of a comic gives its characters away.
    """
    pooled = Pooled()
    labels, pages = np.array([character.label for character in characters], dtype=str), pages_of(characters)
    for rows in by_comic(characters).values():
        points = Points(vectors[rows], labels[rows], pages[rows])
        answers = knn(points, points, (k,))[k]
        pooled.right += [bool(right) for right in answers.truth == answers.answers]
        pooled.truth += [answers.classes[code] for code in answers.truth]
        pooled.groups += [str(pages[rows[asked]]) for asked in answers.asked]
        pooled.chance += [answers.chance.accuracy] * len(answers.asked)
        pooled.macro_chance += [answers.chance.macro] * len(answers.asked)
    return pooled
