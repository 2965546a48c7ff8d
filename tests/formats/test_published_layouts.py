"""Manga109 with what was published on it, CoMix and AI4VA with their pictures where their guides put them."""

from __future__ import annotations

import json
from pathlib import Path

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.datasets.exporting.panels import export_panels
from comictool.datasets.info import info
from comictool.formats.converting import convert
from comictool.formats.registry import open_any
from tests.formats.corpora import picture

ONE = JobOptions(jobs=1)
PAGE = '<page index="3" width="40" height="60">{}</page>'
FRAME = '<frame id="{0}1" xmin="0" ymin="0" xmax="40" ymax="{1}"/>'
NEW = FRAME.format("0", 30) + (
    '<body id="02" xmin="1" ymin="1" xmax="9" ymax="20" character="a"/>'
    '<face id="03" xmin="2" ymin="2" xmax="8" ymax="8" character="a"/>'
    '<body id="04" xmin="20" ymin="31" xmax="30" ymax="50" character="b"/>'
    '<text id="05" xmin="10" ymin="2" xmax="20" ymax="9">hi</text>'
)
SOUNDS = (
    '<onomatopoeia id="10" x0="5" y0="40" x1="15" y1="42" x2="14" y2="50" x3="4" y3="48">ボ</onomatopoeia>'
    '<onomatopoeia id="11" x0="16" y0="40" x1="25" y1="41" x2="26" y2="50" x3="15" y3="47" x4="14" y4="43">ム'
    "</onomatopoeia>"
    '<onomatopoeia_link1 id="90" link0="10" link1="11"/>'
)
SPOKEN = (
    '<speaker_to_text id="20" text_id="05" speaker_id="02"/><speaker_to_text id="21" text_id="05" speaker_id="04"/>'
)


def book(root: Path, folder: str, elements: str, title: str = "ARMS", name: str = "ARMS", people: bool = True) -> None:
    """One XML file of a book with one page."""
    path = root / folder / f"{name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    named = '<characters><character id="a" name="Ann"/><character id="b" name="Bo"/></characters>' if people else ""
    path.write_text(f'<book title="{title}">{named}<pages>{PAGE.format(elements)}</pages></book>', "utf-8")


def page_picture(root: Path, place: str, size: tuple[int, int] = (40, 60)) -> None:
    """A page picture."""
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(*size))


def released(root: Path) -> Path:
    """Manga109 with an older set, COO and Manga109Dialog beside it."""
    book(root, "annotations", NEW)
    book(root, "annotations.v2018.05.31", FRAME.format("7", 60) + FRAME.format("8", 20))
    book(root, "annotations_COO", SOUNDS, people=False)
    book(root, "annotations_Manga109Dialog", SPOKEN, people=False)
    page_picture(root, "images/ARMS/003.jpg")
    return root


def test_the_newest_set_counts_and_those_that_add_are_merged(tmp_path: Path) -> None:
    """F1, 4A.4 and 4A.5."""
    view = open_any(released(tmp_path))
    assert view.comics() == ["ARMS"]
    page = view.pages("ARMS")[0]
    assert [panel.box for panel in page.panels] == [(0, 0, 40, 30)]
    assert [(c.identity, c.face) for c in page.characters] == [("Ann", (2, 2, 8, 8)), ("Bo", None)]
    said, first, second = page.texts
    assert (said.text, said.speaker, said.speakers) == ("hi", 1, [1, 2])
    assert (first.text, first.kind, first.box) == ("ボ", "sfx", (4, 40, 15, 50))
    assert first.polygon == [(5, 40), (15, 42), (14, 50), (4, 48)]
    assert second.polygon is not None
    assert (len(second.polygon), second.continues) == (5, first.id)
    unused = "its frames, bodies, faces and texts are not used, those in annotations count"
    assert view.notes() == [f"annotations.v2018.05.31: {unused} (1 book)"]
    assert (view.problems, view.read("ARMS").problems) == ([], [])


def test_an_older_set_that_knows_more_pages_is_a_problem(tmp_path: Path) -> None:
    """What the newer set has nothing of is lost with the older one."""
    released(tmp_path)
    old = tmp_path / "annotations.v2018.05.31" / "ARMS.xml"
    text = old.read_text("utf-8")
    more = text[text.index("<page ") : text.index("</pages>")].replace('index="3"', 'index="4"')
    old.write_text(text.replace("</pages>", more + "</pages>"), "utf-8")
    view = open_any(tmp_path)
    assert view.notes() == []
    (problem,) = view.problems
    assert (problem.key, "bare there: ARMS.xml" in problem.message) == ("annotations.v2018.05.31", True)


def test_without_an_unnamed_set_the_last_version_counts(tmp_path: Path) -> None:
    for version, height in (("v2018.05.31", 20), ("v2020.12.18", 30), ("v2019.01.02", 40)):
        book(tmp_path, f"annotations.{version}", FRAME.format("0", height))
    view = open_any(tmp_path)
    assert [panel.box for panel in view.pages("ARMS")[0].panels] == [(0, 0, 40, 30)]
    assert (len(view.notes()), view.problems) == (2, [])


