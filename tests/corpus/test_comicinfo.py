"""ComicInfo.xml: what is read, and what hostile or sloppy ones do."""

from __future__ import annotations

import pytest

from comictool.core.errors import InputError
from comictool.corpus.comicinfo import ComicInfo, parse_comic_info


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
        title="The First One",
        series="Frogs & Co",
        number="5.1",
        volume="2",
        language="fr",
        direction="rtl",
        page_types={0: "cover", 1: "cover", 2: "advertisement", 4: "text", 5: "text"},
        page_count=7,
    )
    assert info.facts() == {
        "title": "The First One",
        "series": "Frogs & Co",
        "number": "5.1",
        "volume": "2",
        "language": "fr",
    }


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
    assert info.volume == ""
    assert info.page_count == 0
    assert info.page_types == {0: "story", 1: "text", 2: "cover"}
    assert len(parse_comic_info(b"<ComicInfo><Title>" + b"x" * 9999 + b"</Title></ComicInfo>").title) == 500


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?><comicinfo><SERIES>Pénélope</SERIES></comicinfo>"
    assert parse_comic_info(text.encode(encoding)).series == "Pénélope"


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
