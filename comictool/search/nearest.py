"""Exact nearest rows by cosine: one streaming pass in float32, then the few best again in float64.

Rows and queries are unit vectors up to rounding, so the first pass takes dot products; the second divides by lengths.

The pass works on blocks that stay in the second-level cache. numpy converts float16 to float32 at 1.3 ns a number
(50 ms for 100,000 x 384). Moving the bits instead takes three vectorised passes over a block in cache: a float16 has
the bits `s eeeee mmmmmmmmmm`; sign-extended to 32 bits, shifted left by 13 and with the copies of the sign cleared it
is the float32 of the same number times 2^-112, subnormals included, and the query carries the factor 2^112.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from comictool.core.errors import InputError
from comictool.core.workers import cores
from comictool.vectors.columns import LENGTH_ROUNDING
from comictool.vectors.rows import Rows

# OpenBLAS gives a matrix-vector product of 460,800 numbers and more to its own threads, which stall for a tenth of a
# second when another program keeps a core busy. Blocks stay below that; the threads here are ours.
BLOCK_NUMBERS = 400_000
THREADS = 8  # more do not help: one core of a desktop machine takes a third of the memory bandwidth
PARALLEL_NUMBERS = 4_000_000  # below this one thread is done before a second has started
CLEAR_SIGN_COPIES = np.int32(-0x70000001)  # 0x8fffffff: bits 28 to 30 out
HALF_SCALE = np.float32(2.0**112)
UNIT_ROUNDING = 2.0**-24  # of float32
UNIT_TOLERANCE = 2e-3  # a row whose length is further from 1 was damaged on disk
RESCORE_ROWS = 4096  # rows in float64 at a time
SELECT_BLOCKS = 32  # blocks for each answer wanted
SHORTEST = 1e-12  # a row of zeros is like nothing

Range = tuple[int, int]


@dataclass(frozen=True)
class Searched:
    """What is asked of one column.

    Attributes:
        rows: `items * views` rows.
        queries: (Q, D) float32 unit rows, one for each view of the query; an item is as near as its nearest view.
        views: rows of one item.
        present: (items,) bool, which items have vectors; None: all.
        weight: of its cosine in the score, above 0.
        normalised: whether rows have length 1; if not, all are compared in float64.
    """

    rows: Rows
    queries: np.ndarray
    views: int = 1
    present: np.ndarray | None = None
    weight: float = 1.0
    normalised: bool = True


def scan(array: Rows, queries: np.ndarray, ranges: Sequence[Range]) -> np.ndarray:
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


def exact(array: Rows, queries: np.ndarray, rows: np.ndarray, *, unit: bool = False) -> np.ndarray:
    """Cosines in float64, shape `(queries, len(rows))`; equal rows get equal ones whatever their place.

    Args:
        unit: rows should have length 1.

    Raises:
        InputError: they have not: the file is damaged.
    """
    wide = np.asarray(queries, np.float64)
    wide = wide / np.maximum(np.sqrt((wide * wide).sum(axis=1, keepdims=True)), SHORTEST)
    out = np.empty((len(wide), len(rows)))
    for start in range(0, len(rows), RESCORE_ROWS):
        block = array.take(rows[start : start + RESCORE_ROWS]).astype(np.float64)
        lengths = np.sqrt((block * block).sum(axis=1))
        if not (np.abs(lengths - 1) < UNIT_TOLERANCE).all() if unit else not np.isfinite(lengths).all():
            raise _damaged(array)
        lengths = np.maximum(lengths, SHORTEST)
        for number, query in enumerate(wide):
            # not a matrix product: BLAS may add up a row in another order at another place of the block
            out[number, start : start + len(block)] = (block * query).sum(axis=1) / lengths
    return out


def nearest(
    searched: Sequence[Searched],
    k: int,
    *,
    ranges: Sequence[Range] | None = None,
    without: Sequence[int] = (),
    groups: np.ndarray | None = None,
    admitted: np.ndarray | None = None,
) -> list[tuple[int, float]]:
    """The k best items as `(item, score)`, best first, equal scores in item order. Exact for the stored rows.

    The score is the mean of the columns' cosines by their weights. A column in which an item has no vector adds 0 to
    it; items that have none in any column are no answers.

    Args:
        searched: one or more columns of the same items.
        ranges: items to look at, as half-open ranges in ascending order; all when None.
        without: items to leave out.
        groups: (items,) the number of the group of each item, 0 and up; then only the best of each group counts.
        admitted: (items,) bool, items that may be answers; all when None.

    Raises:
        InputError: a row that is met is damaged.
    """
    items = searched[0].rows.rows // searched[0].views
    chosen = [(0, items)] if ranges is None else list(ranges)
    if k < 1 or not items or not any(stop > start for start, stop in chosen):
        return []
    inside = np.zeros(items, bool)
    for start, stop in chosen:
        inside[start:stop] = True
    inside[list(without)] = False
    if admitted is not None:
        inside &= admitted
    inside &= np.logical_or.reduce([np.ones(items, bool) if s.present is None else s.present for s in searched])
    total = sum(column.weight for column in searched)
    rough = np.zeros(items, np.float32)
    for column in searched:
        rough += np.float32(column.weight / total) * _rough(column, items, chosen, inside).max(axis=0)
    rough = np.where(inside, rough, np.float32(-np.inf))
    contest = rough
    if groups is not None:
        contest = np.full(int(groups.max()) + 1, -np.inf, np.float32)
        np.maximum.at(contest, groups, rough)
    # Twice what the first pass can be wrong by: nothing below this can be among the k best.
    floor = _kth_largest(contest, k) - 2.0 * max(map(_error, searched))
    candidates = np.flatnonzero((rough >= floor) & inside)
    return among(searched, candidates, k, groups)


def among(
    searched: Sequence[Searched], candidates: np.ndarray, k: int, groups: np.ndarray | None = None
) -> list[tuple[int, float]]:
    """The k best of some items as `(item, score)`, as `nearest` has them.

    Args:
        candidates: (n,) int64, different items in ascending order.
        groups: see `nearest`.

    Raises:
        InputError: a row that is met is damaged.
    """
    total = sum(column.weight for column in searched)
    fine = np.zeros(len(candidates))
    for column in searched:
        fine += column.weight / total * _fine(column, candidates).max(axis=0)
    order = np.lexsort((candidates, -fine))
    if groups is not None:
        _, first = np.unique(groups[candidates[order]], return_index=True)
        order = order[np.sort(first)]
    return [(int(candidates[n]), float(fine[n])) for n in order[:k]]


def cosines(column: Searched, inside: np.ndarray) -> np.ndarray:
    """Of every query with the nearest view of every item, up to rounding: (Q, items) float32.

    Args:
        inside: (items,) bool, what is asked for; 0 elsewhere, and where an item has no vector.

    Raises:
        InputError: a row that is met is damaged.
    """
    return _rough(column, len(inside), [(0, len(inside))], inside)


def _rough(column: Searched, items: int, ranges: Sequence[Range], inside: np.ndarray) -> np.ndarray:
    """(Q, items) float32: the cosine of the nearest view, up to `_error`; 0 where there is none or nobody asks."""
    if not column.normalised:
        wanted = np.flatnonzero(inside)
        out = np.zeros((len(column.queries), items), np.float32)
        out[:, wanted] = _fine(column, wanted)
        return out
    products = scan(column.rows, column.queries, [(a * column.views, b * column.views) for a, b in ranges])
    best: np.ndarray = products.reshape(len(column.queries), items, column.views).max(axis=2)
    asked = inside if column.present is None else inside & column.present
    best = np.where(asked, best, np.float32(0))
    if not (np.abs(best) <= 1 + UNIT_TOLERANCE).all():  # also false for what is not a number
        raise _damaged(column.rows)
    return best


def _fine(column: Searched, items: np.ndarray) -> np.ndarray:
    """(Q, len(items)) float64: the cosine of the nearest view of each of these items, 0 where there is none."""
    out = np.zeros((len(column.queries), len(items)))
    there = np.ones(len(items), bool) if column.present is None else column.present[items]
    rows = (items[there][:, None] * column.views + np.arange(column.views)).ravel()
    products = exact(column.rows, column.queries, rows, unit=column.normalised)
    out[:, there] = products.reshape(len(column.queries), -1, column.views).max(axis=2, initial=-np.inf)
    return out


def _error(column: Searched) -> float:
    """How far `_rough` may be off: float32 sums, and rows whose length was rounded to float16."""
    return column.rows.dimension * UNIT_ROUNDING + 2 * LENGTH_ROUNDING


def _damaged(array: Rows) -> InputError:
    folder = getattr(array, "folder", None)
    return InputError(
        f"the store is damaged: {folder or 'a file of vectors'} holds rows that are no unit vectors",
        hint="comictool embed CORPUS -o STORE --resume never",
    )


def _as_float32(rows: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    if rows.dtype.itemsize == 4:
        return rows
    block = buffer[: len(rows)]
    np.copyto(block, rows.view(np.int16))
    np.left_shift(block, 13, out=block)
    np.bitwise_and(block, CLEAR_SIGN_COPIES, out=block)
    return block.view(np.float32)


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
