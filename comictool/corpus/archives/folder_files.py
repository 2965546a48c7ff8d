"""A folder of pictures as one comic, and a single picture as a comic of one page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from comictool.core.errors import InputError
from comictool.corpus.archives.container import Access, Container
from comictool.corpus.archives.members import Member, is_comic_info, is_junk, is_page


class FolderContainer(Container):
    """Pictures in a folder and, unless told otherwise, in the folders below it (its chapters).

    Args:
        nested: also take the folders below.
    """

    kind = "folder"

    def __init__(self, path: Path, access: Access, *, nested: bool = True) -> None:
        super().__init__()
        self._limits = access.limits
        self._root = path
        self._members: list[Member] = []
        for name, status in files_below(path, nested=nested):
            if is_page(name) or is_comic_info(name):
                self._members.append(Member(name, status.st_size, len(self._members)))
                self._limits.check_entries(len(self._members))

    def entries(self) -> list[Member]:
        return self._members

    def read(self, member: Member) -> bytes:
        return read_bounded(self._root / member.name, self._limits.member_bytes)


class SinglePicture(Container):
    """One picture file."""

    kind = "image"

    def __init__(self, path: Path, access: Access) -> None:
        super().__init__()
        self._path = path
        self._limits = access.limits

    def entries(self) -> list[Member]:
        return [Member(self._path.name, self._path.stat().st_size, 0)]

    def read(self, member: Member) -> bytes:
        return read_bounded(self._path, self._limits.member_bytes)


def files_below(root: Path, *, nested: bool = True) -> Iterator[tuple[str, os.stat_result]]:
    """Name relative to `root` (with `/`) and status of each regular file, junk left out, folders in name order.

    Links to files are followed, as a collector's folder may hold them; links to folders are not, as they may loop.
    """
    folders = [""]
    while folders:
        prefix = folders.pop(0)
        with os.scandir(root / prefix) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if nested and not is_junk(name + "/x"):
                    folders.append(name + "/")
            elif entry.is_file() and not is_junk(name):
                yield name, entry.stat()


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: more than `most` bytes, or unreadable.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    if len(data) > most:
        raise InputError(f"more than the {most:,} bytes allowed for one picture")
    return data
