"""The level of impostors: quantile, safety margin and unit against plain formulas and simulated impostors."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from comictool.reid.impostors import impostor_level, log_distances, pair_spread, safety_margin, score_at


def test_scores_become_logarithms_of_distances_and_back() -> None:
    scores = np.array([0.5, 0.99, -0.5, -np.inf])
    logs = log_distances(scores, "cosine")
    assert logs[:3] == pytest.approx([math.log(0.5), math.log(0.01), math.log(1.5)])
    assert logs[3] == np.inf
    assert [score_at(log, "cosine") for log in logs[:3]] == pytest.approx(scores[:3])


def test_the_older_score_has_the_same_logarithms() -> None:
    cosines = np.array([0.9, 0.3, -0.2])
    legacy = -np.sqrt(2 - 2 * cosines)
    assert log_distances(legacy, "legacy") == pytest.approx(log_distances(cosines, "cosine"))
    assert score_at(math.log(0.1), "legacy") == pytest.approx(legacy[0])


def test_copies_do_not_end_in_minus_infinity() -> None:
    assert np.isfinite(log_distances(np.array([1.0, 1.0000001]), "cosine")).all()


def test_the_unit_is_the_root_mean_square_of_both_spreads() -> None:
    rng = np.random.default_rng(0)
    within, between = rng.normal(-2, 0.5, 400), rng.normal(-1, 0.25, 900)
    expected = math.sqrt((within.var() + between.var()) / 2)
    assert pair_spread(np.append(within, np.inf), between) == pytest.approx(expected)
    one_each = pair_spread(np.zeros(0), between)  # one picture a character: no pairs of one character
    assert one_each == pytest.approx(between.std() * math.sqrt((1.6**2 + 1) / 2))
    assert pair_spread(np.zeros(0), np.zeros(0)) > 0


@pytest.mark.parametrize(
    ("groups", "pictures", "rate"), [(2, 8, 0.01), (5, 60, 0.05), (12, 240, 0.1), (300, 900, 0.05)]
)
def test_the_reserve_by_its_formula(groups, pictures, rate) -> None:
    normal = NormalDist()
    beyond = max(0.0, normal.inv_cdf(1 - rate) - normal.inv_cdf(pictures / (pictures + 1)))
    power = 1.75 - 0.3 * math.log(0.1 / rate)
    assert safety_margin(groups, pictures, rate) == pytest.approx(0.6 * beyond + 4 * groups**-power)


def test_the_reserve_falls_with_characters_pictures_and_rate() -> None:
    for rate in (0.001, 0.01, 0.05, 0.1, 0.3):
        by_groups = [safety_margin(groups, 50, rate) for groups in (1, 2, 3, 5, 10, 50, 500)]
        assert by_groups == sorted(by_groups, reverse=True)
    for groups in (1, 2, 5, 50):
        by_rate = [safety_margin(groups, 50, rate) for rate in (0.0001, 0.001, 0.01, 0.05, 0.1, 0.3, 0.9)]
        assert by_rate == sorted(by_rate, reverse=True)
        assert safety_margin(groups, 10, 0.01) > safety_margin(groups, 100, 0.01)


def test_with_many_characters_it_is_the_conformal_place() -> None:
    rng = np.random.default_rng(1)
    logs = rng.normal(-1, 0.3, 999)
    found = impostor_level(logs, np.arange(999), 0.05, 0.3)
    place = sorted(logs)[50 - 1]  # of 999 and a new one, a twentieth is 50
    assert found.log_distance == pytest.approx(place, abs=0.01)
    assert (found.pictures, found.groups, found.supported) == (999, 999, 1 / 1000)


@pytest.mark.parametrize("groups", [2, 3, 5, 10, 40])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
def test_new_characters_stay_within_the_rate(groups, rate) -> None:
    # Impostors of two levels: characters differ as much as the pictures of each do.
    rng = np.random.default_rng(groups)
    accepted = []
    for _ in range(300):
        middles = rng.normal(-1, 0.2, groups)
        known = np.repeat(middles, 10) + rng.normal(0, 0.2, groups * 10)
        found = impostor_level(known, np.repeat(np.arange(groups), 10), rate, 0.3)
        fresh = rng.normal(-1, 0.2, 50)[:, None] + rng.normal(0, 0.2, (50, 10))
        accepted.append(np.mean(fresh <= found.log_distance))
    assert np.mean(accepted) <= 1.1 * rate


def test_nothing_to_compare_accepts_nobody() -> None:
    found = impostor_level(np.full(3, np.inf), np.arange(3), 0.1, 0.3)
    assert found.log_distance == -np.inf
    assert found.pictures == 0
