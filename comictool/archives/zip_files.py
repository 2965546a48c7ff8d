"""ZIP archives (cbz, and the shell of EPUB), read in place with the standard library."""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from copy import copy
from pathlib import Path

from comictool.archives.container import Access, Container, Link
from comictool.archives.members import Member
from comictool.archives.zip_names import UTF8_FLAG, StoredName, member_names
from comictool.core.errors import InputError

_ENCRYPTED = 0x1
_LARGEST_DIRECTORY = 64 * 1024 * 1024  # zipfile parses it whole; 100,000 entries with long names take a third of it
_LOCAL = struct.Struct("<6xH18xH2x")  # of the header before a member: flags, length of the name
_END = b"PK\x05\x06"
_LONGEST_TARGET = 4096  # bytes of a path, as in Linux
_METHODS = {1: "shrink", 6: "implode", 9: "deflate64", 98: "PPMd", 99: "AES encryption"}


class TableMissing(InputError):
    """The table of contents at the end of a ZIP is missing or damaged."""


class ZipContainer(Container):
    """A ZIP archive. Sizes are those of its table of contents, and zipfile never yields more than they say."""

    kind = "zip"
    reads_singly = True

    def __init__(self, path: Path, access: Access) -> None:
        super().__init__()
        self._limits = access.limits
        self._password = access.password.encode("utf-8") if access.password is not None else None
        _check_directory(path)
        self._stream = open(path, "rb")  # noqa: SIM115 - closed by close()
        try:
            self._zip = zipfile.ZipFile(self._stream)
        except (zipfile.BadZipFile, struct.error, ValueError, EOFError) as error:
            self._stream.close()
            raise TableMissing("damaged or cut off: its table of contents cannot be read", cause=str(error)) from error
        self._infos = self._zip.infolist()
        self._limits.check_entries(len(self._infos))

    def entries(self) -> list[Member]:
        out = []
        for index, (info, name) in enumerate(zip(self._infos, member_names(_stored_names(self._infos)), strict=True)):
            if name.endswith("/") or (name.endswith("\\") and not info.file_size):
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                self.links.append(Link(name, self._link_target(index, info)))
                continue
            out.append(Member(name, info.file_size, index, info.compress_size))
        return out

    def _link_target(self, index: int, info: zipfile.ZipInfo) -> str | None:
        if info.file_size > _LONGEST_TARGET:
            return None
        try:
            return self.read(Member("", info.file_size, index)).decode("utf-8", "replace")
        except InputError:
            return None

    def is_encrypted(self, member: Member) -> bool:
        """Whether a member needs a password."""
        return bool(self._infos[member.index].flag_bits & _ENCRYPTED)

    def read(self, member: Member) -> bytes:
        info = self._infos[member.index]
        encrypted = self.is_encrypted(member)
        if encrypted and self._password is None:
            raise InputError("encrypted: it needs a password")
        try:
            with self._zip.open(self._agreed(info), pwd=self._password if encrypted else None) as stream:
                data = stream.read(info.file_size)
                # The checksum is compared when the end is seen.
                if stream.read(1):
                    raise InputError("larger than the archive declares")
        except NotImplementedError as error:
            method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
            raise InputError(f"packed with {method}, which cannot be unpacked here") from error
        except RuntimeError as error:
            raise InputError("wrong password" if encrypted else f"cannot be unpacked: {error}") from error
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, ValueError, OSError) as error:
            hint = " or the password is wrong" if encrypted else ""
            raise InputError(f"damaged in the archive{hint}") from error
        if len(data) != info.file_size:
            raise InputError(f"cut off in the archive after {len(data):,} of {info.file_size:,} bytes")
        return data

    def close(self) -> None:
        self._zip.close()
        self._stream.close()

    def _agreed(self, info: zipfile.ZipInfo) -> zipfile.ZipInfo:
        """An entry of the table under the name that stands in front of its data.

        The table alone counts, as for 7-Zip and Info-ZIP; the standard library refuses a member whose two names differ
        in slashes, encoding or case.
        """
        self._stream.seek(info.header_offset)
        header = self._stream.read(_LOCAL.size)
        if len(header) < _LOCAL.size:
            return info
        flags, length = _LOCAL.unpack(header)
        agreed = copy(info)
        agreed.orig_filename = self._stream.read(length).decode("utf-8" if flags & UTF8_FLAG else "cp437")
        return agreed


def _stored_names(infos: list[zipfile.ZipInfo]) -> list[StoredName]:
    encodings = ("utf-8" if info.flag_bits & UTF8_FLAG else "cp437" for info in infos)
    raw = (info.orig_filename.encode(encoding) for info, encoding in zip(infos, encodings, strict=True))
    return [StoredName(name, info.flag_bits, info.extra) for name, info in zip(raw, infos, strict=True)]


def open_zip(path: Path, access: Access) -> Container:
    """Open a ZIP by its table of contents, or by its members' own headers when that is missing."""
    try:
        return ZipContainer(path, access)
    except TableMissing:
        from comictool.archives.zip_salvage import SalvagedZip

        return SalvagedZip(path, access)


def _check_directory(path: Path) -> None:
    """Refuse a table of contents that would take gigabytes to parse, before zipfile parses it."""
    size = path.stat().st_size
    with open(path, "rb") as stream:
        stream.seek(max(0, size - 65_557))  # 22 bytes of end record and the longest comment
        tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        return
    (declared,) = struct.unpack_from("<I", tail, at + 12)
    if declared == 0xFFFFFFFF:
        _check_large_directory(tail[: at + 22])
    elif min(declared, size) > _LARGEST_DIRECTORY:
        raise InputError(f"its table of contents alone has {declared:,} bytes")


def _check_large_directory(tail: bytes) -> None:
    """The same for ZIP64, whose end record stands before the ordinary one."""
    at = tail.rfind(b"PK\x06\x06")
    if at >= 0 and len(tail) >= at + 48:
        (directory,) = struct.unpack_from("<Q", tail, at + 40)
        if directory > _LARGEST_DIRECTORY:
            raise InputError(f"its table of contents alone has {directory:,} bytes")
