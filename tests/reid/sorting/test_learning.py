"""`reid learn`: what a person said of sorted pictures becomes known, the rest is filed anew, and all can be undone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from comictool.core.errors import InputError
from comictool.reid.configuration import read_config
from comictool.reid.gallery import Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.sorting.actions import SortOptions
from comictool.reid.sorting.corrections import read_corrections
from comictool.reid.sorting.journal import Journal
from comictool.reid.sorting.learning import LearningRun, prepare_learning
from comictool.reid.sorting.moving import content_digest
from comictool.reid.sorting.sort import sort_pictures
from comictool.reid.sorting.undoing import undo
from tests.reid.drawings import cast, drawing, save
from tests.reid.sorting.world import tree

NAMED = SortOptions(threshold="none")


class Place:
    """Sorted pictures of ann and bob, and of cat, whom nobody enrolled; all are unknown."""

    def __init__(self, root: Path, action: str = "copy") -> None:
        self.root, self.sorted, self.folder = root, root / "sorted", root / "gallery"
        self.reader = PictureReader(cache=root / "cache", jobs=1)
        cast(root / "refs", ("ann", "bob"), 2)
        for name in ("ann", "bob", "cat"):
            for number in range(3):
                save(root / f"targets/{name}{number}.png", drawing(name, 20 + number))
        Gallery.create(self.folder).enroll(read_config(root / "refs"), self.reader)
        options = SortOptions(action, threshold=1.0)
        sort_pictures(root / "targets", self.folder, self.sorted, options, reader=self.reader)

    def move(self, name: str, folder: str) -> None:
        (found,) = self.sorted.rglob(name)
        (self.sorted / folder).mkdir(parents=True, exist_ok=True)
        found.rename(self.sorted / folder / name)

    def ready(self, corrections: Path | None = None) -> LearningRun:
        return prepare_learning(self.sorted, self.folder, corrections, NAMED, reader=self.reader)

    def learn(self, corrections: Path | None = None) -> dict[str, str]:
        """Folders of all pictures after it, by name."""
        for _ in self.ready(corrections):
            pass
        return self.folders()

    def folders(self) -> dict[str, str]:
        files = [file for file in self.sorted.rglob("*.png") if ".reid" not in file.parts]
        return {file.name: file.parent.relative_to(self.sorted).as_posix() for file in files}

    def digest(self, name: str) -> str:
        return content_digest(next(self.sorted.rglob(name)))

    def ticked(self, *corrections: dict[str, object]) -> Path:
        value = {"kind": "comictool reid corrections", "version": 1, "corrections": corrections}
        (self.root / "corrections.json").write_text(json.dumps(value))
        return self.root / "corrections.json"

    def state(self) -> dict[str, object]:
        """All files, and what the gallery knows."""
        known = Gallery.open(self.folder).known
        files = {
            path: facts for path, facts in tree(self.sorted).items() if facts[0] != "folder" and ".reid" not in path
        }
        return files | {"": [known.found.references, known.refused.references]}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_moved_picture_is_learned_and_the_rest_follows(place: Place) -> None:
    assert {folder.split("/")[0] for folder in place.folders().values()} == {"suggestions"}
    before = place.state()
    place.move("cat0.png", "cat")
    after = place.learn()
    assert {name: folder for name, folder in after.items() if folder != name[:3]} == {}
    gallery = Gallery.open(place.folder)
    assert [r.path for r in gallery.references if r.character == "cat"] == [place.root / "targets/cat0.png"]
    assert {r.character for r in gallery.refused.references} <= {"ann", "bob"}
    assert undo(place.sorted).kept == {}
    assert place.state() == before, "also what the person moved is where it was, and the gallery knows nothing of it"
    assert undo(place.sorted).kept == {}
    assert not place.sorted.exists()


def test_pictures_keep_the_folders_below_their_character(place: Place) -> None:
    """As `classify --preserve-tree` made them; they used to be laid flat."""
    undo(place.sorted)
    for name in ("ann", "bob", "cat"):
        (place.root / f"targets/{name}").mkdir()
        for number in range(3):
            (place.root / f"targets/{name}{number}.png").rename(place.root / f"targets/{name}/{name}{number}.png")
    options = SortOptions("copy", threshold=1.0, preserve_tree=True)
    sort_pictures(place.root / "targets", place.folder, place.sorted, options, reader=place.reader)
    assert {folder.split("/")[2] for folder in place.folders().values()} == {"ann", "bob", "cat"}
    place.move("cat0.png", "cat/cat")
    after = place.learn()
    assert {name: folder for name, folder in after.items() if folder != f"{name[:3]}/{name[:3]}"} == {}


def test_a_second_time_nothing_is_learned_or_moved(place: Place) -> None:
    place.move("cat0.png", "cat")
    place.learn()
    state = place.state()
    run = place.ready()
    assert not run.lesson
    assert {picture.placed.action for picture in run} == {"none"}
    assert place.state() == state
    again = sort_pictures(place.root / "targets", place.folder, place.sorted, NAMED, reader=place.reader)
    assert {picture.placed.action for picture in again.pictures} == {"skipped"}, "what learning moved is there already"


def test_what_was_refused_never_gets_that_name_again_nor_what_is_like_it(place: Place) -> None:
    (guess,) = {folder.split("/")[1] for name, folder in place.folders().items() if name == "cat0.png"}
    other = {"ann": "bob", "bob": "ann"}[guess]
    after = place.learn(place.ticked({"digest": place.digest("cat0.png"), "refused": [guess]}))
    assert after["cat0.png"] == other
    assert after["cat1.png"] == after["cat2.png"] == other, "they are more like it than like any reference"
    assert after["ann0.png"] == "ann"
    assert after["bob0.png"] == "bob"
    place.move("cat0.png", guess)
    assert place.learn()["cat0.png"] == guess, "who moves it there has another mind"


def test_one_that_was_moved_from_one_character_to_another_is_no_reference_of_the_first(place: Place) -> None:
    place.move("cat0.png", "ann")
    place.learn()
    place.move("cat0.png", "cat")
    after = place.learn()
    assert after["cat0.png"] == after["cat1.png"] == "cat"
    gallery = Gallery.open(place.folder)
    assert [r.character for r in gallery.references if r.digest == place.digest("cat0.png")] == ["cat"]
    assert undo(place.sorted).kept == {}
    assert [r.character for r in Gallery.open(place.folder).references if r.path.name == "cat0.png"] == ["ann"]


def test_a_picture_that_was_learned_keeps_its_name_byte_for_byte(place: Place) -> None:
    """F3 through learning: a whole other picture is said to be ann, and is."""
    place.learn(place.ticked({"digest": place.digest("bob0.png"), "character": "ann"}))
    found = sort_pictures(place.root / "targets", place.folder, options=NAMED, reader=place.reader).records()
    (record,) = [record for record in found if record["path"].endswith("bob0.png")]
    assert (record["character"], record["enrolled_as"], record["score"]) == ("ann", "ann", 1.0)


def test_a_renamed_folder_renames_the_character_and_a_suggestion_accepts_all(place: Place) -> None:
    place.learn()
    (place.sorted / "ann").rename(place.sorted / "Anne")
    run = place.ready()
    assert run.lesson.renamed == [("ann", "Anne")]
    assert not run.lesson.references
    assert all(picture.placed.action == "none" for picture in run)
    assert Gallery.open(place.folder).characters == ["Anne", "bob"]
    assert undo(place.sorted).kept == {}
    assert Gallery.open(place.folder).characters == ["ann", "bob"]
    assert (place.sorted / "ann").is_dir()
    assert not (place.sorted / "Anne").exists()


def test_moved_files_are_found_by_the_gallery_where_they_lie(tmp_path: Path) -> None:
    place = Place(tmp_path, "move")
    place.learn(place.ticked({"digest": place.digest("cat0.png"), "character": "cat"}))
    gallery = Gallery.open(place.folder)
    assert [r.path for r in gallery.references if r.character == "cat"] == [place.sorted / "cat/cat0.png"]
    assert gallery.verify() == []


def test_what_nobody_filed_is_left_and_a_correction_of_nothing_is_told(place: Place) -> None:
    save(place.sorted / "ann/mine.png", drawing("ann", 99))
    run = place.ready(place.ticked({"digest": "0" * 40, "path": "lost.png", "character": "ann"}))
    list(run)
    assert "lost.png is not in" in run.problems[0]
    assert any("put there by no run" in note for note in run.notes)
    assert (place.sorted / "ann/mine.png").exists()


def test_what_cannot_be_learned_from_is_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was sorted"):
        prepare_learning(tmp_path / "refs", place.folder, reader=place.reader)
    with pytest.raises(InputError, match="no gallery"):
        prepare_learning(place.sorted, tmp_path / "none", reader=place.reader)
    place.move("cat0.png", "Ann")
    with pytest.raises(InputError, match="into the folder"):
        place.ready()
    for wrong in ({"digest": "a"}, [], {"kind": "comictool reid corrections", "version": 1, "corrections": [{}]}):
        (tmp_path / "c.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError):
            read_corrections(tmp_path / "c.json")


def _die_at(monkeypatch: pytest.MonkeyPatch, kind: object, name: str, left: list[int]) -> None:
    """End the process before the call at which `left`, of all such calls, is used up."""
    real = getattr(kind, name)

    def dying(*arguments: object, **options: object) -> object:
        left[0] -= 1
        if not left[0]:
            os._exit(9)
        return real(*arguments, **options)

    monkeypatch.setattr(kind, name, dying)


def test_killed_at_any_line_of_the_journal_and_run_again_it_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line before each action, and the gallery's own changes: a kill between any two leaves one way on."""
    first = Place(tmp_path / "place", "move")
    before = first.state()
    first.move("cat0.png", "cat")
    ticked = first.ticked({"digest": first.digest("bob0.png"), "character": "ann"})
    shutil.copytree(first.root, tmp_path / "kept")

    def begin_again() -> None:
        shutil.rmtree(first.root)
        shutil.copytree(tmp_path / "kept", first.root)

    first.learn(ticked)
    whole = first.state()
    begin_again()
    for moment in range(1, 60, 5):
        left = [moment]
        if (child := os.fork()) == 0:
            for kind, name in ((Journal, "_line"), (Gallery, "_change"), (os, "rename")):
                _die_at(monkeypatch, kind, name, left)
            try:
                first.learn(ticked)
            finally:
                os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            break
        first.learn(ticked)
        assert first.state() == whole, moment
        undo(first.sorted)
        assert first.state() == before, moment
        begin_again()
    assert moment > 20
