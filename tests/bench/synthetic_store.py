"""A store of any size with made-up vectors, written by the same code as a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from comictool.search.metadata import PageEntry, PanelEntry
from comictool.search.publish import Located, publish
from comictool.search.store import StoreHead, StoreSettings, write_head
from comictool.search.views import VIEWS

PANELS_A_PAGE = 6
PAGES_A_COMIC = 32
CLUSTERS = 1000


class MadeUp:
    """Clustered unit vectors, the same for the same page every time."""

    def __init__(self, dimension: int, views: int) -> None:
        self._centres = np.random.default_rng(0).standard_normal((CLUSTERS, dimension), dtype=np.float32)
        self._views = views

    def rows(self, level: str, page: int) -> np.ndarray:
        rng = np.random.default_rng([1, page, level == "page"])
        count = PANELS_A_PAGE if level == "panel" else self._views
        rows = self._centres[rng.integers(0, CLUSTERS, count)]
        rows = rows + 0.5 * rng.standard_normal(rows.shape, dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_store(root: Path, panels: int, dimension: int, *, dtype: str = "float16", views: int = len(VIEWS)) -> None:
    """Write a store of so many panels, six to a page, 32 pages to a comic."""
    settings = StoreSettings("made-up@1+none+own", dimension, dtype, views=VIEWS[:views], corpus=str(root / "corpus"))
    root.mkdir(parents=True, exist_ok=True)
    write_head(root, StoreHead(settings))
    source = MadeUp(dimension, views)
    publish(root, StoreHead(settings), _pages(-(-panels // PANELS_A_PAGE)), lambda name: source)


def _pages(count: int) -> Iterator[Located]:
    boxes = [(300 * (n % 2), 300 * (n // 2), 300 * (n % 2) + 280, 300 * (n // 2) + 280) for n in range(PANELS_A_PAGE)]
    panels = tuple(PanelEntry(n, box) for n, box in enumerate(boxes, start=1))
    for row in range(count):
        comic, page = f"comic {row // PAGES_A_COMIC:05d}", row % PAGES_A_COMIC + 1
        image = f"page_images/{comic}/page-{page}.jpg"
        yield Located(PageEntry(comic, page, str(row), image, 600, 900, panels=panels), "made up", row)
