"""A column of a new kind from beginning to end: what CONTRIBUTING says that one touches to add it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from comictool.core.jobs import JobOptions
from comictool.vectors.columns import Column
from comictool.vectors.published import write_column, write_packs
from comictool.vectors.store import Store
from comictool.vectors.tables import read_tables
from tests.vectors.fakes import ask, embed_corpus, fake, make_corpus


def test_a_toy_column_of_layout(tmp_path: Path) -> None:
    """Where a panel lies on its page, as a column `panel/layout`, is stored, searched, combined and given away."""
    corpus, root = make_corpus(tmp_path / "corpus", {"a": 5, "b": 5}), tmp_path / "store"
    embed_corpus(corpus, fake(), root, options=JobOptions(jobs=1))
    before = {file: file.stat().st_ino for file in root.glob("contents-*/*/image/**/0") if file.is_file()}
    pieces = []
    for comic in corpus.comics():
        boxes = {f"{page.page}_{panel.id}": panel.box for page in corpus.pages(comic) for panel in page.panels}
        pieces.append((comic, list(boxes), np.array(list(boxes.values()), np.float32)))
    write_column(root, Column("panel", "layout", "boxes@1", 4, "float32", normalised=False), pieces)

    assert {file: file.stat().st_ino for file in before} == before  # nothing else was written
    hits = ask(root, id="a/2/1", columns=(("layout", 1.0),), k=1)
    assert (hits[0].id, round(hits[0].score, 9)) == ("a/5/1", 1.0)  # the same place on another page
    assert len(ask(root, id="a/2/1", columns=(("image", 1.0), ("layout", 0.5)), k=99)) == 11
    with Store.open(root) as store:
        assert store.columns["panel/layout"].present.all()
        (pack,) = write_packs(store, tmp_path / "packs", "panel", "layout")
    for source in (root, pack):
        table = read_tables(source, modality="layout")["all"]
        assert table.names == [name for _, names, _ in pieces for name in names]
        np.testing.assert_array_equal(table.vectors, np.concatenate([boxes for *_, boxes in pieces]))
