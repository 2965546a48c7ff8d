"""Contact sheets: safe, self-contained, bounded."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from comictool.report.page import html_page
from comictool.report.sheet import MOST_TILES, Tile, write_sheet
from comictool.report.thumbnails import PIXELS_IN_ALL, SMALLEST_SIDE, side_for, thumbnail

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> & \u202e"


class Seen(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(tmp_path: Path) -> Path:
    picture = Image.new("RGB", (300, 400), "white")
    picture.paste("red", (100, 100, 200, 300))
    picture.save(tmp_path / "page.png")
    return tmp_path / "page.png"


def written(tmp_path: Path, **arguments: object) -> tuple[str, Seen]:
    write_sheet(tmp_path / "sheet.html", **arguments)  # type: ignore[arg-type]
    text = (tmp_path / "sheet.html").read_text("utf-8")
    return text, Seen(text)


def test_hostile_names_stay_text(tmp_path: Path, page: Path) -> None:
    tile = Tile(page, (0, 0, 50, 50), HOSTILE, 0.5, [HOSTILE])
    gone = Tile(tmp_path / "a<script>b.png", None, HOSTILE)
    text, seen = written(tmp_path, title=HOSTILE, tiles=[tile, gone], query=tile, notes=[HOSTILE])
    assert {tag for tag, _ in seen.tags} <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "p",
        "main",
        "section",
        "ol",
        "li",
        "figure",
        "a",
        "img",
        "figcaption",
        "span",
        "strong",
        "svg",
        "rect",
        "div",
    }
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
    assert seen.text.count("alert(1)</script>") >= 6
    assert "<script" not in text


def test_nothing_is_loaded_from_anywhere(tmp_path: Path, page: Path) -> None:
    text, seen = written(tmp_path, title="t", tiles=[Tile(page, None, "b/1", 0.25)] * 3)
    links = [value for _, a in seen.tags for name, value in a.items() if name in ("src", "href", "srcset", "data")]
    assert links
    assert all(link and link.startswith(("data:image/jpeg;base64,", "#")) for link in links)
    assert "url(" not in text
    assert "@import" not in text
    policy = next(a["content"] for tag, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    assert style is not None
    allowed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    )
    assert "style" not in {name for _, a in seen.tags for name in a}  # the policy would not allow it


def test_the_box_is_what_is_shown(page: Path) -> None:
    small = thumbnail(page, (100, 100, 200, 300), 100)
    shown = Image.open(io.BytesIO(base64.b64decode(small.uri.split(",")[1])))
    assert shown.size == (small.width, small.height) == (50, 100)
    red, green, blue = shown.getpixel((25, 50))
    assert red > 240
    assert green < 15
    assert blue < 15
    assert (small.page_width, small.page_height) == (300, 400)
    assert thumbnail(page, None, 200).width == 150
    assert thumbnail(page, (-50, 0, 900, 400), 4000).width == 300


def test_unreadable_pictures_are_notes(tmp_path: Path, page: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    tiles = [Tile(tmp_path / "bad.jpg"), Tile(tmp_path / "gone.jpg"), Tile(page, (900, 0, 950, 10)), Tile(page)]
    assert write_sheet(tmp_path / "sheet.html", title="t", tiles=tiles) == 3
    seen = Seen((tmp_path / "sheet.html").read_text("utf-8"))
    assert "bad.jpg: " in seen.text
    assert "gone.jpg: " in seen.text
    assert sum(tag == "img" for tag, _ in seen.tags) == 1


def test_many_tiles_stay_bounded(tmp_path: Path, page: Path) -> None:
    _, seen = written(tmp_path, title="t", tiles=[Tile(page)] * (MOST_TILES + 5))
    assert sum(tag == "img" for tag, _ in seen.tags) == MOST_TILES
    assert f"The first {MOST_TILES} of {MOST_TILES + 5} are shown." in seen.text
    for count in (1, 10, 100, MOST_TILES):
        assert side_for(count) ** 2 * count <= PIXELS_IN_ALL
    assert side_for(10**9) == SMALLEST_SIDE


def test_empty_and_same_bytes_twice(tmp_path: Path, page: Path) -> None:
    text, _ = written(tmp_path, title="t", tiles=[])
    assert "Nothing was found." in text
    first, _ = written(tmp_path, title="t", tiles=[Tile(page, (0, 0, 120, 130), "b/1/1", 0.5)])
    assert written(tmp_path, title="t", tiles=[Tile(page, (0, 0, 120, 130), "b/1/1", 0.5)])[0] == first


def test_an_upright_page_keeps_its_place_marks(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (400, 300), "white").save(tmp_path / "turned.jpg", exif=exif)
    for box in (None, (0, 0, 300, 400)):
        small = thumbnail(tmp_path / "turned.jpg", box, 100)
        assert (small.page_width, small.page_height) == (300, 400)
        assert (small.width, small.height) == (75, 100)


def test_a_plain_page() -> None:
    page = html_page("a < b", "<p>body</p>")
    assert "<title>a &lt; b</title>" in page
    assert page.startswith("<!DOCTYPE html>")
