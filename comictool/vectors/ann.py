"""An index of the rows of a column for approximate search: a graph (HNSW, https://arxiv.org/abs/1603.09320) by usearch.

```
CACHE/ann/KEY/rows.usearch     rows as int8, each by its own scale; keys are numbers of rows
CACHE/ann/KEY/index.json       of which column it is, how large, how good
```
KEY is a digest of the column's fingerprint, which changes with its numbers, so that an index of other vectors is never
met. It lies in the user's cache and not in the store: usearch believes what a file says and a forged one could crash
it, or worse; from the cache only files are opened that this user alone can write. They are mapped, not read.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from comictool.core.errors import ComicError, SetupError
from comictool.core.files import read_json, replaced_folder, write_json
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.core.typed import typed
from comictool.core.workers import cores
from comictool.vectors.cache import default_cache

if TYPE_CHECKING:
    from comictool.vectors.store import OpenColumn

INSTALL = "pip install 'comictool[ann]'"
ROWS, FACTS = "rows.usearch", "index.json"
VERSION = 1
NEIGHBOURS, EXPANSION = 16, 128  # of a row in the graph; looked at when one is added: the defaults of usearch
BLOCK_ROWS = 8192
MOST_FACTS = 1 << 16


@dataclass(frozen=True)
class Facts:
    """What is known of an index.

    Attributes:
        store, column: where the vectors were when it was made.
        rows, dimension: of the column, all views, also rows that are absent.
        count: rows that are in it.
        bytes: of its file.
        recall, low, high: share of the 10 nearest of a row that are found, with its 95 % interval.
        asked: rows that were asked for it.
        seconds: that making it took.
    """

    store: str
    column: str
    rows: int
    dimension: int
    count: int
    bytes: int
    recall: float = 0.0
    low: float = 0.0
    high: float = 0.0
    asked: int = 0
    seconds: float = 0.0
    version: int = VERSION


class RowIndex:
    """An open index; any number of threads may ask."""

    def __init__(self, index: Any, facts: Facts) -> None:
        self._index, self.facts = index, facts
        self._lock = Lock()  # usearch keeps what a search is at by the number of its thread, here always the same

    def search(self, query: np.ndarray, count: int) -> np.ndarray:
        """(n,) int64 numbers of about the `count` rows nearest to a (D,) vector, n <= count, in no certain order."""
        asked = as_int8(query[None])[0]
        with self._lock:
            found = self._index.search(asked, min(count, self.facts.count), threads=1).keys
        rows = np.array(found).astype(np.int64)
        return rows[(rows >= 0) & (rows < self.facts.rows)]


def as_int8(vectors: np.ndarray) -> np.ndarray:
    """(n, D) int8 in the direction of each vector, its largest number 127; cosines ask for no more."""
    wide = np.asarray(vectors, np.float32)
    largest = np.abs(wide).max(axis=1, keepdims=True)
    return np.rint(wide * (127 / np.maximum(largest, np.float32(1e-12)))).astype(np.int8)


def installed() -> bool:
    """Whether usearch is there."""
    return find_spec("usearch") is not None


def index_folder(opened: OpenColumn) -> Path:
    """Where the index of a column is or would be."""
    column = opened.column
    said = f"{VERSION} {column.fingerprint} {opened.rows.rows} {column.dimension} {column.dtype} {len(column.views)}"
    return default_cache().parent / "ann" / blake2b(said.encode(), digest_size=16).hexdigest()


def open_index(opened: OpenColumn) -> RowIndex | None:
    """The index of a column as it is now; None when there is none, when it cannot be trusted, or without usearch."""
    folder = index_folder(opened)
    if not opened.column.fingerprint or not (folder / FACTS).is_file() or not installed():
        return None
    if not all(_is_ours(path) for path in (folder.parent, folder, folder / ROWS, folder / FACTS)):
        return None
    try:
        facts = typed(Facts, read_json(folder / FACTS, most_bytes=MOST_FACTS), str(folder / FACTS))
        size = (folder / ROWS).stat().st_size
    except (ComicError, OSError):
        return None
    same = (facts.version, facts.rows, facts.dimension) == (VERSION, opened.rows.rows, opened.column.dimension)
    if not same or size != facts.bytes or not 0 < facts.count <= facts.rows:
        return None
    index = _empty(facts.dimension)
    try:
        index.view(str(folder / ROWS))
    except Exception:  # whatever usearch says of a file it does not like
        return None
    return RowIndex(index, facts) if (len(index), index.ndim) == (facts.count, facts.dimension) else None


def write_index(
    opened: OpenColumn, store: Path, measured: Callable[[RowIndex, Facts], Facts], progress: Progress | None = None
) -> Facts:
    """Make the index of a column; whole or absent, whenever the process ends.

    Args:
        measured: asked for how good it is before it is published.

    Raises:
        SetupError: usearch is not installed, or the cache cannot be written.
        InputError: another process is making it.
    """
    if not installed():
        raise SetupError("an approximate index needs usearch", hint=INSTALL)
    folder = index_folder(opened)
    views, dimension = len(opened.column.views), opened.column.dimension
    progress = progress or Progress()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.parent.chmod(0o700)
        with Ledger(folder.parent, "indexing").writing(), replaced_folder(folder) as new:
            new.chmod(0o700)
            index = _empty(dimension)
            progress.start("indexing vectors", opened.rows.rows)
            for first, block in opened.rows.blocks(0, opened.rows.rows, BLOCK_ROWS):
                rows = np.arange(first, first + len(block))
                there = opened.present[rows // views]
                if there.any():
                    index.add(rows[there].astype(np.uint64), as_int8(block[there]), threads=cores())
                progress.advance(len(block))
            progress.finish()
            index.save(str(new / ROWS))
            size = (new / ROWS).stat().st_size
            facts = Facts(str(store.resolve()), opened.column.name, opened.rows.rows, dimension, len(index), size)
            facts = measured(RowIndex(index, facts), facts)
            write_json(new / FACTS, asdict(facts))
            for file in (ROWS, FACTS):
                (new / file).chmod(0o600)
    except OSError as error:
        raise SetupError(f"no index can be written to {folder.parent}: {error.strerror}") from error
    _remove_older(folder, facts)
    return facts


def _empty(dimension: int) -> Any:
    from usearch.index import Index

    return Index(
        ndim=dimension,
        metric="cos",
        dtype="i8",
        connectivity=NEIGHBOURS,
        expansion_add=EXPANSION,
        enable_key_lookups=False,  # else opening walks through all rows
    )


def _is_ours(path: Path) -> bool:
    """Whether this user alone can write what lies there, and it is no link."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return not stat.S_ISLNK(facts.st_mode)
    return not stat.S_ISLNK(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o022


def _remove_older(folder: Path, now: Facts) -> None:
    """Remove indices of what this column held before."""
    for file in folder.parent.glob(f"*/{FACTS}"):
        if file.parent == folder:
            continue
        try:
            facts = typed(Facts, read_json(file, most_bytes=MOST_FACTS), str(file))
        except ComicError:
            continue
        if (facts.store, facts.column) == (now.store, now.column):
            shutil.rmtree(file.parent, ignore_errors=True)
