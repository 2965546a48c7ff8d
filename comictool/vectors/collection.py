"""What a query needs of a place with vectors, whether a store or packs: columns, comics, identifiers, what a row is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from comictool.core.errors import ComicError, InputError, near_matches
from comictool.core.files import below, is_inside, read_json
from comictool.core.names import natural_key
from comictool.corpus.corpus import Corpus
from comictool.corpus.page_pictures import BY_CONTENT, PagePicture
from comictool.vectors.ann import RowIndex, open_index
from comictool.vectors.columns import Column
from comictool.vectors.metadata import CROPS, NOWHERE, Box, CropEntry, Metadata, PageRow
from comictool.vectors.page_facts import PageFacts
from comictool.vectors.rows import MemoryRows, Rows
from comictool.vectors.store import Store, store_at

SUFFIXES = ("jpg", "png", "webp")


@dataclass(frozen=True)
class Described:
    """What is known of a row.

    Attributes:
        image: the picture of its page, or, without a `box`, of itself; it may be gone.
        source, member: the comic file or folder that the page was imported from, and what it is called in there;
            empty where that is not known.
    """

    id: str
    comic: str
    page: int
    panel: int | None = None
    identity: str = ""
    box: Box | None = None
    image: PagePicture | None = None
    type: str = "unknown"
    split: str = ""
    source: str = ""
    member: str = ""


class SearchedColumn(Protocol):
    """A column that is open: `column.views` rows for each item, and which items are there."""

    @property
    def column(self) -> Column:
        """What it is."""

    @property
    def rows(self) -> Rows:
        """Its vectors."""

    @property
    def present(self) -> np.ndarray:
        """(items,) bool."""


class Collection(Protocol):
    """Vectors that can be searched; use as a context manager."""

    @property
    def root(self) -> Path:
        """Where it lies."""

    @property
    def columns(self) -> Mapping[str, SearchedColumn]:
        """By name, `level/modality`."""

    def __enter__(self) -> Collection:
        """Itself."""

    def __exit__(self, *_: object) -> None:
        """Close it."""

    def comics(self, level: str) -> list[tuple[str, int, int]]:
        """Each comic with its half-open range of rows at a level, in row order."""

    def find(self, id: str) -> tuple[str, int, str]:
        """Level, row and comic of an identifier; raises `InputError` with near ones."""

    def describe(self, level: str, rows: Sequence[int]) -> list[Described]:
        """What rows are, in the order given."""


def open_collection(root: Path) -> Collection:
    """Open what lies at a path: a store, a library with one inside, a pack, or a folder of packs.

    Raises:
        InputError: none of these, or damaged.
    """
    if root.is_file() or (root.is_dir() and not (store_at(root) / "zarr.json").is_file() and any(root.glob("*.hdf5"))):
        from comictool.vectors.tables import Table, pack_files, read_pack, split_of

        files = [root] if root.is_file() else list((pack_files(root) or pack_files(root, "sequence")).values())
        tables: list[tuple[str, Table]] = [(split_of(file), read_pack(file, token=0)) for file in files]
        return Packs(root, files, tables)
    return StoreCollection(Store.open(store_at(root)))


class StoreCollection:
    """A store as a collection."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.root = store.root
        self.columns = store.columns
        self._sources: dict[str, str] = {}
        self._referred: dict[str, dict[str, PagePicture]] = {}  # by comic and picture
        self._indices: dict[str, RowIndex | None] = {}

    def __enter__(self) -> StoreCollection:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.metadata.close()

    @cached_property
    def facts(self) -> PageFacts:
        """What all rows are; read when somebody asks."""
        return PageFacts(self.store.metadata)

    def index(self, name: str) -> RowIndex | None:
        """The index of a column for approximate search, opened once; None when there is none of what it holds now."""
        if name not in self._indices:
            self._indices[name] = open_index(self.columns[name])
        return self._indices[name]

    def forget_indices(self) -> None:
        """Look again: one was made."""
        self._indices.clear()

    def comics(self, level: str) -> list[tuple[str, int, int]]:
        """See `Collection`."""
        return [(comic.comic, *comic.range(level)) for comic in self.store.metadata.comics()]

    def find(self, id: str) -> tuple[str, int, str]:
        """See `Collection`."""
        level, row, page = find_row(self.store.metadata, id)
        return level, row, page.comic

    def describe(self, level: str, rows: Sequence[int]) -> list[Described]:
        """See `Collection`."""
        metadata, root = self.store.metadata, os.path.realpath(self.store.corpus)
        if level not in CROPS:
            pages = metadata.pages(rows)
            return [self._described(level, pages[row], None, root) for row in rows]
        crops = metadata.crops(level, rows)
        pages = metadata.pages({page for page, _ in crops.values()})
        return [self._described(level, pages[crops[row][0]], crops[row][1], root) for row in rows]

    def _described(self, level: str, page: PageRow, crop: CropEntry | None, root: str) -> Described:
        corpus = self.store.corpus
        if page.image and not f"{os.path.realpath(corpus / page.image)}/".startswith(f"{root.rstrip(os.sep)}/"):
            raise InputError(f"the store is damaged: its picture {page.image!r:.200} lies outside the corpus {corpus}")
        image = self._picture(page) if page.image else None
        source = self._source(page.comic)
        last = (page.type, page.split, source, page.member)
        if crop is None:
            return Described(page.id, page.comic, page.page, None, "", None, image, *last)
        box = crop.box if image is not None and crop.box != NOWHERE else None
        image = image or exported_crop(corpus, level, page.comic, crop.name)
        identity = crop.identity if level == "character" else ""
        return Described(crop.id(page.comic), page.comic, page.page, crop.panel, identity, box, image, *last)

    def _picture(self, page: PageRow) -> PagePicture:
        """The picture of a page: its file, or its place in the comic file when it is kept by reference."""
        path = self.store.corpus / page.image
        if not page.fingerprint.startswith(BY_CONTENT) or path.is_file():
            return path
        if page.comic not in self._referred:
            with suppress(ComicError):  # without its records the picture is one that is gone
                corpus = Corpus.open(self.store.corpus)
                pictures = {record.image: corpus.picture(record) for record in corpus.pages(page.comic)}
                self._referred[page.comic] = pictures
        return self._referred.setdefault(page.comic, {}).get(page.image, path)

    def _source(self, comic: str) -> str:
        """The file of a comic as the corpus knows it now: it may have been moved since the vectors were made."""
        if comic not in self._sources:
            facts = read_json(below(self.store.corpus, f"annotations/comics/{comic}.json", links=True), default={})
            source = facts.get("source") if isinstance(facts, dict) else None
            self._sources[comic] = source if isinstance(source, str) else ""
        return self._sources[comic]


