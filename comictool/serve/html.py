"""Pages out of templates that escape everything, and the few files that they load."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from comictool.core.errors import ComicError
from comictool.serve import answers
from comictool.serve.asking import Asked, path_of
from comictool.serve.pictures import UPLOAD_BYTES
from comictool.serve.shelf import Shelf

TYPES = {"style.css": "text/css", "serve.js": "text/javascript", "favicon.svg": "image/svg+xml"}


@dataclass(frozen=True)
class StaticFile:
    """A file of the package; `tag` names its content."""

    data: bytes
    type: str
    tag: str


@cache
def static(name: str) -> StaticFile | None:
    """One of the few files, by its name; None for any other."""
    if name not in TYPES:
        return None
    data = files("comictool.serve").joinpath("static", name).read_bytes()
    return StaticFile(data, TYPES[name], blake2b(data, digest_size=6).hexdigest())


def _static_path(name: str) -> str:
    file = static(name)
    assert file is not None
    return f"/static/{name}?v={file.tag}"


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("comictool.serve"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        static=_static_path, path=path_of, picture=answers.picture, most_bytes=UPLOAD_BYTES, counted=counted
    )
    return environment


def counted(count: int, noun: str) -> str:
    """`1 panel`, `2,000 panels`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def page(template: str, code: int = 200, **values: Any) -> HTMLResponse:
    """A whole page."""
    return HTMLResponse(_templates().get_template(template).render(**values), code)


def problem(status: int, error: ComicError | str, shelf: Shelf, asked: Asked | None = None) -> HTMLResponse:
    """What is wrong, as a page; to whoever has shown no token it says nothing of the library."""
    name = "" if status in (401, 421) else shelf.name
    told = {"cause": "", "near": [], **answers.problem(error, shelf)}
    return page("problem.html", status, library_name=name, asked=asked or Asked(), status=status, **told)
