"""A figure: one measured number with its 95 % interval, what guessing would give, and how much was asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.files import write_json
from comictool.measure.intervals import bootstrap, wilson

Groups = Sequence[str] | np.ndarray


@dataclass(frozen=True)
class Figure:
    """One row of an evaluation.

    Attributes:
        name: what was measured, in words: `identity, 20-NN accuracy`.
        value: the number; nan when nothing could be asked.
        low, high: its 95 % interval.
        chance: the best that can be had without looking at the vectors; nan where there is no such thing.
        count: how many queries (or windows, pairs...) it is of.
        higher_is_better: False for errors such as MAE.
        details: further numbers and settings, for the JSON: other chance levels, the chosen C...
    """

    name: str
    value: float
    low: float
    high: float
    chance: float
    count: int
    higher_is_better: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def beats_chance(self) -> bool:
        """Whether the whole interval lies on the better side of chance."""
        return self.low > self.chance if self.higher_is_better else self.high < self.chance

    def as_record(self) -> dict[str, Any]:
        """Plain values; what is not a finite number is None, as JSON has no nan."""
        numbers = {key: getattr(self, key) for key in ("value", "low", "high", "chance")}
        return {
            "figure": self.name,
            **{key: value if math.isfinite(value) else None for key, value in numbers.items()},
            "count": self.count,
            "beats_chance": self.beats_chance,
            "higher_is_better": self.higher_is_better,
            **({"details": dict(self.details)} if self.details else {}),
        }


def share(
    name: str, right: np.ndarray, chance: float, *, groups: Groups | None = None,
    details: Mapping[str, Any] | None = None,
) -> Figure:  # fmt: skip
    """A share of (N,) bool answers that are right, with Wilson's interval.

    Args:
        chance: the share that guessing gets.
        groups: page or comic of each; the interval is then a bootstrap of whole groups, which answers from one page
            need because they stand or fall together. Groups of one, or a single group, leave Wilson's.
    """
    right = np.asarray(right, bool)
    count = len(right)
    low, high = wilson(int(right.sum()), count)
    if groups is not None and 1 < len(np.unique(np.asarray(groups, dtype=str))) < count:
        spread = bootstrap(count, lambda rows: float(right[rows].mean()), groups=groups)
        # Answers that are all alike give a bootstrap of no width; Wilson's is then the honest one.
        low, high = min(low, spread[0]), max(high, spread[1])
    return Figure(name, float(right.mean()) if count else math.nan, low, high, chance, count, True, details or {})


def statistic(
    name: str, count: int, of: Callable[[np.ndarray], float], chance: float, *, groups: Groups | None = None,
    higher_is_better: bool = True, details: Mapping[str, Any] | None = None,
) -> Figure:  # fmt: skip
    """Any statistic of `count` items with a bootstrap interval.

    Args:
        of: from (K,) indices of items to a number; called with all of them for the value, with resamples for the
            interval.
        groups: page, comic or character of each item; whole groups are then drawn. A single group has no spread over
            groups, so that its items are drawn one by one.
    """
    value = of(np.arange(count)) if count else math.nan
    if groups is not None and len(np.unique(np.asarray(groups, dtype=str))) < 2:
        groups = None
    low, high = bootstrap(count, of, groups=groups)
    return Figure(name, value, low, high, chance, count, higher_is_better, details or {})


def write_figures(path: Path, figures: Iterable[Figure], facts: Mapping[str, Any]) -> None:
    """Write an evaluation as JSON: `{...facts, "figures": [...]}`."""
    write_json(path, as_document(figures, facts))


def as_document(figures: Iterable[Figure], facts: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation as plain values."""
    return {**facts, "figures": [figure.as_record() for figure in figures]}
