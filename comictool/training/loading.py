"""Batches in a fixed order, loaded ahead of the model.

Which samples make up step k, and the seed of each, follow from the run's seed alone. Neither processes nor workers nor
a resume change them: every one of them may start at any step and load any part.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from comictool.core.children import importing_safely
from comictool.core.errors import ComicError, InputError, SetupError, UsageError
from comictool.core.seeds import derive_seed
from comictool.core.workers import cores
from comictool.training.options import AUTO_WORKERS, TrainingOptions
from comictool.training.recipe import RecipeError, SampleKey, TrainingData

PROBED_BATCHES = 4  # loaded in the training process before `auto` decides; the first, which opens files, is not counted
WORTH_A_WORKER = 0.05  # share of a step spent loading from which worker processes are started
AHEAD = 4  # batches that each worker keeps ready


@dataclass(frozen=True)
class Plan:
    """Which samples every step of a run sees.

    Attributes:
        data: decides the order of an epoch.
        count: samples that may be drawn, the first of the data.
        batch_size: of a step, over all processes and accumulated parts; smaller than asked when samples are fewer.
        parts: batch_size is computed in this many equal parts: processes x accumulate.
    """

    data: TrainingData
    count: int
    batch_size: int
    parts: int
    steps_per_epoch: int
    total_steps: int
    seed: int

    @classmethod
    def of(cls, options: TrainingOptions, data: TrainingData, processes: int) -> Plan:
        """Plan a run.

        Raises:
            UsageError: the batch size does not divide by processes x accumulate.
            InputError: too few samples for even one row in each part, or an order shorter than a batch.
        """
        parts = processes * options.accumulate
        shown = f"{processes} process{'es' if processes > 1 else ''} x {options.accumulate} accumulated"
        if options.batch_size % parts:
            near = max(parts, round(options.batch_size / parts) * parts)
            raise UsageError(
                f"training.batch_size {options.batch_size} cannot be shared evenly by {shown}",
                hint=f"--set training.batch_size={near}",
            )
        count = min(len(data), options.limit or len(data))
        # Fewer samples than a batch: one smaller batch an epoch, still in equal parts.
        batch_size = min(options.batch_size, count // parts * parts)
        if batch_size == 0:
            raise InputError(
                f"{count} samples to train on are too few for {shown} part{'s' if parts > 1 else ''}",
                hint="more data, or fewer --devices" if parts > 1 else "see that the sources are the right ones",
            )
        length = len(data.order(0, options.seed, batch_size, count))
        steps_per_epoch = length // batch_size  # a partial last batch is left out; another epoch draws other samples
        if steps_per_epoch == 0:
            raise InputError(
                f"an epoch has {length} samples in the recipe's order, less than a batch of {batch_size}",
                hint=f"--set training.batch_size={max(parts, length // parts * parts)}, or more data",
            )
        total_steps = options.max_steps or options.epochs * steps_per_epoch
        return cls(data, count, batch_size, parts, steps_per_epoch, total_steps, options.seed)

    def order(self, epoch: int) -> list[int]:
        """The samples of an epoch, batch after batch.

        Raises:
            RecipeError: the data gives samples that are not there, or fewer batches than in the first epoch.
        """
        order = [int(index) for index in self.data.order(epoch, self.seed, self.batch_size, self.count)]
        if not 0 <= min(order, default=0) <= max(order, default=0) < self.count:
            raise RecipeError(f"the order of epoch {epoch} names samples outside 0 .. {self.count - 1}")
        if len(order) < self.steps_per_epoch * self.batch_size:
            raise RecipeError(
                f"the order of epoch {epoch} has {len(order)} samples, not {self.steps_per_epoch} batches of "
                f"{self.batch_size} as the first one"
            )
        return order

    def keys(self, first_step: int, rank: int, processes: int) -> Iterator[list[SampleKey]]:
        """The parts that one process computes from `first_step` to the end, in order: `parts / processes` a step.

        Each process takes a contiguous share of the batch, and its accumulated parts one after another.
        """
        size = self.batch_size // self.parts
        share = self.batch_size // processes
        epoch, order, repeats = -1, [0], [0]
        for step in range(first_step, self.total_steps):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = self.order(epoch)
                repeats = _repeats(order)
            begin = step % self.steps_per_epoch * self.batch_size + rank * share
            for at in range(begin, begin + share, size):
                yield [self._key(epoch, order[place], repeats[place]) for place in range(at, at + size)]

    def _key(self, epoch: int, index: int, repeat: int) -> SampleKey:
        again = (repeat,) if repeat else ()
        return SampleKey(index, derive_seed(self.seed, "sample", epoch, index, *again))


def _repeats(order: Sequence[int]) -> list[int]:
    """How often each sample occurred before in the order."""
    seen: Counter[int] = Counter()
    before = []
    for index in order:
        before.append(seen[index])
        seen[index] += 1
    return before


class Batches:
    """An endless-looking iterator over one process's parts, from any step.

    Args:
        data: gives rows for keys.
        keys: `Plan.keys`.
        workers: processes that load; 0 loads here; -1 begins here, measures, and starts as many as loading needs so
            that the model does not wait for it. Who loads does not change what is loaded.
        on_this_machine: processes of this run that share the cores.
        device: pinned memory is used for CUDA.
    """

    def __init__(
        self,
        data: TrainingData,
        keys: Iterator[list[SampleKey]],
        *,
        workers: int,
        device: torch.device,
        on_this_machine: int = 1,
    ) -> None:
        self._data = data
        self._keys = keys
        self._probing = workers == AUTO_WORKERS
        self._device = device
        self._most = max(0, cores() // on_this_machine - 1)
        self._loads: list[float] = []
        self._began = 0.0
        self._loaded: Iterator[Any] | None = None
        self.workers = max(0, workers)
        self.waited = 0.0
        """Seconds spent in `next` since the start: what loading costs the model."""
        if self.workers:
            self._start_workers()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        began = time.perf_counter()
        batch = self._from_workers() if self._loaded is not None else self._data.load(next(self._keys))
        if isinstance(batch, _Failed):
            raise batch.error
        took = time.perf_counter() - began
        self.waited += took
        if self._probing:
            self._probe(began, took)
        return batch

    def _from_workers(self) -> Any:
        try:
            return next(self._loaded)  # type: ignore[arg-type]
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise SetupError(
                "a process that loads data was killed",
                cause="most often there was not enough memory",
                hint=f"the same command resumes from the last checkpoint; --jobs {self.workers // 2} needs less",
            ) from error

    def close(self) -> None:
        """End the workers."""
        self._loaded = None

    def _probe(self, began: float, took: float) -> None:
        """After a few batches: start workers when loading takes a noticeable share of the time between two batches."""
        self._loads.append(took)
        if len(self._loads) == 2:
            self._began = began
        if len(self._loads) <= PROBED_BATCHES:
            return
        self._probing = False
        elapsed = began - self._began
        loading = sum(self._loads[1:-1])
        if loading < WORTH_A_WORKER * elapsed or not self._most:
            return
        computing = max(elapsed - loading, 1e-6)
        self.workers = min(self._most, math.ceil(1.2 * loading / computing))
        self._start_workers()

    def _start_workers(self) -> None:
        # forkserver, not fork: threads of torch would be copied in the middle of holding locks, and open HDF5 files
        # would share one position. Tensors in `data` are shared with the workers, not copied.
        methods = torch.multiprocessing.get_all_start_methods()
        context = torch.multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            context.set_forkserver_preload([__name__, type(self._data).__module__])
            _start_forkserver()
        loader = DataLoader(
            _Rows(self._data),
            batch_sampler=_Given(self._keys),
            num_workers=self.workers,
            collate_fn=_as_it_is,
            prefetch_factor=AHEAD,
            pin_memory=self._device.type == "cuda",
            worker_init_fn=_prepare_worker,
            multiprocessing_context=context,
            # Its own generator: drawing the workers' base seed must not move the model's.
            generator=torch.Generator().manual_seed(0),
        )
        with importing_safely():
            self._loaded = iter(loader)


class _Rows(Dataset[Any]):
    """Hands a whole list of keys to `load` at once."""

    def __init__(self, data: TrainingData) -> None:
        self._data = data

    def __getitems__(self, keys: Sequence[SampleKey]) -> Any:
        try:
            return self._data.load(keys)
        except ComicError as error:
            return _Failed(error)


@dataclass
class _Failed:
    """An error on its way out of a worker: torch would bring only a text of it, without hint and near names."""

    error: ComicError


class _Given(Sampler[list[SampleKey]]):
    def __init__(self, keys: Iterator[list[SampleKey]]) -> None:
        self._keys = keys

    def __iter__(self) -> Iterator[list[SampleKey]]:
        return self._keys


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_forkserver() -> None:
    """Start it with SIGINT and SIGTERM blocked, which it and all workers inherit.

    The training process decides when to stop; Ctrl-C reaches the whole process group, also while modules are imported.
    """
    from multiprocessing import forkserver, resource_tracker

    with importing_safely():
        resource_tracker.ensure_running()  # first, since it unblocks the signals once it has started
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare_worker(number: int) -> None:
    # Where there is no forkserver, signals are not blocked.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    os.nice(5)  # where cores are few, the model goes first


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with every tensor on the device; pinned ones are copied while the model computes."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(value, device) for value in batch)
    return batch
