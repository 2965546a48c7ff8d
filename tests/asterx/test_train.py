"""Training on made-up stories: what can be learnt is, what cannot is not, and validation hides what training hides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from comictool.asterx.config import PRESETS, RECIPE, AsterxConfig
from comictool.asterx.data import standardisation
from comictool.asterx.encoding import encode_panels, standard_matrix
from comictool.asterx.train import AsterxTask, prepare
from comictool.asterx.weights import load_sequence_model
from comictool.core.errors import InputError, UsageError
from comictool.training.config import resolve
from comictool.training.engine import RunOptions, train
from comictool.training.recipe import SampleKey, StepState
from comictool.vectors.tables import Table
from tests.asterx.stories import of_lengths, story_panels, write_pack
from tests.asterx.test_weights import save_published

CPU = torch.device("cpu")
ON_CPU = RunOptions(device="cpu")
SMALL = (
    "encoder.width=32",
    "encoder.feedforward=64",
    "encoder.dropout=0.0",
    "training.workers=0",
    "training.precision=fp32",
    "sampling.train_candidates=40",
    "training.epochs=12",
    "training.batch_size=32",
)


def settings(*sets: str, preset: str = "tiny") -> AsterxConfig:
    return resolve(AsterxConfig, PRESETS, preset=preset, sets=(*SMALL, *sets)).config


@pytest.mark.parametrize("published", [False, True])
def test_a_run_begins_from_weights(tmp_path: Path, published: bool) -> None:
    """F15: from a run of ours, and from a .pt in the published layout."""
    source = features(tmp_path / "features")
    sets = (*SMALL, "training.max_steps=3")
    first = train(RECIPE, RECIPE.resolve(preset="tiny", sets=sets), {"features": source}, tmp_path / "a", ON_CPU)
    weights = first.run
    model = load_sequence_model(weights).model
    if published:
        weights = tmp_path / "published.pt"
        save_published(weights, model)
    sources = {"features": source, "weights": weights}
    begun = prepare(settings(), sources, CPU)
    panels = story_panels(6, seed=9)
    found, expected = (
        encode_panels(m.eval(), standard_matrix(m, panels, CPU), panels).sequence for m in (begun.task.model, model)
    )
    assert np.allclose(found, expected, atol=1e-4)
    assert begun.facts["weights"] == load_sequence_model(weights, heads=4).encoder_id
    # Its first losses are those of a trained model, and it can be resumed only with the same beginning.
    again = train(RECIPE, RECIPE.resolve(preset="tiny", sets=sets), sources, tmp_path / "b", ON_CPU)
    assert again.step == 3
    with pytest.raises(InputError, match="weights"):
        train(RECIPE, RECIPE.resolve(preset="tiny", sets=sets), {"features": source}, tmp_path / "b", ON_CPU)
    with pytest.raises(InputError, match="another shape") as refusal:
        prepare(settings("encoder.width=64", "encoder.layers=1"), sources, CPU)
    assert refusal.value.hint == "--set encoder.width=32 --set encoder.layers=2"


def features(folder: Path, shuffle: str = "") -> Path:
    for split, seed, comics in (("train", 0, 30), ("val", 1, 12)):
        panels = story_panels(comics, seed=seed)
        order, rng = np.arange(len(panels)), np.random.default_rng(seed)
        if shuffle == "comic":
            for start, end in zip(panels.offsets[:-1], panels.offsets[1:], strict=True):
                order[start:end] = rng.permutation(order[start:end])
        elif shuffle == "corpus":
            order = rng.permutation(order)
        write_pack(folder, split, replace(panels, vectors=panels.vectors[order]))
    return folder


def run(folder: Path, *sets: str) -> dict[str, float]:
    """The metrics of the last validation: the best one would be chosen by what it is measured with."""
    resolved = resolve(AsterxConfig, PRESETS, preset="tiny", sets=(*SMALL, "training.patience=0", *sets))
    train(RECIPE, resolved, {"features": folder}, folder / "run", RunOptions(device="cpu"))
    task = prepare(resolved.config, {"features": folder}, CPU).task
    state = torch.load(folder / "run/checkpoints/last.pt", weights_only=True)
    task.load_state_dict(state["task"])
    task.eval()
    return task.validate(StepState(0, 1, 1, 0, 1))


def test_order_and_hidden_panels_of_a_story_are_learnt(tmp_path: Path) -> None:
    metrics = run(features(tmp_path))
    assert metrics["order"] >= 0.9
    assert metrics["top1"] >= 5 / 222  # chance is one of the 222 panels
    loaded = load_sequence_model(tmp_path / "run")
    assert loaded.reads == "made up"


def test_shuffled_within_comics_nothing_tells_the_order(tmp_path: Path) -> None:
    assert 0.3 < run(features(tmp_path, "comic"))["order"] < 0.7


def test_shuffled_over_the_corpus_nothing_tells_the_panel(tmp_path: Path) -> None:
    metrics = run(features(tmp_path, "corpus"))
    assert metrics["top10"] < 3 * 10 / 222


def batch_of(prepared: Any, rows: Sequence[int]) -> dict[str, torch.Tensor]:
    batch: dict[str, torch.Tensor] = prepared.data.load([SampleKey(row, 100 + row) for row in rows])
    return batch


def test_batches_show_both_neighbours_and_hide_the_centre(tmp_path: Path) -> None:
    prepared = prepare(settings(), {"features": features(tmp_path)}, CPU)
    batch = batch_of(prepared, range(len(prepared.data)))
    middle = batch["orderable"]
    share = batch["is_next"][middle].float().mean().item()
    assert 0.35 < share < 0.65
    assert batch["hide"].all()
    assert (batch["first"][middle] != batch["second"][middle]).all()
    assert (batch["first"][:, 2] == batch["rows"]).all()


def test_single_and_visible_windows_are_drawn_when_asked_for(tmp_path: Path) -> None:
    prepared = prepare(settings("window.single=0.5", "window.visible=0.25"), {"features": features(tmp_path)}, CPU)
    batch = batch_of(prepared, range(len(prepared.data)))
    alone = ~batch["second_real"].any(dim=1)
    assert 0.35 < alone.float().mean() < 0.65
    assert not batch["orderable"][alone].any()
    assert 0.1 < (~batch["hide"]).float().mean() < 0.4
    prepared.task.eval()
    assert torch.isfinite(prepared.task(batch)["loss"])


def test_a_sample_is_the_same_in_any_batch(tmp_path: Path) -> None:
    prepared = prepare(settings("sampling.strategy=mix"), {"features": features(tmp_path)}, CPU)
    whole, part = batch_of(prepared, range(20)), batch_of(prepared, range(7, 11))
    for name in ("first", "second", "is_next", "orderable", "rows"):
        assert torch.equal(whole[name][7:11], part[name])


def task_of(tmp_path: Path, *sets: str) -> tuple[AsterxTask, Any]:
    prepared = prepare(settings("objective.noise=0", *sets), {"features": features(tmp_path)}, CPU)
    assert isinstance(prepared.task, AsterxTask)
    prepared.task.eval()
    return prepared.task, prepared


@pytest.mark.parametrize("candidates", [0, 8, 200])
def test_both_losses_are_summed_whatever_way_candidates_are_scored(tmp_path: Path, candidates: int) -> None:
    task, prepared = task_of(tmp_path, f"sampling.train_candidates={candidates}")
    metrics = task(batch_of(prepared, range(16)))
    assert metrics["loss"].item() == pytest.approx((metrics["order_loss"] + metrics["retrieval_loss"]).item())


def test_gathered_scores_are_those_of_gathered_vectors(tmp_path: Path) -> None:
    task, prepared = task_of(tmp_path, "sampling.train_candidates=30")
    small, large = batch_of(prepared, range(3)), batch_of(prepared, range(64))
    with torch.no_grad():
        prediction = torch.randn(64, task.model.shape.features)
        scores, real, _ = task._scores(prediction, large)  # more candidates than panels: from all panels
        for row in range(3):
            one = {name: value[row : row + 1] for name, value in small.items() if name.startswith(("cand", "rows"))}
            expected, there, _ = task._scores(prediction[row : row + 1], one)
            torch.testing.assert_close(scores[row, : expected.shape[1]], expected[0], rtol=1e-4, atol=1e-4)
            assert torch.equal(real[row, : there.shape[1]], there[0])


@pytest.mark.parametrize(("off", "kept"), [("order", "retrieval_loss"), ("retrieval", "order_loss")])
def test_either_objective_can_be_off_and_every_parameter_still_has_a_gradient(
    tmp_path: Path, off: str, kept: str
) -> None:
    task, prepared = task_of(tmp_path, f"objective.{off}=false")
    metrics = task(batch_of(prepared, range(20)))
    assert metrics["loss"].item() == pytest.approx(metrics[kept].item())
    metrics["loss"].backward()
    assert all(parameter.grad is not None for parameter in task.parameters())


def test_order_alone_is_judged_by_order(tmp_path: Path) -> None:
    resolved = resolve(
        AsterxConfig, PRESETS, preset="tiny", sets=(*SMALL, "objective.retrieval=false", "training.epochs=1")
    )
    result = train(RECIPE, resolved, {"features": features(tmp_path)}, tmp_path / "run", RunOptions(device="cpu"))
    assert result.best is not None
    assert list(result.best["metrics"]) == ["order"]


def test_settings_that_teach_nothing_are_refused() -> None:
    for wrong in (
        ("objective.order=false", "objective.retrieval=false"),
        ("sampling.key=panel", "sampling.negate=true"),
        ("sampling.train_candidates=1",),
        ("objective.temperature=0",),
        ("window.single=1.0",),
    ):
        with pytest.raises(UsageError):
            settings(*wrong)


def test_the_published_settings_are_the_defaults() -> None:
    config = resolve(AsterxConfig, PRESETS, preset="paper").config
    assert config == AsterxConfig()
    shape = (config.encoder.width, config.encoder.layers, config.encoder.heads, config.encoder.feedforward)
    assert shape == (768, 8, 8, 2048)
    training = config.training
    assert (training.learning_rate, training.batch_size, training.patience) == (1e-5, 32, 10)
    assert (config.sampling.train_candidates, config.sampling.eval_candidates) == (500, 5000)


@pytest.mark.parametrize("kind", ["both", "additive", "relative"])
def test_noise_is_for_training_alone(tmp_path: Path, kind: str) -> None:
    task, _ = task_of(tmp_path, "objective.noise=0.5", f"objective.noise_kind={kind}")
    vectors = torch.randn(500, 24)
    assert torch.equal(task._noisy(vectors, candidates=False), vectors)
    task.train()
    difference = task._noisy(vectors, candidates=False) - vectors
    strength = difference.pow(2).mean().sqrt().item()
    expected = {"additive": 0.5, "relative": 0.5 / 24**0.5, "both": 0.5 * (0.5 + 0.5 / 24) ** 0.5}[kind]
    assert strength == pytest.approx(expected, rel=0.1)
    assert torch.equal(task._noisy(vectors, candidates=True), vectors)  # tiny leaves candidates as they are


def test_validation_hides_the_panel_it_asks_for(tmp_path: Path) -> None:
    # The published validation crashes, and would show the panel it asks for.
    task, _ = task_of(tmp_path)
    panels = story_panels(4)
    matrix = standard_matrix(task.model, panels)
    hidden = encode_panels(task.model, matrix, panels).prediction
    changed = matrix.clone()
    changed[10] += 50
    other = encode_panels(task.model, changed, panels).prediction
    assert np.allclose(hidden[10], other[10])
    assert not np.allclose(hidden[9], other[9])


def test_standardising_keeps_who_is_near_to_whom() -> None:
    vectors = np.random.default_rng(0).normal(5, [0.1, 1, 3], size=(400, 3)).astype(np.float32)
    mean, scale = standardisation(vectors)
    changed = (vectors - mean) * scale
    assert np.mean(changed**2) == pytest.approx(1, rel=1e-3)
    before, after = (((each[:, None] - each[None]) ** 2).sum(-1) for each in (vectors, changed))
    assert (before.argsort(axis=1)[:, :5] == after.argsort(axis=1)[:, :5]).mean() > 0.999
    assert standardisation(np.zeros((4, 2)))[1] == 1.0


def test_features_of_two_kinds_are_refused(tmp_path: Path) -> None:
    write_pack(tmp_path, "train", story_panels())
    write_pack(tmp_path, "val", replace(story_panels(seed=1), facts={"encoder_id": "another"}))
    with pytest.raises(InputError, match="not features of one kind"):
        prepare(settings(), {"features": tmp_path}, CPU)
    with pytest.raises(InputError, match="nowhere does not exist"):
        prepare(settings(), {"features": tmp_path / "nowhere"}, CPU)


def test_one_panel_is_nothing_to_learn_from_and_no_success(tmp_path: Path) -> None:
    write_pack(tmp_path, "train", of_lengths(1))
    with pytest.raises(InputError, match="holds one panel"):
        prepare(settings(), {"features": tmp_path}, CPU)
    write_pack(tmp_path, "train", of_lengths(9))
    write_pack(tmp_path, "val", of_lengths(1))
    prepared = prepare(settings(), {"features": tmp_path}, CPU)
    state = StepState(step=0, total_steps=1, steps_per_epoch=1, epoch=0, batch_size=1)
    assert prepared.task.validate(state) == {}  # found among itself alone, it would be found every time


def test_a_corpus_of_tiny_comics_trains(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    write_pack(tmp_path, "train", Table(vectors, list("abc"), np.array([0, 1, 3, 9]), [str(n) for n in range(9)]))
    resolved = resolve(AsterxConfig, PRESETS, preset="tiny", sets=(*SMALL, "training.epochs=2"))
    result = train(RECIPE, resolved, {"features": tmp_path}, tmp_path / "run", RunOptions(device="cpu"))
    assert result.model is not None
    assert np.isfinite(result.loss or np.nan)


def test_each_objective_logs_its_own_accuracy(tmp_path: Path) -> None:
    # The published log shows the order accuracy under both names.
    task, prepared = task_of(tmp_path)
    batch = batch_of(prepared, range(60))
    with torch.no_grad():
        task.model.model_head_cls.weight.zero_()
        task.model.model_head_cls.bias.fill_(1.0)  # always: the next one
        task.model.model_head_tok.weight.zero_()
        metrics = task(batch)
    counted = batch["orderable"]
    assert metrics["order"].item() == pytest.approx(batch["is_next"][counted].float().mean().item())
    assert metrics["top1"].item() < 0.2
