"""Small pictures of made-up characters: each has colours of its own, and a seed moves them about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from comictool.core.seeds import derive_seed


def drawing(character: str, number: int, side: int = 48) -> np.ndarray:
    """(side, side, 3) uint8: a background and a figure in the character's colours, placed by the number."""
    colours = np.random.default_rng(derive_seed(0, "colours", character)).integers(0, 256, (3, 3))
    place = np.random.default_rng(derive_seed(0, "place", character, str(number)))
    image = np.empty((side, side, 3), np.uint8)
    image[:] = colours[0]
    left, top = place.integers(2, side // 3, 2)
    image[top : top + side // 2, left : left + side // 2] = colours[1]
    image[top + 4 : top + 12, left + 4 : left + 12] = colours[2]
    noise = place.integers(-6, 7, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


def save(path: Path, image: np.ndarray) -> Path:
    """Write a picture, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def cast(folder: Path, characters: tuple[str, ...] = ("ann", "bob", "cat"), count: int = 4) -> Path:
    """A folder with a folder of drawings for each character."""
    for character in characters:
        for number in range(count):
            save(folder / character / f"{number + 1}.png", drawing(character, number))
    return folder
