"""The layout that ELRIC and ASTERX read, with every trap that broke their own scripts."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from comictool.core.errors import InputError
from comictool.datasets.csv_tables import open_table
from comictool.formats.mast_csv import class_of, on_unit_scale, read, valence_class
from comictool.formats.values import read_text
from tests.formats.corpora import picture

PANELS = "Document Name,Document Directory,Page Number,Region Vertices,Annotation Notes\n"
CHARACTERS = "Document Name,Region Page,Region Vertices,Relation ID,Region ID\n"
EMOTIONS = "Document Name,Region ID,Taxonomy Path,Annotation Notes\n"
VALENCE = "VLT: Semantics: Emotion (v.4) / Valence / "


def layout(root: Path, *, panels: str, characters: str = "", emotions: str = "", pages: dict[str, list[int]]) -> Path:
    """A MAST folder; `pages` gives for each folder its page numbers, all of 40x60 pixels."""
    folder = root / "annotations"
    folder.mkdir(parents=True)
    for name, head, rows in (
        ("panels", PANELS, panels),
        ("characters", CHARACTERS, characters),
        ("emotions", EMOTIONS, emotions),
    ):
        if rows:
            (folder / f"{name}.csv").write_text(head + rows, "utf-8")
    for title, numbers in pages.items():
        for number in numbers:
            path = root / "page_images" / title / f"page-{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(40, 60))
    return root


def test_boxes_polygons_decimals_and_exponents(tmp_path: Path) -> None:
    rows = (
        'A,a,1,"(1,2),(30,20)",1\n'
        'A,a,1,"(30.5,40.2),(1.9,22.1)",2\n'  # corners the other way round, decimals
        'A,a,1,"(0,45),(20,41.5),(4e1,45),(20,58)",3\n'
        'A,a,1,"( -5 , 50 ) , ( 99 , 99 )",4\n'
    )
    page = read(layout(tmp_path, panels=rows, pages={"A": [1]})).pages("A")[0]
    assert [panel.box for panel in page.panels] == [(1, 2, 30, 20), (1, 22, 31, 41), (0, 41, 40, 58), (0, 50, 40, 60)]
    assert (page.width, page.height) == (40, 60)


def test_a_polygon_with_whole_corners_is_kept(tmp_path: Path) -> None:
    rows = 'A,a,1,"(0,0),(20,0),(30,10),(0,10)",1\n'
    panel = read(layout(tmp_path, panels=rows, pages={"A": [1]})).pages("A")[0].panels[0]
    assert panel.polygon == [(0, 0), (20, 0), (30, 10), (0, 10)]


@pytest.mark.parametrize(
    ("vertices", "reason"),
    [
        ("", "no vertices"),
        ('"(1,2),(3)"', "3 numbers"),
        ('"(1,2),(x,4)"', "'x' is no number"),
        ('"(1,2),(nan,4)"', "'nan' is no number"),
        ('"(5,5),(5,9)"', "no area"),
        ('"(99,99),(120,140)"', "outside"),
    ],
)
def test_a_panel_that_makes_no_sense_is_one_problem(vertices: str, reason: str, tmp_path: Path) -> None:
    rows = f'A,a,1,{vertices},1\nA,a,1,"(0,0),(9,9)",2\n'
    found = read(layout(tmp_path, panels=rows, pages={"A": [1]})).read("A")
    assert [panel.id for panel in found.pages[0].panels] == [2]
    assert len(found.problems) == 1
    assert str(found.problems[0]).startswith("A/1: ")
    assert reason in found.problems[0].message


def test_page_numbers_that_a_spreadsheet_touched(tmp_path: Path) -> None:
    rows = 'A,a,3.0,"(0,0),(9,9)",1.0\nA,a,,"(0,0),(9,9)",1\nA,a,three,"(0,0),(9,9)",1\n,a,3,"(0,0),(9,9)",1\n'
    view = read(layout(tmp_path, panels=rows, pages={"A": [3]}))
    assert [(page.page, len(page.panels)) for page in view.pages("A")] == [(3, 1)]
    assert list(map(str, view.problems)) == [
        "panels.csv row 3: Page Number is ''; the row is left out",
        "panels.csv row 4: Page Number is 'three'; the row is left out",
        "panels.csv row 5: Document Name is ''; the row is left out",
    ]


def test_twenty_five_panels_come_in_numeric_order(tmp_path: Path) -> None:
    order = list(range(25, 0, -1))
    rows = "".join(f'A,a,1,"({n},0),({n + 1},9)",{n}\n' for n in order)
    page = read(layout(tmp_path, panels=rows, pages={"A": [1]})).pages("A")[0]
    assert [(panel.id, panel.order, panel.box[0]) for panel in page.panels] == [(n, n, n) for n in range(1, 26)]


def test_blank_and_repeated_panel_numbers_come_last_and_are_named(tmp_path: Path) -> None:
    box = '"(0,0),(9,9)"'
    rows = f"A,a,1,{box},2\nA,a,1,{box},\nA,a,1,{box},2\nA,a,1,{box},5\n"
    found = read(layout(tmp_path, panels=rows, pages={"A": [1]})).read("A")
    assert [panel.id for panel in found.pages[0].panels] == [2, 5, 6, 7]
    assert len(found.problems) == 2


def test_a_missing_page_keeps_its_annotations(tmp_path: Path) -> None:
    rows = 'A,a,1,"(0,0),(9,9)",1\nA,a,2,"(0,0),(90,190)",1\n'
    found = read(layout(tmp_path, panels=rows, pages={"A": [1]})).read("A")
    assert [(page.width, page.height) for page in found.pages] == [(40, 60), (90, 190)]
    assert str(found.problems[0]) == (
        "A/2: the picture page_images/A/page-2.jpg is not there; --pictures-from FOLDER says where pictures are"
    )


def test_titles_with_quotes_spaces_and_accents_find_their_folders(tmp_path: Path) -> None:
    titles = ['The "Great" one, vol. 1', "L'été à Besançon", "Ça! (1)"]
    quoted = ['"The ""Great"" one, vol. 1"', "L'été à Besançon", "Ça! (1)"]
    rows = "".join(f'{title},d,1,"(0,0),(9,9)",1\n' for title in quoted)
    folders = {unicodedata.normalize("NFD", title): [1] for title in titles}  # as macOS stores them
    view = read(layout(tmp_path, panels=rows, pages=folders))
    assert sorted(view.comics()) == sorted(titles)
    for title in titles:
        assert view.read(title).problems == []
        assert view.image_path(view.pages(title)[0]).is_file()


def test_a_title_that_could_leave_the_folder_is_made_safe(tmp_path: Path) -> None:
    rows = '../../etc/passwd,d,1,"(0,0),(9,9)",1\n'
    view = read(layout(tmp_path, panels=rows, pages={"A": [1]}))
    assert view.comics() == ["_.._etc_passwd", "A"]
    assert view.comic_facts("_.._etc_passwd") == {"title": "../../etc/passwd"}
    assert view.image_path(view.pages("_.._etc_passwd")[0]).is_relative_to(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
def test_encodings_of_spreadsheets(encoding: str, tmp_path: Path) -> None:
    layout(tmp_path, panels="x", pages={"Astérix": [1]})
    text = PANELS.replace(",", ";") + 'Astérix;d;1;"(0,0),(9,9)";1\n;;;;\n'
    (tmp_path / "annotations/panels.csv").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert [len(page.panels) for page in read(tmp_path).pages("Astérix")] == [1]


def test_characters_with_identity_feelings_and_both_spellings(tmp_path: Path) -> None:
    box = '"(1,1),(9,9)"'
    view = read(
        layout(
            tmp_path,
            panels=f"A,a,1,{box},1\n",
            pages={"A": [1]},
            characters=f"A,1,{box},7,r1\nA,1.0,{box},7,r2\nA,1,{box},,r3\nA,1,,7,r4\n",
            emotions=f"A,r1,{VALENCE}Slighly Negative,\nA,r1,{VALENCE}Positive,\nA,r1,VLT / Arousal,4.0\n"
            f"A,r2,{VALENCE}Slightly Negative,\nA,r2,VLT / Arousal,high\nA,r3,{VALENCE}Furious,\n"
            "A,r3,VLT / Arousal,77\nB,r9,x / Valence / Neutral,\n",
        )
    )
    found = view.read("A")
    first, second, third = found.pages[0].characters
    assert (first.identity, first.valence, first.arousal) == ("7", -0.5, 0.5)  # the first match wins
    assert (second.identity, second.valence, second.arousal) == ("7", -0.5, None)
    assert (third.identity, third.valence, third.arousal, third.extra) == (None, None, None, {"arousal_note": 77})
    assert len(found.problems) == 5  # no vertices, a second valence, arousal 'high', class 'Furious', arousal 77
    assert list(map(str, view.problems)) == ["emotions.csv: row 9 names no comic or region that is annotated"]


def test_the_five_classes() -> None:
    names = ["Negative", "Slighly Negative", "Neutral", "slightly  positive", "Positive"]
    assert [valence_class(VALENCE + name) for name in names] == [1, 2, 3, 4, 5]
    assert valence_class("Valence / Happy") is None
    assert [class_of(on_unit_scale(n)) for n in range(1, 6)] == [1, 2, 3, 4, 5]


def test_metadata_becomes_facts(tmp_path: Path) -> None:
    layout(tmp_path, panels='A,dir-a,1,"(0,0),(9,9)",1\n', pages={"A": [1]})
    (tmp_path / "annotations/metadata.csv").write_text("Document Directory,Global Region,Title\ndir-a,Europe,The A\n")
    assert read(tmp_path).comic_facts("A") == {"Global Region": "Europe", "title": "The A"}


def test_a_missing_column_is_named_with_near_ones(tmp_path: Path) -> None:
    layout(tmp_path, panels="x", pages={})
    (tmp_path / "annotations/panels.csv").write_text("Document Name,Page Numbr,Region Vertices,Annotation Notes\n")
    with pytest.raises(InputError, match="no column 'Page Number'") as caught:
        read(tmp_path)
    assert caught.value.near == ["Page Numbr"]


def test_an_extra_column_of_the_same_name_does_not_shadow_the_first(tmp_path: Path) -> None:
    layout(tmp_path, panels="x", pages={"A": [1]})
    text = PANELS.rstrip() + ',Annotation Notes\nA,a,1,"(0,0),(9,9)",4,other,more,cells\n'
    (tmp_path / "annotations/panels.csv").write_text(text)
    assert [panel.id for panel in read(tmp_path).pages("A")[0].panels] == [4]


def by_pandas(root: Path, **how: Any) -> Path:
    """A MAST layout that pandas wrote: ids are floats, for one character has no identity and one emotion no region."""
    import pandas as pd

    box = "[(np.float64(1.0), np.float64(2.0)), (np.float64(30.0), np.float64(20.0))]"
    comic = "Éclair"
    layout(root, panels="x", pages={comic: [1]})
    panels = pd.DataFrame({"Document Name": comic, "Document Directory": "e", "Page Number": [1.0]})
    panels = panels.assign(**{"Region Vertices": box, "Annotation Notes": 1.0})
    people = pd.DataFrame({"Document Name": comic, "Region Page": [1, 1, 1], "Region Vertices": box})
    people = people.assign(**{"Relation ID": [5, None, 5], "Region ID": ["12", "13", "14"]})
    path = VALENCE + "Positive"
    feelings = pd.DataFrame({"Document Name": comic, "Region ID": [12, None, 14], "Taxonomy Path": path})
    feelings = feelings.assign(**{"Annotation Notes": 'two lines,\n"quoted"; of notes'})
    for name, table in (("panels", panels), ("characters", people), ("emotions", feelings)):
        table.to_csv(root / f"annotations/{name}.csv", index=name == "panels", **how)
    return root


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"encoding": "utf-8-sig", "sep": ";"},
        {"encoding": "utf-16", "sep": "\t"},
        {"encoding": "utf-16-le", "lineterminator": "\r\n"},
        {"encoding": "cp1252", "sep": ";", "decimal": ",", "lineterminator": "\r\n"},
        {"na_rep": "NaN"},
        {"na_rep": "<NA>", "sep": "|"},
    ],
    ids=str,
)
def test_tables_that_pandas_or_a_spreadsheet_wrote(how: dict[str, Any], tmp_path: Path) -> None:
    """4A.6 and F17: `12` and `12.0` are one region, `5` and `5.0` one identity."""
    view = read(by_pandas(tmp_path, **how))
    assert view.comics() == ["Éclair"]
    found = view.read("Éclair")
    assert [panel.box for panel in found.pages[0].panels] == [(1, 2, 30, 20)]
    people = found.pages[0].characters
    assert [(c.identity, c.valence) for c in people] == [("5", 1.0), (None, None), ("5", 1.0)]
    assert found.problems == []
    assert [str(problem) for problem in view.problems] == [
        "emotions.csv: row 3 names no comic or region that is annotated"
    ]


def test_the_line_that_tells_excel_the_delimiter(tmp_path: Path) -> None:
    root = layout(tmp_path, panels="x", pages={"A": [1]})
    rows = 'A;a;"1,0";"(1,2),(30,20)";1\n'
    (root / "annotations/panels.csv").write_text("sep=;\n" + PANELS.replace(",", ";").casefold() + rows)
    assert [panel.box for panel in read(root).pages("A")[0].panels] == [(1, 2, 30, 20)]


def test_emotions_of_nobody_and_of_other_kinds_are_told(tmp_path: Path) -> None:
    """4A.6: the emotion was lost without a line."""
    box = '"(1,2),(30,20)"'
    rows = f"A,r7,{VALENCE}Positive,\nA,r1,VLT / Joy,\n"
    characters = f"A,1,{box},x,r1\n"
    root = layout(tmp_path, panels=f"A,a,1,{box},1\n", pages={"A": [1]}, characters=characters, emotions=rows)
    assert list(map(str, read(root).read("A").problems)) == [
        "A: emotions.csv: no character has the region 'r7'",
        "A: emotions.csv: 'VLT / Joy' is neither valence nor arousal; it is left out",
    ]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Document Name;\nÉclair à la crème", "cp1252"),
        ("Document Name\ngröße;ÄÖÜ", "cp1252"),
        ("x\u2019s book,1", "cp1252"),
        ("Document Name,Page\n進撃の巨人,1\n第一話,2", "cp932"),
        ("Document Name,Page\n灌篮高手 第一卷,1", "gb18030"),
        ("Document Name,Page\nАстерикс,1", "cp1251"),
    ],
)
def test_the_code_page_of_a_sheet(text: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(text.encode(encoding))
    assert read_text(tmp_path / "x.csv") == text
    with open_table(tmp_path / "x.csv") as stream:
        assert stream.read() == text
