"""Who may ask, and what is refused before anything looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from comictool.core.errors import InputError, UsageError
from comictool.serve.app import Server, most_body
from comictool.serve.guard import HEADERS, Rules
from comictool.serve.running import address_of, listen, token_for
from tests.serve.conftest import client, served

TOKEN = "a-token-of-some-length"
HERE = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("host", "asked", "is_known"),
    [
        ("127.0.0.1", "127.0.0.1:8080", True),
        ("127.0.0.1", "LOCALHOST", True),
        ("127.0.0.1", "[::1]:8080", True),
        ("127.0.0.1", "evil.example:8080", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "192.168.1.7", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "[", False),
        ("0.0.0.0", "192.168.1.7:8080", True),
        ("0.0.0.0", "evil.example", False),
        ("comics.lan", "comics.lan:80", True),
    ],
)
def test_names_that_the_server_goes_by(host: str, asked: str, is_known: bool) -> None:
    assert Rules(host, "", 1).knows(asked) is is_known


def test_a_name_that_was_pointed_here_shows_nothing(server: Server) -> None:
    answer = client(server, base_url="http://evil.example:8080").get("/library")
    assert answer.status_code == 421
    assert "lib" not in answer.text.replace("library", "")


def test_without_the_token_nothing_is_shown(library: Path) -> None:
    server = Server(served(library, host="0.0.0.0", token=TOKEN))
    web = client(server)
    for address in ("/", "/library", "/api/comics", "/pictures/small/b/1", "/given/x", "/nothing", "/?token=wrong"):
        answer = web.get(address)
        assert answer.status_code == 401
        assert "The Book of B" not in answer.text
    assert web.post("/picture", files={"file": b"x"}).status_code == 401
    assert web.get("/static/style.css").status_code == 200
    first = web.get(f"/library?q=b&token={TOKEN}", follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, "/library?q=b")
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert web.get("/library").status_code == 200  # the client keeps the cookie
    bare = client(server)
    assert bare.get("/api/comics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert (
        bare.get(f"{HERE}//evil.example/?token={TOKEN}", follow_redirects=False).headers["location"] == "/evil.example/"
    )
    server.close()


def test_methods_lengths_and_origins(web: TestClient) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        answer = web.request(method, "/")
        assert answer.status_code == 405
        assert HEADERS.items() <= dict(answer.headers).items() or all(answer.headers[name] for name in HEADERS)
    assert web.post("/").status_code == 405
    assert web.get("/picture").status_code == 405
    assert web.get(f"/?q={'a' * 7000}").status_code == 414
    assert web.get(f"/{'a' * 2500}").status_code == 414
    elsewhere = {"Origin": "http://evil.example"}
    assert web.post("/api/pictures", content=b"x", headers=elsewhere).status_code == 403
    assert web.post("/api/pictures", content=b"x", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    ours = {"Origin": "http://127.0.0.1:8080"}
    assert web.post("/api/pictures", content=b"x", headers=ours).json()["error"] == "not a picture that can be read"


def test_uploads_are_bounded(web: TestClient) -> None:
    too_much = {"Content-Length": str(most_body() + 1)}
    assert web.post("/api/pictures", content=b"x", headers=too_much).status_code == 413

    def endless() -> object:
        for _ in range(most_body() // (1 << 20) + 2):
            yield b"\0" * (1 << 20)

    assert web.post("/api/pictures", content=endless()).status_code == 413
    many = [("file", (f"{n}.png", b"x", "image/png")) for n in range(5)]
    assert web.post("/picture", files=many).status_code == 400
    assert web.post("/picture", data={"q": "x"}).status_code == 400
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\x08\2\0\0\0\0\0\0\0"
    assert web.post("/api/pictures", content=bomb).status_code == 400


def test_tokens_and_ports() -> None:
    assert token_for("127.0.0.1", None) == ""
    assert len(token_for("0.0.0.0", None)) >= 32
    assert token_for("127.0.0.1", "new") != token_for("127.0.0.1", "new")
    for bad in ("short", "with spaces in the token", ""):
        with pytest.raises(UsageError):
            token_for("127.0.0.1", bad)
    with listen("127.0.0.1", 0) as one:
        port = one.getsockname()[1]
        assert address_of("127.0.0.1", port, "t o") == f"http://127.0.0.1:{port}/?token=t%20o"
        with pytest.raises(InputError, match=f"port {port} is in use"):
            listen("127.0.0.1", port)
