"""The evaluation as a whole: chance, perfection, pages, what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.plugins.classic.encoder import ClassicEncoder
from comictool.reid import evaluation
from comictool.reid.evaluation import choose_mode, evaluate, open_set, page_mask, pair_figures
from tests.bench.character_search import load_crops
from tests.data import data, needs_data
from tests.reid.test_calibration import characters


def test_clear_characters_are_perfect() -> None:
    rows, names, pages = characters(0, 6, 5, spread=0.1)
    found = evaluate(rows, names, pages, halves=5)
    for name in ("rank1", "macro_rank1", "rank5", "map", "map_at_r"):
        assert found.figures[name].value == 1
    assert found.figures["eer"].value == 0
    assert found.figures["ari"].value > 0.9
    assert (np.diag(found.confusion)[:6] == 5).all()
    assert found.by_character["c000"] == (5, 1.0)


def test_random_vectors_are_at_chance() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(120, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = evaluate(rows, np.arange(120) % 6, None, halves=20)
    assert found.figures["rank1"].low < 1 / 6 < found.figures["rank1"].high
    assert found.figures["eer"].value == pytest.approx(0.5, abs=0.05)
    for key, metric in found.figures.items():  # each stands beside what guessing gets, within its interval
        assert metric.low - 0.02 <= metric.value <= metric.high + 0.02, key
        if not key.startswith("open_set") or "closed" in key:
            assert metric.value == pytest.approx(metric.chance, abs=0.06), key
            assert not metric.beats_chance, key


@pytest.mark.parametrize("rerank", [False, True])
def test_equal_vectors_are_at_chance(rerank: bool) -> None:
    """4F.25: characters recur on neighbouring pages, and all vectors are the same."""
    names = np.array([f"c{page // 5}" for page in range(30) for _ in range(4)])
    names[:40] = "a"  # whoever comes first of equals is also the most frequent
    pages = np.repeat(np.arange(30), 4).astype(str)
    rows = np.tile(np.full((1, 16), 0.25, np.float32), (120, 1))
    found = evaluate(rows, names, pages, rerank=rerank, halves=10)
    for key in ("rank1", "rank5", "macro_rank1", "macro_rank5", "map", "map_at_r"):
        metric = found.figures[key]
        assert metric.value == pytest.approx(metric.chance, abs=0.02 if rerank else 1e-6), key
    assert not [key for key, metric in found.figures.items() if metric.beats_chance]


def test_pictures_of_the_own_page_do_not_answer() -> None:
    # Two pictures on each page are nearly the same; without the pages they would answer each other.
    rng = np.random.default_rng(2)
    rows = np.repeat(rng.normal(size=(20, 32)), 2, axis=0) + 0.01 * rng.normal(size=(40, 32))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    names, pages = np.repeat(np.arange(20) % 4, 2), np.repeat(np.arange(20), 2).astype(str)
    assert evaluate(rows, names, None, halves=2).figures["rank1"].value == 1
    assert evaluate(rows, names, pages, halves=2).figures["rank1"].value < 0.7


def test_a_character_on_one_page_only_is_not_asked() -> None:
    rows, names, _ = characters(3, 3, 4, spread=0.1)
    pages = np.array(["p1"] * 4 + [f"p{i}" for i in range(2, 10)])
    found = evaluate(rows, names, pages, halves=2)
    assert (found.pictures, found.answered) == (12, 8)
    assert "c000" not in found.by_character


def test_it_is_the_same_twice_and_plain_json() -> None:
    rows, names, pages = characters(4, 5, 4, spread=1.5)
    texts = [
        json.dumps([metric.as_record() for metric in evaluate(rows, names, pages, halves=4).figures.values()])
        for _ in range(2)
    ]
    assert texts[0] == texts[1]
    assert "NaN" not in texts[0]


def test_nearest_or_prototype_is_chosen_by_leaving_out() -> None:
    # Averages win where pictures are noisy around one look; the nearest wins where a character has several looks.
    noisy = characters(5, 12, 10, spread=3.0)
    assert choose_mode(*noisy)[0] == "centroid"
    rng = np.random.default_rng(6)
    looks = rng.normal(size=(24, 16))
    looks[12:] = -looks[np.roll(np.arange(12), 1)] + 0.1 * rng.normal(size=(12, 16))
    rows = np.repeat(looks, 3, axis=0) + 0.3 * rng.normal(size=(72, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    mode, figures = choose_mode(rows, np.repeat(np.arange(24) % 12, 3), np.arange(72).astype(str))
    assert mode == "max"
    assert set(figures) == {"max", "centroid", "knn:3"}


def test_one_picture_each_leaves_nothing_to_choose_by() -> None:
    assert choose_mode(np.eye(3, dtype=np.float32), ["a", "b", "c"], ["1", "2", "3"])[0] == "max"


def test_the_open_set_never_sees_the_strangers(monkeypatch) -> None:
    rows, names, pages = characters(7, 8, 6)
    seen: list[set[str]] = []
    real = evaluation.calibrate
    monkeypatch.setattr(
        evaluation, "calibrate", lambda own, labels, **more: seen.append(set(labels)) or real(own, labels, **more)
    )
    found = open_set(rows, names, pages, far=0.1, halves=6)
    assert all(len(half) == 4 for half in seen)
    assert found.detected <= found.closed
    assert found.accepted <= found.worst_half


def test_pairs_mode() -> None:
    scores, same = np.array([0.9, 0.8, 0.3, 0.2]), np.array([True, True, False, False])
    assert pair_figures(scores, same)["eer"].value == 0
    with pytest.raises(InputError, match="0 of different"):
        pair_figures(scores[:2], same[:2])


def test_drawn_pairs_give_the_rates_of_all_pairs(monkeypatch) -> None:
    rows, names, pages = characters(9, 12, 12, spread=1.5)
    every = evaluate(rows, names, pages, halves=1).figures["eer"].value
    monkeypatch.setattr(evaluation, "ALL_PAIRS", 10)
    monkeypatch.setattr(evaluation, "DRAWN_PAIRS", 20_000)
    assert evaluate(rows, names, pages, halves=1).figures["eer"].value == pytest.approx(every, abs=0.02)


@needs_data
@pytest.mark.data
@pytest.mark.parametrize(
    ("series", "macro", "precision"), [("alarming_tales", 0.82, 0.68), ("peppercarrot", 0.53, 0.40)]
)
def test_drawn_characters_are_found_again(series, macro, precision) -> None:
    crops = load_crops(data("characters", series))
    rows = ClassicEncoder("character").embed(crops.images)
    figures = evaluate(rows, crops.identities, crops.pages, halves=1).figures
    assert figures["macro_rank1"].value >= macro
    assert figures["map"].value >= precision


def test_masks_of_pages_hold_the_picture_itself() -> None:
    assert page_mask(["", "a", "a"]).tolist() == [[True, False, False], [False, True, True], [False, True, True]]


def test_what_cannot_be_evaluated_is_refused(monkeypatch) -> None:
    rows, names, pages = characters(8, 2, 3)
    with pytest.raises(InputError, match="two characters"):
        evaluate(rows[:3], names[:3], pages[:3])
    with pytest.raises(InputError, match="do not fit"):
        evaluate(rows, names[:3], pages)
    monkeypatch.setattr(evaluation, "MOST_PAIRS", 5)
    with pytest.raises(UsageError, match="too many"):
        evaluate(rows, names, pages)
