"""The strict reader: what is taken, what is refused, and how the sentence names it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from comictool.core.errors import InputError, UsageError
from comictool.core.typed import Check, text, typed, within

ORDERED = Check(lambda box: box is None or (box[0] < box[2] and box[1] < box[3]), "a box of positive area")
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Part:
    box: Annotated[Box, ORDERED]
    name: Annotated[str, text(5)] = ""


@dataclass(frozen=True)
class Whole:
    size: Annotated[int, within(1, 100)]
    rate: float = 0.5
    mode: Literal["fit", "squash"] = "fit"
    parts: list[Part] = field(default_factory=list)
    note: str | None = None
    flags: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Lenient:
    id: int
    extra: dict[str, Any] = field(default_factory=dict)


def test_a_whole_value_is_read() -> None:
    value = {"size": 3, "rate": 1, "parts": [{"box": [0, 0, 2, 2], "name": "a"}], "note": None, "flags": {"x": True}}
    whole = typed(Whole, value, "here")
    assert whole == Whole(3, 1.0, "fit", [Part((0, 0, 2, 2), "a")], None, {"x": True})
    assert isinstance(whole.rate, float)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({}, "f: size is missing"),
        ({"size": True}, "f: size must be a whole number, not True"),
        ({"size": 2**63}, "f: size must be a whole number"),
        ({"size": 101}, "f: size must be from 1 to 100, not 101"),
        ({"size": 1, "rate": float("nan")}, "f: rate must be a finite number, not nan"),
        ({"size": 1, "rate": "1"}, "f: rate must be a finite number, not '1'"),
        ({"size": 1, "mode": "fitt"}, "f: mode must be one of fit, squash, not 'fitt'"),
        ({"size": 1, "parts": [{"box": [0, 0, 2, 2]}, {"box": [0, 0, 2]}]}, "f: parts[1].box must be a list of 4"),
        ({"size": 1, "parts": [{"box": [3, 0, 2, 2]}]}, "f: parts[0].box must be a box of positive area"),
        ({"size": 1, "parts": [{"box": [0, 0, 2.5, 2]}]}, "f: parts[0].box[2] must be a whole number, not 2.5"),
        ({"size": 1, "parts": [{"box": [0, 0, 2, 2], "name": "abcdef"}]}, "f: parts[0].name must be printable text"),
        ({"size": 1, "flags": {"x": 1}}, "f: flags.x must be true or false, not 1"),
        ({"size": 1, "sise": 2}, "f: sise is not a known key"),
        ([], "f must be a table, not []"),
    ],
)
def test_what_does_not_fit_is_named(value: Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        typed(Whole, value, "f")
    assert caught.value.fact.startswith(sentence)


def test_near_names_and_the_kind_of_error() -> None:
    with pytest.raises(UsageError) as caught:
        typed(Whole, {"size": 1, "sise": 2}, "f", error=UsageError)
    assert caught.value.near == ["size"]


def test_unknown_keys_are_kept_where_there_is_room() -> None:
    assert typed(Lenient, {"id": 1, "new": [1]}, "f") == Lenient(1, {"new": [1]})


def test_a_hint_that_is_not_understood_is_a_fault_of_ours() -> None:
    with pytest.raises(TypeError):
        typed(complex, 1, "f")
