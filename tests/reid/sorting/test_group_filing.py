"""`reid cluster -o`, `reid name`: groups are folders, a name is given once, and all can be taken back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from comictool.core.errors import InputError, UsageError
from comictool.reid.configuration import folder_names, read_config
from comictool.reid.gallery import Gallery
from comictool.reid.reader import PictureReader
from comictool.reid.sorting.actions import Sorter, SortOptions
from comictool.reid.sorting.group_filing import GroupingRun, name_group, prepare_grouping
from comictool.reid.sorting.learning import prepare_learning
from comictool.reid.sorting.undoing import undo
from tests.reid.drawings import cast
from tests.reid.sorting.world import tree


@pytest.fixture
def place(tmp_path: Path) -> Path:
    cast(tmp_path / "pictures", ("ann", "bob", "cat"), 3)
    return tmp_path


def grouping(place: Path, action: str = "move", **how: object) -> GroupingRun:
    reader = PictureReader(cache=place / "cache", jobs=1)
    return prepare_grouping([place / "pictures"], place / "groups", SortOptions(action), reader, groups=3, **how)  # type: ignore[arg-type]


def told(place: Path) -> dict[str, tuple[str | None, set[str]]]:
    groups = json.loads((place / "groups/groups.json").read_text())["groups"]
    return {g["folder"]: (g["name"], {Path(p["path"]).parent.name for p in g["pictures"]}) for g in groups}


def test_groups_become_folders_and_what_is_named_makes_a_gallery(place: Path) -> None:
    before = tree(place / "pictures")
    list(grouping(place))
    assert [name for name, _ in told(place).values()] == [None] * 3
    whose = {min(shown): folder for folder, (_, shown) in told(place).items()}
    assert sorted(whose) == ["ann", "bob", "cat"], "so many as were asked for, and each of one character"
    notes: list[str] = []
    with pytest.raises(InputError, match="no folders"):
        read_config(place / "groups", notes)
    assert "could not name" in notes[0], "a group without a name is no character"
    assert name_group(place / "groups" / whose["ann"], "Ann / A.") == 3
    (place / "groups" / whose["bob"]).rename(place / "groups/Bob")
    folder = folder_names(["Ann / A."])["Ann / A."]
    assert told(place)[folder] == ("Ann / A.", {"ann"})
    run = prepare_learning(place / "groups", place / "gallery", reader=PictureReader(cache=place / "cache", jobs=1))
    assert {picture.placed.action for picture in run} == {"none"}, "groups without a name stay together"
    gallery = Gallery.open(place / "gallery")
    assert {(r.character, r.path.parent.name) for r in gallery.references} == {("Ann / A.", folder), ("Bob", "Bob")}
    assert len(gallery.references) == 6
    assert told(place)["Bob"] == ("Bob", {"bob"})
    for _ in range(3):
        assert undo(place / "groups").kept == {}
    assert tree(place / "pictures").keys() == before.keys()
    assert not (place / "groups").exists()
    assert not (place / "gallery").exists(), "it was made by learning"


def test_names_are_taken_back_one_by_one(place: Path) -> None:
    list(grouping(place, "copy"))
    state = tree(place / "groups")
    name_group(place / "groups/group-0", "Ann")
    name_group(place / "groups/group-1", "Ann")
    assert len(told(place)["Ann"][1]) == 2, "two groups of one character"
    assert undo(place / "groups").kept == {}
    assert undo(place / "groups").kept == {}
    assert {p: f[:2] for p, f in tree(place / "groups").items() if ".reid" not in p} == {
        p: f[:2] for p, f in state.items() if ".reid" not in p
    }
    with pytest.raises(InputError, match="no group"):
        name_group(place / "groups/group-7", "Ann")
    with pytest.raises(InputError, match="no group"):
        name_group(place / "pictures/ann", "Ann")
    with pytest.raises(InputError, match="control"):
        name_group(place / "groups/group-0", "a\nb")


@pytest.mark.parametrize("moment", [1, 4, 9])
def test_a_killed_run_is_resumed_by_what_it_had_found(
    place: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """A move takes the pictures away from which the groups came: the journal has the plan."""
    if (child := os.fork()) == 0:
        left, real = [moment], Sorter._carry_out

        def dying(self: Sorter, entry: object) -> None:
            left[0] -= 1
            if not left[0]:
                os._exit(9)
            real(self, entry)  # type: ignore[arg-type]

        monkeypatch.setattr(Sorter, "_carry_out", dying)
        try:
            list(grouping(place))
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] != 0
    done = list(grouping(place))
    assert len(done) == 9
    assert {len(shown) for _, shown in told(place).values()} == {1}
    assert undo(place / "groups").kept == {}
    assert len(list((place / "pictures").rglob("*.png"))) == 9


def test_how_many_groups_is_said_once(place: Path) -> None:
    with pytest.raises(UsageError, match="both say"):
        grouping(place, threshold=0.5)
    with pytest.raises(UsageError, match="hdbscan"):
        grouping(place, method="hdbscan")
    assert len({m.group for m, _ in grouping(place, dry_run=True)}) == 3
    assert not (place / "groups").exists()
