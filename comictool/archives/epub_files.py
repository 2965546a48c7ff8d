"""EPUB: a ZIP whose package file says in which order its documents are read; the pages are the pictures in them."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

import cssselect2

from comictool.archives.comicinfo import ComicInfo
from comictool.archives.container import Container
from comictool.archives.epub_members import BookFiles
from comictool.archives.epub_package import Item, Package, ProtectedBook, read_package, read_protection
from comictool.archives.epub_pictures import Look, Looker, Shown
from comictool.archives.epub_styles import Styles
from comictool.archives.limits import Limits
from comictool.archives.markup import name_of, parse_document
from comictool.archives.members import Member, components, ending, is_junk, is_page
from comictool.archives.svg_drawing import draw, is_svg
from comictool.archives.svg_marks import marks_of
from comictool.core.errors import InputError

CONTAINER_FILE = "META-INF/container.xml"
# A page of prose has about 2,000 letters. A comic has far fewer a picture, even one with its lettering as text.
PROSE_PER_PICTURE = 1500
# So many letters beside a picture of its own may be a transcript: twice a full page of prose, and no chapter.
TRANSCRIPT = 4000


@dataclass(frozen=True)
class _Page:
    """A page: a member, or the picture at a place among those that a document shows.

    Attributes:
        missing: why it is not there; empty for all others.
        key: the same for the same picture.
    """

    name: str
    member: Member | None = None
    document: Member | None = None
    place: int = 0
    missing: str = ""
    behind: bool = False
    key: str = ""


@dataclass
class _Leaf:
    """A document of the spine."""

    name: str
    fixed: bool
    pages: list[_Page]
    letters: int = 0
    problems: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    lettered: bool = False


class EpubContainer(Container):
    """The pages of an EPUB, in the order of its spine.

    Attributes:
        info: what the package says of the book.
        letters: of running text, transcripts of pages left out.
        is_prose: whether this is a book to read, with pictures at most as decoration.

    Raises:
        ProtectedBook: its pages are encrypted.
        InputError: the package file is missing or damaged.
    """

    kind = "epub"

    def __init__(self, inner: Container, members: list[Member], limits: Limits) -> None:
        super().__init__()
        self.problems = inner.problems
        self._files = BookFiles(inner, members, _root(members), limits)
        self._looker = Looker(self._files)
        self._reading = 0  # index of the page that is being read, and what is wrong with those that were drawn
        self._notes: dict[int, str] = {}
        self._last: tuple[str, Look] = ("", Look())  # documents may show many pictures, which are read one by one
        read_protection(self._files)
        package = self._package(members)
        self.info: ComicInfo = package.info
        leaves = self._leaves(package)
        common = Counter(page.key for leaf in leaves for page in leaf.pages if page.behind)
        self._pages = [page for leaf in leaves for page in _pages_of(leaf, common)]
        limits.check_entries(len(self._pages))
        self.reads_singly = inner.reads_singly and all(page.member for page in self._pages)
        sealed = [page for page in self._pages if page.member and page.member.name in self._files.sealed]
        if sealed and len(sealed) == len(self._pages):
            raise _protected(self._files, sealed[0].name)
        pictures = {page.key for page in self._pages}
        self.letters = sum(leaf.letters for leaf in leaves if not _is_a_page(leaf))
        self.is_prose = self.letters > PROSE_PER_PICTURE * max(1, len(pictures))
        self._told = [*_of_leaves(leaves, common, self.is_prose), *self._of_files(package, leaves, members)]

    def entries(self) -> list[Member]:
        out = []
        for index, page in enumerate(self._pages):
            size, packed = (page.member.size, page.member.packed) if page.member else (0, None)
            out.append(Member(page.name, size, index, packed))
        return out

    def tell(self) -> None:
        """Put what is wrong with the book among the problems, once it is taken for a comic."""
        self.problems.extend(dict.fromkeys(self._told))

    def read(self, member: Member) -> bytes:
        page = self._pages[member.index]
        self._reading = member.index
        if page.missing:
            raise InputError(page.missing)
        if page.member:
            return self._files.read(page.member)
        assert page.document is not None
        if self._last[0] != page.document.name:
            self._last = (page.document.name, self._looker.look(page.document))
        look = self._last[1]
        shown = look.shown[page.place]
        owner = shown.name  # a drawing in another document that this one shows
        if shown.drawing is not None:
            return self._drawn(shown.drawing, owner, look.sheets)
        return self._plain(_of_data(shown.data), owner, 0)

    def note(self, member: Member) -> str:
        return self._notes.get(member.index, "")

    def close(self) -> None:
        """The archive below is closed by whoever opened it."""

    def _fetch(self, base: str, reference: str) -> bytes | None:
        if reference.lower().startswith("data:"):
            return _of_data(reference)
        member = self._files.find(base, reference)
        return self._files.read(member) if member else None

    def _plain(self, data: bytes, base: str, depth: int) -> bytes:
        """An embedded picture; one that is a drawing is drawn, or is itself a frame round a picture."""
        if not is_svg(data) or depth > 3:
            return data
        root = parse_document(data, self._files.limits.document_bytes)
        marks = marks_of(cssselect2.ElementWrapper.from_xml_root(root), Styles())
        if marks.is_one_picture:
            return self._plain(self._fetch(base, marks.pictures[0]) or b"", base, depth + 1)
        return self._drawn(root, base, [])

    def _drawn(self, root: Any, base: str, sheets: list[str]) -> bytes:
        data, note = draw(root, lambda name: self._fetch(base, name), sheets, self._files.limits.document_bytes)
        self._notes[self._reading] = note
        return data

    def _package(self, members: list[Member]) -> Package:
        """The package of the first rendition that can be read; the others show the same pages in another way."""
        failed: list[str] = []
        for member in self._package_files(members, failed):
            try:
                package = read_package(self._files, member)
            except InputError as error:
                if member.name in self._files.sealed:
                    raise _protected(self._files, member.name) from error
                failed.append(f"{member.name}: {error.fact}")
                continue
            if package.spine:
                self.problems.extend(failed)
                return package
            failed.append(f"{member.name}: it names no page")
        raise InputError(f"a damaged EPUB ({failed[0] if failed else 'it names no package file'})")

    def _package_files(self, members: list[Member], failed: list[str]) -> list[Member]:
        found = []
        table = self._files.get(self._files.root + CONTAINER_FILE)
        if table:
            try:
                for element in parse_document(self._files.read(table), self._files.limits.document_bytes).iter():
                    path = element.get("full-path", "")
                    if name_of(element)[1] != "rootfile" or "package" not in element.get("media-type", "package"):
                        continue
                    member = self._files.find(self._files.root, path)
                    if member:
                        found.append(member)
                    else:
                        failed.append(f"{CONTAINER_FILE} names {path}, which is not in the archive")
            except InputError as error:
                failed.append(f"{CONTAINER_FILE}: {error.fact}")
        others = [m for m in members if ending(m.name) == "opf" and not is_junk(m.name) and m not in found]
        return found or sorted(others, key=lambda m: (len(components(m.name)), m.name))

    def _leaves(self, package: Package) -> list[_Leaf]:
        done: dict[str, _Leaf] = {}
        leaves = []
        for number, (key, fixed) in enumerate(package.spine, start=1):
            item = self._shown_item(package, key)
            if item is None:
                why = f"the spine names it (place {number}), but the manifest does not"
                leaves.append(_Leaf(key[:200], fixed, [_Page(key[:200] or "?", missing=why)]))
            elif item.member is None:
                why = "is not in the archive" if item.path else "lies outside of the book"
                page = _Page(item.path or key[:200], missing=f"named in the spine, but it {why}")
                leaves.append(_Leaf(item.path, fixed, [page]))
            elif item.member.name in self._files.sealed:
                raise _protected(self._files, item.member.name)
            elif "nav" not in item.properties:
                if item.member.name not in done:
                    done[item.member.name] = self._leaf(item.member, fixed)
                leaf = done[item.member.name]
                if leaf.pages or item.member.name not in package.contents:
                    leaves.append(leaf)
        return leaves

    def _shown_item(self, package: Package, key: str) -> Item | None:
        """The item of the spine, or the one that stands in for it where its own kind cannot be shown."""
        item = first = package.items.get(key)
        for _ in range(10):
            if item is None or (item.member and self._files.kind(item.member) != "other"):
                return item
            if not item.fallback:
                break
            item = package.items.get(item.fallback)
        return first

    def _leaf(self, member: Member, fixed: bool) -> _Leaf:
        kind = self._files.kind(member)
        if kind == "picture":
            return _Leaf(member.name, fixed, [_Page(member.name, member, key=member.name)])
        try:
            if kind == "other":
                raise InputError("a kind of document that cannot be shown here")
            look = self._looker.look(member)
        except InputError as error:
            return _Leaf(member.name, fixed, [_Page(member.name, missing=error.fact)])
        pages = [_page(shown, member, place) for place, shown in enumerate(look.shown)]
        return _Leaf(member.name, fixed, pages, look.letters, look.problems, look.hidden, look.inside, look.lettered)

    def _of_files(self, package: Package, leaves: list[_Leaf], members: list[Member]) -> list[str]:
        """What the package names and is not there, and pictures that no page shows."""
        told = {page.name for leaf in leaves for page in leaf.pages}
        lines = [
            f"{item.path}: named in the package, but it is not in the archive"
            for item in package.items.values()
            if item.path and item.member is None and item.path not in told
        ]
        used = told | package.covers | {name for leaf in leaves for name in (*leaf.hidden, *leaf.inside)}
        spare = [member.name for member in members if is_page(member.name) and member.name not in used]
        if spare and not self.is_prose:
            decoration = self._decoration(package, {leaf.name for leaf in leaves})
            spare = [name for name in spare if name not in decoration]
        if spare and not self.is_prose:
            named = ", ".join(spare[:3]) + (", ..." if len(spare) > 3 else "")
            lines.append(f"{len(spare)} picture(s) that no page of the spine shows: {named}")
        return lines

    def _decoration(self, package: Package, read: set[str]) -> set[str]:
        """Pictures that style sheets name, and those of documents that are no pages, such as the contents."""
        found: set[str] = set()
        for item in package.items.values():
            member = item.member
            try:
                if member and item.media == "text/css":
                    names = _ADDRESS.findall(self._files.text(member))
                    found.update(m.name for m in (self._files.find(member.name, name) for name in names) if m)
                elif member and member.name not in read and self._files.kind(member) == "document":
                    look = self._looker.look(member)
                    found.update(look.hidden, look.inside, (shown.name for shown in look.shown))
            except InputError:
                continue
        return found


_ADDRESS = re.compile(r"""url\(\s*["']?([^"')]+)""")


def is_epub(members: list[Member]) -> bool:
    """Whether a ZIP with these members is an EPUB; one that has lost its container file still has a package file."""
    names = {"/".join(components(member.name)[-2:]).casefold() for member in members if not is_junk(member.name)}
    return CONTAINER_FILE.casefold() in names or any(
        ending(member.name) == "opf" and not is_junk(member.name) for member in members
    )


def _root(members: list[Member]) -> str:
    """The folder in which the book lies: that of the container file nearest to the top."""
    paths = [components(member.name) for member in members if not is_junk(member.name)]
    found = [path[:-2] for path in paths if "/".join(path[-2:]).casefold() == CONTAINER_FILE.casefold()]
    return "".join(f"{part}/" for part in min(found, key=lambda path: (len(path), path), default=[]))


def _page(shown: Shown, document: Member, place: int) -> _Page:
    if shown.member or shown.missing:
        return _Page(shown.name, shown.member, missing=shown.missing, behind=shown.behind, key=shown.name)
    key = str(zlib.crc32(shown.data.encode())) if shown.data else f"{document.name} {place}"
    return _Page(shown.name, None, document, place, behind=shown.behind, key=key)


def _pages_of(leaf: _Leaf, common: Counter[str]) -> list[_Page]:
    """The pages of a document: the pictures in it, or the one that lies behind all of it."""
    front = [page for page in leaf.pages if not page.behind]
    # What lies behind several pages of letters is paper.
    behind = [page for page in leaf.pages if not leaf.letters or common[page.key] == 1]
    return front or behind


def _is_a_page(leaf: _Leaf) -> bool:
    """Whether a document is a page of a comic, whatever letters stand beside its picture."""
    return bool(leaf.pages) and (leaf.fixed or leaf.letters <= TRANSCRIPT)


def _of_leaves(leaves: list[_Leaf], common: Counter[str], is_prose: bool) -> list[str]:
    lines = []
    for leaf in leaves:
        lines += [f"{leaf.name}: {line}" for line in leaf.problems]
        pages = _pages_of(leaf, common)
        left = [page for page in leaf.pages if page.behind and common[page.key] == 1]
        if left and not pages[0].behind:
            lines.append(f"{leaf.name}: {left[0].name} lies behind its pictures, and is not taken")
        if not pages and leaf.hidden:
            lines.append(f"{leaf.name}: no page, for its style sheets hide {leaf.hidden[0]}")
        elif not pages and leaf.letters and not is_prose:
            lines.append(f"{leaf.name}: a page of letters only ({leaf.letters:,}), which is not drawn")
        elif pages and leaf.lettered and not is_prose:
            lines.append(f"{leaf.name}: letters that are placed on its picture are not drawn")
    return lines


def _of_data(address: str) -> bytes:
    """The bytes of a `data:` address (RFC 2397)."""
    head, comma, body = address.partition(",")
    if not comma:
        raise InputError("an embedded picture that is cut off")
    data = unquote_to_bytes(body)
    if not head.rstrip().lower().endswith(";base64"):
        return data
    data = b"".join(data.split())
    try:
        return base64.b64decode(data + b"=" * (-len(data) % 4))
    except (binascii.Error, ValueError) as error:
        raise InputError("an embedded picture that is damaged") from error


def _protected(files: BookFiles, name: str) -> ProtectedBook:
    return ProtectedBook(f"protected against copying ({files.sealed[name]}): its pages are encrypted for one reader")
