"""RAR archives (cbr), versions 4 and 5.

rarfile reads the headers; members that are only stored are read in place; compressed ones are unpacked in one go by
`unar` or `bsdtar`, whichever can. What comes out is recognised by size and checksum, never by name: the two programs
disagree about names, and a mix-up between entries cannot go unnoticed.
"""

from __future__ import annotations

import shutil
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import rarfile

from comictool.archives.container import Access, Container, Link
from comictool.archives.external import extractors, neutral_path, running, tar_conversion
from comictool.archives.members import Member, is_wanted, printable
from comictool.archives.spool import CHUNK, Spool
from comictool.archives.tar_stream import ForwardReader, regular_files
from comictool.core.errors import InputError, SetupError

_LONGEST_TARGET = 4096  # bytes of a path, as in Linux
INSTALL = "install unar or bsdtar (Debian: apt install unar, or apt install libarchive-tools)"


class RarContainer(Container):
    """A RAR archive without encryption: its first or only volume is opened, the others lie beside it."""

    kind = "rar"

    def __init__(self, path: Path, access: Access) -> None:
        super().__init__()
        self._path = path
        self._access = access
        self._spool: Spool | None = None
        self._tried = ""
        try:
            self._rar = rarfile.RarFile(path)
            self._infos: list[Any] = self._rar.infolist()
        except rarfile.NeedFirstVolume as error:
            raise InputError("a later part of a split RAR archive, without its first part") from error
        except (rarfile.Error, OSError, ValueError, IndexError, KeyError, TypeError) as error:
            raise InputError("damaged or cut off: its headers cannot be read", cause=printable(str(error))) from error
        if self._rar.needs_password() and not self._infos:
            raise InputError("encrypted RAR, names included; unpack it with its password and import the folder")
        if not self._infos:
            raise InputError("an empty archive, or its headers are damaged")
        access.limits.check_entries(len(self._infos))
        self._volumes = [Path(volume) for volume in self._rar.volumelist()]
        self._file_bytes = sum(volume.stat().st_size for volume in self._volumes)
        if reason := self._rar.strerror():
            self.problems.append(f"{_what_is_wrong(reason)}; the pages before that point are read")

    def entries(self) -> list[Member]:
        out = []
        self.links = []
        for index, info in enumerate(self._infos):
            if info.file_redir:
                kind, _, target = info.file_redir
                hard = kind in (rarfile.RAR5_XREDIR_FILE_COPY, rarfile.RAR5_XREDIR_HARD_LINK)
                self.links.append(Link(info.filename, target, hard))
            elif info.is_file():
                out.append(Member(info.filename, info.file_size, index, info.compress_size if _stored(info) else None))
            elif info.is_symlink():
                self.links.append(Link(info.filename, self._link_target(index, info)))
        return out

    def _link_target(self, index: int, info: Any) -> str | None:
        """Where a symbolic link of RAR 4 leads: its content says so."""
        if info.file_size > _LONGEST_TARGET or not _stored(info):
            return None
        try:
            return self.read(Member("", info.file_size, index)).decode("utf-8", "replace")
        except InputError:
            return None

    def read(self, member: Member) -> bytes:
        info = self._infos[member.index]
        if info.needs_password():
            raise InputError("encrypted RAR; unpack it with its password and import the folder")
        if _stored(info):
            try:
                with self._rar.open(info) as stream:
                    data: bytes = stream.read(info.file_size)
            except (rarfile.Error, OSError, ValueError) as error:
                raise InputError("damaged in the archive") from error
            if not _matches(info, data):
                raise InputError("damaged or cut off in the archive")
            return data
        if self._spool is None:
            self._spool = Spool(self._access.scratch, self._access.limits.allowance(self._file_bytes))
            self._unpack(self._spool)
        if member.index not in self._spool:
            raise InputError(f"damaged in the archive{self._tried}")
        return self._spool.read(member.index)

    def close(self) -> None:
        self._rar.close()
        if self._spool is not None:
            self._spool.close()

    def _unpack(self, spool: Spool) -> None:
        """Unpack all compressed pages with one extractor after the other until none is missing."""
        wanted = {
            index: info
            for index, info in enumerate(self._infos)
            if info.is_file()
            and not _stored(info)
            and not info.needs_password()
            and is_wanted(info.filename)
            and info.file_size <= self._access.limits.member_bytes
        }
        found = extractors()
        known = (("unar", self._with_unar), ("bsdtar", self._with_bsdtar))
        ways = [(name, way) for name, way in known if name in found]
        if not ways:
            raise SetupError("no program to unpack RAR files is installed", cause=INSTALL, hint=INSTALL)
        for name, way in ways:
            missing = {index: info for index, info in wanted.items() if index not in spool}
            if missing:
                with suppress(InputError):  # it took too long or delivered too much: the next one may do better
                    way(found[name], missing, spool)
        # Their own complaints carry times of day and names of temporary files: no use in a report.
        self._tried = f" ({' and '.join(name for name, _ in ways)} tried)"

    def _with_unar(self, program: str, wanted: dict[int, Any], spool: Spool) -> None:
        """unar writes the chosen entries one after the other; they are cut apart by their declared sizes."""
        indexes = sorted(wanted)
        with neutral_path(self._volumes, spool.folder) as path:
            command = [program, "-q", "-nr", "-k", "skip", "-o", "-", "-i", str(path), *map(str, indexes)]
            with running(command, seconds=self._access.limits.extract_seconds) as unar:
                for index in indexes:
                    info = wanted[index]
                    if spool.put(index, _exactly(unar.output, info.file_size)) != info.file_size or not _matches(
                        info, spool.read(index)
                    ):
                        # From here on the cuts would be wrong; what is missing is left to the next extractor.
                        spool.forget(index)
                        return

    def _with_bsdtar(self, program: str, wanted: dict[int, Any], spool: Spool) -> None:
        """bsdtar turns the archive into a tar stream; each of its files goes to the entries that it equals."""
        by_content: dict[tuple[int, int | None], list[int]] = defaultdict(list)
        for index, info in wanted.items():
            by_content[info.file_size, info.CRC].append(index)
        sizes = {size for size, _ in by_content}
        allowance = self._access.limits.allowance(self._file_bytes)
        path = self._path if len(self._volumes) == 1 else _joined(self._volumes, spool.folder / "volumes")
        with running(tar_conversion(program, path), seconds=self._access.limits.extract_seconds) as bsdtar:
            reader = ForwardReader(bsdtar.output, allowance=allowance + 2048 * len(self._infos) + CHUNK)
            # It ends where bsdtar gives up; what came before that is good, or its checksum would differ.
            with suppress(InputError):
                for number, (info, chunks) in enumerate(regular_files(reader, self._access.limits)):
                    if info.size in sizes:
                        key = len(self._infos) + number  # beyond the numbers of entries
                        spool.put(key, chunks)
                        _hand_out(spool, key, by_content)


