"""From which score on a picture is believed to show an enrolled character, and what is decided with that.

The false acceptance rate (FAR) is the share of pictures of characters that nobody enrolled which are nevertheless
given a name. It is estimated from the references alone: each is scored as if its own character had not been enrolled.

Vectors must not be centred on the references before this: the mean was taken from enrolled characters and not from
strangers, and false acceptance comes out at two to ten times what was asked (tests/bench/reid_accuracy.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from comictool.core.errors import InputError, UsageError
from comictool.measure.retrieval import Excluded
from comictool.reid.scoring import Scores, parse_mode, score_characters
from comictool.reid.types import Status

TAIL_CHARACTERS = 5.0
"""How little the model of the spread counts: its weight is 1 / (this x characters in the tail)."""
# Two or three enrolled of a real comic: prototypes and thresholds by character let through up to five times the rate
# asked for, the nearest reference with one threshold up to 1.6 times (tests/bench/reid_accuracy.py).
FEW_CHARACTERS = 8
LEAST_SPREAD = 1e-3  # of cosines: identical references must not give a threshold that any rounding passes
NOBODY = 2.0  # above every cosine and every legacy score: nothing is accepted


@dataclass(frozen=True)
class Thresholds:
    """Least scores for a name, and what they were fitted on.

    Attributes:
        far: the false acceptance rate asked for.
        mode, metric: of the scores; others need other thresholds.
        overall: for characters without a threshold of their own.
        per_character: by name; empty when one threshold serves all.
        pictures, characters: how many stood in for strangers.
        note: what limits the estimate, for people; empty when nothing does.
    """

    far: float
    mode: str
    metric: str
    overall: float
    per_character: Mapping[str, float] = field(default_factory=dict)
    pictures: int = 0
    characters: int = 0
    note: str = ""

    def of(self, character: str) -> float:
        """The least score at which this name is given."""
        return self.per_character.get(character, self.overall)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the gallery's file."""
        return {**vars(self), "per_character": dict(self.per_character)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Thresholds:
        """The inverse of `to_json`.

        Raises:
            InputError: values that `to_json` does not write.
        """
        own = values.get("per_character", {})
        numbers = [values.get("far"), values.get("overall"), *(own.values() if isinstance(own, dict) else [None])]
        sound = all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
        words = [values.get("mode"), values.get("metric"), values.get("note", "")]
        sound = sound and all(isinstance(word, str) for word in words)
        if not sound or set(values) - set(cls.__dataclass_fields__):
            raise InputError(f"these are no thresholds: {dict(values)!r:.200}", hint="comictool reid calibrate")
        return cls(**values)


def calibrate(
    references: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    *,
    far: float = 0.05,
    mode: str = "max",
    metric: str = "cosine",
    background: np.ndarray | None = None,
    per_character: bool = False,
    excluded: Excluded | None = None,
) -> Thresholds:
    """Fit thresholds on the references themselves, each scored against every character but its own.

    Args:
        references: (R, D) unit rows.
        labels: R names.
        far: false acceptance rate to keep, above 0 and below 1.
        background: (B, D) pictures of nobody enrolled; they can only raise the thresholds.
        per_character: let the threshold of a character follow how high strangers score with it.
        excluded: (R, R) pairs that may not score each other, such as pictures of one page.

    Raises:
        UsageError: `far` out of range, or one character only and no background.
    """
    if not 0 < far < 1:
        raise UsageError(f"the false acceptance rate is {far}, not between 0 and 1", hint="--far 0.05")
    names = np.asarray(labels, dtype=str)
    characters = np.unique(names)
    strangers = background is not None and len(background) > 0
    if len(characters) < 2 and not strangers:
        raise UsageError(
            f"{len(characters)} character is enrolled, so nothing shows how strangers score",
            hint="enrol a second one, or give pictures of others with --background FOLDER",
        )
    scores = score_characters(references, references, names, mode, excluded=excluded, metric=metric).scores
    others = scores.astype(np.float64)
    others[names[:, None] == characters[None, :]] = -np.inf
    offset, scale = np.zeros(len(characters)), np.ones(len(characters))
    if per_character and len(characters) > 1:
        offset, scale = _spread_by_character(others)
    fits = []
    if len(characters) > 1:
        # Strangers meet C characters, a reference only the C - 1 that are not its own: as many fewer chances.
        rate = far * (len(characters) - 1) / len(characters)
        fits.append(_threshold(_standing(others, offset, scale), names, rate))
    if background is not None and strangers:
        seen = score_characters(background, references, names, mode, metric=metric).scores.astype(np.float64)
        # Every background picture counts as a character of its own: nothing says which belong together.
        fits.append(_threshold(_standing(seen, offset, scale), np.arange(len(seen)).astype(str), far))
    level = max(fit.level for fit in fits)
    own = {str(name): float(offset[i] + level * scale[i]) for i, name in enumerate(characters)} if per_character else {}
    overall = max(own.values()) if own else level
    chosen = parse_mode(mode)
    written = f"{chosen.name}:{chosen.count}" if chosen.name == "knn" else chosen.name
    notes = [fit.note for fit in fits if fit.note]
    if len(characters) < FEW_CHARACTERS and (chosen.name != "max" or own):
        notes.append("with few characters only mode max and one threshold for all kept the rate on real comics")
    return Thresholds(
        far=far,
        mode=written,
        metric=metric,
        overall=float(overall),
        per_character=own,
        pictures=sum(fit.pictures for fit in fits),
        characters=len(characters),
        note="; ".join(dict.fromkeys(notes)),
    )


@dataclass(frozen=True)
class _Fit:
    level: float
    pictures: int
    note: str


def _standing(scores: np.ndarray, offset: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(N,) the score of each best character, in units of that character's strangers; -inf without any."""
    best = np.argmax(scores, axis=1)
    return (scores[np.arange(len(scores)), best] - offset[best]) / scale[best]


def _spread_by_character(others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of what strangers score with each character (Z-norm of speaker verification), (C,) each.

    Deviations are halfway between each character's own and the mean of all: a few references say little about it.
    """
    known = np.isfinite(others)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, others, 0).sum(axis=0) / count
    own = np.sqrt((np.where(known, others - mean, 0) ** 2).sum(axis=0) / count)
    return mean, np.maximum((own + own.mean()) / 2, LEAST_SPREAD)


def _threshold(standing: np.ndarray, groups: np.ndarray, rate: float) -> _Fit:
    """The score that at most `rate` of new pictures of new groups reach, from pictures of known groups.

    Two estimates are mixed. The quantile of the pictures, with the one place more that makes it hold for a new one
    (conformal prediction), is exact for many groups. But pictures of one character resemble each other, so few groups
    say little about the next: there the prediction limit of a two-level normal model (groups, pictures in them) is
    mixed in, the more the fewer groups the tail would hold: `rate * (groups + 1)` of them, and by conformal prediction
    over groups less than one promises nothing.
    """
    known = np.isfinite(standing)
    values, groups = np.sort(standing[known]), groups[known][np.argsort(standing[known], kind="stable")]
    if not len(values):
        return _Fit(NOBODY, 0, "no reference could be compared with another character")
    mean, between, within, number = _two_levels(values, groups)
    place = math.ceil((len(values) + 1) * (1 - rate))
    notes = []
    weight = min(1.0, 1 / (TAIL_CHARACTERS * rate * (number + 1)))
    if place <= len(values):
        # Just above: a score equal to the threshold is accepted, and rounding makes equal scores common.
        quantile = values[place - 1] + 1e-6
    else:
        far_out = mean + math.sqrt(between + within) * stats.norm.ppf(1 - rate)
        quantile, weight = max(values[-1] + 1e-6, far_out), 1.0
        notes.append(f"{len(values)} pictures are too few to see a rate of {rate:.2g}; the tail is extrapolated")
    total = between * (1 + 1 / number) + within * (1 + 1 / len(values))
    # Satterthwaite's degrees of freedom of a sum of two variances.
    freedom = total**2 / max(
        (between * (1 + 1 / number)) ** 2 / max(number - 1, 1) + within**2 / max(len(values) - number, 1), 1e-300
    )
    predicted = mean + math.sqrt(total) * stats.t.ppf(1 - rate, max(freedom, 1.0))
    if weight > 0.5:
        notes.append(f"{number} characters say little about others; the threshold is cautious")
    level = max(quantile, (1 - weight) * quantile + weight * predicted)
    return _Fit(min(float(level), 1e6), len(values), "; ".join(notes))


def _two_levels(values: np.ndarray, groups: np.ndarray) -> tuple[float, float, float, int]:
    """Mean of group means, variance between groups, variance within, number of groups (analysis of variance)."""
    parts = [values[groups == group] for group in np.unique(groups)]
    means, sizes = np.array([part.mean() for part in parts]), np.array([len(part) for part in parts])
    freedom = len(values) - len(parts)
    within = sum(float(((part - part.mean()) ** 2).sum()) for part in parts) / freedom if freedom else 0.0
    within = max(within, LEAST_SPREAD**2)
    # One group says nothing about the spread between groups; that within it is the best guess there is.
    between = float(means.var(ddof=1)) - float(np.mean(within / sizes)) if len(parts) > 1 else within
    return float(means.mean()), max(between, 0.0), within, len(parts)


@dataclass(frozen=True)
class Verdict:
    """What was decided about one query.

    Attributes:
        status: `ok`, `unknown` (below the threshold) or `ambiguous` (the runner-up is within the margin).
        character: the winner's name; None for `unknown`.
        score: of the best character, given a name or not; None when nothing could be compared.
        threshold: what the score had to reach; None without thresholds.
        margin: winner minus runner-up; None with one character.
        ranked: (name, score, index of the deciding reference or -1), best first.
    """

    status: Status
    character: str | None
    score: float | None
    threshold: float | None
    margin: float | None
    ranked: tuple[tuple[str, float, int], ...]


def decide(
    scores: Scores, thresholds: Thresholds | float | None = None, *, margin: float = 0.0, top: int = 5
) -> list[Verdict]:
    """One verdict a query.

    Args:
        thresholds: from `calibrate`, or one number for all, or None: every picture gets a name (a closed set).
        margin: a winner that leads by less is ambiguous; 0 never is.
        top: how many candidates to list.
    """
    order = scores.order()
    return [_verdict(scores, row, order[row], thresholds, margin, top) for row in range(len(scores.scores))]


def _verdict(
    scores: Scores, row: int, order: np.ndarray, thresholds: Thresholds | float | None, margin: float, top: int
) -> Verdict:
    line = scores.scores[row]
    listed = [int(place) for place in order[: max(top, 2)] if np.isfinite(line[place])]
    if not listed:
        return Verdict("unknown", None, None, None, None, ())
    ranked = tuple((scores.characters[i], float(line[i]), int(scores.deciding[row, i])) for i in listed)
    name, score, _ = ranked[0]
    least = thresholds.of(name) if isinstance(thresholds, Thresholds) else thresholds
    lead = score - ranked[1][1] if len(ranked) > 1 else None
    status: Status = "ok"
    if least is not None and score < least:
        status = "unknown"
    elif lead is not None and lead < margin:
        status = "ambiguous"
    named = None if status == "unknown" else name
    return Verdict(status, named, score, least, lead, ranked[: max(top, 1)])
