"""A thin line around all panels of a page (fault 4E.20), and pages whose only panel has such a frame."""

from __future__ import annotations

import numpy as np
import pytest

from comictool.panels.detect import detect_panels
from tests.panels.panel_pages import BLACK, WHITE, Box, Colour, line_page, page_of
from tests.panels.test_detect import GRID, assert_panels


def ringed(page: np.ndarray, away: int, thick: int) -> np.ndarray:
    """The page with a line `away` pixels from the panels of `GRID`."""
    out, rim = page.copy(), 40 - away
    x0, y0, x1, y1 = rim, rim, 500 - rim, 700 - rim
    for at in range(1, thick + 1):
        out[[y0 - at, y1 - 1 + at], x0 - at : x1 + at] = BLACK
        out[y0 - at : y1 + at, [x0 - at, x1 - 1 + at]] = BLACK
    return out


@pytest.mark.parametrize("paper", [WHITE, (238, 222, 178)], ids=str)
@pytest.mark.parametrize(("away", "thick"), [(3, 1), (8, 2), (14, 4), (30, 2)])
def test_a_line_around_line_art(away: int, thick: int, paper: Colour) -> None:
    """Fault 4E.20: both ends of every gutter are closed."""
    assert_panels(ringed(line_page(GRID, paper=paper), away, thick), GRID)


def test_a_line_around_line_art_on_shaded_paper() -> None:
    """Fault 4E.20."""
    shade = np.linspace(1, 0.85, 500)[None, :, None]
    assert_panels((ringed(line_page(GRID), 15, 2) * shade).astype(np.uint8), GRID)


def test_a_line_that_a_panel_runs_over() -> None:
    """Fault 4E.20: at a corner of the page, and over all of its lower side."""
    first: Box = (0, 0, 240, 230)
    page = ringed(line_page(GRID), 15, 2)
    page[: first[3], : first[2]] = page_of([first], size=(first[2], first[3]))
    assert_panels(page, [first, *GRID[1:]])
    page = ringed(line_page(GRID[:3]), 15, 2)
    page[456:] = page_of([(0, 0, 500, 244)], size=(500, 244))
    assert_panels(page, [*GRID[:3], (0, 456, 500, 700)])


@pytest.mark.parametrize("away", [1, 10, 30])
def test_the_frame_of_the_only_panel_stays(away: int) -> None:
    """Fault 4E.20: a picture that fills its page is no page of panels within a line, whatever is drawn in it."""
    whole: Box = (40, 40, 460, 660)
    assert len(detect_panels(ringed(line_page([whole]), away, 2))) <= 1
    assert len(detect_panels(ringed(page_of([whole]), away, 2))) == 1