def find_row(metadata: Metadata, id: str) -> tuple[str, int, PageRow]:
    """Level, row and page of an identifier: `comic/page`, `comic/page/panel` or `comic/page/panel/identity`.

    Raises:
        InputError: none; with near identifiers.
    """
    comic, *numbers = id.encode("utf-8", "replace").decode("utf-8").split("/", 3)  # bytes that are no UTF-8: no name
    values = [int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1 for text in numbers[:2]]
    page = metadata.find_page(comic, values[0]) if numbers else None
    if page is not None and len(numbers) == 1:
        return "page", page.row, page
    if page is not None:
        level = "panel" if len(numbers) == 2 else "character"
        for row, crop in metadata.crops_of(level, page.row):
            if crop.id(comic) == id:
                return level, row, page
    raise InputError(
        f"{id!r} is not in the store",
        near=_near(metadata, id, comic, page, values),
        hint="" if numbers else "write it as comic/page, comic/page/panel or comic/page/panel/identity",
    )


def _near(metadata: Metadata, id: str, comic: str, page: PageRow | None, values: Sequence[int]) -> list[str]:
    if page is not None:
        level = "character" if id.count("/") > 2 else "panel"
        crops = [crop for _, crop in metadata.crops_of(level, page.row)] if len(values) > 1 else []
        nearest = sorted(crops, key=lambda crop: (abs(crop.panel - values[1]), crop.panel))[:3]
        return [crop.id(comic) for crop in nearest] or [page.id]
    pages = [found.page for found in metadata.pages_of(comic)]
    if pages:
        wanted = values[0] if values else pages[0]
        return [f"{comic}/{number}" for number in sorted(pages, key=lambda number: (abs(number - wanted), number))[:3]]
    names = near_matches(comic, [found.comic for found in metadata.comics()])
    same_page = values[0] if values else -1
    firsts = {name: [found.page for found in metadata.pages_of(name)] for name in names}
    return [f"{name}/{same_page if same_page in numbers else numbers[0]}" for name, numbers in firsts.items()]


@dataclass
class _PackColumn:
    column: Column
    rows: MemoryRows
    present: np.ndarray


