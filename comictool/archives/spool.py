"""A private folder that holds unpacked members under numbers, for archives that can only be read in one go.

Solid RAR and 7z files and compressed tars would cost quadratic time if each page were fetched on its own.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from comictool.archives.container import Container
from comictool.archives.members import Member
from comictool.core.errors import InputError

CHUNK = 1024 * 1024


class Spool:
    """Numbered files in a folder of their own; deleted by `close`.

    Args:
        parent: where the folder is made; the system's temporary folder when None.
        allowance: bytes that may be kept in all.
    """

    def __init__(self, parent: Path | None, allowance: int) -> None:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="unpacked-", dir=parent))
        self._left = allowance
        self._sizes: dict[int, int] = {}

    def __contains__(self, index: int) -> bool:
        return index in self._sizes

    def put(self, index: int, chunks: Iterable[bytes]) -> int:
        """Keep a member; its size in bytes is returned.

        Raises:
            InputError: the allowance is used up.
        """
        self.forget(index)
        self._sizes[index] = 0
        with open(self._path(index), "wb") as stream:
            for chunk in chunks:
                self._take(index, len(chunk))
                stream.write(chunk)
        return self._sizes[index]

    def append(self, index: int, chunk: bytes | bytearray) -> None:
        """Keep a further piece of a member, for writers that deliver in pieces."""
        self._sizes.setdefault(index, 0)
        self._take(index, len(chunk))
        with open(self._path(index), "ab") as stream:
            stream.write(chunk)

    def forget(self, index: int) -> None:
        """Drop a member that turned out wrong."""
        if index in self._sizes:
            self._left += self._sizes.pop(index)
            self._path(index).unlink(missing_ok=True)

    def read(self, index: int) -> bytes:
        """The bytes of a member that was put."""
        return self._path(index).read_bytes()

    def close(self) -> None:
        """Delete the folder and all in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take(self, index: int, size: int) -> None:
        self._sizes[index] += size
        self._left -= size
        if self._left < 0:
            raise InputError("it unpacks to far more than its own size: this looks like a zip bomb")

    def _path(self, index: int) -> Path:
        return self.folder / f"{index}.bin"


class SpooledContainer(Container):
    """A container whose pages were all unpacked into a spool when it was opened.

    Args:
        allowance: bytes that may be unpacked in all.
    """

    def __init__(self, parent: Path | None, allowance: int) -> None:
        super().__init__()
        self._members: list[Member] = []
        self._spool = Spool(parent, allowance)

    def entries(self) -> list[Member]:
        return self._members

    def read(self, member: Member) -> bytes:
        if member.index not in self._spool:
            raise InputError("was not unpacked")
        return self._spool.read(member.index)

    def close(self) -> None:
        self._spool.close()
