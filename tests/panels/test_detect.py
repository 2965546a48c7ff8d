"""Panel detection on procedural pages, one difficulty each, and on real comics with boxes drawn by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image, ImageDraw

from comictool.panels.cells import Cell
from comictool.panels.cutting import ENOUGH
from comictool.panels.detect import Findings, detect_panels, examine_page
from comictool.panels.edges import reach_edges
from comictool.panels.gutters import Plane, Region, best_gutter
from tests.panels.panel_pages import (
    BLACK,
    WHITE,
    Box,
    art,
    balloon,
    line_page,
    outline_of,
    overlap,
    page_of,
    polygon_page,
)

GRID = [(40, 40, 240, 230), (256, 40, 460, 230), (40, 246, 460, 440), (40, 456, 160, 660), (176, 456, 460, 660)]


def assert_panels(page: np.ndarray, boxes: Sequence[Box], direction: str = "ltr", at_least: float = 0.9) -> None:
    """Exactly these boxes in this order."""
    panels = detect_panels(page, direction)
    assert len(panels) == len(boxes), [panel.box for panel in panels]
    for panel, box in zip(panels, boxes, strict=True):
        assert overlap(panel.box, box) >= at_least, (panel.box, box)
    assert [panel.id for panel in panels] == list(range(1, len(boxes) + 1))
    assert all(0 < panel.score <= 1 and panel.source.startswith("gutters-") for panel in panels)


@pytest.mark.parametrize(
    "paper", [WHITE, (0, 0, 0), (200, 60, 90), (40, 90, 200), (238, 222, 178), (128, 128, 128)], ids=str
)
def test_gutters_of_any_colour(paper: tuple[int, int, int]) -> None:
    frame = WHITE if sum(paper) < 60 else BLACK
    assert_panels(page_of(GRID, paper=paper, frame=frame), GRID)


def test_boxes_are_exact_on_a_clean_page() -> None:
    for panel, box in zip(detect_panels(page_of(GRID)), GRID, strict=True):
        assert max(abs(a - b) for a, b in zip(panel.box, box, strict=True)) <= 1


def test_right_to_left() -> None:
    assert_panels(page_of(GRID), [GRID[1], GRID[0], GRID[2], GRID[4], GRID[3]], "rtl")


def test_panels_without_frame_lines() -> None:
    assert_panels(page_of(GRID, frame=None), GRID)


def test_balloons_across_gutters() -> None:
    page = balloon(page_of(GRID), (190, 90, 310, 170))
    page = balloon(page, (90, 200, 220, 280))
    page = balloon(page, (300, 400, 430, 500))
    assert_panels(page, GRID)


def test_lettering_in_the_gutter_is_no_panel() -> None:
    boxes = [(40, 40, 460, 300), (40, 360, 460, 660)]
    picture = Image.fromarray(page_of(boxes))
    ImageDraw.Draw(picture).text((60, 325), "MEANWHILE, IN ANOTHER PART OF THE TOWN THAT NIGHT...", fill=BLACK)
    ImageDraw.Draw(picture).text((240, 675), "17", fill=BLACK)
    assert_panels(np.asarray(picture), boxes)


def test_noisy_yellowed_paper_with_stains_and_tilt() -> None:
    page = page_of(GRID, paper=(236, 220, 176), frame=(45, 38, 30)).astype(np.float32)
    y, x = np.mgrid[0:700, 0:500]
    shade = 1 - 0.18 * (np.hypot(x - 500, y - 700) / 860) ** 2
    rng = np.random.default_rng(5)
    page = page * shade[..., None] + rng.normal(0, 9, page.shape)
    picture = Image.fromarray(page.clip(0, 255).astype(np.uint8))
    picture = picture.rotate(0.9, Image.Resampling.BILINEAR, fillcolor=(236, 220, 176))
    assert_panels(np.asarray(picture), GRID, at_least=0.85)


def test_black_scanner_border_around_the_page() -> None:
    page = page_of(GRID)
    page[:, :9] = page[:8] = 12
    page[:, -6:] = 12
    assert_panels(page, GRID)


def test_manga_with_screentone_and_bleeds() -> None:
    boxes = [(250, 0, 500, 220), (30, 0, 238, 220), (0, 232, 500, 470), (262, 482, 470, 700), (0, 482, 250, 700)]
    assert_panels(page_of(boxes, screentone=True), boxes, "rtl")


def test_slanted_gutters() -> None:
    first = [(30, 30), (270, 30), (215, 300), (30, 330)]
    second = [(284, 30), (470, 30), (470, 258), (229, 298)]
    third = [(30, 345), (470, 272), (470, 670), (30, 670)]
    polygons = [first, second, third]
    for page in (polygon_page(polygons), polygon_page(polygons, screentone=True)):
        assert_panels(page, [outline_of(polygon) for polygon in polygons], at_least=0.85)


def test_panels_that_share_a_frame_line() -> None:
    boxes = [(40, 40, 462, 242), (40, 239, 250, 462), (247, 239, 462, 462), (40, 459, 462, 660)]
    assert_panels(page_of(boxes, frame_width=3), boxes)


def test_thin_gutters() -> None:
    boxes = [(40, 40, 248, 300), (252, 40, 460, 300), (40, 304, 460, 660)]
    assert_panels(page_of(boxes, frame_width=2), boxes)


def test_wobbly_frames() -> None:
    rng = np.random.default_rng(11)
    polygons = []
    for x0, y0, x1, y1 in GRID:
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        polygon = []
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            for t in np.linspace(0, 1, 9)[:-1]:
                polygon.append((ax + (bx - ax) * t + rng.uniform(-2, 2), ay + (by - ay) * t + rng.uniform(-2, 2)))
        polygons.append(polygon)
    assert_panels(polygon_page(polygons), GRID)


def test_pinwheel_that_no_straight_cut_can_part() -> None:
    boxes = [(40, 40, 300, 230), (316, 40, 460, 440), (40, 246, 180, 660), (196, 246, 300, 440), (196, 456, 460, 660)]
    panels = detect_panels(page_of(boxes))
    assert len(panels) == 5
    assert all(max(overlap(panel.box, box) for panel in panels) > 0.9 for box in boxes)


def test_an_inset_is_read_after_its_host() -> None:
    host, inset = (40, 40, 460, 420), (290, 250, 430, 390)
    below = (40, 440, 460, 660)
    page = page_of([host, below])
    page[inset[1] - 6 : inset[3] + 6, inset[0] - 6 : inset[2] + 6] = 255
    page[inset[1] : inset[3], inset[0] : inset[2]] = page_of([(0, 0, 140, 140)], size=(140, 140), seed=21)
    assert_panels(page, [host, inset, below])


def test_a_framed_splash_is_one_panel() -> None:
    assert_panels(page_of([(40, 40, 460, 660)]), [(40, 40, 460, 660)])


def _cover() -> np.ndarray:
    picture = Image.fromarray(art(500, 700, 9))
    ImageDraw.Draw(picture).text((60, 20), "TALES", fill=WHITE, font_size=110)
    return np.asarray(picture)


def _prose() -> np.ndarray:
    picture = Image.new("RGB", (500, 700), (240, 232, 205))
    pen = ImageDraw.Draw(picture)
    words = ["the", "ship", "had", "left", "harbour", "before", "anyone", "could", "say", "a", "word"]
    rng = np.random.default_rng(2)
    for column in (40, 262):
        for y in range(50, 650, 14):
            line = ""
            while len(line) < 30:
                line += words[int(rng.integers(len(words)))] + " "
            pen.text((column, y), line[:34], fill=(30, 25, 20), font_size=11)
    return np.asarray(picture)


def _vignette() -> np.ndarray:
    mask = Image.new("L", (500, 700), 0)
    ImageDraw.Draw(mask).ellipse((120, 180, 380, 560), fill=255)
    picture = Image.new("RGB", (500, 700), WHITE)
    picture.paste(Image.fromarray(art(500, 700, 4)), (0, 0), mask)
    ImageDraw.Draw(picture).text((120, 60), "THE END", fill=(150, 60, 90), font_size=60)
    return np.asarray(picture)


def _catalogue() -> np.ndarray:
    picture = Image.new("RGB", (500, 700), WHITE)
    pen = ImageDraw.Draw(picture)
    pen.text((60, 20), "BARGAINS!", fill=BLACK, font_size=70)
    for row in range(4):
        for column in range(4):
            x, y = 50 + column * 110, 130 + row * 120
            pen.ellipse((x, y, x + 60, y + 50), outline=BLACK, width=3)
            for line in range(3):
                pen.text((x, y + 58 + 12 * line), "only 9 cents", fill=BLACK, font_size=10)
    pen.rectangle((250, 600, 470, 680), outline=BLACK, width=2)
    pen.text((260, 620), "Name ______ Age __", fill=BLACK, font_size=14)
    return np.asarray(picture)


@pytest.mark.parametrize("draw", [_cover, _prose, _vignette, _catalogue], ids=lambda draw: draw.__name__)
def test_pages_without_panels(draw: object) -> None:
    assert callable(draw)
    assert detect_panels(draw()) == []


@pytest.mark.parametrize("colour", [WHITE, (0, 0, 0), (90, 140, 60)], ids=str)
def test_blank_pages(colour: tuple[int, int, int]) -> None:
    page = np.empty((700, 500, 3), dtype=np.uint8)
    page[:] = colour
    assert detect_panels(page) == []


@pytest.mark.parametrize("shape", [(1, 1), (4, 900), (900, 4), (40, 40), (33, 2000), (3000, 60)], ids=str)
def test_odd_sizes_do_not_break(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    for page in (np.zeros((*shape, 3), np.uint8), rng.integers(0, 256, (*shape, 3), dtype=np.uint8)):
        for panel in detect_panels(page):
            x0, y0, x1, y1 = panel.box
            assert 0 <= x0 < x1 <= shape[1]
            assert 0 <= y0 < y1 <= shape[0]


def test_wrong_arrays_are_refused() -> None:
    for wrong in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), np.float32)):
        with pytest.raises(ValueError, match="uint8"):
            detect_panels(wrong)


def test_the_same_page_gives_the_same_panels() -> None:
    page = page_of(GRID, screentone=True)
    assert detect_panels(page) == detect_panels(page.copy())


@pytest.mark.parametrize("factor", [0.6, 2.0, 3.0])
def test_any_resolution(factor: float) -> None:
    page = Image.fromarray(page_of(GRID))
    page = page.resize((round(500 * factor), round(700 * factor)), Image.Resampling.LANCZOS)
    boxes = [tuple(round(v * factor) for v in box) for box in GRID]
    assert_panels(np.asarray(page), [(b[0], b[1], b[2], b[3]) for b in boxes])


def test_a_long_strip() -> None:
    boxes = [(30, y, 770, y + 480) for y in range(40, 11_000, 620)]
    assert_panels(page_of(boxes, size=(800, 11_200)), boxes, "ttb")


def test_a_gutter_that_something_crosses_still_parts_its_panels() -> None:
    left, right = (40, 40, 240, 660), (256, 40, 460, 660)
    page = page_of([left, right], paper=BLACK, frame=WHITE)
    picture = Image.fromarray(page)
    pen = ImageDraw.Draw(picture)
    for top in (90, 330, 560):
        pen.rounded_rectangle((200, top, 300, top + 60), 20, fill=WHITE, outline=(60, 60, 60), width=2)
    assert_panels(np.asarray(picture), [left, right], at_least=0.8)


def test_thin_gutters_of_a_large_page() -> None:
    """Fault 1 A: gutters of 4 pixels at 1200x1698, half the width of what the working copy once kept."""
    boxes = [(150, 120, 598, 700), (602, 120, 1050, 700), (150, 724, 1050, 1560)]
    assert_panels(page_of(boxes, size=(1200, 1698), frame_width=4), boxes)


def test_a_white_panel_over_the_edge_is_whole() -> None:
    """Fault 1 E: only the frame lines of a white panel run on to the page's edge."""
    page = page_of([(40, 0, 460, 300), (40, 320, 460, 660)])
    page[:220, 44:456] = 255
    page[:300, [40, 41, 42, 457, 458, 459]] = 10
    assert_panels(page, [(40, 0, 460, 300), (40, 320, 460, 660)])


