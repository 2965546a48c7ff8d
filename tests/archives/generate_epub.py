"""Made EPUBs: valid, odd and damaged ones; see `made`.

Every page of a book has its own way of showing its picture (`_LAYOUTS`), and every book a few oddities of packing.
The order of the spine is never that of the names.
"""

from __future__ import annotations

import base64
import random
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tests.archives.made import Made, numbered

XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
SVG = 'xmlns="http://www.w3.org/2000/svg"'
SIZE = (64, 96)


@dataclass
class _Book:
    """A book in the making: members by path below the package's folder, manifest lines, spine, page numbers."""

    random: random.Random
    files: dict[str, bytes] = field(default_factory=dict)
    items: list[str] = field(default_factory=list)
    spine: list[str] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    styles: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    encoding: str = "utf-8"

    def add(self, name: str, data: bytes, media: str, extra: str = "", listed: bool = True) -> str:
        """A file and its line in the manifest; gives the id."""
        self.files[name] = data
        key = f"i{len(self.items)}"
        if listed:
            self.items.append(f'<item id="{key}" href="{quote(name)}" media-type="{media}" {extra}/>')
        return key

    def picture(self, number: int, kind: str = "JPEG") -> str:
        """A picture file that shows a number; gives its name, which tells nothing of the order."""
        name = f"img/{self.random.randrange(10**6):06d}.{'jpg' if kind == 'JPEG' else kind.lower()}"
        self.add(name, numbered(number, SIZE, kind, "RGB"), f"image/{kind.lower()}")
        return name

    def document(self, body: str, head: str = "", *, xml: bool = True, name: str = "") -> str:
        """An XHTML document; gives its id."""
        name = name or f"p{self.random.randrange(10**6):06d}.xhtml"
        space = f'xmlns="http://www.w3.org/1999/xhtml" xmlns:s="http://www.w3.org/2000/svg" {XLINK}' if xml else ""
        text = f"<html {space}><head><title>x</title>{head}</head><body>{body}</body></html>"
        data = (f'<?xml version="1.0" encoding="{self.encoding}"?>{text}' if xml else text).encode(
            self.encoding, "xmlcharrefreplace"
        )
        return self.add(name, data, "application/xhtml+xml")


def _image(book: _Book, number: int) -> str:
    return book.document(f'<div><img alt="" src="{book.picture(number, book.random.choice(["JPEG", "PNG"]))}"/></div>')


def _prefixed_svg(book: _Book, number: int) -> str:
    link = book.random.choice(["xlink:href", "href"])
    return book.document(
        f'<s:svg viewBox="0 0 64 96"><s:image width="64" height="96" {link}="{book.picture(number)}"/></s:svg>'
    )


def _other_prefix(book: _Book, number: int) -> str:
    return book.document(
        f'<svg {SVG} xmlns:q="http://www.w3.org/1999/xlink" viewBox="0 0 64 96">'
        f'<image width="64" height="96" q:href="{book.picture(number)}"/></svg>'
    )


def _svg_text(book: _Book, number: int, more: str = "") -> bytes:
    return (
        f'<svg {SVG} {XLINK} viewBox="0 0 64 96"><image width="64" height="96" '
        f'xlink:href="../{book.picture(number)}"/>{more}</svg>'
    ).encode()


def _svg_spine(book: _Book, number: int) -> str:
    name = f"svg/{book.random.randrange(10**6)}.svg"
    return book.add(name, _svg_text(book, number), "image/svg+xml")


def _svg_behind(book: _Book, number: int) -> str:
    name = f"svg/{book.random.randrange(10**6)}.svg"
    book.add(name, _svg_text(book, number), "image/svg+xml")
    show = book.random.choice(
        ['<img src="{}"/>', '<object data="{}"></object>', '<embed src="{}"/>', '<iframe src="{}"></iframe>']
    )
    return book.document(show.format(name))


def _svg_drawn(book: _Book, number: int) -> str:
    """A mark is painted over the picture, so that the page has to be drawn."""
    name = f"svg/{book.random.randrange(10**6)}.svg"
    return book.add(name, _svg_text(book, number, '<circle cx="32" cy="48" r="1"/>'), "image/svg+xml")


def _svg_vector(book: _Book, number: int) -> str:
    """No picture at all: the fields of the number are rectangles."""
    bits = [number >> place & 1 for place in range(12)]
    cells = [*bits, *(1 - bit for bit in bits)]
    fields = "".join(
        f'<rect x="{n % 4 * 16}" y="{n // 4 * 16}" width="16" height="16" fill="{"#ddd" if cell else "#222"}"/>'
        for n, cell in enumerate(cells)
    )
    svg = f'<svg {SVG} viewBox="0 0 64 96">{fields}</svg>'
    if book.random.random() < 0.5:
        return book.document(svg)
    return book.add(f"svg/{book.random.randrange(10**6)}.svg", svg.encode(), "image/svg+xml")


