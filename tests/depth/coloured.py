"""Pages on which depth is a function of colour: boxes of one colour each, whose rank the colour says and nothing else
does. A model whose labels belong to their segments must learn it, one whose labels are dealt out anew cannot.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel

COLOURS = np.array([(230, 40, 40), (240, 200, 40), (60, 190, 60), (50, 90, 230), (20, 20, 30)])
SIDE = 96
CELLS = 3  # boxes of a page, on each side; one each, so that they do not cover each other


def coloured_corpus(root: Path, comics: int, pages: int, seed: int) -> Corpus:
    """Each comic is a series of its own; a page is one panel with up to nine boxes."""
    rng = np.random.default_rng(seed)
    corpus = Corpus.create(root)
    for comic in range(comics):
        name = f"comic_{comic:02d}"
        (root / "page_images" / name).mkdir(parents=True)
        records = []
        for number in range(1, pages + 1):
            page, segments = coloured_page(rng)
            image = f"page_images/{name}/{number}.png"
            Image.fromarray(page).save(root / image)
            panel = Panel(id=1, box=(0, 0, SIDE, SIDE), order=1)
            records.append(PageRecord(name, number, image, SIDE, SIDE, panels=[panel], segments=segments))
        corpus.write_comic_facts(name, {"name": name, "series": name})
        corpus.write_pages(name, records)
    return corpus


def coloured_page(rng: np.random.Generator) -> tuple[np.ndarray, list[dict[str, object]]]:
    page = np.full((SIDE, SIDE, 3), 250, np.uint8)
    page[:] = np.clip(page - rng.integers(0, 20, page.shape), 0, 255)
    segments: list[dict[str, object]] = []
    cell = SIDE // CELLS
    for place in rng.permutation(CELLS * CELLS)[: rng.integers(5, CELLS * CELLS + 1)]:
        width, height = rng.integers(12, cell - 2, 2)
        x0 = int(place % CELLS * cell + rng.integers(0, cell - width))
        y0 = int(place // CELLS * cell + rng.integers(0, cell - height))
        rank = int(rng.integers(len(COLOURS)))
        box = [x0, y0, x0 + int(width), y0 + int(height)]
        page[box[1] : box[3], box[0] : box[2]] = COLOURS[rank]
        segments.append({"panel": 1, "kind": "box", "box": box, "inter": rank, "intra": 4 - rank})
    return page, segments
