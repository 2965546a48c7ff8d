"""`train fusion` on columns of a small store: every objective runs, its plugin fuses the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError
from comictool.corpus.corpus import Corpus
from comictool.fusion.data import divide, read_panels
from comictool.fusion.settings import LEARNING, PUBLISHED
from comictool.plugins.check import check_plugin
from comictool.plugins.load import EncoderSpec, load_model
from comictool.training.api import train
from comictool.vectors.columns import Column
from comictool.vectors.derived import embed_fused, embed_layout
from comictool.vectors.published import write_column
from comictool.vectors.store import Store
from tests.fusion.test_model import original_checkpoint
from tests.vectors.fakes import make_corpus

SMALL = {"model.width": 16, "model.heads": 2, "training.max_steps": 3, "training.batch_size": 4}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Path]:
    """Three books of six pages of up to three panels; every third panel has no words."""
    folder = tmp_path_factory.mktemp("fusion")
    corpus, root = make_corpus(folder / "corpus", {"a": 6, "b": 6, "c": 6}, panels=3), folder / "store"
    embed_layout(corpus, root)
    generator = np.random.default_rng(0)
    for modality, size, step in (("image", 6, 1), ("text", 5, 3)):
        pieces = []
        for comic in corpus.comics():
            names = [f"{page.page}_{panel.id}" for page in corpus.pages(comic) for panel in page.panels]
            names = [name for place, name in enumerate(names) if step == 1 or place % step]
            pieces.append((comic, names, generator.normal(size=(len(names), size))))
        write_column(root, Column("panel", modality, f"{modality}@1", size, "float32", normalised=False), pieces)
    return corpus, root


@pytest.mark.parametrize("objective", [*PUBLISHED, *LEARNING])
def test_every_objective_trains_and_gives_a_plugin(tmp_path: Path, place: tuple[Corpus, Path], objective: str) -> None:
    corpus, root = place
    train("fusion", {"store": root}, tmp_path / "run", {**SMALL, "objective.name": objective}, device="cpu")
    spec = EncoderSpec(str(tmp_path / "run" / "model"), device="cpu")
    assert [(r.name, r.detail) for r in check_plugin(spec) if not r.ok] == []
    if objective == "all":
        report = embed_fused(corpus, spec, root)
        with Store.open(root) as store:
            fused = store.columns["panel/fused"]
            assert fused.present.all()
            assert report.totals["panels"] == len(fused.present)
            rows = np.flatnonzero(~store.columns["panel/text"].present)
            image = store.columns["panel/image"].vectors(rows).astype(np.float32)
            layout = store.columns["panel/layout"].vectors(rows).astype(np.float32)
            alone = load_model(spec, "fusion").fuse({"panel/image": image, "panel/layout": layout})
            np.testing.assert_allclose(fused.vectors(rows).astype(np.float32), alone, atol=2e-3)
            assert store.columns["page/fused"].present.sum() == sum(
                bool(page.panels) for comic in corpus.comics() for page in corpus.pages(comic)
            )


def test_an_original_checkpoint_continues(tmp_path: Path, place: tuple[Corpus, Path]) -> None:
    _, root = place
    file, _ = original_checkpoint(tmp_path)
    settings = {**SMALL, "model.width": 8, "objective.name": "denoise"}
    train("fusion", {"store": root, "weights": file}, tmp_path / "run", settings, device="cpu")


def test_books_are_held_out_whole_and_missing_columns_are_named(tmp_path: Path, place: tuple[Corpus, Path]) -> None:
    _, root = place
    panels = read_panels(root, 2)
    assert all(len(rows) <= 2 for rows in panels.pages)
    assert sorted(row for rows in panels.pages for row in rows) == list(range(len(panels.present)))  # none is dropped
    train_pages, held_out = divide(panels, 0.2, 0)
    books = [{panels.comics[page] for page in pages} for pages in (train_pages, held_out)]
    assert books[0] | books[1] == {"a", "b", "c"}
    assert not books[0] & books[1]
    corpus = make_corpus(tmp_path / "corpus", {"a": 2})
    embed_layout(corpus, tmp_path / "store")
    with pytest.raises(InputError, match="no column panel/image") as refused:
        read_panels(tmp_path / "store", 12)
    assert "comictool embed" in refused.value.hint
