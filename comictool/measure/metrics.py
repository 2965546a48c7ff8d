"""A metric: one measured number with its 95 % interval, what guessing would give, and how much was asked."""

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
ROUNDING = 1e-6  # with much to spare: NMI of a single cluster is 1e-8 and should be 0


@dataclass(frozen=True)
class Metric:
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
        """Whether the whole interval lies on the better side of chance, by more than rounding."""
        better = self.low - self.chance if self.higher_is_better else self.chance - self.high
        return better > ROUNDING

    def as_record(self) -> dict[str, Any]:
        """Plain values; what is not a finite number is None, as JSON has no nan."""
        numbers = {key: getattr(self, key) for key in ("value", "low", "high", "chance")}
        return {
            "metric": self.name,
            **{key: value if math.isfinite(value) else None for key, value in numbers.items()},
            "count": self.count,
            "beats_chance": self.beats_chance,
            "higher_is_better": self.higher_is_better,
            **({"details": dict(self.details)} if self.details else {}),
        }


def share(
    name: str,
    right: np.ndarray,
    chance: float,
    *,
    groups: Groups | None = None,
    details: Mapping[str, Any] | None = None,
) -> Metric:
    """A share of (N,) answers that are right, with Wilson's interval.

    Args:
        right: bool, or the chance of each to be right where ties decide.
        chance: the share that guessing gets.
        groups: page or comic of each; the interval is then a bootstrap of whole groups, which answers from one page
            need because they stand or fall together. Groups of one, or a single group, leave Wilson's.
    """
    right = np.asarray(right, np.float64)
    count = len(right)
    low, high = wilson(float(right.sum()), count)
    if groups is not None and 1 < len(np.unique(np.asarray(groups, dtype=str))) < count:
        spread = bootstrap(count, lambda rows: float(right[rows].mean()), groups=groups)
        # Answers that are all alike give a bootstrap of no width; Wilson's is then the honest one.
        low, high = min(low, spread[0]), max(high, spread[1])
    return Metric(name, float(right.mean()) if count else math.nan, low, high, chance, count, True, details or {})


def statistic(
    name: str,
    count: int,
    of: Callable[[np.ndarray], float],
    chance: float,
    *,
    groups: Groups | None = None,
    higher_is_better: bool = True,
    details: Mapping[str, Any] | None = None,
    draws: int = 1000,
) -> Metric:
    """Any statistic of `count` items with a bootstrap interval.

    Args:
        of: from (K,) indices of items to a number; called with all of them for the value, with resamples for the
            interval.
        groups: page, comic or character of each item; whole groups are then drawn. A single group has no spread over
            groups, so that its items are drawn one by one.
        draws: resamples.
    """
    value = of(np.arange(count)) if count else math.nan
    if groups is not None and len(np.unique(np.asarray(groups, dtype=str))) < 2:
        groups = None
    low, high = bootstrap(count, of, groups=groups, draws=draws)
    return Metric(name, value, low, high, chance, count, higher_is_better, details or {})


def write_metrics(path: Path, metrics: Iterable[Metric], facts: Mapping[str, Any]) -> None:
    """Write an evaluation as JSON: `{...facts, "metrics": [...]}`."""
    write_json(path, as_document(metrics, facts))


def as_document(metrics: Iterable[Metric], facts: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation as plain values."""
    return {**facts, "metrics": [metric.as_record() for metric in metrics]}
