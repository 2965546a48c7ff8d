"""TAR archives (cbt): a plain one is read in place, a compressed one is unpacked once into numbered files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from comictool.archives.container import Access, Container, Link
from comictool.archives.legacy_names import decoded
from comictool.archives.members import Member, is_wanted
from comictool.archives.spool import SpooledContainer
from comictool.archives.tar_stream import ForwardReader, regular_files
from comictool.core.errors import InputError

_DECOMPRESSORS: dict[str, Any] = {"tar.gz": gzip.open, "tar.bz2": bz2.open, "tar.xz": lzma.open}


class TarContainer(Container):
    """A plain tar: only the places of its members are kept."""

    kind = "tar"
    reads_singly = True

    def __init__(self, path: Path, access: Access) -> None:
        super().__init__()
        self._stream = open(path, "rb")  # noqa: SIM115 - closed by close()
        self._members: list[Member] = []
        self._places: list[int] = []
        size = path.stat().st_size
        others: list[tarfile.TarInfo] = []
        try:
            reader = ForwardReader(self._stream, allowance=size + 1, seekable=True)
            for info, _ in regular_files(reader, access.limits, others):
                self._members.append(Member(info.name, info.size, len(self._members), info.size))
                self._places.append(info.offset_data)
        except InputError as error:
            if not self._members:
                self.close()
                raise
            self.problems.append(f"{error.fact}; the pages before that point are read")
        self.links = [_link(info) for info in others]
        self._members = _readable(self._members)

    def entries(self) -> list[Member]:
        return self._members

    def read(self, member: Member) -> bytes:
        self._stream.seek(self._places[member.index])
        data = self._stream.read(member.size)
        if len(data) != member.size:
            raise InputError(f"cut off in the archive after {len(data):,} of {member.size:,} bytes")
        return data

    def close(self) -> None:
        self._stream.close()


class SpooledTar(SpooledContainer):
    """Pages out of a tar stream that can only be read once, kept in a spool.

    Args:
        kind: what to call it.
        stream: the tar.
        file_bytes: size of the packed file, from which the allowance follows.
    """

    def __init__(self, kind: str, stream: IO[bytes] | Any, file_bytes: int, access: Access) -> None:
        allowance = access.limits.allowance(file_bytes)
        super().__init__(access.scratch, allowance)
        self.kind = kind
        try:
            # The tar's own headers come on top: half a kilobyte an entry, twice that with long names.
            reader = ForwardReader(stream, allowance=allowance + 2048 * access.limits.entries)
            self._fill(reader, access)
        except BaseException:
            self._spool.close()
            raise

    def _fill(self, reader: ForwardReader, access: Access) -> None:
        others: list[tarfile.TarInfo] = []
        try:
            for info, chunks in regular_files(reader, access.limits, others):
                index = len(self._members)
                member = Member(info.name, info.size, index)
                # A member too large is listed, so that it is named, but not kept; nor is what is no page.
                if is_wanted(info.name) and info.size <= access.limits.member_bytes:
                    self._spool.put(index, chunks)
                self._members.append(member)
        except (InputError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk, not the archive
            reason = error.fact if isinstance(error, InputError) else f"damaged or cut off: {error}"
            if not self._members:
                raise InputError(reason) from error
            self.problems.append(f"{reason}; the pages before that point are read")
        self.links = [_link(info) for info in others]
        self._members = _readable(self._members)


def open_tar(path: Path, kind: str, access: Access) -> Container:
    """Open a tar of the sniffed kind: `tar`, `tar.gz`, `tar.bz2` or `tar.xz`."""
    if kind == "tar":
        return TarContainer(path, access)
    with _decompressed(path, kind) as stream:
        return SpooledTar("tar", stream, path.stat().st_size, access)


def _link(info: tarfile.TarInfo) -> Link:
    return Link(info.name, info.linkname if info.issym() or info.islnk() else None, hard=info.islnk())


def _readable(members: list[Member]) -> list[Member]:
    """Members with their names as text, when those are older than UTF-8: tarfile keeps such bytes as surrogates."""
    raw = [member.name.encode("utf-8", "surrogateescape") for member in members]
    if all(name == member.name.encode("utf-8", "replace") for name, member in zip(raw, members, strict=True)):
        return members
    return [replace(member, name=name) for member, name in zip(members, decoded(raw), strict=True)]


@contextmanager
def _decompressed(path: Path, kind: str) -> Iterator[IO[bytes]]:
    with _DECOMPRESSORS[kind](path, "rb") as stream:
        yield stream
