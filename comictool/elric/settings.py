"""The declaration of `train elric` and its configuration, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from comictool.core.errors import UsageError
from comictool.selfsup.options import BySize, CropOptions, DinoOptions, by_size
from comictool.training.declaration import Recipe, Source
from comictool.training.options import SplitOptions, TrainingOptions


@dataclass(frozen=True)
class ModelOptions:
    """The networks.

    Attributes:
        size: tiny, small or base.
        width, depth, heads: other numbers than those of `size`; 0 takes its own.
        patch_size: pixels a side.
        drop_path: of the student's last block, growing evenly up to it; the teacher has none.
        prototypes: what the head compares with. 0: by the number of images.
        hidden, bottleneck: widths inside the head.
        free_lengths: train the prototypes' lengths (DINO's `--norm_last_layer false`).
        batch_norm: in the head (DINO's `--use_bn_in_head true`).
        input_resize: how the exported model fits pictures in. squash shows the whole figure, as crops that keep the
            picture's shape do; crop, with square crops, cuts off heads and feet; pad shows borders never trained on.
    """

    size: Literal["tiny", "small", "base"] = "small"
    width: int = 0
    depth: int = 0
    heads: int = 0
    patch_size: int = 16
    drop_path: float = 0.1
    prototypes: int = 0
    hidden: int = 2048
    bottleneck: int = 256
    free_lengths: bool = False
    batch_norm: bool = False
    input_resize: Literal["squash", "pad", "crop"] = "squash"


@dataclass(frozen=True)
class ContextOptions:
    """The panel around a character, added before the head.

    Attributes:
        mode: what is added before the head: nothing (plain DINO), zeros, the vector of another panel (shuffled), or
            that of its own panel (asterx).
        dropout: probability with which a sample goes without, drawn once for the sample.
        dropout_of: who goes without: both networks, or the student alone.
        gate: multiply by a trained number that starts at 0.
        normalise: bring each vector to mean 0 and variance 1 first.
        missing: what becomes of characters whose panel has no vector: zero (they are trained without context) or drop.
    """

    mode: Literal["none", "zero", "shuffled", "asterx"] = "none"
    dropout: float = 0.0
    dropout_of: Literal["both", "student"] = "both"
    gate: bool = False
    normalise: bool = False
    missing: Literal["zero", "drop"] = "zero"


@dataclass(frozen=True)
class DataOptions(SplitOptions):
    """Which characters.

    Attributes:
        by_page: it may show other pages of comics that are trained on, as a split by page has it.
        min_side: least pixels on the shorter side of a character; smaller ones are left out and counted.
        min_frequency: least appearances of an identity in its comic; rarer ones are left out and counted.
    """

    by_page: bool = False
    min_side: int = 16
    min_frequency: int = 1


@dataclass(frozen=True)
class ElricConfig:
    """Everything that a run depends on besides its data."""

    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(
            epochs=100,
            batch_size=64,
            learning_rate=5e-4,
            learning_rate_reference_batch=256,
            minimum_learning_rate=1e-6,
            warmup_epochs=10,
            weight_decay=0.04,
            weight_decay_end=0.4,
            clip_norm=3.0,
            validate_every=5,
        )
    )
    model: ModelOptions = field(default_factory=ModelOptions)
    loss: DinoOptions = field(default_factory=DinoOptions)
    context: ContextOptions = field(default_factory=ContextOptions)
    crops: CropOptions = field(default_factory=CropOptions)
    data: DataOptions = field(default_factory=DataOptions)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            UsageError: values out of range, or that do not fit each other.
        """
        if not 0 <= self.context.dropout <= 1:
            raise UsageError(f"context.dropout is {self.context.dropout}: a probability is in 0 .. 1")
        if not 0 <= self.model.drop_path < 1:
            raise UsageError(f"model.drop_path is {self.model.drop_path}: it must be at least 0 and below 1")
        if self.model.patch_size < 1:
            raise UsageError(f"model.patch_size is {self.model.patch_size}: it must be at least 1")
        sizes = [self.crops.global_size] + [self.crops.local_size] * (self.crops.local_count > 0)
        for size in sizes:
            if size % self.model.patch_size:
                raise UsageError(
                    f"crops of {size} pixels are not whole patches of {self.model.patch_size}",
                    hint=f"--set crops.global_size={max(1, size // self.model.patch_size) * self.model.patch_size}",
                )


def sizes_of(images: int, config: ElricConfig) -> BySize:
    """The values that follow from the number of images; see `selfsup.options.by_size`."""
    return by_size(images, config.loss, prototypes=config.model.prototypes, epochs=config.training.epochs)


# "small" is the defaults: for corpora of thousands of characters, prototypes, temperature and momentum by their number.
PAPER: Mapping[str, Any] = {
    "model": {"prototypes": 65_536, "input_resize": "crop"},
    "loss": {"teacher_temperature": 0.04, "momentum": 0.996},
    "context": {"mode": "asterx"},
    "crops": {"flip": 0.5, "keep_shape": False},
}
"""ELRIC's published settings, which are DINO's defaults. They clip each tensor's gradient by itself, here the global
norm is clipped at the same 3.0; hue is turned in YIQ where the original turns it in HSV."""

TINY: Mapping[str, Any] = {
    "training": {
        "epochs": 20,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "learning_rate_reference_batch": 0,
        "warmup_epochs": 2,
        "minimum_learning_rate": 1e-5,
        "weight_decay_end": 0.1,
        "validate_every": 10,
        "precision": "fp32",
    },
    "model": {
        "size": "tiny",
        "width": 64,
        "depth": 3,
        "heads": 2,
        "patch_size": 8,
        "drop_path": 0.0,
        "prototypes": 512,
        "hidden": 256,
        "bottleneck": 64,
    },
    "loss": {"teacher_temperature": 0.03, "momentum": 0.98, "koleo": 0.2},
    "crops": {
        "global_size": 32,
        "global_scale": (0.15, 0.6),
        "local_size": 16,
        "local_count": 2,
        "local_scale": (0.05, 0.25),
        "brightness": 0.2,
        "contrast": 0.2,
        "hue": 0.0,
        "grey": 0.0,
        "blur": (0.0, 0.0, 0.0),
        "solarise": (0.0, 0.0, 0.0),
    },
    "context": {"normalise": True},
}
"""A minute or two on two processor cores, on about a thousand characters. Without the spread term (`koleo`) the loss of
DINO alone teaches such a small network next to nothing in that time; colours are what tells drawn characters apart, so
the hue stays. Crops are smaller than DINO's: with its 0.4 to 1 of the picture 5-NN on the drawn corpora of the tuning
was six points lower, perhaps because two such crops always share the same piece of the background."""

PRESETS: Mapping[str, Mapping[str, Any]] = {"paper": PAPER, "small": {}, "tiny": TINY}


def next_commands(sources: Mapping[str, Path], run: Path) -> list[str]:
    """Measuring the model and embedding with it."""
    data = sources["data"]
    return [
        f"comictool evaluate elric {data} --plugin {run}/model",
        f"comictool features backbone {data} --level character --plugin {run}/model -o CHARACTER_FEATURES",
    ]


RECIPE = Recipe(
    name="elric",
    summary="Train ELRIC: character vectors, with the context of their panels.",
    details="Presets: paper, as published; small, for thousands of characters; tiny, minutes on two cores.\n"
    "Every command takes the model as --plugin.",
    example="comictool train elric corpus --context asterx --features corpus/features -o runs/elric",
    config=ElricConfig,
    presets=PRESETS,
    sources=[
        Source("data", "A corpus, a folder of packs, or one pack.", "CHARACTERS"),
        Source("features", "Vectors of panels, for a context: a folder of packs, or one.", flag="--features"),
        Source("weights", "Checkpoint to begin from.", flag="--weights"),
        Source("validation", "Another place for held-out characters.", "CHARACTERS", "--validation"),
    ],
    options={"--context": "context.mode"},
    prepare="comictool.elric.train:prepare",
    monitor="knn",
    next_commands=next_commands,
)
