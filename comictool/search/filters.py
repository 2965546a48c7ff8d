"""Which rows may be answers: `comic=GLOB type=story year=1946..1950 panels>=4 character=NAME text=yes`.

A value that is text is a shell pattern, without regard to case; several are parted by commas, one of them must match.
Numbers have `= != < <= > >=` and ranges. Of `!=` it is the opposite. All conditions must hold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.vectors.metadata import FACTS
from comictool.vectors.page_facts import NAMES, PageFacts

NUMBERS = ("page", "panels", "characters", "year", "month")  # the last two are facts of comics
WORDS = ("comic", "character", *NAMES, *(name for name in FACTS if name not in NUMBERS))
FLAGS = ("text",)
FIELDS = (*WORDS, *NUMBERS, *FLAGS)
_CONDITION = re.compile(r"(?:^|\s)\s*(\w+)\s*(!=|<=|>=|=|<|>)")
_RANGE = re.compile(r"(-?\d{1,9})?\s*\.\.\s*(-?\d{1,9})?")


class Condition(NamedTuple):
    """One condition: `field sign value`."""

    field: str
    sign: str
    value: str

    def __str__(self) -> str:
        return "".join(self)

    @property
    def choices(self) -> list[str]:
        """The values of which one must match, folded."""
        return [part.strip().casefold() for part in self.value.split(",") if part.strip()]


def parse_filters(typed: Sequence[str]) -> tuple[Condition, ...]:
    """Conditions, each by itself or several in one text.

    Raises:
        UsageError: an unknown field, or a value or sign that it cannot have.
    """
    found = []
    for text in typed:
        places = list(_CONDITION.finditer(text))
        if not places or text[: places[0].start()].strip():
            raise UsageError(f"--filter {text!r}: write it as field=value", hint=f"fields: {', '.join(FIELDS)}")
        for place, after in zip(places, [*places[1:], None], strict=True):
            value = text[place.end() : after.start() if after else len(text)].strip()
            found.append(_checked(Condition(place[1], place[2], value.strip('"')), text))
    return tuple(found)


def _checked(condition: Condition, text: str) -> Condition:
    name, sign, value = condition
    if name not in FIELDS:
        raise UsageError(f"--filter {text!r}: there is no field {name!r}", near=near_matches(name, FIELDS))
    if not value:
        raise UsageError(f"--filter {text!r}: {name} has no value")
    if name in NUMBERS:
        _numbers(condition)
    elif sign not in ("=", "!="):
        raise UsageError(f"--filter {text!r}: {name} is compared with = or !=")
    if name in FLAGS and value not in ("yes", "no"):
        raise UsageError(f"--filter {text!r}: {name} is yes or no")
    return condition


def _numbers(condition: Condition) -> tuple[float, float]:
    """The lowest and highest number that a condition (without its `!`) admits."""
    name, sign, value = condition
    if sign in ("=", "!=") and (found := _RANGE.fullmatch(value)) and (found[1] or found[2]):
        return float(found[1] or "-inf"), float(found[2] or "inf")
    if not re.fullmatch(r"-?\d{1,9}", value):
        raise UsageError(f"--filter {condition}: {name} is a whole number, or a range like 1946..1950")
    number = float(value)
    return {
        "=": (number, number),
        "!=": (number, number),
        ">=": (number, np.inf),
        ">": (number + 1, np.inf),
        "<=": (-np.inf, number),
        "<": (-np.inf, number - 1),
    }[sign]


def admitted(facts: PageFacts, level: str, conditions: Sequence[Condition], where: str) -> np.ndarray:
    """(rows,) bool: the rows of a level for which all conditions hold.

    Args:
        where: the store, for messages.

    Raises:
        InputError: a value that nothing of the store has, with near ones; or the store knows no characters.
    """
    inside = np.ones(facts.rows(level), bool)
    for condition in conditions:
        holds = _holds(facts, level, condition, where)
        inside &= ~holds if condition.sign == "!=" else holds
    return inside


def _holds(facts: PageFacts, level: str, condition: Condition, where: str) -> np.ndarray:
    name = condition.field
    if name in FLAGS:
        there = facts.text[level] if level != "character" else facts.spread(level, facts.text["page"])
        return there if condition.value == "yes" else ~there
    if name in ("characters", "character"):
        return _with_characters(facts, level, condition, where)
    if name in NAMES:
        of_value = _matching(condition, facts.values[name], where)
        return facts.spread(level, of_value[facts.names[name]])
    if name == "comic":
        return facts.spread(level, _matching(condition, facts.comics, where)[facts.comic_of])
    if name in ("page", "panels"):
        low, high = _numbers(condition)
        values = facts.page if name == "page" else facts.count["panel"]
        return facts.spread(level, (values >= low) & (values <= high))
    told = [own.get(name, "") for own in facts.facts]
    if not any(told):
        raise InputError(
            f"no comic of {where} has a {name}",
            cause="such facts come with the comic files (ComicInfo.xml)",
            near=[other for other in FACTS if any(other in own for own in facts.facts)][:3],
        )
    if name in NUMBERS:
        low, high = _numbers(condition)
        years = np.array([float(text) if text.isdigit() and len(text) < 10 else np.nan for text in told])
        return facts.spread(level, ((years >= low) & (years <= high))[facts.comic_of])
    return facts.spread(level, _matching(condition, told, where)[facts.comic_of])


def _matching(condition: Condition, values: Sequence[str], where: str) -> np.ndarray:
    folded = [value.casefold() for value in values]
    found = np.array([any(fnmatchcase(value, choice) for choice in condition.choices) for value in folded], bool)
    if not found.any() and condition.sign == "=":
        near = near_matches(condition.value, sorted(set(filter(None, values))))
        raise InputError(f"{where} has nothing with {condition}", near=near)
    return found


def _with_characters(facts: PageFacts, level: str, condition: Condition, where: str) -> np.ndarray:
    if not facts.identities:
        raise InputError(
            f"{where} knows no characters",
            hint=f"comictool embed CORPUS -o {where} --level character, once they are known",
        )
    named = condition.field == "character"
    wanted = _matching(condition, [identity for identity, *_ in facts.identities], where) if named else None
    if level == "character":
        if wanted is not None:
            return wanted
        counts = facts.spread(level, facts.count["character"])
    else:
        counts = np.zeros(facts.rows(level), np.int64)
        last = facts.first["panel"] + facts.count["panel"]
        for number, (_, page, panel) in enumerate(facts.identities):
            if (wanted is None or wanted[number]) and 0 <= page < len(last):
                row = page if level == "page" else int(facts.first["panel"][page]) + panel - 1
                if level == "page" or (panel > 0 and row < last[page]):
                    counts[row] += 1
    if wanted is not None:
        return counts > 0
    low, high = _numbers(condition)
    return (counts >= low) & (counts <= high)
