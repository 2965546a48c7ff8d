"""Names: no better assignment exists, and no panel has one name twice."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from comictool.assigning import naming
from comictool.assigning.naming import name_groups


def best_by_trying(costs, sizes, panels, nobody) -> float:
    count, characters = costs.shape
    best = np.inf
    for answer in product(range(-1, characters), repeat=count):
        said = [[answer[g] for g in set(panel) if answer[g] >= 0] for panel in panels]
        if all(len(names) == len(set(names)) for names in said):
            cost = sum(costs[g, name] if name >= 0 else nobody * sizes[g] for g, name in enumerate(answer))
            best = min(best, cost)
    return best


@pytest.mark.parametrize("seed", range(8))
def test_nothing_costs_less(seed) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, 5)
    costs = rng.random((5, 3)) * 1.4 * sizes[:, None]
    panels = [rng.choice(5, 2 + seed % 2, replace=False).tolist() for _ in range(3)]
    found = name_groups(costs, sizes, panels, nobody=0.75)
    assert found.exact
    assert found.cost == pytest.approx(best_by_trying(costs, sizes, panels, 0.75))
    for panel in panels:
        names = [found.names[g] for g in set(panel) if found.names[g] >= 0]
        assert len(names) == len(set(names))


def test_a_price_decides_who_is_nobody() -> None:
    costs = np.array([[0.3, 0.9], [0.8, 0.9]])
    assert name_groups(costs, [1, 1], [], nobody=0.75).names.tolist() == [0, -1]
    assert name_groups(costs, [1, 1], [], nobody=1.0).names.tolist() == [0, 0]
    assert name_groups(costs, [1, 1], [[0, 1]], nobody=1.0).names.tolist() == [0, 1]
    assert name_groups(np.zeros((2, 0)), [1, 1], []).names.tolist() == [-1, -1]


def test_what_somebody_has_named_is_kept_and_blocks() -> None:
    costs = np.array([[0.1, 0.9], [0.1, 0.2], [0.1, 0.9]])
    found = name_groups(costs, [1, 1, 1], [[0, 1], [1, 2]], nobody=0.75, given={0: 1, 2: -1})
    assert found.names.tolist() == [1, 0, -1]


def test_out_of_time_names_still_fit_the_panels(monkeypatch) -> None:
    monkeypatch.setattr(naming, "_solve", lambda *_: None)
    found = name_groups(np.array([[0.1, 0.3], [0.2, 0.5]]), [1, 1], [[0, 1]], nobody=0.75)
    assert not found.exact
    assert found.names.tolist() == [0, 1]
