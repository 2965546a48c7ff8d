"""The journal of a sorting run: one line before each file action, so that `undo` restores exactly, even after SIGKILL.

It lies in the result folder, as `.reid/journal-0001.jsonl`: a head, one line a picture with its whole record (written
before the file is touched), lines for actions that failed, and a last line when the run has ended. A line that was cut
off by a kill describes an action that was not begun.

Journals are read line by line, and the records in them only by whoever asks: those of 100,000 pictures take 150 MB as
text and several times that as objects.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from comictool.core.errors import InputError
from comictool.core.files import TEMPORARY_SUFFIX, is_inside, write_bytes
from comictool.core.ledger import Ledger

FOLDER = ".reid"  # `safe_component` strips leading dots, so no character can be called this
REPLACED = f"{FOLDER}/replaced"  # where files wait that were overwritten
KIND = "comictool reid journal"
VERSION = 1
_NAME = re.compile(r"journal-(\d{4,9})\.jsonl")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is done with one picture. Paths below the result folder are relative to it, with forward slashes.

    Attributes:
        number: counts within the journal.
        action: none, copy, move, symlink or hardlink.
        source: absolute path of the picture.
        destination: where it goes; None when it stays.
        staged: temporary file beside the destination; it goes when the action is finished or undone.
        replaced: where the file went that was at the destination before; None when there was none.
        folders: folders made for it, outermost first.
        digest: content hash of the picture.
        record: the decision, as it is written on standard output; empty as read, see `records`.
    """

    number: int
    action: str
    source: str
    destination: str | None
    staged: str | None = None
    replaced: str | None = None
    folders: tuple[str, ...] = ()
    digest: str = ""
    record: dict[str, Any] = field(default_factory=dict)


@dataclass
class Contents:
    """A journal as read. `failed` has the numbers of the entries whose action failed, with the reason.

    `end` is the place in the file after its last whole line.
    """

    path: Path
    stamp: str
    made_root: bool
    entries: list[Entry]
    failed: dict[int, str]
    finished: bool
    end: int

    def filed(self) -> Iterator[tuple[Entry, str]]:
        """The entries that put a file somewhere, with its destination."""
        for entry in self.entries:
            if entry.destination is not None and entry.action != "none" and entry.number not in self.failed:
                yield entry, entry.destination

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The number and the record of each entry, in order, read from the file once more.

        Raises:
            InputError: it cannot be read.
        """
        for line, end in _whole_lines(self.path):
            if end > self.end:
                return
            value = json.loads(line)
            if "number" in value:
                yield value["number"], value["record"]


class Journal:
    """A journal that is being written. Use `begin` or `go_on` inside `holding`."""

    def __init__(self, path: Path, stream: BinaryIO, last: int) -> None:
        self.path = path
        self._stream = stream
        self.last = last

    @classmethod
    def begin(cls, root: Path, stamp: str, *, made_root: bool) -> Journal:
        """Start the next journal of a result folder. `stamp` covers everything that decides what the run does."""
        numbers = [int(match[1]) for file in _journals(root) if (match := _NAME.fullmatch(file.name))]
        path = root / FOLDER / f"journal-{max(numbers, default=0) + 1:04d}.jsonl"
        # Never there without its head, also when the disk is full: every later run reads it.
        write_bytes(path, _as_line({"kind": KIND, "version": VERSION, "stamp": stamp, "made_root": made_root}))
        return cls(path, open(path, "ab"), 0)

    @classmethod
    def go_on(cls, contents: Contents) -> Journal:
        """Continue a journal whose run was killed; a line that was cut off goes."""
        with open(contents.path, "r+b") as stream:
            stream.truncate(contents.end)
        return cls(contents.path, open(contents.path, "ab"), max((e.number for e in contents.entries), default=0))

    def write(self, entry: Entry) -> None:
        """Note an action before it is begun; it is with the operating system when this returns."""
        # Not asdict(), which copies the whole record: for many targets that took longer than moving the files.
        self._line({field.name: getattr(entry, field.name) for field in fields(Entry)})
        self.last = entry.number

    def fail(self, number: int, reason: str) -> None:
        """Note that an action could not be done; nothing of it remains."""
        self._line({"failed": number, "reason": reason})

    def close(self, *, finished: bool) -> None:
        """End writing; `finished` when every picture of the run has its line."""
        if finished:
            self._line({"finished": True})
        os.fsync(self._stream.fileno())
        self._stream.close()

    def _line(self, value: Mapping[str, Any]) -> None:
        self._stream.write(_as_line(value))
        self._stream.flush()


def _as_line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=str).encode("ascii") + b"\n"


@contextmanager
def holding(root: Path) -> Iterator[None]:
    """Keep other processes from sorting into or undoing in the same folder.

    Raises:
        InputError: another one is at it.
    """
    with Ledger(root / FOLDER, "lock").writing():
        yield


_DISK = {
    errno.ENOSPC: ("no space left on the device", "make room"),
    errno.EDQUOT: ("the disk quota is used up", "make room"),
    errno.EROFS: ("the file system is read-only", "make it writable"),
    errno.EACCES: ("permission denied", "change its permissions"),
    errno.EPERM: ("operation not permitted", "change its permissions"),
}


@contextmanager
def disk_errors_told(root: Path, then: str) -> Iterator[None]:
    """Within the block a disk that cannot be written is an error that names the result folder, or the place in it.

    The system names the file that was read, a temporary one, or none, when a copy does not fit. `then` is what goes on.

    Raises:
        InputError: the disk is full or may not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        fact, step = _DISK[error.errno]
        named = [Path(str(name)) for name in (error.filename2, error.filename) if name]
        where = next((place for place in named if is_inside(place, root)), root)
        where = where.parent if where.suffix == TEMPORARY_SUFFIX else where
        hint = f"{step}; then {then}, which goes on"
        raise InputError(f"{where}: {fact}", cause="it stopped there, and nothing is lost", hint=hint) from error


