"""Documents of books as readers take them: in any encoding, with named entities, and if need be not well-formed.

A document is read as XML first. One that is none is mended where the meaning is certain (entities, bare ampersands,
letters that XML forbids) and tried again, and else read as HTML. Nothing is ever expanded without bound: of the
entities that a document defines only short plain texts are taken, and external ones never.
"""

from __future__ import annotations

import codecs
import re
from html.entities import html5
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

from comictool.archives.comicinfo import parse_xml
from comictool.core.errors import InputError
from comictool.core.xml_text import plain_xml

XHTML, SVG, XLINK = "http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_LONGEST_ENTITY = 200  # characters; drawing programs define namespaces, of some 50
_MOST_EXPANDED = 1024 * 1024  # characters that own entities may add to a document
_MOST_HTML = 256 * 1024  # characters; a chapter of prose has some 100,000, a page of a comic 2,000
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")
_META = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?([\w.:-]+)""", re.I)
_SHEET = re.compile(r"<\?xml-stylesheet\s+([^>]*)\?>")
_XML_DECLARATION = re.compile(r"^<\?xml\s[^>]*\?>")
_DOCTYPE = re.compile(r"""<!DOCTYPE(?:[^>\["']|"[^"]*"|'[^']*')*(\[(?:[^\]"']|"[^"]*"|'[^']*')*\]\s*)?>""", re.I)
_ENTITY = re.compile(r"""<!ENTITY\s+([\w.-]+)\s+(?:"([^"<&%]*)"|'([^'<&%]*)')\s*>""")
_REFERENCE = re.compile(r"&(?:(#\d{1,7}|#[xX][0-9a-fA-F]{1,6})|([A-Za-z][\w.-]*));|&")
_XML_ENTITIES = ("amp", "lt", "gt", "quot", "apos")
_EMBEDDED = re.compile(r"""data:[^"'()<>]{1000,}""")
# A bracket that no tag follows. What stands in quotes may hold brackets, within reason.
_QUOTED = r"""(?:"[^"<]*"|'[^'<]*'|"[^"]{0,300}"|'[^']{0,300}')"""
_NO_TAG = re.compile(rf"""<(?!/?[a-zA-Z][^<>"']*(?:{_QUOTED}[^<>"']*){{0,60}}[^<>]*>)""")
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_BLOCKS = {"address", "article", "div", "dl", "figure", "hr", "ol", "p", "section", "table", "ul"}
_BLOCKS |= {f"h{level}" for level in range(1, 7)}
_CLOSES = {"li": ("li",), "dt": ("dt", "dd"), "dd": ("dt", "dd"), "td": ("td", "th"), "th": ("td", "th")}
_CLOSES |= {"tr": ("td", "th", "tr"), "body": ("style", "title", "head")}
# The parser gives names in lower case; in a drawing case counts.
_CASED = {
    name.lower(): name for name in ("viewBox", "preserveAspectRatio", "foreignObject", "linearGradient", "clipPath")
}
_DEEPEST = 400  # elements inside each other


