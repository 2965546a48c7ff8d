"""A recipe in two files: what it declares, without torch; `toy_task` is the model. CONTRIBUTING.md shows it."""

from __future__ import annotations

from dataclasses import dataclass

from comictool.training.declaration import Recipe, Source
from comictool.training.options import TrainingOptions

DEFAULTS = TrainingOptions(epochs=2, batch_size=4, learning_rate=0.01, warmup_epochs=0.5)


@dataclass(frozen=True)
class ToyConfig:
    """The settings.

    Attributes:
        width: of the hidden layer.
    """

    width: int = 8
    training: TrainingOptions = DEFAULTS


RECIPE = Recipe(
    name="toy",
    summary="Train a toy: which numbers are even.",
    example="comictool train toy numbers.txt -o runs/toy",
    config=ToyConfig,
    presets={"tiny": {"width": 4}},
    sources=[Source("numbers", "A text file with a number a line.", "NUMBERS")],
    options={"--width": "width"},
    prepare="tests.training.toy_task:prepare",
    monitor="accuracy",
)
