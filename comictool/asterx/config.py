"""The declaration of `train asterx` and its configuration, without torch.

Defaults are the published settings; `tiny` learns in seconds on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from comictool.core.errors import UsageError
from comictool.training.declaration import Recipe, Source
from comictool.training.options import TrainingOptions

PUBLISHED_BEFORE, PUBLISHED_AFTER = 2, 2
POOL = 10_000  # panels among which the nearest are looked for: as many as the published sampler ever looks at


@dataclass(frozen=True)
class EncoderOptions:
    """Sizes of the encoder.

    Attributes:
        width: of the tokens.
        layers: transformer blocks.
        heads: of the attention; they divide the width.
        feedforward: of the hidden layer in each block.
        dropout: in attention and blocks.
    """

    width: int = 768
    layers: int = 8
    heads: int = 8
    feedforward: int = 2048
    dropout: float = 0.1


@dataclass(frozen=True)
class WindowOptions:
    """What a sample shows.

    Attributes:
        before: panels before the hidden one.
        after: panels after the hidden one.
        hide_second: the centre of the second window is hidden too, as published.
        single: share of samples without second window, so that the one-window layout is learnt as well.
        visible: share of samples whose centre is not hidden, so that unmasked windows are learnt as well.
    """

    before: int = PUBLISHED_BEFORE
    after: int = PUBLISHED_AFTER
    hide_second: bool = True
    single: float = 0.0
    visible: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing to learn."""
        for name in ("single", "visible"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"window.{name} is {getattr(self, name)}: a share from 0 to below 1")


@dataclass(frozen=True)
class SamplingOptions:
    """Among which panels the hidden one is to be found; see `sampling`.

    Attributes:
        key: what candidates must not have in common with the hidden panel.
        negate: candidates must have it in common instead.
        strategy: which candidates: random ones, the nearest in feature space (retrieve), or both (mix).
        train_candidates: how many in training, the hidden panel included; 0: all.
        eval_candidates: how many in validation; 0: all.
        pool: how many panels the nearest are looked for among.
    """

    key: Literal["panel", "comic", "ratio", "intensity", "saturation", "character"] = "panel"
    negate: bool = False
    strategy: Literal["random", "retrieve", "mix"] = "random"
    train_candidates: int = 500
    eval_candidates: int = 5000
    pool: int = POOL

    def __post_init__(self) -> None:
        """Refuse what leaves no negatives."""
        if self.key == "panel" and self.negate:
            raise UsageError(
                "sampling.key panel cannot be negated: no other panel is the same panel",
                hint="sampling.key comic, negated, takes negatives from the same comic",
            )
        for name in ("train_candidates", "eval_candidates"):
            if getattr(self, name) < 0 or getattr(self, name) == 1:
                raise UsageError(f"sampling.{name} is {getattr(self, name)}: at least 2, or 0 for all")
        if self.pool < 2:
            raise UsageError(f"sampling.pool is {self.pool}: at least 2")


@dataclass(frozen=True)
class ObjectiveOptions:
    """What is learnt.

    Attributes:
        order: learn which of two windows comes first.
        retrieval: learn which candidate is the hidden panel.
        similarity: of prediction and candidate: minus the distance as published, or the cosine.
        temperature: similarities are divided by it; 1 as published.
        noise: strength of the noise on panel vectors in training; 0: none. The original's `aug-gamma`.
        noise_kind: `additive`, `relative` (times the vector scaled to length 1), or one of both at random.
        noise_candidates: candidates get noise too, as published.
    """

    order: bool = True
    retrieval: bool = True
    similarity: Literal["euclidean", "cosine"] = "euclidean"
    temperature: float = 1.0
    noise: float = 0.001
    noise_kind: Literal["both", "additive", "relative"] = "both"
    noise_candidates: bool = True

    def __post_init__(self) -> None:
        """Refuse an objective that teaches nothing."""
        if not (self.order or self.retrieval):
            raise UsageError("objective.order and objective.retrieval are both off: nothing would be learnt")
        if self.temperature <= 0:
            raise UsageError(f"objective.temperature is {self.temperature}: it must be above 0")
        if self.noise < 0:
            raise UsageError(f"objective.noise is {self.noise}: it must be at least 0")


@dataclass(frozen=True)
class FeatureOptions:
    """How panel vectors are taken.

    Attributes:
        standardise: subtract the training panels' mean and scale to mean square 1; off as published, whose vectors
            are not of length 1 as those of plugins are.
        storage: in memory.
    """

    standardise: bool = False
    storage: Literal["float32", "float16"] = "float32"


@dataclass(frozen=True)
class AsterxConfig:
    """Everything that decides a run, besides the panel features themselves."""

    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    window: WindowOptions = field(default_factory=WindowOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    features: FeatureOptions = field(default_factory=FeatureOptions)
    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(
            epochs=1000,
            batch_size=32,
            learning_rate=1e-5,
            schedule="constant",
            warmup_epochs=0,
            weight_decay=0.01,
            patience=10,
            seed=42,
        )
    )


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "tiny": {
        "encoder": {"width": 64, "layers": 2, "heads": 4, "feedforward": 128},
        "sampling": {"train_candidates": 200, "eval_candidates": 500},
        # Standardised vectors bear this much noise, and a small corpus needs it: without, order is learnt by heart.
        "objective": {"noise": 0.3, "noise_kind": "additive", "noise_candidates": False},
        "features": {"standardise": True},
        "training": {"epochs": 20, "batch_size": 64, "learning_rate": 2e-3, "schedule": "cosine", "warmup_epochs": 1.0},
    },
}


def judged_by(config: AsterxConfig) -> str:
    """Top-5 retrieval as published, or the order where that alone is learnt."""
    return "top5" if config.objective.retrieval else "order"


def next_commands(sources: Mapping[str, Path], run: Path) -> list[str]:
    """The features of the trained model, into the folder that those of the panels are in."""
    folder = sources["features"] if sources["features"].is_dir() else sources["features"].parent
    return [f"comictool features asterx {folder} --model {run} -o {folder}"]


RECIPE = Recipe(
    name="asterx",
    summary="Train ASTERX: contextual panel embeddings, from neighbouring panels.",
    details="Presets: paper, as published; tiny, minutes on two cores. `features asterx` takes the model.",
    example="comictool train asterx corpus/features -o runs/asterx",
    config=AsterxConfig,
    presets=PRESETS,
    sources=[
        Source("features", "Panel features: a folder with train_features.hdf5, or the file.", "FEATURES"),
        Source("keys", "Corpus or folder with the tables of the sampling key.", flag="--keys"),
        Source("weights", "Run, plugin or published .pt to begin from.", "RUN|PLUGIN|PT", "--weights"),
    ],
    options={
        "--before": "window.before",
        "--after": "window.after",
        "--order": "objective.order",
        "--retrieval": "objective.retrieval",
        "--noise": "objective.noise",
        "--sampling-key": "sampling.key",
        "--negate-sampling": "sampling.negate",
        "--sampling-strategy": "sampling.strategy",
        "--train-candidates": "sampling.train_candidates",
        "--eval-candidates": "sampling.eval_candidates",
    },
    prepare="comictool.asterx.train:prepare",
    monitor="top5",
    judged_by=judged_by,
    next_commands=next_commands,
)
