"""ComicInfo.xml, ComicRack's description of a comic, as most comic managers write it into their files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

from comictool.core.errors import InputError

# Our page types for those of the ComicInfo schema (2.1). A round-up retells earlier issues in prose.
PAGE_TYPE = {
    "frontcover": "cover",
    "innercover": "cover",
    "backcover": "cover",
    "story": "story",
    "advertisement": "advertisement",
    "preview": "advertisement",
    "roundup": "text",
    "editorial": "text",
    "letters": "text",
}
# What we call a fact of a comic, and the element that says it: schema 2.1, in its order, less what is not text.
FACTS = {
    "title": "Title",
    "series": "Series",
    "number": "Number",
    "count": "Count",
    "volume": "Volume",
    "alternate_series": "AlternateSeries",
    "alternate_number": "AlternateNumber",
    "alternate_count": "AlternateCount",
    "summary": "Summary",
    "notes": "Notes",
    "year": "Year",
    "month": "Month",
    "day": "Day",
    "writer": "Writer",
    "penciller": "Penciller",
    "inker": "Inker",
    "colorist": "Colorist",
    "letterer": "Letterer",
    "cover_artist": "CoverArtist",
    "editor": "Editor",
    "translator": "Translator",
    "publisher": "Publisher",
    "imprint": "Imprint",
    "genre": "Genre",
    "tags": "Tags",
    "web": "Web",
    "language": "LanguageISO",
    "format": "Format",
    "black_and_white": "BlackAndWhite",
    "characters": "Characters",
    "teams": "Teams",
    "locations": "Locations",
    "scan_information": "ScanInformation",
    "story_arc": "StoryArc",
    "story_arc_number": "StoryArcNumber",
    "series_group": "SeriesGroup",
    "age_rating": "AgeRating",
    "community_rating": "CommunityRating",
    "main_character_or_team": "MainCharacterOrTeam",
    "review": "Review",
    "gtin": "GTIN",
}
_FACT_OF = {element.casefold(): name for name, element in FACTS.items()}
# What the schema and ComicRack write for "nothing"; a title may well be "-1" or "Unknown".
_NOTHING = {
    **dict.fromkeys(("count", "volume", "alternate_count", "year", "month", "day"), "-1"),
    **dict.fromkeys(("black_and_white", "age_rating"), "unknown"),
}
LONGEST_TEXT = 500  # characters of a title or name that are kept
LONGEST_PROSE = 20_000  # of a text; the longest summaries in public databases have some 10,000
_PROSE = {"summary", "notes", "review"}


@dataclass
class ComicInfo:
    """What a description says; empty where it says nothing.

    Attributes:
        facts: of the comic as a whole, by the names of `FACTS`.
        direction: `rtl` or `ltr` when it is certain, else None.
        page_types: page index (from 0, in reading order) to one of our page types.
        page_count: how many pages it describes or declares; 0 when it does not.
        deleted: page indices that it marks as deleted.
    """

    facts: dict[str, str] = field(default_factory=dict)
    direction: str | None = None
    page_types: dict[int, str] = field(default_factory=dict)
    page_count: int = 0
    deleted: list[int] = field(default_factory=list)

    def note(self, name: str, text: str | None) -> None:
        """Take a fact over, cut to its length, where there is none yet and the text says something."""
        words = (text or "").strip() if name in _PROSE else " ".join((text or "").replace("\0", " ").split())
        if words and name not in self.facts and words.casefold() != _NOTHING.get(name):
            self.facts[name] = words[: longest_of(name)]

    def over(self, other: ComicInfo | None) -> ComicInfo:
        """This description, and the other's word wherever this one is silent.

        Tools write "left to right" without being asked, never "right to left"; so that counts whoever says it.
        """
        if other is None:
            return self
        said = (self.direction, other.direction)
        return ComicInfo(
            {**other.facts, **self.facts},
            "rtl" if "rtl" in said else self.direction or other.direction,
            self.page_types or other.page_types,
            self.page_count or other.page_count,
            self.deleted or other.deleted,
        )


def longest_of(name: str) -> int:
    """How many characters of a fact are kept."""
    return LONGEST_PROSE if name in _PROSE else LONGEST_TEXT


def parse_xml(data: bytes | str) -> Any:
    """The root element of an XML document.

    Raises:
        InputError: not well-formed, or it defines entities (which can expand without bound or name files).
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        return fromstring(data)
    except DefusedXmlException as error:
        raise InputError("it defines entities, which are not expanded") from error
    except ET.ParseError as error:
        raise InputError(f"not well-formed XML: {error}") from error
    except (ValueError, LookupError, UnicodeError, RecursionError) as error:  # encodings unknown or wrong
        raise InputError(f"XML that cannot be read: {error}") from error


def parse_comic_info(data: bytes) -> ComicInfo:
    """Read a ComicInfo.xml.

    Raises:
        InputError: not well-formed, with entities, or not a ComicInfo document.
    """
    root = parse_xml(data)
    if _bare(root.tag) != "comicinfo":
        raise InputError(f"its root is <{str(root.tag)[:40]}>, not <ComicInfo>")
    info = ComicInfo()
    for element in root:
        name, text = _bare(element.tag), (element.text or "").strip()
        if name in _FACT_OF:
            info.note(_FACT_OF[name], text)
        elif name == "pagecount":
            info.page_count = int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0
        elif name == "manga":
            # Plain "Yes" says that it is manga, not which way it reads: translated editions are often flipped.
            info.direction = {"yesandrighttoleft": "rtl", "no": "ltr"}.get(text.casefold())
        elif name == "pages":
            _read_pages(element, info)
    return info


def _read_pages(pages: Any, info: ComicInfo) -> None:
    for place, page in enumerate(element for element in pages if _bare(element.tag) == "page"):
        image = page.get("Image", "")
        index = int(image) if image.isascii() and image.isdecimal() and len(image) < 8 else place
        kinds = [name.casefold() for name in page.get("Type", "").split()]
        # Several types may be given, separated by blanks; the first that we know decides.
        known = next((PAGE_TYPE[name] for name in kinds if name in PAGE_TYPE), None)
        if known is not None:
            info.page_types[index] = known
        if "deleted" in kinds:
            info.deleted.append(index)


def _bare(tag: Any) -> str:
    return tag.rpartition("}")[2].casefold() if isinstance(tag, str) else ""
