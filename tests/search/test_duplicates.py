from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord
from comictool.duplicates.results import DuplicateReport
from comictool.library.sheets import write_duplicate_sheet
from comictool.search.duplicates import find_duplicates, suggest
from comictool.vectors.rows import RowArray
from comictool.vectors.views import VIEWS
from tests.duplicates.page_copies import random_page, with_balloons
from tests.vectors.fakes import embed_corpus, fake

ONE = JobOptions(jobs=1)


def corner(page: Image.Image, share: float) -> Image.Image:
    """The part of a page at its lower right corner."""
    return page.crop((round(page.width * (1 - share)), round(page.height * (1 - share)), page.width, page.height))


def make(root: Path, comics: dict[str, list[Image.Image]]) -> Corpus:
    """A corpus of given pages."""
    corpus = Corpus.create(root)
    for comic, pages in comics.items():
        records = []
        for number, page in enumerate(pages, start=1):
            name = f"page_images/{comic}/page-{number}.png"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            page.save(root / name)
            records.append(PageRecord(comic, number, name, page.width, page.height))
        corpus.write_pages(comic, records)
    return corpus


@pytest.fixture
def cut_corpus(tmp_path: Path) -> tuple[Corpus, Path]:
    """Ten pages, six of them again cut to their lower right 80 %, and the store of all."""
    pages = [random_page(n) for n in range(10)]
    copies = [corner(page, 0.8) for page in pages[:6]]
    corpus = make(tmp_path / "corpus", {"whole": pages, "cut": [*copies, random_page(80)]})
    store = tmp_path / "store"
    embed_corpus(corpus, fake(), store, levels=("page",), options=ONE)
    return corpus, store


def pages_of(report: DuplicateReport) -> list[list[str]]:
    return [group.pages for group in report.groups]


def test_a_store_finds_copies_that_were_cut_too_much_for_hashes(cut_corpus: tuple[Corpus, Path]) -> None:
    corpus, store = cut_corpus
    wanted = [[f"cut/{n}", f"whole/{n}"] for n in range(1, 7)]
    assert len(pages_of(find_duplicates(corpus, method="hash", options=ONE))) <= 2
    for method in ("embedding", "all"):
        report = find_duplicates(corpus, method=method, store=store, options=ONE)
        assert pages_of(report) == wanted
        assert report.settings == {"method": method, "threshold": 0.55, "store": str(store)}
        assert report.books[0].pages == 6
    assert {group.kind for group in find_duplicates(corpus, method="embedding", store=store, options=ONE).groups} == {
        "embedding"
    }


def test_an_encoder_that_finds_all_pages_alike_makes_no_false_groups(tmp_path: Path) -> None:
    corpus = make(tmp_path / "corpus", {"a": [random_page(n) for n in range(6)], "b": [random_page(9)]})
    pages = np.ones((7 * len(VIEWS), 48)) + np.random.default_rng(0).normal(0, 0.01, (7 * len(VIEWS), 48))
    store = tmp_path / "store"
    embed_corpus(corpus, fake(), store, levels=("page",), options=ONE)
    array = next((store / "contents-000001" / "pages" / "image" / "vectors" / "c").rglob("0/0"))
    stored = np.fromfile(array, "<f2").reshape(-1, 48)
    stored[: len(pages)] = pages / np.linalg.norm(pages, axis=1, keepdims=True)
    stored.tofile(array)
    assert find_duplicates(corpus, method="all", store=store, options=ONE).groups == []


def test_each_method_finds_its_own(tmp_path: Path) -> None:
    page, other = random_page(1), random_page(2)
    corpus = make(tmp_path / "corpus", {"a": [page, other], "b": [page, with_balloons(other, 1)]})
    exact = find_duplicates(corpus, method="exact", options=ONE)
    assert pages_of(exact) == [["a/1", "b/1"]]
    hashed = find_duplicates(corpus, options=ONE)
    assert [(group.kind, group.pages) for group in hashed.groups] == [
        ("file", ["a/1", "b/1"]),
        ("hash", ["a/2", "b/2"]),
    ]
    assert hashed.settings["method"] == "hash"