def _halves(book: _Book, number: int) -> str:
    """One wide picture, of which the frame shows the right half."""
    name = f"img/{book.random.randrange(10**6)}.png"
    other = book.random.randrange(4096)
    from io import BytesIO

    from PIL import Image

    from tests.archives.made import numbered_picture

    wide = Image.new("L", (128, 96))
    wide.paste(numbered_picture(other, SIZE), (0, 0))
    wide.paste(numbered_picture(number, SIZE), (64, 0))
    stream = BytesIO()
    wide.save(stream, "PNG")
    book.add(name, stream.getvalue(), "image/png")
    return book.document(
        f'<svg {SVG} {XLINK} viewBox="64 0 64 96"><image width="128" height="96" xlink:href="{name}"/></svg>'
    )


def _background(book: _Book, number: int) -> str:
    name = book.picture(number)
    way = book.random.randrange(5)
    if way == 0:
        return book.document(f"<div style=\"background-image:url('{name}');width:64px;height:96px\"></div>")
    if way == 1:
        return book.document('<div class="b"/>', f"<style>.b {{ background: #fff url({name}) no-repeat }}</style>")
    if way == 2:
        book.styles.append(f'div#k{number} {{ background-image: url("../{name}") }}')
        return book.document(f'<div id="k{number}"></div>', '<link rel="stylesheet" href="css/book.css"/>')
    if way == 3:
        return book.document("<p></p>", f"<style>@media screen {{ body {{ background: url({name}) }} }}</style>")
    return book.document("<div><b></b></div>", f"<style>div > b::before {{ content: url({name}) }}</style>")


def _data(book: _Book, number: int) -> str:
    code = base64.b64encode(numbered(number, SIZE, "PNG")).decode()
    return book.document(f'<img src="data:image/png;base64,{code}" alt=""/>')


def _several_sizes(book: _Book, number: int) -> str:
    name = book.picture(number)
    way = book.random.choice(
        [f'<img srcset="{name} 1x, {name} 2x"/>', f'<picture><source srcset="{name}"/><img src="{name}"/></picture>']
    )
    return book.document(way)


def _hidden_too(book: _Book, number: int) -> str:
    """As comic converters write: the same picture again for an enlarged view, hidden."""
    name, other = book.picture(number), book.picture(book.random.randrange(4096))
    book.styles.append(".zoom { display: none }")
    return book.document(
        f'<div><img src="{name}"/></div><div class="zoom"><img src="{name}"/><img src="{other}"/></div>',
        '<link href="css/book.css" rel="stylesheet" type="text/css"/>',
    )


def _html(book: _Book, number: int) -> str:
    """Not well-formed: entities, unclosed elements, undeclared prefixes."""
    name = book.picture(number)
    body = book.random.choice(
        [
            f"<p>&nbsp;&copy;<br><img src={name}>",
            f"<p>a & b<img src='{name}'>",
            f'<svg><image xlink:href="{name}"/></svg>',
        ]
    )
    return book.document(body, xml=book.random.random() < 0.3)


def _in_spine(book: _Book, number: int) -> str:
    name = book.picture(number)
    return book.items[-1].split('"')[1] if name else ""


def _transcript(book: _Book, number: int) -> str:
    return book.document(f'<img src="{book.picture(number)}"/><p>{"words of a panel " * 140}</p>')


_LAYOUTS: list[Callable[[_Book, int], str]] = [
    _image,
    _image,
    _prefixed_svg,
    _other_prefix,
    _svg_spine,
    _svg_behind,
    _svg_drawn,
    _svg_vector,
    _halves,
    _background,
    _data,
    _several_sizes,
    _hidden_too,
    _html,
    _in_spine,
    _transcript,
]


def _two_pictures(book: _Book, number: int) -> None:
    other = book.random.randrange(4096)
    key = book.document(f'<img src="{book.picture(number)}"/><img src="{book.picture(other)}"/>')
    book.spine.append(key)
    book.pages += [number, other]


def _again(book: _Book, number: int) -> None:
    """A picture that is shown on two pages."""
    name = book.picture(number)
    for _ in range(2):
        book.spine.append(book.document(f'<p><img src="{name}"/></p>'))
        book.pages.append(number)


def _other_spelling(book: _Book, number: int) -> None:
    """The reference differs from the name of the file."""
    folder = f"Bilder é/{book.random.randrange(10**6)}"
    stored = unicodedata.normalize("NFD", f"{folder}/Seite 1.jpg")
    book.files[stored] = numbered(number, SIZE)
    way = book.random.choice(
        [
            folder + "/Seite 1.jpg",
            quote(folder + "/Seite 1.jpg"),
            folder.upper() + "/SEITE 1.JPG",
            f"x/../{stored}#here",
        ]
    )
    book.spine.append(book.document(f'<img src="{way}"/>'))
    book.pages.append(number)


