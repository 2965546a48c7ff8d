"""Columns of words and layout: what each row gets, what is absent, what is computed again, what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Character, PageRecord, Panel, Text
from comictool.plugins.load import EncoderSpec, load_model
from comictool.vectors import derived
from comictool.vectors.columns import Column
from comictool.vectors.derived import embed_layout, embed_texts
from comictool.vectors.layout import layout_numbers, published_numbers
from comictool.vectors.published import write_column, write_packs
from comictool.vectors.store import Store
from comictool.vectors.verifying import damaged_columns
from tests.vectors.fakes import ask, embed_corpus, fake, make_corpus

HASHED = EncoderSpec("hashed")


def corpus_with_words(root: Path) -> Corpus:
    """Three pages of two panels; one panel of three has words."""
    corpus = make_corpus(root, {"a": 2, "b": 1})
    for comic in ("a", "b"):
        pages = list(corpus.pages(comic))
        for page in pages:
            page.panels = [Panel(1, (0, 0, 20, 30)), Panel(2, (20, 0, 40, 30))]
            page.texts = [Text(1, f"the lantern of {comic} {page.page}", box=(2, 2, 10, 8))]
        corpus.write_pages(comic, pages)
    return corpus


def test_words_are_a_column_beside_the_pictures(tmp_path: Path) -> None:
    corpus, root = corpus_with_words(tmp_path / "corpus"), tmp_path / "store"
    embed_corpus(corpus, fake(), root, options=JobOptions(jobs=1))
    before = {file: file.stat().st_ino for file in root.glob("contents-*/*/image/**/0") if file.is_file()}
    report = embed_texts(corpus, HASHED, root, levels=("panel", "page"))
    assert (report.totals["panels"], report.totals["pages"]) == (3, 3)
    assert {file: file.stat().st_ino for file in before} == before
    with Store.open(root) as store:
        words = store.columns["panel/text"]
        assert words.present.tolist() == [True, False] * 3
        expected = load_model(HASHED).embed_texts(["the lantern of a 2"])[0]
        np.testing.assert_allclose(words.vectors([2])[0], expected, atol=2e-3)
        assert store.columns["page/text"].present.all()


def test_a_store_of_words_alone_and_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch is computed twice, whatever a run was cut short by; a text that changed has its own vector."""
    corpus, root, cache = corpus_with_words(tmp_path / "corpus"), tmp_path / "store", tmp_path / "cache.sqlite"
    monkeypatch.setattr(derived, "BATCH_ROWS", 2)
    asked: list[str] = []

    class Network:
        needs_torch, encoder_id, fails = True, "net@1+0+own", True

        def embed_texts(self, texts: list[str]) -> np.ndarray:
            asked.extend(text for text in texts if text != "a")
            if self.fails and len(asked) > 2:
                raise InputError("killed")
            return np.array([[1.0, 0.0] if "b" in text else [0.6, 0.8] for text in texts], np.float32)

    monkeypatch.setattr(derived, "load_model", lambda spec, kind: Network())
    with pytest.raises(InputError, match="killed"):
        embed_texts(corpus, HASHED, root, cache=cache)
    Network.fails = False
    asked.clear()
    embed_texts(corpus, HASHED, root, cache=cache)
    assert asked == ["the lantern of b 1"]
    pages = list(corpus.pages("a"))
    pages[0].texts[0].text = "b indeed"
    corpus.write_pages("a", pages)
    embed_texts(corpus, HASHED, root, cache=cache)
    assert asked[1:] == ["b indeed"]
    with Store.open(root) as store:
        np.testing.assert_allclose(store.columns["panel/text"].vectors([0])[0], [1, 0], atol=1e-3)


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", {"a": 1})
    pages = list(corpus.pages("a"))
    pages[0].texts = []
    corpus.write_pages("a", pages)
    with pytest.raises(InputError, match="has words") as refused:
        embed_texts(corpus, HASHED, tmp_path / "store")
    assert "data text" in refused.value.hint
    with pytest.raises(UsageError, match="characters have no words"):
        embed_texts(corpus, HASHED, tmp_path / "store", levels=("character",))
    with pytest.raises(UsageError, match="not a text-encoder"):
        embed_texts(corpus, EncoderSpec("classic"), tmp_path / "store")


