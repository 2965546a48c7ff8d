"""`evaluate query`: a store whose words are each their own is found by them, noise is chance, what lacks is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError
from comictool.features import store_queries
from comictool.features.store_queries import _best, _ranked, evaluate_store
from comictool.vectors.columns import Column
from comictool.vectors.derived import embed_layout, embed_texts
from comictool.vectors.published import write_column
from tests.vectors.fakes import make_corpus
from tests.vectors.test_derived import HASHED


def test_words_find_their_panel_and_noise_picks_by_chance(tmp_path: Path) -> None:
    corpus, root = make_corpus(tmp_path / "corpus", {"a": 30, "b": 30}), tmp_path / "store"
    words = iter(np.random.default_rng(1).permutation(4000))
    generator = np.random.default_rng(2)
    pieces = []
    for comic in corpus.comics():
        pages = list(corpus.pages(comic))
        for page in pages:
            for text in page.texts:
                text.text = " ".join(f"word{next(words)}" for _ in range(6))
                text.panel = 1 if page.panels else None
        corpus.write_pages(comic, pages)
        names = [f"{page.page}_{panel.id}" for page in pages for panel in page.panels]
        pieces.append((comic, names, generator.normal(size=(len(names), 20))))
    embed_layout(corpus, root)
    embed_texts(corpus, HASHED, root)
    write_column(root, Column("panel", "image", "noise@1", 20, "float32", normalised=False), pieces)
    metrics, facts = evaluate_store(root, most=40, seed=3)
    found = {metric.name: metric for metric in metrics}
    assert found["half its words -> panel, words, recall@1"].value > 0.95
    assert found["half its words -> panel, words, nDCG@10"].value > 0.95
    picked = found["visual closure (5)"]
    assert picked.low <= 0.2 <= picked.high
    assert picked.chance == 0.2
    assert any("no fusion" in line for line in facts["not_asked"])
    assert [m.value for m in evaluate_store(root, most=40, seed=3)[0]] == [m.value for m in metrics]


def test_ranks_against_a_loop() -> None:
    random = np.random.default_rng(5)
    queries, gallery = random.normal(size=(9, 4)), random.normal(size=(12, 4))
    gallery[7] = gallery[2]
    own, groups = np.arange(9), np.array(["a"] * 5 + ["b"] * 4)
    comics = np.array(["a"] * 5 + ["b"] * 7)
    for other_books in (None, comics):
        names = {metric.name: metric.value for metric in _ranked("x", queries, gallery, own, groups, other_books)}
        reciprocal = []
        for number, query in enumerate(queries):
            scores = gallery @ query / np.linalg.norm(gallery, axis=1)
            counted = [
                place for place in range(12)
                if other_books is None or place == number or comics[place] != groups[number]
            ]  # fmt: skip
            above = sum(scores[place] > scores[number] + 1e-9 for place in counted)
            ties = sum(abs(scores[place] - scores[number]) <= 1e-9 for place in counted)
            reciprocal.append(np.mean([1 / (above + place + 1) for place in range(ties)]))
        assert names["x, MRR"] == pytest.approx(np.mean(reciprocal))


def test_ties_are_a_share_and_an_empty_store_is_a_sentence(tmp_path: Path) -> None:
    assert _best(np.zeros(5)) == pytest.approx(0.2)
    assert _best(np.array([1.0, 0, 0])) == 1
    assert store_queries._half_of("one two three four", np.random.default_rng(0)).count(" ") == 1
    corpus = make_corpus(tmp_path / "corpus", {"a": 2})
    for page in (pages := list(corpus.pages("a"))):
        page.panels = []
    corpus.write_pages("a", pages)
    embed_layout(corpus, tmp_path / "store")
    with pytest.raises(InputError, match="no vectors of panels"):
        evaluate_store(tmp_path / "store")