def test_onomatopoeia_and_speakers_survive_native_records_and_the_way_back(tmp_path: Path) -> None:
    released(tmp_path / "m109")
    convert(tmp_path / "m109", tmp_path / "corpus", "corpus", options=ONE)
    for name in ("manga109-xml", "comix-coco"):
        convert(tmp_path / "corpus", tmp_path / name, name, options=ONE)
        view, corpus = open_any(tmp_path / name), Corpus.open(tmp_path / "corpus")
        assert view.pages("ARMS")[0].texts == corpus.pages("ARMS")[0].texts


def test_books_of_one_title_in_one_folder_are_all_kept(tmp_path: Path) -> None:
    """F1: the name that stands in for a title may be taken too."""
    for name in ("A", "B", "Same"):
        book(tmp_path, "annotations", NEW, title="Same", name=name)
        book(tmp_path, "annotations_COO", SOUNDS, title="Same", name=name)
    view = open_any(tmp_path)
    assert len(view.comics()) == 3
    assert [len(view.pages(comic)[0].texts) for comic in view.comics()] == [3, 3, 3]
    assert sum("has the title" in problem.message for problem in view.problems) == 2


def test_a_page_that_only_an_adding_set_has_is_kept(tmp_path: Path) -> None:
    book(tmp_path, "annotations", NEW)
    book(tmp_path, "annotations_COO", SOUNDS)
    path = tmp_path / "annotations_COO/ARMS.xml"
    path.write_text(path.read_text("utf-8").replace('index="3"', 'index="4"'), "utf-8")
    assert [len(page.texts) for page in open_any(tmp_path).pages("ARMS")] == [1, 2]


def test_double_blanks_in_a_title(tmp_path: Path) -> None:
    """F14: the picture folder has the title as it is."""
    book(tmp_path, "annotations", NEW, title="Two  Spaces")
    page_picture(tmp_path, "images/Two  Spaces/003.jpg")
    view = open_any(tmp_path)
    assert view.comics() == ["Two  Spaces"]
    assert view.image_path(view.pages("Two  Spaces")[0]).is_file()


def test_characters_of_foreign_comics_get_their_panel_where_a_format_needs_it(tmp_path: Path) -> None:
    """F6: not one was written before."""
    released(tmp_path / "m109")
    done = convert(tmp_path / "m109", tmp_path / "sequence", "comic-sequence", options=ONE)
    assert [loss for loss in done.losses if loss.kind == "characters"] == []
    people = open_any(tmp_path / "sequence").pages("ARMS")[0].characters
    assert [(c.identity, c.panel, c.face, c.box) for c in people] == [
        ("Ann", 1, (2, 2, 8, 8), (1, 1, 9, 20)),
        ("Bo", None, None, (20, 31, 30, 50)),
    ]
    convert(tmp_path / "m109", tmp_path / "spec", "dataspec-minimal", options=ONE)
    assert [text.text for text in open_any(tmp_path / "spec").pages("ARMS")[0].texts] == ["hi"]


def coco_file(path: Path, name: str, box: list[float], **more: object) -> None:
    """A COCO file with one panel on one page."""
    value = {
        "images": [{"id": 1, "file_name": name, "width": 40, "height": 60}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box, **more}],
        "categories": [{"id": 1, "name": "panel"}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


def test_pictures_where_the_guides_of_comix_and_ai4va_put_them(tmp_path: Path) -> None:
    """F12."""
    comix, ai4va = tmp_path / "comix", tmp_path / "ai4va"
    coco_file(comix / "data/comix.coco/c100-val.json", "0a1b2c3d/003.jpg", [0, 0, 20, 20])
    page_picture(comix, "data/datasets.unify/comics/images/0a1b2c3d/003.jpg")
    name = "Vaillant_0542_1955_10_02-16.jpg"
    coco_file(ai4va / "annotations/train-annotations.json", name, [0, 0, 9, 9], attributes={"Interdepth": 1})
    page_picture(ai4va, f"data/train/{name}")
    for place in (
        comix,
        comix / "data",
        comix / "data/comix.coco",
        comix / "data/comix.coco/c100-val.json",
        ai4va,
        ai4va / "annotations",
    ):
        view = open_any(place)
        pages = [page for comic in view.comics() for page in view.pages(comic)]
        assert [view.image_path(page).is_file() for page in pages] == [True], place
        assert info(view)["pictures"] == {"jpg": 1}
    done = export_panels(open_any(comix), output=tmp_path / "crops", options=ONE)
    assert (done.problems, len(list((tmp_path / "crops").rglob("*.jpg")))) == ([], 1)


def test_a_picture_of_another_book_is_never_taken(tmp_path: Path) -> None:
    coco_file(tmp_path / "x.json", "003.jpg", [0, 0, 20, 20])
    page_picture(tmp_path, "images/other book/003.jpg")
    view = open_any(tmp_path)
    assert [page.image for comic in view.comics() for page in view.pages(comic)] == ["003.jpg"]


def test_pictures_that_are_not_there_are_one_line_that_leads_on(tmp_path: Path) -> None:
    """F12: 30 lines before, and `data info` counted the pictures as JPEG."""
    source = tmp_path / "m109"
    for number in range(30):
        book(source, "annotations", NEW, title=f"Book {number}", name=str(number))
    done = convert(source, tmp_path / "out", "corpus", options=ONE)
    lines = [str(problem) for problem in done.report.problems]
    assert len(lines) == 1
    assert "30 of 30 pictures are not there, the first is Book 0/003.jpg; --pictures-from FOLDER" in lines[0]
    assert info(open_any(source))["pictures"] == {"not there": 30}
