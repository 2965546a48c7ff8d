"""Thresholds: what they promise on characters they were not fitted on, and the verdicts they lead to."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.reid.calibration import NOBODY, Thresholds, calibrate, decide
from comictool.reid.evaluation import open_set
from comictool.reid.scoring import Scores, score_characters


def characters(seed: int, count: int, each: int, *, spread: float = 0.9, dimension: int = 48):
    """Vectors around a direction of each character, all with something in common; names; pages (one a picture)."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(count, dimension)) + rng.normal(size=dimension)
    rows = np.repeat(middles, each, axis=0) + rng.normal(size=(count * each, dimension)) * spread
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = np.repeat([f"c{i:03}" for i in range(count)], each)
    return rows.astype(np.float32), names, np.arange(len(names)).astype(str)


@pytest.mark.parametrize(("count", "each"), [(8, 6), (20, 10), (60, 8)])
@pytest.mark.parametrize("far", [0.01, 0.05, 0.2])
def test_false_acceptance_stays_within_twice_what_was_asked_on_other_characters(count, each, far) -> None:
    rates = [open_set(*characters(seed, count, each), far=far, halves=10, seed=seed) for seed in range(3)]
    assert np.mean([rate.accepted for rate in rates]) <= 2 * far
    if count >= 20:  # and it is no empty promise: these characters are easy
        assert np.mean([rate.detected for rate in rates]) > 0.6


def test_a_larger_rate_never_raises_the_threshold() -> None:
    rows, names, _ = characters(1, 12, 6)
    levels = [calibrate(rows, names, far=far).overall for far in (0.001, 0.01, 0.03, 0.1, 0.2, 0.4)]
    assert levels == sorted(levels, reverse=True)


def test_with_many_characters_it_is_the_conformal_quantile() -> None:
    rows, names, _ = characters(2, 400, 3)
    alike = rows @ rows.T
    alike[names[:, None] == names[None, :]] = -1
    impostors = np.sort(alike.max(axis=1))
    place = math.ceil(1201 * (1 - 0.1 * 399 / 400))
    assert calibrate(rows, names, far=0.1).overall == pytest.approx(impostors[place - 1], abs=0.01)


def test_few_characters_make_it_cautious_and_say_so() -> None:
    rows, names, _ = characters(3, 3, 8)
    few = calibrate(rows, names, far=0.01)
    assert few.supported == 1 / 4
    assert "3 characters show rates from 0.25 by themselves" in few.note
    assert "96 or more others" in few.note
    alike = (rows @ rows.T)[names[:, None] != names[None, :]]
    assert few.overall > alike.max() + 0.02
    assert calibrate(*characters(3, 80, 8)[:2], far=0.1).note == ""


def test_a_rare_rate_with_few_characters_still_names_clear_pictures() -> None:
    # Before, thresholds of two to five characters at .01 came out above every score, and nobody was ever named.
    rows, names, _ = characters(12, 5, 8, spread=0.35)
    found = calibrate(rows, names, far=0.01)
    assert found.overall < 1
    assert found.named is not None
    assert found.named > 0.5
    right = [
        verdict.character == name for verdict, name in zip(named_by_others(rows, names, found), names, strict=True)
    ]
    assert np.mean(right) == pytest.approx(found.named)


def named_by_others(rows, names, found):
    mask = np.eye(len(rows), dtype=bool)
    return decide(score_characters(rows, rows, names, found.mode, excluded=mask), found)


def test_it_says_when_hardly_anybody_is_named() -> None:
    rows, names, _ = characters(13, 3, 5, spread=2.5)
    found = calibrate(rows, names, far=0.01)
    assert found.named is not None
    assert found.named < 0.1
    assert "of the references themselves would be named" in found.note


def test_pictures_of_one_page_do_not_stand_in_for_strangers() -> None:
    # Characters of one page look alike through its light; strangers come from other pages.
    rows, names, _ = characters(14, 10, 6)
    pages = np.tile(np.arange(6), 10)
    light = np.random.default_rng(0).normal(size=(6, rows.shape[1]))
    rows = rows + 0.25 * light[pages]
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    same_page = pages[:, None] == pages[None, :]
    blind, seeing = calibrate(rows, names, far=0.1), calibrate(rows, names, far=0.1, excluded=same_page)
    by_range = calibrate(rows, names, far=0.1, excluded=lambda start, stop: same_page[start:stop])
    assert seeing == by_range
    assert seeing.overall < blind.overall - 0.02


def test_a_background_of_the_same_comic_counts_like_more_characters() -> None:
    rows, names, _ = characters(15, 43, 6)
    own = np.isin(names, np.unique(names)[:3])
    few = calibrate(rows[own], names[own], far=0.05)
    more = calibrate(rows[own], names[own], far=0.05, background=rows[~own], background_groups=names[~own].tolist())
    assert (few.characters, more.characters) == (3, 43)
    assert more.overall < few.overall
    assert more.supported < 0.05
    assert more.note == ""


