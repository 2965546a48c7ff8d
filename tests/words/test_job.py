"""`data text` on small corpora: whose texts are written over, what is read anew, engines by name, kills."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import SetupError, UsageError
from comictool.core.jobs import JobOptions, JobReport
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel, Text
from comictool.plugins.load import EncoderSpec
from comictool.plugins.protocols import TextLine
from comictool.words import rapid
from comictool.words.engines import EngineOptions, Reading, make_reading
from comictool.words.expected import duration, expected
from comictool.words.job import read_corpus
from comictool.words.page import page_texts

LOOKED_AT: list[int] = []
MANIFEST = """\
schema = 2
id = "parrot"
version = "1"
title = "says the same of every page"
kind = "ocr"
licence = "MIT"
[architecture]
name = "python"
[output.lines]
form = "text"
"""
CODE = """\
class Parrot:
    def read(self, images):
        return [[((5, 5, 45, 15), "hello", 0.9), ((5, 20, 45, 30), "mumble", 0.2)] for _ in images]

def build_plugin(manifest, directory, device):
    return Parrot()
"""


def find(picture: np.ndarray, asked: Any) -> dict[str, Any]:
    """The grey of a page as its only line."""
    grey = int(picture[0, 0, 0])
    LOOKED_AT.append(grey)
    return {"texts": page_texts(picture, [TextLine((5, 5, 45, 15), f"grey {grey}", 0.9)], asked, "toy")}


TOY = Reading("toy", "toy@1", find, workers="inline")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """One comic of three pages; the first has two panels, the words of the second are a person's."""
    LOOKED_AT.clear()
    made = Corpus.create(tmp_path / "corpus")
    records = [PageRecord("c", n, f"page_images/c/page-{n}.png", 60, 80) for n in (1, 2, 3)]
    records[0].panels = [Panel(1, (0, 0, 60, 40), 1), Panel(2, (0, 40, 60, 80), 2)]
    records[1].texts = [Text(1, "by hand")]
    (made.root / "page_images/c").mkdir(parents=True)
    for record in records:
        Image.new("RGB", (60, 80), (record.page,) * 3).save(made.root / record.image)
    made.write_pages("c", records)
    return made


def run(corpus: Corpus, reading: Reading = TOY, **options: Any) -> JobReport:
    return read_corpus(corpus, reading, options=JobOptions(jobs=1), **options)


def run_options(corpus: Corpus, options: JobOptions) -> JobReport:
    return read_corpus(corpus, TOY, options=options)


def said(corpus: Corpus) -> list[list[tuple[str, int | None, str]]]:
    return [[(text.text, text.panel, text.source) for text in page.texts] for page in corpus.pages("c")]


def test_pages_are_read_once_and_those_of_a_person_never(corpus: Corpus) -> None:
    report = run(corpus)
    assert (report.totals["pages"], report.totals["kept"], report.totals["texts"]) == (2, 1, 2)
    assert said(corpus) == [[("grey 1", 1, "toy")], [("by hand", None, "")], [("grey 3", None, "toy")]]
    run(corpus)
    assert LOOKED_AT == [1, 3]
    run(corpus, Reading("toy", "toy@2", find, workers="inline"))  # a newer version of the same engine
    assert LOOKED_AT == [1, 3, 1, 3]


def test_texts_of_another_engine_are_kept_unless_they_shall_be_replaced(corpus: Corpus) -> None:
    run(corpus)
    other = Reading("other", "other@1", find, workers="inline")
    assert run(corpus, other).totals["kept"] == 3
    notes = [page.runs[-1] for page in corpus.pages("c")]
    assert {note["model"] for note in notes} == {"other@1"}
    assert [note.get("found_by") for note in notes] == ["toy@1", None, "toy@1"]  # who read what stands there
    assert run(corpus, replace=True).totals["texts"] == 3
    assert said(corpus)[1] == [("grey 2", None, "toy")]
    LOOKED_AT.clear()
    run(corpus)
    assert LOOKED_AT == []


