"""Panel features with a known story, made without pictures: time goes on through a comic, and each comic is its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from comictool.vectors.packs import write_features
from comictool.vectors.tables import Table

WIDTH = 24


def story_rows(rng: np.random.Generator, panels: int, *, width: int = WIDTH) -> np.ndarray:
    """(panels, width): the comic's own direction, the hour on a curve that all comics share, and noise."""
    own = rng.normal(size=width)
    hour = np.linspace(0, 1, panels)[:, None]
    curve = np.hstack([hour * 6 - 3, np.sin(3 * hour) * 3, np.zeros((panels, width - 2))])
    vectors: np.ndarray = (0.5 * own + curve + 0.2 * rng.normal(size=(panels, width))).astype(np.float32)
    return vectors


def story_panels(comics: int = 6, panels: int = 20, *, seed: int = 0, width: int = WIDTH) -> Table:
    """Comics of a story; the second half of them a little shorter, so that lengths differ."""
    rng = np.random.default_rng(seed)
    lengths = [panels - (3 if number % 2 else 0) for number in range(comics)]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    names = [f"{1 + place // 5}_{1 + place % 5}" for length in lengths for place in range(length)]
    vectors = np.concatenate([story_rows(rng, length, width=width) for length in lengths])
    return Table(
        vectors, [f"comic_{seed}_{number}" for number in range(comics)], offsets, names, {"encoder_id": "made up"}
    )


def of_lengths(*lengths: int, width: int = WIDTH, seed: int = 0) -> Table:
    """Comics of the given lengths, of pure noise."""
    vectors = np.random.default_rng(seed).normal(size=(sum(lengths), width)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    names = [f"1_{place + 1}" for length in lengths for place in range(length)]
    return Table(vectors, [f"noise_{number}" for number in range(len(lengths))], offsets, names)


def write_pack(folder: Path, split: str, panels: Table) -> Path:
    """A feature pack of panels."""
    file = folder / f"{split}_features.hdf5"
    comics = {comic: panels.comic(number) for number, comic in enumerate(panels.comics)}
    write_features(file, f"{split}_features", comics, {"encoder_id": panels.origin} if panels.origin else {})
    return file
