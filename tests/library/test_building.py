from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import comictool as ct
from comictool.core.errors import ExitCode, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.options import ImportOptions
from comictool.datasets.exporting.panels import export_panels
from comictool.formats.converting import convert
from comictool.library.building import LibraryReport, build_library, example_queries
from comictool.library.sheets import write_query_sheet
from comictool.plugins.load import EncoderSpec
from comictool.plugins.protocols import TextLine
from comictool.search.query import Query, query
from comictool.vectors.collection import open_collection
from comictool.words.engines import Reading
from comictool.words.page import page_texts
from tests.archives.comic_files import tree
from tests.vectors.fakes import ask

CLASSIC = EncoderSpec("classic")
ONE = JobOptions(jobs=1)


def build(paths: list[Path], root: Path, **options: object) -> LibraryReport:
    return build_library(paths, root, CLASSIC, options=JobOptions(jobs=1, **options))  # type: ignore[arg-type]


def test_a_folder_of_comics_becomes_searchable_and_stays_so(comics: Path, tmp_path: Path) -> None:
    root = tmp_path / "library"
    report = build([comics], root)
    assert report.exit_code == ExitCode.DONE
    assert report.summary(root)["pages"] == 9
    page = next(Corpus.open(root).all_pages())
    hits = ask(root, image=Corpus.open(root).image_path(page))
    assert hits[0].id == page.id
    again = build([comics], root)
    assert all(step.done == 0 for step in again.steps)
    assert again.summary(root)["pages"] == 9


def test_new_changed_and_bad_files_are_dealt_with_and_the_rest_is_kept(comics: Path, tmp_path: Path) -> None:
    source, root = tmp_path / "source", tmp_path / "library"
    source.mkdir()
    files = sorted(comics.glob("*.cbz"))
    shutil.copy(files[0], source)
    build([source], root)
    shutil.copy(files[1], source)
    (source / "broken.cbz").write_bytes(files[2].read_bytes()[:5000])
    report = build([source], root)
    assert report.exit_code == ExitCode.FINDINGS
    assert report.imported.skipped == 1
    assert any("broken.cbz" in problem.message for problem in report.imported.problems)
    assert report.summary(root)["comics"] >= 2


def test_words_are_read_between_panels_and_vectors_and_can_be_searched(comics: Path, tmp_path: Path) -> None:
    def find(picture: np.ndarray, asked: Any) -> dict[str, Any]:
        return {"texts": page_texts(picture, [TextLine((5, 5, 90, 20), "a purple monkey", 0.9)], asked, "toy")}

    toy = Reading("toy", "toy@1", find, workers="inline")
    root = tmp_path / "library"
    report = build_library([comics], root, CLASSIC, reading=toy, options=ONE)
    assert report.summary(root)["texts"] == report.summary(root)["pages"] == 9
    assert [step.name for step in report.steps][2:] == ["text", "embed"]
    assert len(ask(root, text="purple monkey", level="page")) == 9


def test_nothing_readable_is_an_input_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.cbz"
    bad.write_bytes(b"not a comic at all")
    assert build([bad], tmp_path / "library").exit_code == ExitCode.INPUT


def test_a_dry_run_writes_nothing(comics: Path, tmp_path: Path) -> None:
    report = build([comics], tmp_path / "library", dry_run=True)
    assert len(report.imported.planned) == 3
    assert not (tmp_path / "library").exists()


def test_shards_are_refused_with_the_way_to_do_it(comics: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        build([comics], tmp_path / "library", shard=(1, 2))
    assert "comictool embed" in refused.value.hint


def test_the_example_queries_are_of_things_in_the_library(comics: Path, tmp_path: Path) -> None:
    root = tmp_path / "library"
    build([comics], root)
    for arguments in example_queries(root):
        assert arguments[:2] == ["query", str(root)]
        if "--id" in arguments:
            assert ask(root, id=arguments[arguments.index("--id") + 1])
        else:
            assert ask(root, image=Path(arguments[arguments.index("--image") + 1]))


@pytest.mark.parametrize("inside", [False, True])
def test_the_folder_of_the_comics_does_not_become_the_library(comics: Path, tmp_path: Path, inside: bool) -> None:
    """`index X -o X` made X a corpus: comics and pages in one heap, and `index X` was refused ever after."""
    shelf = tmp_path / "shelf"
    shutil.copytree(comics, shelf)
    before = sorted(shelf.rglob("*"))
    with pytest.raises(UsageError, match="needs one of its own") as refused:
        build(sorted(shelf.glob("*.cbz")) if inside else [shelf], shelf)
    assert str(shelf / "library") in refused.value.hint
    assert sorted(shelf.rglob("*")) == before
    for _ in range(2):  # a library below the comics is no source of the next run
        assert build([shelf], shelf / "library").summary(shelf)["comics"] == 3


def test_every_reader_of_pictures_works_without_copies(comics: Path, tmp_path: Path) -> None:
    """Library, crops, sheets, duplicates and conversion are the same as over copies."""
    made = {}
    for keep in ("copy", "reference"):
        root = tmp_path / keep
        report = build_library([comics], root, CLASSIC, ImportOptions(keep=keep), options=ONE)
        assert report.exit_code == 0
        library = Corpus.open(root)
        again = build_library([comics], root, CLASSIC, options=ONE)
        assert [step.done for step in again.steps] == [0, 0, 0]
        export_panels(library, options=ONE)
        convert(root, tmp_path / f"{keep}-converted", "corpus", options=ONE)
        page = library.pages(library.comics()[0])[1]
        with open_collection(root) as place:
            hits = query(place, Query(id=page.id, k=3))
            assert write_query_sheet(tmp_path / "sheet.html", place, Query(id=page.id), hits) == 0
        kept = [record.panels for record in library.all_pages()]
        converted = tree(tmp_path / f"{keep}-converted" / "page_images")
        made[keep] = (kept, [(hit.id, hit.score) for hit in hits], tree(root / "panel_images"), converted)
        assert ct.open(root).picture(page).shape == (page.height, page.width, 3)
        if keep == "reference":
            assert not (root / "page_images").exists()
            assert [hit.as_dict()["image"] for hit in hits] == [None] * 3
    assert made["copy"] == made["reference"]


def test_a_copied_library_has_nothing_to_do(comics: Path, tmp_path: Path) -> None:
    """All times are new, and the place is another (fault 6.5)."""
    build([comics], tmp_path / "library")
    shutil.copytree(tmp_path / "library", tmp_path / "elsewhere" / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(tmp_path / "library")
    root = tmp_path / "elsewhere" / "copy"
    again = build([comics], root)
    assert [(step.done, step.skipped > 0) for step in again.steps] == [(0, True)] * 3
    page = Corpus.open(root).pages(Corpus.open(root).comics()[0])[1]
    (hit, *_) = ask(root, id=page.id)
    assert hit.image.is_file()
    # A picture that somebody changed is not passed over.
    file = root / page.image
    file.write_bytes(file.read_bytes() + b"\0")
    assert build([comics], root).imported.done == 1
