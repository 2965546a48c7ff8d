"""Panel vectors of a split in one matrix, comic after comic, and the batches drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comictool.asterx.sampling import CandidateSampler
from comictool.asterx.windows import Pairs, Windows, WindowShape, pairs_at
from comictool.core.errors import InputError
from comictool.corpus.packs.features import FeaturePack, names_digest
from comictool.training.recipe import Ticket

SPLITS = ("train", "val", "test")
STANDARD_ROWS = 100_000  # vectors from which mean and scale are taken; more do not move them


@dataclass(frozen=True)
class Panels:
    """The panels of a split, N rows in reading order, comic after comic.

    Attributes:
        vectors: (N, D) float16 or float32.
        comics: names of the C comics.
        offsets: (C + 1,) int64; comic c has the rows offsets[c] to offsets[c + 1].
        names: of the N panels, `<page>_<panel>`.
        origin: what made the vectors, for people and for comparing packs.
    """

    vectors: np.ndarray
    comics: list[str]
    offsets: np.ndarray
    names: list[str]
    origin: str = ""

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """D."""
        return int(self.vectors.shape[1])

    @property
    def comic_of(self) -> np.ndarray:
        """(N,) int64: the number of each row's comic."""
        return np.repeat(np.arange(len(self.comics)), np.diff(self.offsets))

    @property
    def starts(self) -> np.ndarray:
        """(N,) int64: the first row of each row's comic."""
        return self.offsets[:-1][self.comic_of]

    @property
    def ends(self) -> np.ndarray:
        """(N,) int64: one past the last row of each row's comic."""
        return self.offsets[1:][self.comic_of]

    @property
    def identifiers(self) -> list[str]:
        """`<comic>/<page>_<panel>` of each row, as tables name panels."""
        comics = self.comic_of
        return [f"{self.comics[comics[row]]}/{name}" for row, name in enumerate(self.names)]

    def digest(self) -> str:
        """A short hash of names, order and vectors."""
        found = blake2b(names_digest([*self.comics, *self.names]).encode(), digest_size=8)
        found.update(np.ascontiguousarray(self.vectors).data)
        return found.hexdigest()


def load_panels(file: Path, *, dtype: str = "float32") -> Panels:
    """Read a feature pack into memory.

    Args:
        file: `<split>_features.hdf5`, its index beside it.
        dtype: `float32`, or `float16` for half the memory.

    Raises:
        InputError: no such pack, damaged, or without a panel.
    """
    pack = FeaturePack(file)
    stacked = pack.stacked(dtype)
    pack.close()
    if not len(stacked.vectors):
        raise InputError(f"{file} holds no panels")
    origin = str(pack.attributes.get("identity") or pack.attributes.get("plugin") or "")
    return Panels(stacked.vectors, stacked.comics, stacked.offsets, stacked.names, origin)


def split_file(source: Path, split: str) -> Path:
    """The panel features of a split: in a folder `<split>_features.hdf5`, or beside the pack that was named.

    Raises:
        InputError: it is not there.
    """
    file = (source if source.is_dir() else source.parent) / f"{split}_features.hdf5"
    if source.is_file() and source.name == file.name:
        return source
    if not file.is_file():
        if not source.exists():
            raise InputError(f"{source} does not exist", hint="comictool features backbone CORPUS -o FEATURES")
        if file.with_name("all_features.hdf5").is_file():
            raise InputError(
                f"{file} does not exist", cause=f"the features in {file.parent} are of a corpus without splits",
                hint="comictool data split CORPUS, then comictool features backbone CORPUS -o FEATURES",
            )  # fmt: skip
        raise InputError(
            f"{file} does not exist", cause=f"ASTERX reads the panel features of the {split} split",
            hint="comictool features backbone CORPUS -o FEATURES",
        )  # fmt: skip
    return file


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


class WindowData:
    """The samples of a split: one for every panel, its window, the one before or after, and its candidates.

    Rows, not vectors, are what is drawn and sent: the matrix lies beside the model.
    """

    def __init__(self, panels: Panels, choice: WindowChoice, sampler: CandidateSampler | None) -> None:
        self._starts, self._ends = panels.starts, panels.ends
        self.choice = choice
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self._starts)

    def load(self, tickets: Sequence[Ticket]) -> dict[str, torch.Tensor]:
        """A batch of B samples.

        Returns:
            `rows` (B,); `first`, `second` (B, L) rows with `first_real`, `second_real`; `is_next`, `orderable`,
            `hide` (B,); with candidates also what `CandidateSampler.draw` gives.
        """
        rows = np.array([ticket.index for ticket in tickets], np.int64)
        generators = [np.random.default_rng(ticket.seed) for ticket in tickets]
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
