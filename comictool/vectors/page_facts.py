"""What the rows of a store are, as arrays: for filters and counts over all of them at once."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from comictool.vectors.metadata import Metadata

NAMES = ("type", "direction", "split")


class PageFacts:
    """Of the P pages of a store, and through them of its panels and characters; read once, kept by who opened it.

    Attributes:
        comics: names, in row order; `facts` what is known of each.
        comic_of: (P,) number of the comic of each page.
        page: (P,) numbers of pages.
        first, count: by level of crops, (P,) the first row and how many.
        names, values: by `type`, `direction` and `split`: (P,) numbers into a list of values.
    """

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        rows = metadata.page_table()
        comics, page, kind, direction, split, *places = zip(*rows, strict=True) if rows else ((),) * 9
        self.comics, self.comic_of = _numbered(comics)
        self.facts = [metadata.facts().get(comic, {}) for comic in self.comics] if metadata.has_words else []
        self.page = np.array(page, np.int64)
        numbers = [np.array(column, np.int64) for column in places]
        self.first = {"panel": numbers[0], "character": numbers[2]}
        self.count = {"panel": numbers[1], "character": numbers[3]}
        found = {name: _numbered(column) for name, column in zip(NAMES, (kind, direction, split), strict=True)}
        self.values = {name: values for name, (values, _) in found.items()}
        self.names = {name: places for name, (_, places) in found.items()}

    def rows(self, level: str) -> int:
        """How many rows a level has."""
        return len(self.page) if level == "page" else int(self.count[level].sum())

    def spread(self, level: str, of_pages: np.ndarray) -> np.ndarray:
        """What is said of pages, for each row of a level."""
        return of_pages if level == "page" else np.repeat(of_pages, self.count[level])

    def page_of(self, level: str) -> np.ndarray:
        """The row of the page of each row of a level."""
        return self.spread(level, np.arange(len(self.page)))

    @cached_property
    def text(self) -> dict[str, np.ndarray]:
        """By level, (rows,) bool: which rows have text."""
        found = {}
        for level in ("page", "panel"):
            found[level] = np.zeros(self.rows(level), bool)
            rows = np.array(self._metadata.text_rows(level), np.int64)
            found[level][rows[rows < len(found[level])]] = True
        return found

    @cached_property
    def identities(self) -> list[tuple[str, int, int]]:
        """Of each character its identity, the row of its page and the number of its panel."""
        return self._metadata.identities()


def _numbered(values: tuple[str, ...]) -> tuple[list[str], np.ndarray]:
    known: dict[str, int] = {}
    places = np.array([known.setdefault(value, len(known)) for value in values], np.int64)
    return list(known), places
