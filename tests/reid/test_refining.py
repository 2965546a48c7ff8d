"""Refinements: against loops, and that no picture's decision depends on the others of its run."""

from __future__ import annotations

import numpy as np
import pytest

from comictool.core.errors import UsageError
from comictool.reid.calibration import Thresholds
from comictool.reid.classify import Rules
from comictool.reid.refining import REFINEMENTS, SHRINKAGE, Refinement
from tests.reid.sorting import World
from tests.reid.test_calibration import characters


def unit(row: np.ndarray) -> np.ndarray:
    return row / np.linalg.norm(row)


@pytest.fixture
def rows() -> np.ndarray:
    return characters(3, 5, 6, spread=1.0)[0]


def test_joining_is_a_loop_over_pictures(rows: np.ndarray) -> None:
    names = [f"{n // 2}" for n in range(20)]  # every content twice
    refined = Refinement("join", rows[:20], names)
    queries, contents = rows[20:], ["3", *[""] * 9]

    def joined(vector: np.ndarray, content: str) -> np.ndarray:
        others = [n for n in range(20) if not content or names[n] != content]
        nearest = max(others, key=lambda n: float(vector @ rows[n]))
        return unit(vector + max(float(vector @ rows[nearest]), 0) ** 3 * rows[nearest])

    for place in range(20):
        assert refined.references[place] == pytest.approx(joined(rows[place], names[place]), abs=1e-5)
    for place, row in enumerate(refined(queries, contents)):
        assert row == pytest.approx(joined(queries[place], contents[place]), abs=1e-5)


def test_whitening_is_the_inverse_root_of_the_mixed_covariance(rows: np.ndarray) -> None:
    refined = Refinement("whiten", rows[:20], [""] * 20)
    mean = rows[:20].mean(axis=0)
    covariance = (rows[:20] - mean).T @ (rows[:20] - mean) / 20
    level = np.trace(covariance) / len(covariance)
    values, axes = np.linalg.eigh((1 - SHRINKAGE) * covariance + SHRINKAGE * level * np.eye(len(covariance)))
    root = axes @ np.diag(values**-0.5) @ axes.T
    for place, row in enumerate(refined(rows[20:], [""] * 10)):
        assert row == pytest.approx(unit((rows[20 + place] - mean) @ root), abs=1e-4)


@pytest.mark.parametrize("name", REFINEMENTS)
def test_pictures_come_out_the_same_alone_and_together(rows: np.ndarray, name: str) -> None:
    refined = Refinement(name, rows[:20], [str(n) for n in range(20)])
    together = refined(rows[20:], ["x"] * 10)
    for place in range(10):
        alone = refined(rows[20 + place : 21 + place], ["x"])[0]
        assert together[place] == pytest.approx(alone, abs=1e-6)
    assert np.linalg.norm(refined.references, axis=1) == pytest.approx(np.ones(20), abs=1e-5)


@pytest.mark.parametrize("name", REFINEMENTS)
def test_classify_takes_each(world: World, name: str) -> None:
    named = {r.decision.path.rpartition("/")[2]: r.decision.character for r in world.sort(rules=Rules(refine=name))}
    assert named["one.png"] == "hero"
    assert named["two.png"] == "villain"


def test_another_refinement_begins_anew(world: World) -> None:
    stream = world.stream(rules=Rules())
    next(stream)
    stream.close()
    assert not any(r.earlier for r in world.sort(resume=True, rules=Rules(refine="join")))


def test_fitted_thresholds_and_unknown_names_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(UsageError, match="no threshold"):
        Rules(refine="whiten", threshold=Thresholds(0.05, "max", "cosine", 0.8))
    with pytest.raises(UsageError, match="no refinement"):
        Refinement("whitening", rows, [""] * len(rows))
