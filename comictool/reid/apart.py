"""How well enrolled characters can be told from each other: each reference named by the others, left out in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comictool.reid.calibration import Thresholds
from comictool.reid.pages import pages_of
from comictool.reid.references import ReferenceSet
from comictool.reid.scoring import DECIMALS, Scores, same_group, score_characters

# The first is taken unless another names clearly more references rightly. With five references a character the best by
# leaving out was right about .02 less often than this one on the series it was chosen on (LOG.md).
MODES = ("mixed", "centroid", "knn:3", "max", "avg")
CLEARLY = 2.0  # standard errors of the difference, by the references that one names rightly and the other does not
MOST_LEFT_OUT = 1_000  # references that are left out in turn; of more, so many drawn evenly
MOST_WRONG = 0.05  # of the references that are named, by a fitted margin
CONFUSED, FEWEST = 0.25, 2  # share and number of the references of two characters, from which they are told
MOST_TOLD = 5  # pairs


@dataclass(frozen=True)
class LeftOut:
    """References scored without themselves, their page and their copies.

    Attributes:
        mode, metric: of the scores.
        names: (Q,) whom each shows.
        scores: of Q references with C characters.
    """

    mode: str
    metric: str
    names: np.ndarray
    scores: Scores

    @property
    def able(self) -> np.ndarray:
        """(Q,) bool: another reference of its character is left to name it."""
        own = np.searchsorted(np.array(self.scores.characters), self.names)
        found: np.ndarray = np.isfinite(self.scores.scores[np.arange(len(self.names)), own])
        return found

    @property
    def answers(self) -> np.ndarray:
        """(Q,) the best character of each."""
        answers: np.ndarray = np.array(self.scores.characters)[self.scores.order()[:, 0]]
        return answers

    @property
    def right(self) -> np.ndarray:
        """(Q,) bool: named rightly."""
        right: np.ndarray = self.answers == self.names
        return right

    def accuracy(self) -> float:
        """Share of rightly named references, each character counting the same; 0 where none can be left out."""
        able, right = self.able, self.right
        shares = [right[able & (self.names == name)].mean() for name in sorted(set(self.names[able].tolist()))]
        return float(np.mean(shares)) if shares else 0.0


def leave_out(found: ReferenceSet, mode: str, metric: str = "cosine", around: np.ndarray | None = None) -> LeftOut:
    """Score each reference (of many, `MOST_LEFT_OUT` drawn evenly) by the others; `around`: see `calibrate`."""
    count = len(found.references)
    chosen = np.linspace(0, count - 1, min(count, MOST_LEFT_OUT)).astype(np.int64)
    pages = pages_of([reference.path for reference in found.references])
    digests = [reference.digest for reference in found.references]
    page = same_group([pages[place] for place in chosen], pages)
    content = same_group([digests[place] for place in chosen], digests)
    labels = found.labels.astype(str)
    scores = score_characters(
        found.vectors[chosen],
        found.vectors,
        labels,
        mode,
        excluded=lambda start, stop: page(start, stop) | content(start, stop),
        metric=metric,
    )
    return LeftOut(mode, metric, labels[chosen], scores.scaled(None if around is None else around[chosen]))


def best_mode(
    found: ReferenceSet, metric: str = "cosine", modes: Sequence[str] = MODES, around: np.ndarray | None = None
) -> tuple[LeftOut, str]:
    """The scoring mode by which the references name each other best, with its scores and a line about the choice."""
    tried = [leave_out(found, mode, metric, around) for mode in modes]
    first, best = tried[0], tried[0]
    for other in tried[1:]:
        better = int((other.right & ~first.right & first.able).sum())
        worse = int((first.right & ~other.right & first.able).sum())
        if better - worse >= CLEARLY * max(better + worse, 1) ** 0.5 and other.accuracy() > best.accuracy():
            best = other
    figures = ", ".join(f"{one.mode} {one.accuracy():.3f}" for one in tried)
    return best, f"mode {best.mode} (references named rightly by the others: {figures})"


def confusions(left: LeftOut) -> list[str]:
    """Pairs of characters whose references would be taken for each other, for people, the worst first."""
    able = left.able
    names, answers = left.names[able], left.answers[able]
    found = []
    characters = sorted(set(names.tolist()))
    for place, first in enumerate(characters):
        for second in characters[place + 1 :]:
            taken = [int(((names == a) & (answers == b)).sum()) for a, b in ((first, second), (second, first))]
            of = [int((names == name).sum()) for name in (first, second)]
            share = sum(taken) / max(sum(of), 1)
            if sum(taken) >= FEWEST and share >= CONFUSED:
                more = first if taken[0] / of[0] >= taken[1] / of[1] else second
                line = (
                    f"{first} and {second} can hardly be told apart: {sum(taken)} of their {sum(of)} references would "
                    f"be named as the other; add pictures of {more}"
                )
                found.append((share, line))
    return [line for _, line in sorted(found, key=lambda pair: -pair[0])[:MOST_TOLD]]


def fitted_margin(left: LeftOut, thresholds: Thresholds | None) -> float:
    """The least lead over the second character with which `MOST_WRONG` of the named references at most are wrong.

    A threshold keeps strangers out; it says nothing of two enrolled characters that look alike. Only references that
    pass it count. Where none of those is wrong the margin is 0.
    """
    order = left.scores.order()[:, :2]
    if order.shape[1] < 2:
        return 0.0
    best = np.take_along_axis(left.scores.scores.astype(np.float64), order, 1)
    names = np.array(left.scores.characters)[order[:, 0]]
    passing = left.able & np.isfinite(best).all(axis=1)
    if thresholds is not None:
        passing &= best[:, 0] >= np.array([thresholds.of(str(name)) for name in names])
    with np.errstate(invalid="ignore"):
        lead = best[:, 0] - best[:, 1]
    wrong = passing & ~left.right
    for least in (0.0, *(np.sort(lead[wrong]) + 10.0**-DECIMALS)):
        named = passing & (lead >= least)
        if (wrong & named).sum() <= MOST_WRONG * named.sum():
            return float(least)
    return 0.0
