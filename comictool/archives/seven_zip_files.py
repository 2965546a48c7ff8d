"""7z archives (cb7), unpacked once into numbered files: they are nearly always solid.

bsdtar comes first, as a program of its own: a damaged file can then neither hang the import nor fill its memory.
py7zr (the extra `7z`) does what bsdtar cannot: passwords, and machines that have no bsdtar.
"""

from __future__ import annotations

import importlib.util
import lzma
import zlib
from pathlib import Path, PurePath
from typing import Any

from comictool.archives.container import Access, Container, Link
from comictool.archives.external import extractors, running, tar_conversion
from comictool.archives.members import Member, is_wanted, printable
from comictool.archives.spool import Spool, SpooledContainer
from comictool.archives.tar_files import SpooledTar
from comictool.core.errors import InputError, SetupError

INSTALL = "install py7zr (pip install 'comictool[7z]') or bsdtar (Debian: apt install libarchive-tools)"


def open_seven_zip(path: Path, access: Access) -> Container:
    """Open a 7z archive with whatever is installed.

    Raises:
        InputError: damaged, encrypted, or a wrong password.
        SetupError: nothing that can unpack it is installed.
    """
    found = extractors()
    partial: SpooledTar | None = None
    complaint = ""
    if "bsdtar" in found and access.password is None:
        partial, complaint = _with_bsdtar(found["bsdtar"], path, access)
        if partial is not None and not complaint:
            return partial
        if "encrypt" in complaint.lower():
            raise InputError("encrypted 7z: it needs a password")
    if importlib.util.find_spec("py7zr") is not None:
        try:
            container = SevenZipContainer(path, access)
        except InputError:
            if partial is None:
                raise
        else:
            if partial is not None:
                partial.close()
            return container
    if partial is not None:
        partial.problems.append(f"damaged or cut off ({complaint}); the pages before that point are read")
        return partial
    if complaint:
        raise InputError(f"cannot be unpacked: {complaint}")
    raise SetupError("nothing that unpacks 7z files is installed", cause=INSTALL, hint=INSTALL)


def _with_bsdtar(program: str, path: Path, access: Access) -> tuple[SpooledTar | None, str]:
    """What bsdtar could unpack, and its complaint; None when that is nothing at all."""
    with running(tar_conversion(program, path), seconds=access.limits.extract_seconds) as bsdtar:
        try:
            container = SpooledTar("7z", bsdtar.output, path.stat().st_size, access)
        except InputError as error:
            return None, bsdtar.complaint() or error.fact
        complaint = bsdtar.complaint()
    if container.entries() or not complaint:
        return container, complaint
    container.close()
    return None, complaint


class SevenZipContainer(SpooledContainer):
    """A 7z archive read with py7zr."""

    kind = "7z"

    def __init__(self, path: Path, access: Access) -> None:
        import py7zr
        import py7zr.exceptions

        super().__init__(access.scratch, access.limits.allowance(path.stat().st_size))
        try:
            # An open file, not a path: with a path py7zr would unpack in several threads at once.
            with open(path, "rb") as stream, py7zr.SevenZipFile(stream, password=access.password) as archive:
                self._fill(archive, access)
        except (InputError, MemoryError):
            self._spool.close()
            raise
        except py7zr.exceptions.PasswordRequired as error:
            self._spool.close()
            raise InputError("encrypted 7z: it needs a password") from error
        except (py7zr.exceptions.ArchiveError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError) as error:
            self._spool.close()
            if access.password is not None:
                raise InputError("wrong password, or damaged") from error
            raise InputError(f"damaged or cut off: {printable(str(error))}") from error
        except BaseException:
            self._spool.close()
            raise

    def _fill(self, archive: Any, access: Access) -> None:
        if archive.needs_password() and access.password is None:
            raise InputError("encrypted 7z: it needs a password")
        access.limits.check_entries(len(archive.files))
        targets: list[str] = []
        links: list[tuple[int, str]] = []
        for index, info in enumerate(archive.files):
            name = str(info.filename)
            # py7zr makes paths of the names, and gives up on the whole archive for one that leads outside, has a colon,
            # or comes twice. It unpacks nothing by its name here: each member is called by its number.
            archive.files.files_list[index]["filename"] = str(index)
            if info.is_directory:
                continue
            if info.is_junction or info.is_socket:
                self.links.append(Link(name, None))
                continue
            if info.is_symlink:
                links.append((index, name))
            else:
                self._members.append(Member(name, info.uncompressed, index))
            if (info.is_symlink or is_wanted(name)) and info.uncompressed <= access.limits.member_bytes:
                targets.append(str(index))
        if targets:
            archive.extract(path=self._spool.folder.resolve(), targets=targets, factory=_factory(self._spool))
        for index, name in links:
            target = self._spool.read(index) if index in self._spool else b""
            self.links.append(Link(name, target.decode("utf-8", "replace") or None))


def _factory(spool: Spool) -> Any:
    """Tells py7zr to write each target into the spool under its number; py7zr itself creates no file."""
    from py7zr.io import Py7zIO, WriterFactory

    class SpoolWriter(Py7zIO):
        def __init__(self, index: int) -> None:
            self._index = index
            self._size = 0

        def write(self, s: bytes | bytearray) -> int:
            spool.append(self._index, s)
            self._size += len(s)
            return len(s)

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def flush(self) -> None: ...

        def size(self) -> int:
            return self._size

    class SpoolFactory(WriterFactory):
        def create(self, filename: str) -> Py7zIO:
            return SpoolWriter(int(PurePath(filename).name))

    return SpoolFactory()