_MORE = [_two_pictures, _again, _other_spelling]


def _lose_picture(book: _Book) -> str:
    """One picture file is taken out of the archive."""
    number = book.random.randrange(4096)
    name = book.picture(number)
    book.spine.insert(0, book.document(f'<img src="{name}"/>'))
    book.pages.insert(0, number)
    book.lost.add(number)
    del book.files[name]
    return "a picture is missing"


def _lose_document(book: _Book) -> str:
    number = book.random.randrange(4096)
    key = book.document(f'<img src="{book.picture(number)}"/>', name=f"lost{number}.xhtml")
    del book.files[f"lost{number}.xhtml"]
    book.spine.append(key)
    book.pages.append(number)
    book.lost.add(number)
    return "a document of the spine is missing"


def _lose_item(book: _Book) -> str:
    book.spine.insert(len(book.spine) // 2, "nowhere")
    return "the spine names what the manifest does not"


def _cut_picture(book: _Book) -> str:
    number = book.random.randrange(4096)
    name = book.picture(number)
    book.files[name] = book.files[name][: len(book.files[name]) // 3]
    book.spine.append(book.document(f'<img src="{name}"/>'))
    book.pages.append(number)
    book.lost.add(number)
    return "a picture is cut off"


def _letters_only(book: _Book) -> str:
    book.spine.append(book.document("<h1>Colophon</h1><p>Printed somewhere.</p>"))
    return "a page of letters"


def _unused(book: _Book) -> str:
    book.picture(book.random.randrange(4096))
    return "a picture that no page shows"


_DAMAGES = [_lose_picture, _lose_document, _lose_item, _cut_picture, _letters_only, _unused]


def make(seed: int, folder: Path) -> Made:
    """An EPUB for a seed."""
    book = _Book(random.Random(seed))
    kind = book.random.choice(["whole", "odd", "odd", "damaged"])
    if kind == "odd":
        book.encoding = book.random.choice(["utf-8", "utf-8", "utf-16", "iso-8859-1"])
    said = []
    for number in book.random.sample(range(4096), book.random.randint(2, 7)):
        if kind == "whole":
            layout = book.random.choice(_LAYOUTS[:5])
        elif book.random.random() < 0.25:
            more = book.random.choice(_MORE)
            more(book, number)
            said.append(more.__name__)
            continue
        else:
            layout = book.random.choice(_LAYOUTS)
        book.spine.append(layout(book, number))
        book.pages.append(number)
        said.append(layout.__name__)
    if kind == "damaged":
        said.append(book.random.choice(_DAMAGES)(book))
    if book.random.random() < 0.5:
        book.add(
            "nav.xhtml",
            b"<html><body><nav><ol><li>One</li></ol></nav></body></html>",
            "application/xhtml+xml",
            'properties="nav"',
        )
        if book.random.random() < 0.5:
            book.spine.insert(0, book.items[-1].split('"')[1])
    if book.styles:
        book.add("css/book.css", "\n".join(book.styles).encode(), "text/css")
    path = folder / "book.epub"
    said.append(_pack(book, path, odd=kind != "whole"))
    return Made(path, f"epub {kind}", book.pages, frozenset(book.lost), ", ".join(said))


def _pack(book: _Book, path: Path, *, odd: bool) -> str:
    """Write the archive; gives what is odd about it."""
    references = "".join(f'<itemref idref="{key}"/>' for key in book.spine)
    opf = book.random.choice(["", "OPS/", "a/b c/"])
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Made</dc:title><dc:language>en</dc:language></metadata>'
        f"<manifest>{''.join(book.items)}</manifest><spine>{references}</spine></package>"
    )
    table = (
        '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
        f'full-path="{opf}book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    oddity = (
        book.random.choice(["", "", "no mimetype", "in a folder", "no container file", "prefixed package"])
        if odd
        else ""
    )
    if oddity == "prefixed package":
        package = package.replace('xmlns="http://www.idpf', 'xmlns:o="http://www.idpf')
        for name in ("package", "metadata", "manifest", "spine", "item ", "itemref "):
            package = package.replace(f"<{name}", f"<o:{name}").replace(f"</{name}", f"</o:{name}")
    members = {
        "mimetype": b"application/epub+zip",
        "META-INF/container.xml": table.encode(),
        f"{opf}book.opf": package.encode(),
    }
    members |= {opf + name: data for name, data in sorted(book.files.items())}
    if oddity == "no mimetype":
        del members["mimetype"]
    if oddity == "no container file":
        del members["META-INF/container.xml"]
    top = "My Book.epub/" if oddity == "in a folder" else ""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(top + name, data, zipfile.ZIP_DEFLATED)
    return oddity or "packed well"