@pytest.mark.parametrize("darkest", [235, 205])
def test_paper_that_darkens_smoothly(darkest: int) -> None:
    """Fault 4E.19: light falls off across a clean page."""
    shade = np.linspace(1, darkest / 255, 500)[None, :, None]
    assert_panels((page_of(GRID) * shade).astype(np.uint8), GRID)


def test_the_gutter_between_framed_bleeds_is_no_panel() -> None:
    """Fault 4E.23: the black frames at the page's edge pass for its paper."""
    boxes = [(0, 0, 500, 280), (0, 300, 240, 700), (260, 300, 500, 700)]
    assert_panels(page_of(boxes, frame_width=6), boxes)


def test_a_strip_with_panels_of_other_widths_far_apart() -> None:
    """Fault 4E.22: 300 pixels of white between panels of unequal widths."""
    boxes = [(20, 80, 380, 480), (100, 780, 380, 1180), (20, 1480, 300, 1880)]
    assert_panels(page_of(boxes, size=(400, 1960)), boxes, "ttb")


@pytest.mark.parametrize("side", range(4))
def test_a_cell_lower_than_the_beginning_of_a_frame_line_is_looked_at(side: int) -> None:
    """Fault 4E.23: three rows of ink between panels ended the whole page with an error of shapes."""
    paper = np.ones((1000, 1000), bool)
    paper[500:503, 300:320] = False
    cell = Cell(300, 500, np.ones((3, 20), bool))
    if side % 2 == 0:
        paper, cell = paper.T, Cell(500, 300, np.ones((20, 3), bool))
    assert reach_edges(cell, paper) is cell