def unfinished(root: Path, stamp: str) -> Contents | None:
    """The newest journal of a folder, when its run did the same as this one and has not ended."""
    files = _journals(root)
    if not files:
        return None
    contents = read_journal(files[-1])
    return contents if contents.stamp == stamp and not contents.finished else None


def all_contents(root: Path) -> Iterator[Contents]:
    """Every journal of a result folder, oldest first, one in memory at a time."""
    return (read_journal(file) for file in _journals(root))


def newest(place: Path) -> Path:
    """The journal that a user means: the file itself, or the newest of a result folder.

    Raises:
        InputError: there is none.
    """
    if place.is_file():
        return place
    files = _journals(place)
    if not files:
        raise InputError(f"there is no journal in {place}", cause="nothing was sorted there, or all of it was undone")
    return files[-1]


def read_journal(path: Path) -> Contents:
    """Read a journal and check every path in it.

    Raises:
        InputError: not a journal, damaged before its last line, or naming a path outside its result folder.
    """
    contents: Contents | None = None
    try:
        for line, end in _whole_lines(path):
            value = json.loads(line)
            if contents is None:
                if value["kind"] != KIND or value["version"] != VERSION:
                    raise InputError(f"{path} is not a journal of `comictool reid classify`")
                contents = Contents(path, str(value["stamp"]), value["made_root"] is True, [], {}, False, end)
            elif "finished" in value:
                contents.finished = True
            elif "failed" in value:
                contents.failed[int(value["failed"])] = str(value["reason"])
            else:
                contents.entries.append(_entry(value))
            contents.end = end
        if contents is None:
            raise ValueError("no head")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is not a journal of `comictool reid classify`, or it is damaged") from error
    for entry in contents.entries:
        _check(path, entry)
    return contents


def _whole_lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """Lines with their place of end in the file; one that a kill cut off is left out.

    Raises:
        InputError: the file cannot be read.
    """
    end = 0
    try:
        with open(path, "rb") as stream:
            for line in stream:  # of bytes, so it ends at line feeds only
                end += len(line)
                if line.endswith(b"\n"):
                    yield line, end
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _entry(value: dict[str, Any]) -> Entry:
    if not isinstance(value["record"], dict):
        raise ValueError("wrong types")
    entry = Entry(**{**value, "folders": tuple(value["folders"]), "record": {}})
    texts = [entry.action, entry.source, entry.digest, *entry.folders]
    texts += [text for text in (entry.destination, entry.staged, entry.replaced) if text is not None]
    if not all(isinstance(text, str) and "\0" not in text for text in texts) or not isinstance(entry.number, int):
        raise ValueError("wrong types")
    return entry


def _check(path: Path, entry: Entry) -> None:
    inner = [text for text in (entry.destination, entry.staged, entry.replaced, *entry.folders) if text is not None]
    if any(PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts for text in inner):
        raise InputError(f"{path} names a path outside the result folder; it was not written by this program")


def _journals(root: Path) -> list[Path]:
    folder = root / FOLDER
    if not folder.is_dir():
        return []
    return sorted(
        (folder / name for name in os.listdir(folder) if _NAME.fullmatch(name)), key=lambda f: (len(f.name), f.name)
    )
