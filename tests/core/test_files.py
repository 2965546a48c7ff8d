from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from comictool.core.files import atomic_file, is_inside, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "a" / "facts.json"
    write_json(target, {"kept": True})

    def write_half() -> None:
        with atomic_file(target) as stream:
            stream.write(b"{")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_half()
    assert target.read_text() == '{\n  "kept": true\n}\n'
    assert [f.name for f in target.parent.iterdir()] == ["facts.json"]


def test_files_get_the_mode_that_the_umask_allows(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "é")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o666 & ~mask
    assert (tmp_path / "x").read_bytes() == "é".encode()


def test_a_full_name_still_leaves_room_for_the_temporary_one(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 250), "text")
    assert (tmp_path / ("n" * 250)).exists()


def test_is_inside_sees_through_dots_and_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "way-out").symlink_to(tmp_path)
    assert is_inside(root / "a" / "b", root)
    assert not is_inside(root / ".." / "b", root)
    assert not is_inside(root / "way-out" / "b", root)


def test_errors_name_the_file_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory") as refused:
        write_text(tmp_path / "folder", "x")
    assert refused.value.filename == str(tmp_path / "folder")
    with pytest.raises(FileNotFoundError) as other, atomic_file(tmp_path / "out"):
        (tmp_path / "source").read_bytes()
    assert other.value.filename == str(tmp_path / "source")


def test_names_that_are_no_utf8_survive_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"bad\xff\xfe.cbz")
    write_json(tmp_path / "facts.json", {"source": name})
    assert json.loads((tmp_path / "facts.json").read_text("utf-8")) == {"source": name}