@pytest.mark.parametrize("share", [0.4, 0.48])
@pytest.mark.parametrize("draw", [page_of, line_page], ids=lambda draw: draw.__name__)
def test_a_balloon_over_half_of_a_gutter(draw: Callable[[Sequence[Box]], np.ndarray], share: float) -> None:
    """Fault 4E.21: the paper in the balloon is open too, but hides both edges."""
    boxes = [(40, 40, 460, 340), (40, 356, 460, 660)]
    width = round(share * 420)
    page = balloon(draw(boxes), (250 - width // 2, 290, 250 + width // 2, 406), words=0)
    assert_panels(page, boxes)


def test_the_ends_of_a_gutter_of_two_pixels() -> None:
    """Fault 1 A: a corner that stands out by a pixel closes the middle of the gutter, not the gutter."""
    paper = np.zeros((200, 120), dtype=bool)
    paper[:, 60:62] = True
    paper[:3, 61] = paper[197:, 60] = False
    region = Region(Plane(paper.T, 1.0), 0, 0, np.ones_like(paper.T))
    best = best_gutter(region, slanted=False, longest_run=20)
    assert best is not None
    assert (best.blocked, best.certain) == (0, True)
    assert best.quality > ENOUGH
    paper[:3] = False  # a frame does close it
    closed = best_gutter(Region(Plane(paper.T, 1.0), 0, 0, region.inside), slanted=False, longest_run=20)
    assert closed is not None
    assert closed.blocked == 1


def _sketches() -> np.ndarray:
    """Soft pictures without frames between lines of words, as on the slices of a strip."""
    page = np.full((700, 500, 3), 255, dtype=np.uint8)
    y, x = np.mgrid[0:700, 0:500]
    for cx, cy in ((200, 180), (330, 520)):
        far = ((x - cx) / 170) ** 2 + ((y - cy) / 120) ** 2 + 0.2 * np.sin(x / 9) * np.sin(y / 11)
        page[far < 1] = (120, 160, 90)
    return page


def test_a_page_that_is_neither_empty_nor_one_picture_is_in_doubt() -> None:
    """Fault 6.14: slices on which nothing is found are told."""
    assert examine_page(_sketches()) == Findings([], doubtful=True)
    white = np.full((700, 500, 3), 255, dtype=np.uint8)
    for page in (white, _cover(), _prose()):
        assert examine_page(page) == Findings([])
