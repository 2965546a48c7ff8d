"""Members of a comic file: which are pages, which are junk, and in which order the pages are read.

Names of members are only ever looked at, sorted and shown. They are never used as paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from comictool.core.names import Key, natural_key

_READABLE = "jpg jpeg jpe jfif png apng webp avif gif bmp dib tif tiff jp2 j2k jpx jpf ico ppm pgm pbm pnm"
# Not readable here, but pages all the same: they get a message of their own instead of vanishing.
_UNREADABLE = "jxl heic heif"
# Sources and drawings that may stand for a page; what no reader here decodes gets a message of its own too.
_DRAWINGS = "svg svgz psd psb xcf kra clip ai eps tga dds exr"
# What lies beside pages and is none. All else may be a page, under no ending or an odd one (`002`, `3.jpg_large`).
_OTHERS = """txt nfo md log diz ini db json yaml yml toml csv tsv xml opf ncx html htm xhtml css js url lnk
webloc sfv md5 sha1 sha256 par2 torrent nzb m3u m3u8 cue ttf otf ttc woff woff2 mp3 mp4 m4a m4v mkv
webm mov avi wav ogg flac exe dll com bat cmd sh py doc docx odt rtf pages xls xlsx sqlite lock
plist crc asc sig"""
_ARCHIVES = "zip cbz rar cbr 7z cb7 tar cbt gz tgz bz2 tbz xz txz pdf epub"
PICTURE_ENDINGS = frozenset(f"{_READABLE} {_UNREADABLE}".split())
ARCHIVE_ENDINGS = frozenset(_ARCHIVES.split())
_TELLING = PICTURE_ENDINGS | ARCHIVE_ENDINGS | frozenset(f"{_DRAWINGS} {_OTHERS}".split())

# What systems and tools leave beside the pages; all compared in lower case.
_JUNK_FOLDERS = {"__macosx", "thumbs", "thumbnails", "@eadir", "#recycle", "$recycle.bin", "system volume information"}
_JUNK_NAMES = {"thumbs.db", "ehthumbs.db", "desktop.ini"}
# A page called like a cover is the first of its folder, or of those whose names begin like its own (`X - cover.jpg`).
_COVER = re.compile(
    r"(?:(?<![^\W\d_])[\W_]*(?:front[\W_]*)?(?:cover|couverture|portada|front)|[\W_]*(?<!裏)(?:表紙|封面|표지))"
    r"(?=[\W_]*(?:front|\d{0,2}[a-d]?)[\W_]*$)"
)
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
    return tail.strip().casefold() if dot and stem else ""


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


def is_drawing(name: str) -> bool:
    """Whether a member claims to be a drawing or a source file of one, which only some readers show."""
    return ending(name) in _DRAWINGS.split() and not is_junk(name)


def is_unnamed(name: str) -> bool:
    """Whether a name says nothing of what a member holds, which its content has to tell."""
    return ending(name) not in _TELLING and not is_junk(name)


def is_wanted(name: str) -> bool:
    """Whether a member may be asked for: of all others it is enough to know that they are there."""
    return is_page(name) or is_comic_info(name) or is_drawing(name) or is_unnamed(name)


def page_key(name: str) -> Key:
    """Sort key of a page: natural order with covers first, see `natural_key`."""
    return natural_key(name, _COVER)


def comic_info_member(members: Iterable[Member]) -> Member | None:
    """The ComicInfo.xml nearest to the root, or None."""
    found = [member for member in members if is_comic_info(member.name)]
    return min(found, key=lambda m: (len(components(m.name)), natural_key(m.name)), default=None)


def printable(name: str, longest: int = 120) -> str:
    """A name as one may show it on a terminal: no control characters, bounded length."""
    text = _UNPRINTABLE.sub("?", name)
    return text if len(text) <= longest else text[: longest - 12] + "..." + text[-9:]
