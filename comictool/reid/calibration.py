"""From which score on a picture is believed to show an enrolled character, and what is decided with that.

The false acceptance rate (FAR) is the share of pictures of characters that are not enrolled which are nevertheless
given a name. It is estimated from the references: each is scored as if its own character had not been enrolled, and a
safety margin is kept for what few characters cannot show (`comictool.reid.impostors`).

Vectors must not be centred on the references before this: the mean was taken from enrolled characters and not from
impostors, and false acceptance comes out at two to ten times what was asked (tests/bench/reid_accuracy.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.reid.impostors import Level, impostor_level, log_distances, pair_spread, score_at
from comictool.reid.scoring import LEAST_AROUND, Scores, blocks, coded, mode_name, score_characters, similarity
from comictool.reid.types import Status

if TYPE_CHECKING:
    from comictool.measure.retrieval import Excluded

OTHERS_COUNT = 8.0  # characters: how many others it takes until half of what they say about one character is believed
NEAR_ENOUGH = 0.5  # spreads: a background that is no farther off than this counts like further characters
FEW_NAMED = 0.1  # share of references named below which it is reported
MOST_PAIRS = 2_000  # references of which every pair is looked at for the spread; of more, so many drawn evenly
NOBODY = 2.0  # above every cosine and every legacy score: nothing is accepted


@dataclass(frozen=True)
class Thresholds:
    """Least scores for a name, and what they were fitted on.

    Attributes:
        far: the false acceptance rate asked for.
        mode, metric: of the scores; others need other thresholds.
        overall: for characters without a threshold of their own.
        per_character: by name; empty when one threshold serves all.
        pictures, characters: how many references and background pictures, of how many characters, stood in for
            impostors.
        supported: the least false acceptance rate that so many characters show by themselves, 1 / (characters + 1);
            below it the threshold also rests on how drawn characters spread.
        background, counted: how many background pictures there were, and how many of them count.
        named: share of the references that would be given their own name with themselves and their page left out;
            None where no character has another picture.
        note: what limits the estimate, for people; empty when nothing does.
    """

    far: float
    mode: str
    metric: str
    overall: float
    per_character: Mapping[str, float] = field(default_factory=dict)
    pictures: int = 0
    characters: int = 0
    supported: float = 0.0
    background: int = 0
    counted: int = 0
    named: float | None = None
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
    background_groups: Sequence[str] | np.ndarray | None = None,
    per_character: bool = False,
    excluded: Excluded | None = None,
    around: np.ndarray | None = None,
) -> Thresholds:
    """Fit thresholds on the references themselves, each scored against every character but its own.

    Args:
        references: (R, D) unit rows.
        labels: R names.
        far: false acceptance rate to keep, above 0 and below 1.
        background: (B, D) pictures of characters that are not enrolled. As near to the enrolled characters as these are
            to each other (of the same comic, that is) they count like further characters; from farther off they can
            only raise the thresholds.
        background_groups: B names, equal for pictures of one character; None: each picture is another.
        per_character: let the threshold of a character follow how high impostors score with it.
        excluded: (R, R) pairs that may not score each other, such as pictures of one page, or rows of that mask by
            range. A reference never scores itself.
        around: (R,) how crowded it is around each reference (`Surroundings.around`): the thresholds are then for
            scores that are scaled, and no background can be given.

    Raises:
        UsageError: `far` out of range, or one character only and no background.
    """
    if not 0 < far < 1:
        raise UsageError(f"the false acceptance rate is {far}, not between 0 and 1", hint="--far 0.05")
    names = np.asarray(labels, dtype=str)
    characters = np.array(coded(names)[0])
    impostors = np.zeros((0, references.shape[1]), np.float32) if background is None else background
    if len(characters) < 2 and not len(impostors):
        raise UsageError(
            f"{len(characters)} character is enrolled, so nothing shows how impostors score",
            hint="enrol a second one, or give pictures of others with --background FOLDER",
        )
    apart = _never_itself(excluded, len(references))
    scores = score_characters(references, references, names, mode, excluded=apart, metric=metric).scaled(around).scores
    others = log_distances(np.where(names[:, None] == characters[None, :], -np.inf, scores), metric)
    offset = _offsets(others) if per_character else np.zeros(len(characters))
    spread = pair_spread(*_pair_logs(references, names, apart, metric, around))
    known = _Impostors(_standing(others, offset), names)
    # Impostors meet C characters, a reference only the C - 1 that are not its own: as many fewer chances.
    found = known.level(far * (len(characters) - 1) / len(characters) if len(characters) > 1 else far, spread)
    more, counted = None, 0
    if len(impostors):
        seen = log_distances(score_characters(impostors, references, names, mode, metric=metric).scores, metric)
        groups = np.arange(len(seen)) if background_groups is None else np.asarray(background_groups)
        more = _Impostors(_standing(seen, offset), np.array([f"background {group}" for group in groups]))
        found, counted = _with_background(known, found, more, far, spread)
    nobody = not math.isfinite(found.log_distance)
    bars = [NOBODY if nobody else score_at(found.log_distance + shift, metric) for shift in offset]
    own = {str(name): float(bar) for name, bar in zip(characters, bars, strict=True)} if per_character else {}
    named = _named(scores, names, characters, np.array(bars))
    return Thresholds(
        far=far,
        mode=mode_name(mode),
        metric=metric,
        overall=float(max(bars)),
        per_character=own,
        pictures=found.pictures,
        characters=found.groups,
        supported=found.supported,
        background=len(impostors),
        counted=counted,
        named=named,
        note="; ".join(filter(None, [_note_of_background(more, counted), _note(found, far, named, more is not None)])),
    )


def _never_itself(excluded: Excluded | None, count: int) -> Callable[[int, int], np.ndarray]:
    """The mask by range, each reference with itself added."""

    def rows(start: int, stop: int) -> np.ndarray:
        mask = np.zeros((stop - start, count), bool)
        if excluded is not None:
            mask |= excluded(start, stop) if callable(excluded) else excluded[start:stop]
        mask[np.arange(stop - start), np.arange(start, stop)] = True
        return mask

    return rows


def _standing(logs: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """(N,) log distance to the nearest character, less what that character's impostors are nearer than others'."""
    best = np.argmin(logs, axis=1)
    return logs[np.arange(len(logs)), best] - offset[best]


def _offsets(others: np.ndarray) -> np.ndarray:
    """(C,) how much farther than on average impostors are from each character, in log distances.

    The mean of Z-norm (Auckenthaler, Carey and Lloyd-Thomas, 2000), drawn towards none: with C - 1 others to tell it,
    C - 1 of `C - 1 + OTHERS_COUNT` parts are believed.
    """
    known = np.isfinite(others)
    count = known.sum(axis=0)
    means = np.where(known, others, 0).sum(axis=0) / np.maximum(count, 1)
    if not count.any():
        return np.zeros(len(means))
    believed = (len(means) - 1) / (len(means) - 1 + OTHERS_COUNT)
    return np.where(count > 0, believed * (means - means[count > 0].mean()), 0.0)


def _pair_logs(
    references: np.ndarray,
    names: np.ndarray,
    apart: Callable[[int, int], np.ndarray],
    metric: str,
    around: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Log distances of pairs of one character and of two, of up to `MOST_PAIRS` references spread over all."""
    chosen = np.linspace(0, len(names) - 1, min(len(names), MOST_PAIRS)).astype(np.int64)  # steps of 1 at least
    scores = np.array(similarity(references[chosen], references[chosen], metric), np.float64)
    if len(chosen) == len(names):
        for start, stop in blocks(len(names), len(names)):
            scores[start:stop][apart(start, stop)] = -np.inf
    else:
        for row, place in enumerate(chosen):
            scores[row, apart(int(place), int(place) + 1)[0, chosen]] = -np.inf
    logs = log_distances(scores, metric)
    if around is not None:
        logs -= np.log(np.maximum(1 - around[chosen], LEAST_AROUND))[:, None]
    codes = coded(names[chosen])[1]
    same = codes[:, None] == codes[None, :]
    return logs[same], logs[~same]


