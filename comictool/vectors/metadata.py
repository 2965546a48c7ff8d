"""What a store knows besides its vectors, in SQLite: comics and their facts, pages, panels, characters, boxes, text.

Row numbers are those of the arrays, counted from 0. Comics and pages are in natural order, the panels of a page are
neighbours and so are its characters, so that every filter is a few ranges of rows.

Text is kept as it was read, and indexed (FTS5, without its content) as the folded words of `comictool.vectors.words`.
`words` says in how many panels and pages each word is, `page_postings` and `panel_postings` in which and how often
(`comictool.vectors.postings`), by its row in `words`; `vocabulary` has those that may be meant by a word like them,
by their length and one after the other, so that they are read at once (`comictool.vectors.vocabulary`).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from comictool.core.errors import InputError, SetupError
from comictool.vectors.words import part

if TYPE_CHECKING:
    import numpy as np

    from comictool.vectors.postings import Postings
    from comictool.vectors.vocabulary import Vocabulary

Box = tuple[int, int, int, int]
CROPS = {"panel": "panels", "character": "characters"}  # levels that are parts of a page, and their tables
NOWHERE: Box = (0, 0, 0, 0)  # of a crop that was made by somebody else

USER_VERSION = 4  # 3: likeness of words by an index of three letters; 0: no folded words, no facts of comics
# Facts of a comic that a store keeps, for filters and counts; see `comictool.archives.comicinfo`.
FACTS = ("title", "series", "number", "volume", "year", "month", "publisher", "imprint", "writer", "penciller", "inker",
    "colorist", "genre", "tags", "language", "story_arc", "age_rating")  # fmt: skip
LONGEST_FACT = 500
# Shorter words are not looked for by likeness: too many others are as like.
LEAST_LIKE, MOST_LIKE = 4, 40

_CROP_TABLE = """CREATE TABLE {0} (row INTEGER PRIMARY KEY, page_row INTEGER, panel INTEGER, name TEXT, identity TEXT,
    x0 INTEGER, y0 INTEGER, x1 INTEGER, y1 INTEGER, score REAL);
CREATE INDEX {0}_of_page ON {0} (page_row, panel);
"""
SCHEMA = f"""
CREATE TABLE comics (comic TEXT PRIMARY KEY, first_page INTEGER, pages INTEGER, first_panel INTEGER, panels INTEGER,
    first_character INTEGER, characters INTEGER, state TEXT) WITHOUT ROWID;
CREATE TABLE pages (row INTEGER PRIMARY KEY, comic TEXT, page INTEGER, fingerprint TEXT, digest TEXT, image TEXT,
    width INTEGER, height INTEGER, type TEXT, direction TEXT, split TEXT, first_panel INTEGER, panels INTEGER,
    first_character INTEGER, characters INTEGER, member TEXT);
