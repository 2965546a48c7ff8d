from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from comictool.core.errors import EnvironmentError_, InputError, UsageError
from comictool.core.seeds import derive_seed
from comictool.training.loading import Batches, Plan, to_device
from comictool.training.options import TrainingOptions
from comictool.training.recipe import Ticket
from tests.training.synthetic import Clusters, SyntheticConfig

CPU = torch.device("cpu")


def plan(samples: int, processes: int = 1, **options: Any) -> Plan:
    return Plan.of(TrainingOptions(**{"epochs": 3, "batch_size": 12, **options}), samples, processes)


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 1), (2, 1), (3, 2), (1, 4)])
def test_global_batches_are_the_same_however_they_are_shared(processes: int, accumulate: int) -> None:
    reference = list(plan(50).tickets(0, 0, 1))
    shared = plan(50, processes, accumulate=accumulate)
    streams = [list(shared.tickets(0, rank, processes)) for rank in range(processes)]
    assert len(reference) == 3 * 4
    for step, batch in enumerate(reference):
        parts = [part for stream in streams for part in stream[step * accumulate : (step + 1) * accumulate]]
        assert [ticket for part in parts for ticket in part] == batch
        assert {len(part) for part in parts} == {12 // processes // accumulate}


def test_an_epoch_is_a_permutation_and_a_sample_has_a_new_seed_in_each() -> None:
    tickets = [ticket for batch in plan(24).tickets(0, 0, 1) for ticket in batch]
    epochs = [tickets[:24], tickets[24:48], tickets[48:]]
    assert all(sorted(ticket.index for ticket in epoch) == list(range(24)) for epoch in epochs)
    assert [t.index for t in epochs[0]] != [t.index for t in epochs[1]]
    assert len({ticket.seed for ticket in tickets}) == 72
    assert tickets[0] == Ticket(tickets[0].index, derive_seed(0, "sample", 0, tickets[0].index))


def test_any_step_can_be_the_first() -> None:
    whole = list(plan(50).tickets(0, 0, 1))
    for step in (1, 4, 7, 11):
        assert list(plan(50).tickets(step, 0, 1)) == whole[step:]
    assert list(plan(50).tickets(12, 0, 1)) == []


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
    assert len(list(plan(50, max_steps=5).tickets(0, 0, 1))) == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_load_the_same_batches(workers: int) -> None:
    data, order = Clusters(SyntheticConfig()), plan(60)
    inline = list(Batches(data, order.tickets(0, 0, 1), workers=0, device=CPU))
    batches = Batches(data, order.tickets(0, 0, 1), workers=workers, device=CPU)
    others = list(batches)
    batches.close()
    assert len(inline) == len(others) == 15
    for one, other in zip(inline, others, strict=True):
        assert torch.equal(one["rows"], other["rows"])
        assert torch.equal(one["index"], other["index"])


class Slow(Clusters):
    def load(self, tickets: Sequence[Ticket]) -> dict[str, torch.Tensor]:
        time.sleep(0.02)
        return super().load(tickets)


def test_auto_starts_workers_when_loading_is_slow_and_the_order_stays() -> None:
    order = plan(120)
    inline = [[ticket.index for ticket in tickets] for tickets in order.tickets(0, 0, 1)]
    for data, expected in ((Slow(SyntheticConfig()), 1), (Clusters(SyntheticConfig()), 0)):
        batches = Batches(data, order.tickets(0, 0, 1), workers=-1, device=CPU)
        batches._most = 1
        seen = []
        for batch in batches:
            seen.append(batch["index"].tolist())
            time.sleep(0.05)
        assert seen == inline
        assert batches.workers == expected
        batches.close()


class Broken(Clusters):
    def load(self, tickets: Sequence[Ticket]) -> dict[str, torch.Tensor]:
        raise InputError("page 3 is damaged", hint="import it again")


def test_an_error_in_a_worker_keeps_its_hint() -> None:
    with pytest.raises(InputError) as caught:
        next(Batches(Broken(SyntheticConfig()), plan(60).tickets(0, 0, 1), workers=1, device=CPU))
    assert (caught.value.fact, caught.value.hint) == ("page 3 is damaged", "import it again")


class Dying(Clusters):
    def load(self, tickets: Sequence[Ticket]) -> dict[str, torch.Tensor]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.mark.slow
def test_a_killed_worker_is_no_bug_of_this_program() -> None:
    with pytest.raises(EnvironmentError_, match="loads data was killed"):
        next(Batches(Dying(SyntheticConfig()), plan(60).tickets(0, 0, 1), workers=1, device=CPU))


def test_workers_do_not_move_the_models_generator() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    batches = Batches(Clusters(SyntheticConfig()), plan(60).tickets(0, 0, 1), workers=1, device=CPU)
    next(batches)
    assert torch.equal(before, torch.get_rng_state())
    batches.close()


def test_to_device_keeps_the_structure() -> None:
    batch = {"a": torch.ones(2), "b": [torch.zeros(1), ("x", torch.ones(1))], "n": 3}
    moved = to_device(batch, CPU)
    assert moved["n"] == 3
    assert moved["b"][1][0] == "x"
    assert torch.equal(moved["a"], batch["a"])
