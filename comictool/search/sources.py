"""Where published vectors come from: another version of a store's contents, or a part."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from comictool.search.metadata import PageEntry
from comictool.search.parts import EmbeddedPage, part_file, read_part
from comictool.search.publish import CURRENT, Source
from comictool.search.store import Store

PART = "part:"


class StoreSource:
    """The current contents of an open store; pages are numbered by their rows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self, level: str, page: int) -> np.ndarray:
        """Vectors of a page."""
        vectors = self._store.vectors[level]
        if level == "page":
            views = len(self._store.settings.views)
            return vectors.read(page * views, (page + 1) * views)
        entry = self._store.metadata.pages([page])[page]
        return vectors.read(entry.first_panel, entry.first_panel + entry.panel_count)


class PartSource:
    """A part; pages are numbered as they come in it."""

    def __init__(self, file: Path) -> None:
        self._pages = read_part(file)

    def rows(self, level: str, page: int) -> np.ndarray:
        """Vectors of a page."""
        return self._pages[page].vectors(level)

    def find(self, entry: PageEntry) -> int | None:
        """The number of the page that is this very version of an entry, if it is here."""
        for number, page in enumerate(self._pages):
            if _same(page, entry):
                return number
        return None


def _same(page: EmbeddedPage, entry: PageEntry) -> bool:
    return (page.comic, page.page, page.fingerprint) == (entry.comic, entry.page, entry.fingerprint)


def part_name(key: str) -> str:
    """The name of the part of an item, as a source."""
    return PART + key


def open_source(root: Path, stack: ExitStack) -> Callable[[str], Source]:
    """Opens the sources of a store's own job: its parts by name, and its current contents, until the stack ends."""
    current: list[StoreSource] = []

    def by_name(name: str) -> Source:
        if name != CURRENT:
            return PartSource(part_file(root, name.removeprefix(PART)))
        if not current:
            current.append(StoreSource(stack.enter_context(Store.open(root))))
        return current[0]

    return by_name
