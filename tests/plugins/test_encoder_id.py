from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from comictool.plugins.discovery import shipped_folder
from comictool.plugins.encoder import embed_views, encoder_id_of
from comictool.plugins.manifest import read_manifest


def test_arguments_of_the_architecture_are_part_of_the_id() -> None:
    """Two profiles of one architecture give other vectors, so they must not share a cache or a store."""
    plain = read_manifest(Path(shipped_folder()) / "classic")
    other = dataclasses.replace(plain, arguments={"profile": "character"})
    assert encoder_id_of(plain) != encoder_id_of(other)
    assert encoder_id_of(other) == encoder_id_of(dataclasses.replace(plain, arguments={"profile": "character"}))


class Sizes:
    """An encoder that answers with the size of what it was shown."""

    def embed(self, images: list[np.ndarray]) -> np.ndarray:
        return np.array([image.shape[:2] for image in images], np.float32)


def test_cut_outs_are_rounded_to_the_nearest_pixel_and_never_empty() -> None:
    picture = np.zeros((10, 7, 3), np.uint8)
    boxes = [(0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.9, 0.9), (0.99, 0.99, 1.0, 1.0)]
    assert embed_views(Sizes(), picture, boxes).tolist() == [[10, 7], [8, 5], [1, 1]]  # type: ignore[arg-type]
