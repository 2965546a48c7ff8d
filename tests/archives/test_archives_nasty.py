"""Damaged and hostile comic files: one clear sentence, the good pages kept, nothing followed, bounded."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import py7zr
import pytest

from comictool.archives.external import extractors, running
from comictool.archives.limits import Limits
from comictool.archives.members import printable
from comictool.archives.opening import open_comic
from comictool.core.errors import InputError
from tests.archives.comic_files import make_tar, make_zip, pages, picture

SMALL = Limits(entries=50, member_bytes=100_000, total_bytes=400_000, free_bytes=50_000, ratio=20)


def refusal(path: Path, **how: object) -> str:
    with pytest.raises(InputError) as caught, open_comic(path, **how):  # type: ignore[arg-type]
        pass
    return caught.value.fact


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty (0 bytes)"),
        (b"<!DOCTYPE html><html>Not found</html>", "a web page"),
        (b"just words\n" * 9, "not a comic file"),
        (b"Rar!\x1a\x07\x01\x00" + b"\x00" * 40, "no page|damaged|empty archive"),
        (b"Rar!\x1a\x07\x00" + b"\xff" * 40, "damaged|empty archive"),
        (b"7z\xbc\xaf\x27\x1c" + b"\x00" * 60, "damaged|cannot be unpacked|empty"),
        (b"%PDF-1.7\nnothing", "damaged"),
        (b"\x1f\x8b\x08\x00" + b"\x00" * 20, "damaged"),
        (b"PK\x03\x04" + b"\x00" * 50, "damaged|no pictures"),
    ],
)
def test_files_that_are_no_comics(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "a.cbz").write_bytes(data)
    with (
        pytest.raises(InputError, match=sentence.replace("(", r"\(").replace(")", r"\)")),
        open_comic(tmp_path / "a.cbz"),
    ):
        pass


def test_nothing_inside(tmp_path: Path) -> None:
    assert refusal(make_zip(tmp_path / "a.cbz", {})) == "an empty archive"
    assert "no pictures" in refusal(make_zip(tmp_path / "b.cbz", {"readme.txt": b"x"}))
    inner = make_zip(tmp_path / "c.cbz", pages(1)).read_bytes()
    assert "1 comic file(s)" in refusal(make_zip(tmp_path / "d.cbz", {"inner.cbz": inner}))
    assert "hidden" in refusal(make_zip(tmp_path / "e.cbz", {"__MACOSX/1.jpg": b"x"}))
    (tmp_path / "folder").mkdir()
    assert "no pictures" in refusal(tmp_path / "folder")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.cbz")
    assert refusal(tmp_path / "a.cbz") == "neither a file nor a folder"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_that_was_cut_off_gives_its_first_pages(tmp_path: Path, method: int) -> None:
    whole = make_zip(tmp_path / "a.cbz", pages(4), method).read_bytes()
    (tmp_path / "b.cbz").write_bytes(whole[: whole.rfind(b"PK\x03\x04") + 100])
    with open_comic(tmp_path / "b.cbz") as comic:
        assert "table of contents is missing" in comic.problems[0]
        assert [comic.read(member) for member in comic.members[:3]] == list(pages(3).values())
        with pytest.raises(InputError, match="cut off"):
            comic.read(comic.members[3])


def test_streamed_zip_that_was_cut_off(tmp_path: Path) -> None:
    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *place: int) -> int:
            raise OSError("a pipe")

        def tell(self) -> int:
            raise OSError("a pipe")

    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:  # sizes follow the data
        for name, data in pages(3).items():
            archive.writestr(name, data)
    whole = stream.getvalue()
    (tmp_path / "a.cbz").write_bytes(whole[: whole.rfind(b"PK\x03\x04") + 60])
    with open_comic(tmp_path / "a.cbz") as comic:
        assert [comic.read(member) for member in comic.members] == list(pages(2).values())


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tar_that_was_cut_off_gives_its_first_pages(tmp_path: Path, mode: str) -> None:
    noise = {f"{n}.bmp": os.urandom(30_000) for n in range(4)}
    whole = make_tar(tmp_path / "a.cbt", noise, mode).read_bytes()
    (tmp_path / "b.cbt").write_bytes(whole[: len(whole) * 6 // 10])
    with open_comic(tmp_path / "b.cbt") as comic:
        assert [comic.read(member) for member in comic.members[:2]] == list(noise.values())[:2]
        if mode == "w:gz":
            assert "cut off" in comic.problems[0]
        else:
            with pytest.raises(InputError, match="cut off"):
                comic.read(comic.members[2])


def test_tar_with_a_damaged_header_or_without_an_end(tmp_path: Path) -> None:
    """Either looks like the end of the archive to tarfile."""
    whole = make_tar(tmp_path / "a.cbt", pages(3)).read_bytes()
    second, third = whole.index(b"page2.jpg"), whole.index(b"page3.jpg")
    damaged = whole[:second] + b"Page2.jpg" + whole[second + 9 :]
    for name, data, count in (("b.cbt", damaged, 1), ("c.cbt", whole[:third], 2)):
        (tmp_path / name).write_bytes(data)
        with open_comic(tmp_path / name) as comic:
            assert len(comic.members) == count
            assert comic.problems == ["damaged or cut off: there is no end mark; the pages before that point are read"]


@pytest.mark.skipif("bsdtar" not in extractors(), reason="bsdtar is not installed")
def test_damaged_seven_zip_gives_its_first_pages(tmp_path: Path) -> None:
    # Half a byte of noise in each: what has to be decompressed, so that the decoder trips over the damage.
    noise = {f"{n}.bmp": bytes(value & 15 for value in os.urandom(200_000)) for n in range(4)}
    with py7zr.SevenZipFile(tmp_path / "a.cb7", "w") as archive:
        for name, data in noise.items():
            archive.writestr(data, name)
    whole = bytearray((tmp_path / "a.cb7").read_bytes())
    middle = len(whole) * 6 // 10
    whole[middle : middle + 40] = bytes(40)
    (tmp_path / "a.cb7").write_bytes(whole)
    with open_comic(tmp_path / "a.cb7", scratch=tmp_path / "scratch") as comic:
        assert [comic.read(member) for member in comic.members[:2]] == list(noise.values())[:2]
        assert "damaged" in " ".join(comic.problems)
    assert not list((tmp_path / "scratch").iterdir())


def test_damaged_member_costs_only_itself(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.cbz", pages(3))
    path.write_bytes(path.read_bytes().replace(picture(2)[-60:-2], bytes(58)))
    with open_comic(path) as comic:
        assert comic.read(comic.members[0]) == picture(1)
        with pytest.raises(InputError, match="damaged in the archive"):
            comic.read(comic.members[1])
        assert comic.read(comic.members[2]) == picture(3)


def test_zip_bomb_member_and_total(tmp_path: Path) -> None:
    members = {"1.jpg": picture(1), "2.bmp": bytes(90_000), "3.bmp": bytes(5_000_000)}
    with open_comic(make_zip(tmp_path / "a.cbz", members, zipfile.ZIP_DEFLATED), limits=SMALL) as comic:
        assert comic.read(comic.members[0]) == picture(1)
        with pytest.raises(InputError, match="zip bomb"):
            comic.read(comic.members[1])
        with pytest.raises(InputError, match="more than the 100,000 allowed"):
            comic.read(comic.members[2])
    many = {f"{n}.bmp": bytes(90_000) for n in range(30)}
    assert "zip bomb" in refusal(make_zip(tmp_path / "b.cbz", many, zipfile.ZIP_DEFLATED), limits=SMALL)
    assert "60 entries" in refusal(make_zip(tmp_path / "c.cbz", {f"{n}.jpg": b"" for n in range(60)}), limits=SMALL)


def test_zip_whose_declared_size_lies(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.cbz", {"1.bmp": bytes(50_000)}, zipfile.ZIP_DEFLATED)
    data = path.read_bytes().replace(struct.pack("<I", 50_000), struct.pack("<I", 500))
    path.write_bytes(data)
    with open_comic(path) as comic, pytest.raises(InputError, match=r"damaged|larger"):
        comic.read(comic.members[0])


def test_compressed_tar_bomb(tmp_path: Path) -> None:
    make_tar(tmp_path / "a.cbt", {f"{n}.bmp": bytes(90_000) for n in range(40)}, "w:gz")
    with open_comic(tmp_path / "a.cbt", limits=SMALL) as comic:
        assert "zip bomb" in comic.problems[0]
        assert len(comic.members) < 5


def test_tar_header_that_would_fill_the_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 3_000_000_000
    with gzip.open(tmp_path / "a.cbt", "wb") as stream:
        stream.write(info.tobuf(tarfile.USTAR_FORMAT) + bytes(10_000))
    assert "impossible size" in refusal(tmp_path / "a.cbt")


def test_links_and_devices_are_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(picture(9))
    members: dict[str, bytes | tarfile.TarInfo] = {"1.jpg": picture(1)}
    kinds = {"2.jpg": tarfile.SYMTYPE, "3.jpg": tarfile.LNKTYPE, "4.jpg": tarfile.CHRTYPE, "5.jpg": tarfile.FIFOTYPE}
    for name, kind in kinds.items():
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, str(secret)
        members[name] = info
    with open_comic(make_tar(tmp_path / "a.cbt", members)) as comic:
        assert [member.name for member in comic.members] == ["1.jpg"]
        assert [line.split(":")[0] for line in comic.problems] == list(kinds)
    link = zipfile.ZipInfo("2.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.cbz", "w") as archive:
        archive.writestr("1.jpg", picture(1))
        archive.writestr(link, str(secret))
    with open_comic(tmp_path / "a.cbz") as comic:
        assert [member.name for member in comic.members] == ["1.jpg"]
        assert "links are not followed" in comic.problems[0]


def test_hostile_names_are_only_names(tmp_path: Path) -> None:
    names = ["../../outside.jpg", "/abs.jpg", "C:\\con.jpg", "a\x1b[31m.jpg", "..\\..\\w.jpg", "nul.jpg", "-rf.jpg"]
    for maker, file in ((make_zip, "a.cbz"), (make_tar, "a.cbt")):
        path = maker(tmp_path / file, {name: picture(n) for n, name in enumerate(names)})  # type: ignore[operator]
        before = set(tmp_path.rglob("*"))
        with open_comic(path) as comic:
            assert sorted(comic.read(m) for m in comic.members) == sorted(picture(n) for n in range(len(names)))
        assert set(tmp_path.rglob("*")) == before
    assert printable("a\x1b[31m\n\u202egpj.exe") == "a?[31m??gpj.exe"
    assert len(printable("x" * 5000)) < 130


def test_entity_bomb_in_comic_info_leaves_the_pages(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><ComicInfo><Title>&b;</Title></ComicInfo>'
    with open_comic(make_zip(tmp_path / "a.cbz", {"ComicInfo.xml": bomb, **pages(2)})) as comic:
        assert len(comic.members) == 2
        assert comic.comic_info is None
        assert "entities" in comic.problems[0]


def test_program_that_hangs_is_killed() -> None:
    begin = time.monotonic()
    with pytest.raises(InputError, match="took longer"), running(["sleep", "30"], seconds=0.2) as sleep:
        assert sleep.output.read() == b""
    assert time.monotonic() - begin < 10


def test_program_that_fails_says_why() -> None:
    with running(["ls", "--", "/nonexistent-folder"], seconds=10) as listing:
        assert "nonexistent-folder" in listing.complaint()
