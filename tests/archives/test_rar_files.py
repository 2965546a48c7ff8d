"""RAR: references between members, archives in several parts, and a program in front."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from comictool.archives import rar_files
from comictool.archives.external import extractors
from comictool.archives.finding import ComicSource, find_comics
from comictool.archives.opening import open_comic
from comictool.core.errors import InputError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.following import state_of_source
from comictool.corpus.importing.job import import_comics
from tests.archives.comic_files import make_zip, pages, picture
from tests.archives.odd_files import Stored, write_rar

PLAIN = [Stored(f"{n}.jpg", picture(n)) for n in (1, 2, 3)]


def test_references_are_what_they_refer_to(tmp_path: Path) -> None:
    """4B.10: copies (`rar -oi`), hard links, and symbolic links in the archive."""
    members = [
        *PLAIN[:2],
        Stored("3.jpg", target="1.jpg", kind=5),
        Stored("4.jpg", target="2.jpg", kind=4),
        Stored("d/5.jpg", target="../2.jpg", kind=1),
        Stored("6.jpg", target="/etc/passwd", kind=1),
        Stored("7.jpg", target="gone.jpg", kind=5),
    ]
    with open_comic(write_rar(tmp_path / "a.cbr", members)[0]) as comic:
        read = {member.name: comic.read(member) for member in comic.members}
        told = [line.split(":")[0] for line in comic.problems]
    assert read == {
        "1.jpg": picture(1),
        "2.jpg": picture(2),
        "3.jpg": picture(1),
        "4.jpg": picture(2),
        "d/5.jpg": picture(2),
    }
    assert told == ["6.jpg", "7.jpg"]


def test_a_program_may_stand_in_front(tmp_path: Path) -> None:
    """4B.12."""
    inner = make_zip(tmp_path / "inner.zip", pages(1)).read_bytes()  # whose end makes a ZIP of any file
    archive = write_rar(tmp_path / "a.cbr", [*PLAIN, Stored("z.txt", inner)])[0]
    archive.write_bytes(b"MZ" + bytes(5000) + archive.read_bytes())
    with open_comic(archive) as comic:
        assert [comic.read(member) for member in comic.members] == [picture(1), picture(2), picture(3)]


def test_a_folder_of_parts_is_one_comic(tmp_path: Path) -> None:
    """4B.11: one comic `book`, and no failed comic for each further part."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    parts = write_rar(shelf / "book.rar", PLAIN, 700)
    make_zip(shelf / "other.cbz", pages(1))
    assert len(parts) > 3
    assert [source.name for source in find_comics([shelf])] == ["book", "other"]
    assert [source.name for source in find_comics(parts)] == ["book"]
    corpus = Corpus.create(tmp_path / "corpus")
    report = import_comics([shelf], corpus, options=JobOptions(jobs=1))
    assert (report.failed, report.problems) == (0, [])
    assert [record.extra["member"] for record in corpus.pages("book")] == ["1.jpg", "2.jpg", "3.jpg"]
    before = state_of_source(ComicSource(parts[0], "rar", "x", True))
    parts[-1].write_bytes(parts[-1].read_bytes() + b"x")
    assert state_of_source(ComicSource(parts[0], "rar", "x", True)) != before


def test_missing_parts_are_told(tmp_path: Path) -> None:
    """4B.11."""
    parts = write_rar(tmp_path / "book.rar", PLAIN, 1500)
    parts[-1].unlink()
    with open_comic(parts[0]) as comic:
        assert comic.problems == [f"its part {parts[-1].name} is missing; the pages before that point are read"]
    parts[0].unlink()
    assert [source.name for source in find_comics([tmp_path])] == ["book"]
    with pytest.raises(InputError, match="without its first part"), open_comic(parts[1]):
        pass


def test_parts_in_the_old_naming(tmp_path: Path) -> None:
    programs = ("setup.exe", "sfx.exe", "sfx.r00", "new.part1.exe", "new.part2.rar")
    for name in ("book.rar", "book.r00", "book.r01", "alone.r00", "two.rar", "two.cbr", *programs):
        (tmp_path / name).write_bytes(b"x")
    names = [source.path.name for source in find_comics([tmp_path])]
    assert names == ["alone.r00", "book.rar", "new.part1.exe", "sfx.exe", "two.cbr", "two.rar"]


def test_a_damaged_header_in_the_middle_is_told(tmp_path: Path) -> None:
    path = write_rar(tmp_path / "a.cbr", PLAIN)[0]
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"3.jpg")] ^= 1
    path.write_bytes(whole)
    with open_comic(path) as comic:
        assert [member.name for member in comic.members] == ["1.jpg", "2.jpg"]
        assert "damaged or cut off" in comic.problems[0]


@pytest.mark.parametrize("program", ["unar", "bsdtar"])
def test_programs_get_all_parts(tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """4B.11: what is compressed goes through a program, which was given one part only."""
    if program not in extractors():
        pytest.skip(f"{program} is not installed")
    noise = random.Random(1)
    members = [Stored(f"{n}.bmp", noise.randbytes(20_000)) for n in range(3)]
    # Nothing here writes compressed RAR; stored members are sent the same way.
    monkeypatch.setattr(rar_files, "_stored", lambda info: False)
    monkeypatch.setattr(rar_files, "extractors", lambda: {program: extractors()[program]})
    for name in ("book.rar", "other.rar"):
        parts = write_rar(tmp_path / name, members, 17_000)
    assert len(parts) == 4
    with open_comic(parts[0], scratch=tmp_path / "scratch") as comic:
        assert [comic.read(member) for member in comic.members] == [member.data for member in members]
    assert not list((tmp_path / "scratch").iterdir())
