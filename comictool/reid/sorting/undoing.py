"""Taking a sorting run back: every file where it was, every folder that was made gone again.

Each step can be repeated, so an undo that is killed resumes when it is started again. What a user has changed, moved or
deleted since is never touched: it is reported with the reason, and the journal stays.

A folder may come from somebody else, and its journal with it. Only a journal that this user signed is believed; another
must be trusted by name. No path is followed through a link, whoever wrote it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from comictool.core.errors import InputError
from comictool.core.files import below
from comictool.reid.gallery import FILE, Gallery
from comictool.reid.sorting.journal import (
    FOLDER,
    REPLACED,
    Contents,
    Entry,
    Journal,
    Undoing,
    disk_errors_told,
    holding,
    newest,
    newest_contents,
    place_aside,
    put_aside,
    read_journal,
)
from comictool.reid.sorting.moving import content_digest, move_file

MOST_LISTED = 5  # actions of a foreign journal that its refusal names


@dataclass
class Undone:
    """What an undo did: paths restored or removed, and those left as they are with the reason."""

    journal: Path
    restored: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def undo(place: Path, *, trust: bool = False, tell: Callable[[Undone], None] = lambda done: None) -> Undone:
    """Take back the run of a journal, or the newest run of a result folder.

    The journal goes when all of it is undone; else it stays for what is left, and undo can be called again.

    Args:
        place: a journal, or a result folder.
        trust: believe a journal that this user did not sign: it can move files of the folder to any place.
        tell: called with the report when all is done, before the journal goes: an undo that is killed before it has
            told is resumed, and tells the whole.

    Raises:
        InputError: no journal, a damaged one, one that somebody else wrote (its actions are listed), a newer run that
            has to be undone first, another process is sorting, or a disk that is full or may not be written.
    """
    if (rest := _rest(place)) is not None:
        return _end(*rest, trust=trust, tell=tell)
    path = newest(place)
    if path.parent.name != FOLDER:
        raise InputError(f"{path} does not lie in the {FOLDER} folder of a result folder", hint="move it back there")
    root = path.parent.parent
    if newest(root).name != path.name:
        raise InputError(
            f"{path.name} is not the newest run in {root}",
            cause="later runs may have renamed or replaced what it wrote",
            hint=f"comictool reid undo {root}   (undoes the newest first)",
        )
    below(root, f"{FOLDER}/{path.name}")
    with disk_errors_told(root, f"comictool reid undo {place}"), holding(root):
        contents = read_journal(path)
        if not contents.chain.sound and not trust:
            raise _foreign(contents, root)
        _forget(contents)
        report, left = Undone(path), set[int]()
        journal = Journal.go_on(contents)
        for entry in reversed(contents.entries):
            if entry.destination is not None and entry.action != "none" and _is_open(contents, entry):
                found = contents.undoing.get(entry.number) or _found(root, entry)
                journal.undo(entry.number, found)
                if not _take_back(root, entry, report, found, begun=_was_begun(contents, entry)):
                    left.add(entry.number)
        if contents.purpose.grouping or contents.purpose.naming or contents.purpose.lesson:
            _tell_groups(root, path if not left else None)
        if left:
            tell(report)
            journal.leave(left)
        journal.close()
        if left:
            return report
        _remove_empty(root / REPLACED)
        if not _nothing_else(root, path):
            tell(report)
            path.unlink()
            return report
        aside = place_aside(root, contents)
        os.replace(path, aside)
    return _end(root, aside, path, report=report, trust=True, tell=tell)


def _forget(contents: Contents) -> None:
    """Take back what the run taught a gallery; a gallery that is gone has nothing to forget."""
    lesson = contents.purpose.lesson
    if lesson is not None and lesson and (Path(lesson.gallery) / FILE).is_file():
        Gallery.open(Path(lesson.gallery)).unlearn(lesson)


def _tell_groups(root: Path, without: Path | None) -> None:
    """Let the file of groups say what is left."""
    from comictool.reid.sorting.group_filing import GROUPS_FILE, write_groups_file  # which settles runs by this module

    if (root / GROUPS_FILE).is_file():
        write_groups_file(root, without=without)


def _is_open(contents: Contents, entry: Entry) -> bool:
    return contents.left is None or entry.number in contents.left


def _was_begun(contents: Contents, entry: Entry) -> bool:
    """Whether an undo may have taken it back, or has told of it already, or the run may not have come to it."""
    if entry.number in contents.undoing or entry.number in contents.failed or contents.left is not None:
        return True
    return not contents.finished and entry is contents.entries[-1]


def _found(root: Path, entry: Entry) -> Undoing:
    """What of an action is there, links aside."""
    assert entry.destination is not None
    replaced = entry.replaced is not None and os.path.lexists(root / entry.replaced)
    there = os.path.lexists(root / entry.destination) and (replaced or entry.replaced is None)
    return Undoing(there, replaced)


def _rest(place: Path) -> tuple[Path, Path, Path] | None:
    """Result folder, journal put aside, and where that was, of an undo that was killed while it removed the folder."""
    root = place.parent.parent if place.parent.name == FOLDER else place
    aside = put_aside(root)
    if not aside or (root.is_dir() and newest_contents(root)):
        return None
    return root, aside[0], root / FOLDER / f"{aside[0].name.split('.')[-2]}.jsonl"


def _end(
    root: Path, aside: Path, path: Path, *, trust: bool, tell: Callable[[Undone], None], report: Undone | None = None
) -> Undone:
    """Remove what a run left of its folder, tell, and remove the journal, which was put aside."""
    contents = read_journal(aside, root)
    if not contents.chain.sound and not trust:
        raise _foreign(contents, root)
    if report is None:
        report = Undone(path)
        for number, found in contents.undoing.items():
            _count(report, next(entry for entry in contents.entries if entry.number == number), found)
    if (root / FOLDER).is_dir() and not (root / FOLDER).is_symlink():
        shutil.rmtree(root / FOLDER)
    if contents.made_root:
        _remove_empty(root)
    tell(report)
    aside.unlink()
    return report


def _foreign(contents: Contents, root: Path) -> InputError:
    """The error that lists what a journal of somebody else would do."""
    filed = [(entry.action, entry.source, destination) for entry, destination in contents.filed()]
    listed = [f"{action} of {destination} back to {source}" for action, source, destination in filed[:MOST_LISTED]]
    more = f" and {len(filed) - MOST_LISTED} more" if len(filed) > MOST_LISTED else ""
    if (lesson := contents.purpose.lesson) is not None:
        more += f"; it would also take references out of {lesson.gallery}"
    return InputError(
        f"{contents.path} was not written by this user, so nothing is undone",
        cause=f"it would take back {len(filed)} actions: {'; '.join(listed)}{more}",
        hint=f"comictool reid undo {root} --trust-journal   (only if you know where the folder is from)",
    )


def _take_back(root: Path, entry: Entry, report: Undone, found: Undoing, *, begun: bool) -> bool:
    """Take one action back; False when something was kept. `begun`: it may be taken back already, or never begun."""
    assert entry.destination is not None
    try:
        destination = below(root, entry.destination)
        staged = below(root, entry.staged) if entry.staged is not None else None
        replaced = below(root, entry.replaced) if entry.replaced is not None else None
        folders = [below(root, folder) for folder in entry.folders]
    except InputError as error:  # a folder may have become a link since
        report.kept[entry.destination] = error.fact
        return False
    if staged is not None and not staged.is_dir():
        staged.unlink(missing_ok=True)
    reason = ""
    if replaced is None or os.path.lexists(replaced):  # else it was not begun, or is taken back: nothing of it is there
        if os.path.lexists(destination):
            reason = _UNDO[entry.action](Path(entry.source), destination, root, entry)
        elif entry.action == "move" and not os.path.lexists(entry.source):
            reason = "it is neither there nor at its original place: it was moved or deleted since"
        elif entry.action != "move" and not begun:
            reason = "it is not there any more: it was moved or deleted since"
        if replaced is not None and os.path.lexists(destination):
            reason = reason or "another file has its place now"
        elif replaced is not None:
            os.rename(replaced, destination)
    if reason:
        report.kept[entry.destination] = reason
    else:
        _count(report, entry, found)
    for folder in reversed(folders):
        _remove_empty(folder)
    return not reason


def _count(report: Undone, entry: Entry, found: Undoing) -> None:
    """Report an action that is taken back whole, by this undo or by one that was killed."""
    assert entry.destination is not None
    if found.there:
        report.restored.append(entry.source if entry.action == "move" else entry.destination)
    if found.replaced:
        report.restored.append(entry.destination)


def _undo_copy(source: Path, destination: Path, root: Path, entry: Entry) -> str:
    if not source.exists():
        return "the original is gone; this is the only copy"
    if destination.is_symlink() or not destination.is_file() or content_digest(destination) != entry.digest:
        return "it was changed since"
    destination.unlink()
    return ""


def _undo_move(source: Path, destination: Path, root: Path, entry: Entry) -> str:
    if not os.path.lexists(source):
        source.parent.mkdir(parents=True, exist_ok=True)
        move_file(destination, source, source.with_name(f".{source.name[:40]}.restoring"))
        return ""
    # Both exist: the move was killed between copying to another disk and removing, or was never begun.
    if destination.is_symlink() or not destination.is_file() or content_digest(destination) != content_digest(source):
        return "another file is at the original place"
    destination.unlink()
    return ""


def _undo_symlink(source: Path, destination: Path, root: Path, entry: Entry) -> str:
    if not destination.is_symlink() or os.readlink(destination) != str(source):
        return "it was changed since"
    destination.unlink()
    return ""


def _undo_hardlink(source: Path, destination: Path, root: Path, entry: Entry) -> str:
    if not source.exists():
        return "the original is gone; this is the only copy"
    if not os.path.samefile(source, destination):
        return "it was changed since"
    destination.unlink()
    return ""


_UNDO = {"copy": _undo_copy, "move": _undo_move, "symlink": _undo_symlink, "hardlink": _undo_hardlink}


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # not empty, or gone already: both are fine, nothing is lost


def _nothing_else(root: Path, journal: Path) -> bool:
    """Whether the folder of journals holds nothing of value besides this one."""
    # A kill may have left the temporary file of a journal that was never begun.
    ours = ("lock.", ".journal-")
    return not [name for name in os.listdir(root / FOLDER) if not name.startswith(ours) and name != journal.name]


def settle(root: Path, stamp: str) -> None:
    """Take back the one action that a kill may have left half done in the newest run, and note that.

    Raises:
        InputError: what it left has been changed since, and the run has this stamp: it cannot be resumed.
    """
    contents = newest_contents(root)
    if contents is None or contents.ended or not contents.chain.sound or not contents.entries:
        return
    last = contents.entries[-1]
    if last.destination is None or last.number in contents.failed:
        return
    begun = last.replaced is None or os.path.lexists(root / last.replaced)
    moved = last.action != "move" or not os.path.lexists(last.source)
    if begun and moved and os.path.lexists(root / last.destination):
        return  # destinations appear whole: it was the line after it that the kill prevented
    report = Undone(contents.path)
    if _take_back(root, last, report, _found(root, last), begun=True):
        journal = Journal.go_on(contents)
        journal.fail(last.number, "half done when the run was stopped, and taken back")
        journal.close()
    elif contents.stamp == stamp:
        raise InputError(
            f"{last.destination} was half done when the run was stopped, and {report.kept[last.destination]}"
        )