@dataclass(frozen=True)
class _Impostors:
    """Pictures that stand in for impostors: their standings (N,) and whose they are."""

    standing: np.ndarray
    groups: np.ndarray

    def level(self, rate: float, spread: float) -> Level:
        return impostor_level(self.standing, self.groups, rate, spread)

    @property
    def mean(self) -> float:
        return float(self.standing[np.isfinite(self.standing)].mean())


def _with_background(known: _Impostors, found: Level, more: _Impostors, far: float, spread: float) -> tuple[Level, int]:
    """What references and background say together (see `calibrate`), and how many pictures of the latter count."""
    alone = more.level(far, spread)
    if not found.pictures or not alone.pictures:
        return alone if alone.pictures else found, alone.pictures
    if more.mean > known.mean + NEAR_ENOUGH * spread:
        raised = alone.log_distance < found.log_distance
        return (alone, alone.pictures) if raised else (found, 0)
    together = _Impostors(np.append(known.standing, more.standing), np.append(known.groups, more.groups))
    return together.level(far, spread), alone.pictures


def _note_of_background(more: _Impostors | None, counted: int) -> str:
    """Why a background counts less than one would think; empty when all of it does."""
    if more is None:
        return ""
    given = len(more.standing)
    if not counted:
        return (
            f"0 of {given} background pictures count: they are farther from the enrolled characters than these are "
            "from each other, as pictures of another comic are, and would not raise the threshold"
        )
    if len(set(more.groups.tolist())) == 1 < given:
        return (
            f"all {given} background pictures lie in one folder and count as one character; a folder each counts more"
        )
    return f"{counted} of {given} background pictures count" if counted < given else ""


