"""Candidates among which the hidden panel is to be found: the panel itself, and negatives chosen by a key.

As a rule negatives are the panels that have the key of the hidden panel *not* in common (`comic`: panels of other
comics); negated, those that have it in common (`comic` negated: panels of the same comic, the harder question). The
hidden panel itself is never among the negatives, under any key, nor is an exact copy of it, which no model could tell
from it. It stands in column 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comictool.asterx.config import POOL
from comictool.asterx.keys import CopyKey, SamplingKey
from comictool.asterx.objective import check_similarity
from comictool.core.errors import UsageError
from comictool.core.seeds import derive_seed

STRATEGIES = ("random", "retrieve", "mix")
SAME = 1e-5  # squared distance, as a share of the squared length, below which a panel is a copy of the hidden one


class CandidateSampler:
    """Draws candidates for the panels of a split, whole batches at once.

    Args:
        vectors: (N, D), in which nearness is measured and copies are found; (N, 0) when only their number is known.
        key: what panels have in common.
        count: candidates of a panel, itself included; 0: every panel that the key allows.
        strategy: `random`; `retrieve`: the nearest in feature space (near copies left out too); `mix`: both,
            2 * count - 1 candidates.
        negate: negatives that have the key in common.
        similarity: how nearness is measured, `euclidean` or `cosine`.
        pool: `retrieve` looks at this many panels at most: all of a smaller split, else one drawn sample.
        seed: of that sample.

    Raises:
        UsageError: a count of 1 or below 0, or an unknown strategy.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        key: SamplingKey,
        *,
        count: int,
        strategy: str = "random",
        negate: bool = False,
        similarity: str = "euclidean",
        pool: int = POOL,
        seed: int = 0,
    ) -> None:
        if strategy not in STRATEGIES:
            raise UsageError(f"sampling strategy {strategy!r}: it is {', '.join(STRATEGIES)}")
        if count == 1 or count < 0:
            raise UsageError(f"{count} candidates: at least 2, or 0 for all")
        check_similarity(similarity)
        self.rows, self.key, self.count, self.strategy, self.negate = len(vectors), key, count, strategy, negate
        self._similarity, self._pool_size = similarity, pool
        self._copies = CopyKey(vectors)
        if strategy != "random" and count:
            rng = np.random.default_rng(derive_seed(seed, "pool"))
            self._vectors = vectors
            chosen = np.arange(self.rows)
            if self.rows > pool:
                chosen = np.sort(rng.choice(self.rows, pool, replace=False))
            self._pool = chosen
            self._pool_vectors = self._prepared(chosen)
            self._pool_lengths = np.einsum("nd,nd->n", self._pool_vectors, self._pool_vectors)

    def draw(self, rows: np.ndarray, generators: Sequence[np.random.Generator]) -> dict[str, np.ndarray]:
        """Candidates of B panels.

        Args:
            rows: (B,) the hidden panels.
            generators: one for each.

        Returns:
            `candidates` (B, C) int64 rows, the hidden panel in column 0, and `candidates_real` (B, C) bool, False at
            padding. When all are candidates instead `allowed` (B, N) bool, the hidden panel among them.
        """
        if not self.count:
            return {"allowed": self._allowed(rows)}
        wanted = self.count - 1
        parts: list[list[np.ndarray]] = [[row[None]] for row in rows]
        if self.strategy != "random":
            for part, near in zip(parts, self._nearest(rows, generators, wanted), strict=True):
                part.append(near)
        if self.strategy != "retrieve":
            for row, generator, part in zip(rows, generators, parts, strict=True):
                drawn = self._random(int(row), generator, wanted)
                part.append(drawn[~np.isin(drawn, part[1])] if len(part) > 1 else drawn)
        lists = [np.concatenate(part) for part in parts]
        width = max(2, *(len(each) for each in lists))
        candidates, real = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), bool)
        for number, each in enumerate(lists):
            candidates[number, : len(each)], real[number, : len(each)] = each, True
        return {"candidates": candidates, "candidates_real": real}

    def _allowed(self, rows: np.ndarray) -> np.ndarray:
        allowed = np.full((len(rows), self.rows), not self.negate)
        for number, row in enumerate(rows):
            allowed[number, self.key.same(int(row))] = self.negate
            allowed[number, self._copies.same(int(row))] = False
        allowed[np.arange(len(rows)), rows] = True
        return allowed

    def _random(self, row: int, generator: np.random.Generator, wanted: int) -> np.ndarray:
        """Distinct negatives, each allowed panel as likely as any other."""
        if self.negate:
            others = self._others(row)
            return others if len(others) <= wanted else others[_distinct(generator, len(others), wanted)]
        same = self._left_out(row)
        return skip(same, _distinct(generator, self.rows - len(same), wanted))

    def _nearest(self, rows: np.ndarray, generators: Sequence[np.random.Generator], wanted: int) -> list[np.ndarray]:
        targets = self._prepared(rows)
        lengths = np.einsum("bd,bd->b", targets, targets)
        if not self.negate:
            distances = self._pool_lengths - 2 * targets @ self._pool_vectors.T + lengths[:, None]
            for number, row in enumerate(rows):
                same = self._left_out(int(row))
                places = np.searchsorted(self._pool, same)
                inside = places < len(self._pool)
                inside[inside] = self._pool[places[inside]] == same[inside]
                distances[number, places[inside]] = np.inf
            return [_least(d, self._pool, wanted, n) for d, n in zip(distances, lengths, strict=True)]
        found = []
        for row, target, length, generator in zip(rows, targets, lengths, generators, strict=True):
            others = self._others(int(row))
            if len(others) > self._pool_size:
                others = others[_distinct(generator, len(others), self._pool_size)]
            distances = ((self._prepared(others) - target) ** 2).sum(axis=1)
            found.append(_least(distances, others, wanted, float(length)))
        return found

    def _left_out(self, row: int) -> np.ndarray:
        """Ascending rows that may not be negatives because they have the key in common, or are copies."""
        same = self.key.same(row)
        return np.union1d(same, self._copies.same(row)) if row in self._copies else same

    def _others(self, row: int) -> np.ndarray:
        """Rows that have the key in common, without the panel itself and its copies."""
        same = self.key.same(row)
        return same[~np.isin(same, self._copies.same(row))] if row in self._copies else same[same != row]

    def _prepared(self, rows: np.ndarray) -> np.ndarray:
        vectors = self._vectors[rows].astype(np.float32)
        if self._similarity == "cosine":
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors


def skip(left_out: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The n-th row that is not left out, for each n of `numbers` (from 0); `left_out` are ascending rows."""
    return numbers + np.searchsorted(left_out - np.arange(len(left_out)), numbers, side="right")


def _distinct(generator: np.random.Generator, count: int, wanted: int) -> np.ndarray:
    """At most `wanted` different numbers of 0 .. count - 1."""
    if count <= wanted:
        return np.arange(count)
    return generator.choice(count, wanted, replace=False, shuffle=False)


def _least(distances: np.ndarray, rows: np.ndarray, wanted: int, length: float) -> np.ndarray:
    """The rows of the least squared distances, without copies and what is infinitely far."""
    far = np.where(distances > SAME * max(length, 1e-12), distances, np.inf)
    near = np.argpartition(far, wanted - 1)[:wanted] if len(far) > wanted else np.arange(len(far))
    return rows[near[np.isfinite(far[near])]]
