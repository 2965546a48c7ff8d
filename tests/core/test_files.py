from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from comictool.core.errors import InputError
from comictool.core.files import atomic_file, is_inside, read_json, replaced_folder, write_json, write_text


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


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"{", "not JSON"), (b"\xff", "not UTF-8"), (b"[" * 100_000, "nested too deeply"), (b"1" * 10_000, "not JSON")],
)
def test_every_damaged_json_file_is_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_json(tmp_path / "a.json", hint="make it again")
    assert words in f"{caught.value.fact}: {caught.value.cause}"
    assert caught.value.hint == "make it again"


def test_a_json_file_is_bounded_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    with pytest.raises(InputError, match="more than the 8 bytes"):
        read_json(tmp_path / "a.json", most_bytes=8)
    assert read_json(tmp_path / "a.json") == [1, 2, 3]
    assert read_json(tmp_path / "b.json", default=None) is None
    with pytest.raises(InputError, match="does not exist"):
        read_json(tmp_path / "b.json")


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with replaced_folder(target) as new:
        (new / "a").write_text("1")

    def fail_half_way() -> None:
        with replaced_folder(target) as new:
            (new / "a").write_text("2")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert (target / "a").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    # a kill between the two renames
    target.rename(tmp_path / ".model.old.partial")
    with replaced_folder(target) as new:
        assert (target / "a").read_text() == "1"
        (new / "a").write_text("3")
    assert (target / "a").read_text() == "3"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
