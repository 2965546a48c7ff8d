"""The table of faults beside this file: every number stands there once, with tests that exist or the reason why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NUMBERS = [
    *(f"1.{letter}" for letter in "ABCDEFG"),
    *(f"2.{number}" for number in range(1, 6)),
    *(f"F{number}" for number in range(1, 18)),
    *(f"4A.{number}" for number in range(1, 7)),
    *(f"4B.{number}" for number in range(7, 13)),
    *(f"4C.{number}" for number in range(13, 16)),
    *(f"4D.{number}" for number in range(16, 19)),
    *(f"4E.{number}" for number in range(19, 25)),
    *(f"4F.{number}" for number in range(25, 28)),
    *(f"4G.{number}" for number in range(28, 34)),
    *(f"5.{number}" for number in range(1, 7)),
    *(f"6.{number}" for number in range(1, 16)),
]


def rows() -> list[list[str]]:
    lines = (ROOT / "tests" / "faults.md").read_text("utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"][2:]


def test_every_number_stands_there_once() -> None:
    assert [row[0] for row in rows()] == NUMBERS


@pytest.mark.parametrize(("number", "cell"), [(row[0], row[-1]) for row in rows()], ids=[row[0] for row in rows()])
def test_what_the_table_names_is_there(number: str, cell: str) -> None:
    named = re.findall(r"`(tests/[^`]+)`", cell)
    reason = re.sub(r"`[^`]*`|[,;\s]", "", cell)
    assert named or len(reason) > 20, f"{number} has neither a test nor a reason"
    for name in named:
        file, _, test = name.partition("::")
        text = (ROOT / file).read_text("utf-8")
        assert re.search(rf"^def {test or 'test_'}", text, re.MULTILINE), f"{name} is not there"
