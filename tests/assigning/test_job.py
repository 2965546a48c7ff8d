"""`reid assign` over a corpus: records, files, resuming, shards, names that stay, pages that are drawn on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from comictool.assigning.evidence import Calibration, Line
from comictool.assigning.fitting import embed_comics, fit, shipped_calibration
from comictool.assigning.job import AssignOptions, assign_identities
from comictool.assigning.overlay import COLOURS, DASHES, mark_of
from comictool.assigning.scopes import Gallery
from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Character, PageRecord, Panel
from comictool.formats.registry import open_any
from comictool.plugins.load import EncoderSpec
from comictool.vectors.stream import encoder_key

SPEC = EncoderSpec("classic_character")
ONE = JobOptions(jobs=1)
LOOKS = {"ann": ((220, 40, 40), "square"), "bob": ((40, 60, 220), "ring"), "cyd": ((40, 170, 60), "cross")}
STORY = {
    "first": [["ann", "bob"], ["bob", "cyd"], ["ann", "cyd"], ["bob", "ann"]],
    "second": [["cyd", "ann"], ["ann", "bob"]],
}


def figure(pen: ImageDraw.ImageDraw, who: str, x: int, y: int) -> None:
    colour, shape = LOOKS[who]
    pen.rectangle((x, y, x + 44, y + 69), fill=colour)
    if shape == "ring":
        pen.ellipse((x + 6, y + 6, x + 38, y + 38), outline=(255, 255, 255), width=5)
    elif shape == "cross":
        pen.line((x, y, x + 44, y + 69), fill=(255, 240, 90), width=7)
    else:
        pen.rectangle((x + 12, y + 10, x + 30, y + 30), fill=(20, 20, 20))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """Two comics, two figures in each of two panels a page."""
    root = tmp_path_factory.mktemp("drawn") / "corpus"
    corpus = Corpus.create(root)
    for comic, panels in STORY.items():
        records = []
        for page in range(1, len(panels) // 2 + 1):
            picture = Image.new("RGB", (220, 220), (250, 245, 235))
            pen, record = ImageDraw.Draw(picture), PageRecord(comic, page, f"{comic}-{page}.png", 220, 220)
            for number in (1, 2):
                top = 110 * (number - 1)
                record.panels.append(Panel(number, (5, top + 5, 215, top + 105), number))
                for place, who in enumerate(panels[2 * page + number - 3]):
                    x, y = 25 + 100 * place + 3 * page, top + 20
                    figure(pen, who, x, y)
                    box, face = (x, y, x + 45, y + 70), (x + 2, y + 2, x + 43, y + 43)
                    record.characters.append(Character(len(record.characters) + 1, box, number, face, box, who))
            picture.save(root / record.image)
            records.append(record)
        corpus.write_pages(comic, records)
    return root


@pytest.fixture
def corpus(drawn, tmp_path) -> Corpus:
    """The same, and nobody has a name."""
    shutil.copytree(drawn, tmp_path / "corpus")
    opened = Corpus.open(tmp_path / "corpus")
    rename(opened, lambda person: None)
    return opened


@pytest.fixture(scope="module")
def calibration(drawn) -> Calibration:
    return fit(embed_comics(Corpus.open(drawn), SPEC, []), encoder_key(SPEC), "made")[0]


def rename(corpus: Corpus, name) -> None:
    for comic in corpus.comics():
        records = corpus.pages(comic)
        for record in records:
            for person in record.characters:
                person.identity = name((comic, record.page, person.id))
        corpus.write_pages(comic, records)


def said(view) -> dict[tuple[str, int, int], str | None]:
    return {
        (comic, record.page, person.id): person.identity
        for comic in view.comics()
        for record in view.pages(comic)
        for person in record.characters
    }


def same_people(found, truth) -> bool:
    """Whether names within each comic are the truth under other words."""
    pairs = {(key[0], found[key], truth[key]) for key in truth}
    return (
        len(pairs) == len({p[:2] for p in pairs}) == len({(p[0], p[2]) for p in pairs}) and None not in found.values()
    )


def test_everybody_is_found_and_a_second_run_has_nothing_to_do(drawn, corpus, calibration, tmp_path) -> None:
    chosen = AssignOptions(calibration=calibration)
    report = assign_identities(corpus, SPEC, chosen, options=ONE)
    assert (report.done, report.totals["instances"], report.totals["identities"]) == (2, 12, 6)
    assert not report.problems
    truth = said(Corpus.open(drawn))
    assert same_people(said(corpus), truth)
    assert {run["stage"] for record in corpus.pages("first") for run in record.runs} == {"assign"}
    before = (corpus.records_file("first")).read_bytes()
    assert assign_identities(corpus, SPEC, chosen, options=ONE).skipped == 2
    # Other settings do it again, and see their own earlier names as nobody's.
    again = assign_identities(corpus, SPEC, AssignOptions(method="average", distance=2.0), options=ONE)
    assert again.done == 2
    assert len(set(said(corpus).values())) == 1
    assert len(again.problems) == 6, "two of one panel with one identity are reported one by one"
    assert assign_identities(corpus, SPEC, chosen, options=ONE).done == 2
    assert corpus.records_file("first").read_bytes() == before


def test_a_stopped_run_and_shards_end_as_one_run_does(corpus, calibration, tmp_path) -> None:
    chosen = AssignOptions(calibration=calibration)
    shutil.copytree(corpus.root, tmp_path / "sharded")
    sharded = Corpus.open(tmp_path / "sharded")
    assign_identities(corpus, SPEC, chosen, options=replace(ONE, limit=1))
    assert None in said(corpus).values()
    report = assign_identities(corpus, SPEC, chosen, options=ONE)
    assert (report.done, report.skipped) == (1, 1)
    for index in (1, 2):
        assign_identities(sharded, SPEC, chosen, options=replace(ONE, shard=(index, 2)))
    assert said(sharded) == said(corpus)


def test_given_names_stay_and_spread(drawn, corpus, calibration) -> None:
    truth = said(Corpus.open(drawn))
    rename(corpus, lambda key: truth[key] if key[1] == 1 else None)
    report = assign_identities(corpus, SPEC, AssignOptions(calibration=calibration), options=ONE)
    assert said(corpus) == truth
    assert report.totals["named"] == 12
    # A person corrects one: that name is theirs from then on, and what contradicts it is said.
    rename(corpus, lambda key: "eve" if key == ("first", 2, 1) else said(corpus)[key])
    assign_identities(corpus, SPEC, AssignOptions(calibration=calibration), options=ONE)
    assert said(corpus)["first", 2, 1] == "eve"
    rename(corpus, lambda key: "eve" if key[:2] == ("first", 1) and key[2] < 3 else said(corpus)[key])
    report = assign_identities(corpus, SPEC, AssignOptions(calibration=calibration), options=ONE)
    assert any("first/1#2: named 'eve' as first/1#1" in str(problem) for problem in report.problems)


def test_a_gallery_names_and_nobody_has_a_price(drawn, corpus, calibration) -> None:
    named = embed_comics(Corpus.open(drawn), SPEC, [])[1]
    chosen = named.names != "cyd"
    gallery = Gallery(named.vectors.rows["body"][chosen], named.names[chosen], encoder_key(SPEC))
    options = AssignOptions(calibration=calibration, nobody=0.5)
    assign_identities(corpus, SPEC, options, gallery=gallery, options=ONE)
    truth = said(Corpus.open(drawn))
    found = said(corpus)
    assert all(found[key] == name for key, name in truth.items() if name != "cyd")
    assert {found[key] for key, name in truth.items() if name == "cyd"} == {"somebody 1"}
    with pytest.raises(InputError, match="gallery is of other"):
        assign_identities(corpus, SPEC, options, gallery=replace(gallery, encoder_id="other"), options=ONE)


def test_files_and_pages_of_a_foreign_layout(drawn, calibration, tmp_path) -> None:
    """Written as comic-sequence, read as that, judged blind, and read once more from what came out."""
    from comictool.formats.registry import format_named
    from comictool.formats.saving import save

    truth = said(Corpus.open(drawn))
    save(Corpus.open(drawn), tmp_path / "foreign", format_named("comic-sequence"))
    foreign = open_any(tmp_path / "foreign")
    chosen = AssignOptions(calibration=calibration, blind=True)
    with pytest.raises(UsageError, match="need a folder"):
        assign_identities(foreign, SPEC, chosen)
    out = tmp_path / "out"
    report = assign_identities(foreign, SPEC, chosen, output=out, overlays=True, options=ONE)
    assert (report.done, report.failed) == (2, 0)
    assert same_people(said(open_any(out)), truth)
    rows = json.loads((out / "identities" / "first.json").read_text("utf-8"))
    assert len(rows["instances"]) == 8
    assert not rows["conflicts"]
    assert set(rows["instances"][0]) == {"page", "panel", "character", "identity", "face", "body"}
    page = np.asarray(Image.open(out / "pages" / "first" / "page-1.jpg").convert("RGB"), int)
    assert page.shape[0] > 220, "there is a legend"
    for colour in COLOURS[:3]:
        assert (np.abs(page - colour).sum(axis=2) < 60).any(), "everybody has a colour"
    (out / "identities" / "first.json").unlink()
    assert assign_identities(foreign, SPEC, chosen, output=out, overlays=True, options=ONE).done == 1


def test_scopes_streams_and_what_they_need(drawn, corpus, calibration) -> None:
    assign_identities(corpus, SPEC, AssignOptions(calibration=calibration, stream=True), options=ONE)
    assert same_people(said(corpus), said(Corpus.open(drawn)))
    assign_identities(corpus, SPEC, AssignOptions(calibration=calibration, scope="page"), options=ONE)
    found = said(corpus)
    assert not {v for k, v in found.items() if k[:2] == ("first", 1)} & {
        v for k, v in found.items() if k[:2] == ("first", 2)
    }
    for wrong in ({"method": "best"}, {"scope": "week"}, {"stream": True}):
        with pytest.raises(UsageError):
            AssignOptions(**wrong)
    other = Calibration("other", {"face": Line(1, 1)})
    with pytest.raises(InputError, match="calibration is of other"):
        assign_identities(corpus, SPEC, AssignOptions(calibration=other), options=ONE)
    assert shipped_calibration(SPEC, "of other weights") is None


def test_any_number_of_identities_has_marks_of_its_own() -> None:
    marks = [mark_of(number) for number in range(len(COLOURS) * len(DASHES))]
    assert len(set(marks)) == len(marks) == 32
    assert mark_of(len(marks)) == marks[0]  # from there on the number alone tells


def test_damaged_records_and_pictures_are_reported_by_item(corpus, calibration) -> None:
    corpus.records_file("second").write_text("no json\n")
    (corpus.root / "first-2.png").write_bytes(b"no picture")
    report = assign_identities(corpus, SPEC, AssignOptions(calibration=calibration), options=ONE)
    assert {problem.key for problem in report.problems} == {"second", "first/2"}
    assert report.failed == 1
    assert sum(name is not None for name in said_of(corpus, "first").values()) == 4


def said_of(corpus: Corpus, comic: str):
    return {(r.page, person.id): person.identity for r in corpus.pages(comic) for person in r.characters}
