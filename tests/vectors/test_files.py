"""Which pictures a user means."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from comictool.core.errors import InputError
from comictool.vectors.files import find_pictures


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_any_depth_and_every_ending_in_natural_order(tmp_path: Path) -> None:
    names = ["p2.png", "p10.jpeg", "a/b/c/deep.WEBP", "x.gif", "x.txt", ".hidden.png", ".git/in.png"]
    for name in names:
        touch(tmp_path / name)
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures([tmp_path])]
    assert found == ["p2.png", "p10.jpeg", "x.gif", "a/b/c/deep.WEBP"]


def test_brackets_and_stars_in_folder_names_mean_themselves(tmp_path: Path) -> None:
    file = touch(tmp_path / "[group] name*?" / "1.png")
    touch(tmp_path / "g" / "2.png")
    assert find_pictures([file.parent]) == [file]


def test_named_files_count_whatever_their_ending_and_only_once(tmp_path: Path) -> None:
    odd, plain = touch(tmp_path / "scan"), touch(tmp_path / "in" / "1.png")
    assert find_pictures([odd, plain, tmp_path / "in", tmp_path / "in" / ".." / "in"]) == [odd, plain]


def test_links_to_folders_are_not_followed_in_circles(tmp_path: Path) -> None:
    file = touch(tmp_path / "1.png")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert find_pictures([tmp_path]) == [file]


def test_a_missing_target_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_pictures([tmp_path / "nowhere"])


@pytest.mark.skipif(sys.platform != "linux", reason="only there may names be any bytes")
def test_names_that_are_no_text_are_reported_and_left_out(tmp_path: Path) -> None:
    good = touch(tmp_path / "1.png")
    with open(os.fsencode(tmp_path) + b"/\xff.png", "wb"):
        pass
    problems: list[str] = []
    assert find_pictures([tmp_path], problems) == [good]
    assert len(problems) == 1
    assert "not valid UTF-8" in problems[0]
    problems[0].encode("utf-8")  # can itself be printed
