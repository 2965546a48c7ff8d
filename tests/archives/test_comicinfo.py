"""ComicInfo.xml: what is read, and what hostile or sloppy ones do."""

from __future__ import annotations

from pathlib import Path

import pytest

from comictool.archives.comicinfo import FACTS, ComicInfo, parse_comic_info, parse_xml
from comictool.archives.opening import open_comic
from comictool.core.errors import InputError
from comictool.corpus.records import PageRecord
from comictool.formats.comicinfo_writing import comic_info_xml
from tests.archives.comic_files import make_zip, pages


def test_everything_that_is_read() -> None:
    info = parse_comic_info(
        b"""<?xml version="1.0" encoding="utf-8"?>
        <ComicInfo xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
          <Title> The  First
            One </Title><Series>Frogs &amp; Co</Series><Number>5.1</Number><Volume>2</Volume>
          <PageCount>7</PageCount><LanguageISO>fr</LanguageISO><Manga>YesAndRightToLeft</Manga><Writer>W</Writer>
          <Pages>
            <Page Image="0" Type="FrontCover" ImageSize="1"/><Page Image="1" Type="InnerCover"/>
            <Page Image="2" Type="Advertisement"/><Page Image="3"/><Page Image="4" Type="Editorial Story"/>
            <Page Image="5" Type="Letters"/><Page Image="6" Type="Other"/>
          </Pages>
        </ComicInfo>"""
    )
    assert info == ComicInfo(
        {
            "title": "The First One",
            "series": "Frogs & Co",
            "number": "5.1",
            "volume": "2",
            "language": "fr",
            "writer": "W",
        },
        direction="rtl",
        page_types={0: "cover", 1: "cover", 2: "advertisement", 4: "text", 5: "text"},
        page_count=7,
    )


@pytest.mark.parametrize(
    ("manga", "direction"), [("YesAndRightToLeft", "rtl"), ("No", "ltr"), ("Yes", None), ("Unknown", None), ("", None)]
)
def test_only_a_certain_direction_is_taken(manga: str, direction: str | None) -> None:
    assert parse_comic_info(f"<ComicInfo><Manga>{manga}</Manga></ComicInfo>".encode()).direction == direction


def test_sloppy_values_are_passed_over() -> None:
    info = parse_comic_info(
        b"<ComicInfo><Volume>-1</Volume><PageCount>many</PageCount><Pages><Page Type='Story'/><Page Image='-3' "
        b"Type='Letters'/><Page Image='99999999999999' Type='BackCover'/><Page Image='\xc2\xb2' Type='x'/></Pages>"
        b"</ComicInfo>"
    )
    assert "volume" not in info.facts
    assert info.page_count == 0
    assert info.page_types == {0: "story", 1: "text", 2: "cover"}
    assert len(parse_comic_info(b"<ComicInfo><Title>" + b"x" * 9999 + b"</Title></ComicInfo>").facts["title"]) == 500


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?><comicinfo><SERIES>Pénélope</SERIES></comicinfo>"
    assert parse_comic_info(text.encode(encoding)).facts["series"] == "Pénélope"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<ComicInfo><Series>never closed", "not well-formed"),
        (b"", "not well-formed"),
        (b"\x00\xff\xfe", "not well-formed|cannot be read"),
        (b"<html/>", "not <ComicInfo>"),
        (b"<?xml version='1.0' encoding='klingon'?><ComicInfo/>", "cannot be read|not well-formed"),
        (b"<!DOCTYPE x [<!ENTITY a 'x'>]><ComicInfo>&a;</ComicInfo>", "entities"),
        (b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><ComicInfo>&a;</ComicInfo>", "entities"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse_comic_info(data)


def test_every_fact_comes_back_as_it_was_written() -> None:
    """6.11: Writer, Year and the rest vanished at the import, and pages of unknown type became `Other`."""
    facts = {name: f"a {name}" for name in FACTS} | {"summary": "One.\n\nTwo & <three>", "year": "1957", "month": "4"}
    records = [PageRecord("a", n, "", 40, 60, type=kind) for n, kind in enumerate(("cover", "unknown", "credits"), 1)]
    text = comic_info_xml(facts, records, "rtl")
    info = parse_comic_info(text)
    assert info == ComicInfo(facts, "rtl", {0: "cover"}, 3)
    assert [page.get("Type") for page in parse_xml(text).iter("Page")] == ["FrontCover", None, "Other"]


def test_values_that_say_nothing_are_no_facts() -> None:
    info = parse_comic_info(
        b"<ComicInfo><Title>-1</Title><Year>-1</Year><Count>-1</Count><AgeRating>Unknown</AgeRating>"
        b"<BlackAndWhite>Unknown</BlackAndWhite><Writer> </Writer></ComicInfo>"
    )
    assert info.facts == {"title": "-1"}


def test_pages_marked_as_deleted_are_told(tmp_path: Path) -> None:
    """4G.29."""
    info = b"<ComicInfo><Pages><Page Image='1' Type='Deleted'/><Page Image='9' Type='Deleted'/></Pages></ComicInfo>"
    with open_comic(make_zip(tmp_path / "a.cbz", {"ComicInfo.xml": info, **pages(3)})) as comic:
        assert len(comic.members) == 3
        assert comic.problems == ["ComicInfo.xml: page 2 is marked as deleted; it is kept"]


def test_one_description_over_another() -> None:
    """4G.29: field by field; right to left counts whoever says it."""
    package = ComicInfo({"title": "P", "language": "en"}, "rtl")
    assert ComicInfo({"title": "T", "series": "S"}).over(package) == ComicInfo(
        {"title": "T", "series": "S", "language": "en"}, "rtl"
    )
    assert ComicInfo(direction="ltr").over(package).direction == "rtl"
    assert ComicInfo(direction="rtl").over(ComicInfo(direction="ltr")).direction == "rtl"
    assert ComicInfo().over(None) == ComicInfo()
