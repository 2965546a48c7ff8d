"""`TrainingOptions`: the `[training]` section of every recipe. `SplitOptions`: what `[data]` has of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from comictool.core.errors import UsageError
from comictool.core.seeds import check_seed

AUTO_WORKERS = -1
# Settings that every recipe has an option for.
FLAGS = {
    "--epochs": "training.epochs",
    "--max-steps": "training.max_steps",
    "--batch-size": "training.batch_size",
    "--limit": "training.limit",
    "--seed": "training.seed",
    "--precision": "training.precision",
    "-j, --jobs": "training.workers",
}


@dataclass(frozen=True)
class TrainingOptions:
    """How long, how fast and how exactly a recipe is trained. All counts are of the whole run, over all processes.

    Attributes:
        epochs: passes over the data.
        max_steps: optimizer steps instead of epochs; the schedules span it. 0: `epochs` decides.
        limit: only the first samples of the data. 0: all.
        batch_size: samples of one optimizer step, over all processes and accumulated parts together.
        accumulate: parts that one process computes one after another for each step.
        optimizer: adamw (Loshchilov and Hutter 2019) or sgd (momentum .9).
        learning_rate: at the end of the warm-up.
        learning_rate_reference_batch: the batch size that `learning_rate` is meant for; the rate is scaled linearly
            to the actual one (Goyal et al. 2017; 256 in DINO). 0: not scaled.
        minimum_learning_rate: at the end of the run.
        schedule: of the learning rate after the warm-up: cosine, linear or constant.
        warmup_epochs: of linear warm-up from 0; parts of an epoch are fine.
        weight_decay: of matrices; biases and norms have none.
        weight_decay_end: the decay follows half a cosine to this value. -1: it stays as it is.
        clip_norm: the most that the global norm of the gradient may be. 0: not clipped.
        ema: decay of an exponential moving average of the weights, which is then what is validated and exported.
            0: none.
        precision: arithmetic of the model; auto is bf16 where it is native.
        workers: processes that load data. 0: the training process itself; -1: chosen by the time that loading takes.
        seed: of all randomness; the same seed gives the same result.
        validate_every: epochs between validations (the end of the run always has one). 0: only at the end.
        checkpoint_every: steps between checkpoints besides those at the end of each epoch. 0: only those.
        patience: validations without improvement after which the run ends. 0: never.
        non_finite: what a NaN or infinite loss does: `stop` the run, or `skip` the step and count it.
    """

    epochs: int = 100
    max_steps: int = 0
    limit: int = 0
    batch_size: int = 256
    accumulate: int = 1
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 5e-4
    learning_rate_reference_batch: int = 0
    minimum_learning_rate: float = 1e-6
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_epochs: float = 10.0
    weight_decay: float = 0.04
    weight_decay_end: float = -1.0
    clip_norm: float = 0.0
    ema: float = 0.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    workers: int = AUTO_WORKERS
    seed: int = 0
    validate_every: int = 1
    checkpoint_every: int = 0
    patience: int = 0
    non_finite: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            UsageError: one is out of its range.
        """
        for name in ("epochs", "batch_size", "accumulate"):
            _at_least(name, getattr(self, name), 1)
        for name in (
            "max_steps",
            "limit",
            "learning_rate_reference_batch",
            "minimum_learning_rate",
            "warmup_epochs",
            "weight_decay",
            "clip_norm",
            "validate_every",
            "checkpoint_every",
            "patience",
        ):
            _at_least(name, getattr(self, name), 0)
        _at_least("workers", self.workers, AUTO_WORKERS)
        if self.learning_rate <= 0:
            raise UsageError(f"training.learning_rate is {self.learning_rate}: it must be above 0")
        if not 0 <= self.ema < 1:
            raise UsageError(f"training.ema is {self.ema}: it must be at least 0 and below 1", hint="0.999 is usual")
        check_seed(self.seed)


@dataclass(frozen=True)
class SplitOptions:
    """Which part of a corpus is trained on, and how much of it stays in memory. Recipes add to it what they take of it.

    Attributes:
        split: trained on: train, val, test or all. A corpus that was never split has only all.
        validation: split that is validated on; empty for none.
        cache: MiB that decoded pictures may take in memory; with more they are decoded each time.
    """

    split: str = "train"
    validation: str = "val"
    cache: int = 1024


def _at_least(name: str, value: float, low: int) -> None:
    if value < low:
        raise UsageError(f"training.{name} is {value}: it must be at least {low}")