def _named(scores: np.ndarray, names: np.ndarray, characters: np.ndarray, bars: np.ndarray) -> float | None:
    """The share of references given their own name by their other references; None where none has any."""
    place = np.searchsorted(characters, names)
    able = np.isfinite(scores[np.arange(len(names)), place])
    best = np.argmax(scores, axis=1)
    right = (best == place) & (scores[np.arange(len(names)), best] >= bars[best])
    return float(right[able].mean()) if able.any() else None


def _note(found: Level, far: float, named: float | None, has_background: bool) -> str:
    """What limits the thresholds, and what helps; empty when nothing does."""
    if not found.pictures:
        return "no reference could be compared with another character"
    notes = []
    if far < found.supported:
        needed = math.ceil(1 / far) - 1 - found.groups
        more = "pictures" if not has_background else "another background: pictures"
        notes.append(
            f"{found.groups} characters show rates from {found.supported:.2g} by themselves; for {far:g} the "
            "threshold also rests on how drawn characters spread and is cautious; --background FOLDER with "
            f"{more} of {needed} or more others of the same comic, a folder each, would support it"
        )
    if named is not None and named < FEW_NAMED:
        notes.append(
            f"at this rate {named:.0%} of the references themselves would be named; a higher --far, --background or "
            "a stronger encoder (--plugin) names more"
        )
    return "; ".join(notes)


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
    order = scores.order()[:, : max(top, 2)]
    # As lists of Python's numbers, at once: taking them out of arrays one by one costs more than deciding.
    table = zip(
        order.tolist(),
        np.take_along_axis(scores.scores, order, 1).tolist(),
        np.take_along_axis(scores.deciding, order, 1).tolist(),
        strict=True,
    )
    names = scores.characters
    return [
        _verdict([(names[i], s, d) for i, s, d in zip(*row, strict=True) if math.isfinite(s)], thresholds, margin, top)
        for row in table
    ]


def _verdict(
    listed: list[tuple[str, float, int]], thresholds: Thresholds | float | None, margin: float, top: int
) -> Verdict:
    if not listed:
        return Verdict("unknown", None, None, None, None, ())
    ranked = tuple(listed)
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
