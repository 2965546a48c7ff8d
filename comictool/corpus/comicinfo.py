"""ComicInfo.xml, ComicRack's description of a comic, as most comic managers write it into their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

from comictool.core.errors import InputError
from comictool.corpus.formats.xml_text import plain_xml
from comictool.corpus.records import PageRecord

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
# The schema's types for ours, each read back as what it was; it has none for credits, which become "Other".
TYPE_WRITTEN = {"cover": "FrontCover", "story": "Story", "advertisement": "Advertisement", "text": "Editorial"}
MANGA_WRITTEN = {"rtl": "YesAndRightToLeft", "ltr": "No"}  # nothing in the schema says top to bottom
FACTS = ("title", "series", "number", "volume", "language")
LONGEST_TEXT = 500  # characters of a title that are kept


@dataclass
class ComicInfo:
    """What a description says; empty where it says nothing.

    Attributes:
        direction: `rtl` or `ltr` when it is certain, else None.
        page_types: page index (from 0, in reading order) to one of our page types.
        page_count: how many pages it describes or declares; 0 when it does not.
    """

    title: str = ""
    series: str = ""
    number: str = ""
    volume: str = ""
    language: str = ""
    direction: str | None = None
    page_types: dict[int, str] = field(default_factory=dict)
    page_count: int = 0

    def facts(self) -> dict[str, str]:
        """The fields that say something, for the facts of a comic."""
        return {name: value for name in FACTS if (value := getattr(self, name))}


def parse_xml(data: bytes) -> Any:
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
        name, text = _bare(element.tag), " ".join((element.text or "").split())[:LONGEST_TEXT]
        if name in ("title", "series", "number"):
            setattr(info, name, text)
        elif name == "volume":
            info.volume = "" if text == "-1" else text  # ComicRack writes -1 for "none"
        elif name == "languageiso":
            info.language = text
        elif name == "pagecount":
            info.page_count = int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0
        elif name == "manga":
            # Plain "Yes" says that it is manga, not which way it reads: translated editions are often flipped.
            info.direction = {"yesandrighttoleft": "rtl", "no": "ltr"}.get(text.casefold())
        elif name == "pages":
            info.page_types = _page_types(element)
    return info


def comic_info_xml(facts: Mapping[str, Any], pages: Sequence[PageRecord], direction: str) -> bytes:
    """The ComicInfo.xml of a comic, UTF-8, its elements in the order of the schema (2.1).

    Args:
        facts: of the comic; `FACTS` are written where they say something.
        pages: those that it describes, in order.
        direction: `ltr`, `rtl`, or another that the schema cannot say.
    """
    said = {name: plain_xml(str(facts[name])) for name in FACTS if facts.get(name) is not None}
    root = ET.Element("ComicInfo")
    for tag, value in (
        ("Title", said.get("title")), ("Series", said.get("series")), ("Number", said.get("number")),
        ("Volume", said.get("volume")), ("PageCount", str(len(pages))), ("LanguageISO", said.get("language")),
        ("Manga", MANGA_WRITTEN.get(direction, "Unknown")),
    ):  # fmt: skip
        if value:
            ET.SubElement(root, tag).text = value
    listed = ET.SubElement(root, "Pages")
    for index, record in enumerate(pages):
        size = {"ImageWidth": str(record.width), "ImageHeight": str(record.height)}
        kind = TYPE_WRITTEN.get(record.type, "Other")
        ET.SubElement(listed, "Page", {"Image": str(index), "Type": kind, **size})
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _page_types(pages: Any) -> dict[int, str]:
    types: dict[int, str] = {}
    for place, page in enumerate(element for element in pages if _bare(element.tag) == "page"):
        image = page.get("Image", "")
        index = int(image) if image.isascii() and image.isdecimal() and len(image) < 8 else place
        # Several types may be given, separated by blanks; the first that we know decides.
        for name in page.get("Type", "").split():
            if name.casefold() in PAGE_TYPE:
                types[index] = PAGE_TYPE[name.casefold()]
                break
    return types


def _bare(tag: Any) -> str:
    return tag.rpartition("}")[2].casefold() if isinstance(tag, str) else ""
