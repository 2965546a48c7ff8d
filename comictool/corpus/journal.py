"""Renaming many folders and replacing many files so that a kill at any moment leaves one state or the other.

First every new file is written aside. Then the journal, one file, says everything that is to be done; from that rename
on the change will happen, by this process or by the next run of a command that writes journals (`data normalize`,
`data filter`). Each step can be repeated. Without a journal, what lies aside is thrown away and nothing has changed.

A corpus may come from somebody else, and its journal with it. So no other command plays one: it refuses the corpus and
names the command that finishes the change. Every path is looked at again right before it is used (`core.files.below`),
since a step of the journal itself can make a link.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from comictool.core.errors import InputError
from comictool.core.files import atomic_file, below, read_json, write_json
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.core.typed import typed

FOLDER = ".jobs/normalize"
JOURNAL = "journal.json"
MOST_JOURNAL_BYTES = 64 << 20  # a corpus of 100,000 comics writes 20 MB
PARKED = ".renaming-{}"  # where a folder waits between its old and its new name, so that names can swap


@dataclass
class _Written:
    """A journal as it is read: a `Change` and how far it is."""

    phase: Literal["park", "place"]
    renames: list[tuple[str, str, str]]
    links: list[tuple[str, str]]
    replacements: list[tuple[str, str]]
    removals: list[str]
    asked: str = ""
    names: dict[str, str] = field(default_factory=dict)


@dataclass
class Change:
    """What is to be done; all paths are relative to the corpus, with forward slashes.

    Attributes:
        renames: `(folder, old, new)`: entries of a folder that get another name.
        links: `(link, target text)`: symbolic links to make anew.
        replacements: `(staged file, target)`: files written aside that take their place.
        removals: files that go when everything else is done.
        asked: the command that it is, for a run that resumes it.
        names: what that tells, old name to new.
    """

    renames: list[tuple[str, str, str]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    replacements: list[tuple[str, str]] = field(default_factory=list)
    removals: list[str] = field(default_factory=list)
    asked: str = ""
    names: dict[str, str] = field(default_factory=dict)

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


def carry_out(
    root: Path, prepare: Callable[[Staging], None], *, tell: Callable[[Change], None] = lambda change: None
) -> Change:
    """Prepare a change, write its journal, do it. A change that was left unfinished is finished first.

    Args:
        tell: called when all is done, before the journal goes: a run that is killed before it has told is resumed.

    Raises:
        InputError: another process is changing names here.
    """
    below(root, f"{FOLDER}/{JOURNAL}")
    with Ledger(root / FOLDER, "lock").writing():
        _play(root)
        _end(root)
        staging = Staging(root)
        try:
            prepare(staging)
        except BaseException:
            shutil.rmtree(root / FOLDER / "staged", ignore_errors=True)
            raise
        if staging.change:
            write_json(journal_file(root), {"phase": "park", **vars(staging.change)}, durable=True)
            _play(root)
        tell(staging.change)
        _end(root)
    return staging.change


def refuse_unfinished(root: Path) -> None:
    """Refuse a corpus whose change of names was killed half way; costs one look at the disk.

    Raises:
        InputError: there is a journal; the hint names what finishes it.
    """
    if os.path.lexists(journal_file(root)):
        raise InputError(
            f"a change of names in {root} is unfinished",
            cause=f"it was killed, or {journal_file(root)} came with the folder",
            hint=f"comictool data normalize {root} finishes it, if the corpus is your own",
        )


def finish_pending(
    root: Path, progress: Progress | None = None, *, tell: Callable[[Change], None] = lambda change: None
) -> Change | None:
    """Complete a change that was killed, after saying so; gives it, None when there was none.

    Only for the commands that write journals. `tell` as for `carry_out`.

    Raises:
        InputError: the journal is damaged, or names a path that leads out of the corpus.
    """
    if not os.path.lexists(journal_file(root)):
        return None
    below(root, f"{FOLDER}/{JOURNAL}")
    with Ledger(root / FOLDER, "lock").writing():
        (progress or Progress()).message(f"finishing the change of names that {journal_file(root)} describes")
        change = _play(root)
        if change is not None:
            tell(change)
        _end(root)
    return change


def _play(root: Path) -> Change | None:
    """Do all steps of the journal that are still to be done."""
    journal = journal_file(root)
    if not journal.exists():
        return None
    change, phase = _read(journal)
    if phase == "park":
        for number, (folder, old, _) in enumerate(change.renames):
            _move(root, f"{folder}/{old}", f"{folder}/{PARKED.format(number)}")
        # Only when all are parked may a new name appear, which may be the old name of another.
        write_json(journal, {"phase": "place", **vars(change)}, durable=True)
    for number, (folder, _, new) in enumerate(change.renames):
        _move(root, f"{folder}/{PARKED.format(number)}", f"{folder}/{new}")
    for link, text in change.links:
        _link(root, link, text)
    for staged, target in change.replacements:
        source = below(root, staged)
        if os.path.lexists(source):
            if not stat.S_ISREG(source.lstat().st_mode):
                raise InputError(f"{source} is no file; it was not written by this program")
            below(root, target).parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, below(root, target))
    for file in change.removals:
        below(root, file).unlink(missing_ok=True)
    return change


def _end(root: Path) -> None:
    """Nothing is left to be done: what lies aside goes, and last the journal. Without one, nothing was decided."""
    shutil.rmtree(root / FOLDER / "staged", ignore_errors=True)
    journal_file(root).unlink(missing_ok=True)


def _move(root: Path, old: str, new: str) -> None:
    source, target = below(root, old), below(root, new)
    if os.path.lexists(source):  # else this step was done before the kill
        os.rename(source, target)


def _link(root: Path, relative: str, text: str) -> None:
    link = below(root, relative)
    if link.is_symlink() and os.readlink(link) == text:
        return
    _check_link(root, relative, text)
    temporary = link.with_name(f".{link.name[:40]}.relinking")
    temporary.unlink(missing_ok=True)
    os.symlink(text, temporary, target_is_directory=True)
    os.replace(temporary, link)


def _check_link(root: Path, relative: str, text: str) -> None:
    """Only links from folder to folder inside the corpus are made, as `data split` makes them."""
    target = os.path.normpath(os.path.join(os.path.dirname(relative), text))
    try:
        below(root, target.replace(os.sep, "/"))
    except InputError as error:
        raise InputError(
            f"the journal of {root} makes a link to {text!r:.200}, outside the corpus",
            cause="it was not written by this program",
        ) from error


def _read(journal: Path) -> tuple[Change, str]:
    """The change and its phase; paths that lead out are refused before the first step is taken."""
    root = journal.parent.parent.parent
    value = read_json(journal, what="the journal of a change of names", most_bytes=MOST_JOURNAL_BYTES)
    written = typed(_Written, value, str(journal))
    change = Change(**{key: value for key, value in vars(written).items() if key != "phase"})
    if any("/" in name for _, *both in change.renames for name in both):
        raise InputError(f"{journal} renames something to another folder; it was not written by this program")
    if any(not staged.startswith(f"{FOLDER}/staged/") for staged, _ in change.replacements):
        raise InputError(f"{journal} moves files that it did not write; it was not written by this program")
    paths = [f"{folder}/{name}" for folder, *both in change.renames for name in both]
    paths += [link for link, _ in change.links] + [target for _, target in change.replacements] + change.removals
    for path in paths:
        below(root, path)
    for link, text in change.links:
        _check_link(root, link, text)
    return change, written.phase