def test_layout_is_really_computed(tmp_path: Path) -> None:
    page = PageRecord(
        "a", 1, "p.png", 100, 200,
        panels=[Panel(1, (0, 0, 80, 20)), Panel(2, (0, 50, 50, 100))],
        characters=[Character(1, (5, 55, 15, 75)), Character(2, (25, 50, 50, 100), panel=2)],
        texts=[Text(1, "Hm.", box=(0, 0, 40, 10))],
    )  # fmt: skip
    found = layout_numbers(page)
    wide, tall = published_numbers(np.array([found[1], found[2]]))
    np.testing.assert_allclose(wide, [4, 0.08, 0, 0, 0, 0.5, 0.5], atol=1e-5)
    # character 1: 10 x 20 of 50 x 50, centre (.2, .3); character 2: 25 x 50, centre (.75, .5)
    np.testing.assert_allclose(tall, [1, 0.125, 2, 0.29, 0.5, 0.475, 0.4], atol=1e-5)
    assert found[1][-1] == pytest.approx(np.sqrt(400 / 1600))  # lettering
    assert np.abs(np.array(list(found.values()))).max() <= 1

    corpus, root = corpus_with_words(tmp_path / "corpus"), tmp_path / "store"
    assert embed_layout(corpus, root).totals["panels"] == 6
    with Store.open(root) as store:
        rows = store.columns["panel/layout"].vectors([0, 1]).astype(np.float32)
        expected = layout_numbers(next(iter(corpus.pages("a"))))
        np.testing.assert_allclose(rows, [expected[1], expected[2]], atol=1e-3)


def test_int8_keeps_length_and_order_in_half_the_bytes(tmp_path: Path) -> None:
    """Columns of int8 are read like any other; what they take on disk is what 80,000 pages are reckoned with."""
    corpus, generator = make_corpus(tmp_path / "corpus", {"a": 60}, panels=4), np.random.default_rng(0)
    names = [f"{page.page}_{panel.id}" for page in corpus.pages("a") for panel in page.panels]
    vectors = generator.normal(size=(len(names), 384)) * generator.gamma(0.5, size=384)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sizes, rows = {}, {}
    for dtype in ("float32", "int8"):
        root = tmp_path / dtype
        embed_layout(corpus, root)
        write_column(root, Column("panel", "fused", "x@1", 384, dtype), [("a", names, vectors)])
        with Store.open(root) as store:
            opened = store.columns["panel/fused"]
            rows[dtype] = opened.vectors(np.arange(len(names)))
            assert not list(damaged_columns(store))
            sizes[dtype] = sum(f.stat().st_size for f in (root / opened.column.folder).rglob("*") if f.is_file())
            assert len(write_packs(store, tmp_path / f"{dtype}-packs", "panel", "fused")) == 1
    assert rows["int8"].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows["int8"], axis=1), 1, atol=1e-6)
    assert (rows["int8"] * rows["float32"]).sum(axis=1).min() > 0.9995
    per_row = sizes["int8"] / len(names)
    assert per_row < 410  # 6 panels a page: 80,000 pages are 197 MB
    assert sizes["float32"] > 3.5 * sizes["int8"]
    exact = np.argsort(-rows["float32"] @ rows["float32"][5])[:10]
    assert len(set(exact) & set(np.argsort(-rows["int8"] @ rows["float32"][5])[:10])) >= 9
    found = ask(tmp_path / "int8", id=f"a/{names[5].replace('_', '/')}", columns=(("fused", 1.0),), k=3)
    assert found[0].id == f"a/{names[exact[1]].replace('_', '/')}"
