"""Whatever a file holds, opening it gives records or one clear error, no traceback, and stays inside the folder."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comictool.core.errors import ComicError
from comictool.corpus.corpus import Corpus
from comictool.datasets.verifying.checking_corpus import verify
from comictool.formats.boxes import host_of, parse_vertices
from comictool.formats.pictures import PictureFinder, comic_names, page_number
from comictool.formats.registry import FORMATS, open_any
from comictool.formats.saving import save
from comictool.formats.values import integer_of, number_of, text_of

# Names that readers look for, and values that should not be under them.
WORDS = """
images annotations categories id image_id file_name width height comic page type direction category_id bbox
score segmentation attributes order panel text body Interdepth Intradepth page_image_path panels panel_coords
texts text_coords characters character_coords faces face_coords page_size dialogue filename size seq_id charId
charInstances face source_book polygon rle counts kind
"""
KEYS = st.sampled_from(WORDS.split())
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["", "../../x.jpg", "\ud800"])
)
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=4) | st.dictionaries(KEYS, v, max_size=6), max_leaves=25)
ONE_ID = st.just(1) | LEAVES
COCO = st.fixed_dictionaries(
    {
        "images": st.lists(
            st.fixed_dictionaries(
                {"id": ONE_ID},
                optional={
                    "file_name": LEAVES,
                    "width": LEAVES,
                    "height": LEAVES,
                    "comic": LEAVES,
                    "page": LEAVES,
                    "type": VALUES,
                },
            ),
            max_size=3,
        )
    },
    optional={
        "categories": VALUES,
        "annotations": st.lists(
            st.fixed_dictionaries(
                {
                    "image_id": ONE_ID,
                    "category_id": st.integers(1, 8),
                    "bbox": st.lists(LEAVES, min_size=4, max_size=4),
                },
                optional={"attributes": VALUES, "segmentation": VALUES, "score": LEAVES, "id": LEAVES},
            ),
            max_size=6,
        ),
    },
)
LOOSE = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def survive(folder: Path, name: str) -> None:
    """Open, read everything, verify, and write it as a native corpus and as COCO."""
    try:
        view = open_any(folder / "in", name)
    except ComicError:
        return
    for record in view.all_pages():
        assert view.image_path(record).resolve().is_relative_to(folder.resolve())
        for panel in record.panels:
            x0, y0, x1, y1 = panel.box
            assert 0 <= x0 < x1 <= record.width
            assert 0 <= y0 < y1 <= record.height
    verify(view)
    for target in ("corpus", "comix-coco", "mast-csv"):
        save(view, folder / target, FORMATS[target])
        found = [
            f for f in verify(open_any(folder / target, target)) if f.kind not in ("picture", "problem", "numbering")
        ]
        assert found == []


@pytest.mark.parametrize("name", ["comix-coco", "ai4va-coco", "dataspec", "kumiko"])
@given(value=VALUES | COCO | st.lists(st.dictionaries(KEYS, VALUES, max_size=5), max_size=3))
@LOOSE
def test_any_json(name: str, value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in" / "x.json"
        path.parent.mkdir()
        path.write_text(json.dumps(value), "utf-8")
        survive(Path(folder), name)


@given(cells=st.lists(st.lists(LEAVES.map(str), max_size=6), max_size=6))
@LOOSE
def test_any_csv(cells: list[list[str]]) -> None:
    head = "Document Name,Document Directory,Page Number,Region Vertices,Annotation Notes"
    head += ",Region Page,Relation ID,Region ID"
    rows = "\n".join(",".join(row) for row in cells)
    with tempfile.TemporaryDirectory() as folder:
        annotations = Path(folder) / "in" / "annotations"
        annotations.mkdir(parents=True)
        for name in ("panels", "characters"):
            (annotations / f"{name}.csv").write_bytes(f"{head}\nA,a,1,x,1,1,1,1\n{rows}".encode("utf-8", "replace"))
        survive(Path(folder), "mast-csv")


@given(
    attributes=st.dictionaries(
        st.sampled_from(["id", "xmin", "ymin", "xmax", "ymax", "points", "character", "of"]),
        st.sampled_from(["", "0", "9", "-3", "1e9", "nan", "1,2 3,4", "none", "x"]),
    ),
    tag=st.sampled_from(["frame", "body", "face", "text", "balloon", "link_sbsc", "other"]),
)
@LOOSE
def test_any_xml(attributes: dict[str, str], tag: str) -> None:
    said = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    page = f'<page index="1" width="50" height="50"><{tag} {said}>words</{tag}><{tag} {said}/></page>'
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        (Path(folder) / "in/b.xml").write_text(f'<book title="b"><pages>{page}<page/></pages></book>')
        survive(Path(folder), "manga109-xml")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    assert PictureFinder(tmp_path / "in").find("link.jpg") is None
    assert PictureFinder(tmp_path / "in").find("../secret.jpg") is None


def test_a_bare_file_name_never_finds_the_page_of_another_book(tmp_path: Path) -> None:
    for book in ("one", "two"):
        (tmp_path / book).mkdir()
    (tmp_path / "one" / "p1.jpg").write_bytes(b"x")
    finder = PictureFinder(tmp_path)
    assert finder.find("/home/me/scans/one/p1.jpg") == "one/p1.jpg"
    assert finder.find("two/p1.jpg") is None


@given(st.text(max_size=40))
def test_vertices_are_points_or_a_value_error(text: str) -> None:
    try:
        points = parse_vertices(text)
    except ValueError:
        return
    assert len(points) >= 2


def test_numbers() -> None:
    good = [3, "3", "3.0", " 3 ", "3e0", 3.0, "+3"]
    assert [integer_of(v) for v in good] == [3] * len(good)
    bad = [None, True, "", "3,5", "x", float("nan"), "inf", 3.5, [3], 10**400, "9" * 400]
    assert [integer_of(v) for v in bad] == [None] * len(bad)
    assert [number_of(v) for v in (1.5, "1.5", "1e400", {}, False)] == [1.5, 1.5, None, None, None]
    assert [text_of(v) for v in ("a", 3, "\ud800b", None, True)] == ["a", "3", "\ufffdb", None, None]


def test_page_numbers_of_file_names() -> None:
    names = ["page-3.jpg", "003.png", "book 2 p014", "x/ch 7/p002.webp", "cover.jpg", "1234567890123.jpg"]
    assert [page_number(name) for name in names] == [3, 3, 14, 2, None, None]


@given(st.lists(st.text(max_size=8), max_size=8))
def test_comic_names_are_components_and_different(titles: list[str]) -> None:
    names = comic_names(titles)
    assert set(names) == set(titles)
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert not [name for name in names.values() if "/" in name or "\0" in name or name in ("", ".", "..")]


def test_the_innermost_panel_holds_a_character() -> None:
    panels = [(0, 0, 100, 100), (10, 10, 60, 60), (200, 0, 300, 100)]
    assert host_of((20, 20, 40, 40), panels) == 1
    assert host_of((50, 50, 90, 90), panels) == 0
    assert host_of((90, 10, 120, 20), panels) is None


FACTS = st.fixed_dictionaries(
    {
        "comic": st.just("a"),
        "page": st.integers(0, 5),
        "image": st.sampled_from(["x.jpg", "../x.jpg", ""]),
        "width": st.just(50),
        "height": st.just(50),
    },
    optional={
        "type": st.sampled_from(["story", "poster"]),
        "type_confidence": st.floats(allow_nan=False),
        "panels": st.lists(
            st.fixed_dictionaries(
                {"id": st.integers(-1, 3), "box": st.sampled_from([[0, 0, 9, 9], [-5, -5, 99, 99], [60, 60, 70, 70]])},
                optional={
                    "polygon": st.sampled_from([[["a", "b"]] * 3, [[0, 0], [9, 0], [9, 9]], [[0, 0]]]),
                    "score": st.floats(allow_nan=False),
                    "order": st.integers(-2, 5),
                },
            ),
            max_size=3,
        ),
        "characters": st.lists(
            st.fixed_dictionaries(
                {"id": st.integers(0, 2), "box": st.just([0, 0, 9, 9])},
                optional={
                    "valence": st.floats(allow_nan=False),
                    "panel": st.integers(0, 3),
                    "identity": st.just('\ud800,\n"'),
                },
            ),
            max_size=2,
        ),
        "texts": st.lists(
            st.fixed_dictionaries(
                {"id": st.integers(0, 2), "text": st.sampled_from(["\ud800", "hey"])},
                optional={
                    "kind": st.sampled_from(["song", "sfx"]),
                    "panel": st.integers(0, 3),
                    "speaker": st.integers(0, 3),
                    "box": st.just([0, 0, 9, 9]),
                },
            ),
            max_size=2,
        ),
        "segments": st.lists(VALUES, max_size=2),
        "balloons": VALUES,
    },
)


@pytest.mark.parametrize("name", list(FORMATS))
@given(pages=st.lists(FACTS, min_size=1, max_size=3))
@LOOSE
def test_any_record_that_can_be_read_can_be_checked_and_written(name: str, pages: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.create(Path(folder) / "in")
        records = corpus.root / "annotations" / "pages" / "a.jsonl"
        records.parent.mkdir(parents=True)
        records.write_text("".join(json.dumps(page) + "\n" for page in pages))
        try:
            corpus.pages("a")
        except ComicError:
            return
        assert verify(corpus)
        saved = save(corpus, Path(folder) / "out", FORMATS[name])
        view = open_any(Path(folder) / "out", name)
        if name != "comicinfo":  # its pages are its pictures, and there are none
            unplaced = sum("has no place" in line.message for line in saved.problems)
            assert len(list(view.all_pages())) == len({page["page"] for page in pages}) - unplaced
