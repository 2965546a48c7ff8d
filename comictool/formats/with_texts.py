"""A view of comics together with what a model told of their pages: a JSON file a page, or lists of pages.

Which page a told one is, its `canonical_id`, its `source_image_path` or the path of its file says. It counts when the
name of the picture and the folder above it agree (or `folder_picture` in one name); the name alone only where there is
a single comic, since the third page of every book is called `003`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comictool.archives.members import PICTURE_ENDINGS, ending
from comictool.core.errors import InputError
from comictool.core.jobs import Problem
from comictool.core.names import same_name
from comictool.corpus.page_pictures import PagePicture
from comictool.corpus.records import PageRecord
from comictool.corpus.told_texts import take_over
from comictool.corpus.views import ComicPages, CorpusView
from comictool.formats.pictures import components
from comictool.formats.values import list_of, object_of, read_json, text_of
from comictool.formats.view import ForeignCorpus
from comictool.formats.vlm_json import ToldPage, told_page
from comictool.formats.written import json_files

_NAMES = ("canonical_id", "source_image_path")


class WithTexts:
    """A view whose records have the texts that a model told, each on its panel.

    Attributes:
        problems: of the view, and files of texts that cannot be read or are about the same page as another.
    """

    def __init__(self, view: CorpusView, texts: Path) -> None:
        """Look through the files of texts.

        Raises:
            InputError: there is no file that tells a page.
        """
        if not texts.exists():
            raise InputError(f"{texts} is not there")
        self.root, self.name, self.format = view.root, view.name, view.format
        self.texts = texts
        self._view = view
        self._single = len(view.comics()) == 1
        self._files: dict[tuple[str, ...], tuple[Path, int] | None] = {}
        self._together: dict[tuple[Path, int], dict[str, Any]] = {}  # pages that lie in one file with others
        self._joined: dict[str, tuple[str, float]] = {}
        self._used: set[tuple[Path, int]] = set()
        self.told = 0
        self.problems = [*view.problems, *self._look_through()]
        if not self.told:
            raise InputError(
                f"{texts} tells no page", cause='a page is a JSON object with a list "panels", as models write it'
            )

    def comics(self) -> list[str]:
        """The names of all comics."""
        return self._view.comics()

    def read(self, comic: str) -> ComicPages:
        """The records of one comic with the texts told of them; raises like the view's."""
        read = self._view.read(comic)
        for record in read.pages:
            entry = self._entry(record)
            if entry is None:
                continue
            self._used.add(entry)
            try:
                page = self._told(*entry)
            except InputError as error:
                read.problems.append(Problem(record.id, error.fact))
                continue
            found = take_over(record, page.panels, source=page.model or "vlm", summary=page.summary, model=page.model)
            self._joined[record.id] = (found.method, found.confidence)
        return read

    def pages(self, comic: str) -> list[PageRecord]:
        """The page records of one comic, by page number."""
        return self.read(comic).pages

    def annotation_files(self, comic: str) -> list[Path]:
        """The files of the view, and those of its texts."""
        entries = (self._entry(record) for record in self._view.read(comic).pages)
        return [*self._view.annotation_files(comic), *dict.fromkeys(entry[0] for entry in entries if entry)]

    def comic_facts(self, comic: str) -> dict[str, Any]:
        """What is known of a comic as a whole."""
        return self._view.comic_facts(comic)

    def image_path(self, record: PageRecord) -> Path:
        """The file of a page picture."""
        return self._view.image_path(record)

    def picture(self, record: PageRecord) -> PagePicture:
        """The picture of a page."""
        return self._view.picture(record)

    def notes(self) -> list[str]:
        """What was joined of the pages read so far."""
        notes = self._view.notes() if isinstance(self._view, ForeignCorpus) else []
        methods = Counter(method for method, _ in self._joined.values())
        if self._joined:
            mean = sum(confidence for _, confidence in self._joined.values()) / len(self._joined)
            how = ", ".join(f"{count:,} by {method}" for method, count in methods.most_common())
            notes.append(f"texts of {len(self._joined):,} pages ({how}); {mean:.0%} expected on the right panel")
        if unused := self.told - len(self._used):
            notes.append(f"{unused:,} of {self.told:,} pages of {self.texts} are about no page here")
        return notes

    def _look_through(self) -> Iterator[Problem]:
        twice = 0
        for path in json_files(self.texts):
            try:
                entries = _entries(path)
            except InputError as error:
                yield Problem(path.name, error.fact)
                continue
            for index, value in entries:
                self.told += 1
                if len(entries) > 1:
                    self._together[path, index] = value
                keys = [key for name in _names(value, self._path(path), len(entries)) for key in _keys(name)]
                twice += any(len(key) > 1 and key in self._files for key in keys)
                for key in keys:
                    # A name alone that several pages go by names none of them.
                    taken = self._files.setdefault(key, (path, index))
                    if len(key) == 1 and taken != (path, index):
                        self._files[key] = None
        if twice:
            yield Problem(self.texts.name, f"{twice:,} pages are told twice; the first counts")

    def _told(self, path: Path, index: int) -> ToldPage:
        value = self._together.get((path, index))  # a long list is not read again for each of its pages
        value = read_json(path) if value is None else value
        return told_page(value[index] if isinstance(value, list) else value, path.name)

    def _path(self, path: Path) -> str:
        inside = path.relative_to(self.texts).as_posix() if path != self.texts else path.name
        return inside.rpartition(".")[0]

    def _entry(self, record: PageRecord) -> tuple[Path, int] | None:
        parts = components(record.image)
        stem = _stem(parts[-1]) if parts else ""
        folders = dict.fromkeys([*parts[-2:-1], record.comic])
        for folder in folders:
            for key in ((same_name(folder), stem), (f"{same_name(folder)}_{stem}",)):
                if (found := self._files.get(key)) is not None:
                    return found
        return self._files.get((stem,)) if self._single else None


def _entries(path: Path) -> list[tuple[int, dict[str, Any]]]:
    value = read_json(path)
    listed = value if isinstance(value, list) else [value]
    return [(index, object_of(each)) for index, each in enumerate(listed) if list_of(object_of(each).get("panels"))]


def _names(value: dict[str, Any], path: str, together: int) -> list[str]:
    """The paths that a told page goes by; that of its file too, unless it lies there with others."""
    said = [name for key in _NAMES if (name := text_of(value.get(key)))]
    return said if together > 1 else [*said, path]


def _keys(name: str) -> list[tuple[str, ...]]:
    """What a page may be asked for by: the name of its picture, and that with the folder above it."""
    parts = components(name)
    if not parts:
        return []
    stem = _stem(parts[-1])
    return [(stem,), *([(same_name(parts[-2]), stem)] if len(parts) > 1 else [])]


def _stem(name: str) -> str:
    return same_name(name.rpartition(".")[0] if ending(name) in PICTURE_ENDINGS else name)
