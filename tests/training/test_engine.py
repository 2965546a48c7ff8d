from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from comictool.core.device import DeviceChoice
from comictool.core.errors import InputError, SetupError, Stopped, UsageError
from comictool.core.jobs import StopFlag
from comictool.core.progress import Progress
from comictool.core.seeds import derive_seed, seed_everything
from comictool.training import engine
from comictool.training.checkpoints import FORMAT, load_checkpoint
from comictool.training.config import resolve
from comictool.training.distributed import ProcessInfo
from comictool.training.ema import WeightAverage
from comictool.training.engine import RunOptions
from comictool.training.loading import Plan
from comictool.training.metrics_log import read_metrics
from comictool.training.options import TrainingOptions
from comictool.training.recipe import RecipeError
from comictool.training.run_folder import RunFolder
from comictool.training.schedules import SCHEDULES, cosine
from tests.training.conftest import run, same, weights
from tests.training.synthetic import RECIPE, SyntheticConfig, prepare


class Heard(Progress):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(folder / "metrics.jsonl") if row["event"] == "step"]


def test_a_run_leaves_what_the_contract_names(tmp_path: Path) -> None:
    result = run(tmp_path / "run")
    folder = tmp_path / "run"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written >= {
        "config.toml",
        "command.txt",
        "env.json",
        "metrics.jsonl",
        "checkpoints/last.pt",
        "checkpoints/best.pt",
        "model/model.json",
        "sheets/curves.png",
        "sheets/curves.html",
    }
    assert result.step == result.total_steps == 24
    assert result.best is not None
    assert result.best["value"] > 0.8
    environment = json.loads((folder / "env.json").read_text())
    assert environment["data"] == {"samples": 192, "classes": 6}
    assert environment["origins"]["samples"] == "default"
    rows = list(read_metrics(folder / "metrics.jsonl"))
    assert [row["step"] for row in rows if row["event"] == "step"] == list(range(1, 25))
    assert [row["step"] for row in rows if row["event"] == "validation"] == [6, 12, 18, 24]
    torch.load(folder / "checkpoints" / "last.pt", weights_only=True)


