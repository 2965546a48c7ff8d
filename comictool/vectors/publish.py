"""Publishing: the one way by which rows and columns of a store become current, in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from comictool.vectors.columns import LEVELS
from comictool.vectors.metadata import ComicFacts, Metadata, MetadataWriter, PageEntry
from comictool.vectors.store import Head, next_column, next_contents, read_head, remove_unused, write_head
from comictool.vectors.writing import ColumnWriter, write_pointers

Blocks = Iterable[tuple[np.ndarray, np.ndarray]]
"""`(n * views, D)` vectors and `(n,)` states of neighbouring rows, as `ColumnWriter.add` takes them."""


def publish(
    root: Path,
    head: Head,
    *,
    entries: Iterable[PageEntry] | None = None,
    blocks: Mapping[str, Callable[[], Blocks]] | None = None,
    states: Mapping[str, str] | None = None,
    facts: Mapping[str, ComicFacts] | None = None,
) -> Head:
    """Make rows and columns current; a kill at any moment leaves the store as it was.

    Args:
        root: the store; the caller holds its lock.
        head: what it is to be; `current`, `digest` and the folders of columns are filled in here.
        entries: the pages that are the rows, in natural order, each once; None: the rows stay.
        blocks: by the names of columns, what gives all their rows in order; a column that is not named keeps those it
            has, which must be rows of the same pages, panels or characters.
        states: of comics; see `comictool.vectors.metadata.ComicRows`.
        facts: what is known of comics; like `states` only of use together with `entries`.

    Returns:
        The head that is current now.
    """
    old = read_head(root) if (root / "zarr.json").exists() else Head()
    contents = root / old.current if entries is None else next_contents(root)
    made = [contents] if entries is not None else []
    try:
        if entries is not None:
            contents.mkdir(parents=True)
            head = replace(head, current=contents.name, digest=_write_rows(contents, entries, states, facts))
        else:
            head = replace(head, current=old.current, digest=old.digest)
        with Metadata(contents / "metadata.sqlite") as metadata:
            counts = metadata.counts()
        columns = []
        for column in sorted(head.columns, key=lambda column: (LEVELS.index(column.level), column.modality)):
            give = (blocks or {}).get(column.name)
            before = old.column(column.name)
            if give is None and entries is None and before is not None:
                columns.append(replace(column, folder=before.folder, fingerprint=before.fingerprint))
                continue
            folder = next_column(root, contents.name, column)
            made.append(root / folder)
            if give is None:
                assert before is not None, column.name
                _link(root / before.folder, root / folder)
                fingerprint = before.fingerprint
            else:
                writer = ColumnWriter(root / folder, column, counts[column.level], str(root))
                for block in give():
                    writer.add(*block)
                fingerprint = writer.close()
            columns.append(replace(column, folder=folder, fingerprint=fingerprint))
        head = replace(head, columns=tuple(columns))
        write_head(root, head)
    except BaseException:
        for unfinished in made:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise
    remove_unused(root, head)
    return head


def _write_rows(
    contents: Path,
    entries: Iterable[PageEntry],
    states: Mapping[str, str] | None,
    facts: Mapping[str, ComicFacts] | None,
) -> str:
    digest = blake2b(digest_size=16)
    writer = MetadataWriter(contents / "metadata.sqlite")
    for entry in entries:
        writer.add(entry)
        digest.update(entry.digest.encode("ascii"))
    writer.close(states, facts)
    with Metadata(contents / "metadata.sqlite") as metadata:
        write_pointers(contents, metadata)
    return digest.hexdigest()


def _link(before: Path, folder: Path) -> None:
    """The same column in new contents: files that never change need no second copy."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:  # a file system without hard links
            shutil.copy2(source, target)

    shutil.copytree(before, folder, copy_function=link)


def joined(blocks: Iterator[tuple[np.ndarray, np.ndarray]], least: int = 256) -> Blocks:
    """Small blocks as larger ones, since each costs some microseconds to check and to write."""
    vectors: list[np.ndarray] = []
    states: list[np.ndarray] = []
    rows = 0
    for some, state in blocks:
        vectors.append(some)
        states.append(state)
        rows += len(state)
        if rows >= least:
            yield np.concatenate(vectors), np.concatenate(states)
            vectors, states, rows = [], [], 0
    if states:
        yield np.concatenate(vectors), np.concatenate(states)
