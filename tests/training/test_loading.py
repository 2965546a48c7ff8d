from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch

from comictool.core.errors import InputError, SetupError, UsageError
from comictool.core.seeds import derive_seed
from comictool.training.loading import Batches, Plan, to_device
from comictool.training.options import TrainingOptions
from comictool.training.recipe import RecipeError, SampleKey
from tests.training.synthetic import CLASSES, Clusters, SyntheticConfig

CPU = torch.device("cpu")


def plan(samples: int, processes: int = 1, **options: Any) -> Plan:
    data = Clusters(SyntheticConfig(samples=samples))
    return Plan.of(TrainingOptions(**{"epochs": 3, "batch_size": 12, **options}), data, processes)


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 1), (2, 1), (3, 2), (1, 4)])
def test_global_batches_are_the_same_however_they_are_shared(processes: int, accumulate: int) -> None:
    reference = list(plan(50).keys(0, 0, 1))
    shared = plan(50, processes, accumulate=accumulate)
    streams = [list(shared.keys(0, rank, processes)) for rank in range(processes)]
    assert len(reference) == 3 * 4
    for step, batch in enumerate(reference):
        parts = [part for stream in streams for part in stream[step * accumulate : (step + 1) * accumulate]]
        assert [key for part in parts for key in part] == batch
        assert {len(part) for part in parts} == {12 // processes // accumulate}


def test_an_epoch_is_a_permutation_and_a_sample_has_a_new_seed_in_each() -> None:
    keys = [key for batch in plan(24).keys(0, 0, 1) for key in batch]
    epochs = [keys[:24], keys[24:48], keys[48:]]
    assert all(sorted(key.index for key in epoch) == list(range(24)) for epoch in epochs)
    assert [t.index for t in epochs[0]] != [t.index for t in epochs[1]]
    assert len({key.seed for key in keys}) == 72
    assert keys[0] == SampleKey(keys[0].index, derive_seed(0, "sample", 0, keys[0].index))


def test_batches_of_so_many_samples_a_class() -> None:
    """With repeats, a limit, several processes and a first step in the middle of an epoch."""
    data = Clusters(SyntheticConfig(samples=60, per_class=4))
    options = TrainingOptions(epochs=3, batch_size=12, limit=40, accumulate=2)
    whole = Plan.of(options, data, 1)
    assert (whole.steps_per_epoch, whole.total_steps) == (3, 9)
    parts = list(whole.keys(0, 0, 1))
    batches = [[*one, *other] for one, other in zip(parts[::2], parts[1::2], strict=True)]
    for batch in batches:
        assert sorted(Counter(key.index % CLASSES for key in batch).values()) == [4, 4, 4]
        assert max(key.index for key in batch) < 40
    assert len({key for batch in batches for key in batch}) == 9 * 12, "a repeated sample has a seed of its own"
    assert any(len({key.index for key in batch}) < 12 for batch in batches)
    assert list(whole.keys(4, 0, 1)) == parts[8:]
    shared = Plan.of(options, data, 2)
    streams = [list(shared.keys(0, rank, 2)) for rank in (0, 1)]
    for step, batch in enumerate(batches):
        assert [k for stream in streams for part in stream[2 * step : 2 * step + 2] for k in part] == batch


class Composed(Clusters):
    orders: ClassVar = {0: [1, 2, 1, 2, 0], 1: [0, 5, 1, 2], 2: [0, 1, 2]}

    def order(self, epoch: int, seed: int, batch_size: int, count: int | None = None) -> Sequence[int]:
        return self.orders[epoch]


def test_an_order_that_breaks_the_contract_is_the_recipes_fault() -> None:
    data = Composed(SyntheticConfig(samples=5))
    plan = Plan.of(TrainingOptions(epochs=3, batch_size=2), data, 1)
    assert plan.total_steps == 6, "two whole batches an epoch, whatever the number of samples"
    with pytest.raises(RecipeError, match="epoch 1 names samples outside"):
        list(plan.keys(2, 0, 1))
    with pytest.raises(RecipeError, match="epoch 2 has 3 samples, not 2 batches"):
        list(plan.keys(4, 0, 1))
    with pytest.raises(InputError, match="3 samples in the recipe's order"):
        Plan.of(TrainingOptions(batch_size=5, limit=5), Short(SyntheticConfig(samples=9)), 1)


class Short(Clusters):
    def order(self, epoch: int, seed: int, batch_size: int, count: int | None = None) -> Sequence[int]:
        return [0, 1, 2]


def test_any_step_can_be_the_first() -> None:
    whole = list(plan(50).keys(0, 0, 1))
    for step in (1, 4, 7, 11):
        assert list(plan(50).keys(step, 0, 1)) == whole[step:]
    assert list(plan(50).keys(12, 0, 1)) == []


def test_few_samples_make_one_smaller_batch_an_epoch() -> None:
    small = plan(7, 2)
    assert (small.batch_size, small.steps_per_epoch, small.total_steps) == (6, 1, 3)
    assert plan(50, limit=5).batch_size == 5
    with pytest.raises(InputError, match="1 samples"):
        plan(1, 2)
    with pytest.raises(InputError):
        plan(0)


def test_a_batch_that_cannot_be_shared_is_refused_with_one_that_can() -> None:
    with pytest.raises(UsageError) as caught:
        plan(50, 5)
    assert caught.value.hint == "--set training.batch_size=10"


def test_max_steps_stands_for_epochs() -> None:
    assert plan(50, max_steps=5).total_steps == 5
    assert len(list(plan(50, max_steps=5).keys(0, 0, 1))) == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_load_the_same_batches(workers: int) -> None:
    data, order = Clusters(SyntheticConfig()), plan(60)
    inline = list(Batches(data, order.keys(0, 0, 1), workers=0, device=CPU))
    batches = Batches(data, order.keys(0, 0, 1), workers=workers, device=CPU)
    others = list(batches)
    batches.close()
    assert len(inline) == len(others) == 15
    for one, other in zip(inline, others, strict=True):
        assert torch.equal(one["rows"], other["rows"])
        assert torch.equal(one["index"], other["index"])


class Slow(Clusters):
    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        time.sleep(0.02)
        return super().load(keys)


def test_auto_starts_workers_when_loading_is_slow_and_the_order_stays() -> None:
    order = plan(120)
    inline = [[key.index for key in keys] for keys in order.keys(0, 0, 1)]
    for data, expected in ((Slow(SyntheticConfig()), 1), (Clusters(SyntheticConfig()), 0)):
        batches = Batches(data, order.keys(0, 0, 1), workers=-1, device=CPU)
        batches._most = 1
        seen = []
        for batch in batches:
            seen.append(batch["index"].tolist())
            time.sleep(0.05)
        assert seen == inline
        assert batches.workers == expected
        batches.close()


class Broken(Clusters):
    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        raise InputError("page 3 is damaged", hint="import it again")


def test_an_error_in_a_worker_keeps_its_hint() -> None:
    with pytest.raises(InputError) as caught:
        next(Batches(Broken(SyntheticConfig()), plan(60).keys(0, 0, 1), workers=1, device=CPU))
    assert (caught.value.fact, caught.value.hint) == ("page 3 is damaged", "import it again")


class Dying(Clusters):
    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.mark.slow
def test_a_killed_worker_is_no_bug_of_this_program() -> None:
    with pytest.raises(SetupError, match="loads data was killed"):
        next(Batches(Dying(SyntheticConfig()), plan(60).keys(0, 0, 1), workers=1, device=CPU))


def test_workers_do_not_move_the_models_generator() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    batches = Batches(Clusters(SyntheticConfig()), plan(60).keys(0, 0, 1), workers=1, device=CPU)
    next(batches)
    assert torch.equal(before, torch.get_rng_state())
    batches.close()


def test_to_device_keeps_the_structure() -> None:
    batch = {"a": torch.ones(2), "b": [torch.zeros(1), ("x", torch.ones(1))], "n": 3}
    moved = to_device(batch, CPU)
    assert moved["n"] == 3
    assert moved["b"][1][0] == "x"
    assert torch.equal(moved["a"], batch["a"])
