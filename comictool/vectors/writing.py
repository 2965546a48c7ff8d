"""Writing arrays of vectors and names, whole shards at a time, through the zarr library.

The chunks hold plain little-endian numbers (codec `bytes`, no compression), so that a chunk file is a memory-mapped
matrix (`comictool.vectors.rows`), and any zarr library reads the same files.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from comictool.vectors.columns import ABSENT, DTYPES, PRESENT, Column
from comictool.vectors.metadata import CROPS, Metadata
from comictool.vectors.rows import SCALES

SHARD_BYTES = 8 << 20  # about 10,000 float16 rows of 384: 1,000,000 panels are 100 files, and any file copies quickly
ID_SHARD_ROWS = 65_536


class ColumnWriter:
    """Writes a new column from its first row to its last: vectors, and beside them what became of each row.

    Args:
        folder: a new one.
        column: what it is.
        rows: at its level.
        where: the store, for sentences.
    """

    def __init__(self, folder: Path, column: Column, rows: int, where: str) -> None:
        import zarr

        zarr.open_group(folder, mode="w")
        kind, views = DTYPES[column.dtype], len(column.views)
        # A column smaller than a shard gets a shard of its own size: zarr fills the last one up on disk.
        self._shard_rows = max(1, min(rows * views, SHARD_BYTES // (column.dimension * kind.itemsize)))
        shape, shards = (rows * views, column.dimension), (self._shard_rows, column.dimension)
        # Not a number where nothing was written, so that a row of zeros is still written like any other.
        self._array = create_array(
            folder / "vectors", shape, shards, kind, fill=float("nan") if kind.kind == "f" else 0
        )
        self._scales: list[np.ndarray] = []
        self._buffer = np.empty((self._shard_rows, column.dimension), kind)
        self._held = self._written = self._row = 0
        self._folder, self._column, self._where = folder, column, where
        self._states = np.full(rows, ABSENT, np.uint8)
        self._digest = blake2b(digest_size=12)

    def add(self, vectors: np.ndarray, states: np.ndarray) -> None:
        """Append rows.

        Args:
            vectors: (n * views, D), the views of a page one after the other; anything for rows that are not present.
            states: (n,) of `ABSENT`, `PRESENT`, `LOST`.

        Raises:
            InputError: a vector is not what the column holds.
        """
        coded = self._buffer.dtype.kind != "f"
        with np.errstate(over="ignore"):
            rows = np.array(vectors, np.float32 if coded else self._buffer.dtype).reshape(-1, self._column.dimension)
        present = np.repeat(states == PRESENT, len(self._column.views))
        if not present.all():
            rows[~present] = 0
        self._column.check(rows[present], self._where)
        if coded:
            rows, scales = as_int8(rows)
            self._scales.append(scales)
            self._digest.update((rows.astype(np.float32) * scales[:, None]).data)  # as it is read
        else:
            self._digest.update(rows.data)
        self._states[self._row : self._row + len(states)] = states
        self._row += len(states)
        while len(rows):
            count = min(len(rows), self._shard_rows - self._held)
            self._buffer[self._held : self._held + count] = rows[:count]
            self._held += count
            rows = rows[count:]
            if self._held == self._shard_rows:
                self._flush()

    def close(self) -> str:
        """Write what is left; returns the column's fingerprint."""
        if self._held:
            self._flush()
        if self._row != len(self._states):
            raise AssertionError(f"{self._row} rows written of {len(self._states)}")
        _write_whole(self._folder / "state", self._states)
        if self._buffer.dtype.kind != "f":
            _write_whole(self._folder / SCALES, np.concatenate([np.zeros(0, np.float32), *self._scales]))
        self._digest.update(self._states.data)
        return self._digest.hexdigest()

    def _flush(self) -> None:
        self._array[self._written : self._written + self._held] = self._buffer[: self._held]
        self._written += self._held
        self._held = 0


def as_int8(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) float32 as int8, and (N,) float32 by which to multiply: each row's largest number becomes 127, and its
    length stays what it was. Rows of zeros have the scale 0.
    """
    largest = np.abs(rows).max(axis=1, initial=0.0).astype(np.float64)
    codes = np.rint(rows * (127 / np.maximum(largest, 1e-30))[:, None]).astype(np.int8)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    of_codes = np.sqrt(np.einsum("nd,nd->n", codes, codes, dtype=np.float64))
    return codes, (lengths / np.maximum(of_codes, 1e-30)).astype(np.float32)


class IdWriter:
    """Fills a new array of texts, some ten thousand at a time."""

    def __init__(self, folder: Path, rows: int) -> None:
        self._array = create_array(folder, (rows,), (max(1, min(rows, ID_SHARD_ROWS)),), str, fill="")
        self._held: list[str] = []
        self._written = 0

    def __enter__(self) -> IdWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()

    def add(self, text: str) -> None:
        self._held.append(text)
        if len(self._held) == ID_SHARD_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            stop = self._written + len(self._held)
            self._array[self._written : stop] = np.array(self._held, dtype=object)
            self._written, self._held = stop, []


def create_array(folder: Path, shape: tuple[int, ...], shards: tuple[int, ...], dtype: Any, *, fill: Any) -> Any:
    """A new array without compression, for which what is not written is `fill`."""
    import zarr

    return zarr.create_array(
        folder,
        shape=shape,
        chunks=shards,
        dtype=dtype,
        compressors=None,
        filters=None if dtype is not str else "auto",
        fill_value=fill,
        config={"write_empty_chunks": True},
    )


def write_pointers(contents: Path, metadata: Metadata) -> None:
    """Write the groups of a version: ids, rows of pages, offsets and boxes, as the metadata file has them."""
    import zarr

    counts = metadata.counts()
    root = zarr.open_group(contents, mode="a")
    for group in ("pages", *CROPS.values()):
        root.create_group(group)
    firsts = {level: np.full(counts["page"] + 1, counts[level], np.int64) for level in CROPS}
    with IdWriter(contents / "pages" / "ids", counts["page"]) as ids:
        for page in metadata.all_pages():
            ids.add(page.id)
            firsts["panel"][page.row], firsts["character"][page.row] = page.first_panel, page.first_character
    for level, group in CROPS.items():
        _write_whole(contents / "pages" / f"{level}_offsets", firsts[level])
        page_row = np.empty(counts[level], np.int64)
        boxes = np.empty((counts[level], 4), np.int32)
        with IdWriter(contents / group / "ids", counts[level]) as ids:
            for row, (name, page_of, crop) in enumerate(metadata.all_crops(level)):
                page_row[row], boxes[row] = page_of, crop.box
                ids.add(name)
        _write_whole(contents / group / "page_row", page_row)
        _write_whole(contents / group / "box", boxes)


def _write_whole(folder: Path, values: np.ndarray) -> None:
    array = create_array(folder, values.shape, tuple(max(1, size) for size in values.shape), values.dtype, fill=0)
    if values.size:
        array[...] = values
