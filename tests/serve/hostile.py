"""Requests that nobody honest sends, the same for the same seed, and asking an application with the raw bytes of each.

What is sent is not put right on the way, as clients and servers do it: the path goes in as an attacker would have it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

SECRET = b"not for anybody: 7d1f"  # in a file beside the library; a test looks for it in every answer
OTHERS = (SECRET, b"root:x:0:0", b"Traceback (most recent")
OURS = (b"host", b"127.0.0.1:8080")
WAYS_OUT = (
    "../secret.txt", "..%2fsecret.txt", "%2e%2e/%2e%2e/secret.txt", "%252e%252e%252fsecret.txt", "..\\secret.txt",
    "..%5csecret.txt", "/etc/passwd", "%2fetc%2fpasswd", "....//secret.txt", "%c0%ae%c0%ae/secret.txt",
    "..;/secret.txt", "b/../../secret.txt", "file:///etc/passwd", "secret.txt%00.jpg", "%00", ".", "..", "~",
    "/proc/self/environ",
    "C:\\secret.txt", "\\\\host\\share", "b\x7f", "%ff%fe", "%ed%a0%80", "%F0%9F%98%80", "<script>", "'\"><img src=x>",
    "{{7*7}}", "${7*7}", "%s%n%d", "b' OR 1=1 --", "b\" OR \"\"=\"", "*", "?", "[", "NUL", "con", "\u202eb",
)  # fmt: skip
NUMBERS = (
    "0",
    "1",
    "-1",
    "1e9",
    "999999999",
    "99999999999999999999",
    "0x10",
    "1.5",
    "NaN",
    "١",
    "",
    " 1",
    "1/../..",
    "null",
)
ROUTES = (
    "/{}", "/comic/{}", "/page/{}/{n}", "/page/b/{n}", "/page/{}/{}", "/pictures/small/{}/{n}", "/pictures/{}/b/1",
    "/pictures/small/b/{n}/{n}", "/pictures/large/{}/{}/{}", "/pictures/small/b/1/{}/{}", "/static/{}", "/static/../{}",
    "/given/{}", "/api/page/{}/{n}", "/api/comics/{}", "/api/{}", "//{}", "/page/b/1/../../{}", "/static/style.css/{}",
)  # fmt: skip
PARAMETERS = (
    "q",
    "like",
    "picture",
    "level",
    "comic",
    "others",
    "group",
    "page",
    "panel",
    "missing",
    "read",
    "token",
    "v",
)
METHODS = ("GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "\x00")
WORDS = (
    '"',
    "*",
    "-",
    "OR",
    "NEAR(a b)",
    "a" * 501,
    "hello",
    "hel*",
    '"hello from',
    "{",
    "^a",
    "col:a",
    "あ",
    "\x00",
    "ﷺ" * 40,
)


@dataclass
class Request:
    """One request as its bytes."""

    method: str
    path: bytes
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [OURS])
    body: bytes = b""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def requests(count: int, seed: int, pictures: list[bytes]) -> Iterator[Request]:
    """So many requests; `pictures` are damaged, cut and sent as well."""
    chance = random.Random(seed)
    for number in range(count):
        made = (_address, _address, _address, _question, _question, _headers, _upload)[number % 7]
        yield made(chance, pictures)


def _part(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.7:
        return chance.choice(WAYS_OUT)
    if kind < 0.85:
        return "".join(chr(chance.randrange(1, 0x2FFF)) for _ in range(chance.randrange(1, 30)))
    return chance.choice(WAYS_OUT) * chance.randrange(1, 120)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").replace(b" ", b"%20").replace(b"#", b"%23").replace(b"?", b"%3f")


def _address(chance: random.Random, pictures: list[bytes]) -> Request:
    route = chance.choice(ROUTES)
    while "{" in route.replace("{{7", ""):
        before = route
        route = route.replace("{n}", chance.choice(NUMBERS), 1) if "{n}" in route else route.replace("{}", "\1", 1)
        route = route.replace("\1", _part(chance).replace("{", "(").replace("}", ")"), 1)
        if route == before:
            break
    return Request(chance.choice(METHODS[:6]), _encoded(route))


def _question(chance: random.Random, pictures: list[bytes]) -> Request:
    path = chance.choice((b"/", b"/library", b"/api/search", b"/api/comics", b"/page/b/1", b"/comic/b"))
    values = [*WORDS, *NUMBERS, *WAYS_OUT, "b/1", "b/1/1", "page", "comic", "text"]
    told = [(chance.choice(PARAMETERS), chance.choice(values)) for _ in range(chance.randrange(1, 5))]
    query = b"&".join(f"{name}={value}".encode("utf-8", "surrogatepass") for name, value in told)
    if chance.random() < 0.1:
        query += bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9000)))
    return Request("GET", path, query)


def _headers(chance: random.Random, pictures: list[bytes]) -> Request:
    request = _question(chance, pictures) if chance.random() < 0.5 else _address(chance, pictures)
    names = (b"host", b"cookie", b"authorization", b"origin", b"if-none-match", b"range", b"x-forwarded-for", b"accept")
    values = (
        b"evil.example",
        b"[",
        b"127.0.0.1@evil",
        b"comictool-8080=x",
        b"Bearer \xff\xfe",
        b"\0",
        b"a" * 5000,
        b'"',
        b"",
    )
    request.headers = [OURS] if chance.random() < 0.7 else []
    request.headers += [(chance.choice(names), chance.choice(values)) for _ in range(chance.randrange(1, 4))]
    return request


def _upload(chance: random.Random, pictures: list[bytes]) -> Request:
    data = bytearray(chance.choice(pictures))
    for _ in range(chance.randrange(0, 12)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    data = data[: chance.randrange(len(data) + 1)] if chance.random() < 0.4 else data
    if chance.random() < 0.5:
        kinds = (b"image/png", b"text/html", b"", b"multipart/form-data")
        return Request("POST", b"/api/pictures", b"", [OURS, (b"content-type", chance.choice(kinds))], bytes(data))
    name = chance.choice(WAYS_OUT).encode("utf-8", "replace").replace(b'"', b"")
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="' + name + b'"\r\n\r\n'
    body = head + bytes(data) + chance.choice((b"\r\n--x--\r\n", b"", b"\r\n--x", b"--x--" * 50))
    boundary = chance.choice(
        (b"multipart/form-data; boundary=x", b"multipart/form-data", b"multipart/form-data; boundary=")
    )
    return Request("POST", b"/picture", b"", [OURS, (b"content-type", boundary)], body)


async def ask(app: object, request: Request) -> Answer:
    """Ask an ASGI application, as the server would for these bytes."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote_to_bytes(request.path).decode("utf-8", "replace"),
        "raw_path": request.path,
        "root_path": "",
        "query_string": request.query,
        "headers": request.headers,
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8080),
    }
    left = [request.body[start : start + 65536] for start in range(0, len(request.body), 65536)] or [b""]
    answer = Answer(0, {}, b"")

    async def receive() -> dict[str, object]:
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            answer.status = int(message["status"])  # type: ignore[call-overload]
            answer.headers = dict(message["headers"])  # type: ignore[call-overload]
        else:
            answer.body += bytes(message.get("body", b""))  # type: ignore[call-overload]

    await app(scope, receive, send)  # type: ignore[operator]
    return answer


def wrong(answer: Answer) -> str:
    """What no answer may do; empty when it does none of that."""
    if answer.status >= 500 or answer.status < 200:
        return f"status {answer.status}"
    if any(text in answer.body for text in OTHERS):
        return "something from outside of the library"
    if b"content-security-policy" not in answer.headers or answer.headers.get(b"x-content-type-options") != b"nosniff":
        return "no policy"
    is_page = answer.headers.get(b"content-type", b"").startswith(b"text/html")
    if is_page and (b"<script>" in answer.body or b"<img src=x>" in answer.body):
        return "markup that was sent"
    return ""
