"""Training data of ELRIC: the crops of each character, and the context of its panel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from comictool.elric.context_rows import ContextRows
from comictool.elric.sources import Character
from comictool.selfsup.crops import multi_crop
from comictool.selfsup.held_pictures import Pictures
from comictool.selfsup.options import CropOptions
from comictool.training.recipe import SampleKey, TrainingData


class ElricData(TrainingData):
    """Samples for the engine: see `comictool.training.recipe.TrainingData`.

    Args:
        pictures: one a sample.
        crops: how they are cut.
        context: rows of context by sample; None for plain DINO.
    """

    def __init__(self, pictures: Pictures, crops: CropOptions, context: ContextRows | None) -> None:
        self.pictures = pictures
        self.crops = crops
        self.context = context

    def __len__(self) -> int:
        return len(self.pictures)

    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        """One batch.

        Returns:
            `globals` (B, G, 3, S, S) and `locals` (B, L, 3, s, s) uint8 (absent without local crops); with context also
            `context` (B, C) float32, and `draws` (B,) in 0..1 for context dropout.
        """
        cut = [multi_crop(self.pictures[key.index], self.crops, key.seed) for key in keys]
        batch = {"globals": torch.stack([large for large, _ in cut])}
        if self.crops.local_count:
            batch["locals"] = torch.stack([small for _, small in cut])
        if self.context is not None:
            batch["context"] = self.context.rows([key.index for key in keys])
            draws = [np.random.default_rng([key.seed, 1]).random() for key in keys]
            batch["draws"] = torch.tensor(draws, dtype=torch.float32)
        return batch


def frequent(characters: Sequence[Character], least: int) -> list[int]:
    """Numbers of the characters whose identity (within its comic) occurs at least so many times."""
    counts = Counter(character.label for character in characters)
    return [number for number, character in enumerate(characters) if counts[character.label] >= least]
