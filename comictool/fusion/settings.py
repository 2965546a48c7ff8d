"""The declaration of `train fusion` and its configuration, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from comictool.core.errors import UsageError
from comictool.training.declaration import Recipe, Source
from comictool.training.options import TrainingOptions

PUBLISHED = ("base", "denoise", "context", "context-denoise")
LEARNING = ("masked", "contrastive", "neighbour", "all")
Objective = Literal["base", "denoise", "context", "context-denoise", "masked", "contrastive", "neighbour", "all"]


@dataclass(frozen=True)
class ModelOptions:
    """Sizes of the network.

    Attributes:
        width: of a fused vector.
        heads: of the attention over a page's panels.
        panels: of a page that are seen together; a page with more is seen in parts, none is dropped.
        temperature: of the attention over panels.
        dropout: of vectors on their way into the fused space; not in the published objectives.
    """

    width: int = 384
    heads: int = 4
    panels: int = 12
    temperature: float = 0.1
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit each other."""
        if self.width < 8 or self.heads < 1 or self.width % self.heads:
            raise UsageError(f"model.heads {self.heads} must divide model.width {self.width}, which is at least 8")
        if not 2 <= self.panels <= 64:
            raise UsageError(f"model.panels is {self.panels}: from 2 to 64")
        if self.temperature <= 0 or not 0 <= self.dropout < 1:
            raise UsageError("model.temperature is above 0, model.dropout from 0 to below 1")


@dataclass(frozen=True)
class ObjectiveOptions:
    """What is learnt.

    Attributes:
        name: as published (base, denoise, context, context-denoise); or masked (a modality is hidden from the input
            and found again), contrastive (words and picture of a panel find each other), neighbour (a panel is found
            from those around it), all (these three).
        reconstruction: weight of what denoise and context add. The original's `mpm_weight`.
        noise: standard deviation of the noise of denoise.
        stop_gradient: what denoise and context reconstruct is not pulled towards the reconstruction.
        temperature: of the contrastive losses.
    """

    name: Objective = "all"
    reconstruction: float = 0.1
    noise: float = 0.1
    stop_gradient: bool = False
    temperature: float = 0.07

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.temperature <= 0 or self.noise < 0 or self.reconstruction < 0:
            raise UsageError("objective.temperature is above 0, noise and reconstruction at least 0")

    @property
    def published(self) -> bool:
        """Whether the network is the published one: no presence of modalities, no scaling."""
        return self.name in PUBLISHED


@dataclass(frozen=True)
class DataOptions:
    """Which books are held out.

    Attributes:
        held_out: share of the books, where the store has no splits of its own.
    """

    held_out: float = 0.2

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing."""
        if not 0 <= self.held_out < 1:
            raise UsageError(f"data.held_out is {self.held_out}: a share from 0 to below 1")


@dataclass(frozen=True)
class FusionConfig:
    """Everything that decides a run, besides the columns themselves."""

    model: ModelOptions = field(default_factory=ModelOptions)
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    data: DataOptions = field(default_factory=DataOptions)
    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(
            epochs=40, batch_size=32, learning_rate=1e-3, warmup_epochs=1.0, weight_decay=0.05, clip_norm=1.0, workers=0
        )
    )


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    # The published settings but for the frozen encoders: they are columns of the store here.
    "paper": {
        "objective": {"name": "base"},
        "training": {"epochs": 5, "batch_size": 4, "learning_rate": 3e-4, "weight_decay": 0.01, "clip_norm": 0.5},
    },
    "tiny": {"model": {"width": 64}, "training": {"epochs": 5, "batch_size": 16}},
}


def next_commands(sources: Mapping[str, Path], run: Path) -> list[str]:
    """The fused vectors of the store."""
    plugin = run / "model" if len(run.parts) > 1 else f"./{run}/model"
    return [f"comictool embed CORPUS -o {sources['store']} --plugin {plugin}"]


RECIPE = Recipe(
    name="fusion",
    summary="Train a fusion of picture, words and layout.",
    details="Reads the columns panel/image, panel/text and panel/layout of a store. Objectives: base, denoise, "
    "context, context-denoise as Closure Lite was published; masked, contrastive, neighbour, all learn. Presets: "
    "default; paper, the published settings; tiny, seconds.",
    example="comictool train fusion store -o runs/fusion --objective all",
    config=FusionConfig,
    presets=PRESETS,
    sources=[
        Source("store", "A store with the columns panel/image, panel/text and panel/layout.", "STORE"),
        Source("weights", "Run, plugin or original checkpoint to begin from.", "RUN|PLUGIN|PT", "--weights"),
    ],
    options={"--objective": "objective.name"},
    prepare="comictool.fusion.train:prepare",
    monitor="recall10",
    next_commands=next_commands,
)
