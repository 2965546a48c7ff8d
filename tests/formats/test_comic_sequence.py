"""Comic sequences as published: panels without pages, instances, and characters that sequences share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comictool.core.errors import InputError
from comictool.formats.registry import FORMATS, open_any
from comictool.formats.saving import save
from tests.formats.corpora import make_corpus, picture, simple_page

ROWS = """series_id,page_id,type,index,char_index,x_0,y_0,x1,y_1
1443,58_6,face,0,0,11,4,17,10
1443,58_6,body,0,0,8,3,23,41
1443.0,58_6,body,1,1,26,6,38,40
1443,59_0,face,0,0,1,1,9,9
1443,59_0,face,0,0,1,1,9,9
1443,59_0,body,,0,1,1,9,9
1443,bad,body,0,0,1,1,9,9
1443,59_0,body,3,3,9,9,9,20
"""


def folder(root: Path) -> Path:
    """The published layout with two panels of one series."""
    (root / "ssl").mkdir(parents=True)
    (root / "ssl/merged_face_body.csv").write_text(ROWS)
    for name in ("58_6", "59_0"):
        path = root / "raw_panel_images" / "1443" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(40, 60))
    return root


def sequences(root: Path, *lists: list[Any]) -> None:
    """Write one sequence of two panels: for each character its id and its instances."""
    value = [
        {
            "seq_id": "1443_58_6+1443_59_0",
            "annotations": [{"charId": key, "charInstances": instances} for key, instances in entries],
        }
        for entries in lists
    ]
    (root / "comics_seq").mkdir(exist_ok=True)
    (root / "comics_seq/test_sequences.json").write_text(json.dumps(value))


def test_panel_pictures_open_as_pages(tmp_path: Path) -> None:
    view = open_any(folder(tmp_path))
    assert view.comics() == ["1443"]
    first, second = view.pages("1443")
    assert (first.page, second.page) == (58_006, 59_000)
    assert first.extra == {"source_page": 58, "source_panel": 6}
    assert [panel.box for panel in first.panels] == [(0, 0, 40, 60)]
    assert [(c.box, c.face, c.panel) for c in first.characters] == [
        ((8, 3, 23, 41), (11, 4, 17, 10), 1),
        ((26, 6, 38, 40), None, 1),
    ]
    assert first.characters[0].extra["instances"] == {"body": "1443_58_6_body_0", "face": "1443_58_6_face_0"}
    assert list(map(str, view.problems)) == [  # type: ignore[attr-defined]
        "merged_face_body.csv row 6: 1443_59_0_face_0 is there twice",
        "merged_face_body.csv row 7: a cell is blank or makes no sense; the row is left out",
        "merged_face_body.csv row 8: a cell is blank or makes no sense; the row is left out",
        "merged_face_body.csv row 9: 1443_59_0_body_3 has no area",
    ]


def test_identities_are_local_to_a_sequence_unless_instances_are_shared(tmp_path: Path) -> None:
    folder(tmp_path)
    sequences(
        tmp_path,
        [
            (
                "1",
                [{"face": "1443_58_6_face_0", "body": "1443_58_6_body_0"}, {"face": "1443_59_0_face_0", "body": None}],
            ),
            ("2", [{"body": "1443_58_6_body_1"}]),
        ],
        [("9", [{"face": "1443_59_0_face_0"}]), ("1", []), ("3", [{"body": "1443_70_0_body_0"}])],
    )
    view = open_any(tmp_path)
    first, second = view.pages("1443")
    assert first.characters[0].identity == second.characters[0].identity == "1443_58_6/1"
    assert first.characters[1].identity == "1443_58_6/2"
    assert any("no id or no instances" in str(line) for line in view.problems)  # type: ignore[attr-defined]


def test_merged_characters_name_identities(tmp_path: Path) -> None:
    folder(tmp_path)
    sequences(tmp_path, [("1", [{"body": "1443_58_6_body_0", "face": "1443_58_6_face_0"}])])
    for part, names in (("faces", ["1443_58_6_face_0", "1443_59_0_face_0"]), ("bodies", ["1443_58_6_body_1"])):
        (tmp_path / f"comics_seq/val_char_{part}.json").write_text(json.dumps({f"hero_{part}": names, "x": 3}))
    first, second = open_any(tmp_path).pages("1443")
    assert [c.identity for c in first.characters] == ["hero_faces", "hero_bodies"]
    assert second.characters[0].identity == "hero_faces"


def test_what_is_written_follows_the_published_columns(tmp_path: Path) -> None:
    record = simple_page()
    record.characters[0].panel = 2  # its box lies above that panel: coordinates are negative, and come back
    save(make_corpus(tmp_path / "corpus", {"a b": [record]}), tmp_path / "out", FORMATS["comic-sequence"])
    lines = (tmp_path / "out/merged_face_body.csv").read_text().splitlines()
    assert lines[0].startswith("series_id,page_id,type,index,char_index,x_0,y_0,x1,y_1")
    assert lines[1:] == ["1,1_2,body,0,0,5,-25,20,-2,0.9", "1,1_2,face,0,0,8,-24,14,-18,0.9"]
    value = json.loads((tmp_path / "out/all_sequences.json").read_text())
    instances = [{"body": "1_1_2_body_0", "face": "1_1_2_face_0"}]
    assert value == [{"seq_id": "1_1_1+1_1_2", "annotations": [{"charId": "Pepper", "charInstances": instances}]}]
    assert open_any(tmp_path / "out").pages("a b")[0].characters[0].box == (5, 5, 20, 28)


def test_sequences_without_boxes_say_what_is_missing(tmp_path: Path) -> None:
    sequences(tmp_path, [("1", [])])
    with pytest.raises(InputError, match=r"merged_face_body\.csv"):
        open_any(tmp_path, "comic-sequence")


def test_two_series_of_one_name_are_two_comics(tmp_path: Path) -> None:
    """F1: one name replaced the other without a word; ids that a spreadsheet made floats meet."""
    rows = [ROWS.splitlines()[0], "7,1_0,face,0,0,1,1,9,9", "8.0,1_0,face,0,0,1,1,9,9"]
    (tmp_path / "merged_face_body.csv").write_text("\n".join(rows))
    (tmp_path / "series.csv").write_text("series_id,name\n7.0,Same\n8,Same\n")
    view = open_any(tmp_path)
    assert view.comics() == ["Same", "Same (8)"]
    assert [str(problem) for problem in view.problems] == [
        "series.csv: another series is called 'Same' too; series 8 is called 'Same (8)'"
    ]
