"""Publishing: writing one complete new version of a store's contents from the vectors that lie in parts and stores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np

from comictool.search.metadata import Metadata, MetadataWriter, PageEntry
from comictool.search.store import (
    FOLDERS,
    MODALITY,
    StoreHead,
    next_contents,
    read_head,
    remove_other_contents,
    write_head,
)
from comictool.search.writing import RowWriter, create_groups, write_pointers

CURRENT = ""  # the source that is the current contents of the store itself


class Source(Protocol):
    """Something that has the vectors of pages."""

    def rows(self, level: str, page: int) -> np.ndarray:
        """All vectors that the page with this number, counted within the source, has at a level."""


@dataclass(frozen=True)
class Located:
    """A page as it is to be published, and where its vectors are: a source, and the page's number within it."""

    entry: PageEntry
    source: str
    page: int


@dataclass(frozen=True)
class Published:
    """What a store holds after publishing; `fresh` is false when that was so before."""

    comics: int
    pages: int
    panels: int
    fresh: bool


def publish(root: Path, head: StoreHead, pages: Iterable[Located], open_source: Callable[[str], Source]) -> Published:
    """Make the given pages, in this order, the contents of a store. Does nothing when they are already.

    Args:
        root: the store; `zarr.json` is there.
        head: its settings; `current` and `digest` are replaced.
        pages: in natural order of comic and page, each once.
        open_source: opens a source by its name; neighbouring pages of one source open it once.
    """
    contents = next_contents(root)
    contents.mkdir(parents=True)
    try:
        create_groups(contents)
        plan = contents / "sources.jsonl"
        digest, moved = _write_metadata(contents / "metadata.sqlite", plan, pages)
        with Metadata(contents / "metadata.sqlite") as metadata:
            counts = metadata.counts()
            previous = read_head(root)
            if previous.current and not moved and previous.digest == digest and previous.settings == head.settings:
                shutil.rmtree(contents)
                remove_other_contents(root, previous.current)
                return Published(*counts, fresh=False)
            write_pointers(contents, metadata)
        _write_vectors(contents, head, plan, counts, open_source)
        plan.unlink()
        write_head(root, replace(head, current=contents.name, digest=digest))
    except BaseException:
        shutil.rmtree(contents, ignore_errors=True)
        raise
    remove_other_contents(root, contents.name)
    return Published(*counts, fresh=True)


def _write_metadata(file: Path, plan: Path, pages: Iterable[Located]) -> tuple[str, bool]:
    """Write metadata and the list of sources in row order.

    Returns a digest of the metadata, and whether anything comes from elsewhere than the current contents.
    """
    digest = blake2b(digest_size=16)
    moved = False
    writer = MetadataWriter(file)
    with open(plan, "w", encoding="utf-8") as stream:
        for located in pages:
            entry = located.entry
            if entry.row >= 0:  # where it lay in another store says nothing here
                panels = tuple(replace(panel, row=-1) for panel in entry.panels)
                entry = replace(entry, panels=panels, row=-1, first_panel=-1, panel_count=-1)
            writer.add(entry)
            digest.update(repr(entry).encode("utf-8"))
            moved = moved or located.source != CURRENT
            stream.write(json.dumps([located.source, located.page]) + "\n")
    writer.close()
    return digest.hexdigest(), moved


def _write_vectors(
    contents: Path, head: StoreHead, plan: Path, counts: tuple[int, int, int], open_source: Callable[[str], Source]
) -> None:
    settings = head.settings
    _, pages, panels = counts
    rows = {"panel": panels, "page": pages * len(settings.views)}
    writers = {
        level: RowWriter(contents / FOLDERS[level] / MODALITY, rows[level], settings.dimension, settings.dtype)
        for level in settings.levels
    }
    for source, page in _opened(plan, open_source):
        for level, writer in writers.items():
            writer.add(source.rows(level, page))
    for level, writer in writers.items():
        writer.close()
        if writer.written != rows[level]:
            raise AssertionError(f"{writer.written} vectors for {rows[level]} rows of {level}s")


def _opened(plan: Path, open_source: Callable[[str], Source]) -> Iterator[tuple[Source, int]]:
    name: str | None = None
    source: Source | None = None
    with open(plan, encoding="utf-8") as stream:
        for line in stream:
            wanted, page = json.loads(line)
            if source is None or wanted != name:
                name, source = wanted, open_source(wanted)
            yield source, page
