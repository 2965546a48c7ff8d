"""Pages that are hard to cut: exact labels, and each page has what makes it hard (faults 1 and 4E.19 to 4E.24)."""

from __future__ import annotations

import hashlib
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import from_json, to_json
from comictool.drawn.corpus import draw_corpus
from comictool.drawn.hard_layouts import THIN, arrange
from comictool.drawn.layout import Area, Cell
from comictool.drawn.page import DrawnPage, draw_page
from comictool.drawn.plan import LAYOUTS

WIDTH, HEIGHT = 500, 700
AREA = Area(30, 30, 470, 670, 0)
SEEDS = 60


@pytest.fixture(scope="module")
def pages() -> dict[str, list[DrawnPage]]:
    return {
        layout: [draw_page(3, comic, 1, width=WIDTH, height=HEIGHT, layout=layout) for comic in (1, 2)]
        for layout in LAYOUTS
    }


def made(layout: str, direction: str = "ltr") -> list[list[Cell]]:
    return [arrange(random.Random(n), layout, AREA, direction, (WIDTH, HEIGHT)).cells for n in range(SEEDS)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_page_is_labelled(pages: dict[str, list[DrawnPage]], layout: str) -> None:
    for page in pages[layout]:
        record = page.record
        assert (record.type, record.direction, record.extra["layout"]) == ("story", LAYOUTS[layout].direction, layout)
        assert bool(record.panels) == (layout != "picture")
        assert [panel.id for panel in record.panels] == list(range(1, len(record.panels) + 1))
        assert record.characters
        assert page.depth.any()
        assert to_json(from_json(to_json(record))) == to_json(record)
        for panel in record.panels:
            x0, y0, x1, y1 = panel.box
            assert 0 <= x0 < x1 <= WIDTH
            assert 0 <= y0 < y1 <= HEIGHT


def test_a_bleeding_panel_ends_at_the_page_and_a_slanted_one_has_its_covering_box() -> None:
    bleeding = slanted = 0
    for comic in range(1, 5):
        page = draw_page(4, comic, 2, width=WIDTH, height=HEIGHT, layout="slanted")
        for panel in page.record.panels:
            bleeding += 0 in panel.box[:2] or panel.box[2] == WIDTH or panel.box[3] == HEIGHT
            if panel.polygon:
                slanted += 1
                xs, ys = zip(*panel.polygon, strict=True)
                if panel.extra["kind"] != "open":  # that is where its figures are
                    assert np.abs(np.array(panel.box) - [min(xs), min(ys), max(xs), max(ys)]).max() <= 6
    assert bleeding >= 8
    assert slanted >= 8


@pytest.mark.parametrize("layout", ["manga", "slanted"])
def test_gutters_between_columns_are_thin(layout: str) -> None:
    leaning = 0
    for cells in made(layout):
        for a, b in itertools.pairwise(cells):
            if a.corners[1][1] == pytest.approx(b.corners[0][1], abs=1) and a.kind == b.kind == "framed":
                gap = b.corners[0][0] - a.corners[1][0]
                assert THIN[0] - 0.1 <= gap <= THIN[1] + 0.1
                leaning += abs(a.corners[1][0] - a.corners[2][0]) > 3
    assert leaning > 5


def test_every_side_bleeds_on_some_page_and_none_on_others() -> None:
    sides = set()
    for cells in made("manga"):
        bounds = np.array([cell.bounds for cell in cells])
        off = (
            (bounds[:, 0] < 0).any(),
            (bounds[:, 1] < 0).any(),
            (bounds[:, 2] > WIDTH).any(),
            (bounds[:, 3] > HEIGHT).any(),
        )
        sides.add(tuple(bool(side) for side in off))
    assert sides >= {
        (False,) * 4,
        (True, False, False, False),
        (False, True, False, False),
        (False, False, True, False),
    }
    assert {cell.kind for cells in made("manga") for cell in cells} == {"framed", "bleed", "bare", "open"}


def test_cells_do_not_overlap() -> None:
    """Upright layouts: no two cells share a pixel."""
    for layout in ("black", "ring", "yonkoma", "webtoon", "shaded"):
        for cells in made(layout):
            for a, b in itertools.combinations(cells, 2):
                across = min(a.bounds[2], b.bounds[2]) - max(a.bounds[0], b.bounds[0])
                down = min(a.bounds[3], b.bounds[3]) - max(a.bounds[1], b.bounds[1])
                assert min(across, down) <= 1e-6


def test_four_panels_are_read_down_before_the_next_strip() -> None:
    for direction in ("rtl", "ltr"):
        for cells in made("yonkoma", direction):
            assert len(cells) == 8
            first, second = cells[:4], cells[4:]
            assert len({cell.bounds[0] for cell in first}) == len({cell.bounds[0] for cell in second}) == 1
            assert (first[0].bounds[0] > second[0].bounds[0]) == (direction == "rtl")
            for strip in (first, second):
                assert [cell.bounds[1] for cell in strip] == sorted(cell.bounds[1] for cell in strip)


def test_strips_have_wide_gaps_and_panels_of_other_widths() -> None:
    area, size = Area(30, 30, 470, 2970, 0), (500, 3000)
    widths = set()
    for n in range(20):
        cells = arrange(random.Random(n), "webtoon", area, "ttb", size).cells
        for a, b in itertools.pairwise(cells):
            assert 100 <= b.bounds[1] - a.bounds[3] <= 600
        widths |= {round(cell.bounds[2] - cell.bounds[0], -1) for cell in cells}
    assert len(widths) > 12


def test_paper_of_two_colours_ring_and_shade(pages: dict[str, list[DrawnPage]]) -> None:
    both = 0
    for comic in range(1, 7):
        page = draw_page(3, comic, 1, width=WIDTH, height=HEIGHT, layout="black")
        free = np.ones(page.image.shape[:2], dtype=bool)
        for box in [panel.box for panel in page.record.panels] + [text.box for text in page.record.texts]:
            free[max(0, box[1] - 30) : box[3] + 30, max(0, box[0] - 30) : box[2] + 30] = False
        values = page.image[free].mean(axis=-1) if free.any() else np.array([0.0])
        edge = page.image[:, :3].mean(axis=(1, 2))
        both += bool((edge < 60).any() and (edge > 200).any()) or bool((values < 60).any())
    assert both >= 3
    for page in pages["ring"]:
        panels = np.array([panel.box for panel in page.record.panels])
        outside = page.image[: panels[:, 1].min() - 3].min(axis=-1)
        assert (outside < 128).mean(axis=1).max() > 0.7  # a line over the first row
    for page in pages["shaded"]:
        rim = np.concatenate([page.image[:8].reshape(-1, 3), page.image[-8:].reshape(-1, 3)]).mean(axis=-1)
        assert np.percentile(rim, 95) - np.percentile(rim, 5) > 10


def test_the_same_page_again_and_other_pages_as_before(tmp_path: Path) -> None:
    one, two = (draw_page(3, 1, 2, width=WIDTH, height=HEIGHT, layout="slanted") for _ in range(2))
    assert np.array_equal(one.image, two.image)
    # A drawing without a layout is what it was before there were any
    old = draw_page(5, 1, 2, width=300, height=420)
    assert hashlib.sha256(old.depth.tobytes()).hexdigest()[:16] == DEPTH_BEFORE


def test_a_corpus_of_one_layout(tmp_path: Path) -> None:
    report = draw_corpus(tmp_path / "c", 2, seed=1, width=300, height=420, layout="yonkoma", options=JobOptions(jobs=1))
    assert report.totals["panels"] == 16
    corpus = Corpus.open(tmp_path / "c")
    assert {corpus.comic_facts(comic)["layout"] for comic in corpus.comics()} == {"yonkoma"}
    with pytest.raises(UsageError) as caught:
        draw_corpus(tmp_path / "d", 1, seed=1, layout="yonkomo")
    assert caught.value.near[0] == "yonkoma"


DEPTH_BEFORE = "18cce54053a8ca0d"
