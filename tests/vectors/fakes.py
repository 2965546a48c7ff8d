"""A small corpus on disk and an encoder whose vectors can be checked by hand, usable from worker processes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comictool.core.errors import InputError
from comictool.core.jobs import JobOptions, JobReport
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel, Text
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import read_manifest
from comictool.search.query import Hit, Query, query
from comictool.vectors.job import EmbedOptions, embed

DIMENSION = 48
MANIFEST = """schema = 2
id = "fake"
version = "1"
title = "4x4 mean colours"
kind = "encoder"
licence = "MIT"

[architecture]
name = "{architecture}"

[output.vector]
dimension = 48
normalised = true
metric = "cosine"
"""


class FakeEncoder:
    """4x4 mean colours of a picture; nothing of what it does depends on the other pictures of a call."""

    dimension = DIMENSION
    preferred_batch = 4
    device_note = "cpu"

    def __init__(self, encoder_id: str, needs_torch: bool) -> None:
        self.encoder_id = encoder_id
        self.needs_torch = needs_torch
        self.manifest = read_manifest(_plugin(needs_torch))

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        rows = []
        for image in images:
            small = np.asarray(Image.fromarray(image).resize((4, 4), Image.Resampling.BOX), np.float64).ravel() - 128.5
            rows.append(small / np.linalg.norm(small))
        return np.array(rows, np.float32).reshape(-1, DIMENSION)


@cache
def _plugin(needs_torch: bool) -> Path:
    """A directory whose manifest says whether torch is needed; the fake is loaded in place of what it names."""
    folder = Path(tempfile.mkdtemp(prefix="fake-plugin-"))
    (folder / "plugin.toml").write_text(MANIFEST.format(architecture="python" if needs_torch else "classic"))
    if needs_torch:
        (folder / "model.py").write_text("")
    return folder


@dataclass(frozen=True)
class FakeSpec(EncoderSpec):
    """Stands for `FakeEncoder`; with `count_in`, each picture embedded adds a byte to that file."""

    encoder_id: str = "fake@1+none+own"
    needs_torch: bool = False
    count_in: Path | None = None
    fails_on: int = 0

    def load(self) -> Any:
        return Counting(self) if self.count_in is not None else FakeEncoder(self.encoder_id, self.needs_torch)


def fake(
    encoder_id: str = "fake@1+none+own", *, needs_torch: bool = False, count_in: Path | None = None, fails_on: int = 0
) -> FakeSpec:
    """The spec of a fake. Untrained: only loading it tells its encoder_id."""
    name = str(_plugin(needs_torch))
    return FakeSpec(
        name,
        random_weights=True,
        device="cpu",
        encoder_id=encoder_id,
        needs_torch=needs_torch,
        count_in=count_in,
        fails_on=fails_on,
    )


class Counting(FakeEncoder):
    """Counts in a file what it embeds, over processes and kills; fails at the `fails_on`-th picture."""

    def __init__(self, spec: FakeSpec) -> None:
        super().__init__(spec.encoder_id, spec.needs_torch)
        assert spec.count_in is not None
        self._file, self._fails_on = spec.count_in, spec.fails_on

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        with open(self._file, "ab") as stream:
            stream.write(b"." * len(images))
        if self._fails_on and self._file.stat().st_size >= self._fails_on:
            raise InputError("the encoder gave up")
        return super().embed(images)


def embed_corpus(
    corpus: Corpus, spec: EncoderSpec, root: Path, *, options: JobOptions | None = None, **chosen: Any
) -> JobReport:
    """`embed` with the fields of `EmbedOptions` by name."""
    return embed(corpus, spec, root, EmbedOptions(**chosen), options=options)


def ask(root: Path, *, encoder: Any = None, **asked: Any) -> list[Hit]:
    """`query` with the fields of `Query` by name."""
    return query(root, Query(**asked), encoder=encoder)


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
