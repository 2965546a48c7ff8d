from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from comictool.core.errors import InputError
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel, Text, clamp_box, from_json, to_json
from comictool.corpus.views import NAMES_FILE, read_names
from comictool.datasets.splitting.folders import read_manifest


def page(number: int, **fields: object) -> PageRecord:
    return PageRecord("a comic", number, f"page_images/a comic/page-{number}.jpg", 100, 200, **fields)  # type: ignore[arg-type]


def test_records_survive_the_disk_in_page_order(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c", name='quotes " and \\ back')
    text = Text(1, "a\u2028b\u0085c\nd", box=(1, 2, 3, 4))
    first = page(
        2, panels=[Panel(1, (0, 0, 50, 60), order=1, score=0.5, polygon=[(0, 0), (5, 5), (0, 9)])], texts=[text]
    )
    corpus.write_pages("a comic", [page(10), first])
    again = Corpus.open(tmp_path / "c")
    assert again.name == 'quotes " and \\ back'
    assert again.comics() == ["a comic"]
    assert again.pages("a comic") == [first, page(10)]


def test_unknown_fields_of_a_newer_tool_are_kept() -> None:
    value = {**to_json(page(1)), "mood": "grim", "panels": [{"id": 1, "box": [0, 0, 5, 5], "tilt": 3}]}
    again = to_json(from_json(value))
    assert again["mood"] == "grim"
    assert again["panels"][0]["tilt"] == 3


def test_the_order_in_which_steps_added_facts_does_not_change_the_file() -> None:
    """The first defect: panels before `--keep reference` and after it left files of other bytes."""
    one, other = ({"kept": "reference", "panels_doubtful": True}, {"panels_doubtful": True, "kept": "reference"})
    assert list(to_json(page(1, extra=one)).items()) == list(to_json(page(1, extra=other)).items())


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"width": "9"},
        {"page": True},
        {"panels": 3},
        {"panels": [{"id": 1, "box": [5, 0, 1, 9]}]},
        {"panels": [{"id": 1, "box": [0, 0, 1]}]},
        {"direction": "up"},
        {"texts": [{"id": 1}]},
        {"comic": None},
    ],
)
def test_damaged_records_are_refused_with_the_place(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="here"):
        from_json({**to_json(page(1)), **change}, "here")


def test_a_record_cannot_point_outside(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (corpus.root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    for image in ("../secret.jpg", str(tmp_path / "secret.jpg"), "link.jpg"):
        record = page(1)
        record.image = image
        with pytest.raises(InputError, match="outside"):
            corpus.image_path(record)


@pytest.mark.parametrize("name", ["../x", "a/b", ""])
def test_a_comic_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no comic"):
        Corpus.create(tmp_path / "c").pages(name)


def test_a_newer_or_damaged_corpus_says_so(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    (corpus.root / "corpus.toml").write_text("version = 99")
    with pytest.raises(InputError, match="newer"):
        Corpus.open(corpus.root)
    (corpus.root / "corpus.toml").write_text("version = ")
    with pytest.raises(InputError, match="not valid TOML"):
        Corpus.open(corpus.root)


def test_boxes_are_rounded_outwards_and_cut_to_the_page() -> None:
    assert clamp_box((-3.5, 0.2, 10.1, 300), 100, 200) == (0, 0, 11, 200)
    assert clamp_box((100, 0, 120, 10), 100, 200) is None
    assert clamp_box((float("nan"), 0, 1, 1), 100, 200) is None


def test_records_that_are_no_text_are_an_input_error(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    corpus.write_pages("a comic", [page(1)])
    (corpus.root / "annotations" / "pages" / "a comic.jsonl").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="not UTF-8"):
        corpus.pages("a comic")


@pytest.mark.parametrize("damage", ["version = " + "9" * 5000, "x = " + "[" * 100_000, 'direction = "foo"'])
def test_a_hostile_head_is_an_input_error(tmp_path: Path, damage: str) -> None:
    corpus = Corpus.create(tmp_path / "c")
    (corpus.root / "corpus.toml").write_text(damage)
    with pytest.raises(InputError):
        Corpus.open(corpus.root)


def test_a_number_of_thousands_of_digits_is_an_input_error(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    corpus.write_pages("a", [page(1)])
    (corpus.root / "annotations" / "pages" / "a.jsonl").write_text('{"page":' + "9" * 5000 + "}\n")
    with pytest.raises(InputError, match="line 1 is not JSON"):
        corpus.pages("a")


HOSTILE = [b"\xff\xfe", b"[" * 50_000, b'{"page": ' + b"9" * 5_000 + b"}", b'{"comic": "a"}', b"null", b"{"]


@pytest.mark.parametrize("content", HOSTILE)
def test_every_hostile_file_of_a_corpus_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    corpus = Corpus.create(tmp_path / "c")
    for name in ("annotations/pages/a.jsonl", "annotations/comics/a.json", NAMES_FILE, "splits.json"):
        (corpus.root / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus.root / name).write_bytes(content)
    with pytest.raises(InputError):
        corpus.pages("a")
    for read in (lambda: read_names(corpus.root), lambda: read_manifest(corpus.root)):
        with pytest.raises(InputError):
            read()
    if not content.startswith(b'{"comic'):  # any object holds the facts of a comic
        with pytest.raises(InputError):
            corpus.comic_facts("a")
    (corpus.root / "corpus.toml").write_bytes(content)
    with pytest.raises(InputError):
        Corpus.open(corpus.root)


def test_a_picture_of_a_record_has_no_zero_byte_in_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="outside"):
        Corpus.create(tmp_path / "c").image_path(replace(page(1), image="a\0b.jpg"))
