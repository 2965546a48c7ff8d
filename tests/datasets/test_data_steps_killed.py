"""SIGKILL in the middle of every data step: running it again ends where an undisturbed run ends.

A forked child counts the calls that change the disk (rename, replace, unlink, link) and kills itself with SIGKILL at
the n-th; the parent then runs the step again and compares every byte.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comictool.core.jobs import JobOptions
from comictool.corpus.journal import finish_pending
from comictool.datasets.exporting.characters import export_characters
from comictool.datasets.exporting.panels import export_panels
from comictool.datasets.filtering.identities import filter_characters
from comictool.datasets.normalizing.normalize import normalize_names, undo_names
from comictool.datasets.packs.packing import pack_corpus
from comictool.datasets.packs.reading import Pack
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from tests.formats import mast_fixture as fixture
from tests.formats.mast_fixture import ACCENTED, ALIKE_A, PLAIN, QUOTED

ONE = JobOptions(jobs=1)
COMICS = [PLAIN, QUOTED, ACCENTED, ALIKE_A]
CALLS = ("replace", "rename", "unlink", "symlink")


def run_and_kill(step: Callable[[], object], at: int) -> bool:
    """Run a step in a child that dies at its `at`-th change of the disk; False when it ended before."""
    child = os.fork()
    if child == 0:
        left = at

        def dying(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **named)

            return call

        for name in CALLS:
            setattr(os, name, dying(getattr(os, name)))
        try:
            step()
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def export(root: Path) -> None:
    view = fixture.open_fixture(root)
    export_panels(view, options=ONE)
    export_characters(view, options=ONE)


def split(root: Path) -> None:
    split_dataset(fixture.open_fixture(root), split=SplitOptions(ratios=(0.5, 0.25, 0.25)), options=ONE)


def pack(root: Path) -> None:
    pack_corpus(root, options=ONE)


def filter_(root: Path) -> None:
    filter_characters(root, min_frequency=2)


STEPS: dict[str, tuple[list[Callable[[Path], object]], Callable[[Path], object], int]] = {
    "export": ([], export, 2),
    "normalize": ([export, split, pack], normalize_names, 3),
    "undo": ([export, split, pack, normalize_names], undo_names, 5),
    "split": ([export], split, 1),
    "hdf5": ([export, split], pack, 1),
    "filter": ([export, split, pack], filter_, 2),
}


@pytest.mark.parametrize("name", STEPS)
def test_killed_and_run_again(tmp_path: Path, name: str) -> None:
    before, step, stride = STEPS[name]
    start = fixture.write_mast(tmp_path / "start", COMICS)
    for earlier in before:
        earlier(start)
    whole = copy(start, tmp_path / "whole")
    step(whole)
    expected = without_packs(whole)
    killed = 0
    for at in range(0, 400, stride):
        root = copy(start, tmp_path / f"killed-{at}")
        if not run_and_kill(functools.partial(step, root), at):
            break
        killed += 1
        finish_pending(root)
        if name != "undo" or (root / "annotations" / "names.json").exists():
            step(root)
        assert without_packs(root) == expected, f"killed at change {at}"
        assert packs(root) == packs(whole), f"killed at change {at}"
        shutil.rmtree(root)
    else:
        pytest.fail("the step never came to its end")
    assert killed >= 4


def test_normalize_is_decided_by_one_moment(tmp_path: Path) -> None:
    """Before the journal everything is as it was; after it, the next command of any kind completes the change."""
    start = fixture.write_mast(tmp_path / "start", COMICS)
    export(start)
    old = fixture.contents(start)
    whole = copy(start, tmp_path / "whole")
    normalize_names(whole)
    new = fixture.contents(whole)
    outcomes = set()
    for at in range(0, 400, 2):
        root = copy(start, tmp_path / f"killed-{at}")
        if not run_and_kill(functools.partial(normalize_names, root), at):
            break
        decided = (root / ".jobs" / "normalize" / "journal.json").exists()
        finish_pending(root)
        outcomes.add(decided)
        # The very last change removes the journal: killed there, it is either still there or all is done.
        assert fixture.contents(root) in ([new] if decided else [old, new])
        export(root)
        assert not list(root.rglob(".renaming-*"))
    assert outcomes == {True, False}


def copy(source: Path, target: Path) -> Path:
    """A copy with times and links kept, so that finished work counts as finished."""
    return Path(shutil.copytree(source, target, symlinks=True))


def without_packs(root: Path) -> dict[str, bytes | str]:
    return {name: content for name, content in fixture.contents(root).items() if not name.endswith(".hdf5")}


def packs(root: Path) -> dict[str, list[bytes]]:
    found = {}
    for file in sorted(root.glob("processed/*/*.hdf5")):
        opened = Pack(file)
        found[file.name] = [opened.read_row(row) for row in range(len(opened))]
    return found
