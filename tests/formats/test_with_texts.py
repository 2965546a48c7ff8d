"""`data convert --texts`: words that a model told, on the panels that a detector found; and the list made from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comictool.core.errors import InputError
from comictool.corpus.records import PageRecord, Panel, Text
from comictool.datasets.filtering.aligned import aligned_pages, write_list
from comictool.formats.converting import convert
from comictool.formats.registry import open_any
from comictool.formats.vlm_json import shares_of, told_page
from comictool.formats.with_texts import WithTexts
from tests.formats.corpora import make_corpus

FIRST = {
    "overall_summary": "Two people argue.",
    "panels": [
        {
            "panel_number": 1,
            "caption": "The dock",
            "description": "A ship lands.",
            "speakers": [{"character": "Ada", "dialogue": "Hold it!", "speech_type": "dialogue"}],
            "key_elements": ["ship"],
            "actions": ["landing"],
        },
        {"panel_number": 2, "speakers": [{"character": "", "dialogue": "Later...", "speech_type": "narration"}]},
    ],
    "summary": {"characters": ["Ada"], "setting": "", "plot": "", "dialogue": []},
}
SECOND = {
    "panels": [
        {
            "panel_number": 1,
            "box_2d": [500, 0, 1000, 1000],
            "description": "Below.",
            "text_content": [{"label": "thought", "speaker": "Ben", "text": "Hm.", "box_2d": [600, 100, 700, 300]}],
            "characters": [{"name": "Ben", "box_2d": [500, 0, 900, 400]}],
            "faces": [],
        },
        {"panel_number": 2, "box_2d": [0, 0, 500, 1000], "text_content": [{"label": "caption", "text": "Night."}]},
    ],
    "model": "toy-1",
}


def detections(folder: Path, pages: int = 3) -> Path:
    """A COCO file of a detector: two panels a page, boxes of texts without words on the first."""
    images, annotations = [], []
    for page in range(1, pages + 1):
        images.append({"id": f"b_{page:03d}", "file_name": f"book/{page:03d}.jpg", "width": 100, "height": 200})
        boxes = [(1, [0, 0, 100, 98]), (1, [0, 102, 100, 98])] + ([(4, [10, 10, 30, 10])] if page == 1 else [])
        annotations += [
            {"id": len(annotations) + n, "image_id": f"b_{page:03d}", "category_id": kind, "bbox": box, "score": 0.9}
            for n, (kind, box) in enumerate(boxes)
        ]
    folder.mkdir(parents=True, exist_ok=True)
    categories = [{"id": 1, "name": "panel"}, {"id": 4, "name": "text"}]
    file = folder / "detections.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}), "utf-8")
    return file


def texts(folder: Path, pages: dict[str, Any]) -> Path:
    for name, value in pages.items():
        file = folder / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return folder


def test_detections_and_both_forms_become_dataspec(tmp_path: Path) -> None:
    told = texts(
        tmp_path / "told", {"book/001": FIRST, "x": {**SECOND, "canonical_id": "some/book/002"}, "other/9": FIRST}
    )
    done = convert(detections(tmp_path / "in"), tmp_path / "spec", "dataspec", texts=told, pictures="none")
    assert "texts of 2 pages (1 by order, 1 by overlap)" in " ".join(done.notes)
    assert f"1 of 3 pages of {told} are about no page here" in done.notes
    page = json.loads((tmp_path / "spec/dataspec/book/p001.json").read_text("utf-8"))
    assert [panel["text"]["dialogue"] for panel in page["panels"]] == [["Hold it!"], []]
    assert page["panels"][1]["text"]["narration"] == ["Later..."]
    assert page["texts"][0] | {"panel": 0, "text_coords": [10, 10, 30, 10], "text": "Hold it!"} == page["texts"][0]
    assert page["panels"][0]["description"] == {
        "text": "A ship lands.",
        "caption": "The dock",
        "elements": ["ship"],
        "actions": ["landing"],
    }
    page = json.loads((tmp_path / "spec/dataspec/book/p002.json").read_text("utf-8"))
    assert [panel["text"]["narration"] for panel in page["panels"]] == [["Night."], []]
    assert page["panels"][1]["match"]["method"] == "overlap"
    assert page["panels"][1]["match"]["iou"] > 0.9
    view = open_any(tmp_path / "spec")
    records = view.pages("book")
    assert [(t.text, t.panel, t.kind) for t in records[1].texts] == [("Hm.", 2, "thought"), ("Night.", 1, "narration")]
    assert records[1].extra["alignment"]["method"] == "overlap"
    assert records[2].texts == []


def test_words_that_an_engine_had_read_are_not_kept_beside_those_told(tmp_path: Path) -> None:
    read = [("HOLD lT!", (10, 10, 40, 20)), ("LATER...", (10, 110, 40, 120)), ("KRAKOOM", (50, 30, 90, 90))]
    record = PageRecord("book", 1, "", 100, 200, panels=[Panel(1, (0, 0, 100, 98), 1), Panel(2, (0, 102, 100, 200), 2)])
    record.texts = [Text(n, words, box=box, source="rapidocr") for n, (words, box) in enumerate(read, start=1)]
    record.record_run("text", model="rapidocr@2+abc+own")
    corpus = make_corpus(tmp_path / "corpus", {"book": [record]})
    told = texts(tmp_path / "told", {f"book/{Path(corpus.pages('book')[0].image).stem}": FIRST})
    convert(corpus.root, tmp_path / "out", "corpus", texts=told, pictures="none")
    assert [(t.text, t.box, t.panel, t.source) for t in open_any(tmp_path / "out").pages("book")[0].texts] == [
        ("Hold it!", read[0][1], 1, "vlm"),
        ("Later...", read[1][1], 2, "vlm"),
        ("KRAKOOM", read[2][1], None, "rapidocr"),
    ]


def test_what_fits_no_panel_survives_dataspec(tmp_path: Path) -> None:
    lost = {"panel_number": 3, "text_content": [{"text": "lost"}]}
    told = texts(tmp_path / "told", {"book/001": {**SECOND, "panels": [*SECOND["panels"], lost]}})
    convert(detections(tmp_path / "in"), tmp_path / "spec", "dataspec", texts=told, pictures="none")
    record = open_any(tmp_path / "spec").pages("book")[0]
    assert {t.text: t.panel for t in record.texts} == {"Hm.": 2, "Night.": 1, "lost": None}
    assert record.extra["unmatched_text_panels"][0]["number"] == 3


def test_the_list_names_kept_pages(tmp_path: Path) -> None:
    one = {"panels": [{"speakers": [{"dialogue": "alone"}]}]}  # one panel told, two found: nobody knows which
    told = texts(tmp_path / "told", {"book/001": FIRST, "book/002": SECOND, "book/003": one})
    convert(detections(tmp_path / "in"), tmp_path / "spec", "dataspec", texts=told, pictures="none")
    view = open_any(tmp_path / "spec")
    found = aligned_pages(view)
    assert found.aligned == ["book/1", "book/2"]
    assert "expected on the right panel" in found.others["book/3"]
    assert found.tiers == {"perfect": 2, "medium": 1}
    write_list(view, found, tmp_path / "list.txt")
    listed = [Path(line) for line in (tmp_path / "list.txt").read_text("utf-8").splitlines()]
    assert [path.name for path in listed] == ["p001.json", "p002.json"]
    assert all(path.is_absolute() and json.loads(path.read_text("utf-8"))["panels"] for path in listed)
    assert aligned_pages(view, perfect_match=True).aligned == ["book/1", "book/2"]
    assert aligned_pages(view, min_confidence=0.0).aligned == ["book/1", "book/2", "book/3"]


@pytest.mark.parametrize("pages", [1, 3])
def test_lists_of_pages_are_read_too(tmp_path: Path, pages: int) -> None:
    listed = [{**SECOND, "source_image_path": f"D:\\comics\\book\\{n:03d}.jpg"} for n in range(1, pages + 1)]
    view = WithTexts(open_any(detections(tmp_path / "in")), texts(tmp_path / "told", {"all": listed}) / "all.json")
    assert [len(record.texts) > 1 for record in view.pages("book")] == [n <= pages for n in range(1, 4)]
    assert view.told == pages


def test_a_list_needs_dataspec_files(tmp_path: Path) -> None:
    record = PageRecord("a", 1, "", 9, 9, panels=[Panel(1, (0, 0, 9, 9), 1)], extra={"text_panels": 1})
    corpus = make_corpus(tmp_path / "corpus", {"a": [record]})
    with pytest.raises(InputError, match="a list names DataSpec files"):
        write_list(corpus, aligned_pages(corpus, perfect_match=True), tmp_path / "list.txt")


def test_a_page_of_another_book_is_never_taken(tmp_path: Path) -> None:
    two = {name: [PageRecord(name, 3, "", 9, 9, panels=[Panel(1, (0, 0, 9, 9), 1)])] for name in ("a", "b")}
    corpus = make_corpus(tmp_path / "corpus", two)
    stem = Path(corpus.pages("a")[0].image).stem
    told = texts(tmp_path / "told", {stem: FIRST, f"z/{stem}": FIRST, f"b_{stem}": FIRST})
    view = WithTexts(corpus, told)
    assert not view.pages("a")[0].texts
    assert view.pages("b")[0].texts


def test_pages_that_are_wrong_are_named_and_the_others_joined(tmp_path: Path) -> None:
    wrong = {"panels": [{"speakers": "nobody"}]}
    told = texts(
        tmp_path / "told", {"book/001": wrong, "book/002": SECOND, "book/003": "{no json", "book/009": {"a": 1}}
    )
    done = convert(detections(tmp_path / "in"), tmp_path / "spec", "dataspec", texts=told, pictures="none")
    said = [str(problem) for problem in done.report.problems if "pictures" not in str(problem)]
    assert any(line.startswith("book/1: ") and "speakers must be a list" in line for line in said)
    assert any("003.json is not JSON" in line for line in said)
    with pytest.raises(InputError, match="tells no page"):
        WithTexts(open_any(detections(tmp_path / "in")), texts(tmp_path / "none", {"a": {"b": 1}}))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"panels": None},
        {"panels": [1]},
        {"panels": [{}]},
        {"panels": [{"who": 1}]},
        {"panels": [{"text_content": [{"label": "dialogue"}]}]},
        {"panels": [{"text_content": [{"text": 7}]}]},
        {"panels": [{"description": "x" * 10_001}]},
        {"panels": [{"description": ""}] * 101},
    ],
)
def test_what_is_no_page_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="reply"):
        told_page(value, "reply")


@pytest.mark.parametrize(
    ("box", "shares"),
    [
        ([100, 200, 300, 400], (0.2, 0.1, 0.4, 0.3)),
        (["0", "0", "1000", "1000"], (0, 0, 1, 1)),
        ([0, 0, 1001, 10], None),
        ([0, 10, 100, 10], None),
        ([0, None, 1, 1], None),
        ([0, 0, 1, 1, float("nan")], None),
        ("0 0 1 1", None),
        (None, None),
    ],
)
def test_boxes_of_models(box: Any, shares: Any) -> None:
    assert shares_of(box) == (pytest.approx(shares) if shares else None)