class Packs:
    """Packs of one encoder as a collection of one column; they hold no more than fits in memory."""

    def __init__(self, root: Path, files: Sequence[Path], tables: Iterable[tuple[str, Any]]) -> None:
        self.root = root
        held = [(split, table) for split, table in tables if len(table)]
        if not held:
            raise InputError(f"{root} holds no vectors", hint="comictool features backbone CORPUS --plugin P -o FOLDER")
        first = held[0][1]
        for split, table in held[1:]:
            if table.dimension != first.dimension or table.origin != first.origin:
                raise InputError(
                    f"the packs {held[0][0]} and {split} of {root} are of different encoders",
                    cause=f"{first.dimension} numbers by {first.origin}, {table.dimension} by {table.origin}",
                    hint="name one pack",
                )
        rows = [
            (table.comics[number], name, split)
            for split, table in held
            for number, name in zip(table.comic_of, table.names, strict=True)
        ]
        order = sorted(range(len(rows)), key=lambda row: (natural_key(rows[row][0]), natural_key(rows[row][1])))
        self._rows = [rows[row] for row in order]
        self._crops = [_named(name) for _, name, _ in self._rows]
        vectors = np.concatenate([table.vectors for _, table in held])[order]
        character = any(name.count("_") > 1 for _, name, _ in self._rows)
        self.level = str(first.facts.get("level", "")) if first.facts.get("level") in CROPS else ""
        self.level = self.level or ("character" if character else "panel")
        encoder = first.facts.get("encoder")
        column = Column(
            level=self.level,
            modality="sequence" if "_sequence_" in files[0].name else "image",
            encoder_id=first.origin,
            dimension=first.dimension,
            dtype="float32",
            normalised=first.facts.get("normalised") is True,
            encoder=encoder if isinstance(encoder, dict) else {},
        )
        self.columns = {column.name: _PackColumn(column, MemoryRows(vectors), np.ones(len(vectors), bool))}

    def __enter__(self) -> Packs:
        return self

    def __exit__(self, *_: object) -> None: ...

    def comics(self, level: str) -> list[tuple[str, int, int]]:
        """See `Collection`."""
        ranges, start = [], 0
        for comic, group in groupby(self._rows, key=lambda row: row[0]):
            stop = start + sum(1 for _ in group)
            ranges.append((comic, start, stop))
            start = stop
        return ranges if level == self.level else []

    def find(self, id: str) -> tuple[str, int, str]:
        """See `Collection`."""
        known = [crop.id(comic) for crop, (comic, *_) in zip(self._crops, self._rows, strict=True)]
        if id in known:
            row = known.index(id)
            return self.level, row, self._rows[row][0]
        near = [name for name in known if name.startswith(f"{id}/")][:3] or near_matches(id, known)
        shape = "comic/page/panel/identity" if self.level == "character" else "comic/page/panel"
        raise InputError(f"{id!r} is not in the packs", near=near, hint=f"write it as {shape}")

    def describe(self, level: str, rows: Sequence[int]) -> list[Described]:
        """See `Collection`."""
        found = []
        for row in rows:
            (comic, name, split), crop = self._rows[row], self._crops[row]
            page = name.split("_", 1)[0]
            number = int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 0
            found.append(Described(crop.id(comic), comic, number, crop.panel, crop.identity, split=split))
        return found


def _named(name: str) -> CropEntry:
    _, panel, identity = [*name.split("_", 2), "", ""][:3]
    number = int(panel) if panel.isascii() and panel.isdigit() and len(panel) < 10 else 0
    return CropEntry(name, number, identity=identity)


def exported_crop(corpus: Path, level: str, comic: str, name: str) -> Path | None:
    """The picture of a panel or character that `data export` wrote, when it is there."""
    if {"/", "\\", "\0"} & {*name, *comic} or comic in ("", ".", ".."):
        return None  # a file may say anything
    folders = [corpus / f"{level}_images"] if not corpus.name.endswith("_images") else [corpus]
    files = (folder / comic / f"{name}.{suffix}" for folder in folders for suffix in SUFFIXES)
    return next((file for file in files if file.is_file()), None)


def pictures_from(collection: Collection) -> Path | None:
    """The folder that pictures are read from, when it is one that only the store names, not the user.

    Raises:
        InputError: it is neither a corpus nor a folder of crops; nothing is read there.
    """
    if not isinstance(collection, StoreCollection):
        return None
    corpus = collection.store.corpus
    if corpus.name.endswith("_images") and corpus.is_dir():
        return None if is_inside(collection.root, corpus.parent) else corpus
    return collection.store.foreign_corpus()
