"""A stage of its own, as a new annotation would be added, and what every stage gets: resuming, one merge, kills."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError
from comictool.core.jobs import JobOptions, JobReport
from comictool.corpus import annotating
from comictool.corpus.annotating import Stage, annotate
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Text

# The toy: how dark a page is, as a text of its own. These lines are all that a stage needs.


def ask(record: PageRecord) -> Any:
    return None if record.type == "cover" else {"least": 0}


def find(picture: np.ndarray, asked: Any) -> dict[str, Any]:
    LOOKED_AT.append(int(picture[0, 0, 0]))
    return {"texts": [Text(1, f"ink {255 - picture.mean():.0f}", source="ink-1")]}


def merge(record: PageRecord, found: PageRecord) -> None:
    record.texts = [text for text in record.texts if text.source != "ink-1"] + found.texts


INK = Stage("ink", "ink-1", ask, find, merge, workers="inline")
LOOKED_AT: list[int] = []  # one a call, in this process


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """Two comics, of five pages and of one; page n is of grey 10 n. Chunks are of two pages."""
    monkeypatch.setattr(annotating, "CHUNK", 2)
    LOOKED_AT.clear()
    made = Corpus.create(tmp_path / "corpus")
    for comic, pages in (("thick", 5), ("thin", 1)):
        records = [PageRecord(comic, n, f"page_images/{comic}/page-{n}.png", 8, 8) for n in range(1, pages + 1)]
        for record in records:
            _paint(made, record, 10 * record.page)
        made.write_pages(comic, records)
    return made


def _paint(corpus: Corpus, record: PageRecord, grey: int) -> None:
    file = corpus.root / record.image
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (grey,) * 3).save(file)


def run(corpus: Corpus, stage: Stage = INK, **options: Any) -> JobReport:
    return annotate(corpus, stage, options=JobOptions(jobs=1, **options))


def said(corpus: Corpus, comic: str = "thick") -> list[list[str]]:
    return [[text.text for text in record.texts] for record in corpus.pages(comic)]


def test_a_toy_stage(corpus: Corpus) -> None:
    records = corpus.pages("thick")
    records[0].type = "cover"
    records[1].texts = [Text(7, "hello", source="a person")]
    corpus.write_pages("thick", records)
    report = run(corpus)
    assert (report.done, report.totals["pages"], report.totals["kept"], report.totals["texts"]) == (4, 5, 1, 5)
    assert said(corpus) == [[], ["hello", "ink 235"], ["ink 225"], ["ink 215"], ["ink 205"]]
    notes = [record.runs for record in corpus.pages("thick")]
    assert notes[0] == [{"stage": "ink", "kept": True, "model": "ink-1"}]
    assert all(note[0]["of"] and note[0]["texts"] == 1 for note in notes[1:])
    assert not list((corpus.root / ".jobs/parts/ink").iterdir())
    again = run(corpus)
    assert (again.done, again.skipped, again.totals) == (0, 4, report.totals)


def test_a_comic_is_written_once_however_many_chunks(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    write = Corpus.write_pages

    def counted(corpus: Corpus, comic: str, records: Iterable[PageRecord]) -> None:
        written.append(comic)
        write(corpus, comic, records)

    monkeypatch.setattr(Corpus, "write_pages", counted)
    run(corpus)
    assert written == ["thick", "thin"]
    for file in corpus.root.glob("page_images/*/*"):
        os.utime(file)
    run(corpus)
    assert written == ["thick", "thin"]  # nothing was found, nothing is written


def test_the_content_decides_and_not_the_time_of_a_copy(corpus: Corpus, tmp_path: Path) -> None:
    run(corpus)
    moved = tmp_path / "moved"
    shutil.copytree(corpus.root, moved, copy_function=shutil.copyfile, ignore=lambda *_: [".jobs"])
    copy = Corpus.open(moved)
    LOOKED_AT.clear()
    report = run(copy)
    assert (report.done, report.totals["texts"], LOOKED_AT) == (4, 6, [])
    _paint(copy, copy.pages("thick")[2], 99)
    assert run(copy).done == 1
    assert LOOKED_AT == [99]  # the other page of the chunk is as it was
    assert said(copy)[2] == ["ink 156"]


def test_another_model_another_question_or_never_look_again(corpus: Corpus) -> None:
    run(corpus)
    for change in (
        {"stage": Stage("ink", "ink-2", ask, find, merge, workers="inline")},
        {"stage": Stage("ink", "ink-2", lambda record: 1, find, merge, workers="inline")},
        {"stage": Stage("ink", "ink-2", lambda record: 1, find, merge, {"size": 3}, workers="inline")},
        {"resume": "never"},
    ):
        LOOKED_AT.clear()
        run(corpus, **change)
        assert len(LOOKED_AT) == 6
    assert [len(record.texts) for record in corpus.pages("thick")] == [1] * 5


def test_records_without_their_note_are_done_again(corpus: Corpus) -> None:
    run(corpus)
    records = corpus.pages("thick")
    records[3].runs, records[3].texts = [], []
    corpus.write_pages("thick", records)
    LOOKED_AT.clear()
    assert run(corpus, dry_run=True).planned == ["thick/3-4"]
    assert run(corpus).done == 1
    assert LOOKED_AT == [40]
    assert said(corpus)[3] == ["ink 215"]


@pytest.mark.parametrize("calls", range(1, 7))
def test_a_kill_before_any_write_of_records_loses_no_chunk(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    class Killed(BaseException):
        pass

    done = []

    def dying(picture: np.ndarray, asked: Any) -> dict[str, Any]:
        done.append(1)
        if len(done) == calls:
            raise Killed
        return find(picture, asked)

    with monkeypatch.context() as kill:
        kill.setattr(annotating._Parts, "_merge", lambda self, comic: None)  # what a kill leaves undone
        with pytest.raises(Killed):
            run(corpus, Stage("ink", "ink-1", ask, dying, merge, workers="inline"))
    assert said(corpus) == [[]] * 5
    finished = 5 if calls == 6 else (calls - 1) // 2 * 2  # the third chunk has one page
    LOOKED_AT.clear()
    run(corpus)
    assert len(LOOKED_AT) == 6 - finished
    assert [len(texts) for texts in said(corpus)] == [1] * 5
    assert said(corpus, "thin") == [["ink 245"]]


def test_parts_of_other_settings_are_not_taken_over(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as kill:
        kill.setattr(annotating._Parts, "_merge", lambda self, comic: None)
        run(
            corpus,
            Stage("ink", "ink-0", ask, lambda picture, asked: {"texts": [Text(1, "old")]}, merge, workers="inline"),
        )
    run(corpus, limit=1)
    assert said(corpus) == [[f"ink {255 - 10 * n}"] for n in range(1, 6)]
    assert said(corpus, "thin") == [[]]


def test_damaged_parts_are_reported_and_harm_nothing(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as kill:
        kill.setattr(annotating._Parts, "_merge", lambda self, comic: None)
        run(corpus)
    parts = sorted((corpus.root / ".jobs/parts/ink").glob("*/*.json"))
    assert len(parts) == 4
    for part, damage in zip(parts, ("{", "[]", '{"stamp": 1}'), strict=False):
        part.write_text(damage)
    run(corpus)
    assert [len(texts) for texts in said(corpus) + said(corpus, "thin")] == [1] * 6
    with monkeypatch.context() as kill:
        kill.setattr(annotating._Parts, "_merge", lambda self, comic: None)
        run(corpus, resume="never")
    part = next((corpus.root / ".jobs/parts/ink").glob("*/1-2.json"))
    part.write_text(part.read_text().replace('"width":8', '"width":-8').replace('"width": 8', '"width": -8'))
    report = run(corpus)
    assert [problem.key for problem in report.problems] == ["thick"]
    with pytest.raises(InputError):
        corpus.pages("none")


def test_half_of_the_comics_a_shard(corpus: Corpus) -> None:
    first, second = (run(corpus, shard=(n, 2)) for n in (1, 2))
    assert (first.done, second.done) == (3, 1)
    whole = run(corpus)
    assert (whole.done, whole.skipped, whole.totals["texts"]) == (0, 4, 6)
