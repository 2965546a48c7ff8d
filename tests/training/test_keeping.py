"""What a run keeps besides the weights: averages, random states, patience."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from comictool.core.errors import Stopped
from comictool.training import engine
from comictool.training.checkpoints import load_checkpoint, random_state, restore_random_state
from comictool.training.metrics_log import read_metrics
from comictool.training.optimizing import set_schedules
from comictool.training.options import TrainingOptions
from comictool.training.recipe import StepState
from tests.training.conftest import run


def total(values: dict[str, torch.Tensor]) -> float:
    """What the synthetic recipe's export writes: the sum of all parameters."""
    return float(sum(value.double().sum() for name, value in values.items() if name != "calls"))


def exported(folder: Path) -> float:
    return float(json.loads((folder / "model.json").read_text())["sum"])


def test_random_states_come_back_whole() -> None:
    def draw() -> list[Any]:
        numbers = [random.gauss(0, 1), float(np.random.standard_normal()), torch.rand(3).tolist()]
        return [*numbers, random.random(), float(np.random.random()), torch.randn(1).tolist()]

    draw()  # both Gaussian generators keep a second number for later
    kept = random_state(torch.device("cpu"))
    expected = draw()
    draw()
    restore_random_state(kept, torch.device("cpu"))
    assert draw() == expected


def test_the_average_is_what_is_judged_kept_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged by a metric that falls, so the first validation stays the best and the end is exported beside it."""
    judged: dict[int, float] = {}

    def validate(self: Any, state: Any) -> dict[str, float]:
        judged[state.step] = sum(float(parameter.double().sum()) for parameter in self.parameters())
        return {"accuracy": -state.step}

    monkeypatch.setattr("tests.training.synthetic.SyntheticTask.validate", validate)
    for folder, epochs in (("first", 1), ("run", 4)):
        run(tmp_path / folder, "training.ema=0.9", f"training.epochs={epochs}")
        last = load_checkpoint(tmp_path / folder / "checkpoints" / "last.pt")
        assert judged[last["step"]] == pytest.approx(total(last["average"]))
        assert judged[last["step"]] != pytest.approx(total(last["task"]))
        best = load_checkpoint(tmp_path / folder / "checkpoints" / "best.pt")
        assert best["step"] == 6
        assert total(best["task"]) == pytest.approx(judged[6])
        assert exported(tmp_path / folder / "model") == pytest.approx(judged[6])
    assert exported(tmp_path / "run" / "model-last") == pytest.approx(judged[24])


def test_patience_goes_on_counting_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after its second validation, the first without improvement; nothing is judged twice, none forgotten."""
    judged: list[int] = []

    def validate(self: Any, state: Any) -> dict[str, float]:
        judged.append(state.step)
        return {"accuracy": -state.step}

    monkeypatch.setattr("tests.training.synthetic.SyntheticTask.validate", validate)
    asked = iter([0] * 12 + [15])
    with monkeypatch.context() as stopping:
        stopping.setattr(engine.distributed, "all_reduce_max", lambda flag: next(asked))
        with pytest.raises(Stopped, match="12 of 24"):
            run(tmp_path, "training.patience=2")
    result = run(tmp_path, "training.patience=2")
    assert judged == [6, 12, 18]
    assert (result.step, result.ended) == (18, "patience")


@pytest.mark.parametrize(("mode", "best"), [("min", 24), ("max", 6)])
def test_the_best_follows_the_monitors_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, best: int
) -> None:
    from dataclasses import replace

    from comictool.training.config import resolve
    from tests.training.synthetic import RECIPE

    monkeypatch.setattr(
        "tests.training.synthetic.SyntheticTask.validate", lambda self, state: {"accuracy": -state.step}
    )
    recipe = replace(RECIPE, monitor_mode=mode)  # type: ignore[arg-type]
    result = engine.train(recipe, resolve(recipe.config, recipe.presets), {}, tmp_path, engine.RunOptions(device="cpu"))
    assert result.best is not None
    assert result.best["step"] == best


def test_the_recipe_sees_gradients_before_they_are_clipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as those of a last layer that it cancels: they must not count towards the norm."""

    def cancel(self: Any, state: Any) -> None:
        for parameter in self.parameters():
            parameter.grad.zero_()
        self.head.bias.grad[0] = 3.0

    monkeypatch.setattr("tests.training.synthetic.SyntheticTask.before_update", cancel)
    run(tmp_path, "training.max_steps=1", "training.clip_norm=0.5")
    row = next(read_metrics(tmp_path / "metrics.jsonl"))
    assert row["gradient_norm"] == pytest.approx(3.0)


def test_groups_have_their_share_of_rate_and_decay() -> None:
    one, two = (torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    optimizer = torch.optim.SGD(
        [
            {"params": [one], "lr_scale": 0.5, "weight_decay_scale": 2.0},
            {"params": [two], "lr_scale": 1.0, "weight_decay_scale": 0.0},
        ],
        lr=1.0,
    )
    options = TrainingOptions(learning_rate=0.2, schedule="constant", warmup_epochs=0.0, weight_decay=0.1)
    set_schedules(optimizer, options, StepState(0, 10, 5, 0, 4))
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.1, 0.2), (0.2, 0.0)]
