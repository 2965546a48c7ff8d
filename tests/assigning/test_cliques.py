"""Cliques against all subsets, and fast where the published code took seconds."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest

from comictool.assigning import cliques
from comictool.assigning.cliques import maximal_cliques, runs_of
from comictool.core.errors import InputError


def by_subsets(pairs: set[tuple[str, str]], names: list[str]) -> list[tuple[str, ...]]:
    def complete(members) -> bool:
        return all(pair in pairs for pair in combinations(members, 2))

    found = [m for size in range(2, len(names) + 1) for m in combinations(names, size) if complete(m)]
    return sorted(m for m in found if not any(set(m) < set(other) for other in found))


@pytest.mark.parametrize("seed", range(20))
def test_they_are_the_maximal_ones_whatever_the_order(seed) -> None:
    rng = np.random.default_rng(seed)
    names = list("abcdefg")
    pairs = {pair for pair in combinations(names, 2) if rng.random() < 0.5}
    expected = by_subsets(pairs, names)
    for _ in range(3):
        shuffled = [set(pair) for pair in rng.permutation(sorted(pairs)).tolist()]
        assert maximal_cliques(shuffled) == expected


def test_thirteen_that_all_occur_together_take_no_time() -> None:
    names = [f"c{n}" for n in range(13)]
    maximal_cliques([["a", "b"]])  # imports
    began = time.process_time()
    assert maximal_cliques([*combinations(names, 2)]) == [tuple(sorted(names))]
    assert time.process_time() - began < 0.05  # the published search needs 13.5 s


def test_a_forged_graph_ends(monkeypatch) -> None:
    monkeypatch.setattr(cliques, "MOST_CLIQUES", 50)
    names = range(18)  # 3 by 3 in 6 groups: 3 ** 6 cliques
    pairs = [(f"{a}", f"{b}") for a, b in combinations(names, 2) if a // 3 != b // 3]
    with pytest.raises(InputError, match="more than 50 cliques"):
        maximal_cliques(pairs)


def test_runs_reach_back() -> None:
    panels = [(1, n) for n in range(1, 7)]
    assert [[n for _, n in run] for run in runs_of(panels, 4)] == [[1, 2, 3, 4], [3, 4, 5, 6]]
    assert [[n for _, n in run] for run in runs_of(panels[:2], 4)] == [[1, 2]]
