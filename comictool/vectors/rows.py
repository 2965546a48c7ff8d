"""Rows of vectors: those of a store, read straight from its shard files, and those that lie in memory.

A store's arrays are zarr v3 arrays whose chunks hold plain little-endian numbers (codec `bytes`, no compression), so a
chunk file is a memory-mapped matrix. Reading it so costs no import of zarr (0.25 s of every query) and no copy; any
zarr library reads the same files. Compression would save 8 % on unit vectors and cost twice the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from comictool.core.errors import InputError
from comictool.core.files import read_json
from comictool.vectors.columns import DTYPES, MAX_DIMENSION

MAX_HEADER_BYTES = 1 << 20
SCALES = "scales"  # beside the vectors of a column of int8


class Rows(Protocol):
    """A `(rows, dimension)` array of float16 or float32, wherever it lies."""

    @property
    def rows(self) -> int:
        """How many."""

    @property
    def dimension(self) -> int:
        """Numbers in each."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""

    def blocks(self, start: int, stop: int, most: int) -> Iterator[tuple[int, np.ndarray]]:
        """Views of the rows `start..stop` in order, at most `most` rows each, as `(first row, rows)`."""

    def take(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Copy of single rows in the order given, in the stored type."""


class MemoryRows:
    """Rows that lie in memory: `(rows, dimension)`."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors
        self.rows, self.dimension = (int(size) for size in vectors.shape)
        self.dtype: np.dtype[Any] = vectors.dtype

    def blocks(self, start: int, stop: int, most: int) -> Iterator[tuple[int, np.ndarray]]:
        """See `Rows`."""
        for first in range(start, stop, most):
            yield first, self.vectors[first : min(stop, first + most)]

    def take(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """See `Rows`."""
        taken: np.ndarray = self.vectors[np.asarray(rows, np.int64)]
        return taken


class RowArray:
    """A `(rows, dimension)` array on disk, mapped shard by shard: float16, float32, or int8, which is read as float32.

    Raises:
        InputError: not such an array, or a shard is missing or has the wrong size.
    """

    def __init__(self, folder: Path) -> None:
        header = read_header(folder / "zarr.json", "array")
        try:
            rows, dimension = header["shape"]
            shard_rows, shard_columns = header["chunk_grid"]["configuration"]["chunk_shape"]
            dtype = DTYPES[header["data_type"]]
            plain = [codec["name"] for codec in header["codecs"]] == ["bytes"]
            endian = header["codecs"][0].get("configuration", {}).get("endian")
            little = endian == "little" or (dtype.itemsize == 1 and endian is None)
            separator = header["chunk_key_encoding"].get("configuration", {}).get("separator", "/")
            regular = header["chunk_grid"]["name"] == "regular" and header["chunk_key_encoding"]["name"] == "default"
            usual = all(type(n) is int for n in (rows, dimension, shard_rows, shard_columns))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise InputError(
                f"{folder} is not an array of vectors", cause=f"{type(error).__name__}: {error}"
            ) from error
        if not (plain and little and regular and usual and separator == "/" and shard_columns == dimension):
            raise InputError(f"{folder} is not stored as plain whole-row shards", cause="another tool rewrote it")
        if not (rows >= 0 and 1 <= dimension <= MAX_DIMENSION and shard_rows >= 1):
            raise InputError(f"{folder} declares an impossible shape: {rows} x {dimension}")
        self.folder = folder
        self.rows: int = rows
        self.dimension: int = dimension
        self.stored = dtype
        self.dtype = dtype if dtype.kind == "f" else np.dtype("<f4")
        self._scales = None if dtype.kind == "f" else _read_scales(folder.parent / SCALES, rows)
        self.shard_rows: int = shard_rows
        self._shards = [self._map(number) for number in range(-(-rows // shard_rows))]

    @property
    def nbytes(self) -> int:
        """Bytes of all rows, which one exact search has to stream."""
        return self.rows * self.dimension * self.stored.itemsize

    def blocks(self, start: int, stop: int, most: int) -> Iterator[tuple[int, np.ndarray]]:
        """Views of the rows `start..stop` in order, at most `most` rows each, as `(first row, rows)`."""
        while start < stop:
            number, within = divmod(start, self.shard_rows)
            count = min(most, stop - start, self.shard_rows - within)
            yield start, self._decoded(self._shards[number][within : within + count], slice(start, start + count))
            start += count

    def read(self, start: int, stop: int) -> np.ndarray:
        """Copy of the rows `start..stop`, in the stored type."""
        parts = [block for _, block in self.blocks(start, stop, max(1, stop - start))]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), self.dtype)

    def take(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Copy of single rows in the order given, in the stored type."""
        wanted = np.asarray(rows, dtype=np.int64)
        out = np.empty((len(wanted), self.dimension), self.dtype)
        numbers, within = np.divmod(wanted, self.shard_rows)
        for number in np.unique(numbers):
            here = numbers == number
            out[here] = self._decoded(self._shards[number][within[here]], wanted[here])
        return out

    def _decoded(self, rows: np.ndarray, which: slice | np.ndarray) -> np.ndarray:
        """Rows as numbers: of int8, times what each was divided by."""
        return rows if self._scales is None else rows.astype(np.float32) * self._scales[which][:, None]

    def _map(self, number: int) -> np.ndarray:
        file = self.folder / "c" / str(number) / "0"
        expected = self.shard_rows * self.dimension * self.stored.itemsize
        try:
            size = file.stat().st_size
        except FileNotFoundError:
            raise InputError(f"the store is damaged: {file} is missing") from None
        if size != expected:
            raise InputError(f"the store is damaged: {file} has {size:,} bytes, not {expected:,}")
        return np.memmap(file, self.stored, mode="r", shape=(self.shard_rows, self.dimension))


def _read_scales(folder: Path, rows: int) -> np.ndarray:
    """(rows,) float32: what each row of int8 is multiplied by."""
    file = folder / "c" / "0"
    try:
        scales = np.fromfile(file, "<f4", rows + 1) if rows else np.empty(0, np.float32)
    except OSError as error:
        raise InputError(f"the store is damaged: {file} cannot be read") from error
    if len(scales) != rows or not np.isfinite(scales).all():
        raise InputError(f"the store is damaged: {file} is not one number for each of {rows:,} rows")
    return scales


def read_states(folder: Path, rows: int) -> np.ndarray:
    """(rows,) uint8: what became of each row, see `comictool.vectors.columns`.

    Raises:
        InputError: missing, or of another length.
    """
    file = folder / "c" / "0"
    try:
        states = np.fromfile(file, np.uint8) if rows else np.empty(0, np.uint8)
    except OSError as error:
        raise InputError(f"the store is damaged: {file} cannot be read") from error
    if len(states) != rows:
        raise InputError(f"the store is damaged: {file} has {len(states):,} states, not {rows:,}")
    return states


def read_header(file: Path, node: str) -> dict[str, Any]:
    """The `zarr.json` of an array or group.

    Raises:
        InputError: missing, too large, not JSON, or not a zarr v3 node of that type.
    """
    value = read_json(file, what="the store is damaged:", most_bytes=MAX_HEADER_BYTES)
    if not isinstance(value, dict) or value.get("zarr_format") != 3 or value.get("node_type") != node:
        raise InputError(f"{file} is not the header of a zarr v3 {node}")
    return value
