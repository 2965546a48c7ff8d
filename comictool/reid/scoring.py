"""How like each character a picture is: scores of query vectors against the references of every character."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from comictool.core.errors import UsageError, near_matches

if TYPE_CHECKING:
    from comictool.measure.retrieval import Excluded

METRICS = ("cosine", "legacy")
MODES = ("max", "any", "avg", "centroid", "mixed", "knn:K")
BLOCK_NUMBERS = 4_000_000  # query x reference products held at a time: 16 MB in float32
# The same two vectors multiplied at another place of a matrix may differ in the last bits (BLAS computes its edges
# with other kernels). Rounded, equal pictures tie exactly, and the stated tie-break decides on every machine.
DECIMALS = 6
LEAST_AROUND = 1e-3  # distance; among pictures that are all the same no score says anything


@dataclass(frozen=True)
class Mode:
    """How the references of one character make one score.

    `max`: the best one. `avg`: the mean over all. `knn`: the mean of the best `count`. `centroid`: the cosine with
    the unit mean of the unit references. `mixed`: the mean of `max` and `centroid`.
    """

    name: str
    count: int = 1


def parse_mode(text: str) -> Mode:
    """Read `max` (or the older spelling `any`), `avg`, `centroid`, `mixed` or `knn:K`, in any case.

    Raises:
        UsageError: none of these, or K below 1.
    """
    name, _, number = text.strip().lower().partition(":")
    if name == "knn" and number.isdecimal() and int(number) >= 1:
        return Mode("knn", int(number))
    if name in ("max", "any", "avg", "centroid", "mixed") and not number:
        return Mode("max" if name == "any" else name)
    raise UsageError(
        f"there is no scoring mode {text!r}",
        hint="one of max, avg, centroid, mixed, knn:3 (the mean of the 3 best references)",
        near=near_matches(name, MODES),
    )


def mode_name(text: str) -> str:
    """A mode in its one spelling: `auto`, `max`, `avg`, `centroid`, `mixed` or `knn:K`. Raises as `parse_mode` does."""
    if text.strip().lower() == "auto":
        return "auto"  # for callers that choose one: no score is computed by it
    mode = parse_mode(text)
    return f"{mode.name}:{mode.count}" if mode.name == "knn" else mode.name


@dataclass(frozen=True)
class Scores:
    """What every query scored with every character.

    Attributes:
        characters: C names in order; a tie goes to the first of them.
        scores: (Q, C) float32, higher is more alike: cosine -1..1, or minus the distance of unit vectors -2..0, or
            `scaled`. Minus infinity where every reference of the character is excluded.
        deciding: (Q, C) int32, the index of the reference nearest to the query among those of the character (the
            first of equals); -1 where nothing is left.
    """

    characters: tuple[str, ...]
    scores: np.ndarray
    deciding: np.ndarray

    def order(self) -> np.ndarray:
        """(Q, C) character indices, best first, ties by name."""
        return np.argsort(-self.scores, axis=1, kind="stable")

    def scaled(self, around: np.ndarray | None) -> Scores:
        """Cosines as the distance to each character in distances to what is around the query, off 1.

        1: the same picture; 0: as far as that; below: farther.

        Args:
            around: (Q,) from `comictool.reid.surroundings`; None leaves the scores as they are.
        """
        if around is None:
            return self
        farther = (1 - self.scores.astype(np.float64)) / np.maximum(1 - around, LEAST_AROUND)[:, None]
        return replace(self, scores=np.round(1 - farther, DECIMALS).astype(np.float32))


def score_characters(
    queries: np.ndarray,
    references: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    mode: str = "max",
    *,
    excluded: Excluded | None = None,
    metric: str = "cosine",
) -> Scores:
    """Score queries against characters. Memory besides result and references stays below 200 MB.

    Args:
        queries: (Q, D) float32 unit rows.
        references: (R, D) float32 unit rows.
        labels: R character names.
        mode: see `parse_mode`.
        excluded: (Q, R) bool, references that a query may not use (itself, its own page), or a function that gives
            the rows `start` to `stop` of that mask, for masks too large to hold.
        metric: `cosine`, or `legacy`: minus the Euclidean distance of unit vectors, -sqrt(2 - 2 cos).

    Raises:
        UsageError: no references, shapes that do not fit, or an unknown mode or metric.
    """
    return Scorer(references, labels, mode, metric=metric)(queries, excluded=excluded)


class Scorer:
    """`score_characters` for queries that come in batches: the references are ordered and averaged once.

    Raises:
        UsageError: no references, shapes that do not fit, or an unknown mode or metric.
    """

    def __init__(
        self, references: np.ndarray, labels: Sequence[str] | np.ndarray, mode: str = "max", *, metric: str = "cosine"
    ) -> None:
        self.mode = parse_mode(mode)
        if metric not in METRICS:
            raise UsageError(f"there is no score {metric!r}", near=METRICS)
        self.metric = metric
        names = np.asarray(labels, dtype=str)
        if not len(references) or len(names) != len(references):
            raise UsageError(f"{len(names)} labels for references of shape {references.shape}")
        self.characters, codes = coded(names)
        self.order = np.argsort(codes, kind="stable")
        self.codes = codes[self.order]
        self.starts = np.searchsorted(self.codes, np.arange(len(self.characters)))
        self.references = references[self.order]
        sums = np.add.reduceat(self.references, self.starts, axis=0, dtype=np.float64)
        self.centroids = _unit(sums).astype(np.float32)

    def __call__(self, queries: np.ndarray, *, excluded: Excluded | None = None) -> Scores:
        """Scores of (Q, D) queries; `excluded` as in `score_characters`, in the order the references were given."""
        if queries.ndim != 2 or queries.shape[1] != self.references.shape[1]:
            raise UsageError(f"queries of shape {queries.shape} and references of shape {self.references.shape}")
        scores = np.empty((len(queries), len(self.characters)), np.float32)
        deciding = np.full((len(queries), len(self.characters)), -1, np.int32)
        for start, stop in blocks(len(queries), len(self.references)):
            mask = _mask(excluded, start, stop)
            mask = mask[:, self.order] if mask is not None else None
            alike = similarity(queries[start:stop], self.references, self.metric)
            if mask is not None:
                alike[mask] = -np.inf
            best = np.maximum.reduceat(alike, self.starts, axis=1)
            deciding[start:stop] = self._first_best(alike, best)
            if self.mode.name in ("centroid", "mixed"):
                centroids = self._with_centroids(queries[start:stop], mask)
                scores[start:stop] = centroids if self.mode.name == "centroid" else (centroids + best) / 2
            else:
                scores[start:stop] = best if self.mode.name == "max" else _means(alike, self.starts, self.mode)
        return Scores(self.characters, scores, deciding)

    def _first_best(self, alike: np.ndarray, best: np.ndarray) -> np.ndarray:
        """Index of the first reference that reaches the best score of its character; -1 where none is left."""
        reached = alike == best[:, self.codes]
        places = np.where(reached, self.order.astype(np.int32)[None, :], np.int32(len(self.order)))
        return np.where(np.isfinite(best), np.minimum.reduceat(places, self.starts, axis=1), -1)

    def _with_centroids(self, queries: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """(Q, C) scores with unit mean vectors; where references are excluded, with the mean of those left."""
        scores = similarity(queries, self.centroids, self.metric)
        if mask is None:
            return scores
        for query in np.flatnonzero(mask.any(axis=1)):
            for character in sorted(set(self.codes[mask[query]].tolist())):
                left = self.references[(self.codes == character) & ~mask[query]]
                mean = _unit(left.sum(axis=0, dtype=np.float64)[None]).astype(np.float32)
                score = similarity(queries[query : query + 1], mean, self.metric)[0, 0] if len(left) else -np.inf
                scores[query, character] = score
        return scores


def similarity(queries: np.ndarray, references: np.ndarray, metric: str = "cosine") -> np.ndarray:
    """(Q, R) scores of every pair, rounded to six decimals; float32 for cosine, float64 for legacy."""
    if metric == "cosine":
        alike = np.round(queries.astype(np.float32, copy=False) @ references.astype(np.float32, copy=False).T, DECIMALS)
        # Lengths in float32 are 1 to seven digits: some processors make 1.000001 of a picture with itself.
        return np.clip(alike, -1, 1, out=alike)
    # float32 would leave an error of 3e-4 where the distance is near 0; the lengths are not exactly 1 either.
    left, right = queries.astype(np.float64), references.astype(np.float64)
    squared = (left * left).sum(1)[:, None] + (right * right).sum(1)[None, :] - 2 * (left @ right.T)
    return -np.round(np.sqrt(np.maximum(squared, 0)), DECIMALS)


def coded(names: Sequence[str] | np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """The names, each once and sorted, and (N,) the place of each; as `np.unique`, which imports all masked arrays."""
    found = tuple(sorted({str(name) for name in names}))
    place = {name: number for number, name in enumerate(found)}
    return found, np.array([place[str(name)] for name in names], np.int64)


def blocks(queries: int, references: int) -> Iterator[tuple[int, int]]:
    """Ranges of queries whose products with all references fit in `BLOCK_NUMBERS`."""
    step = max(1, BLOCK_NUMBERS // max(references, 1))
    for start in range(0, queries, step):
        yield start, min(queries, start + step)


def same_group(query_groups: Sequence[str], reference_groups: Sequence[str]) -> Callable[[int, int], np.ndarray]:
    """An exclusion: references of a query's own group (page, content hash). The empty group excludes nothing."""
    # Compared as numbers: ten times faster than texts. Nothing equals the empty group.
    number = {group: place for place, group in enumerate(dict.fromkeys(map(str, reference_groups)))}
    left = np.array([number.get(str(group), -1) if group else -1 for group in query_groups], np.int64)
    right = np.array([number[str(group)] for group in reference_groups], np.int64)

    def rows(start: int, stop: int) -> np.ndarray:
        return left[start:stop, None] == right[None, :]

    return rows