def decoded(data: bytes) -> str:
    """The text of a document: by its byte order mark, its declaration, as UTF-8, or else as Windows-1252."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    if data[:4:2] == b"\0\0" and data[1:2] == b"<":
        return data.decode("utf-16-be", "replace")
    if data[1:4:2] == b"\0\0" and data[:1] == b"<":
        return data.decode("utf-16-le", "replace")
    found = _DECLARED.search(data[:400]) or _META.search(data[:2000])
    for name in (found[1].decode() if found else "utf-8", "utf-8"):
        try:
            if codecs.lookup(name).name.startswith(("utf-16", "utf-32")):
                continue  # its first bytes would have told
            return data.decode(name)
        except (LookupError, ValueError):
            continue
    return data.decode("cp1252", "replace")


def parse_document(data: bytes, most: int) -> Any:
    """The root element of a document; elements carry their namespaces as in XML.

    Args:
        most: characters of mark-up that are allowed, embedded pictures aside.

    Raises:
        InputError: too large, or nothing can be made of it.
    """
    text = plain_xml(decoded(data)).lstrip("\ufeff \t\r\n\ufffd")
    if len(text) > most and len(_EMBEDDED.sub("", text)) > most:
        raise InputError(f"{len(text):,} characters of mark-up are too many")
    text = _XML_DECLARATION.sub("", text, count=1)
    root = _parsed(text)
    for place, instruction in enumerate(_SHEET.findall(text[: text.find("<svg") + 1 or 4000])):
        # The tree has no room for what stands before its root; a link says the same.
        said = dict(re.findall(r"""(\w+)\s*=\s*["']([^"']*)""", instruction))
        if said.get("alternate") != "yes":
            root.insert(place, ET.Element(f"{{{XHTML}}}link", {**said, "rel": "stylesheet"}))
    return root


def _parsed(text: str) -> Any:
    try:
        return parse_xml(text)
    except InputError:
        pass
    text = _mended(text)
    try:
        return parse_xml(text)
    except InputError:
        if re.search(r"<(?:\w+:)?package\b", text[:2000]):
            raise  # HTML has no such element
    return _parse_html(text)


def name_of(element: Any) -> tuple[str, str]:
    """What an element is: `html`, `svg` or another namespace, and its name in lower case.

    Without a namespace, and with a prefix that was never declared, its name has to do.
    """
    tag = element.tag
    if not isinstance(tag, str):
        return "", ""  # a comment or an instruction
    space, _, local = tag.rpartition("}")
    prefix, _, bare = local.rpartition(":")
    if prefix:
        return ("svg" if prefix.lower().startswith("svg") else "html"), bare.lower()
    if not space:
        return "", local.lower()
    return {XHTML: "html", SVG: "svg"}.get(space[1:], space[1:]), local.lower()


def link_of(element: Any) -> str | None:
    """The `href` of an element of SVG: plain as in SVG 2, of XLink, or with an undeclared prefix."""
    plain, linked = element.get("href"), element.get(f"{{{XLINK}}}href")
    found = plain if plain is not None else linked
    return found if found is not None else next((v for k, v in element.items() if k.endswith(":href")), None)


def _mended(text: str) -> str:
    """The text without document type, its entities replaced by what they stand for, lone ampersands escaped."""
    own: dict[str, str] = {}
    first = re.search("<!DOCTYPE", text[:100_000], re.I)
    doctype = _DOCTYPE.match(text[:100_000], first.start()) if first else None
    if doctype:
        for name, one, other in _ENTITY.findall(doctype[0])[:100]:
            own.setdefault(name, (one or other)[:_LONGEST_ENTITY])
        text = text[: doctype.start()] + text[doctype.end() :]
    budget = _MOST_EXPANDED

    def expanded(found: re.Match[str]) -> str:
        nonlocal budget
        name = found[2]
        if found[1] or name in _XML_ENTITIES:
            return found[0]
        value = own.get(name or "", html5.get(f"{name};"))
        budget -= len(value or "")
        if value is None or budget < 0:
            return "&amp;" + found[0][1:]
        return "".join(f"&#{ord(c)};" if c in "&<>\"'" else c for c in value)

    return _REFERENCE.sub(expanded, text)


class _Builder(HTMLParser):
    """Makes a tree of anything: what is open is closed with what is around it, and what was never open passed over."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._tree = ET.TreeBuilder()
        self._open: list[str] = []
        self._start("html", [])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("html", "body") and tag in self._open:
            return
        for closed in _CLOSES.get(tag, ("p",) if tag in _BLOCKS else ()):
            if self._open[-1] == closed:
                self.handle_endtag(closed)
        self._start(tag, attrs)
        if tag in _VOID:
            self.handle_endtag(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open[1:]:
            while True:
                closed = self._open.pop()
                self._tree.end(closed)
                if closed == tag:
                    return

    def handle_data(self, data: str) -> None:
        self._tree.data(data)

    def result(self) -> Any:
        while self._open:
            self._tree.end(self._open.pop())
        return self._tree.close()

    def _start(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        if len(self._open) > _DEEPEST:
            raise InputError("its elements lie too deep inside each other")
        drawing = "svg" in self._open and "foreignobject" not in self._open[:-1]
        name = f"{{{SVG if drawing else XHTML}}}{_CASED.get(tag, tag)}" if ":" not in tag else tag
        self._tree.start(name, {_CASED.get(key, key): value or "" for key, value in attrs})


def _without_asides(text: str) -> str:
    """The text without comments, declarations, instructions, and what opens no tag.

    The parser goes to the end of the text for each of them that is not closed.
    """
    parts, at = [], 0
    for start in re.finditer(r"<!--|<!|<\?", text):
        if start.start() < at:
            continue
        end = "-->" if start[0] == "<!--" else ">"
        parts.append(text[at : start.start()])
        at = text.find(end, start.end()) + len(end)
        if at < len(end):
            break
    else:
        parts.append(text[at:])
    return _NO_TAG.sub("&lt;", "".join(parts))


def _parse_html(text: str) -> Any:
    if len(_EMBEDDED.sub("", text)) > _MOST_HTML:
        raise InputError(f"{len(text):,} characters that are not well-formed are too many")
    builder = _Builder()
    try:
        builder.feed(_without_asides(text))
        builder.close()
        return builder.result()
    except InputError:
        raise
    except Exception as error:  # a parser of hostile text; it raises more than it documents
        raise InputError(f"not a document that can be read ({type(error).__name__})") from error
