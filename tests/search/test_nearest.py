"""Exact search against a float64 search over everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comictool.core.errors import InputError
from comictool.search import nearest as module
from comictool.search.nearest import Searched, scan
from comictool.vectors.columns import PRESENT, Column
from comictool.vectors.rows import RowArray
from comictool.vectors.writing import ColumnWriter


def stored(folder: Path, rows: np.ndarray, dtype: str = "float16", shard_bytes: int | None = None) -> RowArray:
    """Rows written as a store writes them."""
    column = Column("panel", "image", "any", rows.shape[1], dtype, normalised=False)
    with pytest.MonkeyPatch.context() as patch:
        if shard_bytes is not None:
            patch.setattr("comictool.vectors.writing.SHARD_BYTES", shard_bytes)
        writer = ColumnWriter(folder, column, len(rows), "here")
    for start in range(0, len(rows), 7):
        block = rows[start : start + 7]
        writer.add(block, np.full(len(block), PRESENT, np.uint8))
    writer.close()
    return RowArray(folder / "vectors")


def nearest(array: RowArray, queries: np.ndarray, k: int, *, views: int = 1, **options: Any) -> list[tuple[int, float]]:
    return module.nearest([Searched(array, queries, views)], k, **options)


def unit(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def oracle(array: RowArray, query: np.ndarray) -> np.ndarray:
    """Cosines in float64 of the stored numbers."""
    rows = array.take(range(array.rows)).astype(np.float64)
    wide = query.astype(np.float64)
    return rows @ wide / (np.linalg.norm(rows, axis=1) * np.linalg.norm(wide))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("count", "dimension"), [(1, 1), (50, 3), (1000, 48), (3000, 384), (40, 2048)])
def test_same_as_brute_force(tmp_path: Path, dtype: str, count: int, dimension: int) -> None:
    array = stored(tmp_path / "a", unit(count, dimension), dtype, shard_bytes=64 * dimension)
    for query in unit(3, dimension, seed=1):
        wanted = oracle(array, query)
        order = np.lexsort((np.arange(count), -wanted.round(14)))[:10]
        found = nearest(array, query[None], 10)
        assert [row for row, _ in found] == order.tolist()
        assert [score for _, score in found] == pytest.approx(wanted[order], abs=1e-12)


def test_every_float16_is_read_exactly(tmp_path: Path) -> None:
    """The bit arithmetic of the scan gives every finite float16, subnormals and zeros included."""
    values = np.arange(65536, dtype=np.uint16).view(np.float16)
    values = values[np.isfinite(values)].reshape(-1, 2)
    array = stored(tmp_path / "a", values)
    for place in (0, 1):
        query = np.zeros((1, 2), np.float32)
        query[0, place] = 1.0
        assert np.array_equal(scan(array, query, [(0, len(values))])[0], values[:, place].astype(np.float32))


def test_threads_and_ranges_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = stored(tmp_path / "a", unit(5000, 16), shard_bytes=16 * 2 * 700)
    query = unit(1, 16, seed=3)
    alone = scan(array, query, [(0, 5000)])
    best = nearest(array, query, 20)
    monkeypatch.setattr(module, "PARALLEL_NUMBERS", 1)
    monkeypatch.setattr(module, "cores", lambda: 4)
    # BLAS may round a row differently at another place of a block; the answers must not show it.
    assert scan(array, query, [(0, 5000)]) == pytest.approx(alone, abs=1e-6)
    assert nearest(array, query, 20) == best
    part = scan(array, query, [(3, 10), (690, 1500), (4999, 5000)])
    inside = np.zeros(5000, bool)
    inside[3:10] = inside[690:1500] = inside[4999] = True
    assert part[0, inside] == pytest.approx(alone[0, inside], abs=1e-6)
    assert np.isneginf(part[0, ~inside]).all()


def test_ties_come_in_row_order(tmp_path: Path) -> None:
    rows = np.repeat(unit(2, 30), [60, 60], axis=0)
    rows = rows[np.random.default_rng(5).permutation(120)]
    array = stored(tmp_path / "a", rows, shard_bytes=30 * 2 * 11)
    best = [row for row, _ in nearest(array, rows[:1], 70)]
    same = np.flatnonzero((rows == rows[0]).all(axis=1)).tolist()
    other = np.flatnonzero((rows != rows[0]).any(axis=1)).tolist()
    assert best == same + other[:10]


def test_filters_groups_and_few_rows(tmp_path: Path) -> None:
    array = stored(tmp_path / "a", unit(100, 12))
    query = unit(1, 12, seed=9)
    wanted = oracle(array, query[0])
    rows = [row for row, _ in nearest(array, query, 200, ranges=[(10, 20), (50, 55)], without=[12])]
    allowed = [row for row in (*range(10, 20), *range(50, 55)) if row != 12]
    assert rows == sorted(allowed, key=lambda row: -wanted[row])
    groups = np.searchsorted(np.array([0, 30, 31, 90]), np.arange(array.rows), side="right")
    grouped = nearest(array, query, 3, groups=groups)
    best = [max(range(a, b), key=lambda r: wanted[r]) for a, b in ((0, 30), (30, 31), (31, 90), (90, 100))]
    assert [row for row, _ in grouped] == sorted(best, key=lambda row: -wanted[row])[:3]
    assert nearest(array, query, 3, ranges=[]) == []
    assert nearest(array, query, 3, ranges=[(4, 5)], without=[4]) == []


def test_views_of_pages(tmp_path: Path) -> None:
    array = stored(tmp_path / "a", unit(60, 12))
    queries = unit(2, 12, seed=2)
    both = np.stack([oracle(array, query) for query in queries]).reshape(2, 20, 3)
    wanted = both.max(axis=(0, 2))
    found = nearest(array, queries, 5, views=3)
    assert [page for page, _ in found] == np.argsort(-wanted)[:5].tolist()
    assert [score for _, score in found] == pytest.approx(np.sort(wanted)[::-1][:5], abs=1e-12)


def test_empty_array(tmp_path: Path) -> None:
    assert nearest(stored(tmp_path / "a", np.empty((0, 5), np.float32)), unit(1, 5), 3) == []


def test_any_zarr_reads_the_same_numbers(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    rows = unit(100, 12).astype(np.float16)
    rows[40:60] = 0.0  # zarr leaves out shards that hold its fill value only; zeros must not be that
    array = stored(tmp_path / "a", rows, shard_bytes=240)
    assert np.array_equal(zarr.open_array(tmp_path / "a" / "vectors", mode="r")[:], rows)
    assert np.array_equal(array.take(range(100)), rows)
    assert np.array_equal(array.take([99, 3, 3, 50]), rows[[99, 3, 3, 50]])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"float16"', '"float64"'),
        ('"little"', '"big"'),
        ("100", "-5"),
        ("100", "1000000000000"),
        ('"bytes"', '"zstd"'),
        ('"array"', '"group"'),
        ("{", "["),
    ],
)
def test_damaged_headers_are_refused(tmp_path: Path, old: str, new: str) -> None:
    stored(tmp_path / "a", unit(100, 12), shard_bytes=240)
    header = tmp_path / "a" / "vectors" / "zarr.json"
    header.write_text(header.read_text().replace(old, new, 1))
    with pytest.raises(InputError):
        RowArray(tmp_path / "a" / "vectors")


def test_damaged_shards_are_refused(tmp_path: Path) -> None:
    stored(tmp_path / "a", unit(100, 12), shard_bytes=240)
    shard = tmp_path / "a" / "vectors" / "c" / "3" / "0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(InputError, match="bytes"):
        RowArray(tmp_path / "a" / "vectors")
    shard.unlink()
    with pytest.raises(InputError, match="missing"):
        RowArray(tmp_path / "a" / "vectors")


def test_rows_that_are_no_unit_vectors_are_compared_in_float64(tmp_path: Path) -> None:
    rows = np.random.default_rng(2).normal(size=(300, 24)) * np.random.default_rng(3).uniform(0.1, 50, (300, 1))
    array = stored(tmp_path / "a", rows, "float32")
    query = unit(1, 24, seed=4)
    found = module.nearest([Searched(array, query, normalised=False)], 7)
    wanted = oracle(array, query[0])
    assert [row for row, _ in found] == np.argsort(-wanted)[:7].tolist()
    assert [score for _, score in found] == pytest.approx(np.sort(wanted)[::-1][:7], abs=1e-12)
