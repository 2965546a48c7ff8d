"""What a store knows beside its vectors, in SQLite: comics, pages, panels, boxes, pictures, page types, text.

Row numbers are those of the vector arrays, counted from 0. Comics, pages and panels are in natural order and the panels
of a page, the pages of a comic are neighbours, so that every filter is a few ranges of rows.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

from comictool.core.errors import EnvironmentError_, InputError

Box = tuple[int, int, int, int]

SCHEMA = """
CREATE TABLE comics (comic TEXT PRIMARY KEY, first_page INTEGER, pages INTEGER, first_panel INTEGER, panels INTEGER)
    WITHOUT ROWID;
CREATE TABLE pages (row INTEGER PRIMARY KEY, comic TEXT, page INTEGER, fingerprint TEXT, image TEXT, width INTEGER,
    height INTEGER, type TEXT, direction TEXT, first_panel INTEGER, panels INTEGER);
CREATE TABLE panels (row INTEGER PRIMARY KEY, page_row INTEGER, panel INTEGER, x0 INTEGER, y0 INTEGER, x1 INTEGER,
    y1 INTEGER, score REAL);
CREATE UNIQUE INDEX page_names ON pages (comic, page);
CREATE UNIQUE INDEX panel_names ON panels (page_row, panel);
CREATE VIRTUAL TABLE page_text USING fts5(text);
CREATE VIRTUAL TABLE panel_text USING fts5(text);
"""

# What SQLite says of the disk is told as any other file's trouble.
_SYSTEM_ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_IOERR: errno.EIO, sqlite3.SQLITE_READONLY: errno.EROFS
}  # fmt: skip


@dataclass(frozen=True)
class PanelEntry:
    """One panel; `row` is its place in the panel arrays, -1 before it has one."""

    panel: int
    box: Box
    score: float = 1.0
    text: str = ""
    row: int = -1


@dataclass(frozen=True)
class PageEntry:
    """One page.

    `fingerprint` changes whenever its picture or its panels do; `image` is relative to the corpus. `row`, `first_panel`
    and `panel_count` say where a published page lies, also when `panels` was not read; -1 before.
    """

    comic: str
    page: int
    fingerprint: str
    image: str
    width: int
    height: int
    type: str = "unknown"
    direction: str = "ltr"
    text: str = ""
    panels: tuple[PanelEntry, ...] = field(default=())
    row: int = -1
    first_panel: int = -1
    panel_count: int = -1

    @property
    def id(self) -> str:
        """`comic/page`."""
        return f"{self.comic}/{self.page}"


class MetadataWriter:
    """Fills a new metadata file; pages come in the order of their rows."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")
        with self._writable():
            try:
                self._connection.executescript(SCHEMA)
            except sqlite3.OperationalError as error:
                if "fts5" not in str(error):
                    raise
                raise EnvironmentError_("this Python's SQLite has no FTS5 text search", cause=str(error)) from error
            self._connection.execute("BEGIN")
        self.pages = 0
        self.panels = 0

    def add(self, entry: PageEntry) -> None:
        """Append a page with its panels.

        Raises:
            OSError: the disk is full, or the file cannot be written.
        """
        with self._writable():
            self._add(entry)

    def _add(self, entry: PageEntry) -> None:
        page = (entry.comic, entry.page, entry.fingerprint, entry.image, entry.width, entry.height)
        self._connection.execute(
            "INSERT INTO pages VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (self.pages, *page, entry.type, entry.direction, self.panels, len(entry.panels)),
        )
        numbered = list(enumerate(entry.panels, start=self.panels))
        self._connection.executemany(
            "INSERT INTO panels VALUES (?,?,?,?,?,?,?,?)",
            [(row, self.pages, panel.panel, *panel.box, panel.score) for row, panel in numbered],
        )
        if entry.text:
            self._connection.execute("INSERT INTO page_text(rowid, text) VALUES (?,?)", (self.pages, entry.text))
        self._connection.executemany(
            "INSERT INTO panel_text(rowid, text) VALUES (?,?)",
            [(row, panel.text) for row, panel in numbered if panel.text],
        )
        self.pages += 1
        self.panels += len(entry.panels)

    def close(self) -> None:
        """Finish the file."""
        with self._writable():
            self._connection.execute(
                "INSERT INTO comics"
                " SELECT comic, min(row), count(*), min(first_panel), sum(panels) FROM pages GROUP BY comic"
            )
            self._connection.execute("COMMIT")
            self._connection.close()

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            number = _SYSTEM_ERRORS.get(error.sqlite_errorcode & 0xFF)  # the rest of the code is detail
            if number is None:
                raise
            raise OSError(number, os.strerror(number), str(self._file)) from error


