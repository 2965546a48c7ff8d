"""A drawn corpus: files, records, resuming, and the same comics as CBZ."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.archives.comicinfo import parse_comic_info
from comictool.core.errors import UsageError
from comictool.core.jobs import JobOptions
from comictool.core.names import natural_key
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import to_json
from comictool.drawn.cbz import pack_cbz
from comictool.drawn.corpus import draw_corpus
from comictool.drawn.page import draw_page

SIZE = {"width": 400, "height": 560}
ALONE = JobOptions(jobs=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("drawn") / "corpus"
    report = draw_corpus(root, 43, seed=7, comic_pages=11, options=ALONE, **SIZE)
    assert (report.done, report.failed, report.totals["pages"]) == (4, 0, 43)
    return Corpus.open(root)


def test_pages_are_those_that_draw_page_draws(corpus: Corpus) -> None:
    assert Counter(len(corpus.pages(comic)) for comic in corpus.comics()) == {11: 3, 10: 1}
    for comic in corpus.comics():
        number = int(comic.rsplit("_", 1)[1])
        for record in corpus.pages(comic)[:4]:
            page = draw_page(7, number, record.page, **SIZE)
            page.record.image, page.record.runs = record.image, record.runs
            page.record.extra["depth"] = record.extra["depth"]
            assert to_json(page.record) == to_json(record)
            stored = np.asarray(Image.open(corpus.image_path(record)).convert("L")).astype(int)
            assert np.abs(stored - np.asarray(Image.fromarray(page.image).convert("L"))).mean() < 6  # JPEG
            depth = np.asarray(Image.open(corpus.root / record.extra["depth"]))
            assert np.array_equal(depth.astype(np.uint16), page.depth)


def test_facts_lie_beside_the_records(corpus: Corpus) -> None:
    for comic in corpus.comics():
        facts = corpus.comic_facts(comic)
        assert facts["name"] == comic
        assert facts["direction"] == corpus.pages(comic)[0].direction
        cast = {member["identity"] for member in facts["cast"]}
        assert {c.identity for page in corpus.pages(comic) for c in page.characters} - {None} <= cast


def test_identities_recur_over_pages_and_issues(corpus: Corpus) -> None:
    where: dict[str, set[str]] = {}
    for record in corpus.all_pages():
        for character in record.characters:
            if character.identity is not None:
                where.setdefault(character.identity, set()).add(record.id)
    often = [pages for pages in where.values() if len(pages) >= 5]
    assert len(often) >= 6
    assert any(len({page.split("/")[0] for page in pages}) == 2 for pages in often)
    costumes = {(c.identity, c.extra["costume"]) for r in corpus.all_pages() for c in r.characters if c.identity}
    assert any(c.identity is None for r in corpus.all_pages() for c in r.characters)  # passers-by
    assert max(Counter(identity for identity, _ in costumes).values()) == 2


def test_drawing_again_draws_nothing_and_more_pages_keep_the_old(tmp_path: Path) -> None:
    first = draw_corpus(tmp_path, 3, seed=7, comic_pages=2, options=ALONE, **SIZE)
    assert (first.done, first.skipped) == (2, 0)
    before = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("page-*") if p.is_file()}
    again = draw_corpus(tmp_path, 3, seed=7, comic_pages=2, options=ALONE, **SIZE)
    assert (again.done, again.skipped) == (0, 2)
    more = draw_corpus(tmp_path, 6, seed=7, comic_pages=2, options=ALONE, **SIZE)
    assert (more.done, more.skipped) == (2, 1)  # the second comic was not whole
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_shards_and_workers_draw_the_same(tmp_path: Path) -> None:
    draw_corpus(tmp_path / "one", 6, seed=3, comic_pages=2, options=ALONE, **SIZE)
    for shard in (1, 2):
        draw_corpus(tmp_path / "two", 6, seed=3, comic_pages=2, options=JobOptions(jobs=2, shard=(shard, 2)), **SIZE)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    data = [name for name in files if not str(name).startswith(".jobs") and name.name != "corpus.toml"]
    assert len(data) == 6 * 2 + 3 * 2
    for name in data:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    report = draw_corpus(tmp_path / "new", 4, seed=1, comic_pages=2, options=JobOptions(dry_run=True))
    assert len(report.planned) == 2
    assert not (tmp_path / "new").exists()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        draw_corpus(tmp_path, 0, seed=1)
    with pytest.raises(UsageError):
        draw_corpus(tmp_path, 5, seed=1, style="baroque")
    assert not list(tmp_path.iterdir())


def test_cbz_has_the_pages_in_natural_order_and_says_what_they_are(corpus: Corpus, tmp_path: Path) -> None:
    files = pack_cbz(corpus, tmp_path / "a")
    assert [f.stem for f in files] == corpus.comics()
    assert [f.read_bytes() for f in pack_cbz(corpus, tmp_path / "b")] == [f.read_bytes() for f in files]
    directions = set()
    for file in files:
        records = corpus.pages(file.stem)
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name != "ComicInfo.xml"]
            info = parse_comic_info(archive.read("ComicInfo.xml"))
            ordered = sorted(names, key=natural_key)
            assert ordered != names
            for name, record in zip(ordered, records, strict=True):
                assert archive.read(name) == corpus.image_path(record).read_bytes()
        facts = corpus.comic_facts(file.stem)
        assert info.facts.items() >= {name: str(facts[name]) for name in ("series", "number", "title")}.items()
        assert info.direction == (None if facts["direction"] == "ttb" else facts["direction"])
        assert info.page_types == {i: r.type for i, r in enumerate(records) if r.type != "credits"}
        assert info.page_count == len(records)
        directions.add(facts["direction"])
    assert "rtl" in directions
