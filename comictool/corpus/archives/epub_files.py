"""EPUB: a ZIP whose package file says in which order its documents are read; the pages are the pictures in them."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlsplit

from comictool.core.errors import InputError
from comictool.corpus.archives.limits import Limits
from comictool.corpus.archives.members import Member, is_page
from comictool.corpus.archives.zip_files import ZipContainer
from comictool.corpus.comicinfo import LONGEST_TEXT, ComicInfo, parse_xml

CONTAINER_FILE = "META-INF/container.xml"
# A page of prose has about 2,000 characters. A comic has far fewer a picture, even one with its lettering as text.
PROSE_PER_PICTURE = 1500


@dataclass
class Book:
    """What the package file and its documents say.

    Attributes:
        pages: the pictures in reading order, each once, at its first place.
        info: title, language, series and direction.
        characters: letters of running text in all documents.
    """

    pages: list[Member] = field(default_factory=list)
    info: ComicInfo = field(default_factory=ComicInfo)
    characters: int = 0

    @property
    def is_prose(self) -> bool:
        """Whether this is a book to read, with pictures at most as decoration."""
        return self.characters > PROSE_PER_PICTURE * max(1, len(self.pages))


def is_epub(members: list[Member]) -> bool:
    """Whether a ZIP with these members is an EPUB."""
    return any(member.name == CONTAINER_FILE for member in members)


def read_book(container: ZipContainer, members: list[Member], limits: Limits) -> Book:
    """Follow container file, package and spine to the pictures.

    Raises:
        InputError: the package file is missing or damaged, or the book is protected.
    """
    files = {member.name: member for member in members}
    if "META-INF/encryption.xml" in files and "META-INF/rights.xml" in files:
        raise InputError("protected against copying (DRM)")
    package_name = _package_name(_document(container, files, CONTAINER_FILE, limits))
    package = parse_xml(_document(container, files, package_name, limits))
    book = Book(info=_info(package))
    seen: set[str] = set()
    for href, media in _spine(package):
        name = _resolve(package_name, href)
        names = [name]
        if name in files and not media.startswith("image/"):
            reader = _PictureFinder()
            reader.feed(_document(container, files, name, limits).decode("utf-8", "replace"))
            book.characters += reader.characters
            names = [_resolve(name, source) for source in reader.sources]
        for picture in names:
            if picture in files and is_page(picture) and picture not in seen:
                seen.add(picture)
                book.pages.append(files[picture])
    return book


def _document(container: ZipContainer, files: dict[str, Member], name: str, limits: Limits) -> bytes:
    member = files.get(name)
    if member is None:
        raise InputError("a damaged EPUB: a file that its table names is missing")
    if member.size > limits.document_bytes:
        raise InputError(f"a damaged EPUB: one of its documents has {member.size:,} bytes")
    return container.read(member)


def _package_name(container_file: bytes) -> str:
    for element in parse_xml(container_file).iter():
        if _bare(element.tag) == "rootfile" and element.get("full-path"):
            return posixpath.normpath(str(element.get("full-path")))
    raise InputError("a damaged EPUB: it names no package file")


def _spine(package: Any) -> list[tuple[str, str]]:
    manifest: dict[str, tuple[str, str]] = {}
    for element in package.iter():
        if _bare(element.tag) == "item":
            manifest[element.get("id", "")] = (element.get("href", ""), element.get("media-type", ""))
    references = [element.get("idref", "") for element in package.iter() if _bare(element.tag) == "itemref"]
    return [manifest[reference] for reference in references if reference in manifest]


def _info(package: Any) -> ComicInfo:
    info = ComicInfo()
    for element in package.iter():
        tag, text = _bare(element.tag), " ".join((element.text or "").split())[:LONGEST_TEXT]
        if tag == "title" and text and not info.title:
            info.title = text
        elif tag == "language" and text and not info.language:
            info.language = text
        elif tag == "spine" and element.get("page-progression-direction") in ("rtl", "ltr"):
            info.direction = element.get("page-progression-direction")
        elif tag == "meta" and element.get("name") == "calibre:series":
            info.series = element.get("content", "")[:LONGEST_TEXT]
        elif tag == "meta" and element.get("name") == "calibre:series_index":
            info.number = element.get("content", "")[:LONGEST_TEXT].removesuffix(".0")
        elif tag == "meta" and element.get("property") == "belongs-to-collection" and text:
            info.series = info.series or text
    return info


def _bare(tag: Any) -> str:
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _resolve(base: str, reference: str) -> str:
    """The member that a reference in `base` means; something that no member is called when it leads outside."""
    try:
        path = unquote(urlsplit(reference).path)
    except ValueError:  # brackets that are no address
        return ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), path)) if path else ""


class _PictureFinder(HTMLParser):
    """Collects sources of pictures in document order and counts the letters of visible text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sources: list[str] = []
        self.characters = 0
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("head", "style", "script"):
            self._silent += 1
        elif tag == "img":
            self._note(values.get("src"))
        elif tag == "image":  # inside svg
            self._note(values.get("xlink:href") or values.get("href"))
        elif tag == "object":
            self._note(values.get("data"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("head", "style", "script"):
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("head", "style", "script") and self._silent:
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.characters += sum(map(len, data.split()))

    def _note(self, source: str | None) -> None:
        if source:
            self.sources.append(source)
