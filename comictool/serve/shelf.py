"""What requests see of a library: its vectors and words as they were published last, its comics, pages and pictures.

Everything is found by the identifier of a record, never by the name of a file. Any number of threads may ask.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import ComicError, InputError
from comictool.core.files import state_of
from comictool.core.names import natural_key
from comictool.corpus.page_pictures import PagePicture, is_there, state_of_picture
from comictool.corpus.records import Box, PageRecord, Panel, Text
from comictool.corpus.views import CorpusView
from comictool.formats.registry import open_any
from comictool.search.asking import DUPLICATES, TEXT
from comictool.vectors.collection import StoreCollection, find_row, open_collection, pictures_from
from comictool.vectors.metadata import NOWHERE, PageEntry
from comictool.vectors.store import store_at

KEPT_COMICS = 32  # whose records are kept in memory; a reader stays in one comic
NO_PANELS, NO_TEXT, NO_VECTORS = "panels", "text", "vectors"
MISSING = (NO_PANELS, NO_TEXT, NO_VECTORS)
LONGEST_FACT = 200


@dataclass(frozen=True)
class Comic:
    """A comic as the library view shows it.

    Attributes:
        pages, panels, characters: how many; of a comic that was not indexed yet only the pages are known.
        texts: pages that have text.
        cover: number of its first page; None without pages.
        missing: what it has none of, out of `MISSING`.
    """

    name: str
    title: str
    series: str = ""
    number: str = ""
    year: str = ""
    pages: int = 0
    panels: int = 0
    characters: int = 0
    texts: int = 0
    cover: int | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A picture to show: of a page, or a part of one.

    Attributes:
        box: the part; None for all of it.
        state: changes whenever the picture does.
    """

    picture: PagePicture
    box: Box | None
    state: str


@dataclass(frozen=True)
class Abilities:
    """What can be asked here.

    Attributes:
        words: any page has text.
        meaning: words can be understood: there are vectors of texts.
        duplicates: it is known which pages show the same.
    """

    words: bool
    meaning: bool
    duplicates: bool


class NotThere(InputError):
    """No comic, page, panel or picture of this name is in the library."""


