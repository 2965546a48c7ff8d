"""Metrics of evaluation: noise scores chance, baselines are what they say, every class counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from comictool.asterx.evaluate import EvaluateOptions, context_mean, evaluate, panel_before
from comictool.asterx.keys import PanelKey, ValueKey
from comictool.asterx.retrieval import places_among
from comictool.asterx.sampling import CandidateSampler
from comictool.asterx.windows import WindowShape
from comictool.core.errors import UsageError
from tests.asterx.stories import of_lengths, story_panels, write_pack
from tests.asterx.test_extract import plugin


def test_noise_scores_chance(tmp_path: Path) -> None:
    write_pack(tmp_path, "val", of_lengths(*[20] * 12))
    metrics, facts = evaluate(tmp_path, plugin(), chosen=EvaluateOptions(candidates=(50, 0)))
    assert facts["panels"] == 240
    found = {metric.name: metric for metric in metrics}
    for name, metric in found.items():
        if "less" not in name:
            assert metric.low <= metric.chance + 0.03, name
            assert metric.value < metric.chance + 0.1, name
    assert found["top-5 of 50 candidates, model"].chance == pytest.approx(0.1)
    assert found["top-10 of all panels, model"].chance == pytest.approx(10 / 240)
    assert found["order accuracy, model"].chance == 0.5
    assert found["order accuracy, model"].count == 2 * 12 * 6


def test_a_model_that_says_the_same_of_everything_finds_nothing() -> None:
    places = places_among(np.zeros((30, 30)), np.arange(30), torch.eye(30), candidates=10, seed=0)
    assert (places.place == 10).all()
    assert places.top(3) == pytest.approx(np.full(30, 0.3))  # 4F.25: ties have it there in 3 orders of 10


def test_copies_of_the_hidden_panel_do_not_count_against_a_model() -> None:
    matrix = torch.randn(30, 4)
    matrix[5:10] = matrix[5]
    places = places_among(matrix.numpy(), np.arange(30), matrix, candidates=0, seed=0)
    assert (places.place == 1).all()
    assert places.candidates.tolist() == [30] * 5 + [26] * 5 + [30] * 20


@pytest.mark.parametrize("candidates", [0, 12])
@pytest.mark.parametrize("negate", [False, True])
def test_places_are_those_of_a_slow_loop(candidates: int, negate: bool) -> None:
    rng = np.random.default_rng(0)
    matrix, prediction = rng.normal(size=(40, 6)).astype(np.float32), rng.normal(size=(40, 6)).astype(np.float32)
    values = np.arange(40) % 3
    sampler = CandidateSampler(matrix, ValueKey(values), count=candidates, negate=negate)
    found = places_among(
        prediction, np.arange(40), torch.from_numpy(matrix), candidates=candidates, seed=4, sampler=sampler
    )
    if candidates:
        wide = CandidateSampler(matrix, ValueKey(values), count=0, negate=negate)
        every = places_among(prediction, np.arange(40), torch.from_numpy(matrix), candidates=0, seed=4, sampler=wide)
        assert (found.place <= every.place).all()
        assert (found.candidates == candidates).all()
        return
    for row in range(40):
        distances = np.linalg.norm(matrix - prediction[row], axis=1)
        others = [other for other in range(40) if other != row and (values[other] == values[row]) == negate]
        assert found.place[row] == 1 + sum(distances[other] <= distances[row] for other in others)
        assert found.candidates[row] == 1 + len(others)


def test_the_same_candidates_are_asked_of_every_prediction() -> None:
    matrix = torch.randn(50, 3)
    one, other = (places_among(matrix.numpy(), np.arange(50), matrix, candidates=20, seed=1).place for _ in range(2))
    assert (one == 1).all()
    assert (one == other).all()
    sampler = CandidateSampler(np.empty((50, 0)), PanelKey(), count=20)
    again = places_among(matrix.numpy(), np.arange(50), matrix, candidates=20, seed=1, sampler=sampler)
    assert (again.place == one).all()


def test_baselines_are_those_of_a_slow_loop() -> None:
    panels = of_lengths(1, 2, 9)
    matrix = torch.from_numpy(panels.vectors)
    mean, before = context_mean(matrix, panels, WindowShape(2, 1)), panel_before(matrix, panels)
    for row in range(len(panels)):
        start, end = panels.starts[row], panels.ends[row]
        around = [other for other in range(row - 2, row + 2) if start <= other < end and other != row]
        expected = panels.vectors[around].mean(axis=0) if around else np.zeros(panels.dimension)
        np.testing.assert_allclose(mean[row].numpy(), expected, atol=1e-6)
        near = row - 1 if row > start else row + 1
        expected = panels.vectors[near] if near < end else np.zeros(panels.dimension)
        np.testing.assert_allclose(before[row].numpy(), expected, atol=1e-6)


def labelled(folder: Path) -> Path:
    """Twelve comics a split in three classes, told apart by every third number; the last class has the largest id."""
    comics: dict[str, int] = {}
    for split, seed in (("train", 0), ("val", 1)):
        panels = story_panels(12, seed=seed)
        for number, comic in enumerate(panels.comics):
            comics[comic] = number % 3
            panels.vectors[panels.offsets[number] : panels.offsets[number + 1], number % 3 :: 3] += 20
        write_pack(folder, split, panels)
    file = folder / "classification.json"
    file.write_text(json.dumps({"comic_to_cls": comics, "cls_to_label": {"a": 0, "b": 1, "c": 2}}))
    return file


def test_every_class_counts_the_last_one_too(tmp_path: Path) -> None:
    # The published probe takes the largest id for the number of classes, so that the last class is lost.
    file = labelled(tmp_path)
    metrics, facts = evaluate(tmp_path, plugin(), chosen=EvaluateOptions(candidates=(0,), labels=file))
    assert (facts["classes"], facts["classes_in_bank"], facts["comics_without_label"]) == (3, 3, 0)
    found = {metric.name: metric for metric in metrics}
    raw = found["comic class, panel features accuracy"]
    assert raw.value == 1.0
    assert raw.count == 12
    assert raw.chance == pytest.approx(1 / 3)
    assert found["comic class, panel features macro accuracy"].value == 1.0
    assert "comic class, ASTERX vectors top-3" in found


def test_without_a_model_the_baselines_stand_alone(tmp_path: Path) -> None:
    file = labelled(tmp_path)
    metrics, facts = evaluate(tmp_path, None, chosen=EvaluateOptions(candidates=(100,), labels=file))
    names = {metric.name for metric in metrics}
    assert facts["model"] == "none"
    assert "top-1 of 100 candidates, mean of context" in names
    assert not [name for name in names if "model" in name or "ASTERX" in name]


def test_probes_are_never_scored_on_what_they_were_fitted_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="even in noise"):
        EvaluateOptions(split="train", labels=tmp_path / "classification.json")


def test_a_single_comic_has_an_interval_too(tmp_path: Path) -> None:
    write_pack(tmp_path, "val", of_lengths(60))
    metrics, _ = evaluate(tmp_path, plugin(), chosen=EvaluateOptions(candidates=(4,)))
    for metric in metrics:
        assert metric.low < metric.high or metric.value in (0.0, 1.0), metric.name
