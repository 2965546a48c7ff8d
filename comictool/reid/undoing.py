"""Taking a sorting run back: every file where it was, every folder that was made gone again.

Each step can be repeated, so an undo that is killed goes on when it is started again. What a user has changed since
is never removed: such a file stays, with the reason told.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from comictool.core.errors import InputError
from comictool.core.files import is_inside
from comictool.reid.journal import FOLDER, REPLACED, Contents, Entry, disk_errors_told, holding, newest, read_journal
from comictool.reid.moving import content_digest, move_file


@dataclass
class Undone:
    """What an undo did: paths restored or removed, and those left as they are with the reason."""

    journal: Path
    restored: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def undo(place: Path) -> Undone:
    """Take back the run of a journal, or the newest run of a result folder.

    The journal goes when all of it is undone; else it stays, and undo can be called again.

    Raises:
        InputError: no journal, a damaged one, a newer run that has to be undone first, another process is sorting, or
            a disk that is full or may not be written.
    """
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
    with disk_errors_told(root, f"comictool reid undo {place}"), holding(root):
        contents = read_journal(path)
        report = Undone(path)
        for entry in reversed(contents.entries):
            _take_back(root, entry, report)
        if not report.kept:
            path.unlink()
            _remove_empty(root / REPLACED)
    if not report.kept:
        _clean(root, contents)
    return report


def _take_back(root: Path, entry: Entry, report: Undone) -> None:
    if entry.destination is None or entry.action == "none":
        return
    destination = root / entry.destination
    # A folder may have become a link since; undoing must not reach out of the result folder either.
    if not is_inside(destination.parent, root):
        report.kept[entry.destination] = "its folder leads out of the result folder now"
        return
    if entry.staged is not None:
        (root / entry.staged).unlink(missing_ok=True)
    if entry.replaced is not None and not os.path.lexists(root / entry.replaced):
        return  # killed before it was begun, or taken back already: what is there is what was there
    reason = ""
    if os.path.lexists(destination):
        reason = _UNDO[entry.action](Path(entry.source), destination, root, entry)
        if not reason:
            report.restored.append(entry.source if entry.action == "move" else entry.destination)
    if entry.replaced is not None:
        if os.path.lexists(destination):
            reason = reason or "another file has its place now"
        else:
            os.rename(root / entry.replaced, destination)
            report.restored.append(entry.destination)
    if reason:
        report.kept[entry.destination] = reason
    for folder in reversed(entry.folders):
        _remove_empty(root / folder)


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


def _clean(root: Path, contents: Contents) -> None:
    # A kill may have left the temporary file of a journal that was never begun.
    ours = ("lock.", ".journal-")
    left = [name for name in os.listdir(root / FOLDER) if not name.startswith(ours)]
    if not left:
        shutil.rmtree(root / FOLDER)
        if contents.made_root:
            _remove_empty(root)


def settle(root: Path, contents: Contents) -> int | None:
    """Take back the one action that a kill may have left half done; gives its number, None when there was none.

    Raises:
        InputError: what it left has been changed since.
    """
    last = contents.entries[-1] if contents.entries else None
    if last is None or last.destination is None or last.number in contents.failed:
        return None
    begun = last.replaced is None or os.path.lexists(root / last.replaced)
    moved = last.action != "move" or not os.path.lexists(last.source)
    if begun and moved and os.path.lexists(root / last.destination):
        return None  # destinations appear whole: it was the line after it that the kill prevented
    report = Undone(contents.path)
    _take_back(root, last, report)
    if report.kept:
        reason = next(iter(report.kept.values()))
        raise InputError(f"{last.destination} was half done when the run was stopped, and {reason}")
    return last.number
