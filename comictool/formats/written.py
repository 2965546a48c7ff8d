"""What a writer gets: comics one after the other, their pages cut down to what the format holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from comictool.archives.members import is_page
from comictool.corpus.records import PageRecord


@dataclass
class WrittenComic:
    """One comic on its way out. `image` of its pages is relative to the destination."""

    name: str
    pages: list[PageRecord]
    facts: dict[str, Any] = field(default_factory=dict)


def suffix_of(record: PageRecord) -> str:
    """The ending of the page's picture with its dot; `.jpg` when it has none."""
    name = record.image.rpartition("/")[2]
    return "." + name.rpartition(".")[2].casefold() if is_page(name) else ".jpg"


class JsonList:
    """Writes a JSON list item by item, so that a list of millions never lies in memory."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._first = True
        stream.write("[")

    def add(self, item: Any) -> None:
        """Write one more item on a line of its own."""
        self._stream.write(("\n" if self._first else ",\n") + json.dumps(item, ensure_ascii=False))
        self._first = False

    def close(self) -> None:
        """Write the closing bracket."""
        self._stream.write("]" if self._first else "\n]")


def json_files(source: Path, pattern: str = "*.json") -> Iterator[Path]:
    """JSON files in a folder and the two levels below it, in order of their names; the file itself if it is one."""
    if source.is_file():
        yield source
        return
    for depth in ("", "*/", "*/*/"):
        found = (f for f in source.glob(depth + pattern) if f.is_file())
        yield from sorted(f for f in found if not any(part[0] == "." for part in f.relative_to(source).parts))


def first_bytes(path: Path, size: int = 64 * 1024) -> bytes:
    """The beginning of a file; empty when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError:
        return b""


def mentions(path: Path, needle: bytes) -> bool:
    """Whether bytes occur anywhere in a file, read piece by piece."""
    tail = b""
    try:
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                if needle in tail + piece:
                    return True
                tail = piece[-len(needle) :]
    except OSError:
        return False
    return False
