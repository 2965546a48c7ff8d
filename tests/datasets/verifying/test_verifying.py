"""Every kind of fault is found and named, and a sound corpus has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel
from comictool.datasets.exporting.characters import export_characters
from comictool.datasets.exporting.panels import export_panels
from comictool.datasets.verifying.checking_corpus import verify
from comictool.datasets.verifying.checking_pages import Finding
from comictool.drawn.corpus import draw_corpus
from comictool.formats.registry import FORMATS, open_any
from comictool.formats.saving import save
from tests.formats.corpora import make_corpus, picture, simple_page


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(tmp_path / "corpus", {"a": [simple_page(), simple_page(page=2)], "b": [simple_page("b")]})


def test_a_sound_corpus_has_no_findings(corpus: Corpus) -> None:
    assert verify(corpus, decode=True) == []
    assert verify(corpus, jobs=3) == []


def test_a_drawn_corpus_is_sound(tmp_path: Path) -> None:
    draw_corpus(tmp_path / "drawn", 2, seed=3, width=400, height=560)
    assert verify(Corpus.open(tmp_path / "drawn"), decode=True) == []


Break = Callable[[PageRecord], object]
BROKEN: list[tuple[str, str, Break]] = [
    ("box", "a/1: panel 1", lambda r: setattr(r.panels[0], "box", (0, 0, 41, 30))),
    ("box", "a/1: character 1 face", lambda r: setattr(r.characters[0], "face", (-1, 6, 14, 12))),
    ("box", "a/1: text 1", lambda r: setattr(r.texts[0], "box", (22, 2, 38, 61))),
    ("box", "a/1: panel 2", lambda r: setattr(r.panels[1], "polygon", [(0, 0), (50, 0), (0, 50)])),
    ("box", "a/1: segment 1", lambda r: r.segments.append({"box": [5, 5, 5, 9]})),
    ("size", "a/1", lambda r: setattr(r, "width", 41)),
    ("duplicate", "a/1", lambda r: setattr(r.panels[1], "id", 1)),
    ("duplicate", "a/2", lambda r: setattr(r, "page", 2)),
    ("duplicate", "a", lambda r: setattr(r, "image", "page_images/a/page-2.jpg")),
    ("dangling", "a/1: character 1", lambda r: setattr(r.characters[0], "panel", 9)),
    ("dangling", "a/1: text 1", lambda r: setattr(r.texts[0], "speaker", 9)),
    ("dangling", "a/1: text 2", lambda r: setattr(r.texts[1], "panel", 3)),
    ("numbering", "a/1", lambda r: (setattr(r.panels[1], "id", 3), setattr(r.texts[1], "panel", 3))),
    ("numbering", "a/1", lambda r: setattr(r.panels[1], "order", 1)),
    ("record", "a/1", lambda r: setattr(r, "type", "poster")),
    ("record", "a/1: text 1", lambda r: setattr(r.texts[0], "kind", "song")),
    ("record", "a", lambda r: setattr(r, "comic", "b")),
    ("picture", "a/1", lambda r: setattr(r, "image", "page_images/a/page-9.jpg")),
    ("picture", "a/1", lambda r: setattr(r, "image", "../outside.jpg")),
]


@pytest.mark.parametrize(("kind", "item", "break_"), BROKEN, ids=lambda v: v if isinstance(v, str) else "")
def test_each_fault_of_a_record_is_found(corpus: Corpus, kind: str, item: str, break_: Break) -> None:
    records = corpus.pages("a")
    break_(records[0])
    corpus.write_pages("a", records)
    found = verify(corpus)
    assert [(f.kind, f.item) for f in found if f.kind == kind] == [(kind, item)]


def test_pictures_are_found_missing_damaged_or_cut_off(corpus: Corpus) -> None:
    whole = picture(40, 60)
    (corpus.root / "page_images/a/page-1.jpg").unlink()
    (corpus.root / "page_images/a/page-2.jpg").write_bytes(whole[: len(whole) - 40])
    (corpus.root / "page_images/b/page-1.jpg").write_bytes(b"<html>not found</html>")
    assert {(f.item, f.kind) for f in verify(corpus)} == {("a/1", "picture"), ("b/1", "picture")}
    assert {(f.item, f.kind) for f in verify(corpus, decode=True)} == {
        ("a/1", "picture"),
        ("a/2", "picture"),
        ("b/1", "picture"),
    }


def test_one_damaged_line_does_not_hide_the_rest(corpus: Corpus) -> None:
    file = corpus.root / "annotations/pages/a.jsonl"
    lines = file.read_text("utf-8").splitlines()
    broken = json.loads(lines[0]) | {"width": "wide"}
    file.write_text("\n".join([json.dumps(broken), "{not json", lines[1]]) + "\n", "utf-8")
    findings = verify(corpus)
    assert [f.kind for f in findings] == ["record", "record", "stray"]
    assert "line 1: width must be a whole number, not 'wide'" in findings[0].detail
    assert "line 2 is not JSON" in findings[1].detail


def test_what_is_left_over_is_found(corpus: Corpus) -> None:
    for name in (
        "page_images/a/page-7.jpg",
        "page_images/gone/page-1.jpg",
        "panel_images/gone/1_1.jpg",
        "panel_images/a/9_1.jpg",
        "panel_images/a/1_1.jpg",
        "page_images/a/.x.partial",
        "annotations/comics/gone.json",
        ".jobs/normalize/journal.json",
    ):
        path = corpus.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    assert [(f.item, f.kind) for f in verify(corpus)] == [
        ("annotations/comics/gone.json", "stray"),
        ("page_images/a/page-7.jpg", "stray"),
        ("page_images/gone/page-1.jpg", "stray"),
        ("panel_images/a", "stray"),
        ("panel_images/gone", "stray"),
        ("page_images/a/.x.partial", "stray"),
        (".jobs/normalize/journal.json", "unfinished"),
    ]


def test_counts_of_the_import_and_of_splits_are_checked(corpus: Corpus) -> None:
    corpus.write_comic_facts("a", {"page_count": 5, "problems": ["x.jpg: damaged"]})
    corpus.write_comic_facts("b", {"page_count": 2, "problems": ["x.jpg: damaged"]})
    splits = {"train": ["a", "gone"], "val": ["a", "b/1"], "test": []}
    (corpus.root / "splits.json").write_text(
        json.dumps({"by": "comic", "link": "copy", "levels": [], "splits": splits})
    )
    assert [(f.item, f.kind) for f in verify(corpus)] == [
        ("a", "count"),
        ("splits.json", "dangling"),
        ("splits.json", "duplicate"),
    ]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "corpus"])
def test_views_of_other_formats_are_verified_too(corpus: Corpus, name: str, tmp_path: Path) -> None:
    save(corpus, tmp_path / "out", FORMATS[name])
    assert verify(open_any(tmp_path / "out", name)) == []


def test_a_view_names_what_its_reader_could_not_use(tmp_path: Path) -> None:
    record = simple_page()
    record.panels = [Panel(1, (0, 0, 10, 10), 1)]
    save(make_corpus(tmp_path / "corpus", {"a": [record]}), tmp_path / "out", FORMATS["mast-csv"])
    with (tmp_path / "out/annotations/panels.csv").open("a") as stream:
        stream.write('a,a,1,,2\na,a,7,"(0,0),(5,5)",1\n,,,,\n')
    findings = verify(open_any(tmp_path / "out"))
    assert Finding("a/1", "problem", "a panel is left out: no vertices") in findings
    assert Finding("a/7", "picture", "page_images/a/page-7.jpg is not there") in findings


def test_crops_that_were_cut_before_their_panels_changed_are_stale(corpus: Corpus) -> None:
    export_panels(corpus, options=JobOptions(jobs=1))
    export_characters(corpus, options=JobOptions(jobs=1))
    assert verify(corpus) == []
    first, second = corpus.pages("a")
    first.panels[0].box = (1, 1, 19, 29)
    second.characters[0].identity = "somebody else"
    corpus.write_pages("a", [first, second])
    found = [(finding.item, finding.kind, finding.detail.split(" comictool ")[1]) for finding in verify(corpus)]
    panels, characters = (f"data export {what} {corpus.root}" for what in ("panels", "characters --part characters"))
    assert found == [("a/1", "stale", panels), ("a/1", "stale", characters), ("a/2", "stale", characters)]
    export_panels(corpus, options=JobOptions(jobs=1))
    export_characters(corpus, options=JobOptions(jobs=1))
    assert verify(corpus) == []
