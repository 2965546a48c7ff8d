"""The journal of a sorting run: one line before each file action, so that `undo` restores exactly, even after SIGKILL.

It lies in the result folder, as `.reid/journal-0001.jsonl`: a head, one line a picture with its whole record (written
before the file is touched), lines for actions that failed, and one when the run has ended and its results are told;
then one for each action that `undo` is about to take back, and one for what an undo had to leave. A line that was cut
off by a kill describes an action that was not begun. The lines are signed (`signing`): a journal that somebody else
wrote is resumed by nothing and undone only when trusted.

Journals are read line by line, and the records in them only by whoever asks: those of 100,000 pictures take 150 MB as
text and several times that as objects.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Literal

from comictool.core.errors import InputError
from comictool.core.files import TEMPORARY_SUFFIX, below, is_inside, parse_json, remove_left, write_bytes
from comictool.core.ledger import Ledger
from comictool.core.typed import typed
from comictool.reid.sorting.signing import Chain, user_key
from comictool.reid.types import Lesson

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
        adopted: a person moved it before; it is noted so that `undo` takes that back too.
        of: absolute path of the picture that `source`, which an earlier run filed, was made of; else empty.
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
    adopted: bool = False
    of: str = ""

    @property
    def picture(self) -> str:
        """Absolute path of the picture that was decided on."""
        return self.of or self.source


@dataclass(frozen=True)
class Naming:
    """A group that was given another name (`comictool reid name`)."""

    before: str
    after: str


@dataclass(frozen=True)
class Purpose:
    """What a run is for: its head line beside the stamp.

    Attributes:
        undecided: folders of what it cannot name.
        lesson: what it teaches a gallery (`comictool reid learn`).
        grouping: whether it files groups (`comictool reid cluster`).
        naming: the group that it names.
        plan: of groups: number, name, path and digest of each picture, for a run that is resumed.
        surroundings: of a run that moves files: among what it scales scores (`comictool.reid.surroundings`), likewise.
    """

    undecided: list[str] = field(default_factory=list)
    lesson: Lesson | None = None
    grouping: bool = False
    naming: Naming | None = None
    plan: list[tuple[int, str | None, str, str]] = field(default_factory=list)
    surroundings: str = ""


@dataclass(frozen=True, kw_only=True)
class _Head(Purpose):
    kind: Literal["comictool reid journal"]
    version: Literal[1]
    stamp: str
    made_root: bool


@dataclass(frozen=True, slots=True)
class Undoing:
    """What of an action was there when an undo began to take it back: the file itself, and the one it had replaced."""

    there: bool = True
    replaced: bool = True


@dataclass
class Contents:
    """A journal as read. `failed` has the numbers of the entries whose action failed, with the reason.

    `undoing` has those that an undo has begun to take back and that it has not told of yet, `left` those that an undo
    had to leave as they were (None before any undo came to its end), `end` is the place in the file after its last
    whole line, and `chain`, which says whether this user wrote it, can sign what follows.
    """

    path: Path
    chain: Chain
    stamp: str = ""
    made_root: bool = False
    purpose: Purpose = field(default_factory=Purpose)
    entries: list[Entry] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    undoing: dict[int, Undoing] = field(default_factory=dict)
    left: set[int] | None = None
    finished: bool = False
    end: int = 0

    @property
    def ended(self) -> bool:
        """Whether there is nothing to resume: the run has come to its end, or an undo was begun."""
        return self.finished or bool(self.undoing) or self.left is not None

    @property
    def finished_sources(self) -> set[str]:
        """Absolute paths of the pictures whose action did not fail."""
        return {entry.picture for entry in self.entries if entry.number not in self.failed}

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

    def __init__(self, path: Path, chain: Chain, last: int) -> None:
        self.path = path
        self._stream: BinaryIO = open(path, "ab")  # noqa: SIM115 - closed by `close`
        self._chain = chain
        self._ended = False
        self.last = last

    @classmethod
    def begin(cls, root: Path, stamp: str, *, made_root: bool, purpose: Purpose) -> Journal:
        """Start the next journal of a result folder; `stamp` covers everything that decides what the run does."""
        numbers = [int(match[1]) for file in _journals(root) if (match := _NAME.fullmatch(file.name))]
        path = root / FOLDER / f"journal-{max(numbers, default=0) + 1:04d}.jsonl"
        remove_left(path)
        # Never there without its head, also when the disk is full: every later run reads it.
        told = {name: value for name, value in asdict(purpose).items() if value}
        head = {"kind": KIND, "version": VERSION, "stamp": stamp, "made_root": made_root, **told}
        chain = Chain(user_key())
        write_bytes(path, chain.sign(_as_line(head)))
        return cls(path, chain, 0)

    @classmethod
    def go_on(cls, contents: Contents) -> Journal:
        """Continue a journal whose run was killed; a line that was cut off goes."""
        with open(contents.path, "r+b") as stream:
            stream.truncate(contents.end)
        return cls(contents.path, contents.chain, max((e.number for e in contents.entries), default=0))

    def write(self, entry: Entry) -> None:
        """Note an action before it is begun; it is with the operating system when this returns."""
        # Not asdict(), which copies the whole record: for many targets that took longer than moving the files.
        self._line({field.name: getattr(entry, field.name) for field in fields(Entry)})
        self.last = entry.number

    def fail(self, number: int, reason: str) -> None:
        """Note that an action could not be done; nothing of it remains."""
        self._line({"failed": number, "reason": reason})

    def undo(self, number: int, found: Undoing) -> None:
        """Note that an action is about to be taken back: what is gone then is not missing."""
        self._line({"undoing": number, "there": found.there, "replaced": found.replaced})

    def leave(self, numbers: Iterable[int]) -> None:
        """Note that an undo has come to its end, and what it had to leave."""
        self._line({"left": sorted(numbers)})

    def finish(self) -> None:
        """Note that every picture of the run has its line, and that all of it is told: nothing is resumed any more."""
        os.fsync(self._stream.fileno())
        self._line({"finished": True})  # a power cut may cost this line, and the results are told twice
        self._ended = True

    def close(self) -> None:
        """End writing; a run that has not come to its end is on disk then."""
        if not self._ended:
            os.fsync(self._stream.fileno())
        self._stream.close()

    def _line(self, value: Mapping[str, Any]) -> None:
        self._stream.write(self._chain.sign(_as_line(value)))
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
        hint = f"{step}; then {then}, which resumes"
        raise InputError(f"{where}: {fact}", cause="it stopped there, and nothing is lost", hint=hint) from error


def unfinished(root: Path, stamp: str) -> Contents | None:
    """The newest journal of a folder, when its run did the same as this one and has not ended.

    Raises:
        InputError: there is such a one, which somebody else wrote.
    """
    contents = newest_contents(root)
    if contents is None or contents.stamp != stamp or contents.ended:
        return None
    if not contents.chain.sound:
        raise InputError(
            f"{contents.path} describes an unfinished run, but this user did not write it",
            cause="it came with the folder, or the settings folder is another one now",
            hint="sort into another folder, or look at the journal and delete it",
        )
    return contents


def is_unfinished(root: Path) -> bool:
    """Whether the newest run of a folder was stopped before its end."""
    contents = newest_contents(root)
    return contents is not None and not contents.ended


def all_contents(root: Path) -> Iterator[Contents]:
    """Every journal of a result folder, oldest first, one in memory at a time."""
    return (read_journal(file) for file in _journals(root))


def newest_contents(root: Path) -> Contents | None:
    """The newest journal of a folder."""
    files = _journals(root)
    return read_journal(files[-1]) if files else None


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


def undecided_folders(root: Path) -> set[str]:
    """The folders into which the runs of a result folder put what they could not name."""
    found: set[str] = set()
    for file in _journals(root):
        with suppress(InputError, StopIteration):
            value = parse_json(next(_whole_lines(file))[0], str(file))
            value.pop("mac", None)
            found.update(typed(_Head, value, str(file)).undecided)
    return found


def place_aside(root: Path, contents: Contents) -> Path:
    """Where the journal of an undone run waits while its folder goes: an undo killed then still knows what to tell.

    Beside a result folder that the run made and that goes too, else in it.
    """
    absolute = Path(os.path.abspath(root))
    return (absolute.parent if contents.made_root else absolute) / f"{_aside(absolute)}{contents.path.stem}.undone"


def put_aside(root: Path) -> list[Path]:
    """The journals that wait so: one after a kill, else none."""
    absolute = Path(os.path.abspath(root))
    pattern = f"{glob.escape(_aside(absolute))}journal-*.undone"
    return [file for folder in (absolute.parent, absolute) for file in folder.glob(pattern) if file.is_file()]


def _aside(root: Path) -> str:
    return f".{root.name[:40]}."


def read_journal(path: Path, root: Path | None = None) -> Contents:
    """Read a journal and check every path in it; `root` is the result folder where the journal does not lie in it.

    Raises:
        InputError: not a journal, damaged before its last line, or naming a path outside its result folder.
    """
    contents, root = Contents(path, Chain(user_key())), root or path.parent.parent
    refused = f"{path} is not a journal of `comictool reid classify`, or it is damaged"
    try:
        for line, end in _whole_lines(path):
            contents.chain.check(line)
            value = parse_json(line, str(path))
            value.pop("mac", None)
            if not contents.end:
                head = typed(_Head, value, str(path))
                contents.stamp, contents.made_root, contents.purpose = head.stamp, head.made_root, head
                if head.lesson is not None and "\0" in head.lesson.gallery:
                    raise InputError("a path holds a null byte")
            elif "finished" in value:
                contents.finished = True
            elif "failed" in value:
                contents.failed[int(value["failed"])] = str(value["reason"])
            elif "undoing" in value:
                found = Undoing(value.get("there", True) is True, value.get("replaced", True) is True)
                contents.undoing.setdefault(int(value["undoing"]), found)
            elif "left" in value:
                contents.undoing.clear()
                contents.left = set(map(int, value["left"]))
            else:
                contents.entries.append(_entry(value, path, root))
            contents.end = end
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(refused, cause=getattr(error, "fact", "")) from error
    if not contents.end:
        raise InputError(refused, cause="it has no head")
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


def _entry(value: dict[str, Any], path: Path, root: Path) -> Entry:
    typed(dict, value["record"], str(path))
    entry = typed(Entry, {**value, "record": {}}, str(path))  # records are read again by whoever asks
    for text in (entry.source, entry.destination, entry.staged, entry.replaced, *entry.folders):
        if text is not None and "\0" in text:
            raise InputError("a path holds a null byte")
    for text in (entry.destination, entry.staged, entry.replaced, *entry.folders):
        if text is not None:
            below(root, text, links=True)
    return entry


def _journals(root: Path) -> list[Path]:
    folder = root / FOLDER
    if not folder.is_dir():
        return []
    return sorted(
        (folder / name for name in os.listdir(folder) if _NAME.fullmatch(name)), key=lambda f: (len(f.name), f.name)
    )
