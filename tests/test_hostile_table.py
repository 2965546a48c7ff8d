"""The table of files that may be hostile, in CONTRIBUTING.md: every test that it names is there and tests something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def rows() -> list[tuple[str, str]]:
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("## Files that may be hostile")[1].split("\n## ")[0]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert all(len(row) == 4 for row in table)
    return [(row[0], row[3]) for row in table[2:]]


@pytest.mark.parametrize(("file", "tests"), rows(), ids=[file for file, _ in rows()])
def test_what_the_table_names_is_there(file: str, tests: str) -> None:
    named = re.findall(r"`(tests/[^`]+)`", tests)
    assert named, f"{file} names no test"
    for name in named:
        files = [ROOT / name] if name.endswith(".py") else list((ROOT / name).glob("test_*.py"))
        assert files, f"{name} holds no tests"
        for each in files:
            assert re.search(r"^def test_", each.read_text("utf-8"), re.MULTILINE), f"{each} tests nothing"
