"""ZIP archives (cbz, and the shell of EPUB), read in place with the standard library."""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from comictool.core.errors import InputError
from comictool.corpus.archives.container import Access, Container
from comictool.corpus.archives.members import Member, is_page, printable

_ENCRYPTED = 0x1
_LARGEST_DIRECTORY = 64 * 1024 * 1024  # zipfile parses it whole; 100,000 entries with long names take a third of it
_END = b"PK\x05\x06"
_METHODS = {1: "shrink", 6: "implode", 9: "deflate64", 98: "PPMd", 99: "AES encryption"}


class TableMissing(InputError):
    """The table of contents at the end of a ZIP is missing or damaged."""


class ZipContainer(Container):
    """A ZIP archive. Sizes are those of its table of contents, and zipfile never yields more than they say."""

    kind = "zip"

    def __init__(self, path: Path, access: Access) -> None:
        super().__init__()
        self._limits = access.limits
        self._password = access.password.encode("utf-8") if access.password is not None else None
        _check_directory(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, struct.error, ValueError, EOFError) as error:
            raise TableMissing("damaged or cut off: its table of contents cannot be read", cause=str(error)) from error
        self._infos = self._zip.infolist()
        self._limits.check_entries(len(self._infos))

    def entries(self) -> list[Member]:
        out = []
        for index, info in enumerate(self._infos):
            # Member names are text to sort and show; zipfile has cut them at a zero byte already.
            if info.is_dir():
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                if is_page(info.filename):
                    self.problems.append(f"{printable(info.filename)}: a link, not a picture; links are not followed")
                continue
            out.append(Member(info.filename, info.file_size, index, info.compress_size))
        return out

    def is_encrypted(self, member: Member) -> bool:
        """Whether a member needs a password."""
        return bool(self._infos[member.index].flag_bits & _ENCRYPTED)

    def read(self, member: Member) -> bytes:
        info = self._infos[member.index]
        encrypted = self.is_encrypted(member)
        if encrypted and self._password is None:
            raise InputError("encrypted: it needs a password")
        try:
            with self._zip.open(info, pwd=self._password if encrypted else None) as stream:
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


def open_zip(path: Path, access: Access) -> Container:
    """Open a ZIP by its table of contents, or by its members' own headers when that is missing."""
    try:
        return ZipContainer(path, access)
    except TableMissing:
        from comictool.corpus.archives.zip_salvage import SalvagedZip

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