def test_background_only_raises_the_threshold() -> None:
    rows, names, _ = characters(4, 10, 6)
    plain = calibrate(rows, names, far=0.05)
    far_away = -rows[:30]
    close = (rows[:50] + 0.1 * rows[5:55]) / np.linalg.norm(rows[:50] + 0.1 * rows[5:55], axis=1, keepdims=True)
    useless = calibrate(rows, names, far=0.05, background=far_away)
    assert useless.overall == plain.overall
    assert (useless.background, useless.counted) == (30, 0)
    assert "0 of 30 background pictures count" in useless.note, "F13"
    heap = calibrate(rows, names, far=0.05, background=close, background_groups=["heap"] * 50)
    assert heap.characters <= plain.characters + 1, "F13: a folder of one character's pictures is one character"
    assert "one folder" in heap.note
    assert calibrate(rows, names, far=0.05, background=close).overall > plain.overall


def test_one_character_needs_a_background() -> None:
    rows, names, _ = characters(5, 1, 6)
    with pytest.raises(UsageError, match="1 character is enrolled"):
        calibrate(rows, names, far=0.05)
    others = characters(6, 30, 2)[0]
    assert -1 < calibrate(rows, names, far=0.05, background=others).overall < NOBODY


def test_thresholds_of_characters_follow_how_strangers_score_with_them() -> None:
    rows, names, _ = characters(7, 12, 8)
    common = rows.mean(axis=0)
    plain = rows[names == "c000"] + 3 * common  # this one looks like everybody
    rows[names == "c000"] = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    found = calibrate(rows, names, far=0.05, per_character=True)
    assert set(found.per_character) == set(names.tolist())
    assert found.of("c000") == max(found.per_character.values())
    assert found.of("somebody enrolled later") == found.overall


def test_identical_references_do_not_give_a_threshold_that_rounding_passes() -> None:
    rows = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 1, 1]]
    level = calibrate(rows, ["a"] * 3 + ["b"] * 3, far=0.05).overall
    assert 0 < level < 1


def test_all_of_one_page_accepts_nobody() -> None:
    rows, names, _ = characters(8, 3, 4)
    found = calibrate(rows, names, far=0.05, excluded=np.ones((12, 12), bool))
    assert found.overall == NOBODY
    assert decide(score_characters(rows, rows, names), found)[0].status == "unknown"


@pytest.mark.parametrize("far", [0, 1, -0.1, float("nan")])
def test_a_rate_out_of_range_is_refused(far) -> None:
    with pytest.raises(UsageError, match="false acceptance rate"):
        calibrate(*characters(9, 3, 3)[:2], far=far)


def test_thresholds_survive_json() -> None:
    rows, names, _ = characters(10, 5, 5)
    for per_character in (False, True):
        found = calibrate(rows, names, far=0.1, mode="KNN:3", per_character=per_character)
        assert found.mode == "knn:3"
        assert Thresholds.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    "damage",
    [
        {"overall": "0.5"},
        {"overall": None},
        {"per_character": [1]},
        {"per_character": {"a": "x"}},
        {"extra": 1},
        {"mode": 3},
    ],
)
def test_damaged_thresholds_are_refused(damage) -> None:
    good = {"far": 0.1, "mode": "max", "metric": "cosine", "overall": 0.5}
    assert Thresholds.from_json(good).overall == 0.5
    with pytest.raises(InputError, match="no thresholds"):
        Thresholds.from_json(good | damage)


def scores(*rows: list[float]) -> Scores:
    table = np.array(rows, np.float32)
    return Scores(("ann", "bob", "eve"), table, np.where(np.isfinite(table), 7, -1))


def test_verdicts() -> None:
    table = scores([0.9, 0.2, 0.1], [0.3, 0.2, 0.1], [0.8, 0.79, 0.1], [0.5, 0.9, 0.9], [-np.inf] * 3)
    found = decide(table, 0.5, margin=0.05)
    assert [verdict.status for verdict in found] == ["ok", "unknown", "ambiguous", "ambiguous", "unknown"]
    assert [verdict.character for verdict in found] == ["ann", None, "ann", "bob", None]
    assert found[0].ranked[0] == ("ann", pytest.approx(0.9), 7)
    assert found[1].score == pytest.approx(0.3)
    assert found[1].threshold == 0.5
    assert found[2].margin == pytest.approx(0.01)
    assert found[4].score is None
    assert found[4].ranked == ()


def test_without_thresholds_every_picture_gets_a_name() -> None:
    found = decide(scores([-0.9, -0.95, -1.0]))[0]
    assert (found.status, found.character, found.threshold) == ("ok", "ann", None)


def test_a_score_equal_to_the_threshold_is_accepted_and_top_limits_the_list() -> None:
    found = decide(scores([0.5, 0.25, 0.125]), 0.5, top=1)[0]
    assert found.status == "ok"
    assert len(found.ranked) == 1
    assert found.margin == pytest.approx(0.25)


def test_each_character_has_its_own_bar() -> None:
    thresholds = Thresholds(0.1, "max", "cosine", 0.9, {"ann": 0.4, "bob": 0.8})
    found = decide(scores([0.5, 0.1, 0.1], [0.1, 0.5, 0.1], [0.1, 0.1, 0.5]), thresholds)
    assert [verdict.status for verdict in found] == ["ok", "unknown", "unknown"]
    assert [verdict.threshold for verdict in found] == [0.4, 0.8, 0.9]
