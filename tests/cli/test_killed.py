"""A slice of `python -m tests.bench.kills`: stopped at drawn moments and run again, a command ends as it would have."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.bench.kills import CASES, Bench, Strike, import_everything, state

CHOSEN = [
    "enroll more",
    "classify copy over",
    "classify move",
    "undo copy",
    "undo move over",
    "normalize --undo",
    "split",
]


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    import_everything()


@pytest.mark.parametrize("name", CHOSEN)
def test_files_and_output_end_the_same(tmp_path: Path, name: str) -> None:
    """Section 5: enroll, classify, undo and normalize --undo were not perfect; their output is compared too."""
    bench, draw = Bench(tmp_path), random.Random(name)
    assert bench.attempt(name, "kill", draw)[0] == []
    assert bench.attempt(name, draw.choice(["SIGINT", "two", "SIGTERM"]), draw)[0] == []


@pytest.mark.parametrize("last", [1, 2, 3])
def test_an_undo_that_is_killed_at_its_end_is_told_whole(tmp_path: Path, last: int) -> None:
    """Section 5: the journal had gone before anything was printed, and locks and folders were left."""
    bench = Bench(tmp_path)
    files, whole, _ = bench.expected("undo copy")
    bench.fill("undo copy")
    killed = bench.run(CASES["undo copy"].command, Strike((signal.SIGKILL,), (whole.moments - last,)))
    assert killed.code == -signal.SIGKILL
    if killed.out != whole.out or state(bench.work) != files:
        assert bench.run(CASES["undo copy"].command).out == whole.out
    assert state(bench.work) == files


@pytest.mark.parametrize("moment", [5, 60, 200])
def test_ctrl_c_while_the_program_is_imported_shows_no_traceback(tmp_path: Path, moment: int) -> None:
    bench = Bench(tmp_path)
    bench.work.mkdir()
    CASES["import"].make(bench.work)
    ended = bench.run(CASES["import"].command, Strike((2, 2), (moment, moment + 7), fresh=True))
    assert ended.code == 130
    assert "Traceback" not in ended.err
