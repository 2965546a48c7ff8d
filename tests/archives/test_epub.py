"""EPUB by the book: which pictures are pages, in which order, and what is told about the rest."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from comictool.archives import epub_styles
from comictool.archives.epub_styles import is_for_screens
from comictool.archives.opening import open_comic
from comictool.core.errors import InputError
from tests.archives.books import FRAME, SVG, WHOLE, XHTML, XLINK, book, numbers, xhtml
from tests.archives.comic_files import opened
from tests.archives.made import numbered, read_number

CODE = base64.b64encode(numbered(7, kind="PNG")).decode()
LAYOUTS = {
    "an img": '<img src="7.jpg"/>',
    "another prefix": f'<s:svg {SVG.replace("xmlns", "xmlns:s")}><s:image {WHOLE} xlink:href="7.jpg"/></s:svg>',
    "another prefix for links": f'<svg {SVG} {XLINK.replace(":xlink", ":l")}><image {WHOLE} l:href="7.jpg"/></svg>',
    "a plain href, as in SVG 2": f'<svg {SVG}><image {WHOLE} href="7.jpg" xlink:href="8.jpg"/></svg>',
    "no namespace at all": '<svg><image xlink:href="7.jpg"/></svg>',
    "a prefix that nobody declared": '<svg:svg><svg:image xl:href="7.jpg"/></svg:svg>',
    "used": f'<svg {SVG}><defs><image id="a" {WHOLE} href="7.jpg"/></defs><use href="#a"/></svg>',
    "foreign object": f'<svg {SVG}><foreignObject><img {XHTML} src="7.jpg"/></foreignObject></svg>',
    "object": '<object data="7.jpg" type="image/jpeg"><img src="8.jpg"/></object>',
    "an object with a substitute": '<object data="film.mp4"><img src="7.jpg"/></object>',
    "embed": '<embed src="7.jpg"/>',
    "an input": '<input type="image" src="7.jpg"/>',
    "sizes": '<img srcset="8.jpg 320w, 7.jpg 1280w" src="8.jpg"/>',
    "sizes without a source": '<img srcset="7.jpg 1x"/>',
    "a choice": '<picture><source media="print" srcset="8.jpg"/><source srcset="7.jpg"/><img src="8.jpg"/></picture>',
    "a background": "<div style=\"background-image: url('7.jpg')\"/>",
    "a background in short": '<div style="background: #fff url(7.jpg) no-repeat center / contain"></div>',
    "a background of old": '<table background="7.jpg"><tr><td/></tr></table>',
    "a data address": f'<img src="data:image/png;base64,{CODE}"/>',
    "a data background": f'<div style="background: url(data:image/png;base64,{CODE})"></div>',
    "a data address in a drawing": f'<svg {SVG}><image {WHOLE} href="data:image/png;base64,{CODE}"/></svg>',
    "percent": '<img src="./%37.jpg?x=1#top"/>',
    "other case": '<img src="7.JPG"/>',
    "above the root": '<img src="../../../OEBPS/7.jpg"/>',
    "from the root": '<img src="/OEBPS/7.jpg"/>',
    "a break in the address": '<img src=" 7.&#10;jpg "/>',
    "twice on one page": '<img src="7.jpg"/><img src="7.jpg"/>',
    "entities": '<p>&nbsp;&eacute;</p><img src="7.jpg"/>',
    "a bare ampersand": '<p>a & b</p><img src="7.jpg"/>',
    "unclosed": "<p><br><img src=7.jpg>",
    "unclosed in a drawing": f'<p><br><svg {SVG} viewBox="0 0 64 96"><image {WHOLE} xlink:href="7.jpg"></svg>',
    "closed in another order": '<p><b><i>x</b></i></p></div><script/><title/><img src="7.jpg"/>',
    "hidden besides": '<img src="7.jpg"/><img hidden="" src="8.jpg"/><p style="display:none"><img src="8.jpg"/></p>',
    "covering white paper": f'{FRAME}<rect {WHOLE} fill="#fff"/><image {WHOLE} xlink:href="7.jpg"/></svg>',
    "with a link over it": f'{FRAME}<image {WHOLE} xlink:href="7.jpg"/><rect {WHOLE} fill="none"/></svg>',
    "moved and scaled": f'{FRAME}<g transform="translate(-8 -8) scale(2)">'
    '<image x="4" y="4" width="32" height="48" href="7.jpg"/></g></svg>',
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_page_is_found_however_it_is_shown(name: str, tmp_path: Path) -> None:
    """4A.1: the picture comes with its own bytes, in the order of the spine."""
    documents = {"z.xhtml": xhtml(LAYOUTS[name]), "a.xhtml": xhtml('<img src="1.jpg"/>')}
    path = book(tmp_path / "a.epub", documents, {"1.jpg": 1, "7.jpg": 7, "8.jpg": 8})
    with open_comic(path) as comic:
        assert [read_number(opened(comic.read(member))) for member in comic.members] == [7, 1]
        raw = comic.read(comic.members[0])
        assert raw in (numbered(7), numbered(7, kind="PNG"))
        wrong = [line for line in comic.problems if "no page of the spine shows" not in line]
        assert not wrong


STYLES = {
    "class": (".p", '<div class="x p"></div>'),
    "id": ("#p", '<div id="p"></div>'),
    "element": ("section", "<section></section>"),
    "inside": ("body > div p", "<div><p></p></div>"),
    "attribute": ("[data-page='7']", '<div data-page="7"></div>'),
    "before": ("div::before", "<div></div>"),
}


@pytest.mark.parametrize("name", STYLES)
def test_backgrounds_out_of_style_sheets(name: str, tmp_path: Path) -> None:
    """4A.1: in the document, in a linked sheet, and in one that a sheet imports; addresses count from the sheet."""
    selector, body = STYLES[name]
    key = "content" if name == "before" else "background"
    rule = f"{selector} {{ {key}: url('%s') }}"
    documents = {
        "c.xhtml": xhtml(body, f"<style>{rule % '3.jpg'}</style>"),
        "b.xhtml": xhtml(body, '<link rel="stylesheet" href="css/a.css"/>'),
        "a.xhtml": xhtml(body, '<link rel="stylesheet" href="css/b.css"/>'),
        "css/a.css": f"@media print {{ {rule % '../9.jpg'} }} @media screen {{ {rule % '../2.jpg'} }}",
        "css/b.css": f"@import url(c.css); {selector}, .q:hover {{ color: red }}",
        "css/c.css": rule % "../1.jpg",
    }
    assert numbers(book(tmp_path / "a.epub", documents, {f"{n}.jpg": n for n in (1, 2, 3)})) == [3, 2, 1]


def test_the_stronger_rule_wins(tmp_path: Path) -> None:
    rules = "#a { background: url(1.jpg) } div { background: url(2.jpg) !important } .h { display: none }"
    hidden = '<p class="h"><img src="3.jpg"/></p><p class="h" style="display: block"><img src="4.jpg"/></p>'
    documents = {
        "a.xhtml": xhtml('<div id="a"></div>', f"<style>{rules}</style>"),
        "b.xhtml": xhtml(hidden, f"<style>{rules}</style>"),
    }
    path = book(tmp_path / "a.epub", documents, {f"{n}.jpg": n for n in (1, 2, 3, 4)})
    assert numbers(path, problems=1) == [2, 4]  # told: nothing shows the first


def test_paper_behind_a_page_is_no_page(tmp_path: Path) -> None:
    """A texture behind pictures or letters of several pages, but a picture behind one that says nothing is its page."""
    styles = "<style>body { background: url(paper.jpg) }</style>"
    documents = {f"{n}.xhtml": xhtml(f'<img src="{n}.jpg"/>', styles) for n in (1, 2)}
    assert numbers(book(tmp_path / "a.epub", documents, {"1.jpg": 1, "2.jpg": 2, "paper.jpg": 3})) == [1, 2]
    one = {"1.xhtml": xhtml('<img src="1.jpg"/>', styles)}
    with open_comic(book(tmp_path / "b.epub", one, {"1.jpg": 1, "paper.jpg": 3})) as comic:
        assert comic.problems == ["OEBPS/1.xhtml: OEBPS/paper.jpg lies behind its pictures, and is not taken"]


def test_svg_in_the_spine_and_behind_elements(tmp_path: Path) -> None:
    """4A.1: drawings that are frames round one picture give that picture, wherever they stand."""
    frame = FRAME + f'<image {WHOLE} xlink:href="%s"/></svg>'
    documents: dict[str, str] = {"z.svg": frame % "1.jpg"}
    shown = ['<img src="%s"/>', '<object data="%s"/>', '<embed src="%s"/>', '<iframe src="%s"></iframe>']
    more = {f"OEBPS/f/{n}.svg": (frame % f"../{n}.jpg").encode() for n in range(2, 6)}
    documents |= {f"{9 - n}.xhtml": xhtml(shown[n - 2] % f"f/{n}.svg") for n in range(2, 6)}
    path = book(tmp_path / "a.epub", documents, {f"{n}.jpg": n for n in range(1, 6)}, more=more)
    assert numbers(path) == [1, 2, 3, 4, 5]


DRAWN = {
    "letters": f'<image {WHOLE} xlink:href="7.jpg"/><text x="2" y="90" font-size="3">a</text>',
    "lines": f'<image {WHOLE} xlink:href="7.jpg"/><path d="M0 0L1 1" stroke="red"/>',
    "half of a picture": '<image x="-64" width="128" height="96" xlink:href="wide.png"/>',
    "tiles": '<image width="64" height="48" xlink:href="top.png"/>'
    '<image y="48" width="64" height="48" xlink:href="low.png"/>',
    "turned": '<image width="96" height="64" transform="translate(64 0) rotate(90)" xlink:href="turned.png"/>',
}


@pytest.mark.parametrize("name", DRAWN)
def test_other_drawings_are_drawn(name: str, tmp_path: Path) -> None:
    """4A.1: at the resolution of the finest picture in them."""
    from PIL import Image

    from tests.archives.made import numbered_picture

    def png(image: Image.Image) -> bytes:
        import io

        stream = io.BytesIO()
        image.save(stream, "PNG")
        return stream.getvalue()

    page = numbered_picture(7, (128, 192))
    wide = Image.new("L", (256, 192), 255)
    wide.paste(page, (128, 0))
    files = {
        "7.jpg": numbered(7, (128, 192)),
        "wide.png": png(wide),
        "top.png": png(page.crop((0, 0, 128, 96))),
        "low.png": png(page.crop((0, 96, 128, 192))),
        "turned.png": png(page.transpose(Image.Transpose.ROTATE_90)),
    }
    path = book(tmp_path / "a.epub", {"a.svg": f"{FRAME}{DRAWN[name]}</svg>"}, files)
    with open_comic(path) as comic:
        drawn = opened(comic.read(comic.members[0]))
    assert drawn.size == (128, 192)
    assert read_number(drawn) == 7
    if name in ("tiles", "half of a picture"):
        assert drawn.convert("L").tobytes() == page.tobytes()


@pytest.mark.parametrize(("width", "height"), [(736, 1162), (333.3, 1000), (97, 61)])
def test_drawn_pages_have_the_size_that_was_meant(width: float, height: float, tmp_path: Path) -> None:
    """Not a pixel more: the longer side is that of all drawn pages. An instruction in front names the style sheet."""
    size = f'width="{width}px" height="{height}px"'
    svg = f'<?xml-stylesheet href="a.css"?><svg {SVG} {size}><path d="M0 0h999v2000z"/></svg>'
    with open_comic(book(tmp_path / "a.epub", {"a.svg": svg, "a.css": "path { fill: #f00 }"}, {})) as comic:
        drawn = opened(comic.read(comic.members[0]))
    scale = 2000 / max(width, height)
    assert drawn.size == (round(width * scale), round(height * scale))
    assert drawn.convert("RGB").getpixel((20, 10)) == (255, 0, 0)


def test_a_page_of_lines_alone_is_drawn(tmp_path: Path) -> None:
    fields = "".join(
        f'<rect x="{n % 4}" y="{n // 4}" width="1" height="1" fill="{"#ddd" if cell else "#222"}"/>'
        for n, cell in enumerate([*(b == "1" for b in f"{7:012b}"[::-1]), *(b == "0" for b in f"{7:012b}"[::-1])])
    )
    documents = {"a.xhtml": xhtml(f'<svg {SVG} viewBox="0 0 4 6">{fields}</svg>')}
    with open_comic(book(tmp_path / "a.epub", documents, {})) as comic:
        drawn = opened(comic.read(comic.members[0]))
    assert (drawn.size, read_number(drawn)) == ((1333, 2000), 7)


def test_letters_without_a_font_are_told(tmp_path: Path) -> None:
    """Whichever fonts there are: the letters are seen, or it is said that they are not."""
    inside = f'<image {WHOLE} xlink:href="7.jpg"/><text x="2" y="90" font-size="9">%s</text>'
    path = book(tmp_path / "a.epub", {"a.svg": f"{FRAME}{inside % 'No'}</svg>"}, {"7.jpg": 7})
    with open_comic(path) as comic:
        drawn = opened(comic.read(comic.members[0]))
        plain = opened(numbered(7)).convert("RGB")
        told = "its letters are not drawn: no font for them on this machine"
        is_drawn = max(abs(a - b) for a, b in zip(drawn.convert("RGB").tobytes(), plain.tobytes(), strict=True)) > 60
        assert comic.note(comic.members[0]) == ("" if is_drawn else told)


@pytest.mark.parametrize("address", ["file://{}", "{}", "../../../../../../..{}", "http://127.0.0.1:9{}"])
def test_a_drawing_opens_no_file(address: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(numbered(9, kind="PNG"))
    inside = f'<image {WHOLE} xlink:href="{address.format(secret)}"/><path d="M0 0L9 9" stroke="red"/>'
    assert numbers(book(tmp_path / "a.epub", {"a.svg": f"{FRAME}{inside}</svg>"}, {})) == [-1]


def test_a_drawing_that_never_ends_is_given_up(tmp_path: Path) -> None:
    """Each level repeats the one below ten times."""
    levels = "".join(f'<g id="g{n}">' + f'<use xlink:href="#g{n - 1}"/>' * 10 + "</g>" for n in range(1, 12))
    inside = f'<g id="g0"><path d="M0 0L9 9" stroke="red"/></g>{levels}<use xlink:href="#g11"/>'
    assert numbers(book(tmp_path / "a.epub", {"a.svg": f"{FRAME}{inside}</svg>"}, {})) == [-1]


def test_a_picture_on_two_pages_counts_twice(tmp_path: Path) -> None:
    """4A.1."""
    documents = {f"{n}.xhtml": xhtml(f'<img src="{shown}.jpg"/>') for n, shown in enumerate((2, 1, 2, 3))}
    assert numbers(book(tmp_path / "a.epub", documents, {"1.jpg": 1, "2.jpg": 2, "3.jpg": 3})) == [2, 1, 2, 3]


def test_decoration_is_no_lost_page(tmp_path: Path) -> None:
    """Pictures of the contents and of style sheets are not missed."""
    path = book(
        tmp_path / "a.epub",
        {"a.xhtml": xhtml('<img src="1.jpg"/>'), "s.css": "li:hover { background: url(2.jpg) }"},
        {"1.jpg": 1, "2.jpg": 2, "3.jpg": 3},
        items='<item id="n" href="n.xhtml" properties="nav" media-type="application/xhtml+xml"/>',
        more={"OEBPS/n.xhtml": xhtml('<nav><img src="3.jpg"/></nav>').encode()},
    )
    assert numbers(path) == [1]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "iso-8859-1", "shift_jis", "utf-8-sig", "windows-1252"])
def test_encodings_of_documents(encoding: str, tmp_path: Path) -> None:
    """4A.1: UTF-16 was taken for prose."""
    name = "表.jpg" if encoding in ("shift_jis", "utf-16", "utf-8-sig") else "é.jpg"
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + xhtml(f'<p>{"a " * 40}</p><img src="{name}"/>')
    path = book(tmp_path / "a.epub", {"a.xhtml": text.encode(encoding)}, {name: 1})
    assert numbers(path) == [1]


def test_accents_composed_or_not(tmp_path: Path) -> None:
    """4A.1: NFC in the document, NFD in the archive, and the other way round."""
    documents = {"a.xhtml": xhtml('<img src="e\u0301.jpg"/>'), "b.xhtml": xhtml('<img src="%C3%A0.jpg"/>')}
    assert numbers(book(tmp_path / "a.epub", documents, {"\u00e9.jpg": 1, "a\u0300.jpg": 2})) == [1, 2]


def test_deep_documents_are_told(tmp_path: Path) -> None:
    deep = xhtml("<div>" * 3000 + '<img src="1.jpg"/>' + "</div>" * 3000)
    path = book(tmp_path / "a.epub", {"a.xhtml": deep, "b.xhtml": xhtml('<img src="1.jpg"/>')}, {"1.jpg": 1})
    assert numbers(path) == [-1, 1]


def test_style_sheets_that_would_take_hours_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epub_styles, "_SECONDS", 0.05)
    rules = ".q * * p { display: none }" * 50
    body = "<div>" * 100 + "<p>a</p>" * 50 + "</div>" * 100
    documents = {"a.xhtml": xhtml(body, f"<style>{rules}</style>"), "b.xhtml": xhtml('<img src="1.jpg"/>')}
    path = book(tmp_path / "a.epub", documents, {"1.jpg": 1})
    with open_comic(path) as comic, pytest.raises(InputError, match="style sheets that take longer"):
        comic.read(comic.members[0])


def test_documents_inside_each_other_end(tmp_path: Path) -> None:
    documents = {
        "a.xhtml": xhtml('<iframe src="b.xhtml"></iframe><img src="1.jpg"/>'),
        "b.xhtml": xhtml('<iframe src="a.xhtml"></iframe>'),
    }
    path = book(tmp_path / "a.epub", documents, {"1.jpg": 1}, references='<itemref idref="a.xhtml"/>')
    assert numbers(path, problems=None) == [1]


@pytest.mark.parametrize(
    ("media", "holds"),
    [
        ("", True),
        ("all", True),
        ("only screen and (orientation: portrait)", True),
        ("(orientation: landscape)", False),
        ("print, screen", True),
        ("not screen", False),
        ("not print", True),
        ("amzn-kf8", False),
        ("(min-width: 600px) and (max-width: 50em)", True),
        ("(max-width: 600px)", False),
        ("(unheard-of: 1)", False),
    ],
)
def test_media_queries(media: str, holds: bool) -> None:
    assert is_for_screens(media) is holds