def test_impossible_questions_are_refused(tmp_path: Path) -> None:
    corpus = make(tmp_path / "corpus", {"a": [random_page(1), random_page(2)]})
    with pytest.raises(UsageError, match="method 'fuzzy'"):
        find_duplicates(corpus, method="fuzzy")
    with pytest.raises(UsageError, match="needs a store"):
        find_duplicates(corpus, method="embedding")
    with pytest.raises(InputError, match="not a store"):
        find_duplicates(corpus, method="embedding", store=tmp_path, options=ONE)
    embed_corpus(corpus, fake(), tmp_path / "panels", levels=("panel",), options=ONE)
    with pytest.raises(InputError, match="no vectors of pages"):
        find_duplicates(corpus, method="all", store=tmp_path / "panels", options=ONE)


def test_pages_that_came_after_the_store_are_left_to_the_hashes(cut_corpus: tuple[Corpus, Path]) -> None:
    corpus, store = cut_corpus
    records = corpus.pages("cut")
    corpus.write_pages("cut", records[:3])
    name = "page_images/new/page-1.png"
    (corpus.root / name).parent.mkdir()
    random_page(9).save(corpus.root / name)
    corpus.write_pages("new", [PageRecord("new", 1, name, 300, 420)])
    found = pages_of(find_duplicates(corpus, method="all", store=store, options=ONE))
    assert found == [["cut/1", "whole/1"], ["cut/2", "whole/2"], ["cut/3", "whole/3"], ["new/1", "whole/10"]]


@pytest.mark.parametrize("count", [2, 300])
def test_suggestions_hold_the_nearest_pages(tmp_path: Path, count: int) -> None:
    """Against all pairs: every near copy is suggested, each pair once, at most eight for a page."""
    rng = np.random.default_rng(4)
    views = 3
    rows = rng.normal(size=(count, views, 48)) + 1.5  # encoders put all pages into one part of the space
    half = count // 2
    rows[half:, 0] = rows[:half, 1] + rng.normal(0, 0.1, (half, 48))  # a window of each page is the whole of another
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    array = row_array(tmp_path, rows.reshape(-1, 48))
    found = suggest(array, views, np.arange(count))
    pairs = list(zip(found.source.tolist(), found.whole.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert np.bincount(found.source).max() <= 8
    seen = zip(pairs, found.view.tolist(), found.cosine.tolist(), strict=True)
    views_of = {pair: (view, cosine) for pair, view, cosine in seen}
    hits = [views_of[n, n + half] for n in range(half) if (n, n + half) in views_of]
    assert len(hits) >= 0.98 * half
    assert {view for view, _ in hits} == {1}
    for n, (_, cosine) in enumerate(hits[:5]):
        assert cosine == pytest.approx(float(rows[n, 1] @ rows[n + half, 0]), abs=2e-3)


def row_array(folder: Path, rows: np.ndarray) -> RowArray:
    """Rows on disk as a store keeps them."""
    import zarr

    array = zarr.create_array(
        folder / "rows", shape=rows.shape, chunks=(128, rows.shape[1]), dtype="float16", compressors=None, filters=None
    )
    array[:] = rows
    return RowArray(folder / "rows")


def test_no_suggestions_among_fewer_than_two_pages(tmp_path: Path) -> None:
    assert len(suggest(row_array(tmp_path, np.ones((3, 48))), 3, np.array([0])).source) == 0


def test_a_sheet_shows_whole_groups(tmp_path: Path) -> None:
    pages = [random_page(n) for n in range(3)]
    corpus = make(tmp_path / "corpus", {"a": pages, "b": [with_balloons(page, 2) for page in pages]})
    report = find_duplicates(corpus, options=ONE)
    assert write_duplicate_sheet(tmp_path / "sheet.html", corpus, report) == 0
    text = (tmp_path / "sheet.html").read_text("utf-8")
    places = [text.index(f">{name}<") for name in ("a/1", "b/1", "a/2", "b/2", "a/3", "b/3")]
    assert places == sorted(places)
    assert "group 2: the same drawing" in text
    write_duplicate_sheet(tmp_path / "sheet.html", corpus, report, most=3)
    assert ">a/2<" not in (tmp_path / "sheet.html").read_text("utf-8")
