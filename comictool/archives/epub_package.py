"""The package file of an EPUB: what belongs to the book, in which order it is read, and what is said about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from comictool.archives.comicinfo import ComicInfo
from comictool.archives.epub_members import BookFiles
from comictool.archives.markup import name_of, parse_document
from comictool.archives.members import Member
from comictool.core.errors import InputError

# Who did what: MARC relators to our names (https://id.loc.gov/vocabulary/relators.html).
_ROLE = {
    "aut": "writer",
    "aus": "writer",
    "art": "penciller",
    "ill": "penciller",
    "drm": "penciller",
    "clr": "colorist",
    "cov": "cover_artist",
    "edt": "editor",
    "trl": "translator",
    "ltr": "letterer",
}
_FONT_SCRAMBLING = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


class ProtectedBook(InputError):
    """A book whose pages are encrypted for one reader."""


@dataclass(frozen=True)
class Item:
    """An entry of the manifest.

    Attributes:
        path: where the package says that it lies; empty for one on the net.
        member: the file, None when it is not in the archive.
        fallback: id of what stands in for it where it cannot be shown.
    """

    path: str
    member: Member | None
    media: str
    properties: frozenset[str]
    fallback: str


@dataclass
class Package:
    """What the package file says.

    Attributes:
        items: the manifest, by id.
        spine: ids of what is read, in order, with the layout of each: True for fixed pages.
        contents: paths of documents that list the contents, and are no pages.
        covers: paths of pictures that stand for the book on a shelf.
    """

    items: dict[str, Item] = field(default_factory=dict)
    spine: list[tuple[str, bool]] = field(default_factory=list)
    info: ComicInfo = field(default_factory=ComicInfo)
    contents: set[str] = field(default_factory=set)
    covers: set[str] = field(default_factory=set)


def read_package(files: BookFiles, member: Member) -> Package:
    """Read a package file, and tell `files` which types it declares.

    Raises:
        InputError: damaged or too large.
    """
    root = parse_document(files.read(member), files.limits.document_bytes)
    package = Package()
    parts: dict[str, list[Any]] = {"item": [], "itemref": [], "spine": [], "meta": [], "reference": []}
    for element in root.iter():
        parts.get(name_of(element)[1], []).append(element)
    for element in parts["item"]:
        _add_item(package, files, member.name, element)
    fixed = _is_fixed(parts["meta"])
    for element in parts["itemref"]:
        own = element.get("properties", "")
        layout = "rendition:layout-pre-paginated" in own or (fixed and "rendition:layout-reflowable" not in own)
        package.spine.append((element.get("idref", ""), layout))
    for element in parts["reference"]:
        if element.get("type", "").lower() == "toc":
            package.contents.update(found.name for found in [files.find(member.name, element.get("href", ""))] if found)
    for element in parts["meta"]:
        if element.get("name") == "cover" and element.get("content") in package.items:
            package.covers.add(package.items[element.get("content")].path)
    _describe(package.info, root)
    direction = next((element.get("page-progression-direction") for element in parts["spine"]), None)
    package.info.direction = direction if direction in ("rtl", "ltr") else None
    return package


def _add_item(package: Package, files: BookFiles, base: str, element: Any) -> None:
    href, media = element.get("href", ""), element.get("media-type", "").split(";")[0].strip().lower()
    member = files.find(base, href)
    path = member.name if member else next(files.paths(base, href), "")
    if re.match(r"(?i)(https?|ftp|file|data):", href.strip()):
        path = ""
    properties = frozenset(element.get("properties", "").split())
    package.items[element.get("id", "")] = Item(path, member, media, properties, element.get("fallback", ""))
    if member:
        files.media.setdefault(member.name, media)
    if "nav" in properties:
        package.contents.add(path)
    if "cover-image" in properties:
        package.covers.add(path)


def _is_fixed(metas: list[Any]) -> bool:
    said = {
        (meta.get("property") or meta.get("name") or "", (meta.text or meta.get("content") or "").strip())
        for meta in metas
    }
    return bool(said & {("rendition:layout", "pre-paginated"), ("fixed-layout", "true"), ("book-type", "comic")})


def _describe(info: ComicInfo, root: Any) -> None:
    """The facts of the book: Dublin Core, with EPUB 3's refinements and calibre's series."""
    said = [(name_of(element)[1], element) for element in root.iter()]
    refined: dict[tuple[str, str], str] = {}  # id and property to value
    for name, element in said:
        if name == "meta" and element.get("refines"):
            key = (element.get("refines").lstrip("#"), element.get("property", ""))
            refined.setdefault(key, (element.text or "").strip())
    titles = [element for name, element in said if name == "title" and (element.text or "").strip()]
    main = [element for element in titles if refined.get((element.get("id", ""), "title-type"), "main") == "main"]
    for element in [*main, *titles]:
        info.note("title", element.text)
    people: dict[str, list[str]] = {}
    for name, element in said:
        text = (element.text or "").strip()
        if name in ("language", "publisher"):
            info.note(name, text)
        elif name == "description":
            info.note("summary", re.sub(r"<[^<>]*>", "", text))
        elif name in ("creator", "contributor") and text not in ("", "Unknown"):  # which calibre writes for nobody
            roles = [value for key, value in element.items() if key.rpartition("}")[2].rpartition(":")[2] == "role"]
            role = _ROLE.get((roles or [refined.get((element.get("id", ""), "role"), "")])[0].lower())
            if role or name == "creator":
                people.setdefault(role or "writer", []).append(" ".join(text.split()))
        elif name == "date":
            _note_date(info, element, text)
        elif name == "subject" and text:
            people.setdefault("genre", []).append(" ".join(text.split()))
    for fact, names in people.items():
        info.note(fact, ", ".join(dict.fromkeys(names)))
    _note_series(info, said, refined)


def _note_date(info: ComicInfo, element: Any, text: str) -> None:
    event = next((value for key, value in element.items() if key.rpartition("}")[2].endswith("event")), "publication")
    found = re.match(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", text)
    # Year 101 is how calibre writes "not known".
    if event.lower() not in ("publication", "original-publication", "issued") or "year" in info.facts:
        return
    if found and int(found[1]) > 1000:
        for name, value in zip(("year", "month", "day"), found.groups(), strict=True):
            info.note(name, str(int(value)) if value else "")


def _note_series(info: ComicInfo, said: list[tuple[str, Any]], refined: dict[tuple[str, str], str]) -> None:
    named = {element.get("name"): element.get("content", "") for name, element in said if name == "meta"}
    if named.get("calibre:series"):
        info.note("series", named["calibre:series"])
        info.note("number", named.get("calibre:series_index", "").removesuffix(".0"))
        return
    groups = [e for name, e in said if name == "meta" and e.get("property") == "belongs-to-collection"]
    groups.sort(key=lambda e: refined.get((e.get("id", ""), "collection-type"), "series") != "series")
    for element in groups[:1]:
        info.note("series", element.text)
        info.note("number", refined.get((element.get("id", ""), "group-position"), "").removesuffix(".0"))


def read_protection(files: BookFiles) -> None:
    """Note in `files` which members are encrypted, and by what. Fonts that are merely scrambled do not count."""
    member = files.get(files.root + "META-INF/encryption.xml")
    if member is None:
        return
    by = next((name for path, name in _SCHEMES.items() if files.get(files.root + path)), "encryption.xml")
    root = parse_document(files.read(member), files.limits.document_bytes)
    for data in root.iter():
        if name_of(data)[1] != "encrypteddata":
            continue
        inside = [(name_of(element)[1], element) for element in data.iter()]
        methods = [element.get("Algorithm", "") for name, element in inside if name == "encryptionmethod"]
        if methods and all(method in _FONT_SCRAMBLING for method in methods):
            continue
        for name, element in inside:
            if name == "cipherreference":
                found = files.find(files.root, element.get("URI", ""))
                if found:
                    files.sealed[found.name] = by


_SCHEMES = {
    "META-INF/license.lcpl": "Readium LCP",
    "META-INF/sinf.xml": "Apple FairPlay",
    "META-INF/rights.xml": "DRM, as of Adobe or Kobo",
}
