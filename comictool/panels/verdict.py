"""Is this a page of panels at all, and which guess at its background explains it best?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comictool.panels.cells import page_area
from comictool.panels.frames import Frame

SMALLEST_PANEL = 0.008  # share of the page; under it lie page numbers, signatures and balloons between panels
THINNEST_PANEL = 0.035  # share of the page's shorter side
FRAMED = 0.55  # support from which an outline counts as a panel's
SMALL = 0.03  # share of the page under which a panel must have a plain frame
SMALL_FRAMED = 0.75  # support from which it has
FREE_STANDING = 0.04  # share of the page from which art without a frame counts as a panel
ALONE = 0.72  # support that a single panel must show: it has no gutter to vouch for it
SOLID = 0.3  # share of ink in a single panel: framed advertisements are mostly paper
TITLE = 0.22  # height of a small piece, against the median panel's, under which it is lettering
COVER_SCRAPS = 0.2  # share of the page that pieces beside a cover's picture may take together
COVER = 0.6  # share of the page that a cover's picture takes
CATALOGUE = (0.86, 0.5)  # support and fill under which a page is pictures and prices on paper, not panels
WELL_FRAMED = 0.6  # share of the panels' area inside plain frames from which it is not: bare manga beside such frames
CERTAIN = 0.5  # share of the panels' area behind gutters beyond doubt from which nothing else is asked
CERTAIN_FRAMED = 0.7  # support of their panels: advertisements have such gutters, beside pieces without a frame
EXPLAINED = 0.55  # share of a page's ink that its panels must hold
COVERED = 0.25  # share of the page that its panels must cover


@dataclass(frozen=True)
class Verdict:
    """The panels under one guess at the background, and how well they explain the page (0: no panels).

    `refused` counts the pieces that look like panels on a page that a rule then takes for none.
    """

    frames: tuple[Frame, ...]
    score: float
    certain: bool = False
    refused: int = 0


def judge(frames: Sequence[Frame], paper: np.ndarray) -> Verdict:
    """Keep the frames that are panels, and score the page; an empty verdict for pages without panels."""
    height, width = paper.shape
    page, screen = height * width, page_area(paper)
    kept = _without_titles([frame for frame in frames if _is_panel(frame, screen, min(height, width))], screen)
    if not kept:
        return Verdict((), 0.0)
    none = Verdict((), 0.0, refused=len(kept))
    ink = ~paper
    held = sum(int(ink[y0:y1, x0:x1].sum()) for x0, y0, x1, y1 in (frame.box for frame in kept))
    explained = held / max(1, int(ink.sum()))
    covered = sum(frame.area for frame in kept) / page
    support = sum(frame.support * frame.area for frame in kept) / max(1, sum(frame.area for frame in kept))
    fill = sum(frame.fill * frame.area for frame in kept) / max(1, sum(frame.area for frame in kept))
    framed = sum(frame.area for frame in kept if frame.support >= CATALOGUE[0]) / sum(frame.area for frame in kept)
    certain = sum(frame.area for frame in kept if frame.certain) / sum(frame.area for frame in kept)
    if certain >= CERTAIN and len(kept) > 1 and covered >= COVERED and support >= CERTAIN_FRAMED:
        return Verdict(tuple(kept), (1 + support * min(1.0, explained)) / 2, certain=True)
    if support < CATALOGUE[0] and fill < CATALOGUE[1] and framed < WELL_FRAMED:
        return none
    if explained < EXPLAINED or covered < COVERED or support < FRAMED:
        return none
    if _is_cover(kept, page):
        return none
    if len(kept) == 1 and (kept[0].support < ALONE or kept[0].bleeds or kept[0].fill < SOLID):
        return none
    return Verdict(tuple(kept), support * min(1.0, explained) * min(1.0, covered + 0.3))


def _without_titles(frames: list[Frame], page: int) -> list[Frame]:
    """Words of a big title look framed; they are far lower than the panels around them."""
    heights = sorted(frame.box[3] - frame.box[1] for frame in frames if frame.area >= SMALL * page)
    if not heights:
        return frames
    lowest = TITLE * heights[len(heights) // 2]
    return [frame for frame in frames if frame.area >= SMALL * page or frame.box[3] - frame.box[1] >= lowest]


def _is_cover(frames: Sequence[Frame], page: int) -> bool:
    """One picture that runs over both sides of the page, and beside it only scraps: a title, the publisher's words."""
    largest = max(frames, key=lambda frame: frame.area)
    rest = sum(frame.area for frame in frames) - largest.area
    across = largest.sides[0] is None and largest.sides[2] is None
    return across and largest.area >= COVER * page and rest <= COVER_SCRAPS * page


def _is_panel(frame: Frame, page: int, shorter: int) -> bool:
    x0, y0, x1, y1 = frame.box
    if frame.lettering or frame.area < SMALLEST_PANEL * page or min(x1 - x0, y1 - y0) < THINNEST_PANEL * shorter:
        return False
    if frame.area < SMALL * page:
        return frame.support >= SMALL_FRAMED
    return frame.support >= FRAMED or frame.area >= FREE_STANDING * page
