"""Panels and characters cut out of pages, trap by trap."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions, JobReport
from comictool.corpus.assignment import assign_panel
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Character, PageRecord, Panel
from comictool.datasets.exporting.characters import CharacterOptions, export_characters
from comictool.datasets.exporting.crops import CropOptions, scaled_square
from comictool.datasets.exporting.indexing import INDEX_COLUMNS
from comictool.datasets.exporting.panels import export_panels
from tests.formats import mast_fixture as fixture
from tests.formats.mast_fixture import ACCENTED, ALIKE_A, ALIKE_B, KANJI, PLAIN, QUOTED, SPACED

PNG = CropOptions(format="png")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, JobReport, JobReport]:
    root = fixture.write_mast(tmp_path_factory.mktemp("export") / "corpus")
    view = fixture.open_fixture(root)
    panels = export_panels(view, crops=PNG)
    characters = export_characters(view, characters=CharacterOptions(crops=PNG))
    return root, panels, characters


def crop(root: Path, *parts: str) -> np.ndarray:
    with Image.open(root.joinpath(*parts)) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def index(root: Path) -> list[dict[str, str]]:
    with open(root / "annotations" / "characters_indexing.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def messages(report: JobReport, key: str) -> str:
    return " | ".join(problem.message for problem in report.problems if problem.key == key)


def test_every_panel_is_cut_where_it_is(exported: tuple[Path, JobReport, JobReport]) -> None:
    root, _, _ = exported
    for title, pages in fixture.comics().items():
        for page in pages:
            if page.mode != "RGB" or page.missing:
                continue
            for number, panel in enumerate(page.panels, start=1):
                pixels = crop(root, "panel_images", title, f"{page.number}_{number}.png")
                place = (0, 0) if isinstance(panel, tuple) else (pixels.shape[0] - 9, pixels.shape[1] // 2)
                assert tuple(pixels[place]) == fixture.panel_colour(title, page.number, number)
                if isinstance(panel, tuple):
                    assert pixels.shape[:2] == (panel[3] - panel[1], panel[2] - panel[0])


def test_twenty_five_panels_on_a_page(exported: tuple[Path, JobReport, JobReport]) -> None:
    names = {file.name for file in (exported[0] / "panel_images" / SPACED).iterdir()}
    assert {f"1_{n}.png" for n in range(1, 26)} <= names


def test_polygon_with_decimals_becomes_the_box_around_it(exported: tuple[Path, JobReport, JobReport]) -> None:
    # (10,10.5) (120.25,5.75) (118,150) (12,148.9), rounded outwards
    assert crop(exported[0], "panel_images", QUOTED, "2_1.png").shape == (150 - 5, 121 - 10, 3)


def test_box_beyond_the_page_is_clamped(exported: tuple[Path, JobReport, JobReport]) -> None:
    assert crop(exported[0], "panel_images", ALIKE_B, "1_1.png").shape == (140, fixture.WIDTH, 3)


def test_grey_cmyk_and_palette_pages_become_rgb(exported: tuple[Path, JobReport, JobReport]) -> None:
    root = exported[0]
    for comic, name in ((SPACED, "2_1.png"), (ALIKE_B, "1_1.png"), (KANJI, "1_1.png")):
        assert crop(root, "panel_images", comic, name).ndim == 3


def test_missing_page_is_reported_and_nothing_else_suffers(exported: tuple[Path, JobReport, JobReport]) -> None:
    _, panels, characters = exported
    for report in (panels, characters):
        assert "missing" in messages(report, f"{ACCENTED}/2")
        assert report.failed == 1
        assert report.done == sum(len(pages) for pages in fixture.comics().values()) - 1


def test_blank_cells_and_empty_boxes_are_reported(exported: tuple[Path, JobReport, JobReport]) -> None:
    root, panels, characters = exported
    assert any("Page Number" in problem.message for problem in panels.problems)
    assert messages(panels, f"{PLAIN}/3")  # no vertices, and a box of no width
    assert not (root / "panel_images" / PLAIN / "3_3.png").exists()
    said = messages(characters, f"{PLAIN}/1")
    assert "1 characters without an identity" in said
    assert "9: no panel holds 50% of it" in said


def test_index_has_the_documented_columns_and_values(exported: tuple[Path, JobReport, JobReport]) -> None:
    root, _, report = exported
    rows = index(root)
    assert tuple(rows[0]) == INDEX_COLUMNS
    assert len(rows) == report.totals["characters"] == 13
    first = next(row for row in rows if row["document"] == PLAIN and row["page"] == "1")
    assert first == {
        "character": f"{PLAIN}_7",
        "document": PLAIN,
        "page": "1",
        "panel": "1_1",
        "panel_id": f"{PLAIN}/1_1",
        "x0": "10",
        "y0": "10",
        "x1": "50",
        "y1": "70",
        "valence": "2",
        "arousal": "3",
        "character_frequency": "3",
    }


def test_both_spellings_of_slightly_and_what_is_unreadable(exported: tuple[Path, JobReport, JobReport]) -> None:
    rows = [row for row in index(exported[0]) if row["document"] == PLAIN]
    assert [(row["valence"], row["arousal"]) for row in rows] == [("2", "3"), ("2", "2"), ("5", "-1")]


def test_character_in_an_inset_is_exported_once_from_the_inset(exported: tuple[Path, JobReport, JobReport]) -> None:
    root = exported[0]
    rows = {row["character"]: row for row in index(root) if row["document"] == QUOTED and row["page"] == "1"}
    assert rows[f"{QUOTED}_3"]["panel"] == "1_3"
    assert (rows[f"{QUOTED}_3"]["x0"], rows[f"{QUOTED}_3"]["y0"]) == ("10", "10")
    assert rows[f"{QUOTED}_4"]["panel"] == "1_2"
    names = sorted(file.name for file in (root / "character_images" / QUOTED).iterdir())
    assert names == ["1_2_4.png", "1_3_3.png", "2_1_3.png"]


def test_character_over_the_border_is_kept_whole(exported: tuple[Path, JobReport, JobReport]) -> None:
    pixels = crop(exported[0], "character_images", ALIKE_A, "1_1_6.png")
    assert pixels.shape == (60, 34, 3)
    assert (pixels == fixture.figure_colour(0)).all()


def test_same_identity_twice_in_a_panel_is_two_files(exported: tuple[Path, JobReport, JobReport]) -> None:
    root = exported[0]
    rows = [row for row in index(root) if row["document"] == ACCENTED]
    assert [row["x0"] for row in rows] == ["10", "70"]
    assert {row["character_frequency"] for row in rows} == {"2"}
    assert (crop(root, "character_images", ACCENTED, "1_1_5.png") == fixture.figure_colour(0)).all()
    assert (crop(root, "character_images", ACCENTED, "1_1_5.2.png") == fixture.figure_colour(1)).all()


def test_crop_list_names_a_file_for_each_row(exported: tuple[Path, JobReport, JobReport]) -> None:
    root = exported[0]
    with open(root / "annotations" / "characters_crops.csv", encoding="utf-8", newline="") as stream:
        crops = list(csv.DictReader(stream))
    assert [(c["comic"], c["identity"]) for c in crops] == [
        (row["document"], row["character"].removeprefix(row["document"] + "_")) for row in index(root)
    ]
    assert all((root / c["file"]).is_file() for c in crops)


def test_default_is_jpeg_of_quality_95(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus", [PLAIN])
    export_panels(fixture.open_fixture(root))
    file = root / "panel_images" / PLAIN / "1_1.jpg"
    with Image.open(file) as picture, Image.open(root / "page_images" / PLAIN / "page-1.jpg") as page:
        assert picture.format == "JPEG"
        page.crop((10, 10, 230, 150)).save(tmp_path / "own.jpg", quality=95)
    assert file.read_bytes() == (tmp_path / "own.jpg").read_bytes()


def test_second_run_does_nothing_and_lost_files_come_back(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus", [PLAIN, QUOTED])
    export_characters(fixture.open_fixture(root))
    before = fixture.contents(root)
    again = export_characters(fixture.open_fixture(root))
    assert (again.done, again.skipped) == (0, 5)
    (root / "character_images" / QUOTED / "1_3_3.jpg").unlink()
    assert export_characters(fixture.open_fixture(root)).done == 1
    assert fixture.contents(root) == before


def test_changed_annotations_leave_no_stale_crops(tmp_path: Path) -> None:
    corpus = native(tmp_path / "c", [Panel(1, (0, 0, 50, 50)), Panel(2, (50, 0, 99, 50))])
    export_panels(corpus)
    record = corpus.pages("one")[0]
    record.panels = record.panels[:1]
    corpus.write_pages("one", [record])
    for mine in ("notes.txt", "1_9.csv"):
        (corpus.root / "panel_images" / "one" / mine).write_text("mine")
    assert export_panels(corpus).done == 1
    assert sorted(f.name for f in (corpus.root / "panel_images" / "one").iterdir()) == [
        "1_1.jpg",
        "1_9.csv",
        "notes.txt",
    ]


def test_shards_together_are_the_whole(tmp_path: Path) -> None:
    whole = fixture.write_mast(tmp_path / "whole")
    export_characters(fixture.open_fixture(whole))
    parts = fixture.write_mast(tmp_path / "parts")
    for number in (1, 2, 3):
        export_characters(fixture.open_fixture(parts), options=JobOptions(shard=(number, 3), jobs=1))
    assert fixture.contents(parts) == fixture.contents(whole)


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus")
    before = fixture.contents(root)
    report = export_panels(fixture.open_fixture(root), options=JobOptions(dry_run=True))
    assert len(report.planned) == 13
    assert fixture.contents(root) == before
    assert not (root / ".jobs").exists()


def test_faces_are_squared_scaled_and_padded_with_white(tmp_path: Path) -> None:
    corpus = native(tmp_path / "c", [Panel(1, (0, 0, 100, 120))], colour=(10, 20, 30))
    record = corpus.pages("one")[0]
    record.characters = [
        Character(1, (0, 10, 60, 100), face=(10, 20, 50, 100), identity="Ann"),
        Character(2, (1, 1, 9, 9)),
    ]
    corpus.write_pages("one", [record])
    options = CharacterOptions(part="faces", scale=1.2, square=True, crops=PNG)
    report = export_characters(corpus, characters=options)
    assert report.totals["characters"] == 1
    pixels = crop(corpus.root, "face_images", "one", "1_1_Ann.png")
    assert pixels.shape == (96, 96, 3)
    assert (pixels[:, :18] == 255).all()
    assert (pixels[:, 18:] == (10, 20, 30)).all()
    with open(corpus.root / "annotations" / "faces_crops.csv", encoding="utf-8") as stream:
        row = next(csv.DictReader(stream))
    assert [int(row[name]) for name in ("x0", "y0", "x1", "y1")] == [-18, 12, 78, 108]


@pytest.mark.parametrize(
    ("box", "expected"),
    [((10, 20, 50, 100), (-18, 12, 78, 108)), ((100, 100, 141, 150), (90, 95, 150, 155))],  # published checks
)
def test_published_square_rule(box: tuple[int, int, int, int], expected: tuple[int, int, int, int]) -> None:
    assert scaled_square(box, 1.2) == expected


def test_square_is_always_square() -> None:
    generator = np.random.default_rng(0)
    for x, y, w, h in generator.integers(1, 300, (500, 4)).tolist():
        x0, y0, x1, y1 = scaled_square((x, y, x + w, y + h), 1.2)
        assert x1 - x0 == y1 - y0
        assert abs((x1 - x0) - 1.2 * max(w, h)) < 1
        assert abs((x0 + x1) / 2 - (x + w / 2)) <= 1


def test_nameless_characters_on_request(tmp_path: Path) -> None:
    corpus = native(tmp_path / "c", [Panel(1, (0, 0, 100, 120))])
    record = corpus.pages("one")[0]
    record.characters = [Character(4, (1, 1, 9, 9), score=0.5), Character(5, (20, 20, 40, 40), identity="a/../b")]
    corpus.write_pages("one", [record])
    export_characters(corpus, characters=CharacterOptions(unidentified=True))
    names = sorted(f.name for f in (corpus.root / "character_images" / "one").iterdir())
    assert names == ["1_1_a_--_b.jpg", "1_1_unknown-4.jpg"]
    assert [row["character"] for row in index(corpus.root)] == ["one_a/../b"]


def test_assignment_by_share() -> None:
    left, right = Panel(1, (0, 0, 100, 100)), Panel(2, (100, 0, 200, 100))
    assert assign_panel((70, 10, 120, 50), [left, right]) is left
    assert assign_panel((90, 10, 140, 50), [left, right]) is right
    assert assign_panel((90, 10, 140, 50), [left, right], min_overlap=0.9) is None
    inset = Panel(3, (10, 10, 60, 60))
    assert assign_panel((8, 12, 40, 50), [left, inset]) is inset  # a line sticks out of the inset
    assert assign_panel((30, 30, 90, 90), [left, inset]) is left  # the inset only covers a corner of it
    assert assign_panel((300, 300, 310, 310), [left]) is None


def test_hostile_comic_name_and_picture_path(tmp_path: Path) -> None:
    corpus = native(tmp_path / "c", [Panel(1, (0, 0, 9, 9))])
    record = corpus.pages("one")[0]
    record.image = "../outside.png"
    corpus.write_pages("one", [record])
    assert "lies outside" in export_panels(corpus).problems[0].message
    record.comic = "../evil"
    line = json.dumps({"comic": "../evil", "page": 1, "image": "x", "width": 5, "height": 5, "panels": []})
    (corpus.root / "annotations" / "pages" / "one.jsonl").write_text(line)
    with pytest.raises(InputError, match="cannot be a folder"):
        export_panels(corpus)


def test_options_are_checked() -> None:
    for make in (
        lambda: CropOptions(format="gif"),
        lambda: CropOptions(quality=0),
        lambda: CharacterOptions(part="hands"),
        lambda: CharacterOptions(min_overlap=0),
        lambda: CharacterOptions(scale=-1),
    ):
        with pytest.raises(UsageError):
            make()


def native(root: Path, panels: list[Panel], colour: tuple[int, int, int] = (99, 99, 99)) -> Corpus:
    """A native corpus of one page."""
    corpus = Corpus.create(root)
    (root / "page_images" / "one").mkdir(parents=True)
    Image.new("RGB", (100, 120), colour).save(root / "page_images" / "one" / "page-1.png")
    corpus.write_pages("one", [PageRecord("one", 1, "page_images/one/page-1.png", 100, 120, panels=panels)])
    return corpus
