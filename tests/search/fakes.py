"""A small corpus on disk and an encoder whose vectors can be checked by hand, usable from worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comictool.core.errors import InputError
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel, Text

DIMENSION = 48


class FakeEncoder:
    """4x4 mean colours of a picture; nothing of what it does depends on the other pictures of a call."""

    dimension = DIMENSION
    preferred_batch = 4
    device_note = "cpu"

    def __init__(self, identity: str, heavy: bool) -> None:
        self.identity = identity
        self.heavy = heavy

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        rows = []
        for image in images:
            small = np.asarray(Image.fromarray(image).resize((4, 4), Image.Resampling.BOX), np.float64).ravel() - 128.5
            rows.append(small / np.linalg.norm(small))
        return np.array(rows, np.float32).reshape(-1, DIMENSION)


@dataclass(frozen=True)
class FakeChoice:
    """Chooses `FakeEncoder`; with `count_in`, each picture embedded adds a byte to that file."""

    identity: str = "fake@1+none+own"
    heavy: bool = False
    count_in: Path | None = None
    fails_on: int = 0

    def load(self) -> Any:
        return Counting(self) if self.count_in is not None else FakeEncoder(self.identity, self.heavy)

    def remembered(self) -> dict[str, Any]:
        return {"name": "fake", "directories": [], "weights": None, "random_weights": False}


class Counting(FakeEncoder):
    """Counts in a file what it embeds, over processes and kills; fails at the `fails_on`-th picture."""

    def __init__(self, choice: FakeChoice) -> None:
        super().__init__(choice.identity, choice.heavy)
        assert choice.count_in is not None
        self._file, self._fails_on = choice.count_in, choice.fails_on

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        with open(self._file, "ab") as stream:
            stream.write(b"." * len(images))
        if self._fails_on and self._file.stat().st_size >= self._fails_on:
            raise InputError("the encoder gave up")
        return super().embed(images)


def make_corpus(root: Path, comics: dict[str, int], *, panels: int = 2, seed: int = 0) -> Corpus:
    """A corpus of small random pages; page n of a comic has n % (panels + 1) panels and one line of text."""
    corpus = Corpus.create(root)
    for comic, pages in comics.items():
        corpus.write_pages(comic, [make_page(corpus, comic, n, n % (panels + 1), seed) for n in range(1, pages + 1)])
    return corpus


def make_page(corpus: Corpus, comic: str, number: int, panels: int, seed: int = 0) -> PageRecord:
    """Write one page picture, 40x60 pixels of 5x5 coarse random colours, and give its record."""
    name = f"page_images/{comic}/page-{number}.png"
    file = corpus.root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, number, *comic.encode("utf-8")])
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    coarse.resize((40, 60), Image.Resampling.NEAREST).save(file)
    step = 60 // max(1, panels)
    boxes = [(0, step * n, 40, step * (n + 1)) for n in range(panels)]
    return PageRecord(
        comic,
        number,
        name,
        40,
        60,
        type="story",
        panels=[Panel(n, box) for n, box in enumerate(boxes, start=1)],
        texts=[Text(1, f"hello from {comic}", box=(1, 1, 5, 5))],
    )
