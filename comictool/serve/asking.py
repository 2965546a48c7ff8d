"""From the parameters of an address to a `Query`, and back: the page and the JSON API are asked alike.

What is answered is `comictool.search.query.query` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from glob import escape
from urllib.parse import quote, urlencode

from comictool.core.errors import UsageError
from comictool.search.query import Hit, Query
from comictool.serve.pictures import Given

A_PAGE = 24  # answers: fills rows of 2, 3, 4, 6 and 8
MOST_PAGES = 40
LONGEST = 500  # letters of one parameter
LEVELS = ("", "page", "panel", "character")


@dataclass(frozen=True)
class Asked:
    """What an address asks; its fields are the names of the parameters.

    Attributes:
        q: words.
        like: an identifier of the library.
        picture: the key of a picture that was given.
        level: page, panel or character; empty for what the question itself means.
        comic: the name of the only comic to look in.
        others: `1`: not in the comic that `like` is of.
        group: `comic`: the best answer of each comic.
        page: of answers, from 1.
    """

    q: str = ""
    like: str = ""
    picture: str = ""
    level: str = ""
    comic: str = ""
    others: str = ""
    group: str = ""
    page: int = 1

    @property
    def is_question(self) -> bool:
        """Whether anything is looked for."""
        return bool(self.q or self.like or self.picture)

    @property
    def needs_encoder(self) -> bool:
        """Whether a picture has to be turned into vectors."""
        return bool(self.picture)

    def address(self, path: str = "/", **changes: object) -> str:
        """The address that asks this, with changes."""
        other = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        told = {f.name: getattr(other, f.name) for f in fields(other) if getattr(other, f.name) != f.default}
        return f"{path}?{urlencode(told, errors='replace')}" if told else path

    def query(self, given: Callable[[str], Given]) -> Query:
        """The question; one answer more than a page is asked for, to know whether there are further pages.

        Raises:
            UsageError: contradicting or missing values.
            InputError: the picture is not kept any more.
        """
        return Query(
            image=given(self.picture) if self.picture else None,
            id=self.like or None,
            text=self.q or None,
            k=A_PAGE + 1,
            offset=A_PAGE * (self.page - 1),
            level=self.level or None,
            comic_glob=escape(self.comic) if self.comic else None,
            exclude_same_comic=bool(self.others and self.like),
            group_by=self.group or None,
        )

    def on_page(self, hits: list[Hit]) -> tuple[list[Hit], bool]:
        """The answers of this page, and whether there are more."""
        return hits[:A_PAGE], len(hits) > A_PAGE and self.page < MOST_PAGES


def asked(parameters: Mapping[str, str]) -> Asked:
    """Read the parameters of an address; unknown ones are passed over.

    Raises:
        UsageError: a value is too long or not one of those that it can have.
    """
    told = {f.name: parameters.get(f.name, "").strip() for f in fields(Asked) if f.name != "page"}
    for name, value in told.items():
        if len(value) > LONGEST:
            raise UsageError(f"{name} has {len(value):,} letters: {LONGEST} at most")
    if told["level"] not in LEVELS:
        raise UsageError(f"the level is {', '.join(LEVELS[1:])}, not {told['level']!r}")
    if told["group"] not in ("", "comic"):
        raise UsageError(f"answers can be grouped by comic, not by {told['group']!r}")
    return Asked(**told, page=number(parameters.get("page", "1"), MOST_PAGES))


def number(text: str, most: int) -> int:
    """A page number, 1 to `most`.

    Raises:
        UsageError: none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise UsageError(f"there is no page {text!r:.100}")
    return int(text)


def path_of(*parts: object) -> str:
    """An address of the given parts, each of which may hold any letters."""
    return "/" + "/".join(quote(str(part), safe="", errors="replace") for part in parts)
