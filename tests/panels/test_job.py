"""Panels of a corpus: what is written, what is kept, what is done again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Character, PageRecord, Panel
from comictool.panels.job import detect_corpus
from tests.panels.panel_pages import page_of

LEFT, RIGHT = (40, 40, 240, 560), (260, 40, 460, 560)


def _corpus(root: Path, comics: dict[str, int], direction: str = "ltr") -> Corpus:
    corpus = Corpus.create(root)
    for comic, pages in comics.items():
        folder = root / "page_images" / comic
        folder.mkdir(parents=True)
        records = []
        for page in range(1, pages + 1):
            Image.fromarray(page_of([LEFT, RIGHT], size=(500, 600))).save(folder / f"page-{page}.png")
            records.append(
                PageRecord(comic, page, f"page_images/{comic}/page-{page}.png", 500, 600, direction=direction)
            )
        corpus.write_pages(comic, records)
    return corpus


def _boxes(record: PageRecord) -> list[tuple[int, int, int, int]]:
    return [panel.box for panel in record.panels]


def test_panels_are_written_in_the_direction_of_the_page(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path / "c", {"west": 2})
    east = _corpus(tmp_path / "d", {"east": 1}, direction="rtl")
    report = detect_corpus(corpus, options=JobOptions(jobs=1))
    detect_corpus(east, options=JobOptions(jobs=1))
    assert (report.done, report.failed, report.totals["pages"], report.totals["panels"]) == (1, 0, 2, 4)
    west = corpus.pages("west")[0]
    assert [box[0] < 250 for box in _boxes(west)] == [True, False]
    assert [panel.id for panel in west.panels] == [panel.order for panel in west.panels] == [1, 2]
    assert west.runs[0]["stage"] == "panels"
    assert [box[0] < 250 for box in _boxes(east.pages("east")[0])] == [False, True]


def test_a_given_direction_wins_and_is_remembered(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, {"a": 1})
    detect_corpus(corpus, direction="rtl", options=JobOptions(jobs=1))
    record = corpus.pages("a")[0]
    assert record.direction == "rtl"
    assert record.panels[0].box[0] > 250
    with pytest.raises(UsageError):
        detect_corpus(corpus, direction="up")


def test_another_order_is_another_run(tmp_path: Path) -> None:
    """Fault 4E.24: `--order` decides, so it is part of what a run is known by."""
    corpus = _corpus(tmp_path, {"a": 1})
    boxes = [(x, y, x + 200, y + 160) for y in (30, 220, 410) for x in (40, 260)]
    Image.fromarray(page_of(boxes, size=(500, 600))).save(tmp_path / "page_images/a/page-1.png")
    for order, columns in (("auto", "LRLRLR"), ("columns", "LLLRRR"), ("rows", "LRLRLR")):
        report = detect_corpus(corpus, order=order, options=JobOptions(jobs=1))
        assert (report.done, report.skipped) == (1, 0)
        assert "".join("LR"[box[0] > 250] for box in _boxes(corpus.pages("a")[0])) == columns
    with pytest.raises(UsageError):
        detect_corpus(corpus, order="up")


def test_a_page_without_panels_that_may_have_some_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels that a rule refuses are a doubt, in the report of each run and in the record, and no failure."""
    corpus = _corpus(tmp_path, {"a": 2})
    Image.fromarray(np.full((600, 500, 3), 255, np.uint8)).save(tmp_path / "page_images/a/page-2.png")
    monkeypatch.setattr("comictool.panels.verdict.COVERED", 2.0)  # refuses every page
    for done in (1, 0):
        report = detect_corpus(corpus, options=JobOptions(jobs=1))
        assert (report.done, report.exit_code, report.changes["doubtful"]) == (done, 0, ["a/1"])
    assert [page.extra.get("panels_doubtful") for page in corpus.pages("a")] == [True, None]
    monkeypatch.undo()
    monkeypatch.setattr("comictool.panels.detect.UNSURE", 1.1)  # all panels look little like some
    unsure = detect_corpus(corpus, options=JobOptions(jobs=1, resume="never"))
    assert (unsure.changes["doubtful"], unsure.changes["unsure"]) == ([], ["a/1"])
    assert corpus.pages("a")[0].extra["panels_doubtful"]
    monkeypatch.undo()
    again = detect_corpus(corpus, options=JobOptions(jobs=1, resume="never"))
    assert again.changes["doubtful"] == again.changes["unsure"] == []
    assert "panels_doubtful" not in corpus.pages("a")[0].extra


def test_finished_comics_are_skipped_until_something_changes(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, {"a": 1, "b": 1})
    assert detect_corpus(corpus, options=JobOptions(jobs=1)).done == 2
    again = detect_corpus(corpus, options=JobOptions(jobs=1))
    assert (again.done, again.skipped) == (0, 2)
    Image.fromarray(np.full((600, 500, 3), 255, np.uint8)).save(tmp_path / "page_images/b/page-1.png")
    changed = detect_corpus(corpus, options=JobOptions(jobs=1))
    assert (changed.done, changed.skipped) == (1, 1)
    assert corpus.pages("b")[0].panels == []
    records = corpus.pages("a")  # written anew by an import: panels and runs are gone, pictures are the same
    records[0].panels, records[0].runs = [], []
    corpus.write_pages("a", records)
    assert detect_corpus(corpus, options=JobOptions(jobs=1)).done == 1
    assert len(corpus.pages("a")[0].panels) == 2