def test_panels_that_changed_are_asked_again(corpus: Corpus) -> None:
    run(corpus)
    records = corpus.pages("c")
    records[0].panels = [Panel(1, (0, 40, 60, 80), 1)]
    corpus.write_pages("c", records)
    run(corpus)
    assert LOOKED_AT == [1, 3, 1]
    assert said(corpus)[0] == [("grey 1", None, "toy")]


def test_what_a_run_would_take_is_known_before(corpus: Corpus) -> None:
    planned = run_options(corpus, JobOptions(jobs=1, dry_run=True))
    LOOKED_AT.clear()
    found = expected(planned, TOY, jobs=1)
    assert found.pages == 2
    assert sorted(set(LOOKED_AT)) == [1, 3]
    assert all(not page.runs for page in corpus.pages("c"))
    assert expected(run_options(corpus, JobOptions(jobs=1)), TOY).pages == 0
    assert (duration(40), duration(120), duration(7200)) == ("40 seconds", "2 minutes", "2 hours")


def test_a_kill_while_pages_are_read_costs_a_chunk_and_nothing_else(corpus: Corpus, tmp_path: Path) -> None:
    """The second page to be read kills its process, once; run again, everything is there and nothing twice."""
    records = [PageRecord("d", n, f"page_images/d/page-{n}.png", 60, 80) for n in range(1, 14)]
    (corpus.root / "page_images/d").mkdir()
    for record in records:
        Image.new("RGB", (60, 80), (record.page,) * 3).save(corpus.root / record.image)
    corpus.write_pages("d", records)
    script = f"""
import os, sys
from pathlib import Path
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Text
from comictool.words.engines import Reading
from comictool.words.job import read_corpus

def find(picture, asked):
    grey = int(picture[0, 0, 0])
    if grey == int(sys.argv[1]):
        os.kill(os.getpid(), 9)
    with open({str(tmp_path / "read")!r}, "a") as log:
        print(grey, file=log)
    return {{"texts": [Text(1, f"grey {{grey}}", source="toy")]}}

toy = Reading("toy", "toy@1", find, workers="inline")
read_corpus(Corpus.open(Path({str(corpus.root)!r})), toy, options=JobOptions(jobs=1))
"""
    for victim, code in ((6, -9), (11, -9), (0, 0)):
        ran = subprocess.run([sys.executable, "-c", script, str(victim)], cwd=Path(__file__).parents[2], check=False)
        assert ran.returncode == code
    assert [[text.text for text in page.texts] for page in corpus.pages("d")] == [[f"grey {n}"] for n in range(1, 14)]
    read = (tmp_path / "read").read_text().split()
    assert len(read) <= 15 + 2 * 4  # 15 pages, and at each kill what of its chunk had been read
    assert not list((corpus.root / ".jobs/parts/text").glob("*"))


def test_a_plugin_of_ones_own_reads(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "parrot"
    folder.mkdir()
    (folder / "plugin.toml").write_text(MANIFEST, "utf-8")
    (folder / "model.py").write_text(CODE, "utf-8")
    with pytest.raises(UsageError, match="trust"):
        make_reading(EngineOptions(str(folder)))
    reading = make_reading(EngineOptions(str(folder), EncoderSpec("", trust=True)))
    run(corpus, reading)
    assert said(corpus)[2] == [("hello", None, "parrot")]
    sure = make_reading(EngineOptions(str(folder), EncoderSpec("", trust=True), min_confidence=0.1))
    run(corpus, sure)
    assert said(corpus)[2] == [("hello mumble", None, "parrot")]


def test_what_is_no_engine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="classic is an encoder, not an ocr"):
        make_reading(EngineOptions("classic"))
    monkeypatch.setattr(rapid, "missing", lambda: "rapidocr not installed")
    with pytest.raises(SetupError) as raised:
        make_reading(EngineOptions("rapidocr", EncoderSpec("", plugin_dirs=(Path("."),))))
    assert "pip install" in raised.value.hint
