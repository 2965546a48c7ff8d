"""Which way a comic is read, from lettering in columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics
from comictool.corpus.importing.options import ImportOptions
from comictool.drawn.corpus import draw_corpus
from comictool.library.building import build_library
from comictool.plugins.load import EncoderSpec
from comictool.plugins.protocols import TextLine
from comictool.words.direction import follow_columns
from comictool.words.engines import Reading
from comictool.words.page import page_texts

ONE = JobOptions(jobs=1)
COLUMN, ROW = (30, 20, 60, 200), (20, 20, 200, 50)


@pytest.fixture(scope="module")
def comics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two comic files of four pages that say nothing of their direction."""
    root = tmp_path_factory.mktemp("comics")
    draw_corpus(root / "drawn", 8, seed=5, comic_pages=4, options=ONE)
    drawn, files = Corpus.open(root / "drawn"), root / "files"
    files.mkdir()
    for comic in drawn.comics():
        with ZipFile(files / f"{comic}.cbz", "w") as archive:
            for page in drawn.pages(comic):
                archive.write(drawn.image_path(page), f"{page.page}.jpg")
    return files


def engine(shape: Sequence[float]) -> Reading:
    """Reads the same three lines of a shape in each corner of a page."""

    def find(picture: np.ndarray, asked: Any) -> dict[str, Any]:
        height, width = picture.shape[:2]
        x0, y0, x1, y1 = shape
        corners = [(0, 0), (width - 230, 0), (0, height - 230)]
        lines = [TextLine((x0 + x, y0 + y, x1 + x, y1 + y), "研修医", 0.9) for x, y in corners]
        return {"texts": page_texts(picture, lines, asked, "toy")}

    return Reading("toy", "toy@1", find, workers="inline")


def build(comics: Path, root: Path, shape: Sequence[float], **chosen: Any) -> Any:
    options = ImportOptions(**chosen)
    return build_library([comics], root, EncoderSpec("classic"), options, reading=engine(shape), options=ONE)


def test_lettering_in_columns_turns_a_comic_that_nobody_described(comics: Path, tmp_path: Path) -> None:
    report = build(comics, tmp_path, COLUMN)
    corpus = Corpus.open(tmp_path)
    assert len(report.turned) == 2
    assert report.turned == corpus.comics()
    assert {page.direction for page in corpus.all_pages()} == {"rtl"}
    for page in corpus.all_pages():
        rows = [panel for panel in page.panels if panel.box[1] == page.panels[0].box[1]]
        assert [panel.box[0] for panel in rows] == sorted((panel.box[0] for panel in rows), reverse=True)
    again = build(comics, tmp_path, COLUMN)
    assert not again.turned
    assert all(step.done == 0 for step in again.steps)


def test_it_stays_turned_when_its_file_changes(comics: Path, tmp_path: Path) -> None:
    build(comics, tmp_path, COLUMN)
    corpus = Corpus.open(tmp_path)
    import_comics([comics], corpus, options=JobOptions(jobs=1, resume="never"))
    assert {page.direction for page in corpus.all_pages()} == {"rtl"}


@pytest.mark.parametrize(("shape", "chosen"), [(ROW, {}), (COLUMN, {"direction": "ltr"})])
def test_rows_and_what_was_told_stay(
    comics: Path, tmp_path: Path, shape: Sequence[float], chosen: dict[str, str]
) -> None:
    assert not build(comics, tmp_path, shape, **chosen).turned
    assert {page.direction for page in Corpus.open(tmp_path).all_pages()} == {"ltr"}


def test_few_words_decide_nothing(comics: Path, tmp_path: Path) -> None:
    build(comics, tmp_path, COLUMN, direction="ltr")
    corpus = Corpus.open(tmp_path)
    for comic in corpus.comics():
        corpus.write_comic_facts(comic, {**corpus.comic_facts(comic), "direction_by": "default"})
        pages = corpus.pages(comic)
        corpus.write_pages(comic, pages[:2])
    assert follow_columns(corpus) == []
