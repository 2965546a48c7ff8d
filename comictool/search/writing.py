"""Writing the arrays of one version of a store's contents, whole shards at a time, through the zarr library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from comictool.search.metadata import Metadata
from comictool.search.shards import DTYPES

SHARD_BYTES = 8 << 20  # about 10,000 float16 rows of 384: 1,000,000 panels are 100 files, and any file copies quickly
ID_SHARD_ROWS = 65_536


class RowWriter:
    """Fills a new `(rows, dimension)` array from its start, in pieces of any length."""

    def __init__(self, folder: Path, rows: int, dimension: int, dtype: str) -> None:
        kind = DTYPES[dtype]
        # A store smaller than a shard gets a shard of its own size: zarr fills the last one up on disk.
        self._shard_rows = max(1, min(rows, SHARD_BYTES // (dimension * kind.itemsize)))
        # Not a number where nothing was written, so that a row of zeros is still written like any other.
        self._array = _create(folder, (rows, dimension), (self._shard_rows, dimension), kind, fill=float("nan"))
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


def create_groups(contents: Path) -> None:
    """Make the groups that the arrays of one version lie in."""
    import zarr

    root = zarr.open_group(contents, mode="w")
    for name in ("panels", "pages"):
        root.create_group(name)


def write_pointers(contents: Path, metadata: Metadata) -> None:
    """Write ids, page rows, panel offsets and boxes, as the metadata file has them."""
    pages, panels = contents / "pages", contents / "panels"
    _, page_count, panel_count = metadata.counts()
    offsets = np.empty(page_count + 1, np.int64)
    page_row = np.empty(panel_count, np.int64)
    boxes = np.empty((panel_count, 4), np.int32)
    offsets[-1] = panel_count
    with _IdWriter(pages / "ids", page_count) as ids:
        for row, (name, first_panel) in enumerate(metadata.page_names()):
            offsets[row] = first_panel
            ids.add(name)
    with _IdWriter(panels / "ids", panel_count) as ids:
        for row, (name, page, box) in enumerate(metadata.panel_names()):
            page_row[row], boxes[row] = page, box
            ids.add(name)
    for folder, values in (
        (pages / "panel_offsets", offsets),
        (panels / "page_row", page_row),
        (panels / "box", boxes),
    ):
        array = _create(folder, values.shape, tuple(max(1, size) for size in values.shape), values.dtype, fill=0)
        if values.size:
            array[...] = values


class _IdWriter:
    """Fills a new array of texts, some ten thousand at a time."""

    def __init__(self, folder: Path, rows: int) -> None:
        self._array = _create(folder, (rows,), (max(1, min(rows, ID_SHARD_ROWS)),), str, fill="")
        self._held: list[str] = []
        self._written = 0

    def __enter__(self) -> _IdWriter:
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


def _create(folder: Path, shape: tuple[int, ...], shards: tuple[int, ...], dtype: Any, *, fill: Any) -> Any:
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
