"""Comic files of each kind: recognised by content, pages in natural order, junk left out, bytes unchanged."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import py7zr
import pypdfium2
import pytest
from PIL import Image

from comictool.archives import seven_zip_files as seven_zip
from comictool.archives.external import extractors
from comictool.archives.opening import open_comic
from comictool.core.errors import InputError
from tests.archives.comic_files import make_tar, make_zip, opened, pages, picture

UNORDERED = {"page10.jpg": picture(10), "page2.jpg": picture(2), "Page1.JPG": picture(1)}
JUNK = {
    ".DS_Store": b"x",
    "__MACOSX/._page2.jpg": b"x",
    "._page2.jpg": b"x",
    "sub/.hidden.png": b"x",
    "Thumbs.db": b"x",
    "thumbnails/page2.jpg": b"x",
    "@eaDir/page2.jpg": b"x",
    "desktop.ini": b"x",
    "release.nfo": b"x",
    "notes.txt": b"x",
}


def seven_zip_file(path: Path, members: dict[str, bytes], password: str | None = None) -> Path:
    with py7zr.SevenZipFile(path, "w", password=password) as archive:
        for name, data in members.items():
            archive.writestr(data, name)
    return path


def check_three_pages(path: Path, kind: str, **how: str) -> None:
    with open_comic(path, **how) as comic:  # type: ignore[arg-type]
        assert comic.kind == kind
        assert [member.name for member in comic.members] == ["Page1.JPG", "page2.jpg", "page10.jpg"]
        assert [comic.read(member) for member in comic.members] == [picture(1), picture(2), picture(10)]
        assert [member.size for member in comic.members] == [len(picture(n)) for n in (1, 2, 10)]
        assert comic.problems == []


# The ending is wrong on purpose everywhere: only content counts.
def test_zip(tmp_path: Path) -> None:
    check_three_pages(make_zip(tmp_path / "a.cbr", UNORDERED | JUNK), "zip")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar(tmp_path: Path, mode: str) -> None:
    check_three_pages(make_tar(tmp_path / "a.cbz", UNORDERED | JUNK, mode), "tar")


def test_tar_in_the_oldest_format(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.cbt", "w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("1.jpg")
        info.size = len(picture(1))
        archive.addfile(info, io.BytesIO(picture(1)))
    data = bytearray((tmp_path / "a.cbt").read_bytes())
    data[257:265] = bytes(8)  # before 1988 there was no marker
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    (tmp_path / "a.cbt").write_bytes(data)
    with open_comic(tmp_path / "a.cbt") as comic:
        assert comic.read(comic.members[0]) == picture(1)


@pytest.mark.skipif("bsdtar" not in extractors(), reason="bsdtar is not installed")
def test_seven_zip_with_bsdtar(tmp_path: Path) -> None:
    check_three_pages(seven_zip_file(tmp_path / "a.cbz", UNORDERED | JUNK), "7z")


def test_seven_zip_with_py7zr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seven_zip, "extractors", dict)
    check_three_pages(seven_zip_file(tmp_path / "a.cb7", UNORDERED | JUNK), "7z")


def test_encrypted_seven_zip(tmp_path: Path) -> None:
    path = seven_zip_file(tmp_path / "a.cb7", UNORDERED, password="secret")
    check_three_pages(path, "7z", password="secret")
    with pytest.raises(InputError, match="encrypted 7z"), open_comic(path):
        pass
    with pytest.raises(InputError, match="wrong password"), open_comic(path, "guess"):
        pass


def test_solid_archives_leave_nothing_behind(tmp_path: Path) -> None:
    path = seven_zip_file(tmp_path / "a.cb7", UNORDERED)
    with open_comic(path, scratch=tmp_path / "scratch") as comic:
        assert comic.read(comic.members[0]) == picture(1)
        assert any((tmp_path / "scratch").iterdir())
    assert not any((tmp_path / "scratch").iterdir())


def test_folder_with_chapters_in_natural_order(tmp_path: Path) -> None:
    for name in ("Ch 10/1.jpg", "Ch 2/1.jpg", "Ch 2/__MACOSX/1.jpg", "00.jpg", "Ch 2/.thumbs/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture(1))
    with open_comic(tmp_path) as comic:
        assert [member.name for member in comic.members] == ["00.jpg", "Ch 2/1.jpg", "Ch 10/1.jpg"]
    with open_comic(tmp_path, nested=False) as comic:
        assert [member.name for member in comic.members] == ["00.jpg"]


@pytest.mark.parametrize(
    "names",
    [
        ["cover.jpg", "Chapter 1/001.jpg", "Chapter 2/cover.jpg", "Chapter 2/001.jpg"],
        ["Cover.jpg", "cover2.jpg", "!first.jpg", "001.jpg", "back cover.jpg", "discover.jpg"],
        ["X v01 - cover.jpg", "X v01 - 001.jpg", "X v02 - cover.jpg", "X v02 - 001.jpg"],
        ["表紙.jpg", "001.jpg", "裏表紙.jpg"],
        ["ｆｒｏｎｔ.jpg", "1.jpg"],
        ["00.jpg", "intro.jpg", "Chapter 1/001.jpg"],
    ],
)
def test_covers_and_pictures_beside_chapters_come_first(tmp_path: Path, names: list[str]) -> None:
    """4C.15."""
    path = make_zip(tmp_path / "a.cbz", {name: picture(1) for name in sorted(names)})
    with open_comic(path) as comic:
        assert [member.name for member in comic.members] == names


def test_single_picture(tmp_path: Path) -> None:
    (tmp_path / "strip.png").write_bytes(picture(3, kind="PNG"))
    with open_comic(tmp_path / "strip.png") as comic:
        assert comic.kind == "image"
        assert comic.read(comic.members[0]) == picture(3, kind="PNG")


def test_last_of_several_members_of_one_name_counts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.cbz", "w") as archive:
        archive.writestr("1.jpg", picture(1))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("1.jpg", picture(2))
    with open_comic(tmp_path / "a.cbz") as comic:
        assert [comic.read(member) for member in comic.members] == [picture(2)]


def make_pdf(path: Path, *sizes: tuple[int, int], resolution: float = 72.0) -> Path:
    sheets = [opened(picture(n, size)) for n, size in enumerate(sizes)]
    sheets[0].save(path, "PDF", save_all=True, append_images=sheets[1:], resolution=resolution, quality=90)
    return path


def test_pdf_page_that_is_one_jpeg_gives_that_jpeg(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.cbz", (300, 400), (200, 250))
    with open_comic(path) as comic:
        first = comic.read(comic.members[0])
        assert comic.kind == "pdf"
        assert first.startswith(b"\xff\xd8")
        assert first in path.read_bytes()
        assert [opened(comic.read(member)).size for member in comic.members] == [(300, 400), (200, 250)]


def test_turned_pdf_page_is_drawn_upright(tmp_path: Path) -> None:
    document = pypdfium2.PdfDocument(make_pdf(tmp_path / "a.pdf", (300, 400), resolution=300.0))
    document[0].set_rotation(90)
    document.save(tmp_path / "turned.pdf")
    with open_comic(tmp_path / "turned.pdf") as comic:
        drawn = opened(comic.read(comic.members[0]))
    # Drawn at the 300 dots per inch of its picture.
    assert drawn.size == (400, 300)
    expected = opened(picture(0, (300, 400))).transpose(Image.Transpose.ROTATE_270)
    for point in ((20, 20), (380, 20), (20, 280), (380, 280)):
        seen, meant = drawn.getpixel(point), expected.getpixel(point)
        assert isinstance(seen, tuple)
        assert isinstance(meant, tuple)
        assert max(abs(a - b) for a, b in zip(seen, meant, strict=True)) < 20


def test_cut_pdf_page_shows_only_what_the_page_shows(tmp_path: Path) -> None:
    document = pypdfium2.PdfDocument(make_pdf(tmp_path / "a.pdf", (300, 400)))
    document[0].set_cropbox(0, 200, 300, 400)
    document.save(tmp_path / "cut.pdf")
    with open_comic(tmp_path / "cut.pdf") as comic:
        width, height = opened(comic.read(comic.members[0])).size
    assert (width, height) == (300, 200)  # the pixels of its picture, those of the part


def test_extractors_are_named() -> None:
    assert set(extractors()) <= {"unar", "bsdtar", "py7zr"}
    assert "py7zr" in extractors()


def test_pages_helper_makes_different_pictures() -> None:
    assert len(set(pages(5).values())) == 5
