"""From the parameters of an address to a `Query`, and back: the page and the JSON API are asked alike.

What is answered is `comictool.search.query.query` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from glob import escape
from typing import Any
from urllib.parse import quote, urlencode

from comictool.core.errors import UsageError
from comictool.search.query import Hit, Query
from comictool.serve.pictures import Given

A_PAGE = 24  # answers: fills rows of 2, 3, 4, 6 and 8
MOST_PAGES = 40
LONGEST = 500  # letters of one parameter
PARTS = ("q", "like", "picture")
USUAL_WEIGHT = 50
FILTERS = ("series", "comic", "type", "character", "year")
CHOICES = {
    "level": ("", "page", "panel", "character"),
    "group": ("", "comic", "duplicates"),
    "by": ("", "meaning"),
    "others": ("", "1"),
    "facets": ("", "1"),
}


# A shell pattern that matches a value and hardly any other: what has a meaning in a filter stands for any one letter.
_MEANT = str.maketrans(dict.fromkeys(',=<>!"', "?"))


@dataclass(frozen=True)
class Asked:
    """What an address asks; its fields are the names of the parameters. Several questions count together.

    Attributes:
        q: words.
        by: `meaning`: the words are to be understood, not found; empty: found.
        like: an identifier of the library.
        picture: the key of a picture that was given.
        level: page, panel or character; empty for what the question itself means.
        comic, series, type, character: only these, by their whole names; `type` is that of pages.
        year: only from this year, or from a range like 1946..1950.
        others: `1`: not in the comic that `like` is of.
        group: `comic`: the best answer of each comic; `duplicates`: of pages that show the same.
        wq, wlike, wpicture: how much each of several questions counts, 0 to 100.
        facets: `1`: also count what the answers can be narrowed to, which takes about as long as the question.
        page: of answers, from 1.
    """

    q: str = ""
    by: str = ""
    like: str = ""
    picture: str = ""
    level: str = ""
    comic: str = ""
    series: str = ""
    type: str = ""
    character: str = ""
    year: str = ""
    others: str = ""
    group: str = ""
    facets: str = ""
    wq: int = USUAL_WEIGHT
    wlike: int = USUAL_WEIGHT
    wpicture: int = USUAL_WEIGHT
    page: int = 1

    @property
    def is_question(self) -> bool:
        """Whether anything is looked for."""
        return bool(self.parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """Which of words, identifier and picture are asked."""
        return tuple(name for name in PARTS if getattr(self, name))

    @property
    def needs_encoder(self) -> bool:
        """Whether something has to be turned into vectors."""
        return bool(self.picture) or bool(self.q and self.by)

    @property
    def counts_facets(self) -> bool:
        """Whether the page shows what the answers can be narrowed to."""
        return bool(self.facets or self.narrowed)

    @property
    def narrowed(self) -> dict[str, str]:
        """The filters that are set."""
        return {name: getattr(self, name) for name in FILTERS if getattr(self, name)}

    @property
    def filters(self) -> tuple[str, ...]:
        """The same as conditions of a `Query`."""
        told = {name: value for name, value in self.narrowed.items() if name != "year"}
        filters = [f"{name}={escape(value).translate(_MEANT)}" for name, value in told.items()]
        return (*filters, *([f"year={self.year}"] if self.year else []))

    def address(self, path: str = "/", **changes: object) -> str:
        """The address that asks this, with changes."""
        other = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        told = {f.name: getattr(other, f.name) for f in fields(other) if getattr(other, f.name) != f.default}
        return f"{path}?{urlencode(told, errors='replace')}" if told else path

    def others_than(self, *names: str) -> dict[str, object]:
        """What is asked besides these parameters and the page of answers, for the hidden fields of a form."""
        left_out = {*names, "page"}
        told = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {name: value for name, value in told.items() if name not in left_out}

    def query(self, given: Callable[[str], Given]) -> Query:
        """The question; one answer more than a page is asked for, to know whether there are further pages.

        Raises:
            UsageError: contradicting or missing values.
            InputError: the picture is not kept any more.
        """
        means = self.by == "meaning"
        asked = {"q": "semantic" if means else "text", "like": "id", "picture": "image"}
        several = len(self.parts) > 1
        return Query(
            image=given(self.picture) if self.picture else None,
            id=self.like or None,
            text=self.q if self.q and not means else None,
            semantic=self.q if self.q and means else None,
            weights=tuple((asked[name], self.weight(name)) for name in self.parts) if several else (),
            filters=self.filters,
            k=A_PAGE + 1,
            offset=A_PAGE * (self.page - 1),
            level=self.level or None,
            exclude_same_comic=bool(self.others and self.like),
            group_by=self.group or None,
        )

    def weight(self, part: str) -> float:
        """How much one of several questions counts, above 0."""
        return max(1, int(getattr(self, f"w{part}"))) / 100

    def on_page(self, hits: list[Hit]) -> tuple[list[Hit], bool]:
        """The answers of this page, and whether there are more."""
        return hits[:A_PAGE], len(hits) > A_PAGE and self.page < MOST_PAGES


def asked(parameters: Mapping[str, str]) -> Asked:
    """Read the parameters of an address; unknown ones are passed over.

    Raises:
        UsageError: a value is too long or not one of those that it can have.
    """
    told: dict[str, Any] = {f.name: parameters.get(f.name, "").strip() for f in fields(Asked) if f.default == ""}
    for name, value in told.items():
        if len(value) > LONGEST:
            raise UsageError(f"{name} has {len(value):,} letters: {LONGEST} at most")
    for name, choices in CHOICES.items():
        if told[name] not in choices:
            raise UsageError(f"{name} is {' or '.join(filter(None, choices))}, not {told[name]!r:.100}")
    for name in PARTS:
        told[f"w{name}"] = number(parameters.get(f"w{name}", str(USUAL_WEIGHT)), 100, least=0)
    return Asked(**told, page=number(parameters.get("page", "1"), MOST_PAGES))


def number(text: str, most: int, *, least: int = 1) -> int:
    """A whole number from `least` to `most`.

    Raises:
        UsageError: none, or another one.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise UsageError(f"{text!r:.100} is no number from {least} to {most}")
    return int(text)


def path_of(*parts: object) -> str:
    """An address of the given parts, each of which may hold any letters."""
    return "/" + "/".join(quote(str(part), safe="", errors="replace") for part in parts)