def test_panels_that_a_person_drew_are_kept(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, {"a": 2})
    records = corpus.pages("a")
    records[0].panels = [Panel(1, (1, 2, 30, 40), 1, source="manual")]
    corpus.write_pages("a", records)
    report = detect_corpus(corpus, options=JobOptions(jobs=1))
    first, second = corpus.pages("a")
    assert _boxes(first) == [(1, 2, 30, 40)]
    assert len(second.panels) == 2
    assert report.totals["kept"] == 1
    detect_corpus(corpus, options=JobOptions(jobs=1), keep_drawn=False)
    assert len(corpus.pages("a")[0].panels) == 2


def test_declared_covers_have_no_panels(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, {"a": 2})
    records = corpus.pages("a")
    records[0].type, records[0].type_confidence = "cover", 1.0
    corpus.write_pages("a", records)
    detect_corpus(corpus, options=JobOptions(jobs=1))
    assert [len(record.panels) for record in corpus.pages("a")] == [0, 2]


def test_a_broken_page_is_a_problem_line_and_a_broken_comic_fails(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, {"good": 2, "bad": 1})
    (tmp_path / "page_images/good/page-2.png").write_bytes(b"not a picture")
    (tmp_path / "page_images/bad/page-1.png").unlink()
    report = detect_corpus(corpus, options=JobOptions(jobs=1))
    assert (report.done, report.failed) == (1, 1)
    lines = {problem.key: problem.message for problem in report.problems}
    assert "not a picture" in lines["good/2"]
    assert "page 1" in lines["bad/1-1"]
    assert [len(record.panels) for record in corpus.pages("good")] == [2, 0]


def test_characters_follow_their_panel(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, {"a": 1}, direction="rtl")
    records = corpus.pages("a")
    records[0].characters = [Character(1, (300, 100, 400, 300), panel=9), Character(2, (0, 0, 20, 20), panel=1)]
    corpus.write_pages("a", records)
    detect_corpus(corpus, options=JobOptions(jobs=1))
    assert [character.panel for character in corpus.pages("a")[0].characters] == [1, None]


def test_a_thick_comic_is_done_in_chunks_and_only_changed_ones_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comictool.corpus.annotating.CHUNK", 2)
    corpus = _corpus(tmp_path, {"thick": 5})
    report = detect_corpus(corpus, options=JobOptions(jobs=1))
    assert (report.done, report.totals["pages"], report.totals["panels"]) == (3, 5, 10)
    assert [len(record.panels) for record in corpus.pages("thick")] == [2] * 5
    assert [len(record.runs) for record in corpus.pages("thick")] == [1] * 5
    Image.fromarray(np.full((600, 500, 3), 255, np.uint8)).save(tmp_path / "page_images/thick/page-3.png")
    again = detect_corpus(corpus, options=JobOptions(jobs=1))
    assert (again.done, again.skipped) == (1, 2)
    assert [len(record.panels) for record in corpus.pages("thick")] == [2, 2, 0, 2, 2]


def test_shards_and_limits_count_whole_comics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comictool.corpus.annotating.CHUNK", 1)
    corpus = _corpus(tmp_path, {"a": 3, "b": 1, "c": 2})
    planned = [detect_corpus(corpus, options=JobOptions(shard=(i, 2), dry_run=True)).planned for i in (1, 2)]
    assert planned == [["a/1-1", "a/2-2", "a/3-3", "c/1-1", "c/2-2"], ["b/1-1"]]
    assert detect_corpus(corpus, options=JobOptions(limit=1, dry_run=True)).planned == ["a/1-1", "a/2-2", "a/3-3"]
    for i in (1, 2):
        detect_corpus(corpus, options=JobOptions(jobs=1, shard=(i, 2)))
    assert all(len(record.panels) == 2 for record in corpus.all_pages())
    whole = detect_corpus(corpus, options=JobOptions(jobs=1))
    assert (whole.done, whole.skipped, whole.totals["pages"]) == (0, 6, 6)


@pytest.mark.parametrize("damage", [b"{not json\n", b"\xff\xfe\x00", b"[1, 2]\n"])
def test_damaged_records_are_one_problem_line(tmp_path: Path, damage: bytes) -> None:
    corpus = _corpus(tmp_path, {"bad": 1, "good": 1})
    (tmp_path / "annotations/pages/bad.jsonl").write_bytes(damage)
    report = detect_corpus(corpus, options=JobOptions(jobs=1))
    assert (report.done, report.failed) == (1, 1)
    assert [problem.key for problem in report.problems] == ["bad"]
    assert (tmp_path / "annotations/pages/bad.jsonl").read_bytes() == damage
    assert len(corpus.pages("good")[0].panels) == 2


def test_a_picture_outside_the_corpus_is_one_problem_line(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path / "c", {"a": 2})
    records = corpus.pages("a")
    records[0].image = "../outside.png"
    corpus.write_pages("a", records)
    report = detect_corpus(corpus, options=JobOptions(jobs=1))
    assert (report.done, report.failed) == (1, 0)
    assert [problem.key for problem in report.problems] == ["a/1"]
    assert "lies outside" in report.problems[0].message
    assert [len(record.panels) for record in corpus.pages("a")] == [0, 2]
