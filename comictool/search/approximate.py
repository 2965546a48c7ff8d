"""Nearest rows by an index (`vectors.ann`): candidates from the graph, ranked by their exact cosines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from comictool.core.errors import UsageError
from comictool.core.progress import Progress
from comictool.measure.intervals import wilson
from comictool.search.nearest import Searched, among, nearest
from comictool.vectors.ann import Facts, RowIndex, write_index
from comictool.vectors.collection import Collection, StoreCollection
from comictool.vectors.store import OpenColumn

ANN_ROWS = 200_000  # below this the exact search takes a few hundredths of a second
LEAST_RECALL = 0.95  # an index that finds less is used only by those who ask for it
CANDIDATES, A_HIT, MOST_CANDIDATES = 64, 4, 8192  # at first, at least for each answer, and before all rows are read
ASKED, NEAREST = 100, 10  # rows by which an index is measured, and their neighbours
SEED = 0


def nearest_by_index(
    index: RowIndex,
    searched: Searched,
    k: int,
    *,
    admitted: np.ndarray | None = None,
    without: Sequence[int] = (),
    groups: np.ndarray | None = None,
) -> list[tuple[int, float]] | None:
    """As `search.nearest.nearest` for one column, with the same scores, but some answer may be missed.

    More and more candidates are taken until k of them are left by the conditions.

    Returns:
        None when there were not: all rows have to be read.

    Raises:
        InputError: a row that is met is damaged.
    """
    count = max(CANDIDATES, A_HIT * (k + len(without))) * (1 if searched.views == 1 else A_HIT)
    while count <= MOST_CANDIDATES:
        rows = np.concatenate([index.search(query, count) for query in searched.queries])
        items = np.setdiff1d(np.unique(rows // searched.views), np.asarray(without, np.int64))
        if searched.present is not None:
            items = items[searched.present[items]]
        if admitted is not None:
            items = items[admitted[items]]
        found = among([searched], items, k, groups)
        if len(found) == k:
            return found
        if count >= index.facts.count:
            return None
        count *= A_HIT
    return None


def usable_index(place: Collection, searched: Sequence[str], *, wanted: bool) -> RowIndex | None:
    """The index to answer by: of one column of a store, and good and large enough unless it was asked for.

    Args:
        searched: names of the columns that are asked.
        wanted: the user asks for it.

    Raises:
        UsageError: it is wanted where there can be none.
    """
    if not isinstance(place, StoreCollection) or len(searched) != 1:
        if wanted:
            raise UsageError("an index is of one column of a store", hint="leave --ann out")
        return None
    if not wanted and place.columns[searched[0]].rows.rows < ANN_ROWS:
        return None
    index = place.index(searched[0])
    return index if index is not None and (wanted or index.facts.recall >= LEAST_RECALL) else None


def build_index(place: StoreCollection, name: str, progress: Progress | None = None) -> Facts:
    """Make the index of a column, `level/modality`, and measure it against exact search.

    Raises:
        SetupError: usearch is not installed, or the cache cannot be written.
    """
    opened, began = place.columns[name], time.perf_counter()

    def measured(index: RowIndex, facts: Facts) -> Facts:
        seconds = time.perf_counter() - began
        recall, asked = recall_of(index, opened)
        low, high = wilson(recall * asked, asked)  # as if a row's neighbours were found together: rather too wide
        return replace(facts, recall=recall, low=low, high=high, asked=asked, seconds=round(seconds, 1))

    facts = write_index(opened, place.root, measured, progress)
    place.forget_indices()
    return facts


def recall_of(index: RowIndex, opened: OpenColumn) -> tuple[float, int]:
    """Recall@10 of rows drawn at random, themselves left out, and how many were asked."""
    there = np.flatnonzero(opened.present)
    drawn = np.random.default_rng(SEED).choice(there, min(ASKED, len(there)), replace=False)
    views, shares = len(opened.column.views), []
    for item in drawn:
        query = opened.rows.take([item * views]).astype(np.float32)
        searched = Searched(opened.rows, query, views, opened.present, normalised=opened.column.normalised)
        true = {row for row, _ in nearest([searched], NEAREST, without=[int(item)])}
        found = nearest_by_index(index, searched, len(true), without=[int(item)]) or []
        shares.append(len(true & {row for row, _ in found}) / max(1, len(true)))
    return float(np.mean(shares)) if shares else 0.0, len(shares)
