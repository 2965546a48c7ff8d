"""What every request passes before anything looks at it, and what every answer says to the browser.

- Host: a page of somebody else whose name was pointed at this machine (DNS rebinding) has another name in it.
- Token: whoever is not on this machine shows it once and gets a cookie.
- Methods, lengths and bodies are bounded; a picture is only taken from a page of ours.
- The content policy allows nothing that is not a file of ours: a name that slipped through as markup would run nothing.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_PATH, LONGEST_QUERY = 2000, 6000  # letters
MULTIPART = 64 << 10  # bytes of a form besides the picture in it
METHODS = ("GET", "HEAD", "POST")
POLICY = (
    "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none at all a form says that it comes from nowhere
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
OPEN_PATHS = ("/static/", "/favicon.ico")  # the same for everybody, with nothing of the library in them


@dataclass(frozen=True)
class Rules:
    """Who may ask.

    Attributes:
        host: that the server listens on.
        token: empty: none is needed.
        most_body: bytes of a request.
        port: names the cookie, so that two libraries on one machine do not take each other's.
    """

    host: str
    token: str
    most_body: int
    port: int = 0

    @property
    def cookie(self) -> str:
        """Its name."""
        return f"comictool-{self.port}"

    def knows(self, host: str) -> bool:
        """Whether a request for this host is meant for us: by number, or by a name that is this machine's own.

        A number is safe, because what an attacker points elsewhere is a name. A server that only this machine can
        reach is only ever asked as this machine.
        """
        name = _name_of(host)
        if name == "localhost" or name == self.host.lower():
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            own = socket.gethostname().lower()
            return not is_local(self.host) and name in (own, f"{own}.local", own.split(".")[0])
        return address.is_loopback or not is_local(self.host)


def is_local(host: str) -> bool:
    """Whether what listens on this host is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name_of(host: str) -> str:
    """A Host header without its port, in small letters; empty when it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


class Guard:
    """ASGI middleware; see the module.

    Args:
        refused: makes the answer to a request that does not pass: its headers, status and a sentence.
    """

    def __init__(self, app: ASGIApp, rules: Rules, refused: Callable[[Scope, int, str], Response]) -> None:
        self._app, self._rules, self._refused = app, rules, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        safe = _with_headers(send)
        response = self._answer(scope)
        if response is not None:
            await response(scope, receive, safe)
            return
        body = _Bounded(receive, self._rules.most_body)
        await self._app(scope, body.receive, safe)

    def _answer(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further."""
        headers = Headers(scope=scope)
        method, query = str(scope["method"]), bytes(scope.get("query_string", b""))
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._rules.knows(hosts[0]):
            return self._refused(scope, 421, "this server does not go by that name")
        if method not in METHODS:
            answer = self._refused(scope, 405, f"{method:.20} is not done here: this server only shows a library")
            answer.headers["Allow"] = ", ".join(METHODS)
            return answer
        if len(str(scope["path"])) > LONGEST_PATH or len(query) > LONGEST_QUERY:
            return self._refused(scope, 414, "the address is too long")
        if (token := self._rules.token) and not str(scope["path"]).startswith(OPEN_PATHS):
            shown = dict(parse_qsl(query.decode("latin-1"))).get("token", "") if method == "GET" else ""
            if shown and _same(shown, token):
                return self._with_cookie(scope, query)
            if not any(_same(told, token) for told in _tokens(headers, self._rules.cookie)):
                return self._refused(scope, 401, "this library asks for its token")
        if method == "POST":
            return self._post(scope, headers, hosts[0])
        return None

    def _post(self, scope: Scope, headers: Headers, host: str) -> Response | None:
        origin = headers.get("origin")
        from_elsewhere = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if from_elsewhere or (origin is not None and urlsplit_host(origin) != host.lower()):
            return self._refused(scope, 403, "pictures are only taken from a page of this library")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 16):
            return self._refused(scope, 400, "the length of the request is not a number")
        if int(length) > self._rules.most_body:
            return self._refused(scope, 413, f"the request has more than {self._rules.most_body:,} bytes")
        return None

    def _with_cookie(self, scope: Scope, query: bytes) -> Response:
        """To the same address without the token, which then stands neither in the history nor in a link."""
        rest = [(name, value) for name, value in parse_qsl(query.decode("latin-1")) if name != "token"]
        path = bytes(scope.get("raw_path") or str(scope["path"]).encode()).decode("latin-1").split("?")[0]
        path = "/" + path.lstrip("/\\")  # never `//other`, which would be another server
        response = RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, 303)
        response.set_cookie(
            self._rules.cookie, self._rules.token, httponly=True, samesite="lax", path="/", max_age=30 * 86400
        )
        return response


def urlsplit_host(origin: str) -> str:
    """Host and port of an origin; empty when it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _same(told: str, token: str) -> bool:
    """Compared in the same time, however much is right."""
    return hmac.compare_digest(told.encode("utf-8", "replace"), token.encode("utf-8"))


def _tokens(headers: Headers, name: str) -> Iterable[str]:
    for value in headers.getlist("authorization")[:1]:
        if value[:7].lower() == "bearer ":
            yield value[7:].strip()
    for value in headers.getlist("cookie")[:4]:
        try:
            morsel = SimpleCookie(value).get(name)
        except CookieError:
            continue
        if morsel is not None:
            yield morsel.value


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending


class TooMuch(Exception):
    """More bytes came than a request may have."""


class _Bounded:
    """The body of a request, which ends with `TooMuch` when more comes than was announced."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left = receive, most

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise TooMuch
        return message
