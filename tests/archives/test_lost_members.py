"""4A.3: no member of an archive or folder that may be a page goes without a word."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import py7zr
import pytest

from comictool.archives import seven_zip_files as seven_zip
from comictool.archives.opening import open_comic
from comictool.core.errors import InputError
from tests.archives.comic_files import make_tar, make_zip, pages, picture
from tests.archives.odd_files import Entry, Stored, write_rar, write_zip

Members = dict[str, bytes]


def make_7z(path: Path, members: Members) -> Path:
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(data, name)
    return path


def make_rar(path: Path, members: Members) -> Path:
    return write_rar(path, [Stored(name, data) for name, data in members.items()])[0]


def make_folder(path: Path, members: Members) -> Path:
    for name, data in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def make_tar_gz(path: Path, members: Members) -> Path:
    return make_tar(path, members, "w:gz")


KINDS: list[Callable[[Path, Members], Path]] = [make_zip, make_tar, make_tar_gz, make_7z, make_rar, make_folder]
every_kind = pytest.mark.parametrize("make", KINDS)


def found(path: Path) -> tuple[dict[str, bytes | str], list[str]]:
    """Pages by name, or why they cannot be read, and the problems."""
    out: dict[str, bytes | str] = {}
    with open_comic(path) as comic:
        for member in comic.members:
            try:
                out[member.name] = comic.read(member)
            except InputError as error:
                out[member.name] = error.fact
        return out, comic.problems


@every_kind
def test_pages_without_a_telling_ending_are_pages(tmp_path: Path, make: Callable[[Path, Members], Path]) -> None:
    members = {"001.jpg": picture(1), "002": picture(2), "003.jpg_large": picture(3), "scan.004": picture(4)}
    others = {"README": b"words", "data.bin": b"\0\1", "notes.txt": picture(9), "001.jpg.bak": picture(1), "empty": b""}
    read, problems = found(make(tmp_path / "a", {**members, **others}))
    assert (read, problems) == (members, [])


@every_kind
def test_drawings_and_inner_comics_are_told(tmp_path: Path, make: Callable[[Path, Members], Path]) -> None:
    inner = make_zip(tmp_path / "inner", pages(1)).read_bytes()
    members = {"1.jpg": picture(1), "2.svg": b"<svg/>", "3.psd": b"8BPS", "1.kra": b"source of 1.jpg"}
    books = {"a.cbz": inner, "b.pdf": b"%PDF-", "c.epub": inner}
    junk = {"Thumbs.db": b"x", "__MACOSX/x.svg": b"x", ".DS_Store": b"x", "x.nfo": b"x", "x.html": b"x", "x.xml": b"x"}
    read, problems = found(make(tmp_path / "a", {**members, **books, **junk}))
    assert set(read) == {"1.jpg", "2.svg", "3.psd"}
    if make is not make_folder:  # in a folder they are comics of their own
        assert [line.split(":")[0] for line in problems] == list(books)


TWICE = [("1.jpg", picture(1)), ("2.jpg", picture(2)), ("2.jpg", picture(3)), ("1.jpg", picture(1))]


def zip_of_twice(path: Path) -> None:
    write_zip(path, [Entry(name.encode(), data) for name, data in TWICE])


def tar_of_twice(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in TWICE:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def rar_of_twice(path: Path) -> None:
    write_rar(path, [Stored(name, data) for name, data in TWICE])


def seven_zip_of_twice(path: Path) -> None:
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, data in TWICE:
            archive.writestr(data, name)


@pytest.mark.parametrize("make", [zip_of_twice, tar_of_twice, rar_of_twice, seven_zip_of_twice])
@pytest.mark.parametrize("library", ["bsdtar", "py7zr"])
def test_earlier_members_of_one_name_are_told_when_they_differ(
    tmp_path: Path, make: Callable[[Path], None], library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if library == "py7zr":
        monkeypatch.setattr(seven_zip, "extractors", dict)
    make(tmp_path / "a")
    read, problems = found(tmp_path / "a")
    assert read == {"1.jpg": picture(1), "2.jpg": picture(3)}
    assert [line.split(":")[0] for line in problems] == ["2.jpg"]


def test_links_inside_an_archive_lead_to_its_members(tmp_path: Path) -> None:
    """Hard links of tar, symbolic links of tar and zip; nothing outside is ever read."""
    links = [("2.jpg", tarfile.LNKTYPE, "d/1.jpg"), ("d/3.jpg", tarfile.SYMTYPE, "../d/1.jpg")]
    links += [
        ("4.jpg", tarfile.SYMTYPE, "2.jpg"),
        ("5.jpg", tarfile.SYMTYPE, "5.jpg"),
        ("6.jpg", tarfile.SYMTYPE, "/d/1.jpg"),
    ]
    members: dict[str, bytes | tarfile.TarInfo] = {"d/1.jpg": picture(1)}
    for name, kind, target in links:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        members[name] = info
    for mode in ("w", "w:gz"):
        read, problems = found(make_tar(tmp_path / "a.cbt", members, mode))
        assert read == dict.fromkeys(["2.jpg", "4.jpg", "d/1.jpg", "d/3.jpg"], picture(1))
        assert [line.split(":")[0] for line in problems] == ["5.jpg", "6.jpg"]
    entries = [
        Entry(b"d/1.jpg", picture(1)),
        Entry(b"d/2.jpg", b"1.jpg", mode=0o120777),
        Entry(b"3.jpg", b"x", mode=0o120777),
    ]
    read, problems = found(write_zip(tmp_path / "a.cbz", entries))
    assert read == {"d/1.jpg": picture(1), "d/2.jpg": picture(1)}
    assert problems == ["3.jpg: it leads to no file in here; links are not followed"]


def test_dead_links_and_linked_folders_in_a_folder_are_told(tmp_path: Path) -> None:
    book = make_folder(tmp_path / "book", {"1.jpg": picture(1), "Ch 1/1.jpg": picture(2)})
    other = make_folder(tmp_path / "other", {"1.jpg": picture(3)})
    os.symlink("nowhere.jpg", book / "2.jpg")
    os.symlink(other, book / "Ch 2")
    os.symlink(other / "1.jpg", book / "3.jpg")
    read, problems = found(book)
    assert read == {"1.jpg": picture(1), "3.jpg": picture(3), "Ch 1/1.jpg": picture(2)}
    assert [line.split(":")[0] for line in problems] == ["2.jpg", "Ch 2"]


def test_encrypted_and_unknown_members_are_told(tmp_path: Path) -> None:
    entries = [
        Entry(b"1.jpg", picture(1)),
        Entry(b"2.jpg", picture(2), flags=1),
        Entry(b"3.jpg", picture(3), method=77),
    ]
    read, _ = found(write_zip(tmp_path / "a.cbz", [*entries, Entry(b"004", picture(4), flags=1)]))
    assert read == {
        "1.jpg": picture(1),
        "2.jpg": "encrypted: it needs a password",
        "3.jpg": "packed with method 77, which cannot be unpacked here",
    }
    assert "004: perhaps a page: encrypted" in found(tmp_path / "a.cbz")[1][0]


def test_names_of_a_tar_from_before_unicode(tmp_path: Path) -> None:
    """4C.13, in another container."""
    names = ["第１話/１０.jpg", "第１話/２.jpg", "表紙.jpg"]
    with tarfile.open(tmp_path / "a.cbt", "w", format=tarfile.GNU_FORMAT, encoding="cp932") as archive:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = len(picture(number))
            archive.addfile(info, io.BytesIO(picture(number)))
    assert list(found(tmp_path / "a.cbt")[0]) == ["表紙.jpg", "第１話/２.jpg", "第１話/１０.jpg"]


@pytest.mark.parametrize("library", ["bsdtar", "py7zr"])
def test_odd_names_in_7z(tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """4B.12, and 6.4: a scratch folder that is given relative to the working one."""
    if library == "py7zr":
        monkeypatch.setattr(seven_zip, "extractors", dict)
    monkeypatch.chdir(tmp_path)
    names = ["Chapter 1: Start/1.jpg", "a\\b.jpg", "C:/c.jpg", 'q?"<>|*.jpg', "con.jpg", " d.jpg ", "話.jpg"]
    members = {name: picture(number) for number, name in enumerate(names)}
    make_7z(tmp_path / "a.cb7", members)
    with open_comic(tmp_path / "a.cb7", scratch=Path("scratch")) as comic:
        assert sorted(comic.read(member) for member in comic.members) == sorted(members.values())
        assert comic.problems == []
