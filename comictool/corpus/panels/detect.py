"""Panels of one page, from its pixels alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comictool.corpus.order import order_boxes
from comictool.corpus.panels.background import candidate_backgrounds, reduce_page
from comictool.corpus.panels.captions import attach_captions
from comictool.corpus.panels.cells import Cell, page_extent
from comictool.corpus.panels.cutting import cut_at_plain_lines, cut_page
from comictool.corpus.panels.frames import Frame, frame_of
from comictool.corpus.panels.insets import find_insets
from comictool.corpus.panels.lettering import lettering_share
from comictool.corpus.panels.lines import line_planes
from comictool.corpus.panels.refine import refine_boxes
from comictool.corpus.panels.verdict import Verdict, judge
from comictool.corpus.records import Panel

SOURCE = "gutters-2"
PROSE = 0.22  # share of the page under lines of letters; the wordiest comic pages seen have .18, prose from .3 up
FEW_PANELS = 2  # prose and credits in a box or two; four framed columns of prose are not met
SPARSE = 4  # panels up to which a page that has gutters may have bare frame lines as well
CONVINCING = 0.8  # score from which no other guess at the background is tried
A_PANEL = 0.03  # worth of one more panel, against scores from 0 to 1
MANY_PANELS = 8  # beyond which more are no argument
SMALLEST_PAGE = 32  # pixels; a smaller picture is no page


def detect_panels(image: np.ndarray, direction: str = "ltr") -> list[Panel]:
    """Find the panels of a page.

    Args:
        image: (height, width, 3) uint8 RGB.
        direction: "ltr", "rtl" or "ttb", for the reading order.

    Returns:
        Panels in reading order with ids from 1, boxes in page pixels and a score in 0..1. Empty for pages without
        panels: covers, art without a frame, prose, advertisements, blank pages.

    Raises:
        ValueError: the array has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected a (height, width, 3) uint8 array, got {image.dtype} {image.shape}")
    if min(image.shape[:2]) < SMALLEST_PAGE:
        return []
    page = reduce_page(image)
    grey = page.planes.mean(0)
    best = Verdict((), 0.0)
    colour: tuple[int, int, int] = (255, 255, 255)
    for background in candidate_backgrounds(page):
        verdict = _explain(background.mask, grey)
        if _worth(verdict) > _worth(best):
            best, colour = verdict, background.colour
        if best.score >= CONVINCING and not _mostly_bleeds(best):
            break
    doubtful = len(best.frames) <= FEW_PANELS or best.score < CONVINCING
    if best.frames and doubtful and lettering_share(page.planes[1]) >= PROSE:
        return []
    boxes = refine_boxes(image, [frame.box for frame in best.frames], page.scale, colour)
    order = order_boxes(boxes, direction)
    return [
        Panel(id=number, box=boxes[i], order=number, score=_score(best.frames[i], best.score), source=SOURCE)
        for number, i in enumerate(order, start=1)
    ]


def _worth(verdict: Verdict) -> float:
    """For choosing among backgrounds: of two that explain the page, the one that parts it further is right."""
    return verdict.score + A_PANEL * min(len(verdict.frames), MANY_PANELS)


def _mostly_bleeds(verdict: Verdict) -> bool:
    """Whether the page has no margin to tell its background by, so that a frame's black may have been taken for it."""
    return sum(frame.bleeds > 0 for frame in verdict.frames) > 0.5 * len(verdict.frames)


def _explain(paper: np.ndarray, grey: np.ndarray) -> Verdict:
    """The panels of a working page under one guess at its background."""
    cells = cut_page(paper)
    verdict = _judge(cells, paper)
    if 1 < len(verdict.frames) <= SPARSE:
        parted = cut_at_plain_lines(cells, paper, line_planes(grey))
        if len(parted) > len(cells):
            verdict, cells = _judge(parted, paper), parted
    elif len(verdict.frames) <= 1:
        # Frame lines that are covered or begin anywhere count only where gutters explain nothing: art has straight
        # strokes too.
        lined_cells = cut_page(paper, line_planes(grey))
        lined = _judge(lined_cells, paper)
        if len(lined.frames) > 1:
            verdict, cells = lined, lined_cells
    if not verdict.frames:
        return verdict
    insets = [frame_of(inset, paper) for cell in cells for inset in find_insets(cell, paper)]
    return Verdict((*verdict.frames, *insets), verdict.score)


def _judge(cells: Sequence[Cell], paper: np.ndarray) -> Verdict:
    return judge(attach_captions([frame_of(cell, paper) for cell in cells], page_extent(paper)), paper)


def _score(frame: Frame, page_score: float) -> float:
    return round(min(1.0, 0.7 * frame.support + 0.3 * page_score), 3)