@dataclass(frozen=True)
class ComicRows:
    """Where a comic's rows lie: first and number, of pages and of panels."""

    comic: str
    first_page: int
    pages: int
    first_panel: int
    panels: int

    def range(self, level: str) -> tuple[int, int]:
        """Half-open range of rows at `panel` or `page` level."""
        first, count = (self.first_panel, self.panels) if level == "panel" else (self.first_page, self.pages)
        return first, first + count


class Metadata:
    """Reads a metadata file; use as a context manager."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise InputError(f"the store is damaged: {file} is missing")
        self._file = file
        # immutable: published files never change, so SQLite needs neither locks nor a journal beside the file
        with self._readable():
            self._connection = sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro&immutable=1", uri=True)
            self._connection.executescript("PRAGMA trusted_schema=OFF; PRAGMA query_only=ON;")

    def __enter__(self) -> Metadata:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def counts(self) -> tuple[int, int, int]:
        """Numbers of comics, pages and panels."""
        sql = "SELECT (SELECT count(*) FROM comics), (SELECT count(*) FROM pages), (SELECT count(*) FROM panels)"
        comics, pages, panels = self._all(sql)[0]
        return comics, pages, panels

    def comics(self, pattern: str | None = None) -> list[ComicRows]:
        """Comics in row order, or those whose name matches a shell pattern."""
        found = self._all("SELECT comic, first_page, pages, first_panel, panels FROM comics ORDER BY first_page")
        return [ComicRows(*row) for row in found if pattern is None or fnmatchcase(row[0], pattern)]

    def find_page(self, comic: str, page: int) -> PageEntry | None:
        """A page by name, without its panels and text."""
        rows = self._all(f"{_PAGES} WHERE comic = ? AND page = ?", (comic, page))
        return _page(rows[0]) if rows else None

    def pages(self, rows: Sequence[int]) -> dict[int, PageEntry]:
        """Pages by row, without their panels and text."""
        return {row: _page(found[0]) for row in rows if (found := self._all(f"{_PAGES} WHERE row = ?", (row,)))}

    def panels(self, rows: Sequence[int]) -> dict[int, tuple[int, PanelEntry]]:
        """Panels by row, each with the row of its page; without text."""
        sql = "SELECT page_row, panel, x0, y0, x1, y1, score, row FROM panels WHERE row = ?"
        return {row: (found[0][0], _panel(found[0])) for row in rows if (found := self._all(sql, (row,)))}

    def find_panel(self, page_row: int, panel: int) -> PanelEntry | None:
        """A panel by the row of its page and its number."""
        sql = "SELECT page_row, panel, x0, y0, x1, y1, score, row FROM panels WHERE page_row = ? AND panel = ?"
        rows = self._all(sql, (page_row, panel))
        return _panel(rows[0]) if rows else None

    def panel_numbers(self, page_row: int) -> list[int]:
        """Numbers of the panels of a page."""
        return [row[0] for row in self._all("SELECT panel FROM panels WHERE page_row = ? ORDER BY row", (page_row,))]

    def page_numbers(self, comic: str) -> list[int]:
        """Numbers of the pages of a comic."""
        return [row[0] for row in self._all("SELECT page FROM pages WHERE comic = ? ORDER BY row", (comic,))]

    def entries(self, comic: str | None = None) -> Iterator[PageEntry]:
        """Pages in row order with panels and text, of one comic or all; one page in memory at a time."""
        where = ("", ()) if comic is None else (" WHERE comic = ?", (comic,))
        panel_sql = (
            "SELECT page_row, panel, x0, y0, x1, y1, score, row, coalesce(text, '') FROM panels"
            " LEFT JOIN panel_text ON panel_text.rowid = row WHERE page_row = ? ORDER BY row"
        )
        page_sql = (
            _PAGES.replace(" FROM", ", coalesce(text, '') FROM") + " LEFT JOIN page_text ON page_text.rowid = row"
        )
        with self._readable():
            for row in self._connection.execute(f"{page_sql}{where[0]} ORDER BY row", where[1]):
                panels = tuple(_panel(found, found[8]) for found in self._all(panel_sql, (row[0],)))
                yield _page(row, panels, row[11])

    def page_names(self) -> Iterator[tuple[str, int]]:
        """Of each page in row order: its id and the row of its first panel."""
        with self._readable():
            for comic, page, first in self._connection.execute(
                "SELECT comic, page, first_panel FROM pages ORDER BY row"
            ):
                yield f"{comic}/{page}", first

    def panel_names(self) -> Iterator[tuple[str, int, Box]]:
        """Of each panel in row order: its id, the row of its page and its box."""
        sql = (
            "SELECT comic, page, panel, page_row, x0, y0, x1, y1 FROM panels"
            " CROSS JOIN pages ON pages.row = page_row ORDER BY panels.row"
        )
        with self._readable():
            for comic, page, panel, page_row, x0, y0, x1, y1 in self._connection.execute(sql):
                yield f"{comic}/{page}/{panel}", page_row, (x0, y0, x1, y1)

    def has_text(self) -> bool:
        """Whether any page has text."""
        return bool(self._all("SELECT 1 FROM page_text LIMIT 1"))

    def rows_matching(self, level: str, expression: str) -> Iterator[tuple[int, float, str]]:
        """Rows whose text matches an expression of FTS5, best first: row, BM25 (higher is better), the text around.

        Raises:
            InputError: the store is damaged, or the expression is none.
        """
        table = _TEXT[level]
        sql = (
            f"SELECT rowid, -rank, snippet({table}, 0, '', '', '…', 24) FROM {table}"
            f" WHERE {table} MATCH ? ORDER BY rank, rowid"
        )
        with self._readable():
            for row, score, text in self._connection.execute(sql, (expression,)):
                yield row, round(float(score), 6), _one_line(str(text))

    def rows_containing(self, level: str, terms: Sequence[str]) -> Iterator[tuple[int, float, str]]:
        """Rows whose text contains every term, wherever; those first in which they occur most often, as the score."""
        found = []
        with self._readable():
            for row, text in self._connection.execute(f"SELECT rowid, text FROM {_TEXT[level]} ORDER BY rowid"):
                whole = unicodedata.normalize("NFKC", str(text)).casefold()
                counts = [whole.count(unicodedata.normalize("NFKC", term).casefold()) for term in terms]
                if all(counts):
                    found.append((row, float(sum(counts)), _one_line(str(text))[:200]))
        yield from sorted(found, key=lambda answer: (-answer[1], answer[0]))

    def _all(self, sql: str, values: Iterable[object] = ()) -> list[tuple]:
        with self._readable():
            return self._connection.execute(sql, tuple(values)).fetchall()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not os.access(self._file, os.R_OK):
                raise InputError(f"{self._file} cannot be read: permission denied") from error
            raise InputError(f"the store is damaged: {self._file}: {error}") from error


_TEXT = {"panel": "panel_text", "page": "page_text"}
_PAGES = "SELECT row, comic, page, fingerprint, image, width, height, type, direction, first_panel, panels FROM pages"


def _page(row: tuple, panels: tuple[PanelEntry, ...] = (), text: str = "") -> PageEntry:
    number, comic, page, mark, image, width, height, kind, direction, first, count = row[:11]
    # str(): SQLite keeps whatever type somebody put into a column
    names = (str(comic), page, str(mark), str(image), width, height, str(kind), str(direction))
    return PageEntry(*names, text, panels, row=number, first_panel=first, panel_count=count)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _panel(row: tuple, text: str = "") -> PanelEntry:
    return PanelEntry(row[1], (row[2], row[3], row[4], row[5]), row[6], text, row[7])
