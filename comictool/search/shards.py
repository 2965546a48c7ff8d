"""Reading the vectors of a store straight from its shard files.

A store's arrays are zarr v3 arrays whose chunks hold plain little-endian numbers (codec `bytes`, no compression), so a
chunk file is a memory-mapped matrix. Reading it so costs no import of zarr (0.25 s of every query) and no copy; any
zarr library reads the same files. Compression would save 8 % on unit vectors and cost twice the time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError
from comictool.corpus.vector_rows import DTYPES

MAX_DIMENSION = 65_536  # far beyond any encoder; a bound on what a damaged header can ask for
MAX_HEADER_BYTES = 1 << 20


class RowArray:
    """A `(rows, dimension)` array of float16 or float32 on disk, mapped shard by shard.

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
            little = header["codecs"][0].get("configuration", {}).get("endian") == "little"
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
        self.dtype = dtype
        self.shard_rows: int = shard_rows
        self._shards = [self._map(number) for number in range(-(-rows // shard_rows))]

    @property
    def nbytes(self) -> int:
        """Bytes of all rows, which one exact search has to stream."""
        return self.rows * self.dimension * self.dtype.itemsize

    def blocks(self, start: int, stop: int, most: int) -> Iterator[tuple[int, np.ndarray]]:
        """Views of the rows `start..stop` in order, at most `most` rows each, as `(first row, rows)`."""
        while start < stop:
            number, within = divmod(start, self.shard_rows)
            count = min(most, stop - start, self.shard_rows - within)
            yield start, self._shards[number][within : within + count]
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
            out[here] = self._shards[number][within[here]]
        return out

    def _map(self, number: int) -> np.ndarray:
        file = self.folder / "c" / str(number) / "0"
        expected = self.shard_rows * self.dimension * self.dtype.itemsize
        try:
            size = file.stat().st_size
        except FileNotFoundError:
            raise InputError(f"the store is damaged: {file} is missing") from None
        if size != expected:
            raise InputError(f"the store is damaged: {file} has {size:,} bytes, not {expected:,}")
        return np.memmap(file, self.dtype, mode="r", shape=(self.shard_rows, self.dimension))


def read_header(file: Path, node: str) -> dict[str, Any]:
    """The `zarr.json` of an array or group.

    Raises:
        InputError: missing, too large, not JSON, or not a zarr v3 node of that type.
    """
    try:
        if file.stat().st_size > MAX_HEADER_BYTES:
            raise InputError(f"{file} is too large for a zarr header")
        value = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"the store is damaged: {file} is missing") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"the store is damaged: {file} is not JSON") from error
    if not isinstance(value, dict) or value.get("zarr_format") != 3 or value.get("node_type") != node:
        raise InputError(f"{file} is not the header of a zarr v3 {node}")
    return value
