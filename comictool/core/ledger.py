"""The ledger of a job: one JSON line for each finished item, appended after its data is on disk.

Whoever reads it sees which items are finished with which inputs and settings. A line that was cut off by a kill
is ignored, so its item is done again; the data that it would have described is replaced whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Literal

from comictool.core.errors import InputError
from comictool.core.files import atomic_file, parse_json, read_bounded


@dataclass
class Entry:
    """One finished or failed item. `stamp` covers its inputs and the settings of the job."""

    key: str
    stamp: str
    status: Literal["done", "failed", "gone"]
    summary: dict[str, Any] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)  # which thing in it ("": itself), and a sentence


def stamp_of(fingerprint: str, settings: Mapping[str, Any]) -> str:
    """A short hash of an item's inputs and of everything that decides its result."""
    text = json.dumps([fingerprint, dict(settings)], sort_keys=True, ensure_ascii=False, default=str)
    return blake2b(text.encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


class Ledger:
    """Entries of one job in one folder, over all its shards; writes only its own shard's file."""

    def __init__(self, folder: Path, name: str, shard: tuple[int, int] = (1, 1)) -> None:
        self.folder = folder
        self._stem = name.replace(" ", "-")
        suffix = "" if shard == (1, 1) else f".{shard[0]}-of-{shard[1]}"
        self.path = folder / f"{self._stem}{suffix}.jsonl"
        self.entries: dict[str, Entry] = {}
        self._stream: BinaryIO | None = None

    def load(self) -> Ledger:
        """Read what this job and its other shards have finished."""
        files = sorted(self.folder.glob(f"{self._stem}.*jsonl"), key=lambda file: (file == self.path, file.name))
        for file in files:  # our own comes last and has the last word
            for entry in read_entries(file):
                self.entries[entry.key] = entry
        return self

    @contextmanager
    def writing(self) -> Iterator[Ledger]:
        """Hold the ledger for appending; a second process that asks is refused.

        Raises:
            InputError: another process holds it, or its folder leads elsewhere.
        """
        refuse_links(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "ab") as lock:
            if not lock_file(lock):
                raise InputError(
                    f"another comictool is already working on {self.folder}",
                    hint="wait for it to end; import, panels and embed can share the work with --shard I/N",
                )
            # Only now, under the lock, is the picture of what is finished stable.
            self.entries.clear()
            self.load()
            self._drop_torn_line()
            with open(self.path, "ab") as stream:
                self._stream = stream
                try:
                    yield self
                finally:
                    self._stream = None
                    stream.flush()
                    os.fsync(stream.fileno())
            self._compact()

    def append(self, entry: Entry) -> None:
        """Add a line; it is with the operating system when this returns."""
        assert self._stream is not None, "append() belongs inside writing()"
        line = json.dumps(asdict(entry), ensure_ascii=False, separators=(",", ":")) + "\n"
        self._stream.write(line.encode("utf-8", "backslashreplace"))  # see write_text
        self._stream.flush()
        self.entries[entry.key] = entry

    def forget(self, key: str) -> None:
        """Note that an item no longer exists, so that it would be done again if it came back."""
        self.append(Entry(key, "", "gone"))

    def _drop_torn_line(self) -> None:
        if self.path.exists():
            data = read_bounded(self.path, what="the ledger")
            if data and not data.endswith(b"\n"):
                with open(self.path, "r+b") as stream:
                    stream.truncate(data.rfind(b"\n") + 1)

    def _compact(self) -> None:
        own = read_entries(self.path)
        latest = {entry.key: entry for entry in own}
        if len(own) > 2 * len(latest) + 16:
            with atomic_file(self.path) as stream:
                for entry in latest.values():
                    if entry.status != "gone":
                        line = json.dumps(asdict(entry), ensure_ascii=False) + "\n"
                        stream.write(line.encode("utf-8", "backslashreplace"))


def refuse_links(folder: Path) -> None:
    """Refuse the folder of a job that is a link, or has links to folders, or for ledgers and locks, down to two levels.

    The folder may have come with somebody's comics; what the job keeps there would be written, and removed, elsewhere.
    """
    found = folder if folder.is_symlink() else None
    for place in (folder, *folder.glob("*/")) if found is None else ():
        with suppress(OSError), os.scandir(place) as entries:
            links = [Path(entry) for entry in entries if entry.is_symlink()]
            found = found or next((at for at in links if at.is_dir() or at.suffix in (".jsonl", ".lock")), None)
    if found is not None:
        raise InputError(
            f"{found} is a link, where only this program keeps its files", hint="remove it, if it is not your own doing"
        )


def read_entries(file: Path) -> list[Entry]:
    """The entries in a file of a ledger. Lines that a kill cut off or a hand damaged are left out: done again.

    Raises:
        InputError: the file cannot be read, or is too large.
    """
    from comictool.core.typed import typed  # not for help and completion, which import this module

    out = []
    # Not splitlines(): a name may hold U+2028, which that takes for the end of a line and JSON does not.
    for line in read_bounded(file, what="the ledger").split(b"\n"):
        if line.strip():
            with suppress(InputError):
                out.append(typed(Entry, parse_json(line.decode("utf-8", "replace"), "")))
    return out


def lock_file(stream: BinaryIO | int, *, wait: bool = False) -> bool:
    """Hold an open file until it is closed; False when another process holds it, unless this one shall `wait`."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        assert not isinstance(stream, int), "descriptors are locked where there is fcntl"
        stream.seek(0)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
