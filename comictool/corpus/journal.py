"""Renaming many folders and replacing many files so that a kill at any moment leaves one state or the other.

First every new file is written aside. Then the journal, one file, says everything that is to be done; from that rename
on the change will happen, by this process or by the next command that opens the corpus. Each step can be repeated.
Without a journal, what lies aside is thrown away and nothing has changed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from comictool.core.errors import InputError
from comictool.core.files import TEMPORARY_SUFFIX, atomic_file, write_json
from comictool.core.ledger import Ledger

FOLDER = ".jobs/normalize"
JOURNAL = "journal.json"
PARKED = ".renaming-{}"  # where a folder waits between its old and its new name, so that names can swap


@dataclass
class Change:
    """What is to be done; all paths are relative to the corpus, with forward slashes.

    Attributes:
        renames: `(folder, old, new)`: entries of a folder that get another name.
        links: `(link, target text)`: symbolic links to make anew.
        replacements: `(staged file, target)`: files written aside that take their place.
        removals: files that go when everything else is done.
    """

    renames: list[tuple[str, str, str]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    replacements: list[tuple[str, str]] = field(default_factory=list)
    removals: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.renames or self.links or self.replacements or self.removals)


class Staging:
    """Files written aside for a change. Use as the argument of the function given to `carry_out`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.change = Change()
        self._count = 0

    @contextmanager
    def replacing(self, target: str) -> Iterator[BinaryIO]:
        """Write the new contents of a file; `target` need not exist yet."""
        with self.replacing_path(target) as path, atomic_file(path, durable=True) as stream:
            yield stream

    @contextmanager
    def replacing_path(self, target: str) -> Iterator[Path]:
        """The same for a library that wants a path."""
        self._count += 1
        staged = f"{FOLDER}/staged/{self._count}"
        path = self.root / staged
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
        self.change.replacements.append((staged, target))


def journal_file(root: Path) -> Path:
    """Where the journal of a change lies while it is under way."""
    return root / FOLDER / JOURNAL


def carry_out(root: Path, prepare: Callable[[Staging], None]) -> Change:
    """Prepare a change, write its journal, do it. A change that was left unfinished is finished first.

    Raises:
        InputError: another process is changing names here.
    """
    with Ledger(root / FOLDER, "lock").writing():
        _finish(root)
        staging = Staging(root)
        try:
            prepare(staging)
        except BaseException:
            shutil.rmtree(root / FOLDER / "staged", ignore_errors=True)
            raise
        if staging.change:
            write_json(journal_file(root), {"phase": "park", **vars(staging.change)}, durable=True)
            _finish(root)
    return staging.change


def finish_pending(root: Path) -> bool:
    """Complete a change of names that was killed; True when there was one. Costs one look at the disk otherwise."""
    if not (journal_file(root)).exists():
        return False
    with Ledger(root / FOLDER, "lock").writing():
        return _finish(root)


def remove_left(target: Path) -> None:
    """Remove temporary files that a kill left where `target` was being written; only for its one writer to call."""
    if target.parent.is_dir():
        for name in os.listdir(target.parent):
            if name.startswith(f".{target.name[:40]}.") and name.endswith(TEMPORARY_SUFFIX):
                (target.parent / name).unlink(missing_ok=True)


def forget(ledger: Ledger, keys: Iterable[str]) -> None:
    """Let finished items of a job be done again, because what they wrote has gone."""
    finished = ledger.load().entries
    lost = [key for key in keys if key in finished and finished[key].status == "done"]
    if lost:
        with ledger.writing():
            for key in lost:
                ledger.forget(key)


def _finish(root: Path) -> bool:
    journal = journal_file(root)
    if not journal.exists():
        shutil.rmtree(root / FOLDER / "staged", ignore_errors=True)  # prepared but never decided: rolled back
        return False
    change, phase = _read(journal)
    if phase == "park":
        for number, (folder, old, _) in enumerate(change.renames):
            _move(root / folder / old, root / folder / PARKED.format(number))
        # Only when all are parked may a new name appear, which may be the old name of another.
        write_json(journal, {"phase": "place", **vars(change)}, durable=True)
    for number, (folder, _, new) in enumerate(change.renames):
        _move(root / folder / PARKED.format(number), root / folder / new)
    for link, text in change.links:
        _link(root / link, text)
    for staged, target in change.replacements:
        if (root / staged).exists():
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            os.replace(root / staged, root / target)
    for file in change.removals:
        (root / file).unlink(missing_ok=True)
    journal.unlink()
    shutil.rmtree(root / FOLDER / "staged", ignore_errors=True)
    return True


def _move(old: Path, new: Path) -> None:
    if os.path.lexists(old):  # else this step was done before the kill
        os.rename(old, new)


def _link(link: Path, text: str) -> None:
    if link.is_symlink() and os.readlink(link) == text:
        return
    temporary = link.with_name(f".{link.name[:40]}.relinking")
    temporary.unlink(missing_ok=True)
    os.symlink(text, temporary, target_is_directory=True)
    os.replace(temporary, link)


def _read(journal: Path) -> tuple[Change, str]:
    try:
        value = json.loads(journal.read_text("utf-8"))
        change = Change(
            [(str(a), str(b), str(c)) for a, b, c in value["renames"]],
            [(str(a), str(b)) for a, b in value["links"]],
            [(str(a), str(b)) for a, b in value["replacements"]],
            [str(a) for a in value["removals"]],
        )
        phase = str(value["phase"])
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{journal} is damaged; it says how to finish a change of names") from error
    paths = [folder for folder, *_ in change.renames]
    names = [name for _, *both in change.renames for name in both]
    paths += [path for path, _ in change.links]
    paths += [path for pair in change.replacements for path in pair] + change.removals
    if any(PurePosixPath(p).is_absolute() or ".." in PurePosixPath(p).parts for p in paths) or any(
        len(PurePosixPath(name).parts) != 1 or name == ".." for name in names
    ):
        raise InputError(f"{journal} names a path outside the corpus; it was not written by this program")
    return change, phase
