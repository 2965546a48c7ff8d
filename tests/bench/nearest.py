"""Exact search beside the memory-bandwidth floor, at 100,000 and 1,000,000 rows of 384 numbers.

    python -m tests.bench.nearest [ROWS ...]

The floor is the time to stream the same bytes once from memory: the maximum of the file read as 64-bit integers, on
as many threads as the search uses. The last column but one is against the floor of float32 rows, which is what every
search that multiplies float32 numbers has to stream somewhere. Run it on a machine with nothing else to do.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from comictool.core.workers import cores
from comictool.search.nearest import THREADS, Searched, nearest
from comictool.vectors.columns import PRESENT, Column
from comictool.vectors.rows import RowArray
from comictool.vectors.writing import ColumnWriter
from tests.bench.figures import arguments, figure

DIMENSION = 384
ROUNDS = 9


def milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Median and least wall time of several runs, after one to warm up."""
    times = []
    work()
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times), min(times)


def write(folder: Path, rows: int, dtype: str) -> None:
    """Clustered unit rows, a piece at a time."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((1000, DIMENSION), dtype=np.float32)
    writer = ColumnWriter(folder, Column("panel", "image", "any", DIMENSION, dtype), rows, "here")
    for start in range(0, rows, 8192):
        count = min(8192, rows - start)
        block = centres[rng.integers(0, 1000, count)] + 0.5 * rng.standard_normal((count, DIMENSION), dtype=np.float32)
        writer.add(block / np.linalg.norm(block, axis=1, keepdims=True), np.full(count, PRESENT, np.uint8))
    writer.close()


def streams(array: RowArray, threads: int) -> Callable[[], object]:
    """Reads every byte of an array once."""
    blocks = [block.reshape(-1).view(np.int64) for _, block in array.blocks(0, array.rows, array.shard_rows)]

    def stream() -> object:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(np.max, blocks))

    return stream


def plain(array: RowArray, query: np.ndarray) -> Callable[[], object]:
    """The usual numpy way, as a rival: convert, multiply, partition."""

    def search() -> object:
        scores = np.concatenate([b.astype(np.float32) @ query for _, b in array.blocks(0, array.rows, 8192)])
        return np.argpartition(-scores, 10)[:10]

    return search


def peak_megabytes(work: Callable[[], object]) -> float:
    """The most memory that a run takes besides the mapped files."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    sizes = [int(text) for text in arguments()] or [100_000, 1_000_000]
    threads = min(THREADS, cores())
    print(f"{threads} threads; milliseconds, median (least) of {ROUNDS}\n")
    print(
        f"{'rows':>9} {'type':<8} {'MB':>6} {'floor':>14} {'ours':>15} {'x floor':>8} {'x float32 floor':>16}"
        f" {'plain numpy':>17} {'peak MB':>8}"
    )
    for rows in sizes:
        wide_floor = 0.0
        for dtype in ("float32", "float16"):
            with tempfile.TemporaryDirectory() as name:
                write(Path(name) / "rows", rows, dtype)
                array = RowArray(Path(name) / "rows" / "vectors")
                query = array.read(rows // 2, rows // 2 + 1).astype(np.float32)
                search = partial(nearest, [Searched(array, query)], 10)
                floor, floor_least = milliseconds(streams(array, threads))
                wide_floor = wide_floor or floor
                ours, ours_least = milliseconds(search)
                rival, rival_least = milliseconds(plain(array, query[0]))
                print(
                    f"{rows:>9,} {dtype:<8} {array.nbytes / 1e6:>6.0f} {floor:>6.1f} ({floor_least:>5.1f})"
                    f" {ours:>7.1f} ({ours_least:>5.1f}) {ours / floor:>8.1f} {ours / wide_floor:>16.1f}"
                    f" {rival:>8.1f} ({rival_least:>6.1f}) {peak_megabytes(search):>8.1f}"
                )
                figure(
                    f"exact search, {rows:,} x {DIMENSION} {dtype}, one query, against reading the rows as float32",
                    f"{ours / wide_floor:.1f} times",
                    f"plain numpy {rival / wide_floor:.1f}",
                )


if __name__ == "__main__":
    main()
