"""Finding duplicate pages with the help of a store: the encoder suggests pairs, the small pictures confirm them.

Cosines alone do not say what is a copy: encoders differ in how near they put different pages (some put all of them
above .99). So a store only suggests the few nearest pages, and whatever is suggested must show the same drawing. What
the encoder adds to the hashes are copies that were cut more than these allow for: the store has vectors of windows of
each page, and the comparison begins at the window that was nearest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.core.progress import Progress
from comictool.corpus.views import CorpusView
from comictool.duplicates.finding import THRESHOLD, find_page_duplicates
from comictool.duplicates.fingerprint import SIDE
from comictool.duplicates.fingerprint_table import FingerprintTable
from comictool.duplicates.results import METHODS, DuplicateReport, Link, link_of
from comictool.duplicates.similarity import best_starts, move, similarity
from comictool.vectors.columns import View
from comictool.vectors.rows import Rows
from comictool.vectors.store import Store, store_at

COLUMN = "page/image"
MOST_SUGGESTIONS = 8  # for each page
LEAST_COSINE = 0.5  # with the classic encoder no copy of a test page was below .69
WINDOW_SUGGESTIONS = 3  # for each window from each list: a bound on the pairs in memory
PROBES = 3  # lists in which each window is looked for
# Lists hold pages by the nearest of about sqrt(N) pivots; longer ones are cut, so N pages cost N * sqrt(N) products.
LARGEST_LIST = 16  # times the average
PAGES_AT_ONCE = 512
QUERIES_AT_ONCE = 4096


@dataclass
class Suggestions:
    """Pairs of store rows: page `whole` may be a copy of what window `view` of page `source` shows."""

    source: np.ndarray
    view: np.ndarray
    whole: np.ndarray
    cosine: np.ndarray


def find_duplicates(
    corpus: CorpusView,
    *,
    method: str = "hash",
    store: Path | None = None,
    threshold: float = THRESHOLD,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> DuplicateReport:
    """Find pages that occur twice and comics that share runs of pages. Deletes and changes nothing.

    Args:
        corpus: a corpus in any layout.
        method: `exact` (equal files and equal pixels), `hash` (also the same drawing: lettered, scaled, recompressed,
            grey, slightly cut; double pages and their halves), `embedding` (exact, and what a store suggests), `all`.
        store: vectors of the corpus's pages; needed by `embedding`, used by `all` when given.
        threshold: share of a page that must agree, above 0 and at most 1.

    Raises:
        UsageError: unknown method, impossible threshold, or no store where one is needed.
        InputError: no comics, a damaged store, or one without page vectors.
        Stopped: after a signal; the fingerprints made so far are kept.
    """
    if method not in METHODS:
        raise UsageError(f"method {method!r} is none of {', '.join(METHODS)}")
    if method == "embedding" and store is None:
        raise UsageError("the method embedding needs a store of page vectors", hint="comictool embed CORPUS -o STORE")
    use_store = store if method in ("embedding", "all") else None

    def suggested(prints: FingerprintTable) -> Sequence[Link]:
        return embedding_links(prints, use_store, threshold) if use_store is not None else ()

    report = find_page_duplicates(
        corpus,
        perceptual=method in ("hash", "all"),
        threshold=threshold,
        more=suggested if use_store is not None else None,
        options=options,
        progress=progress,
    )
    report.settings = {"method": method, "threshold": threshold, "store": str(store) if use_store is not None else None}
    return report


def embedding_links(prints: FingerprintTable, store: Path, threshold: float = THRESHOLD) -> list[Link]:
    """Pairs of pages that are near in a store and show the same drawing; pages that are not in both are left out.

    Raises:
        InputError: no store, damaged, or without page vectors.
    """
    place = {name: number for number, name in enumerate(prints.ids) if not prints.near_empty[number]}
    with Store.open(store_at(store)) as opened:
        if COLUMN not in opened.columns:
            raise InputError(
                f"{store} holds no vectors of pages", hint=f"comictool embed CORPUS -o {store} --level page"
            )
        column = opened.columns[COLUMN]
        page_of_row = {
            page.row: place[page.id]
            for page in opened.metadata.all_pages()
            if page.id in place and column.present[page.row]
        }
        rows = np.array(sorted(page_of_row), np.int64)
        views = column.column.views
        found = suggest(column.rows, len(views), rows)
    return list(_confirmed(prints, found, page_of_row, views, threshold))


def suggest(array: Rows, views: int, pages: np.ndarray) -> Suggestions:
    """The nearest other pages of each page, each window compared with whole pages.

    Args:
        array: `(P * views, D)` unit rows, the views of a page one after the other.
        pages: which of the P, ascending.
    """
    count = len(pages)
    if count < 2:
        none = np.zeros(0, np.int64)
        return Suggestions(none, none, none, np.zeros(0, np.float32))
    pivot_count = math.isqrt(count - 1) + 1
    pivots = _unit(array.take(pages[np.arange(pivot_count) * count // pivot_count] * views))
    home, probes = _assign(array, views, pages, pivots)
    most = LARGEST_LIST * (count // pivot_count + 1)
    parts = []
    for pivot in range(pivot_count):
        members = np.flatnonzero(home == pivot)[:most]
        if len(members):
            asking = np.argwhere((probes == pivot).any(axis=2))
            parts += list(_nearest_in(array, views, pages, members, asking))
    source, view, whole, cosine = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((view, whole, -cosine, source))
    source, view, whole, cosine = source[order], view[order], whole[order], cosine[order]
    # as they are sorted, the first of each pair is its best window
    _, first = np.unique(source.astype(np.int64) * count + whole, return_index=True)
    keep = np.zeros(len(source), bool)
    keep[first] = True
    source, view, whole, cosine = source[keep], view[keep], whole[keep], cosine[keep]
    rank = np.arange(len(source)) - np.searchsorted(source, source, side="left")
    keep = rank < MOST_SUGGESTIONS
    return Suggestions(pages[source[keep]], view[keep], pages[whole[keep]], cosine[keep])


def _assign(array: Rows, views: int, pages: np.ndarray, pivots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pivot nearest to each whole page `(N,)`, and the few nearest to each of its windows `(N, views, PROBES)`."""
    probes = min(PROBES, len(pivots))
    home = np.empty(len(pages), np.int32)
    near = np.empty((len(pages), views, probes), np.int32)
    for start in range(0, len(pages), PAGES_AT_ONCE):
        piece = pages[start : start + PAGES_AT_ONCE]
        rows = (piece[:, None] * views + np.arange(views)).ravel()
        products = _unit(array.take(rows)) @ pivots.T
        best = np.argpartition(-products, probes - 1, axis=1)[:, :probes]
        near[start : start + len(piece)] = best.reshape(len(piece), views, probes)
        home[start : start + len(piece)] = products.reshape(len(piece), views, -1)[:, 0].argmax(axis=1)
    return home, near


