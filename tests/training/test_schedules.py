from __future__ import annotations

import math

import numpy as np
import pytest

from comictool.training.optimizing import learning_rate, weight_decay
from comictool.training.options import TrainingOptions
from comictool.training.recipe import StepState
from comictool.training.schedules import SCHEDULES, constant, cosine, linear


def dino_cosine_scheduler(
    base: float, final: float, epochs: int, steps: int, warmup_epochs: int = 0, start: float = 0.0
) -> np.ndarray:
    """As facebookresearch/dino, utils.cosine_scheduler, computes it."""
    warmup = np.array([])
    warmup_steps = warmup_epochs * steps
    if warmup_epochs > 0:
        warmup = np.linspace(start, base, warmup_steps)
    numbers = np.arange(epochs * steps - warmup_steps)
    schedule = np.array([final + 0.5 * (base - final) * (1 + math.cos(math.pi * i / len(numbers))) for i in numbers])
    return np.concatenate((warmup, schedule))


@pytest.mark.parametrize(("epochs", "steps", "warmup"), [(10, 7, 2), (5, 3, 0), (3, 1, 1), (8, 4, 8), (4, 5, 1)])
def test_cosine_is_dinos(epochs: int, steps: int, warmup: int) -> None:
    expected = dino_cosine_scheduler(5e-4, 1e-6, epochs, steps, warmup)
    ours = [cosine(i, epochs * steps, 5e-4, 1e-6, warmup * steps) for i in range(epochs * steps)]
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-18)


def test_momentum_schedule_of_dino_rises() -> None:
    expected = dino_cosine_scheduler(0.996, 1.0, 6, 5)
    np.testing.assert_allclose([cosine(i, 30, 0.996, 1.0) for i in range(30)], expected, rtol=1e-12)


def test_linear_and_constant_against_a_loop() -> None:
    total, warmup, start, end = 20, 5, 2.0, 0.5
    value, expected = 0.0, []
    for step in range(total):
        if step < warmup:
            value = start * step / (warmup - 1)
        else:
            value = start - (start - end) * (step - warmup) / (total - warmup)
        expected.append(value)
    assert [linear(i, total, start, end, warmup) for i in range(total)] == pytest.approx(expected)
    assert [constant(i, total, start, end, warmup) for i in range(total)] == pytest.approx(expected[:5] + [start] * 15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_plain_floats_and_hold_after_the_end(name: str) -> None:
    schedule = SCHEDULES[name]
    assert type(schedule(3, 10, 1.0, 0.1)) is float
    assert schedule(10, 10, 1.0, 0.1) == schedule(99, 10, 1.0, 0.1)


def test_learning_rate_is_scaled_to_the_batch_and_decay_follows_its_own_cosine() -> None:
    options = TrainingOptions(
        batch_size=512,
        learning_rate=5e-4,
        learning_rate_reference_batch=256,
        warmup_epochs=2,
        weight_decay=0.04,
        weight_decay_end=0.4,
    )
    states = [StepState(i, 50, 5, i // 5, 512) for i in range(50)]
    expected = dino_cosine_scheduler(5e-4 * 512 / 256, 1e-6, 10, 5, 2)
    np.testing.assert_allclose([learning_rate(options, state) for state in states], expected, rtol=1e-12)
    decay = dino_cosine_scheduler(0.04, 0.4, 10, 5)
    np.testing.assert_allclose([weight_decay(options, state) for state in states], decay, rtol=1e-12)
    assert weight_decay(TrainingOptions(), states[30]) == 0.04


def test_a_warmup_longer_than_the_run_ends_with_it() -> None:
    options = TrainingOptions(learning_rate=1.0, warmup_epochs=100)
    assert learning_rate(options, StepState(9, 10, 5, 1, 256)) == pytest.approx(1.0)
