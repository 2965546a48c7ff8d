"""Pages out of a ZIP that was cut off, as by a download that broke: its table of contents stood at the end.

Each member also has a small header of its own in front of it; these are followed from one to the next.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from comictool.archives.container import Access, Container
from comictool.archives.members import Member
from comictool.archives.spool import CHUNK
from comictool.archives.zip_names import StoredName, member_names
from comictool.core.errors import InputError

_HEADER = struct.Struct("<4s5H3I2H")  # signature, version, flags, method, time, date, crc, packed, size, name, extra
_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED, _SIZES_FOLLOW = 0x1, 0x8
_STORED, _DEFLATED = 0, 8
_LARGEST_DESCRIPTOR = 24  # bytes between a member of unknown size and the next header


@dataclass(frozen=True)
class _Place:
    start: int
    packed: int
    method: int
    checksum: int | None
    encrypted: bool


class SalvagedZip(Container):
    """What can be found in a ZIP without its table of contents.

    Raises:
        InputError: nothing can be found.
    """

    kind = "zip"

    def __init__(self, path: Path, access: Access) -> None:
        super().__init__()
        self._limits = access.limits
        self._stream = open(path, "rb")  # noqa: SIM115 - closed by close()
        self._places: list[_Place] = []
        try:
            found = self._headers()
            names = member_names([stored for stored, _ in found])
            self._members = [
                Member(name, size, index, self._places[index].packed)
                for index, (name, (_, size)) in enumerate(zip(names, found, strict=True))
                if name and not name.endswith("/")
            ]
            if not self._members:
                raise InputError("damaged or cut off: its table of contents cannot be read")
        except BaseException:
            self._stream.close()
            raise
        self.problems.append("cut off: its table of contents is missing; the pages before the end are read")

    def entries(self) -> list[Member]:
        return self._members

    def read(self, member: Member) -> bytes:
        place = self._places[member.index]
        if place.encrypted:
            raise InputError("encrypted, in an archive that is cut off")
        if place.method not in (_STORED, _DEFLATED):
            raise InputError("packed in a way that cannot be unpacked without the table of contents")
        if place.packed > self._limits.member_bytes:
            raise InputError(f"{place.packed:,} packed bytes, more than the {self._limits.member_bytes:,} allowed")
        self._stream.seek(place.start)
        data = self._stream.read(place.packed)
        if len(data) < place.packed:
            raise InputError(f"cut off in the archive after {len(data):,} of {place.packed:,} bytes")
        if place.method == _DEFLATED:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self._limits.member_bytes)
            except zlib.error as error:
                raise InputError("damaged in the archive") from error
        if len(data) != member.size or (place.checksum is not None and zlib.crc32(data) != place.checksum):
            raise InputError("damaged in the archive")
        return data

    def close(self) -> None:
        self._stream.close()

    def _headers(self) -> list[tuple[StoredName, int]]:
        """Name and size of each member, in the order of `_places`; headers are followed from one to the next."""
        found: list[tuple[StoredName, int]] = []
        position = 0
        while True:
            self._stream.seek(position)
            head = self._stream.read(_HEADER.size)
            if len(head) < _HEADER.size or not head.startswith(_SIGNATURE):
                return found
            _, _, flags, method, _, _, checksum, packed, size, name_length, extra = _HEADER.unpack(head)
            stored = StoredName(self._stream.read(name_length), flags, self._stream.read(extra))
            start = position + _HEADER.size + name_length + extra
            known: int | None = checksum
            position = start + packed
            if flags & _SIZES_FOLLOW and not packed:
                measured = self._measure(start) if method == _DEFLATED else None
                if measured is None:
                    return found
                packed, size, position = measured
                known = None
            elif packed == 0xFFFFFFFF:
                return found  # sizes of more than 4 GiB: no page
            self._limits.check_entries(len(found) + 1)
            found.append((stored, size))
            self._places.append(_Place(start, packed, method, known, bool(flags & _ENCRYPTED)))

    def _measure(self, start: int) -> tuple[int, int, int] | None:
        """Packed size, size, and place of the next header, of a deflated member that does not say; None if cut off."""
        self._stream.seek(start)
        inflate, size, taken = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
        while not inflate.eof:
            chunk = inflate.unconsumed_tail or self._stream.read(CHUNK)
            if not inflate.unconsumed_tail:
                taken += len(chunk)
            try:
                size += len(inflate.decompress(chunk, CHUNK))
            except zlib.error:
                return None
            if size > self._limits.member_bytes or (not chunk and not inflate.eof):
                return None
        packed = taken - len(inflate.unused_data)
        self._stream.seek(start + packed)
        after = self._stream.read(_LARGEST_DESCRIPTOR + len(_SIGNATURE)).find(_SIGNATURE)
        return packed, size, start + packed + (after if after >= 0 else _LARGEST_DESCRIPTOR)
