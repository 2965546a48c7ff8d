"""Names in ZIP tables, whatever packed them, and members whose own header says another name than the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from comictool.archives.legacy_names import likely_encoding
from comictool.archives.opening import open_comic
from tests.archives.comic_files import picture
from tests.archives.odd_files import UTF8, Entry, unicode_path, write_zip

# Names of a kind that people have, a few of each: what an archive of one comic holds.
NAMES = {
    "cp932": ["第１話/１.jpg", "第１話/２.jpg", "表紙.jpg", "ソード 予定.jpg"],
    "gb18030": ["第1话/封面.jpg", "第1话/01.jpg", "第2话/01.jpg"],
    "cp950": ["第1話/封面.jpg", "功夫/許功蓋 1.jpg", "第2話/01.jpg"],
    "cp949": ["제1화/표지.jpg", "제1화/01.jpg", "나 혼자만 레벨업 2화.jpg"],
    "utf-8": ["Épisode 1/p1.jpg", "Épisode 1/p2.jpg"],
    "cp437": ["Astérix/01.jpg", "Astérix/02.jpg", "Über alles.jpg"],
    "cp1252": ["Épisode 1/é.jpg", "Année/02.jpg"],
    "cp866": ["Глава 1/обложка.jpg", "Глава 1/1.jpg"],
}


@pytest.mark.parametrize("encoding", NAMES)
def test_names_without_the_flag_are_guessed_all_together(tmp_path: Path, encoding: str) -> None:
    """4C.13: mojibake, and 0x5C as the second half of a character is no folder."""
    entries = [Entry(name.encode(encoding), picture(n)) for n, name in enumerate(NAMES[encoding])]
    with open_comic(write_zip(tmp_path / "a.cbz", entries)) as comic:
        assert sorted(member.name for member in comic.members) == sorted(NAMES[encoding])
        assert comic.problems == []


def test_full_width_numbers_are_in_order(tmp_path: Path) -> None:
    """4C.13."""
    entries = [Entry(f"{digits}.jpg".encode("cp932"), picture(n)) for n, digits in enumerate(["１０", "２", "１"])]
    with open_comic(write_zip(tmp_path / "a.cbz", entries)) as comic:
        assert [comic.read(member) for member in comic.members] == [picture(2), picture(1), picture(0)]


def test_single_short_names_are_mostly_guessed() -> None:
    """A name alone is the hardest: 17 of these 20, where charset-normalizer 3.5 has 11 and chardet 7.7 has 8."""
    alone = {
        "cp932": "表.jpg|完.jpg|犬夜叉.jpg|火の鳥.jpg|構成.jpg",
        "gb18030": "图1.jpg|后记.jpg|银魂.jpg|红楼梦.jpg|死神.jpg",
        "cp950": "圖1.jpg|後記.jpg|銀魂.jpg|獵人.jpg|棋靈王.jpg",
        "cp949": "쪽1.jpg|후기.jpg|타짜.jpg|식객.jpg|궁.jpg",
    }
    cases = [(encoding, name) for encoding, names in alone.items() for name in names.split("|")]
    right = sum(likely_encoding([name.encode(encoding)]) == encoding for encoding, name in cases)
    assert right >= 17


def test_unicode_path_field_counts_while_its_checksum_fits(tmp_path: Path) -> None:
    """4C.13: APPNOTE.TXT 4.6.9."""
    plain = [b"____a.jpg", b"____c.jpg", b"____b.jpg"]
    entries = [Entry(p, picture(n), extra=unicode_path(f"話{n}.jpg", p)) for n, p in enumerate(plain)]
    entries.append(Entry(b"z.jpg", picture(3), extra=unicode_path("0.jpg", b"another name")))
    entries.append(Entry("話9.jpg".encode(), picture(4), flags=UTF8, extra=b"\x75\x70\xff\xff"))
    with open_comic(write_zip(tmp_path / "a.cbz", entries[:4])) as comic:
        assert [member.name for member in comic.members] == ["z.jpg", "話0.jpg", "話1.jpg", "話2.jpg"]


@pytest.mark.parametrize(
    ("name", "local", "flags"),
    [
        (b"book/01.jpg", b"book\\01.jpg", 0),
        (b"book/01.jpg", b"BOOK/01.JPG", 0),
        (b"book/01.jpg", b"x", 0),
        ("話.jpg".encode(), "話.jpg".encode("cp932"), UTF8),
        ("話.jpg".encode("cp932"), "話.jpg".encode("big5"), 0),
    ],
)
def test_the_table_counts_not_the_local_header(tmp_path: Path, name: bytes, local: bytes, flags: int) -> None:
    """4B.7."""
    entry = Entry(name, picture(1), flags=flags, local=local, method=8)
    path = write_zip(tmp_path / "a.cbz", [entry, Entry(b"02.jpg", picture(2))])
    data = bytearray(path.read_bytes())
    data[6:8] = bytes(2)  # the local header does not have the flag
    path.write_bytes(data)
    with open_comic(path) as comic:
        assert {comic.read(member) for member in comic.members} == {picture(1), picture(2)}
        assert comic.problems == []
