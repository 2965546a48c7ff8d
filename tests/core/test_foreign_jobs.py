"""The folder of a job that came with somebody's comics: links that lead out of it, and forged ledgers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from comictool.core.errors import InputError
from comictool.core.jobs import Done, Item, run_job
from comictool.core.ledger import Ledger

FORGED = [
    b"\xff\xfe\x00",
    b"[" * 50_000,
    b"9" * 5_000,
    b"null",
    b'{"key": 1, "stamp": "", "status": "done"}',
    b'{"key": "a", "stamp": "", "status": "won"}',
    b'{"key": "a", "stamp": "", "status": "done", "summary": []}',
    b'{"key": "a", "stamp": "", "status": "done", "problems": [1]}',
    b'{"key": "a", "stamp": "", "status": "done", "code": "x"}',
    b'{"key": "a", "stamp": "forged", "status": "done", "summary": {"pages": 1e999}}',
]


def run(folder: Path) -> list[str]:
    done: list[str] = []

    def commit(item: Item, result: str) -> Done:
        done.append(item.key)
        return Done({"pages": 1})

    items = [Item("a", "1", "a"), Item("b", "1", "b")]
    run_job("toy", items, str.upper, commit, ledger_folder=folder, settings={}, workers="inline")
    return done


def whole(root: Path, victim: Path) -> None:
    (root / ".jobs").symlink_to(victim)


def inner(root: Path, victim: Path) -> None:
    (root / ".jobs").mkdir()
    (root / ".jobs" / "staging-1-of-1").symlink_to(victim)


def deeper(root: Path, victim: Path) -> None:
    (root / ".jobs" / "parts").mkdir(parents=True)
    (root / ".jobs" / "parts" / "panels").symlink_to(victim)


def ledger(root: Path, victim: Path) -> None:
    (root / ".jobs").mkdir()
    (root / ".jobs" / "toy.jsonl").symlink_to(victim / "diary.jsonl")


def lock(root: Path, victim: Path) -> None:
    (root / ".jobs").mkdir()
    (root / ".jobs" / "toy.lock").symlink_to(victim / "new")


@pytest.mark.parametrize("forge", [whole, inner, deeper, ledger, lock])
def test_no_job_writes_through_a_link(tmp_path: Path, forge: Callable[[Path, Path], None]) -> None:
    root, victim = tmp_path / "comics", tmp_path / "victim"
    for folder in (root, victim):
        folder.mkdir()
    (victim / "diary.jsonl").write_text("mine")
    forge(root, victim)
    with pytest.raises(InputError, match="is a link"):
        run(root / ".jobs")
    assert [file.name for file in victim.iterdir()] == ["diary.jsonl"]
    assert (victim / "diary.jsonl").read_text() == "mine"


def test_a_forged_ledger_has_nothing_skipped_and_is_mended(tmp_path: Path) -> None:
    (tmp_path / "toy.jsonl").write_bytes(b"\n".join(FORGED) + b"\n")
    assert run(tmp_path) == ["a", "b"]
    assert run(tmp_path) == []
    assert set(Ledger(tmp_path, "toy").load().entries) == {"a", "b"}