CREATE UNIQUE INDEX page_names ON pages (comic, page);
CREATE TABLE comic_facts (comic TEXT, name TEXT, value TEXT, PRIMARY KEY (comic, name)) WITHOUT ROWID;
CREATE TABLE page_text (row INTEGER PRIMARY KEY, text TEXT);
CREATE TABLE panel_text (row INTEGER PRIMARY KEY, text TEXT);
CREATE VIRTUAL TABLE page_words USING fts5(words, joined, content='', tokenize='ascii');
CREATE VIRTUAL TABLE panel_words USING fts5(words, joined, content='', tokenize='ascii');
CREATE TABLE words (word TEXT PRIMARY KEY, pages INTEGER, panels INTEGER);
CREATE TABLE vocabulary (length INTEGER PRIMARY KEY, words BLOB);
CREATE TABLE page_postings (word INTEGER PRIMARY KEY, rows BLOB, times BLOB);
CREATE TABLE panel_postings (word INTEGER PRIMARY KEY, rows BLOB, times BLOB);
CREATE TABLE text_counts (level TEXT PRIMARY KEY, texts INTEGER, lengths BLOB) WITHOUT ROWID;
PRAGMA user_version = {USER_VERSION};
{_CROP_TABLE.format("panels")}{_CROP_TABLE.format("characters")}
"""

MOST_ROWS = 1 << 40  # of a level; larger numbers are damage, and would overflow when they are added up

# What SQLite says of the disk is reported as any other file's trouble.
_SYSTEM_ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}


class CropEntry(NamedTuple):
    """A panel or a character of a page.

    Attributes:
        name: as packs call it, `<page>_<panel>` or `<page>_<panel>_<identity>`; two characters may have the same.
        panel: number of the panel that it is, or stands in.
        box: on the page, in pixels.
    """

    name: str
    panel: int
    box: Box = NOWHERE
    score: float = 1.0
    identity: str = ""
    text: str = ""

    def id(self, comic: str) -> str:
        """`comic/page/panel` or `comic/page/panel/identity`."""
        return "/".join([comic, *self.name.split("_", 2)])


class PageEntry(NamedTuple):
    """One page.

    Attributes:
        fingerprint: changes whenever its picture does.
        digest: changes whenever anything told here does.
        image: relative to the corpus; empty when only crops of the page exist.
        member: what the page is called in the comic file that it came from; empty when that is not known.
        split: train, val or test; empty when the corpus was never split.
    """

    comic: str
    page: int
    fingerprint: str
    image: str
    width: int = 0
    height: int = 0
    type: str = "unknown"
    direction: str = "ltr"
    split: str = ""
    text: str = ""
    panels: tuple[CropEntry, ...] = ()
    characters: tuple[CropEntry, ...] = ()
    member: str = ""

    @property
    def id(self) -> str:
        """`comic/page`."""
        return f"{self.comic}/{self.page}"

    @property
    def digest(self) -> str:
        """A short hash of all of it."""
        return blake2b(repr(tuple(self)).encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()

    def crops(self, level: str) -> tuple[CropEntry, ...]:
        """Its panels or characters."""
        return self.panels if level == "panel" else self.characters


ComicFacts = Mapping[str, str]
"""What is known of a comic, by names of `FACTS`."""


def kept_facts(facts: Mapping[str, object]) -> dict[str, str]:
    """Those of the facts of a comic that a store keeps, as text."""
    found = {name: facts.get(name) for name in FACTS}
    told = {name: str(value) for name, value in found.items() if isinstance(value, str | int) and str(value).strip()}
    return {name: "".join(c if c.isprintable() else " " for c in value)[:LONGEST_FACT] for name, value in told.items()}


class PageRow(NamedTuple):
    """Where a published page lies, and what it was: see `PageEntry`."""

    row: int
    comic: str
    page: int
    fingerprint: str
    digest: str
    image: str
    width: int
    height: int
    type: str
    direction: str
    split: str
    first_panel: int
    panels: int
    first_character: int
    characters: int
    member: str = ""

    @property
    def id(self) -> str:
        """`comic/page`."""
        return f"{self.comic}/{self.page}"

    def range(self, level: str) -> tuple[int, int]:
        """Half-open range of its rows at a level."""
        return _range(level, (self.row, 1), (self.first_panel, self.panels), (self.first_character, self.characters))


class ComicRows(NamedTuple):
    """Where the rows of a comic lie: the first and how many, at each level.

    `state` changes whenever the file of its records does; empty when its records have to be read to know.
    """

    comic: str
    first_page: int
    pages: int
    first_panel: int
    panels: int
    first_character: int
    characters: int
    state: str = ""

    def range(self, level: str) -> tuple[int, int]:
        """Half-open range of rows at a level."""
        pages, panels, characters = self[1:3], self[3:5], self[5:7]
        return _range(level, pages, panels, characters)


def _range(level: str, *ranges: tuple[int, int]) -> tuple[int, int]:
    first, count = ranges[("page", "panel", "character").index(level)]
    return first, first + count


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
                raise SetupError("this Python's SQLite has no FTS5 text search", cause=str(error)) from error
            self._connection.execute("BEGIN")
        self.rows = {"page": 0, "panel": 0, "character": 0}

    def add(self, entry: PageEntry) -> None:
        """Append a page with its panels and characters.

        Raises:
            OSError: the disk is full, or the file cannot be written.
        """
        with self._writable():
            self._add(entry)

    def _add(self, entry: PageEntry) -> None:
        row, firsts = self.rows["page"], self.rows
        facts = (entry.comic, entry.page, entry.fingerprint, entry.digest, *entry[3:9])
        places = (firsts["panel"], len(entry.panels), firsts["character"], len(entry.characters))
        values = (row, *facts, *places, entry.member)
        self._connection.execute("INSERT INTO pages VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", values)
        if entry.text:
            self._add_texts("page", [(row, entry.text)])
        for level, table in CROPS.items():
            numbered = list(enumerate(entry.crops(level), start=self.rows[level]))
            self._connection.executemany(
                f"INSERT INTO {table} VALUES (?,?,?,?,?,?,?,?,?,?)",
                [
                    (number, row, crop.panel, crop.name, crop.identity, *crop.box, crop.score)
                    for number, crop in numbered
                ],
            )
            if level == "panel":
                texts = [(number, crop.text) for number, crop in numbered if crop.text]
                self._add_texts("panel", texts)
            self.rows[level] += len(numbered)
        self.rows["page"] += 1

    def _add_texts(self, level: str, texts: Sequence[tuple[int, str]]) -> None:
        self._connection.executemany(f"INSERT INTO {level}_text VALUES (?,?)", texts)
        indexed = []
        for row, text in texts:
            parted = part(text)
            indexed.append((row, " ".join(w.word for w in parted.words), " ".join(w.word for w in parted.joined)))
        self._connection.executemany(f"INSERT INTO {level}_words(rowid, words, joined) VALUES (?,?,?)", indexed)

    def _count_words(self) -> None:
        """Where each word is, and the letters of those that may be looked for by likeness."""
        from comictool.vectors.postings import write_postings

        run = self._connection.execute
        for level in ("page", "panel"):
            run(f"INSERT INTO {level}_words({level}_words) VALUES ('optimize')")
            run(f"INSERT INTO text_counts SELECT ?, count(*), x'' FROM {level}_text", (level,))
            run(f"CREATE VIRTUAL TABLE temp.{level}_terms USING fts5vocab(main, {level}_words, row)")
        run("INSERT INTO words SELECT term, doc, 0 FROM page_terms")
        run(
            "INSERT INTO words SELECT term, 0, doc FROM panel_terms WHERE true"
            " ON CONFLICT (word) DO UPDATE SET panels = excluded.panels"
        )
        for level in ("page", "panel"):
            write_postings(self._connection, level, self.rows[level])
        of_length: dict[int, bytearray] = {}
        for (word,) in run("SELECT word FROM words"):
            if LEAST_LIKE <= len(word) <= MOST_LIKE:
                of_length.setdefault(len(word), bytearray()).extend(word.encode("utf-32-le"))
        self._connection.executemany("INSERT INTO vocabulary VALUES (?,?)", of_length.items())

    def close(self, states: Mapping[str, str] | None = None, facts: Mapping[str, ComicFacts] | None = None) -> None:
        """Finish the file; `states` are those of comics, see `ComicRows`, `facts` what is known of them."""
        with self._writable():
            self._count_words()
            self._connection.executemany(
                "INSERT INTO comic_facts VALUES (?,?,?)",
                [(comic, name, value) for comic, own in (facts or {}).items() for name, value in own.items()],
            )
            self._connection.execute(
                "INSERT INTO comics SELECT comic, min(row), count(*), min(first_panel), sum(panels),"
                " min(first_character), sum(characters), '' FROM pages GROUP BY comic"
            )
            told = [(state, comic) for comic, state in (states or {}).items()]
            self._connection.executemany("UPDATE comics SET state = ? WHERE comic = ?", told)
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
        except (sqlite3.IntegrityError, OverflowError) as error:  # of rows that a damaged store gave
            raise InputError(f"pages that no store can hold, from a damaged store: {error}") from error


class Metadata:
    """Reads a metadata file; use as a context manager. Any number of threads may read at once."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise InputError(f"the store is damaged: {file} is missing")
        self._file = file
        self._own = threading.local()  # a connection a thread: one that is shared would have them wait for each other
        self._opened: list[sqlite3.Connection] = []
        self._postings: dict[str, Postings] = {}
        with self._readable():
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        self.has_words = version >= USER_VERSION  # an index of folded words, and facts of comics

    @property
    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if found is None:
            # immutable: published files never change, so SQLite needs neither locks nor a journal beside the file
            address = f"file:{quote(str(self._file.resolve()))}?mode=ro&immutable=1"
            found = sqlite3.connect(address, uri=True, check_same_thread=False)  # closed by whoever closes the store
            found.executescript("PRAGMA trusted_schema=OFF; PRAGMA query_only=ON;")
            self._own.connection = found
            self._opened.append(found)
        return found

    def __enter__(self) -> Metadata:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        while self._opened:
            self._opened.pop().close()

    def counts(self) -> dict[str, int]:
        """How many rows each level has, and how many comics there are under `comic`."""
        tables = {"comic": "comics", "page": "pages", **CROPS}
        return {level: int(self._all(f"SELECT count(*) FROM {table}")[0][0]) for level, table in tables.items()}

    def comics(self, pattern: str | None = None) -> list[ComicRows]:
        """Comics in row order, or those whose name matches a shell pattern."""
        found = self._all("SELECT * FROM comics ORDER BY first_page")
        return [ComicRows(*row) for row in found if pattern is None or fnmatchcase(row[0], pattern)]

    def find_page(self, comic: str, page: int) -> PageRow | None:
        """A page by name."""
        rows = self._all("SELECT * FROM pages WHERE comic = ? AND page = ?", (comic, page))
        return _page(rows[0]) if rows else None

    def pages_of(self, comic: str) -> list[PageRow]:
        """The pages of a comic, in row order."""
        return [_page(row) for row in self._all("SELECT * FROM pages WHERE comic = ? ORDER BY row", (comic,))]

    def pages(self, rows: Iterable[int]) -> dict[int, PageRow]:
        """Pages by row."""
        sql = "SELECT * FROM pages WHERE row = ?"
        return {row: _page(found[0]) for row in rows if (found := self._all(sql, (row,)))}

    def first_rows(self, level: str) -> list[tuple[int, int]]:
        """For every page in row order the first of its rows at a level of crops, and how many there are."""
        return self._all(f"SELECT first_{level}, {CROPS[level]} FROM pages ORDER BY row")

    def crops(self, level: str, rows: Iterable[int]) -> dict[int, tuple[int, CropEntry]]:
        """Panels or characters by row, each with the row of its page; without text."""
        sql = f"SELECT * FROM {CROPS[level]} WHERE row = ?"
        return {row: (found[0][1], _crop(found[0])) for row in rows if (found := self._all(sql, (row,)))}

    def crops_of(self, level: str, page_row: int) -> list[tuple[int, CropEntry]]:
        """The panels or characters of a page with their rows, in row order; without text."""
        found = self._all(f"SELECT * FROM {CROPS[level]} WHERE page_row = ? ORDER BY row", (page_row,))
        return [(int(row[0]), _crop(row)) for row in found]

    def entry(self, page: PageRow) -> PageEntry:
        """All that is told of a page, with its panels, characters and text."""
        text = self._all("SELECT text FROM page_text WHERE rowid = ?", (page.row,))
        start, stop = page.range("panel")
        texts = dict(self._all("SELECT rowid, text FROM panel_text WHERE rowid >= ? AND rowid < ?", (start, stop)))
        panels = tuple(crop._replace(text=texts.get(row, "")) for row, crop in self.crops_of("panel", page.row))
        characters = tuple(crop for _, crop in self.crops_of("character", page.row))
        facts = (page.comic, page.page, page.fingerprint, *page[5:11])
        words = text[0][0] if text else ""
        return PageEntry(*facts, text=words, panels=panels, characters=characters, member=page.member)

    def all_pages(self) -> Iterator[PageRow]:
        """Every page in row order, one in memory at a time."""
        with self._readable():
            for row in self._connection.execute("SELECT * FROM pages ORDER BY row"):
                yield _page(row)

    def page_table(self) -> list[tuple[str, int, str, str, str, int, int, int, int]]:
        """Of every page in row order: comic, page, type, direction, split, first panel, panels, first character,
        characters."""
        return [
            (page.comic, page.page, page.type, page.direction, page.split, *page[11:15]) for page in self.all_pages()
        ]

    def identities(self) -> list[tuple[str, int, int]]:
        """Of every character in row order: identity, the row of its page, the number of its panel."""
        found = self._all("SELECT identity, page_row, panel FROM characters ORDER BY row")
        return [
            (str(name), page if isinstance(page, int) else -1, panel if isinstance(panel, int) else 0)
            for name, page, panel in found
        ]

    def entries(self) -> Iterator[PageEntry]:
        """Every page in row order with all that is told of it, one in memory at a time."""
        return (self.entry(page) for page in self.all_pages())

    def all_crops(self, level: str) -> Iterator[tuple[str, int, CropEntry]]:
        """Every panel or character in row order: its id, the row of its page, and itself; without text."""
        sql = f"SELECT c.*, comic FROM {CROPS[level]} AS c CROSS JOIN pages ON pages.row = page_row ORDER BY c.row"
        with self._readable():
            for row in self._connection.execute(sql):
                crop = _crop(row)
                yield crop.id(row[10]), row[1], crop

    def has_text(self) -> bool:
        """Whether any page has text."""
        return bool(self._all("SELECT 1 FROM page_text LIMIT 1"))

    def texts(self, level: str, start: int, stop: int) -> list[tuple[int, str]]:
        """The text of each of the rows `start..stop` of pages or panels that has any, with its row."""
        sql = f"SELECT rowid, text FROM {level}_text WHERE rowid >= ? AND rowid < ? ORDER BY rowid"
        return [(int(row), str(text)) for row, text in self._all(sql, (start, stop))]

    def facts(self) -> dict[str, dict[str, str]]:
        """What is known of each comic that anything is known of."""
        found: dict[str, dict[str, str]] = {}
        if self.has_words:
            for comic, name, value in self._all("SELECT comic, name, value FROM comic_facts"):
                found.setdefault(str(comic), {})[str(name)] = str(value)
        return found

    def said(self, level: str, rows: Iterable[int]) -> dict[int, str]:
        """The text of rows that have any, as it was read."""
        sql = f"SELECT text FROM {level}_text WHERE rowid = ?"
        return {row: str(found[0][0]) for row in rows if (found := self._all(sql, (row,)))}

    def text_rows(self, level: str) -> list[int]:
        """The rows that have text, ascending."""
        return [row for (row,) in self._all(f"SELECT rowid FROM {level}_text ORDER BY rowid")]

    def text_count(self, level: str) -> int:
        """How many rows have text."""
        found = self._all("SELECT texts FROM text_counts WHERE level = ?", (level,))
        return int(found[0][0]) if found else 0

    def rows_matching(
        self,
        level: str,
        expression: str,
        *,
        most: int = -1,
        ranges: Sequence[tuple[int, int]] = (),
        inside: np.ndarray | None = None,
    ) -> list[tuple[int, float]]:
        """Rows whose words match an expression of FTS5, best first, with BM25 (higher is better); equal ones by row.

        Args:
            most: how many of the best; all when negative.
            ranges: half-open ranges of rows to look at; all when empty.
            inside: (rows,) bool, the rows that count; all when None.

        Raises:
            InputError: the store is damaged, or the expression is none.
        """
        table = f"{level}_words"
        counted = ""
        if inside is not None:  # within the question, so that what does not count takes no place among the best
            flags = inside.tobytes()
            self._connection.create_function(
                "counts", 1, lambda row: row < len(flags) and flags[row], deterministic=True
            )
            counted = "AND counts(rowid)"
        found: list[tuple[int, float]] = []
        for start, stop in ranges or [(0, MOST_ROWS)]:
            sql = (
                f"SELECT rowid, -bm25({table}) AS score FROM {table} WHERE {table} MATCH ? AND rowid >= ? AND rowid < ?"
                f" {counted} ORDER BY score DESC, rowid LIMIT ?"
            )
            found += self._all(sql, (expression, start, stop, most))
        if len(ranges) > 1:
            found.sort(key=lambda one: (-one[1], one[0]))
        return [(row, round(float(score), 6)) for row, score in found[: most if most >= 0 else None]]

    def word_counts(self, level: str, words: Iterable[str]) -> dict[str, int]:
        """In how many rows each of these words is; only those that are in any."""
        sql = f"SELECT {level}s FROM words WHERE word = ?"
        counts = {word: int(found[0][0]) for word in words if (found := self._all(sql, (word,)))}
        return {word: count for word, count in counts.items() if count}

    def postings(self, level: str) -> Postings:
        """Where the words of pages or panels are; read when somebody asks."""
        if level not in self._postings:
            from comictool.vectors.postings import Postings

            counted = self._all("SELECT lengths FROM text_counts WHERE level = ?", (level,))
            lengths = counted[0][0] if counted and isinstance(counted[0][0], bytes) else b""
            sql = f"SELECT rows, times FROM words JOIN {level}_postings AS own ON own.word = words.rowid"

            def read(word: str) -> tuple[bytes, bytes] | None:
                found = self._all(f"{sql} WHERE words.word = ?", (word,))
                if found and not all(isinstance(blob, bytes) for blob in found[0]):
                    raise InputError(f"the store is damaged: {self._file}: rows of a word")
                return found[0] if found else None

            self._postings[level] = Postings(read, lengths, self.text_count(level))
        return self._postings[level]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words that may be meant by one that is like them; read when somebody asks."""
        from comictool.vectors.vocabulary import Vocabulary

        def read(length: int) -> bytes:
            found = self._all("SELECT words FROM vocabulary WHERE length = ?", (length,))
            return found[0][0] if found and isinstance(found[0][0], bytes) else b""

        return Vocabulary(read)

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


def _page(row: tuple) -> PageRow:
    # str(): SQLite keeps whatever type somebody put into a column
    numbers = [value if isinstance(value, int) and 0 <= value < MOST_ROWS else 0 for value in row]
    names = [str(value) for value in row]
    member = names[15] if row[15:16] not in ((), (None,)) else ""  # older files have none
    whole = [*numbers[:1], names[1], numbers[2], *names[3:6], *numbers[6:8], *names[8:11], *numbers[11:15], member]
    return PageRow._make(whole)


def _crop(row: tuple) -> CropEntry:
    x0, y0, x1, y1 = (value if isinstance(value, int) else 0 for value in row[5:9])
    score = row[9] if isinstance(row[9], float) else 0.0
    return CropEntry(str(row[3]), row[2] if isinstance(row[2], int) else 0, (x0, y0, x1, y1), score, str(row[4]))
