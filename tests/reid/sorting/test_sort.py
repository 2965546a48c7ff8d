"""`sort_pictures`: the work of `reid classify` without the command."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from comictool.core.errors import InputError, UsageError
from comictool.reid.configuration import read_config
from comictool.reid.gallery import Gallery
from comictool.reid.labelled import read_labelled
from comictool.reid.reader import PictureReader
from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.sort import prepare_sorting, sort_pictures
from comictool.reid.sorting.undoing import undo
from tests.reid.drawings import cast, drawing, save
from tests.reid.sorting.world import tree

READER = PictureReader(cached=False)

MOVE = SortOptions("move", threshold="none")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cast(tmp_path / "refs", ("ann", "bob"), 3)
    for name in ("ann", "bob"):
        save(tmp_path / "targets" / f"{name}.png", drawing(name, 10))
    return tmp_path


def test_a_folder_of_folders_and_a_gallery_of_it_sort_alike(folder: Path) -> None:
    gallery = Gallery.create(folder / "gallery")
    gallery.enroll(read_config(folder / "refs"), READER)
    options = SortOptions(threshold="none")
    from_folder = sort_pictures(folder / "targets", folder / "refs", options=options, reader=READER)
    for references in (gallery, folder / "gallery", str(folder / "gallery")):
        found = sort_pictures([folder / "targets"], references, options=options, reader=READER)
        assert found.records() == from_folder.records()
    assert [record["character"] for record in from_folder.records()] == ["ann", "bob"]
    assert from_folder.run.counts["ok"] == 2
    assert not (folder / "out").exists()


def test_files_go_where_the_records_say_and_come_back(folder: Path) -> None:
    before = tree(folder)
    options = SortOptions("move", threshold="none")
    result = sort_pictures(folder / "targets", folder / "refs", folder / "sorted", options, reader=READER)
    assert [record["destination"] for record in result.records()] == ["ann/ann.png", "bob/bob.png"]
    assert result.run.write_report(folder / "report.html", result.pictures) == 0
    (folder / "report.html").unlink()
    assert len(undo(folder / "sorted").restored) == 2
    assert tree(folder) == before


def test_what_cannot_be_is_refused_before_anything_is_embedded(folder: Path) -> None:
    with pytest.raises(UsageError, match="needs a result folder"):
        prepare_sorting(folder / "targets", folder / "refs", options=SortOptions("move"))
    with pytest.raises(UsageError, match="no scoring mode"):
        prepare_sorting(folder / "targets", folder / "refs", options=SortOptions(mode="most"))
    with pytest.raises(InputError, match="does not exist"):
        prepare_sorting(folder / "refs" / "ann" / "nothing", folder / "refs")


def test_folders_of_what_could_not_be_named_are_no_characters_whatever_they_are_called(folder: Path) -> None:
    """F5: the journal of the result folder knows them; `reid enroll sorted` and `reid evaluate sorted` ask it."""
    options = SortOptions("copy", threshold=1.0, unknown="strangers", ambiguous="between")
    sort_pictures(folder / "targets", folder / "refs", folder / "sorted", options, reader=READER)
    assert (folder / "sorted" / "strangers" / "ann.png").exists()
    cast(folder / "sorted", ("cat",), 2)
    notes: list[str] = []
    assert list(read_config(folder / "sorted", notes)) == ["cat"]
    assert "strangers" in notes[0]
    assert read_labelled(folder / "sorted").notes == notes


def test_a_move_whose_last_picture_was_moved_is_told_whole_when_it_is_run_again(folder: Path) -> None:
    """Section 5: nothing is left in the targets by then, and the journal alone knows."""
    run = partial(sort_pictures, folder / "targets", folder / "refs", folder / "sorted", reader=READER)
    stream = iter(prepare_sorting(folder / "targets", folder / "refs", folder / "sorted", MOVE, reader=READER))
    first = [next(stream) for _ in range(2)]
    stream.close()  # type: ignore[attr-defined]
    assert not list((folder / "targets").iterdir())
    assert run(MOVE).records() == [picture.as_record() for picture in first]
