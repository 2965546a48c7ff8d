"""Writing arrays of vectors and names, whole shards at a time, through the zarr library.

The chunks hold plain little-endian numbers (codec `bytes`, no compression), so that a chunk file is a memory-mapped
matrix (`comictool.search.shards`), and any zarr library reads the same files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

DTYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
SHARD_BYTES = 8 << 20  # about 10,000 float16 rows of 384: 1,000,000 panels are 100 files, and any file copies quickly
ID_SHARD_ROWS = 65_536


class RowWriter:
    """Fills a new `(rows, dimension)` array from its start, in pieces of any length."""

    def __init__(self, folder: Path, rows: int, dimension: int, dtype: str) -> None:
        kind = DTYPES[dtype]
        # A store smaller than a shard gets a shard of its own size: zarr fills the last one up on disk.
        self._shard_rows = max(1, min(rows, SHARD_BYTES // (dimension * kind.itemsize)))
        # Not a number where nothing was written, so that a row of zeros is still written like any other.
        self._array = create_array(folder, (rows, dimension), (self._shard_rows, dimension), kind, fill=float("nan"))
        self._buffer = np.empty((self._shard_rows, dimension), kind)
        self._held = 0
        self.written = 0

    def add(self, block: np.ndarray) -> None:
        """Append rows."""
        while len(block):
            count = min(len(block), self._shard_rows - self._held)
            self._buffer[self._held : self._held + count] = block[:count]
            self._held += count
            block = block[count:]
            if self._held == self._shard_rows:
                self._flush()

    def close(self) -> None:
        """Write what is left."""
        if self._held:
            self._flush()

    def _flush(self) -> None:
        self._array[self.written : self.written + self._held] = self._buffer[: self._held]
        self.written += self._held
        self._held = 0


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