def _what_is_wrong(reason: str) -> str:
    """rarfile's complaint as a sentence, without the folder of a volume that it names."""
    said, _, volume = reason.partition(" volume: ")
    if volume:
        return f"its part {printable(Path(volume).name)} is missing"
    said, _, volume = reason.partition(" volume sig: ")
    return f"its part {printable(Path(volume).name)} is damaged" if volume else f"damaged or cut off: {printable(said)}"


def _joined(volumes: list[Path], path: Path) -> Path:
    """All volumes in one file, as bsdtar wants them: it is told of one file only."""
    with open(path, "wb") as whole:
        for volume in volumes:
            with open(volume, "rb") as part:
                shutil.copyfileobj(part, whole, CHUNK)
    return path


def _hand_out(spool: Spool, key: int, by_content: dict[tuple[int, int | None], list[int]]) -> None:
    data = spool.read(key)
    indexes = by_content.pop((len(data), zlib.crc32(data)), [])
    if not indexes and (unchecked := by_content.get((len(data), None))):
        # RAR 5 may carry a BLAKE2 hash instead of a checksum: then entries of one size come in archive order.
        indexes = [unchecked.pop(0)]
    spool.forget(key)
    for index in indexes:
        spool.put(index, [data])


def _stored(info: Any) -> bool:
    return bool(info.compress_type == rarfile.RAR_M0)


def _matches(info: Any, data: bytes) -> bool:
    """Whether bytes are those of an entry. RAR 5 may carry a BLAKE2 hash instead; then the size must do."""
    return len(data) == info.file_size and (info.CRC is None or zlib.crc32(data) == info.CRC)


def _exactly(stream: IO[bytes], size: int) -> Iterator[bytes]:
    while size and (chunk := stream.read(min(CHUNK, size))):
        size -= len(chunk)
        yield chunk
