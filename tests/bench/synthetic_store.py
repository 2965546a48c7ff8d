"""A store of any size with made-up vectors, written by the same code as a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from comictool.vectors.columns import PRESENT, Column
from comictool.vectors.metadata import CropEntry, PageEntry
from comictool.vectors.publish import Blocks, joined, publish
from comictool.vectors.store import Head
from comictool.vectors.views import VIEWS

PANELS_A_PAGE = 6
PAGES_A_COMIC = 32
CLUSTERS = 1000


def make_store(
    root: Path,
    panels: int,
    dimension: int,
    *,
    dtype: str = "float16",
    views: int = len(VIEWS),
    texts: Callable[[int], str] | None = None,
) -> None:
    """Write a store of so many panels, six to a page, 32 pages to a comic; `texts` gives the words of panel n."""
    root.mkdir(parents=True, exist_ok=True)
    pages = -(-panels // PANELS_A_PAGE)
    columns = (
        Column("page", "image", "made-up@1+none+own", dimension, dtype, VIEWS[:views]),
        Column("panel", "image", "made-up@1+none+own", dimension, dtype),
    )
    blocks = {column.name: partial(_blocks, column, pages) for column in columns}
    publish(root, Head(columns=columns).of_corpus(root / "corpus", root), entries=_pages(pages, texts), blocks=blocks)


def _blocks(column: Column, pages: int) -> Blocks:
    """Clustered unit vectors, the same for the same page every time."""
    centres = np.random.default_rng(0).standard_normal((CLUSTERS, column.dimension), dtype=np.float32)
    items = 1 if column.level == "page" else PANELS_A_PAGE

    def rows(page: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([1, page, column.level == "page"])
        found = centres[rng.integers(0, CLUSTERS, items * len(column.views))]
        found = found + 0.5 * rng.standard_normal(found.shape, dtype=np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True), np.full(items, PRESENT, np.uint8)

    return joined(rows(page) for page in range(pages))


def _pages(count: int, texts: Callable[[int], str] | None) -> Iterator[PageEntry]:
    boxes = [(300 * (n % 2), 300 * (n // 2), 300 * (n % 2) + 280, 300 * (n // 2) + 280) for n in range(PANELS_A_PAGE)]
    for row in range(count):
        comic, page = f"comic {row // PAGES_A_COMIC:05d}", row % PAGES_A_COMIC + 1
        image = f"page_images/{comic}/page-{page}.jpg"
        said = [texts(row * PANELS_A_PAGE + n) if texts is not None else "" for n in range(PANELS_A_PAGE)]
        panels = tuple(
            CropEntry(f"{page}_{n}", n, box, text=text)
            for n, (box, text) in enumerate(zip(boxes, said, strict=True), 1)
        )
        yield PageEntry(comic, page, str(row), image, 600, 900, text="\n".join(filter(None, said)), panels=panels)
