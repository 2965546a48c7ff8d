"""What befalls a printed page on its way to a file: pale pencils, a shade over the paper, a coarse JPEG."""

from __future__ import annotations

import io
import math
import random

import numpy as np
from PIL import Image


def finish(page: np.ndarray, kind: str, rng: random.Random) -> np.ndarray:
    """Do to a page what its layout says.

    Args:
        page: `(height, width, 3)` uint8.
        kind: `pencil`, `shade`, `jpeg`, or nothing.
        rng: the page's stream.
    """
    if kind == "pencil":
        return _pencilled(page, rng)
    if kind == "shade":
        return _shaded(page, rng)
    return _compressed(page, rng.randint(50, 85)) if kind == "jpeg" else page


def _pencilled(page: np.ndarray, rng: random.Random) -> np.ndarray:
    """Black becomes a grainy grey, solid areas most of all."""
    grain = np.random.default_rng(rng.randrange(1 << 32)).normal(0, 26, page.shape[:2])[..., None]
    dark = 255 - page.astype(np.float32)
    return np.clip(255 - dark * rng.uniform(0.45, 0.7) + grain * (dark > 60), 0, 255).astype(np.uint8)


def _shaded(page: np.ndarray, rng: random.Random) -> np.ndarray:
    """Light that falls off smoothly across the page, as beside the spine on a scanner; little or no noise."""
    height, width = page.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    turn = rng.uniform(0, 2 * math.pi)
    along = (x / width - 0.5) * math.cos(turn) + (y / height - 0.5) * math.sin(turn)
    share = (along - along.min()) / (along.max() - along.min())
    light = 1 - rng.uniform(0.1, 0.28) * share ** rng.choice((1.0, 2.0))
    if rng.random() < 0.4:
        light *= 1 - rng.uniform(0.05, 0.15) * (y / height if rng.random() < 0.5 else 1 - y / height)
    noise = np.random.default_rng(rng.randrange(1 << 32)).normal(0, rng.choice((0.0, 0.0, 1.0, 2.0)), page.shape[:2])
    return np.clip(page * light[..., None] + noise[..., None], 0, 255).round().astype(np.uint8)


def _compressed(page: np.ndarray, quality: int) -> np.ndarray:
    """The page out of a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(page).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))
