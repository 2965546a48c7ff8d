"""The items of an embedding job: chunks of neighbouring pages, and which of them already have true vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.jobs import JobOptions
from comictool.core.ledger import Ledger, stamp_of
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord
from comictool.search.entries import entry_of, fingerprint
from comictool.search.metadata import PageEntry
from comictool.search.parts import part_file, work_folder
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

    def entries(self, corpus: Corpus) -> list[PageEntry]:
        """Its pages as they are now; none when the comic's records cannot be read."""
        wanted = set(self.pages)
        try:
            return [entry_of(corpus, record) for record in corpus.pages(self.comic) if record.page in wanted]
        except InputError:
            return []  # the job reports it: its item fails with the reason


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
        self._store = Store.open(root) if published else None

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


def located(corpus: Corpus, root: Path, chunks: Sequence[Chunk]) -> Iterator[Located]:
    """The pages of chunks that have vectors, in order, with the place of these: first parts, then current contents."""
    with Have(root) as have:
        for chunk in chunks:
            part = PartSource(part_file(root, chunk.key))
            for entry in chunk.entries(corpus):
                number = part.find(entry)
                if number is not None:
                    yield Located(entry, part_name(chunk.key), number)
                elif (row := have.row(entry)) is not None:
                    yield Located(entry, CURRENT, row)


def forget_lost(
    corpus: Corpus, root: Path, job: str, chunks: Sequence[Chunk], settings: Mapping[str, Any], options: JobOptions
) -> None:
    """Make the ledger forget chunks whose vectors are gone: a comic that left the corpus and came back."""
    ledger = Ledger(work_folder(root), job, options.shard)
    if options.resume == "never" or not ledger.path.exists():
        return
    with ledger.writing():
        for chunk in chunks:
            entry = ledger.entries.get(chunk.key)
            if entry is None or entry.status != "done" or entry.stamp != stamp_of(chunk.fingerprint, settings):
                continue
            there = sum(1 for _ in located(corpus, root, [chunk]))
            if there < entry.summary.get("pages", 0):
                ledger.forget(chunk.key)
