"""The JSON API described as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

from comictool import __version__
from comictool.search.facets import FACETS
from comictool.search.query import Hit
from comictool.serve.asking import A_PAGE, LONGEST, MOST_PAGES, PARTS, Asked
from comictool.serve.shelf import MISSING, Comic

ABOUT = {
    "q": 'Words; all must occur. "a phrase", begin*, -without, this OR that.',
    "by": "meaning: the words are to be understood, not found.",
    "like": "An identifier: comic/page, comic/page/panel or comic/page/panel/identity.",
    "picture": "The key that POST /api/pictures gave.",
    "level": "page, panel or character; empty for what the question itself means.",
    "comic": "Only this comic.",
    "series": "Only comics of this series.",
    "type": "Only pages of this type.",
    "character": "Only what shows this character.",
    "year": "Only comics of this year, or of a range like 1946..1950.",
    "others": "1: not in the comic that `like` is of.",
    "group": "comic: only the best answer of each comic; duplicates: of pages that show the same.",
    "wq": "How much the words count beside another question, 0 to 100.",
    "wlike": "How much `like` counts beside another question, 0 to 100.",
    "wpicture": "How much the picture counts beside another question, 0 to 100.",
    "page": f"Of answers, from 1; each has {A_PAGE}.",
}
NUMBERS = {"page": (1, MOST_PAGES), **{f"w{part}": (0, 100) for part in PARTS}}
_PLAIN = {str: "string", int: "integer", float: "number"}


def description() -> dict[str, Any]:
    """The whole document; parameters and answers are read off the types that the server itself uses."""
    asked = [_parameter(field.name) for field in fields(Asked) if field.name in ABOUT]
    comic, page = _in_path("comic", "string"), _in_path("page", "integer")
    words = _query("q", "Words of name, title, series or year."), _query("missing", f"One of {', '.join(MISSING)}.")
    paged = {"count": "integer", "page": "integer", "pages": "integer"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "comictool serve",
            "version": __version__,
            "description": "Search a library of comics. Reads only. Answers are those of `comictool query`.",
        },
        "security": [{}, {"token": []}],
        "paths": {
            "/api/search": {"get": _told("Answers, best first.", "Answers", asked)},
            "/api/pictures": {"post": {**_told("Keep a picture to look for.", "Key"), "requestBody": _PICTURE}},
            "/api/comics": {"get": _told("Comics with their counts and what they lack.", "Comics", words)},
            "/api/comics/{comic}": {"get": _told("A comic with its pages.", "Comic", [comic])},
            "/api/facets": {
                "get": _told("What the answers to a question, or the library, can be narrowed to.", "Facets", asked)
            },
            "/api/page/{comic}/{page}": {"get": _told("A page with panels and texts.", "Page", [comic, page])},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Answers": _object(more="boolean", answers=_list("Answer")),
                "Answer": _object(**_hit()),
                "Key": _object(picture="string"),
                "Comics": _object(**paged, comics=_list("Comic")),
                "Comic": _object(**{f.name: _of(get_type_hints(Comic)[f.name]) for f in fields(Comic)}, url="string"),
                "Facets": _object(**{name: _list("Value") for name in FACETS}),
                "Value": _object(value="string", rows="integer"),
                "Page": _object(
                    id="string",
                    comic="string",
                    page="integer",
                    width="integer",
                    height="integer",
                    type="string",
                    direction="string",
                    panels={"type": "array", "items": {"type": "object"}},
                    texts={"type": "array", "items": {"type": "object"}},
                    characters={"type": "array", "items": {"type": "object"}},
                    picture_url="string",
                ),
                "Problem": _object(error="string", cause="string", near={"type": "array", "items": {"type": "string"}}),
            },
        },
    }


_PICTURE = {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}


def _hit() -> dict[str, Any]:
    left_out = ("image", "source", "member")
    own = {f.name: {} if f.name == "box" else _of(get_type_hints(Hit).get(f.name)) for f in fields(Hit)}
    return {name: _of(None) if name in left_out else value for name, value in own.items() if name not in left_out} | {
        "page_url": {"type": "string"},
        "picture_url": {"type": "string"},
    }


def _of(hint: Any) -> dict[str, Any]:
    return {"type": _PLAIN[hint]} if hint in _PLAIN else {}


def _object(**properties: Any) -> dict[str, Any]:
    told = {name: {"type": value} if isinstance(value, str) else value for name, value in properties.items()}
    return {"type": "object", "properties": told}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def _query(name: str, about: str, type: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "query", "description": about, "schema": {"type": type}}


def _parameter(name: str) -> dict[str, Any]:
    if name in NUMBERS:
        schema: dict[str, Any] = {"type": "integer", "minimum": NUMBERS[name][0], "maximum": NUMBERS[name][1]}
    else:
        schema = {"type": "string", "maxLength": LONGEST}
    return {**_query(name, ABOUT[name]), "schema": schema}


def _in_path(name: str, type: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": type}}


def _told(summary: str, schema: str, parameters: Any = ()) -> dict[str, Any]:
    def content(name: str) -> dict[str, Any]:
        return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}

    return {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            "200": {"description": summary, **content(schema)},
            "4XX": {"description": "What is wrong with the question.", **content("Problem")},
            "503": {"description": "Too many questions at once, or something is not installed.", **content("Problem")},
        },
    }
