"""The books of a folder of Manga109-style XML: which files are about one book, and what counts of each.

Manga109 comes with `annotations/` and older sets beside it (`annotations.v2018.05.31/`); what others published on it
lies in folders of its own: onomatopoeia (COO), who says what (Manga109Dialog). Of each kind of element the newest set
that has it counts; an unnamed version is newer than a named one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comictool.archives.comicinfo import parse_xml
from comictool.core.errors import InputError
from comictool.core.files import read_bounded
from comictool.core.names import same_name
from comictool.formats.pictures import free_title
from comictool.formats.values import integer_of
from comictool.formats.view import Problems
from comictool.formats.written import first_bytes, json_files

_SNIFFED = 20
_VERSION = re.compile(r"(?:^|[._ -])v?\.?(\d+(?:[._-]\d+)*)\Z", re.IGNORECASE)
_BOOK = re.compile(rb"<book[\s>].*?<(?:pages|characters|stories|adds)\b", re.DOTALL)
MAIN, SOUNDS, SPEAKERS = "frames, bodies, faces and texts", "onomatopoeia", "speakers"
_PARTS = {"onomatopoeia": SOUNDS, "speaker_to_text": SPEAKERS}


@dataclass
class _File:
    """One XML file of a book."""

    path: Path
    book: Any
    title: str

    @property
    def age(self) -> tuple[Any, ...]:
        """Sorts the newest first."""
        version = _VERSION.search(self.path.parent.name)
        numbers = [-int(n) for n in re.split(r"[._-]", version.group(1))] if version else []
        return bool(version), numbers, str(self.path)

    @property
    def pages(self) -> Any:
        """Its element of pages; made when it has none."""
        found = self.book.find("pages")
        if found is None:
            found = self.book.makeelement("pages", {})
            self.book.append(found)
        return found

    def parts(self) -> dict[str, set[int | None]]:
        """The numbers of the pages on which it has elements of each part."""
        found: dict[str, set[int | None]] = defaultdict(set)
        for page in self.book.iterfind("pages/page"):
            for element in page:
                found[part_of(element)].add(integer_of(page.get("index", page.get("id"))))
        return found


def part_of(element: Any) -> str:
    """The part of the annotation that an element belongs to; sets are merged part by part."""
    tag = str(element.tag)
    return _PARTS.get(tag, SOUNDS if tag.startswith("onomatopoeia_link") else MAIN)


def book_files(source: Path) -> list[Path]:
    """The XML files of books: the file itself, or those in the folder and two levels below."""
    found = []
    for index, path in enumerate(json_files(source, "*.xml")):
        if _BOOK.search(first_bytes(path)):
            found.append(path)
        if index >= _SNIFFED and not found:
            break
    return found


def read_books(files: Sequence[Path], root: Path, problems: Problems, notes: list[str]) -> dict[str, Any]:
    """Books by title, each one element that holds what counts of all its files.

    An older set that is not used is told in `notes`, since somebody keeps it beside the newer one on purpose; but it is
    among the problems when it has something of a page of which the newer has nothing, so that using it would tell more.
    """
    read = []
    for path in files:
        try:
            book = _book(parse_xml(read_bounded(path)))
        except InputError as error:
            problems.add(_name(path, root), error.fact)
            continue
        read.append(_File(path, book, (book.get("title") or "").strip() or path.stem))
    books: dict[str, Any] = {}
    unused: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    losing: set[tuple[str, str, str]] = set()
    for title, group in _groups(read, problems, root).items():
        newest = sorted(group, key=lambda file: file.age)
        # Of several versions of the main set the first; a file of nothing but onomatopoeia adds to it.
        newest.sort(key=lambda file: MAIN not in file.parts())
        first = newest[0]
        owners: dict[str, _File] = {}
        for file in newest:
            for part in file.parts():
                owners.setdefault(part, file)
        for file in newest:
            lost = [part for part in file.parts() if owners[part] is not file]
            for part in lost:
                where = (_name(file.path.parent, root), part, _name(owners[part].path.parent, root))
                unused[where].append(file.path.name)
                if not file.parts()[part] <= owners[part].parts()[part]:
                    losing.add(where)
            if file is not first:
                _add(first, file, {part for part in file.parts() if part not in lost}, title, problems)
            elif lost:
                _drop(first.book, set(lost))
        books[title] = first.book
    for (folder, part, winner), names in unused.items():
        what = f"its {part} are not used, those in {winner} count"
        if (folder, part, winner) in losing:
            listed = ", ".join(names)
            problems.add(folder, f"{what}, though these have some of pages that are bare there: {listed}")
        else:
            notes.append(f"{folder}: {what} ({len(names):,} {'books' if len(names) > 1 else 'book'})")
    return books


def _name(path: Path, root: Path) -> str:
    inside = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return path.resolve().name if inside == "." else inside


def _groups(read: list[_File], problems: Problems, root: Path) -> dict[str, list[_File]]:
    """The files of each book: those of one title in different folders; in one folder each file is a book of its own."""
    books: dict[str, list[_File]] = {}
    keys: dict[str, str] = {}  # what a book may be looked up by, to its title

    def free(title: str | None, file: _File) -> bool:
        return title is not None and all(file.path.parent != other.path.parent for other in books[title])

    for file in sorted(read, key=lambda file: str(file.path)):
        both = f"{same_name(file.title)}/{same_name(file.path.stem)}"
        for key in (both, same_name(file.title)):
            title = keys.get(key)
            if free(title, file):
                books[str(title)].append(file)
                break
        else:
            title = free_title(file.title, file.path.stem, books)
            if same_name(file.title) in keys:
                what = f"another file has the title {file.title[:60]!r} too; this one is called {title[:60]!r}"
                problems.add(_name(file.path, root), what)
            books[title] = [file]
        keys.setdefault(both, str(title))
        keys.setdefault(same_name(file.title), str(title))
    return books


def _add(first: _File, file: _File, parts: set[str], title: str, problems: Problems) -> None:
    """Put the elements of these parts into the pages of the first file."""
    pages = {integer_of(page.get("index", page.get("id"))): page for page in first.book.iterfind("pages/page")}
    people = first.book.find("characters")
    if people is None:
        people = first.book.makeelement("characters", {})
        first.book.append(people)
    known = {person.get("id") for person in people}
    people.extend([p for p in file.book.iterfind("characters/character") if p.get("id") not in known])
    for page in file.book.iterfind("pages/page"):
        number = integer_of(page.get("index", page.get("id")))
        added = [element for element in page if part_of(element) in parts]
        if number not in pages:
            _drop(page, parts, keep=True)
            first.pages.append(page)
            continue
        sizes = [(p.get("width"), p.get("height")) for p in (page, pages[number])]
        if added and None not in sizes[0] and None not in sizes[1] and sizes[0] != sizes[1]:
            theirs, ours = ("x".join(size) for size in sizes)
            problems.add(f"{title}/{number}", f"{file.path.parent.name} is of a page of {theirs}, the rest of {ours}")
        pages[number].extend(added)


def _drop(element: Any, parts: set[str], keep: bool = False) -> None:
    """Remove the elements of these parts from a page or all pages of a book, or all others."""
    for page in [element] if element.tag == "page" else element.iterfind("pages/page"):
        for child in [each for each in page if (part_of(each) in parts) != keep]:
            page.remove(child)


def _book(root: Any) -> Any:
    element = root if root.tag == "book" else root.find("book")
    if element is None:
        raise InputError("it has no <book> element")
    return element
