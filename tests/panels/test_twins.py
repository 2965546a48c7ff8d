"""Gutters between two frame lines: told from hatching, and cut on a small page that gutters alone do not part."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from comictool.drawn.page import draw_page
from comictool.panels.detect import detect_panels
from comictool.panels.twins import bands_of, find_twins
from tests.panels.panel_pages import overlap


def hatched(gutter: bool, covered: int = 0) -> np.ndarray:
    """A hatched page (300, 400) 0..255; with a leaning gutter through it, `covered` pixels of it under a balloon."""
    picture = Image.new("L", (400, 300), 255)
    pen = ImageDraw.Draw(picture)
    for at in range(-300, 400, 6):
        pen.line([(at, 300), (at + 300, 0)], fill=0)
    if gutter:
        pen.polygon([(0, 160), (400, 120), (400, 128), (0, 168)], fill=255)
        for y in (160, 168):
            pen.line([(0, y), (400, y - 40)], fill=0, width=2)
    if covered:
        pen.ellipse([(150, 60), (150 + covered, 230)], fill=255, outline=0)
    return np.asarray(picture)


@pytest.mark.parametrize("covered", [0, 160])
def test_a_leaning_gutter_is_found_in_hatching_and_under_a_balloon(covered: int) -> None:
    """Along its own middle, and nothing else is."""
    grey = hatched(True, covered)
    found = find_twins(bands_of(grey), 0, 0, np.ones(grey.shape, dtype=bool))
    assert found
    for gutter in found:
        assert gutter.slope == pytest.approx(-0.1, abs=0.01)
        assert gutter.offset == pytest.approx(164, abs=2)


def test_hatching_alone_has_none() -> None:
    """However many narrow light bands it has."""
    grey = hatched(False)
    whole = np.ones(grey.shape, dtype=bool)
    assert not find_twins(bands_of(grey), 0, 0, whole)
    assert not find_twins(bands_of(grey.T), 0, 0, whole.T)


def test_a_small_page_of_leaning_panels_that_run_off_it_is_parted() -> None:
    """Rows and the panels in them; before, nothing was found on the page."""
    page = draw_page(0, 1, 2, width=600, height=837, layout="slanted")
    boxes = [panel.box for panel in detect_panels(page.image, "rtl")]
    truth = [panel.box for panel in page.record.panels]
    assert len(boxes) == len(truth) == 5
    for found, box in zip(boxes, truth, strict=True):
        assert overlap(found, box) >= 0.7
