"""Configurations of the older program, and hostile ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comictool.core.errors import InputError, UsageError
from comictool.reid.configuration import folder_names, read_config, reference_pictures
from tests.reid.drawings import cast


def write(folder: Path, text: object) -> Path:
    file = folder / "refs.json"
    file.write_text(text if isinstance(text, str) else json.dumps(text), "utf-8")
    return file


@pytest.mark.parametrize(
    "value", [{"ann": "ann", "bob": ["bob", "cat/1.png"]}, [["ann", "ann"], ["bob", ["bob", "cat/1.png"]]]]
)
def test_objects_and_lists_of_pairs_are_taken_from_the_files_own_folder(
    tmp_path: Path, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(cast(tmp_path / "here"), value)
    monkeypatch.chdir(tmp_path)
    config = read_config(file)
    assert list(config) == ["ann", "bob"]
    pictures = reference_pictures(config)
    assert [path.name for path in pictures["ann"]] == ["1.png", "2.png", "3.png", "4.png"]
    assert pictures["bob"][-1] == tmp_path / "here" / "cat" / "1.png"


def test_a_folder_of_folders_is_a_configuration(tmp_path: Path) -> None:
    assert list(read_config(cast(tmp_path))) == ["ann", "bob", "cat"]


@pytest.mark.parametrize("name", ["../esc", "/etc/passwd", "CON", "名前 🐱", "a" * 300, "..", "a/b", "-rf", "x\u2028y"])
def test_odd_names_are_labels_and_their_folders_stay_inside(tmp_path: Path, name: str) -> None:
    file = write(cast(tmp_path), {name: "ann", "bob": "bob"})
    assert list(read_config(file)) == [name, "bob"]
    folder = folder_names([name])[name]
    assert (tmp_path / "out" / folder).resolve().parent == (tmp_path / "out").resolve()
    assert folder not in (".", "..")
    assert len(folder.encode()) <= 255
    (tmp_path / "out" / folder).mkdir(parents=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"ann": "ann", "ann": "bob"}', "occurs twice"),
        ('{"ann": 3}', "not a text"),
        ('{"ann": {"in": "ann"}}', "not a text"),
        ('{"ann": []}', "has no folder"),
        ('{"": "ann"}', "is empty"),
        ('{"a\\u0000b": "ann"}', "control characters"),
        ('{"a\\ud800": "ann"}', "no valid text"),
        ('[["ann", "ann"], [3, "bob"]]', "not a text"),
        ('["ann"]', "neither an object nor a list of pairs"),
        ("{}", "names no character"),
        ("3", "neither"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"ann": "gone"}', "does not exist"),
        ('{"ann": "a\\u0000"}', "not a text"),
        ('{"' + "n" * 2000 + '": "ann"}', "characters, at most"),
        ('{"ann": "' + "d" * 5000 + '"}', "does not exist"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_config(write(cast(tmp_path), text))
    assert len(str(caught.value)) < 2500


def test_not_utf8_and_missing_files_are_said(tmp_path: Path) -> None:
    (tmp_path / "refs.json").write_bytes(b'{"\xff": 1}')
    with pytest.raises(InputError, match="not UTF-8"):
        read_config(tmp_path / "refs.json")
    with pytest.raises(InputError, match="does not exist"):
        read_config(tmp_path / "none.json")


def test_characters_that_would_share_a_folder_are_refused() -> None:
    with pytest.raises(UsageError, match="'a/b' and 'A_b'"):
        folder_names(["a/b", "A_b"])


def test_a_character_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    config = read_config(write(cast(tmp_path), {"nobody": "empty"}))
    with pytest.raises(InputError, match="no pictures of 'nobody'"):
        reference_pictures(config)


def test_what_sorting_left_undecided_is_no_character(tmp_path: Path) -> None:
    for name in ("ann", "unknown", "ambiguous", "suggestions"):
        (tmp_path / name).mkdir()
    notes: list[str] = []
    assert list(read_config(tmp_path, notes)) == ["ann"]
    assert "could not name" in notes[0]


def test_paths_that_are_not_beside_the_file_are_taken_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F16: the older program took them all from there."""
    cast(tmp_path / "here/refs")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert read_config(write(tmp_path / "there", {"ann": "refs/ann"})) == {"ann": [Path("refs/ann")]}
