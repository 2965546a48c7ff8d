"""Members of a comic file: which are pages, which are junk, and in which order the pages are read.

Names of members are only ever looked at, sorted and shown. They are never used as paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from comictool.corpus.names import natural_key

_READABLE = "jpg jpeg jpe jfif png apng webp avif gif bmp dib tif tiff jp2 j2k jpx jpf ico ppm pgm pbm pnm"
# Not readable here, but pages all the same: they get a message of their own instead of vanishing.
_UNREADABLE = "jxl heic heif"
_ARCHIVES = "zip cbz rar cbr 7z cb7 tar cbt gz tgz bz2 tbz xz txz pdf epub"
PICTURE_ENDINGS = frozenset(f"{_READABLE} {_UNREADABLE}".split())
ARCHIVE_ENDINGS = frozenset(_ARCHIVES.split())

# What systems and tools leave beside the pages; all compared in lower case.
_JUNK_FOLDERS = {"__macosx", "thumbs", "thumbnails", "@eadir", "#recycle", "$recycle.bin", "system volume information"}
_JUNK_NAMES = {"thumbs.db", "ehthumbs.db", "desktop.ini"}
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa1-\U0010ffff]|[\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Member:
    """One file inside a comic.

    Attributes:
        name: as stored, with `/` between folders.
        size: declared unpacked bytes; 0 for a page of a PDF, which has no size of its own.
        index: the container's own number for it.
        packed: bytes it takes up in the archive; None when that cannot be said (solid archives, folders).
    """

    name: str
    size: int
    index: int
    packed: int | None = None


def components(name: str) -> list[str]:
    """The parts of a member name, whichever slash the packer used."""
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def ending(name: str) -> str:
    """The lower-case ending of a name without its dot; empty when there is none."""
    last = (components(name) or [""])[-1]
    stem, dot, tail = last.rpartition(".")
    return tail.casefold() if dot and stem else ""


def is_junk(name: str) -> bool:
    """Whether a name is hidden or belongs to a system or tool, not to the comic."""
    parts = [part.casefold() for part in components(name)]
    if not parts:
        return True
    if any(part.startswith(".") and part != ".." for part in parts):
        return True
    return parts[-1] in _JUNK_NAMES or any(part in _JUNK_FOLDERS for part in parts[:-1])


def is_picture(name: str) -> bool:
    """Whether a name claims to be a picture."""
    return ending(name) in PICTURE_ENDINGS


def is_page(name: str) -> bool:
    """Whether a member is a page of the comic."""
    return is_picture(name) and not is_junk(name)


def is_comic_info(name: str) -> bool:
    """Whether a member holds ComicRack's description of the comic."""
    return not is_junk(name) and components(name)[-1].casefold() == "comicinfo.xml"


def pages_in_order(members: Iterable[Member]) -> list[Member]:
    """The page members in reading order: natural order of their names, whatever order the archive has them in.

    Of several members with one name the last counts, as it does for every unpacking program.
    """
    latest = {member.name: member for member in members if is_page(member.name)}
    return sorted(latest.values(), key=lambda member: natural_key(member.name))


def comic_info_member(members: Iterable[Member]) -> Member | None:
    """The ComicInfo.xml nearest to the root, or None."""
    found = [member for member in members if is_comic_info(member.name)]
    return min(found, key=lambda m: (len(components(m.name)), natural_key(m.name)), default=None)


def printable(name: str, longest: int = 120) -> str:
    """A name as one may show it on a terminal: no control characters, bounded length."""
    text = _UNPRINTABLE.sub("?", name)
    return text if len(text) <= longest else text[: longest - 12] + "..." + text[-9:]
