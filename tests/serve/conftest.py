"""A small library with made-up pages, and a client that asks its server without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from starlette.testclient import TestClient

from comictool.core.jobs import JobOptions
from comictool.corpus.records import Character, Text
from comictool.serve.app import Served, Server, make_app, most_body
from comictool.serve.guard import Rules
from tests.vectors.fakes import FakeEncoder, embed_corpus, fake, make_corpus, make_page

ODD = "odd 'name' % <b>[x]"


def served(root: Path, *, host: str = "127.0.0.1", token: str = "") -> Served:
    return Served(root, Rules(host, token, most_body(), 8080), lambda: FakeEncoder("fake@1+none+own", False))


def client(server: Server, **chosen: object) -> TestClient:
    chosen.setdefault("base_url", "http://127.0.0.1:8080")
    return TestClient(make_app(server), **chosen)  # type: ignore[arg-type]


@pytest.fixture(scope="package")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three comics: `b`, one with an odd name, and `manga`, whose page 2 has two panels read from the right."""
    root = tmp_path_factory.mktemp("serve") / "lib"
    corpus = make_corpus(root, {"b": 5, ODD: 3})
    pages = [make_page(corpus, "manga", number, 0) for number in (1, 3)]
    page = make_page(corpus, "manga", 2, 2)
    page.direction = "rtl"
    page.texts = [Text(1, "in the <first> panel", box=(1, 1, 5, 5)), Text(2, "outside", kind="sfx")]
    page.characters = [Character(1, (2, 2, 20, 20), panel=1, identity="amos")]
    corpus.write_pages("manga", [*pages, page])
    corpus.write_comic_facts("b", {"title": "The Book of B", "series": "Letters", "number": 2, "year": 1946})
    embed_corpus(corpus, fake(), root / "store", options=JobOptions(jobs=1))
    corpus.write_pages("late", [make_page(corpus, "late", 1, 1)])  # not indexed yet
    (root.parent / "secret.txt").write_text("not for anybody")
    return root


@pytest.fixture(scope="package")
def server(library: Path) -> Iterator[Server]:
    made = Server(served(library))
    yield made
    made.close()


@pytest.fixture
def web(server: Server) -> TestClient:
    return client(server)
