"""What the pages and the JSON say, against the records and against `query`."""

from __future__ import annotations

import io
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from starlette.testclient import TestClient

from comictool.search.query import Query, query
from comictool.serve.app import Server
from comictool.serve.asking import A_PAGE
from comictool.serve.pictures import SIZES
from tests.serve.conftest import ODD, client
from tests.vectors.fakes import FakeEncoder


class Controls(HTMLParser):
    """Names of links, buttons and fields, and what a strict content policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[list[str]] = []
        self.nameless: list[str] = []
        self.inline: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        told = dict(attributes)
        self.inline += [name for name in told if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in told):
            self.inline.append(tag)
        if "id" in told:
            self.ids.append(str(told["id"]))
        if tag in ("a", "button"):
            self.open.append([tag, told.get("aria-label") or ""])
        elif tag == "img" and self.open:
            self.open[-1][1] += told.get("alt") or ""
        elif tag == "input" and told.get("type") not in ("hidden", "checkbox") and not told.get("aria-label"):
            self.nameless.append(str(told))

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1][1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("a", "button") and self.open:
            _, name = self.open.pop()
            if not name.strip():
                self.nameless.append(str(self.getpos()))


def picture(library: Path, name: str = "b", page: int = 1) -> bytes:
    return (library / "page_images" / name / f"page-{page}.png").read_bytes()


PAGES = [
    "/",
    "/?q=hello",
    "/?q=hello&facets=1",
    "/?q=hello&like=b/1/1",
    "/?like=b/2/1",
    "/library",
    "/library?missing=text",
    f"/comic/{quote(ODD)}",
    "/page/manga/2",
]


@pytest.mark.parametrize("address", [*PAGES, "/page/manga/99", "/?q=%2D%2D"])
def test_every_control_has_a_name_and_nothing_is_inline(web: TestClient, address: str) -> None:
    answer = web.get(address)
    assert answer.status_code == (404 if "99" in address else 400 if "%2D" in address else 200)
    controls = Controls()
    controls.feed(answer.text)
    assert not controls.nameless
    assert not controls.inline
    assert len(controls.ids) == len(set(controls.ids))
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_same_answers_as_query(web: TestClient, library: Path) -> None:
    for address, asked in (
        ("q=hello", Query(text="hello", k=A_PAGE)),
        ("like=b/2/1", Query(id="b/2/1", k=A_PAGE)),
        ("like=b/2/1&others=1&level=page", Query(id="b/2/1", k=A_PAGE, exclude_same_comic=True, level="page")),
        (f"q=hello&level=page&comic={quote(ODD)}", Query(text="hello", k=A_PAGE, level="page", comic_glob="odd*")),
        ("like=b/2&group=comic", Query(id="b/2", k=A_PAGE, group_by="comic")),
        ("q=hello&series=Letters&year=1946", Query(text="hello", k=A_PAGE, filters=("series=letters", "year=1946"))),
        ("q=hello&level=page&type=story", Query(text="hello", k=A_PAGE, level="page", filters=("type=story",))),
        ("q=hello&like=b/2/1&wq=80", Query(text="hello", id="b/2/1", k=A_PAGE, weights=(("text", 0.8), ("id", 0.5)))),
    ):
        answers = web.get(f"/api/search?{address}").json()["answers"]
        hits = query(library, asked)
        assert [(a["rank"], a["id"], a["score"]) for a in answers] == [(h.rank, h.id, h.score) for h in hits]
        assert hits


def test_further_answers_and_what_they_can_be_narrowed_to(web: TestClient, library: Path) -> None:
    every = query(library, Query(id="b/2", k=100, level="page"))
    first = web.get("/api/search?like=b/2&level=page").json()
    assert not first["more"]
    assert len(first["answers"]) == len(every)
    assert web.get("/api/search?like=b/2&level=page&page=2").json() == {"more": False, "answers": []}
    counts = web.get("/api/facets?q=hello&level=page").json()
    assert counts["series"] == [{"value": "Letters", "rows": 5}]
    assert {"value": "b", "rows": 5} in counts["comic"]
    whole = web.get("/api/facets?level=page").json()  # without a question those of the library
    comics = web.get("/api/comics").json()["comics"]
    assert {one["value"]: one["rows"] for one in whole["comic"]} == {
        c["name"]: c["pages"] for c in comics if c["pages"]
    }
    assert [one["value"] for one in web.get("/api/facets?level=page&comic=b").json()["comic"]] == ["b"]
    page = web.get("/?q=hello&series=Letters&level=page").text
    assert 'aria-label="Any series, not only Letters"' in page
    assert web.get("/?q=hello&series=None").status_code == 400
    together = web.get("/?q=hello&like=b/2/1").text
    assert 'name="wq"' in together
    assert 'name="wlike"' in together
    assert 'name="wpicture"' not in together


def test_a_picture_that_is_given(web: TestClient, library: Path) -> None:
    data = picture(library)
    sent = web.post("/picture", files={"file": ("mine.png", data, "image/png")}, follow_redirects=False)
    assert sent.status_code == 303
    shown = web.get(sent.headers["location"])
    assert shown.status_code == 200
    assert "/page/b/1" in shown.text
    key = re.search(r"picture=([0-9a-f]+)", sent.headers["location"])
    assert key is not None
    assert web.post("/api/pictures", content=data).json() == {"picture": key[1]}
    small = web.get(f"/given/{key[1]}")
    assert Image.open(io.BytesIO(small.content)).format == "JPEG"
    answers = web.get(f"/api/search?picture={key[1]}").json()["answers"]
    hits = query(library, Query(image=library / "page_images/b/page-1.png", k=A_PAGE), encoder=encoder())
    assert [(a["id"], a["score"], a["match"]) for a in answers] == [(h.id, h.score, h.match) for h in hits]
    assert web.get("/?picture=00").status_code == 400


def encoder() -> FakeEncoder:
    return FakeEncoder("fake@1+none+own", False)


def test_page_shows_panels_in_reading_order_with_their_words(web: TestClient) -> None:
    page = web.get("/page/manga/2")
    assert "in the &lt;first&gt; panel" in page.text
    assert 'data-direction="rtl"' in page.text
    assert 'href="/page/manga/1"' in page.text
    assert 'href="/page/manga/3"' in page.text
    told = web.get("/api/page/manga/2").json()
    assert [step["id"] for step in told["panels"]] == ["manga/2/1", "manga/2/2"]
    assert [text["text"] for text in told["panels"][0]["balloons"]] == ["in the <first> panel"]
    assert [text["text"] for text in told["texts"]] == ["outside"]
    assert 'class="marked"' in web.get("/page/manga/2?panel=2").text


def test_pictures_are_cut_small_and_known_again(web: TestClient) -> None:
    whole = web.get("/pictures/small/b/2")
    panel = web.get("/pictures/small/b/2/1")
    assert Image.open(io.BytesIO(whole.content)).size == (40, 60)
    assert Image.open(io.BytesIO(panel.content)).size == (40, 30)
    assert panel.headers["content-type"] == "image/jpeg"
    again = web.get("/pictures/small/b/2/1", headers={"If-None-Match": panel.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert web.get(f"/pictures/small/{quote(ODD, safe='')}/1").status_code == 200
    assert web.get("/pictures/large/late/1/1").status_code == 200  # in the corpus, not indexed yet
    for gone in ("/pictures/small/b/77", "/pictures/huge/b/1", "/pictures/small/b/1/9", "/pictures/small/x/1"):
        assert web.get(gone).status_code == 404
    assert set(SIZES) == {"small", "medium", "large"}


def test_library_says_what_is_missing(web: TestClient) -> None:
    told = {comic["name"]: comic for comic in web.get("/api/comics").json()["comics"]}
    assert list(told) == ["b", "late", "manga", ODD]
    assert told["late"]["missing"] == ["vectors"]
    assert told["b"]["missing"] == []
    assert (told["b"]["title"], told["b"]["year"], told["b"]["pages"]) == ("The Book of B", "1946", 5)
    assert [c["name"] for c in web.get("/api/comics?q=letters").json()["comics"]] == ["b"]
    page = web.get("/library?missing=vectors").text
    assert "/comic/late" in page
    assert "/comic/b" not in page


def test_words_that_were_looked_for_are_escaped(web: TestClient) -> None:
    page = web.get("/", params={"q": "<script>alert(1)</script>"}).text
    assert "<script>alert" not in page
    assert "alert(1)" in unescape(page)


def test_a_library_that_grows_is_seen(library: Path, web: TestClient, server: Server) -> None:
    assert server.shelf.place() is server.shelf.place()
    head = library / "store" / "zarr.json"
    before = server.shelf.place()
    text = head.read_bytes()
    head.write_bytes(text + b" ")
    assert server.shelf.place() is not before
    head.write_bytes(text)


def test_description_names_every_address_and_parameter(web: TestClient) -> None:
    described = web.get("/api/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    routes = {route.path for route in web.app._app.routes if route.path.startswith("/api/")}  # type: ignore[attr-defined]
    assert routes == {*described["paths"], "/api/openapi.json"}
    answer = described["components"]["schemas"]["Answer"]["properties"]
    assert set(web.get("/api/search?q=hello").json()["answers"][0]) == set(answer)
    comic = described["components"]["schemas"]["Comic"]["properties"]
    assert set(web.get("/api/comics").json()["comics"][0]) == set(comic)


def test_questions_that_cannot_be(web: TestClient, library: Path) -> None:
    for address in (
        "",
        "level=book&q=a",
        "q=a&by=x",
        "q=a&wq=101",
        "q=a&year=x",
        "page=0&q=a",
        "page=999&q=a",
        f"q={'x' * 501}",
        "group=x&q=a",
    ):
        answer = web.get(f"/api/search?{address}")
        assert answer.status_code == 400
        assert answer.json()["error"]
    missing = web.get("/api/search?like=b/77")
    assert missing.json()["near"]
    assert str(library) not in web.get("/api/search?like=nothing").text


def test_head_and_unknown_addresses(server: Server) -> None:
    web = client(server)
    assert web.head("/").content == b""
    assert web.get("/nothing").status_code == 404
    assert web.get("/favicon.ico").headers["content-type"] == "image/svg+xml"
