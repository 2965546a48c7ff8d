"""`Run`: everything that a run consists of while it runs, how it is put together, saved and brought back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from comictool.core.device import DeviceChoice, PrecisionChoice
from comictool.core.errors import UsageError
from comictool.core.seeds import derive_seed, seed_everything
from comictool.training import distributed
from comictool.training.checkpoints import random_state, restore_random_state, save_checkpoint
from comictool.training.config import Resolved, as_tables
from comictool.training.declaration import Recipe
from comictool.training.ema import WeightAverage
from comictool.training.loading import Plan
from comictool.training.optimizing import make_optimizer
from comictool.training.options import TrainingOptions
from comictool.training.recipe import Prepared, StepState, Task
from comictool.training.run_folder import RunFolder

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
SAVING_SHARE = 20  # a checkpoint at the end of an epoch waits until this many times its own duration has passed


@dataclass
class Run:
    """One run in one process.

    Attributes:
        model: the task, or the task in DistributedDataParallel.
        best: `value`, `step` and `metrics` of the best validation so far.
        stale: validations since then.
        validated_at: the step of the latest validation.
        ended: why the run ended before its last step; empty while it did not.
        loss: of the latest step that changed the weights.
        metrics_bytes: size of the metrics file when the checkpoint was written.
        lengthened_from: the steps that the run was to have before; 0 when that has not changed.
    """

    recipe: Recipe
    resolved: Resolved[Any]
    prepared: Prepared
    folder: RunFolder
    device: torch.device
    device_choice: DeviceChoice
    precision: PrecisionChoice
    plan: Plan
    state: StepState
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: WeightAverage | None
    best: dict[str, Any] | None = None
    stale: int = 0
    validated_at: int = 0
    ended: str = ""
    loss: float | None = None
    metrics_bytes: int = 0
    saved_at: int = -1
    lengthened_from: int = 0
    save_seconds: float = 0.0
    last_save: float = field(default_factory=time.monotonic)

    @property
    def task(self) -> Task:
        """The bare task."""
        return self.prepared.task

    @property
    def options(self) -> TrainingOptions:
        """The `[training]` section."""
        options: TrainingOptions = self.resolved.config.training
        return options

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return bool(self.ended) or self.state.step >= self.state.total_steps

    @property
    def at_epoch_end(self) -> bool:
        """Whether a whole number of epochs is finished."""
        return self.state.step > 0 and self.state.step % self.state.steps_per_epoch == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """The arithmetic of the forward pass."""
        if self.precision.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=DTYPES[self.precision.name])

    def accumulating(self, more: bool) -> AbstractContextManager[Any]:
        """While more parts of a step follow, processes keep their gradients to themselves."""
        return self.model.no_sync() if more and isinstance(self.model, DistributedDataParallel) else nullcontext()

    def averaged(self) -> AbstractContextManager[Any]:
        """Within the block the task has the averaged weights, where there are any."""
        return self.average.in_place() if self.average else nullcontext()

    def save(self, metrics_bytes: int) -> None:
        """Write last.pt: all processes give their random states, the first one writes."""
        began = time.monotonic()
        random_states = distributed.gather_objects(random_state(self.device))
        if distributed.rank() == 0:
            save_checkpoint(self.folder.last, self.state_dict(random_states, metrics_bytes))
        self.saved_at, self.last_save = self.state.step, time.monotonic()
        self.save_seconds = self.last_save - began

    def worth_saving(self) -> bool:
        """Whether saving now would still cost only a small share of the time. The first process decides."""
        waited = time.monotonic() - self.last_save
        return bool(distributed.broadcast(waited >= SAVING_SHARE * self.save_seconds))

    def state_dict(self, random_states: list[dict[str, Any]], metrics_bytes: int) -> dict[str, Any]:
        """What a checkpoint holds: only tensors and plain values."""
        return {
            "recipe": self.recipe.name,
            "config": as_tables(self.resolved.config),
            "facts": _plain(self.prepared.facts),
            "samples": self.plan.count,
            "total_steps": self.state.total_steps,
            "batch_size": self.state.batch_size,
            "step": self.state.step,
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "random": random_states,
            "best": self.best,
            "stale": self.stale,
            "validated_at": self.validated_at,
            "ended": self.ended,
            "loss": self.loss,
            "metrics_bytes": metrics_bytes,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Be the run that the checkpoint was written by, at its step.

        Raises:
            ValueError, LookupError, TypeError, RuntimeError: it is not one of such a run; see `checkpoints.unpacking`.
            UsageError: it was begun with more steps than this run is to have.
        """
        total = saved.get("total_steps", self.state.total_steps)  # older checkpoints do not say
        if self.state.total_steps < total:
            raise UsageError(
                f"the run was begun with {total} steps, now it is to have {self.state.total_steps}",
                cause="its rates so far were those of the longer run",
                hint="a run can be lengthened, not shortened: train into another -o, or --resume never to start over",
            )
        if not 0 <= saved["step"] <= self.state.total_steps or saved["samples"] != self.plan.count:
            raise ValueError(
                f"step {saved['step']} with {saved['samples']} samples, in a run of {self.state.total_steps} steps "
                f"with {self.plan.count} samples"
            )
        self.task.load_state_dict(saved["task"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.scaler.is_enabled() and saved["scaler"]:
            self.scaler.load_state_dict(saved["scaler"])
        if self.average:
            self.average.load_state_dict(saved["average"])
        self.state.step = saved["step"]
        self.state.epoch = self.state.step // self.state.steps_per_epoch
        self.best, self.stale, self.validated_at = saved["best"], saved["stale"], saved["validated_at"]
        longer, patience = self.state.total_steps > total, self.options.patience
        self.lengthened_from = total if longer else 0
        # More patience, or more steps than a run that ran out of it was to have: it goes on.
        self.ended = saved["ended"] if patience and self.stale >= patience and not longer else ""
        self.stale = 0 if saved["ended"] and not self.ended else self.stale
        self.metrics_bytes, self.saved_at = saved["metrics_bytes"], saved["step"]
        self.loss = saved["loss"]
        if self.state.rank < len(saved["random"]):  # else more processes than before: this one's seed is new
            restore_random_state(saved["random"][self.state.rank], self.device)


def build(
    recipe: Recipe,
    resolved: Resolved[Any],
    sources: Mapping[str, Path],
    folder: RunFolder,
    device_choice: DeviceChoice,
    precision: PrecisionChoice,
) -> Run:
    """Make model, data, plan and optimizer, the same on every process."""
    options: TrainingOptions = resolved.config.training
    here, processes = distributed.rank(), distributed.world_size()
    device = torch.device(device_choice.name)
    seed_everything(derive_seed(options.seed, "model"))
    prepared = recipe.build(resolved.config, sources, device)
    plan = Plan.of(options, prepared.data, processes)
    prepared.task.to(device)
    state = StepState(0, plan.total_steps, plan.steps_per_epoch, 0, plan.batch_size, processes, here)
    optimizer = make_optimizer(prepared.task, options)
    scaler = torch.amp.GradScaler(device.type, enabled=precision.name == "fp16" and device.type == "cuda")
    average = WeightAverage(prepared.task, options.ema) if options.ema else None
    # From here on processes draw different numbers (dropout), and the same ones whenever the run is repeated.
    seed_everything(derive_seed(options.seed, "process", here))
    return Run(
        recipe,
        resolved,
        prepared,
        folder,
        device,
        device_choice,
        precision,
        plan,
        state,
        prepared.task,
        optimizer,
        scaler,
        average,
    )


def join_processes(run: Run) -> None:
    """With several processes: gradients are averaged over them from now on."""
    if distributed.world_size() > 1:
        ids = [run.device] if run.device.type == "cuda" else None
        run.model = DistributedDataParallel(run.task, device_ids=ids)


def _plain(value: Any) -> Any:
    """Facts as plain values: a checkpoint holds nothing else."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
