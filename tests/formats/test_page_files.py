"""DataSpec, Kumiko, Manga109-style XML and ComicInfo as others write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comictool.core.errors import InputError
from comictool.corpus.records import PageRecord, Text
from comictool.formats.registry import FORMATS, open_any
from comictool.formats.saving import save
from tests.formats.corpora import make_corpus, picture, simple_page

FULL: dict[str, Any] = {
    "page_id": "Space Cops 01_Space Cops 01 - p003",
    "page_image_path": "/home/someone/books/Space Cops 01/p003.jpg",
    "source_book": "Space Cops 01",
    "source_rel_image_path": "p003.jpg",
    "page_size": [1000, 1500],
    "panels": [
        {"panel_coords": [40, 690, 440, 700], "confidence": 0.97, "text": {"dialogue": [], "narration": [], "sfx": []}},
        {"panel_coords": [40, 52, 900, 610], "confidence": 0.99, "text": {"dialogue": ["Hold it!"], "narration": []}},
    ],
    "reading_order": ["0→1"],
    "characters": [{"character_coords": [120, 200, 180, 400], "confidence": 0.88}],
    "faces": [{"face_coords": [150, 220, 60, 60], "confidence": 0.7}],
    "texts": [{"text_coords": [300, 90, 200, 80], "confidence": 0.91}],
}
MINIMAL: dict[str, Any] = {
    "page_image_path": "books/Space Cops 01/p004.jpg",
    "panels": [
        {"panel_coords": [10, 2, 20, 20], "text": {"dialogue": ["Hold it!"], "narration": ["Night."], "sfx": []}},
        {"panel_coords": [5, 30, 30, 25], "text": {"dialogue": ["Run."], "narration": [], "sfx": ["BLAM"]}},
    ],
}


def write(path: Path, value: Any) -> Path:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")
    return path


def test_both_forms_of_dataspec(tmp_path: Path) -> None:
    write(tmp_path / "one.json", FULL)
    write(tmp_path / "two.json", [MINIMAL])
    place = tmp_path / "images" / "Space Cops 01"
    place.mkdir(parents=True)
    for number in (3, 4):
        (place / f"p{number:03d}.jpg").write_bytes(picture(40, 60))
    view = open_any(tmp_path)
    assert view.comics() == ["Space Cops 01"]
    third, fourth = view.pages("Space Cops 01")
    assert (third.page, third.width, third.height) == (3, 40, 60)  # 4G.30: boxes follow the size of the picture
    assert third.image == "images/Space Cops 01/p003.jpg"  # the annotator's own folders are forgotten
    # The full form lists panels as a detector found them; they are put in reading order, each with its texts.
    assert [panel.box for panel in third.panels] == [(1, 2, 38, 27), (1, 27, 20, 56)]
    assert [(text.text, text.panel) for text in third.texts] == [("", 1), ("Hold it!", 1)]
    assert third.characters[0].face == (6, 8, 9, 12)
    assert (fourth.page, fourth.width, fourth.height) == (4, 40, 60)  # from the picture
    assert [(t.text, t.kind, t.panel) for t in fourth.texts] == [
        ("Hold it!", "dialogue", 1),
        ("Night.", "narration", 1),
        ("Run.", "dialogue", 2),
        ("BLAM", "sfx", 2),
    ]


def test_dataspec_with_other_keys_and_shares_of_the_page(tmp_path: Path) -> None:
    panels = [{"bbox": [0, 0, 0.5, 0.5]}, {"polygon": [[0.5, 0.5], [1.0, 0.5], [1.0, 1.0]]}, {"text": {}}, 7]
    write(tmp_path / "Book/p1.json", {"page_image_path": "Book/p1.jpg", "page_size": [100, 200], "panels": panels})
    found = open_any(tmp_path).read("Book")  # type: ignore[attr-defined]
    assert [panel.box for panel in found.pages[0].panels] == [(0, 0, 50, 100), (50, 100, 100, 200)]
    assert "Book/1: a panel without coordinates is left out" in map(str, found.problems)


def test_dataspec_writes_a_reading_order_that_fits_its_panels(tmp_path: Path) -> None:
    record = simple_page()
    record.panels[0].order, record.panels[1].order = 2, 1
    save(make_corpus(tmp_path / "corpus", {"a": [record]}), tmp_path / "out", FORMATS["dataspec"])
    value = json.loads((tmp_path / "out/dataspec/a/p001.json").read_text("utf-8"))
    assert [panel["panel_coords"] for panel in value["panels"]] == [[0, 30, 40, 30], [0, 0, 40, 30]]
    assert value["reading_order"] == ["0→1"]
    assert set(FULL) <= set(value)
    assert value["panels"][0]["text"] == {"dialogue": [], "narration": [], "sfx": ["BLAM"]}


def test_kumiko_as_documented(tmp_path: Path) -> None:
    pages = [
        {
            "filename": "comicbook/page001.jpg",
            "size": [1920, 2549],
            "panels": [[148, 108, 1628, 874], [147, 999, 358, 538]],
        },
        {"filename": "comicbook/page002.jpg", "size": [1920, 2549], "panels": [[0, 0, 9], [1900, 0, 100, 90]]},
        {"size": [1, 1]},
        {"filename": "comicbook/page002.jpg", "size": [1920, 2549], "panels": "none"},
    ]
    view = open_any(write(tmp_path / "kumiko.json", pages))
    first, second, third = view.pages("comicbook")
    assert [panel.box for panel in first.panels] == [(148, 108, 1776, 982), (147, 999, 505, 1537)]
    assert [panel.box for panel in second.panels] == [(1900, 0, 1920, 90)]
    assert third.page == 3
    problems = list(map(str, view.read("comicbook").problems))  # type: ignore[attr-defined]
    assert "comicbook/2: two pages have this number; the second gets a free one" in problems
    assert "comicbook/2: a panel that is not [x, y, width, height] is left out" in problems


MANGA109 = """<?xml version="1.0" encoding="UTF-8"?>
<book title="ARMS"><characters><character id="00000003" name="女1"/><character id="00000010" name="男1"/></characters>
<pages><page index="0" width="1654" height="1170"/>
<page index="3" width="1654" height="1170">
<frame id="00000001" xmin="85" ymin="76" xmax="800" ymax="1084"/>
<frame id="00000000" xmin="860" ymin="80" xmax="1600" ymax="1090"/>
<body id="00000002" xmin="178" ymin="660" xmax="548" ymax="965" character="00000003"/>
<face id="00000004" xmin="406" ymin="700" xmax="456" ymax="760" character="00000003"/>
<face id="00000005" xmin="10" ymin="10" xmax="60" ymax="70" character="00000010"/>
<text id="00000006" xmin="1500" ymin="90" xmax="1550" ymax="170">キャーッ &amp; "はやく"</text>
<wheel id="1"/><frame id="9" xmin="3" ymin="3" xmax="3" ymax="9"/>
</page></pages></book>"""


def test_manga109_as_published(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/ARMS.xml").write_text(MANGA109, "utf-8")
    folder = tmp_path / "images" / "ARMS"
    folder.mkdir(parents=True)
    (folder / "003.jpg").write_bytes(picture(40, 60))
    view = open_any(tmp_path)
    empty, page = view.pages("ARMS")
    assert (empty.page, empty.panels, page.direction) == (0, [], "rtl")
    assert page.image == "images/ARMS/003.jpg"
    assert [panel.box[0] for panel in page.panels] == [860, 85]  # right to left
    assert [(c.identity, c.box, c.face) for c in page.characters] == [
        ("女1", (178, 660, 548, 965), (406, 700, 456, 760)),
        ("男1", (10, 10, 60, 70), (10, 10, 60, 70)),
    ]
    assert page.texts[0].text == 'キャーッ & "はやく"'
    problems = "\n".join(map(str, view.read("ARMS").problems))  # type: ignore[attr-defined]
    assert "unknown kind 'wheel'" in problems
    assert "a frame without a box" in problems


def test_the_xml_dialect_of_comix(tmp_path: Path) -> None:
    text = """<annotations><book title="b1"><characters><character id="k" name="Kit"/></characters><pages>
    <page id="7" width="100" height="200" type="color">
    <panel id="p1" points="0,0 90,0 90,80 0,80"/>
    <character id="c1" points="10,10 30,10 30,70 10,70" character_id="k"/>
    <face id="f1" points="12,12 20,20" character_id="k"/>
    <text id="t1" points="40,10 60,20"/><onomatopoeia id="o1" points="70,50 80,60"/>
    <balloon id="b1" points="38,8 62,8 50,22"/>
    <link_sbsc id="l1" points="50,15 20,40" text_id="t1" character_id="c1"/>
    </page></pages></book></annotations>"""
    (tmp_path / "b1.xml").write_text(text, "utf-8")
    page = open_any(tmp_path).pages("b1")[0]
    assert (page.page, page.panels[0].box) == (7, (0, 0, 90, 80))
    assert (page.characters[0].identity, page.characters[0].face) == ("Kit", (12, 12, 20, 20))
    assert [(t.kind, t.speaker) for t in page.texts] == [("dialogue", 1), ("sfx", None)]
    assert page.extra["balloons"] == [[38, 8, 62, 22]]


def test_xml_that_bombs_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY c "&a;&a;&a;">]><book title="&c;"><pages/></book>'
    (tmp_path / "bomb.xml").write_text(bomb)
    with pytest.raises(InputError, match="no XML file with a book that can be read"):
        open_any(tmp_path, "manga109-xml")
    (tmp_path / "good.xml").write_text(
        '<book title="good"><pages><page index="1" width="9" height="9"/></pages></book>'
    )
    view = open_any(tmp_path)
    assert view.comics() == ["good"]
    assert list(map(str, view.problems)) == ["bomb.xml: it defines entities, which are not expanded"]  # type: ignore[attr-defined]


def test_text_that_xml_cannot_hold_is_replaced_and_counted(tmp_path: Path) -> None:
    record = PageRecord("a", 1, "", 40, 60, texts=[Text(1, "\x07ding\r\n\tdong", box=(0, 0, 9, 9))])
    corpus = make_corpus(tmp_path / "corpus", {"a": [record]})
    losses = list(map(str, save(corpus, tmp_path / "out", FORMATS["manga109-xml"]).losses))
    assert "manga109-xml has no room for text of 1 texts" in losses
    assert open_any(tmp_path / "out").pages("a")[0].texts[0].text == "\ufffdding\r\n\tdong"


def test_comicinfo_types_direction_and_counts(tmp_path: Path) -> None:
    folder = tmp_path / "Vol 1"
    folder.mkdir()
    for name in ("10.jpg", "2.jpg", "1.jpg", ".hidden.jpg", "notes.txt"):
        (folder / name).write_bytes(picture(40, 60))
    text = """<ComicInfo><Title>One</Title><PageCount>4</PageCount><Manga>YesAndRightToLeft</Manga><Pages>
    <Page Image="0" Type="FrontCover"/><Page Image="2" Type="Advertisement"/></Pages></ComicInfo>"""
    (folder / "ComicInfo.xml").write_text(text)
    for source in (tmp_path, folder):
        view = open_any(source)
        assert [Path(page.image).name for page in view.pages("Vol 1")] == ["1.jpg", "2.jpg", "10.jpg"]
        assert [page.type for page in view.pages("Vol 1")] == ["cover", "unknown", "advertisement"]
        assert {page.direction for page in view.pages("Vol 1")} == {"rtl"}
        assert view.comic_facts("Vol 1")["title"] == "One"
        assert list(map(str, view.read("Vol 1").problems)) == [  # type: ignore[attr-defined]
            "Vol 1: its ComicInfo.xml says 4 pages, 3 are there"
        ]


def test_a_broken_comicinfo_leaves_the_pages(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(picture(40, 60))
    (tmp_path / "ComicInfo.xml").write_text("<ComicInfo><Pages>")
    view = open_any(tmp_path)
    assert len(view.pages(tmp_path.name)) == 1
    assert "not well-formed" in str(view.problems[0])  # type: ignore[attr-defined]
