"""The items of an embedding job: chunks of neighbouring pages, and which of them already have true vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.ledger import Ledger, stamp_of
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord
from comictool.search.entries import entry_of, fingerprint
from comictool.search.metadata import PageEntry
from comictool.search.parts import part_file
from comictool.search.publish import CURRENT, Located
from comictool.search.sources import PartSource, part_name
from comictool.search.store import Store, read_head

CHUNK_PAGES = 32  # what a kill can cost: some ten seconds of a slow encoder on a processor
CHUNK_PANELS = 256


@dataclass(frozen=True)
class Chunk:
    """Some neighbouring pages of one comic. Without pages: the comic's records cannot be read."""

    comic: str
    pages: tuple[int, ...]
    fingerprint: str

    @property
    def key(self) -> str:
        """Name of the chunk among all of the corpus."""
        return f"{self.comic}/{self.pages[0]}-{self.pages[-1]}" if self.pages else f"{self.comic}/"


class Records:
    """The page records of a corpus; those of the last comic are kept, because its chunks come one after the other."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._comic: str | None = None
        self._pages: list[PageRecord] = []

    def pages(self, chunk: Chunk) -> list[PageRecord]:
        """The records of a chunk's pages.

        Raises:
            InputError: the comic is gone or its records are damaged.
        """
        if chunk.comic != self._comic:
            self._pages = self.corpus.pages(chunk.comic)
            self._comic = chunk.comic
        wanted = set(chunk.pages)
        return [record for record in self._pages if record.page in wanted]

    def entries(self, chunk: Chunk) -> list[PageEntry]:
        """A chunk's pages as they are now; none when they cannot be read, which the job reports."""
        try:
            return [entry_of(self.corpus, record) for record in self.pages(chunk)]
        except InputError:
            return []


def chunks_of(corpus: Corpus) -> list[Chunk]:
    """All chunks of a corpus, in its order; the same as long as its pages and panels are the same."""
    chunks = []
    for comic in corpus.comics():
        try:
            records = corpus.pages(comic)
        except InputError:
            chunks.append(Chunk(comic, (), "unreadable"))
            continue
        for group in _groups(records):
            marks = [fingerprint(corpus, record) for record in group]
            together = blake2b("/".join(marks).encode("ascii"), digest_size=12).hexdigest()
            chunks.append(Chunk(comic, tuple(record.page for record in group), together))
    return chunks


def _groups(records: Sequence[PageRecord]) -> Iterator[list[PageRecord]]:
    group: list[PageRecord] = []
    panels = 0
    for record in records:
        if group and (len(group) == CHUNK_PAGES or panels + len(record.panels) > CHUNK_PANELS):
            yield group
            group, panels = [], 0
        group.append(record)
        panels += len(record.panels)
    if group:
        yield group


class Have:
    """Which pages the current contents of a store have vectors of; use as a context manager."""

    def __init__(self, root: Path, *, ignore: bool = False) -> None:
        published = not ignore and (root / "zarr.json").exists() and read_head(root).current
        try:
            self._store = Store.open(root) if published else None
        except InputError as error:
            hint = "--resume never embeds everything again and replaces what is damaged"
            raise InputError(error.fact, cause=error.cause, hint=hint) from error

    def __enter__(self) -> Have:
        return self

    def __exit__(self, *_: object) -> None:
        if self._store is not None:
            self._store.metadata.close()

    @property
    def nothing(self) -> bool:
        """Whether there are none at all."""
        return self._store is None

    def row(self, entry: PageEntry) -> int | None:
        """The row of this very version of a page."""
        found = self._store.metadata.find_page(entry.comic, entry.page) if self._store is not None else None
        return found.row if found is not None and found.fingerprint == entry.fingerprint else None


def located(
    corpus: Corpus, root: Path, chunks: Sequence[Chunk], *, ignore: bool = False
) -> Iterator[tuple[Chunk, Located]]:
    """The pages of chunks that have vectors, in order, with the place of these.

    Parts come before the current contents; `ignore` leaves the latter out.
    """
    records = Records(corpus)
    with Have(root, ignore=ignore) as have:
        for chunk in chunks:
            part = PartSource(part_file(root, chunk.key))
            for entry in records.entries(chunk):
                number = part.find(entry)
                if number is not None:
                    yield chunk, Located(entry, part_name(chunk.key), number)
                elif (row := have.row(entry)) is not None:
                    yield chunk, Located(entry, CURRENT, row)


def forget_lost(
    corpus: Corpus, root: Path, ledger: Ledger, chunks: Sequence[Chunk], settings: Mapping[str, Any]
) -> None:
    """Make the ledger forget chunks whose vectors are gone: a comic that left the corpus and came back."""
    with ledger.writing():
        claimed = []
        for chunk in chunks:
            entry = ledger.entries.get(chunk.key)
            if entry is not None and entry.status == "done" and entry.stamp == stamp_of(chunk.fingerprint, settings):
                claimed.append(chunk)
        found = Counter(chunk.key for chunk, _ in located(corpus, root, claimed))
        for chunk in claimed:
            if found[chunk.key] < ledger.entries[chunk.key].summary.get("pages", 0):
                ledger.forget(chunk.key)
