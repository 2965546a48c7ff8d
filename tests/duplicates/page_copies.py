"""For the tests of duplicates: random pages with panels, altered copies of them, and a view over plain folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comictool.core.names import natural_key
from comictool.corpus.records import PageRecord


@dataclass(frozen=True)
class FolderView:
    """Folders of pictures as comics: the least that the data steps ask of a corpus."""

    root: Path

    def comics(self) -> list[str]:
        return sorted((f.name for f in self.root.iterdir() if f.is_dir() and f.name != ".jobs"), key=natural_key)

    def pages(self, comic: str) -> list[PageRecord]:
        files = sorted((self.root / comic).iterdir(), key=lambda file: natural_key(file.name))
        return [PageRecord(comic, n, f"{comic}/{file.name}", 1, 1) for n, file in enumerate(files, start=1)]

    def comic_facts(self, comic: str) -> dict[str, Any]:
        return {}

    def picture(self, record: PageRecord) -> Path:
        return self.root / record.image


def random_page(seed: int, size: tuple[int, int] = (300, 420)) -> Image.Image:
    """Panels in a random grid on white paper, each with coarse and fine random shapes."""
    rng = np.random.default_rng([20, seed])
    page = Image.new("RGB", size, "white")
    rows = int(rng.integers(2, 4))
    height = (size[1] - 10) // rows
    for row in range(rows):
        columns = int(rng.integers(1, 4))
        width = (size[0] - 10) // columns
        for column in range(columns):
            coarse = rng.integers(0, 256, (5, 5, 3)).astype(np.float64)
            fine = rng.integers(-60, 60, (16, 16, 3)).astype(np.float64)
            pixels = _enlarged(coarse, width - 10, height - 10) + _enlarged(fine, width - 10, height - 10)
            panel = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            page.paste(panel, (10 + column * width, 10 + row * height))
    return page


def with_balloons(page: Image.Image, seed: int, count: int = 4) -> Image.Image:
    """White boxes with dark lines on them, as lettering."""
    rng = np.random.default_rng([21, seed])
    page = page.copy()
    for _ in range(count):
        width, height = int(page.width * rng.uniform(0.15, 0.3)), int(page.height * rng.uniform(0.05, 0.1))
        left, top = int(rng.uniform(0, page.width - width)), int(rng.uniform(0, page.height - height))
        page.paste("white", (left, top, left + width, top + height))
        for line in range(top + 5, top + height - 4, 6):
            page.paste("black", (left + 6, line, left + width - 6, line + 2))
    return page


def cut(page: Image.Image, share: float) -> Image.Image:
    """The page without a share of each side."""
    x, y = round(page.width * share), round(page.height * share)
    return page.crop((x, y, page.width - x, page.height - y))


def write_comic(root: Path, comic: str, pages: Sequence[Image.Image], suffix: str = ".png", quality: int = 90) -> None:
    """Save the pages of a comic for `FolderView`."""
    folder = root / comic
    folder.mkdir(parents=True)
    for number, page in enumerate(pages, start=1):
        page.save(folder / f"{number}{suffix}", quality=quality)


def _enlarged(values: np.ndarray, width: int, height: int) -> np.ndarray:
    channels = [
        Image.fromarray(values[:, :, channel].astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel, np.float64) for channel in channels], axis=-1)
