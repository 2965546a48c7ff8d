"""Writing ComicInfo.xml: the facts of a comic and the types of its pages, as comic managers read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from comictool.archives.comicinfo import FACTS
from comictool.core.xml_text import plain_xml
from comictool.corpus.records import PageRecord

# The schema's types for ours, each read back as what it was; it has none for credits, which become "Other".
TYPE_WRITTEN = {"cover": "FrontCover", "story": "Story", "advertisement": "Advertisement", "text": "Editorial"}
MANGA_WRITTEN = {"rtl": "YesAndRightToLeft", "ltr": "No"}  # nothing in the schema says top to bottom


def comic_info_xml(facts: Mapping[str, Any], pages: Sequence[PageRecord], direction: str) -> bytes:
    """The ComicInfo.xml of a comic, UTF-8, its elements in the order of the schema (2.1).

    Args:
        facts: of the comic; `FACTS` are written where they say something.
        pages: those that it describes, in order.
        direction: `ltr`, `rtl`, or another that the schema cannot say.
    """
    root = ET.Element("ComicInfo")
    for element, value in _elements(facts, len(pages), direction):
        ET.SubElement(root, element).text = plain_xml(value)
    listed = ET.SubElement(root, "Pages")
    for index, record in enumerate(pages):
        size = {"ImageWidth": str(record.width), "ImageHeight": str(record.height)}
        # A page of unknown type gets none: "Other" would say that it is no story.
        kind = {} if record.type == "unknown" else {"Type": TYPE_WRITTEN.get(record.type, "Other")}
        ET.SubElement(listed, "Page", {"Image": str(index), **kind, **size})
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _elements(facts: Mapping[str, Any], count: int, direction: str) -> Iterator[tuple[str, str]]:
    """Names and texts of the elements before the list of pages."""
    for name, element in FACTS.items():
        if name == "language":
            yield "PageCount", str(count)
        value = facts.get(name)
        if value is not None and str(value):
            yield element, str(value)
        if name == "black_and_white":
            yield "Manga", MANGA_WRITTEN.get(direction, "Unknown")