@pytest.mark.parametrize("optimizer_name", ["adamw", "sgd"])  # sgd, not clipped, sees the scale of a gradient
def test_the_loop_is_this_plain_loop(tmp_path: Path, optimizer_name: str) -> None:
    """The same training written out by hand: order, schedule, decay groups, clipping, accumulation, average."""
    sgd = optimizer_name == "sgd"
    sets = ["training.accumulate=2", "training.epochs=2", "training.weight_decay_end=0.4", "training.ema=0.7"]
    sets += [f"training.optimizer={optimizer_name}", f"training.clip_norm={0 if sgd else 0.5}"]
    run(tmp_path / "run", *sets)
    config: SyntheticConfig = resolve(RECIPE.config, {}, sets=sets).config
    seed_everything(derive_seed(0, "model"))
    task = prepare(config, {}, torch.device("cpu")).task
    data = prepare(config, {}, torch.device("cpu")).data
    matrices = [p for p in task.parameters() if p.ndim > 1]
    vectors = [p for p in task.parameters() if p.ndim == 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, momentum=0.9) if sgd else torch.optim.AdamW(groups)
    expected = []
    average = {name: parameter.detach().clone() for name, parameter in task.named_parameters()}
    for step, batch in enumerate(Plan.of(TrainingOptions(epochs=2, batch_size=32), data, 1).keys(0, 0, 1)):
        optimizer.param_groups[0]["weight_decay"] = cosine(step, 12, 0.04, 0.4)
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, 12, 1e-2, 1e-6, 3)
        optimizer.zero_grad()
        outputs = task(data.load(batch))
        outputs["loss"].backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), float("inf") if sgd else 0.5)
        optimizer.step()
        keep = min(0.7, (2 + step) / (11 + step))
        for name, parameter in task.named_parameters():
            average[name] = keep * average[name] + (1 - keep) * parameter.detach()
        expected.append(float(outputs["loss"].detach()))
    assert losses(tmp_path / "run") == pytest.approx(expected, rel=1e-5)
    saved = weights(tmp_path / "run")
    for name, parameter in task.named_parameters():
        torch.testing.assert_close(saved[name], parameter.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["average"], average, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("sets", [[], ["model.dropout=0.2", "training.ema=0.9", "training.optimizer=sgd"]], ids=str)
def test_stopped_anywhere_and_resumed_is_the_same_run(
    tmp_path: Path, sets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "whole", *sets)
    stops = iter([3, 6, 7, 18])

    class AtSteps(StopFlag):
        """Told to stop at each of the steps, one start after another; 6 and 18 are ends of epochs."""

        wanted = 0

        def __init__(self) -> None:
            super().__init__()
            AtSteps.wanted = next(stops, 0)

    asked = {"step": 0}

    def agreed(flag: torch.Tensor) -> int:
        asked["step"] += 1
        return 15 if AtSteps.wanted and asked["step"] > AtSteps.wanted else 0

    monkeypatch.setattr(engine.distributed, "all_reduce_max", agreed)
    monkeypatch.setattr("comictool.core.jobs.StopFlag", AtSteps)
    for step in (3, 6, 7, 18):
        with pytest.raises(Stopped, match=f"{step} of 24 steps are finished"):
            run(tmp_path / "parts", *sets)
        asked["step"] = step  # the next start counts on from there
    result = run(tmp_path / "parts", *sets)
    assert result.step == 24
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert same(weights(tmp_path / "whole", "best.pt"), weights(tmp_path / "parts", "best.pt"))
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    whole, parts = (load_checkpoint(tmp_path / name / "checkpoints" / "last.pt") for name in ("whole", "parts"))
    assert whole["best"] == parts["best"]
    assert same(whole["average"], parts["average"])
    assert torch.equal(whole["random"][0]["torch"], parts["random"][0]["torch"])
    assert len((tmp_path / "parts" / "command.txt").read_text().strip().split("\n")) == 5


def test_validating_changes_nothing_of_the_training(tmp_path: Path) -> None:
    run(tmp_path / "often", "model.dropout=0.3")
    run(tmp_path / "once", "model.dropout=0.3", "training.validate_every=0")
    assert same(weights(tmp_path / "often"), weights(tmp_path / "once"))


def test_metrics_are_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(folder, "training.max_steps=8")
    with open(folder / "metrics.jsonl", "a") as stream:
        stream.write('{"event":"step","step":9,"loss":1}\n{"event":"st')  # written after the checkpoint, then killed
    run(folder, "training.max_steps=8")
    assert [row["step"] for row in read_metrics(folder / "metrics.jsonl")][-1] == 8
    assert (folder / "metrics.jsonl").read_text().endswith("}\n")


def test_another_run_is_not_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    run(folder, "training.max_steps=2")
    with pytest.raises(UsageError, match=r"noise \(was 0.7, now 0.5\), training.seed \(was 0, now 3\)"):
        run(folder, "training.max_steps=3", "training.seed=3", "noise=0.5")
    run(folder, "training.max_steps=2", "training.workers=1")  # who loads changes nothing
    monkeypatch.setattr("tests.training.synthetic.CLASSES", 5)
    with pytest.raises(InputError, match="classes"):
        run(folder, "training.max_steps=2")


@pytest.mark.parametrize("length", ["training.max_steps={}", "training.epochs={}"])
def test_a_lengthened_run_is_the_longer_run(tmp_path: Path, length: str) -> None:
    """F15: without a schedule that knows the end, to the bit: finished at 2, gone on to 4."""
    sets = ("training.schedule=constant", "training.warmup_epochs=0", "training.ema=0.9", "model.dropout=0.2")
    unit = 6 if "epochs" in length else 1
    run(tmp_path / "run", length.format(2), *sets)
    heard = Heard()
    result = run(tmp_path / "run", length.format(4), *sets, progress=heard)
    assert (result.step, result.total_steps) == (4 * unit, 4 * unit)
    assert any(f"the run of {2 * unit} steps now has {4 * unit}" in text for text in heard.messages)
    straight = run(tmp_path / "straight", length.format(4), *sets)
    assert same(weights(tmp_path / "run"), weights(tmp_path / "straight"))
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")
    assert result.loss == straight.loss
    again = Heard()
    assert run(tmp_path / "run", length.format(4), *sets, progress=again).loss == straight.loss
    assert any(f"finished already, at step {4 * unit}, its last loss {straight.loss:.4f}" in t for t in again.messages)
    with pytest.raises(UsageError, match=rf"begun with {4 * unit} steps, now it is to have {3 * unit}"):
        run(tmp_path / "run", length.format(3), *sets)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_schedules_of_a_lengthened_run_span_the_new_length(tmp_path: Path, schedule: str) -> None:
    """F15: each step's rate and decay are those of a run of the length that was asked for when it was taken."""
    sets = (f"training.schedule={schedule}", "training.weight_decay_end=0.4", "training.warmup_epochs=0.5")
    for steps in (6, 9, 20):
        run(tmp_path / "run", f"training.max_steps={steps}", *sets)
    rows = [row for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if row["event"] == "step"]
    assert [row["step"] for row in rows] == list(range(1, 21))
    for row in rows:
        step = row["step"] - 1
        total = 6 if step < 6 else 9 if step < 9 else 20
        rate = SCHEDULES[schedule](step, total, 1e-2, 1e-6, 3)
        assert row["learning_rate"] == pytest.approx(rate, rel=1e-12, abs=1e-15)
        assert row["weight_decay"] == pytest.approx(cosine(step, total, 0.04, 0.4), rel=1e-12)


def test_a_run_that_lost_patience_goes_on_when_it_is_given_more(tmp_path: Path) -> None:
    """F15."""
    sets = ("noise=0.05", "training.validate_every=1")
    result = run(tmp_path / "run", "training.epochs=40", "training.patience=2", *sets)
    assert result.ended == "patience"
    more = run(tmp_path / "run", "training.epochs=40", "training.patience=4", *sets)
    assert more.step > result.step
    longer = run(tmp_path / "run", "training.epochs=50", "training.patience=4", *sets)
    assert longer.step > more.step


def test_the_model_of_an_earlier_end_does_not_stay(tmp_path: Path) -> None:
    """F15: after going on, `model-last` is of this end or not there."""
    run(tmp_path / "run", "training.max_steps=2")
    (tmp_path / "run" / "model-last").mkdir(exist_ok=True)
    run(tmp_path / "run", "training.max_steps=24")
    best = load_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt")["step"]
    assert (tmp_path / "run" / "model-last").exists() == (best != 24)
    assert not list((tmp_path / "run").glob(".model*"))


def test_resume_never_starts_over_and_must_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to resume"):
        run(tmp_path / "run", resume="must")
    run(tmp_path / "run", "training.max_steps=2")
    result = run(tmp_path / "run", "training.max_steps=3", resume="never")
    assert result.step == 3
    assert len(losses(tmp_path / "run")) == 3


def test_other_folders_and_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="other things"):
        run(other)
    assert [path.name for path in other.iterdir()] in (["thesis.txt"], [".lock", "thesis.txt"], ["thesis.txt", ".lock"])
    run(tmp_path / "run", "training.max_steps=2")
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:500])
    with pytest.raises(InputError, match="damaged"):
        run(tmp_path / "run", "training.max_steps=2")


