"""What is written in a format is read back: exactly the part of the corpus that the format says it holds."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from comictool.corpus.records import PageRecord, to_json
from comictool.formats.keeping import keep, numbered
from comictool.formats.registry import FORMATS, detect_format, open_any
from comictool.formats.saving import save
from comictool.formats.view import ForeignCorpus
from tests.formats.corpora import comics, make_corpus, simple_page

NAMES = list(FORMATS)


def expected(record: PageRecord, name: str) -> dict[str, Any]:
    """What must be read back, by the format's own statement of what it holds; the picture's path is checked apart."""
    holds = FORMATS[name].holds
    return without_image(record if holds is None else numbered(keep(record, holds)))


def without_image(record: PageRecord) -> dict[str, Any]:
    value = to_json(record)
    value.pop("image")
    for character in value.get("characters", []):
        character.pop("instances", None)  # names of the source's own, kept by the reader of comic sequences
    value.pop("image_id", None)  # and numbers that results are filed under, kept by that of AI4VA
    for filed in [*value["panels"], *value["segments"]]:
        filed.pop("annotation", None)
        filed.pop("category", None)
    return value


@pytest.mark.parametrize("name", NAMES)
@given(records=comics())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_every_writer_round_trips_through_its_reader(name: str, records: dict[str, list[PageRecord]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder) / "corpus", records)
        target = Path(folder) / "out"
        save(corpus, target, FORMATS[name])
        view = open_any(target, name)
        assert view.comics() == corpus.comics()
        for comic in corpus.comics():
            before, after = corpus.pages(comic), view.pages(comic)
            wanted = [expected(record, name) for record in before]
            holds = FORMATS[name].holds
            if holds is not None and not holds.page_numbers:
                wanted = [{**value, "page": number} for number, value in enumerate(wanted, start=1)]
            assert [without_image(record) for record in after] == wanted
            for old, new in zip(before, after, strict=True):
                assert view.image_path(new).read_bytes() == corpus.image_path(old).read_bytes()
            if isinstance(view, ForeignCorpus):
                assert view.read(comic).problems == []


@pytest.mark.parametrize("name", NAMES)
def test_a_written_format_is_recognised(name: str, tmp_path: Path) -> None:
    record = simple_page()
    record.segments = [{"kind": "face", "box": [1, 1, 5, 5], "inter": 0, "intra": 1}]
    save(make_corpus(tmp_path / "corpus", {"a": [record]}), tmp_path / "out", FORMATS[name])
    found = detect_format(tmp_path / "out")
    assert found is not None
    assert found.name == name.removesuffix("-minimal")


@pytest.mark.parametrize("name", NAMES)
def test_writing_twice_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", {"b": [simple_page("b")], "a": [simple_page(), simple_page(page=2)]})
    files = []
    for folder in (tmp_path / "one" / "out", tmp_path / "two" / "out"):
        save(corpus, folder, FORMATS[name])
        files.append({f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()})
    assert files[0] == files[1]


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_said_exactly_when_something_is_lost(name: str, tmp_path: Path) -> None:
    record = simple_page()
    record.extra["digest"] = "x"
    record.record_run("panels", model="classic")
    corpus = make_corpus(tmp_path / "corpus", {"a": [record]})
    losses = list(map(str, save(corpus, tmp_path / "out", FORMATS[name]).losses))
    if name == "corpus":
        assert losses == []
        return
    assert any("'digest'" in line for line in losses)
    assert any(line.endswith("1 runs") for line in losses)
    holds = FORMATS[name].holds
    assert holds is not None
    lost_text = holds.text_boxes  # one of the two texts has no box
    assert any(re.search(r"for \d texts$", line) for line in losses) == (holds.texts is None or lost_text)
    # What was read back loses nothing the second time.
    again = save(open_any(tmp_path / "out", name), tmp_path / "again", FORMATS[name]).losses
    assert [line for line in map(str, again) if "instances" not in line and "fact" not in line] == []


def test_losses_name_the_field_and_how_often(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", {"a": [simple_page(), simple_page(page=2)]})
    losses = list(map(str, save(corpus, tmp_path / "out", FORMATS["kumiko"]).losses))
    assert "kumiko has no room for score of 2 panels" in losses
    assert "kumiko has no room for 2 characters" in losses
    assert "kumiko has no room for 4 texts" in losses


@pytest.mark.parametrize("pictures", ["copy", "link"])
def test_pictures_are_placed_unchanged(pictures: str, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", {"a": [simple_page()]})
    save(corpus, tmp_path / "out", FORMATS["comix-coco"], pictures)
    placed, source = tmp_path / "out" / "images" / "a" / "001.jpg", corpus.root / "page_images/a/page-1.jpg"
    assert placed.read_bytes() == source.read_bytes()
    assert placed.samefile(source) == (pictures == "link")
    assert not [f for f in (tmp_path / "out").rglob("*") if f.name.endswith(".partial")]


def test_without_pictures_the_annotations_still_find_the_originals(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", {"a": [simple_page()]})
    save(corpus, tmp_path / "out", FORMATS["kumiko"], "none")
    view = open_any(tmp_path / "out", pictures=corpus.root)
    record = view.pages("a")[0]
    assert view.image_path(record) == corpus.root / "page_images/a/page-1.jpg"
