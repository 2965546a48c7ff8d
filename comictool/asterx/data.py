"""Panel vectors of a split, and the batches of windows drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comictool.asterx.sampling import CandidateSampler
from comictool.asterx.windows import Pairs, Windows, WindowShape, pairs_at
from comictool.core.errors import InputError
from comictool.training.recipe import SampleKey, TrainingData
from comictool.vectors.tables import Table, read_tables

STANDARD_ROWS = 100_000  # vectors from which mean and scale are taken; more do not move them


def panels_of(source: Path, split: str, dtype: str = "float32") -> Table:
    """The panel features of a split.

    Args:
        source: a store, a folder of packs, or one pack: beside it lie those of the other splits.
        dtype: `float32`, or `float16` for half the memory.

    Raises:
        InputError: no such features, damaged, or without a panel.
    """
    table = read_tables(source, splits=(split,), dtype=dtype)[split]
    if not len(table):
        raise InputError(f"{source} holds no panels of {split}")
    return table


def standardisation(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean (D,) and scale of (N, D) vectors: less the mean, times the scale, a dimension has the mean square 1.

    Encoders give unit vectors, or vectors around a common large one; a transformer learns slowly from either, since
    its tokens hardly differ beside the positions that are added to them.
    """
    some = vectors[:: max(1, len(vectors) // STANDARD_ROWS)].astype(np.float64)
    mean = some.mean(axis=0)
    spread = float(np.sqrt(np.mean((some - mean) ** 2)))
    return mean.astype(np.float32), 1.0 / spread if spread > 1e-12 else 1.0


@dataclass(frozen=True)
class WindowChoice:
    """How the windows of a sample are drawn.

    Attributes:
        single: share of samples without a second window.
        visible: share of samples whose centre is not hidden; those are not asked for it.
    """

    shape: WindowShape
    single: float = 0.0
    visible: float = 0.0


class WindowData(TrainingData):
    """The samples of a split: one for every panel, its window, the one before or after, and its candidates.

    Rows, not vectors, are what is drawn and sent: the matrix lies beside the model.
    """

    def __init__(self, panels: Table, choice: WindowChoice, sampler: CandidateSampler | None) -> None:
        self._starts, self._ends = panels.starts, panels.ends
        self.choice = choice
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self._starts)

    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        """A batch of B samples.

        Returns:
            `rows` (B,); `first`, `second` (B, L) rows with `first_real`, `second_real`; `is_next`, `orderable`,
            `hide` (B,); with candidates also what `CandidateSampler.draw` gives.
        """
        rows = np.array([key.index for key in keys], np.int64)
        generators = [np.random.default_rng(key.seed) for key in keys]
        coins = np.array([generator.random(3) for generator in generators])
        pairs = pairs_at(self.choice.shape, rows, self._starts[rows], self._ends[rows], coins[:, 0] < 0.5)
        pairs = _without_second(pairs, coins[:, 1] < self.choice.single)
        arrays: dict[str, Any] = {
            "rows": rows,
            **pair_arrays(pairs),
            "is_next": pairs.is_next,
            "orderable": pairs.orderable,
            "hide": coins[:, 2] >= self.choice.visible,
        }
        if self.sampler is not None:
            arrays |= self.sampler.draw(rows, generators)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def pair_arrays(pairs: Pairs) -> dict[str, np.ndarray]:
    """The windows of pairs under the names that a batch has for them."""
    return {
        "first": pairs.first.rows,
        "first_real": pairs.first.real,
        "second": pairs.second.rows,
        "second_real": pairs.second.real,
    }


def _without_second(pairs: Pairs, alone: np.ndarray) -> Pairs:
    """Take the second window away where `alone`; what is not there has no order."""
    real = pairs.second.real & ~alone[:, None]
    second = Windows(np.where(real, pairs.second.rows, 0), real)
    return Pairs(pairs.first, second, pairs.is_next & ~alone, pairs.orderable & ~alone)
