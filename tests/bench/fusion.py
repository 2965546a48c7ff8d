"""Objectives of `train fusion` on drawn books: a panel found by its words, in books that no training saw.

`python -m tests.bench.fusion [FOLDER]`; the drawn books and their columns stay in FOLDER, if one is named. Words find a
panel among held-out panels whose own words are hidden: only who has learnt what words look like can do it. Beside that,
a question by words alone among fused vectors that have the words, against the column of words itself.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from comictool.core.jobs import JobOptions
from comictool.drawn.corpus import draw_corpus
from comictool.fusion.data import Panels, divide, read_panels
from comictool.fusion.encoding import inputs_of, recall, shown
from comictool.fusion.settings import LEARNING, PUBLISHED
from comictool.plugins.load import EncoderSpec, load_model
from comictool.training.api import train
from comictool.vectors.derived import embed_layout, embed_texts
from comictool.vectors.job import EmbedOptions, embed
from tests.bench.figures import arguments, figure, ratio

PAGES, SEED, HELD_OUT = 600, 77, 0.33
SETTINGS = {"training.epochs": 40, "training.validate_every": 0, "data.held_out": HELD_OUT}
DRAWN = "60 drawn books, a third held out"


def make(folder: Path) -> Path:
    """The drawn books and the three columns of their panels; what is there is kept."""
    corpus, store = folder / "corpus", folder / "store"
    draw_corpus(corpus, PAGES, seed=SEED, width=500, height=750, options=JobOptions(jobs=2))
    embed(corpus, EncoderSpec("classic"), store, EmbedOptions(levels=("panel",)), options=JobOptions(jobs=2))
    embed_texts(corpus, EncoderSpec("hashed"), store)
    embed_layout(corpus, store)
    return store


def held_out_rows(panels: Panels) -> np.ndarray:
    """Panels of books that no training saw, with picture and words."""
    rows = panels.of(divide(panels, HELD_OUT, 0)[1])
    return rows[panels.present[rows, :2].all(axis=1)]


def measure(run: Path, panels: Panels, rows: np.ndarray) -> tuple[float, float]:
    """recall@10 of words among panels whose words are hidden, and among panels that show everything."""
    model = load_model(EncoderSpec(str(run / "model"), device="cpu"), "fusion").model
    inputs = {name: matrix[rows] for name, matrix in inputs_of(model.shape, panels.columns).items()}
    present = torch.from_numpy(panels.present[rows])
    words = shown(model, inputs, present, ("text",))
    hidden = recall(words, shown(model, inputs, present, ("image", "layout")), 10)
    return hidden, recall(words, shown(model, inputs, present, ("image", "text", "layout")), 10)


def main() -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory() as spare:
        folder = Path(arguments()[0]) if arguments() else Path(spare)
        panels = read_panels(make(folder), 12)
        rows = held_out_rows(panels)
        found: dict[str, tuple[float, float]] = {}
        for objective in (*PUBLISHED, *LEARNING):
            started = time.perf_counter()
            run = folder / "runs" / objective
            settings = {**SETTINGS, "objective.name": objective}
            train("fusion", {"store": folder / "store"}, run, settings, device="cpu")
            found[objective] = measure(run, panels, rows)
            print(objective, *map(ratio, found[objective]), f"{time.perf_counter() - started:.0f} s", flush=True)
        words = torch.from_numpy(panels.columns["text"][rows])
        image = torch.from_numpy(panels.columns["image"][rows])
        alone = recall(words, words, 10)
        late = recall(torch.cat([words, 0 * image], 1), torch.cat([words, image], 1) / 2**0.5, 10)
        chance = 10 / len(rows)
        originals = ", ".join(f"{name} {ratio(found[name][0])}" for name in PUBLISHED)
        others = ", ".join(f"{name} {ratio(found[name][0])}" for name in LEARNING if name != "all")
        figure(
            f"recall@10 of words -> panel with its words hidden, `train fusion`, {DRAWN} ({len(rows)} panels)",
            f"all {ratio(found['all'][0])} ({found['all'][0] / found['base'][0]:.1f} times base), {others}",
            f"Closure Lite's objectives: {originals}; chance {ratio(chance)}",
        )
        figure(
            f"recall@10 of words -> panel with its words, one question on a fused store, {DRAWN}",
            f"late fusion {ratio(late)}, in the fused vector all {ratio(found['all'][1])}",
            f"words alone {ratio(alone)}; base {ratio(found['base'][1])}",
        )


if __name__ == "__main__":
    main()
