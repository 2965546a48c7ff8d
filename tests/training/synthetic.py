"""A small recipe for the tests of the engine: an MLP that tells Gaussian clusters apart."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from comictool.core.seeds import derive_seed
from comictool.training.collapse import collapse_metrics
from comictool.training.declaration import Recipe
from comictool.training.distributed import rank
from comictool.training.options import TrainingOptions
from comictool.training.recipe import Prepared, SampleKey, StepState, Task, TrainingData

CLASSES, DIMENSION = 6, 12
DEFAULTS = TrainingOptions(epochs=4, batch_size=32, learning_rate=1e-2, warmup_epochs=0.5, precision="fp32", workers=0)


@dataclass(frozen=True)
class ModelConfig:
    width: int = 24
    depth: int = 2
    dropout: float = 0.0
    kind: Literal["mlp", "linear"] = "mlp"
    scales: tuple[float, ...] = (1.0, 1.0)


@dataclass(frozen=True)
class SyntheticConfig:
    samples: int = 192
    noise: float = 0.7
    unused: bool = False
    explode_at: int = 0
    load_seconds: float = 0.0
    per_class: int = 0
    model: ModelConfig = ModelConfig()
    training: TrainingOptions = DEFAULTS


class Clusters(TrainingData):
    """Rows of a fixed cluster each, with noise that comes from the key alone."""

    def __init__(self, config: SyntheticConfig, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.centres = torch.randn(CLASSES, DIMENSION, generator=generator)
        self.config = config

    def __len__(self) -> int:
        return self.config.samples

    def order(self, epoch: int, seed: int, batch_size: int, count: int | None = None) -> Sequence[int]:
        """With `per_class` M: M samples, perhaps the same ones, of each of batch_size / M classes."""
        each, count = self.config.per_class, count or len(self)
        if not each:
            return super().order(epoch, seed, batch_size, count)
        draws = random.Random(derive_seed(seed, "order", epoch))
        batches = [draws.sample(range(CLASSES), batch_size // each) for _ in range(count // batch_size)]
        return [i for batch in batches for label in batch for i in draws.choices(range(label, count, CLASSES), k=each)]

    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        if self.config.load_seconds:
            time.sleep(self.config.load_seconds)
        labels = torch.tensor([key.index % CLASSES for key in keys])
        noise = [torch.randn(DIMENSION, generator=torch.Generator().manual_seed(t.seed)) for t in keys]
        return {
            "rows": self.centres[labels] + self.config.noise * torch.stack(noise),
            "labels": labels,
            "index": torch.tensor([key.index for key in keys]),
        }


class SyntheticTask(Task):
    def __init__(self, config: SyntheticConfig, data: Clusters) -> None:
        super().__init__()
        width, model = config.model.width, config.model
        layers: list[torch.nn.Module] = [torch.nn.Linear(DIMENSION, width)]
        for _ in range(model.depth - 1):
            layers += [torch.nn.GELU(), torch.nn.Dropout(model.dropout), torch.nn.Linear(width, width)]
        self.body = torch.nn.Sequential(*layers)
        self.head = torch.nn.Linear(width, CLASSES)
        if config.unused:
            self.spare = torch.nn.Linear(3, 3)
        self.config = config
        self.held_out = data.load([SampleKey(i, 10_000 + i) for i in range(60)])
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, batch: Any) -> dict[str, torch.Tensor]:
        logits = self.head(self.body(batch["rows"]))
        loss = torch.nn.functional.cross_entropy(logits.float(), batch["labels"])
        accuracy = (logits.argmax(dim=1) == batch["labels"]).float().mean()
        if self.config.explode_at and int(self.calls) + 1 == self.config.explode_at:
            loss = loss * float("inf")
        return {"loss": loss, "accuracy": accuracy}

    def before_batch(self, state: StepState) -> None:
        _perhaps_killed("step", state.step)

    def after_update(self, state: StepState) -> None:
        self.calls += 1

    def validate(self, state: StepState) -> dict[str, float]:
        _perhaps_killed("validate", state.step)
        torch.rand(3)  # must not move the training's generator
        features = self.body(self.held_out["rows"])
        right = self.head(features).argmax(dim=1) == self.held_out["labels"]
        return {"accuracy": float(right.float().mean()), **collapse_metrics(features)}

    def export(self, folder: Path) -> None:
        folder.mkdir()
        _perhaps_killed("export", int(self.calls))
        (folder / "model.json").write_text(json.dumps({"sum": float(sum(p.double().sum() for p in self.parameters()))}))


def _perhaps_killed(where: str, step: int) -> None:
    """As the kernel would, at `SYNTHETIC_KILL=step:7`: no setting, since a run goes on with the settings it had."""
    if os.environ.get("SYNTHETIC_KILL") == f"{where}:{step}" and rank() == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def prepare(config: SyntheticConfig, sources: Mapping[str, Path], device: torch.device) -> Prepared:
    data = Clusters(config)
    return Prepared(SyntheticTask(config, data), data, {"samples": len(data), "classes": CLASSES})


RECIPE = Recipe(
    name="synthetic",
    summary="Train the recipe of the tests.",
    example="comictool train synthetic -o runs/synthetic",
    config=SyntheticConfig,
    presets={"paper": {}, "tiny": {"samples": 96, "training": {"epochs": 2}}},
    prepare="tests.training.synthetic:prepare",
    monitor="accuracy",
)