class Shelf:
    """A library, a corpus with a store, or a store.

    Raises:
        InputError: it is none, has nothing published, is damaged, or holds packs, which have no pages to show.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._place: tuple[str, StoreCollection] | None = None
        self._opening, self._lock, self._counting = threading.Lock(), threading.Lock(), threading.Lock()
        self._view: CorpusView | None = None
        self._comics: tuple[str, dict[str, Comic]] = ("", {})
        self._records: OrderedDict[tuple[str, str], dict[int, PageRecord]] = OrderedDict()
        place = self.place()
        if pictures_from(place) is not None:
            # Also refuses a store that names a folder which is no corpus.
            self.pictures_note = f"pictures are read from {place.store.corpus}, where the store says that its corpus is"
        else:
            self.pictures_note = ""
        self.name = (root if store_at(root) != root else place.store.corpus).resolve().name or "library"

    def place(self) -> StoreCollection:
        """What is published now, open for all threads."""
        state = self._state()
        with self._opening:
            if self._place is None or self._place[0] != state:
                opened = open_collection(self.root)
                if not isinstance(opened, StoreCollection):
                    raise InputError(f"{self.root} holds packs, which have no pages to show", hint="serve a library")
                self._place = state, opened  # the one before closes when nobody holds it
            return self._place[1]

    def _state(self) -> str:
        file = store_at(self.root) / "zarr.json"
        return state_of(file.stat()) if file.is_file() else ""

    def view(self) -> CorpusView | None:
        """The corpus with the records, where it can be read."""
        corpus = self.place().store.corpus
        with self._lock:
            if self._view is None or self._view.root != corpus:
                with suppress(ComicError, OSError):
                    self._view = open_any(corpus)
            return self._view

    def comics(self) -> dict[str, Comic]:
        """Every comic by its name, in natural order: those of the corpus, indexed or not, and those of the store."""
        place, view = self.place(), self.view()
        key = f"{self._state()} {_folders_state(place.store.corpus)}"
        with self._counting:  # others wait for the first one rather than count as well
            if self._comics[0] != key:
                self._comics = (key, _counted(place, view))
            return self._comics[1]

    def abilities(self) -> Abilities:
        """What can be asked here."""
        place = self.place()
        modalities = {column.column.modality for column in place.columns.values()}
        has_duplicates = (place.store.corpus / DUPLICATES).is_file()
        return Abilities(place.store.metadata.has_text(), TEXT in modalities, has_duplicates)

    def comic(self, name: str) -> Comic:
        """One comic.

        Raises:
            NotThere: no comic of this name.
        """
        found = self.comics().get(name)
        if found is None:
            raise NotThere(f"no comic is called {name!r:.200}")
        return found

    def records(self, comic: str) -> dict[int, PageRecord]:
        """The pages of a comic by number: as the corpus has them now, else as the store was told.

        Raises:
            NotThere: no comic of this name.
        """
        self.comic(comic)
        view = self.view()
        state = _annotations_state(view, comic) if view is not None else ""
        key = (comic, state or self._state())
        with self._lock:
            if key in self._records:
                self._records.move_to_end(key)
                return self._records[key]
        found: dict[int, PageRecord] = {}
        if view is not None and state:
            with suppress(ComicError):
                found = {record.page: record for record in view.pages(comic)}
        if not found:
            metadata = self.place().store.metadata
            found = {page.page: _record(metadata.entry(page)) for page in metadata.pages_of(comic)}
        with self._lock:
            self._records[key] = found
            while len(self._records) > KEPT_COMICS:
                self._records.popitem(last=False)
        return found

    def page(self, comic: str, number: int) -> PageRecord:
        """One page.

        Raises:
            NotThere: no such comic or page.
        """
        found = self.records(comic).get(number)
        if found is None:
            raise NotThere(f"{comic} has no page {number}")
        return found

    def shown(self, id: str) -> Shown:
        """The picture of a page, panel or character by its identifier.

        Raises:
            NotThere: nothing has this identifier, or its picture is gone.
            InputError: the library names a picture that is none of its own.
        """
        picture, box = self._picture(id)
        try:
            if picture is None or not is_there(picture):
                raise NotThere(f"the picture of {id!r:.200} is gone")
            return Shown(picture, box, state_of_picture(picture))
        except (OSError, ValueError) as error:
            raise NotThere(f"the picture of {id!r:.200} cannot be read") from error

    def _picture(self, id: str) -> tuple[PagePicture | None, Box | None]:
        place = self.place()
        try:
            level, row, _ = find_row(place.store.metadata, id)
        except InputError as error:
            record, panel = self._record_of(id)
            if record is None:
                raise NotThere(error.fact, near=error.near) from error
            view = self.view()
            return (view.picture(record) if view is not None else None), panel.box if panel is not None else None
        (found,) = place.describe(level, [row])
        return found.image, found.box

    def _record_of(self, id: str) -> tuple[PageRecord | None, Panel | None]:
        """A page or panel that is in the corpus, but not indexed yet."""
        comic, *numbers = id.split("/")
        if not 1 <= len(numbers) <= 2 or not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
            return None, None
        with suppress(NotThere):
            record = self.page(comic, int(numbers[0]))
            if len(numbers) == 1:
                return record, None
            for panel in record.panels:
                if panel.id == int(numbers[1]):
                    return record, panel
        return None, None


def _annotations_state(view: CorpusView, comic: str) -> str:
    try:
        return " ".join(state_of(file.stat()) for file in view.annotation_files(comic))
    except (ComicError, OSError, ValueError):
        return ""


def _folders_state(corpus: Path) -> str:
    """Changes when a comic is added to a corpus or taken away."""
    states = []
    for folder in (corpus / "annotations" / "pages", corpus / "annotations" / "comics"):
        with suppress(OSError):
            states.append(str(folder.stat().st_mtime_ns))
    return " ".join(states)


def _counted(place: StoreCollection, view: CorpusView | None) -> dict[str, Comic]:
    """All comics with what they have."""
    store = place.store
    names = view.comics() if view is not None else []
    with_text = np.array(store.metadata.text_rows("page"), np.int64)
    column = store.columns.get("page/image") or store.columns.get("panel/image") or next(iter(store.columns.values()))
    level = column.column.level
    indexed = {rows.comic: rows for rows in store.metadata.comics()}
    found = []
    for name in sorted({*indexed, *names}, key=natural_key):
        facts: dict[str, Any] = {}
        if view is not None:
            with suppress(ComicError, OSError, ValueError):
                facts = view.comic_facts(name)
        title, series, number, year = (_text(facts.get(key)) for key in ("title", "series", "number", "year"))
        known = Comic(name, title or name, series, number, year)
        rows = indexed.get(name)
        if rows is None:
            found.append(replace(known, missing=(NO_VECTORS,)))
            continue
        start, stop = rows.range("page")
        texts = int(np.searchsorted(with_text, stop) - np.searchsorted(with_text, start))
        first, last = rows.range(level)
        lacking = {NO_PANELS: rows.panels == 0, NO_TEXT: texts == 0, NO_VECTORS: not column.present[first:last].any()}
        counted = replace(known, pages=rows.pages, panels=rows.panels, characters=rows.characters, texts=texts)
        cover = store.metadata.pages([start])[start].page if rows.pages else None
        found.append(replace(counted, cover=cover, missing=tuple(what for what, lacks in lacking.items() if lacks)))
    return {comic.name: comic for comic in found}


def _text(value: Any) -> str:
    """A fact out of a file, which may hold anything, as one short line."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))[:LONGEST_FACT].strip()


def _record(entry: PageEntry) -> PageRecord:
    """A page as a store was told of it: panels with their words, but not where on the page each text stands."""
    width, height = max(1, entry.width), max(1, entry.height)
    record = PageRecord(entry.comic, entry.page, entry.image, width, height, entry.type, direction=entry.direction)
    for panel in entry.panels:
        if panel.box != NOWHERE:
            record.panels.append(Panel(panel.panel, panel.box, panel.panel, panel.score))
        if panel.text:
            record.texts.append(Text(len(record.texts) + 1, panel.text, panel=panel.panel))
    if entry.text and not record.texts:
        record.texts.append(Text(1, entry.text))
    return record
