"""Which context each sample is given: none, zeros, that of another panel, or that of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from comictool.core.errors import InputError, UsageError
from comictool.core.seeds import derive_seed
from comictool.elric.sources import Character
from comictool.vectors.tables import read_tables

MODES = ("none", "zero", "shuffled", "asterx")
ASTERX_WIDTH = 768
CLS_TOKEN = 0  # of the six vectors a panel that the published ASTERX writes; the one that its diagram adds


class ContextRows:
    """One context vector a sample.

    Args:
        matrix: (P, C) float32, one row a panel.
        index: for each sample its row; -1 for a vector of zeros.
    """

    def __init__(self, matrix: np.ndarray, index: Sequence[int]) -> None:
        with_zeros = np.concatenate([matrix.astype(np.float32), np.zeros((1, matrix.shape[1]), np.float32)])
        self._matrix = torch.from_numpy(with_zeros).share_memory_()
        self._index = np.asarray(index, np.int64)

    @property
    def width(self) -> int:
        """C."""
        return int(self._matrix.shape[1])

    @property
    def missing(self) -> int:
        """Samples that are given zeros because their panel has no vector."""
        return int((self._index < 0).sum())

    def present(self) -> list[int]:
        """Samples that have a vector."""
        return [int(sample) for sample in np.flatnonzero(self._index >= 0)]

    def only(self, samples: Sequence[int]) -> ContextRows:
        """The same for some of the samples, in this order."""
        return ContextRows(self._matrix[:-1].numpy(), self._index[np.asarray(samples, np.int64)].tolist())

    def rows(self, samples: Sequence[int]) -> torch.Tensor:
        """(B, C) float32."""
        return self._matrix[torch.from_numpy(self._index[np.asarray(samples, np.int64)])]


def context_rows(
    mode: str, characters: Sequence[Character], features: Mapping[str, np.ndarray] | None, *, seed: int
) -> ContextRows | None:
    """The context of each character.

    A panel without a vector gets zeros, which is plain DINO for that sample; `ContextRows.missing` counts them.

    Args:
        mode: `none`: no context and no projection. `zero`: the projection is there and sees only zeros, so the loss is
            that of plain DINO. `asterx`: the vector of the character's own panel. `shuffled`: that of another panel,
            each panel always the same other one; it tells samples apart as well as the right one does, but means
            nothing, so what `asterx` gains over it is meaning.
        characters: one a sample.
        features: vector by panel id `<comic>/<page>_<panel>`; None when there are no features.
        seed: of the shuffling.

    Raises:
        UsageError: no such mode, or no features where they are needed.
        InputError: no panel of the features is one of the characters'.
    """
    if mode not in MODES:
        raise UsageError(f"context {mode!r} is none of {', '.join(MODES)}")
    if mode == "none":
        return None
    if mode == "zero":
        width = len(next(iter(features.values()))) if features else ASTERX_WIDTH
        rows = ContextRows(np.zeros((1, width), np.float32), [0] * len(characters))
        return rows
    if features is None:
        raise UsageError(
            f"--context {mode} needs the vectors of panels",
            hint="comictool features asterx FEATURES --model RUN -o FEATURES, then --features FEATURES",
        )
    panels = [panel for panel in dict.fromkeys(character.panel_id for character in characters) if panel in features]
    if not panels:
        theirs = f"name panels such as {next(iter(features))!r}" if features else "have none of these comics"
        raise InputError(
            "none of the characters' panels has a vector in the features",
            cause=f"characters stand in panels such as {characters[0].panel_id!r}, the features {theirs}",
            hint="make the features from the same corpus and split",
        )
    matrix = np.stack([features[panel] for panel in panels])
    if not np.isfinite(matrix).all():
        bad = panels[int(np.argmin(np.isfinite(matrix).all(axis=1)))]
        raise InputError(f"the features hold numbers that are not finite, first for panel {bad}")
    if mode == "shuffled":
        matrix = matrix[derangement(len(panels), seed)]
    place = {panel: row for row, panel in enumerate(panels)}
    return ContextRows(matrix, [place.get(character.panel_id, -1) for character in characters])


def derangement(count: int, seed: int) -> np.ndarray:
    """A permutation that leaves nothing in its place: one random cycle (Sattolo 1986). A single item stays."""
    rng = np.random.default_rng(derive_seed(seed, "context"))
    order = np.arange(count)
    for last in range(count - 1, 0, -1):
        other = int(rng.integers(last))
        order[last], order[other] = order[other], order[last]
    return order


def read_features(path: Path, comics: Sequence[str]) -> dict[str, np.ndarray]:
    """Vectors by panel id, of the comics asked for: those of a pack, or of all splits of a store or folder.

    Raises:
        InputError: no vectors in sequence, or packs of different widths.
    """
    tables = read_tables(path, modality="sequence", token=CLS_TOKEN)
    widths = {table.dimension for table in tables.values()}
    if len(widths) > 1:
        raise InputError(f"{path} holds vectors of different widths: {sorted(widths)}")
    wanted = set(comics)
    rows = (row for table in tables.values() for row in zip(table.identifiers, table.vectors, strict=True))
    return {name: vector for name, vector in rows if name.rpartition("/")[0] in wanted}
