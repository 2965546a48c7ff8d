"""Reading a tar archive from front to back with bounded memory, from a file, a decompressor or a program."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, Any

from comictool.archives.limits import MEBIBYTE, Limits
from comictool.archives.spool import CHUNK
from comictool.core.errors import InputError

_LARGEST_READ = 16 * MEBIBYTE  # extended headers are read in one piece: a hostile one must not fill the memory


class ForwardReader:
    """A stream as tarfile wants it (`read`, `tell`, `seek`), that only goes forward.

    Args:
        stream: where bytes come from.
        allowance: bytes that may come from it in all.
        seekable: skip by seeking instead of by reading.
    """

    def __init__(self, stream: IO[bytes] | Any, *, allowance: int, seekable: bool = False) -> None:
        self._stream = stream
        self._allowance = allowance
        self._seekable = seekable
        self._position = 0
        self.last = b""  # what was read last

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes unless the stream ends.

        Raises:
            InputError: an unreasonable amount in one piece, or more in all than allowed.
        """
        if not 0 <= size <= _LARGEST_READ:
            raise InputError("a header inside it declares an impossible size")
        parts = []
        wanted = size
        while wanted and (part := self._stream.read(wanted)):
            parts.append(part)
            wanted -= len(part)
        data = b"".join(parts)
        self.last = data
        self._position += len(data)
        if self._position > self._allowance:
            raise InputError("it unpacks to far more than its own size: this looks like a zip bomb")
        return data

    def tell(self) -> int:
        """Bytes read or skipped so far."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Skip forward to `offset`."""
        if whence != 0 or offset < self._position:
            raise InputError("damaged: its parts overlap")
        if self._seekable:
            self._stream.seek(offset)
            self._position = offset
        while self._position < offset and self.read(min(CHUNK, offset - self._position)):
            pass
        return self._position


def regular_files(
    reader: ForwardReader, limits: Limits, other: list[tarfile.TarInfo] | None = None
) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
    """Each regular file with an iterator over its bytes, to be used before the next one is asked for.

    Args:
        other: links, devices and sparse files are appended to it; they are never followed or read.

    Raises:
        InputError: not a tar archive, damaged, or too many entries.
    """
    try:
        source: Any = reader  # all that tarfile asks of a file: read, seek, tell
        with tarfile.open(fileobj=source, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
            for count, info in enumerate(tar, start=1):
                limits.check_entries(count)
                if info.isreg() and not info.issparse():
                    yield info, _chunks(tar, info)
                elif not info.isdir() and other is not None:
                    other.append(info)
            # tarfile takes a header that is damaged, or missing, for the end: a tar ends with a block of zeros.
            if not reader.last or reader.last.strip(b"\0"):
                raise InputError("damaged or cut off: there is no end mark")
    except (tarfile.TarError, EOFError, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"damaged or cut off: {error}") from error


def _chunks(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    stream = tar.extractfile(info)
    assert stream is not None
    left = info.size
    while left:
        try:
            chunk = stream.read(min(CHUNK, left))
        except tarfile.ReadError:  # tarfile's way to say that the stream ended in the middle
            chunk = b""
        if not chunk:
            raise InputError(f"cut off after {info.size - left:,} of {info.size:,} bytes")
        left -= len(chunk)
        yield chunk