def _mask(excluded: Excluded | None, start: int, stop: int) -> np.ndarray | None:
    if excluded is None:
        return None
    mask = excluded(start, stop) if callable(excluded) else excluded[start:stop]
    return mask if mask.any() else None


def _means(alike: np.ndarray, starts: np.ndarray, mode: Mode) -> np.ndarray:
    """(Q, C) means over each character's references, or over its best `mode.count`; excluded ones do not count."""
    if mode.name == "avg":
        left = np.isfinite(alike)
        total = np.add.reduceat(np.where(left, alike, 0), starts, axis=1, dtype=np.float64)
        count = np.add.reduceat(left, starts, axis=1, dtype=np.int64)
        return np.where(count > 0, total / np.maximum(count, 1), -np.inf)
    means = np.empty((len(alike), len(starts)), np.float64)
    for character, (first, last) in enumerate(zip(starts, [*starts[1:], alike.shape[1]], strict=True)):
        own = alike[:, first:last]
        if own.shape[1] > mode.count:
            own = -np.partition(-own, mode.count - 1, axis=1)[:, : mode.count]
        left = np.isfinite(own)
        count = left.sum(axis=1)
        total = np.where(left, own, 0).sum(axis=1, dtype=np.float64)
        means[:, character] = np.where(count > 0, total / np.maximum(count, 1), -np.inf)
    return means


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
