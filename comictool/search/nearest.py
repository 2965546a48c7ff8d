"""Exact nearest rows by cosine: one streaming pass in float32, then the few best again in float64.

Rows and queries are unit vectors up to rounding, so the first pass takes dot products; the second divides by lengths.

The pass works on blocks that stay in the second-level cache. numpy converts float16 to float32 at 1.3 ns a number
(50 ms for 100,000 x 384). Moving the bits instead takes three vectorised passes over a block in cache: a float16 has
the bits `s eeeee mmmmmmmmmm`; sign-extended to 32 bits, shifted left by 13 and with the copies of the sign cleared it
is the float32 of the same number times 2^-112, subnormals included, and the query carries the factor 2^112.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from comictool.core.workers import cores
from comictool.search.shards import RowArray

# OpenBLAS gives a matrix-vector product of 460,800 numbers and more to its own threads, which stall for a tenth of a
# second when another program keeps a core busy. Blocks stay below that; the threads here are ours.
BLOCK_NUMBERS = 400_000
THREADS = 8  # more do not help: one core of a desktop machine takes a third of the memory bandwidth
PARALLEL_NUMBERS = 4_000_000  # below this one thread is done before a second has started
CLEAR_SIGN_COPIES = np.int32(-0x70000001)  # 0x8fffffff: bits 28 to 30 out
HALF_SCALE = np.float32(2.0**112)
UNIT_ROUNDING = 2.0**-24  # of float32
LENGTH_ROUNDING = 2.0**-11  # how far the length of a unit row may be from 1 after rounding to float16
RESCORE_ROWS = 4096  # rows in float64 at a time
SELECT_BLOCKS = 32  # blocks for each answer wanted
SHORTEST = 1e-12  # a row of zeros is like nothing

Range = tuple[int, int]
Combine = Callable[[np.ndarray], np.ndarray]


def scan(array: RowArray, queries: np.ndarray, ranges: Sequence[Range]) -> np.ndarray:
    """Dot products in float32 of every query with every row of the ranges, shape `(queries, rows)`.

    Rows outside the ranges get minus infinity. Memory besides the result: one block for each thread.
    """
    scores = np.full((len(queries), array.rows), -np.inf, np.float32)
    most = max(1, BLOCK_NUMBERS // array.dimension)
    total = sum(stop - start for start, stop in ranges)
    threads = 1 if total * array.dimension < PARALLEL_NUMBERS else min(THREADS, cores())
    pieces = _split(ranges, -(-total // threads) if total else 1)
    prepared = np.ascontiguousarray(queries, np.float32)
    if array.dtype.itemsize == 2:
        prepared = prepared * HALF_SCALE

    def work(piece: Range) -> None:
        buffer = np.empty((most, array.dimension), np.int32)
        for start, rows in array.blocks(*piece, most):
            block = _as_float32(rows, buffer)
            for query, line in zip(prepared, scores, strict=True):
                np.dot(block, query, out=line[start : start + len(rows)])

    if threads == 1:
        for piece in pieces:
            work(piece)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, pieces))
    return scores


def exact(array: RowArray, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Cosines in float64, shape `(queries, len(rows))`; equal rows get equal ones whatever their place."""
    wide = np.asarray(queries, np.float64)
    wide = wide / np.maximum(np.sqrt((wide * wide).sum(axis=1, keepdims=True)), SHORTEST)
    out = np.empty((len(wide), len(rows)))
    for start in range(0, len(rows), RESCORE_ROWS):
        block = array.take(rows[start : start + RESCORE_ROWS]).astype(np.float64)
        lengths = np.maximum(np.sqrt((block * block).sum(axis=1)), SHORTEST)
        for number, query in enumerate(wide):
            # not a matrix product: BLAS may add up a row in another order at another place of the block
            out[number, start : start + len(block)] = (block * query).sum(axis=1) / lengths
    return out


def nearest(
    array: RowArray,
    queries: np.ndarray,
    k: int,
    *,
    ranges: Sequence[Range] | None = None,
    without: Sequence[int] = (),
    views: int = 1,
    combine: Combine | None = None,
    groups: np.ndarray | None = None,
) -> list[tuple[int, float]]:
    """The k best items as `(item, cosine)`, best first, equal scores in item order. Exact for the stored rows.

    Args:
        array: `items * views` rows.
        queries: `(queries, dimension)` float32 unit rows, one for each view of the query.
        ranges: items to look at, as half-open ranges in ascending order; all when None.
        without: items to leave out.
        views: rows of one item.
        combine: `(queries, items, views)` cosines to `(items,)` scores, changing by no more than the largest change
            of an input; by default the single one, or the largest.
        groups: first item of each group of neighbouring items, ascending; then only the best of each group counts.
    """
    items = array.rows // views
    chosen = [(0, items)] if ranges is None else list(ranges)
    if k < 1 or not items or not any(stop > start for start, stop in chosen):
        return []
    join = combine or _largest
    rough_rows = scan(array, queries, [(start * views, stop * views) for start, stop in chosen])
    rough = join(rough_rows.reshape(len(queries), items, views)).astype(np.float32, copy=False)
    inside = np.zeros(items, bool)
    for start, stop in chosen:
        inside[start:stop] = True
    inside[list(without)] = False
    rough = np.where(inside, rough, np.float32(-np.inf))
    contest = rough if groups is None or not len(groups) else np.maximum.reduceat(rough, groups)
    # Twice what the first pass can be wrong by: nothing below this can be among the k best.
    margin = 2.0 * (array.dimension * UNIT_ROUNDING + 2 * LENGTH_ROUNDING)
    floor = _kth_largest(contest, k) - margin
    candidates = np.flatnonzero((rough >= floor) & inside)
    rows = (candidates[:, None] * views + np.arange(views)).ravel()
    fine = join(exact(array, queries, rows).reshape(len(queries), len(candidates), views))
    order = np.lexsort((candidates, -fine))
    if groups is not None and len(groups):
        group_of = np.searchsorted(groups, candidates[order], side="right")
        _, first = np.unique(group_of, return_index=True)
        order = order[np.sort(first)]
    return [(int(candidates[n]), float(fine[n])) for n in order[:k]]


def _as_float32(rows: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    if rows.dtype.itemsize == 4:
        return rows
    block = buffer[: len(rows)]
    np.copyto(block, rows.view(np.int16))
    np.left_shift(block, 13, out=block)
    np.bitwise_and(block, CLEAR_SIGN_COPIES, out=block)
    return block.view(np.float32)


def _largest(products: np.ndarray) -> np.ndarray:
    return products.max(axis=(0, 2))


def _kth_largest(scores: np.ndarray, k: int) -> float:
    """The k-th largest finite score, or the smallest finite one when there are fewer."""
    width = len(scores) // (SELECT_BLOCKS * k)
    if width > 1:
        # The k-th largest of the blocks' best is no more than the k-th largest of all: few scores are left to sort.
        best = scores[: len(scores) // width * width].reshape(-1, width).max(axis=1)
        scores = scores[scores >= np.partition(best, len(best) - k)[len(best) - k]]
    if k < len(scores):
        value = float(np.partition(scores, len(scores) - k)[len(scores) - k])
        if np.isfinite(value):
            return value
    finite = scores[np.isfinite(scores)]
    return float(finite.min()) if len(finite) else float("inf")


def _split(ranges: Sequence[Range], most: int) -> list[Range]:
    """Cut ranges into pieces of at most `most` rows."""
    return [(cut, min(cut + most, stop)) for start, stop in ranges for cut in range(start, stop, most)]
