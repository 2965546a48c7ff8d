"""Command by setting: a change redoes, refuses, or decides nothing. All rows: `python -m tests.bench.settings`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.settings import TABLE, Row, make_base, outcome

# Every precision of F7, and every other row of those that need no model.
LIGHT = [row for row in TABLE if row.command.startswith("data") and "-j" not in row.after]
ROWS = LIGHT[::2] + [row for row in TABLE if row.command.startswith("embed") and "precision" in row.after]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("settings") / "base")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_changed_setting_does_what_the_table_says(base: Path, tmp_path: Path, row: Row) -> None:
    """F7, issue 10, shows 3."""
    assert outcome(row, base, tmp_path / "work") == row.expect