def _nearest_in(
    array: Rows, views: int, pages: np.ndarray, members: np.ndarray, asking: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Of the windows `asking` (place of the page, view), the nearest whole pages among `members`."""
    wholes = _unit(array.take(pages[members] * views))
    most = min(WINDOW_SUGGESTIONS + 1, len(members))  # a page is its own nearest
    for start in range(0, len(asking), QUERIES_AT_ONCE):
        source, view = asking[start : start + QUERIES_AT_ONCE].T
        products = _unit(array.take(pages[source] * views + view)) @ wholes.T
        best = np.argpartition(-products, most - 1, axis=1)[:, :most]
        cosine = np.take_along_axis(products, best, axis=1)
        whole = members[best]
        good = (cosine >= LEAST_COSINE) & (whole != source[:, None])
        which, _ = np.nonzero(good)
        small = np.int32  # half the memory while all pairs are collected
        yield source[which].astype(small), view[which].astype(small), whole[good].astype(small), cosine[good]


def _confirmed(
    prints: FingerprintTable,
    found: Suggestions,
    page_of_row: Mapping[int, int],
    views: Sequence[View],
    threshold: float,
) -> Iterator[Link]:
    whole_row = prints.whole_rows
    moves = np.array([_move_of(view) for view in views], np.float32)
    for start in range(0, len(found.source), PAGES_AT_ONCE):
        piece = slice(start, start + PAGES_AT_ONCE)
        sources = np.array([page_of_row[row] for row in found.source[piece]], np.int64)
        wholes = np.array([page_of_row[row] for row in found.whole[piece]], np.int64)
        windows = move(prints.pictures[whole_row[sources]].astype(np.float32), moves[found.view[piece]])[0]
        pictures = prints.pictures[whole_row[wholes]]
        scores = similarity(pictures, windows, starts=best_starts(pictures, windows), enough=threshold)
        for n in np.flatnonzero(scores >= threshold):
            yield link_of(int(sources[n]), int(wholes[n]), "embedding", round(float(scores[n]), 4))


def _move_of(view: View) -> tuple[float, float, float, float]:
    """Scale and shift that bring a window of a small picture to its full size."""
    x0, y0, x1, y1 = view
    return (x1 - x0, (x0 + x1 - 1) / 2 * SIDE, y1 - y0, (y0 + y1 - 1) / 2 * SIDE)


def _unit(rows: np.ndarray) -> np.ndarray:
    wide = rows.astype(np.float32)
    return wide / np.maximum(np.sqrt((wide * wide).sum(axis=1, keepdims=True)), np.float32(1e-6))