@pytest.mark.parametrize(
    "changed",
    [{"step": "2"}, {"step": -5}, {"step": 99}, {"random": [{}]}, {"task": {}}, {"config": [1]}, {"samples": 7}],
    ids=str,
)
def test_a_checkpoint_of_another_version_is_told(tmp_path: Path, changed: dict[str, Any]) -> None:
    run(tmp_path, "training.max_steps=2")
    last = tmp_path / "checkpoints" / "last.pt"
    saved = load_checkpoint(last)
    torch.save({**saved, **changed}, last)
    with pytest.raises(InputError, match=r"last\.pt does not fit"):
        run(tmp_path, "training.max_steps=2")
    torch.save({"format": FORMAT}, last)
    with pytest.raises(InputError, match=r"last\.pt does not fit"):
        run(tmp_path, "training.max_steps=2")


class Evil:
    def __reduce__(self) -> Any:
        return print, ("ran",)


def test_a_checkpoint_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"format": FORMAT, "task": Evil()}, tmp_path / "x.pt")
    with pytest.raises(InputError):
        load_checkpoint(tmp_path / "x.pt")
    assert capsys.readouterr().out == ""


def test_a_loss_that_is_no_number_stops_and_names_the_step(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the loss of step 4 is inf") as caught:
        run(tmp_path / "run", "explode_at=4")
    assert "learning_rate" in caught.value.hint
    # Every step from there on: leaving them out would only hide that the run is lost.
    with pytest.raises(UsageError, match="20 steps in a row"):
        run(tmp_path / "other", "explode_at=4", "training.non_finite=skip", "training.epochs=40")


def test_skipped_steps_leave_the_weights_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = RECIPE.build(SyntheticConfig(), {}, torch.device("cpu")).task.__class__.forward
    calls = {"n": 0}

    def sometimes(self: Any, batch: Any) -> Any:
        calls["n"] += 1
        outputs = forward(self, batch)
        return {**outputs, "loss": outputs["loss"] * float("nan")} if calls["n"] == 3 else outputs

    monkeypatch.setattr("tests.training.synthetic.SyntheticTask.forward", sometimes)
    result = run(tmp_path / "run", "training.non_finite=skip")
    assert (result.skipped, result.step) == (1, 24)
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "run").values())
    events = [row["event"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl")]
    assert events.count("skipped") == 1
    assert int(weights(tmp_path / "run")["calls"]) == 23


def test_a_gradient_that_is_no_number_never_reaches_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is fine, its gradient is not: as of a square root at 0."""

    def spoil(self: Any, state: Any) -> None:
        if state.step == 3:
            self.head.bias.grad[0] = float("nan")

    monkeypatch.setattr("tests.training.synthetic.SyntheticTask.before_update", spoil)
    with pytest.raises(UsageError, match="the gradient's norm in step 4 is nan"):
        run(tmp_path / "stopped", "training.checkpoint_every=1")
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "stopped").values())
    result = run(tmp_path / "skipped", "training.non_finite=skip")
    assert (result.skipped, result.step) == (1, 24)
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "skipped").values())
    rows = [row for row in read_metrics(tmp_path / "skipped" / "metrics.jsonl") if row["event"] == "skipped"]
    assert [(row["step"], row["gradient_norm"]) for row in rows] == [(4, "nan")]


@pytest.mark.parametrize(
    ("starter", "local_rank", "gpus", "chosen"),
    [("torchrun", 1, 2, "cuda:1"), ("torchrun", 1, 1, ""), ("slurm", 1, 1, "cuda:0"), ("slurm", 3, 2, "")],
)
def test_each_process_has_a_gpu_of_its_own(
    monkeypatch: pytest.MonkeyPatch, starter: str, local_rank: int, gpus: int, chosen: str
) -> None:
    monkeypatch.setattr(engine.distributed, "process_info", lambda: ProcessInfo(local_rank, 4, local_rank, starter))
    monkeypatch.setattr(engine, "choose_device", lambda name, gpu=None: DeviceChoice(name, "as told"))
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("torch.cuda.set_device", lambda number: None)
    if chosen:
        assert engine.resolve_device(RunOptions("cuda"), "fp32")[0].name == chosen
    else:
        with pytest.raises(SetupError, match="has no GPU of its own"):
            engine.resolve_device(RunOptions("cuda"), "fp32")


def test_parameters_outside_the_loss_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"spare\.weight, spare\.bias"):
        run(tmp_path / "run", "unused=true")


def test_patience_ends_a_run_and_the_best_is_kept(tmp_path: Path) -> None:
    result = run(tmp_path / "run", "training.epochs=40", "training.patience=2", "noise=0.05")
    assert result.ended == "patience"
    assert result.step < result.total_steps
    assert result.best is not None
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt")["step"] == result.best["step"]
    best = sum(float(v.double().sum()) for n, v in weights(tmp_path / "run", "best.pt").items() if n != "calls")
    assert json.loads((tmp_path / "run" / "model" / "model.json").read_text())["sum"] == pytest.approx(best)
    last = sum(float(v.double().sum()) for n, v in weights(tmp_path / "run").items() if n != "calls")
    assert json.loads((tmp_path / "run" / "model-last" / "model.json").read_text())["sum"] == pytest.approx(last)
    again = run(tmp_path / "run", "training.epochs=40", "training.patience=2", "noise=0.05")
    assert (again.step, again.ended, again.loss) == (result.step, "patience", result.loss)


def test_a_lost_model_folder_is_written_again(tmp_path: Path) -> None:
    run(tmp_path / "run")
    before = (tmp_path / "run" / "model" / "model.json").read_text()
    shutil.rmtree(tmp_path / "run" / "model")
    run(tmp_path / "run")
    assert (tmp_path / "run" / "model" / "model.json").read_text() == before


@pytest.mark.parametrize(("sets", "said"), [((), True), (("training.warmup_epochs=0",), False)], ids=str)
def test_a_run_whose_only_step_had_the_rate_0_says_so(tmp_path: Path, sets: tuple[str, ...], said: bool) -> None:
    heard = Heard()
    run(tmp_path / "run", "training.max_steps=1", *sets, progress=heard)
    assert any("nothing was learnt: the learning rate was 0 in all 1 steps" in text for text in heard.messages) == said
    longer = Heard()
    run(tmp_path / "longer", "training.max_steps=2", progress=longer)
    assert not any("nothing was learnt" in text for text in longer.messages)


def test_average_against_a_loop() -> None:
    layer = torch.nn.Linear(3, 2)
    average = WeightAverage(layer, 0.9)
    expected = layer.weight.detach().clone()
    for step in range(1, 8):
        with torch.no_grad():
            layer.weight.add_(torch.full((2, 3), 0.1 * step))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * layer.weight.detach()
    torch.testing.assert_close(average.average["weight"], expected)
    trained = layer.weight.detach().clone()
    with average.in_place():
        torch.testing.assert_close(layer.weight.detach(), expected)
    assert torch.equal(layer.weight.detach(), trained)


def test_bf16_trains_and_checkpoints_stay_fp32(tmp_path: Path) -> None:
    result = run(tmp_path / "run", "training.precision=bf16")
    assert result.best is not None
    assert result.best["value"] > 0.8
    assert {value.dtype for value in weights(tmp_path / "run").values()} == {torch.float32, torch.int64}


def test_a_run_is_held_by_one_process(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.locked(), pytest.raises(InputError, match="already training"):
        run(tmp_path / "run")
    run(tmp_path / "run", "training.max_steps=1")
    with pytest.raises(InputError, match="just begun"):
        folder.check_still_new()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    result = run(tmp_path / "run", dry_run=True)
    assert not (tmp_path / "run").exists()
    assert (result.plan["total_steps"], result.plan["parameters"], result.plan["samples"]) == (24, 1062, 192)
