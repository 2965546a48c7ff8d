"""A folder of pictures as one comic, and a single picture as a comic of one page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from comictool.archives.container import Access, Container
from comictool.archives.members import ARCHIVE_ENDINGS, Member, ending, is_junk, is_unnamed, is_wanted, printable
from comictool.archives.sniffing import kind_of_file
from comictool.core.errors import InputError


class FolderContainer(Container):
    """Pictures in a folder and, unless told otherwise, in the folders below it (its chapters).

    Args:
        nested: also take the folders below.
    """

    kind = "folder"
    reads_singly = True

    def __init__(self, path: Path, access: Access, *, nested: bool = True) -> None:
        super().__init__()
        self._limits = access.limits
        self._root = path
        self._members: list[Member] = []
        unpacked = is_unpacked_book(path)
        dead: list[str] | None = [] if nested else None  # else they belong to the tree, not to its loose pictures
        for name, status in files_below(path, nested=nested, dead=dead):
            # A file that says nothing by its name may be a comic of its own, which is then found by itself.
            if unpacked or (is_wanted(name) and (not is_unnamed(name) or holds_picture(path / name))):
                self._members.append(Member(name, status.st_size, len(self._members)))
                self._limits.check_entries(len(self._members))
        self.problems.extend(f"{printable(name)}: {why_not_followed(path / name)}" for name in dead or ())

    def entries(self) -> list[Member]:
        return self._members

    def read(self, member: Member) -> bytes:
        return read_bounded(self._root / member.name, self._limits.member_bytes)


def is_unpacked_book(folder: Path) -> bool:
    """Whether a folder is an EPUB that is not packed, as some systems keep them."""
    return (folder / "META-INF" / "container.xml").is_file()


class SinglePicture(Container):
    """One picture file."""

    kind = "image"
    reads_singly = True

    def __init__(self, path: Path, access: Access) -> None:
        super().__init__()
        self._path = path
        self._limits = access.limits

    def entries(self) -> list[Member]:
        return [Member(self._path.name, self._path.stat().st_size, 0)]

    def read(self, member: Member) -> bytes:
        return read_bounded(self._path, self._limits.member_bytes)


def files_below(
    root: Path, *, nested: bool = True, dead: list[str] | None = None
) -> Iterator[tuple[str, os.stat_result]]:
    """Name relative to `root` (with `/`) and status of each regular file, junk left out, folders in name order.

    Links to files are followed, as a collector's folder may hold them; links to folders are not, as they may loop.

    Args:
        dead: names of links that are not followed, to folders or to nothing, are appended to it.
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
            elif is_junk(name):
                continue
            elif leads_to_file(entry):
                yield name, entry.stat()
            elif dead is not None and entry.is_symlink() and may_matter(name):
                dead.append(name)


def leads_to_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a file, or a link to one."""
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def may_matter(name: str) -> bool:
    """Whether a link that leads nowhere would have been a page, a comic file or a folder, by its name."""
    return is_wanted(name) or ending(name) in ARCHIVE_ENDINGS


def why_not_followed(link: Path) -> str:
    """What to say of a link that is passed over."""
    if link.is_dir():
        return "a link to a folder; such links are not followed, as they may lead in circles: name the folder itself"
    return "a link to something that is not there"


def holds_picture(path: Path) -> bool:
    """Whether a file is a picture by its first bytes; one that cannot be read is not."""
    try:
        return kind_of_file(path) == "image"
    except OSError:
        return False


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
