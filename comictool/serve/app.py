"""The addresses of the server, and what each is answered with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from comictool.core.errors import ComicError, SetupError
from comictool.search.facets import Count, facets
from comictool.search.query import Hit, query
from comictool.serve import answers, html
from comictool.serve.asking import Asked, asked, number
from comictool.serve.guard import MULTIPART, Guard, Rules, TooMuch
from comictool.serve.openapi import description
from comictool.serve.pictures import SIZES, UPLOAD_BYTES, Made, Pictures
from comictool.serve.shelf import NotThere, Shelf

if TYPE_CHECKING:
    from comictool.plugins.encoder import Encoder

T = TypeVar("T")
SEARCHERS, DRAWERS, ENCODERS = 4, 2, 1  # threads; of those that encode one, since the model itself uses all cores
MOST_WAITING = 200  # requests for a pool of threads; more are told to come again
BODY_SECONDS = 60.0  # for a picture to arrive
FOREVER, ASK_AGAIN = "private, max-age=31536000, immutable", "private, no-cache"
COMICS_A_PAGE = 60
log = logging.getLogger("comictool.serve")


@dataclass(frozen=True)
class Served:
    """What is served and how.

    Attributes:
        library: see `serve.shelf.Shelf`.
        encoder: loads what turns pictures into vectors; None: the one that the store remembers.
        trust, device: for that one, see `search.query.query`.
    """

    library: Path
    rules: Rules
    encoder: Callable[[], Encoder] | None = None
    trust: bool = False
    device: str = "auto"


class Busy(Exception):
    """Too many requests wait already."""


class Threads:
    """A few threads for one kind of work, so that work of another kind never waits for it."""

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, name)
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Do something in one of the threads.

        Raises:
            Busy: too much waits already.
        """
        if self._waiting >= MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the threads end; what was not begun is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Server:
    """The endpoints.

    Raises:
        InputError: see `Shelf`.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self.shelf = Shelf(served.library)
        self.pictures = Pictures(self.shelf)
        self._searching = Threads(SEARCHERS, "search")
        self._drawing = Threads(DRAWERS, "pictures")
        self._encoding = Threads(ENCODERS, "encode")
        self._encoder: Encoder | None = None

    def close(self) -> None:
        """End the threads."""
        for threads in (self._searching, self._drawing, self._encoding):
            threads.close()

    def routes(self) -> list[Route]:
        """All addresses."""
        page = "/{comic}/{page}"
        return [
            Route("/", self.search),
            Route("/library", self.library),
            Route("/comic/{comic}", self.comic),
            Route(f"/page{page}", self.page),
            Route("/picture", self.give, methods=["POST"]),
            Route("/given/{key}", self.given),
            Route("/pictures/{size}/{comic}/{page}", self.picture),
            Route("/pictures/{size}/{comic}/{page}/{part}", self.picture),
            Route("/pictures/{size}/{comic}/{page}/{part}/{identity}", self.picture),
            Route("/static/{name}", self.static),
            Route("/favicon.ico", self.static),
            Route("/api/search", self.api_search),
            Route("/api/pictures", self.api_give, methods=["POST"]),
            Route("/api/comics", self.api_comics),
            Route("/api/comics/{comic}", self.api_comic),
            Route(f"/api/page{page}", self.api_page),
            Route("/api/facets", self.api_facets),
            Route("/api/openapi.json", self.api_description),
        ]

    # Pages

    async def search(self, request: Request) -> Response:
        """The first page: a question and its answers, or what the library holds."""
        question = asked(request.query_params)
        if not question.is_question:
            return html.page("start.html", **await self._searching.run(lambda: answers.start(self.shelf)))
        try:
            found = await self._answers(question)
        except NotThere as error:
            return html.problem(404, error, self.shelf, asked=question)
        except ComicError as error:
            return html.problem(status_of(error), error, self.shelf, asked=question)
        return html.page("search.html", **found)

    async def library(self, request: Request) -> Response:
        """All comics."""
        return html.page("library.html", **await self._library(request))

    async def comic(self, request: Request) -> Response:
        """The pages of a comic."""
        name = request.path_params["comic"]
        return html.page("comic.html", **await self._searching.run(lambda: answers.comic(self.shelf, name)))

    async def page(self, request: Request) -> Response:
        """A page with what is on it."""
        name, page = request.path_params["comic"], _page_number(request)
        panel = request.query_params.get("panel", "")
        return html.page("page.html", **await self._searching.run(lambda: answers.page(self.shelf, name, page, panel)))

    async def give(self, request: Request) -> Response:
        """A picture out of a form; on to its answers."""
        name, data, rest = await _picture_of_form(request)
        key = await self._drawing.run(lambda: self.pictures.give(name, data))
        question = asked({**rest, "picture": key, "page": "1"})
        return RedirectResponse(question.address(), 303)

    # Pictures

    async def picture(self, request: Request) -> Response:
        """A page, panel or character as JPEG."""
        size = request.path_params["size"]
        if size not in SIZES:
            raise HTTPException(404, f"pictures are {', '.join(SIZES)}")
        names = [
            request.path_params[name] for name in ("comic", "page", "part", "identity") if name in request.path_params
        ]
        tag, shown = await self._searching.run(lambda: self.pictures.tag("/".join(names), size))
        if _is_known(request, tag):
            return Response(status_code=304, headers=_caching(request, tag))
        return _jpeg(request, await self._drawing.run(lambda: self.pictures.made(tag, shown, size)))

    async def given(self, request: Request) -> Response:
        """A picture that somebody looks for, small."""
        key = request.path_params["key"]
        return _jpeg(request, await self._drawing.run(lambda: self.pictures.given_small(key)))

    async def static(self, request: Request) -> Response:
        """Style, script and icon, out of memory."""
        file = html.static(request.path_params.get("name", "favicon.svg"))
        if file is None:
            raise HTTPException(404, "there is no such file")
        caching = FOREVER if request.query_params.get("v") == file.tag else ASK_AGAIN
        return Response(file.data, media_type=file.type, headers={"Cache-Control": caching, "ETag": f'"{file.tag}"'})

    # The same as JSON

    async def api_search(self, request: Request) -> Response:
        """Answers; as `comictool query --json` has them."""
        question = asked(request.query_params)
        hits, more = await self._hits(question)
        return JSONResponse({"more": more, "answers": [answers.plain(hit) for hit in hits]})

    async def api_give(self, request: Request) -> Response:
        """Keep a picture, the body of the request."""
        data = await _body(request)
        return JSONResponse({"picture": await self._drawing.run(lambda: self.pictures.give("the picture", data))})

    async def api_comics(self, request: Request) -> Response:
        """All comics with their counts."""
        found = await self._library(request)
        comics = [answers.comic_facts(comic) for comic in found["comics"]]
        return JSONResponse({"count": found["count"], "page": found["page"], "pages": found["pages"], "comics": comics})

    async def api_comic(self, request: Request) -> Response:
        """A comic with its pages."""
        name = request.path_params["comic"]
        return JSONResponse(await self._searching.run(lambda: answers.comic_as_json(self.shelf, name)))

    async def api_page(self, request: Request) -> Response:
        """A page: its record without what names files."""
        name, page = request.path_params["comic"], _page_number(request)
        return JSONResponse(await self._searching.run(lambda: answers.page_as_json(self.shelf, name, page)))

    async def api_facets(self, request: Request) -> Response:
        """What answers can be narrowed to."""
        found = await self._facets(asked(request.query_params))
        return JSONResponse({name: [count._asdict() for count in counts] for name, counts in found.items()})

    async def api_description(self, request: Request) -> Response:
        """OpenAPI."""
        return JSONResponse(description())

    # Work

    async def _library(self, request: Request) -> dict[str, Any]:
        parameters = request.query_params
        page = number(parameters.get("page", "1"), 100_000)
        words, missing = parameters.get("q", "")[:200], parameters.get("missing", "")
        return await self._searching.run(lambda: answers.library(self.shelf, words, missing, page, COMICS_A_PAGE))

    async def _hits(self, question: Asked) -> tuple[list[Hit], bool]:
        wanted = question.query(self.pictures.given)
        threads = self._encoding if question.needs_encoder else self._searching

        def work() -> list[Hit]:
            encoder = self._loaded() if question.picture else None
            return query(
                self.shelf.place(), wanted, encoder=encoder, trust=self.served.trust, device=self.served.device
            )

        return question.on_page(await threads.run(work))

    async def _answers(self, question: Asked) -> dict[str, Any]:
        hits, more = await self._hits(question)
        counts = await self._facets(question) if question.counts_facets else {}
        return await self._searching.run(lambda: answers.found(self.shelf, question, hits, more, counts))

    async def _facets(self, question: Asked) -> dict[str, list[Count]]:
        wanted = question.query(self.pictures.given) if question.is_question else None
        level = question.level or None
        return await self._searching.run(
            lambda: facets(self.shelf.place(), wanted, filters=question.filters, level=level)
        )

    def _loaded(self) -> Encoder | None:
        """The encoder that was named, loaded once; only asked in the thread that encodes."""
        if self._encoder is None and self.served.encoder is not None:
            self._encoder = self.served.encoder()
        return self._encoder


def make_app(server: Server) -> ASGIApp:
    """The application; every answer, whatever went wrong before it, passes the guard."""
    served = server.served

    def refused(scope: Scope, status: int, sentence: str) -> Response:
        return _told(scope, status, sentence, server.shelf)

    async def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, ComicError)
        return _told(request.scope, status_of(error), error, server.shelf)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _told(request.scope, error.status_code, str(error.detail), server.shelf)

    async def busy(request: Request, error: Exception) -> Response:
        answer = _told(request.scope, 503, "too many questions at once: ask again in a moment", server.shelf)
        answer.headers["Retry-After"] = "2"
        return answer

    async def too_much(request: Request, error: Exception) -> Response:
        return _told(request.scope, 413, f"the request has more than {served.rules.most_body:,} bytes", server.shelf)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)

    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("%s %s: %s", request.method, request.url.path, type(error).__name__, exc_info=error)
        return _told(request.scope, 500, "something went wrong here; the server goes on", server.shelf)

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        ComicError: known,
        HTTPException: http,
        Busy: busy,
        TooMuch: too_much,
        ClientDisconnect: gone,
        Exception: unexpected,
    }
    return Guard(Starlette(routes=server.routes(), exception_handlers=handlers), served.rules, refused)


def most_body() -> int:
    """Bytes of a request that may hold a picture."""
    return UPLOAD_BYTES + MULTIPART


def status_of(error: ComicError) -> int:
    """The HTTP status that says what an error is."""
    return 404 if isinstance(error, NotThere) else 503 if isinstance(error, SetupError) else 400


def _told(scope: Scope, status: int, error: ComicError | str, shelf: Shelf) -> Response:
    """A refusal, as JSON or as a page."""
    if str(scope["path"]).startswith("/api/"):
        return JSONResponse(answers.problem(error, shelf), status)
    return html.problem(status, error, shelf)


def _page_number(request: Request) -> int:
    text = request.path_params["page"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotThere(f"there is no page {text!r:.100}")
    return int(text)


def _is_known(request: Request, tag: str) -> bool:
    return f'"{tag}"' in request.headers.get("if-none-match", "")[:400]


def _caching(request: Request, tag: str) -> dict[str, str]:
    return {"ETag": f'"{tag}"', "Cache-Control": FOREVER if request.query_params.get("v") == tag[:12] else ASK_AGAIN}


def _jpeg(request: Request, made: Made) -> Response:
    return Response(made.data, media_type="image/jpeg", headers=_caching(request, made.tag))


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.body()
    except TimeoutError:
        raise HTTPException(408, "the picture took too long to arrive") from None


async def _picture_of_form(request: Request) -> tuple[str, bytes, dict[str, str]]:
    """Name and content of the picture in a form, and its other fields."""
    try:
        async with asyncio.timeout(BODY_SECONDS), request.form(max_files=1, max_fields=12, max_part_size=4096) as form:
            rest = {name: value for name, value in form.multi_items() if isinstance(value, str)}
            for value in form.values():
                if not isinstance(value, str):
                    return (value.filename or "the picture")[:100], await value.read(), rest
    except TimeoutError:
        raise HTTPException(408, "the picture took too long to arrive") from None
    raise HTTPException(400, "there is no picture in this form")
