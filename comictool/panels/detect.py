"""Panels of one page, from its pixels alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from comictool.corpus.order import order_boxes
from comictool.corpus.records import Panel
from comictool.panels.background import Background, WorkingPage, candidate_backgrounds, reduce_page
from comictool.panels.captions import attach_captions
from comictool.panels.cells import Cell, page_extent
from comictool.panels.cutting import Ground, cut_at_plain_lines, cut_at_twins, cut_page
from comictool.panels.doubt import may_have_panels
from comictool.panels.edges import reach_edges
from comictool.panels.frames import Frame, frame_of
from comictool.panels.insets import find_insets
from comictool.panels.lettering import lettering_share
from comictool.panels.light import even_light
from comictool.panels.lines import line_planes
from comictool.panels.refine import refine_boxes
from comictool.panels.ring import without_ring
from comictool.panels.verdict import Verdict, judge

SOURCE = "gutters-6"
PROSE = 0.22  # share of the page under lines of letters; the wordiest comic pages seen have .18, prose from .3 up
FEW_PANELS = 2  # prose and credits in a box or two; four framed columns of prose are not met
SPARSE = 4  # panels up to which a page that has gutters may have bare frame lines as well
DOUBTFUL = 2  # refused pieces from which a page without panels is in doubt; most covers and pictures are one at most
UNSURE = 0.75  # score of a panel under which its page is in doubt: 5 of 139 real pages, of which 3 of the 9 wrong ones
CONVINCING = 0.8  # score from which no other guess at the background is tried
A_PANEL = 0.03  # worth of one more panel, against scores from 0 to 1
MANY_PANELS = 8  # beyond which more are no argument
BLANK = 225  # levels of white paper, which a dark background would make a panel of
NOTHING_BUT = (0.97, 0.75)  # share of it, of which a strip as narrow as a gutter, softened at its edges, shows less
GUTTER = 0.06  # share of the page's shorter side
LEANING = (3, 2)  # pieces, and how many of them lean, from which a page is cut at leaning gutters
SMALLEST_PAGE = 32  # pixels; a smaller picture is no page


@dataclass(frozen=True)
class Findings:
    """The panels of a page in reading order, and whether that is in doubt.

    Without panels, because the page is neither empty nor prose nor one picture; with some, because one looks little
    like a panel.
    """

    panels: list[Panel]
    doubtful: bool = False


def detect_panels(image: np.ndarray, direction: str = "ltr", order: str = "auto") -> list[Panel]:
    """Find the panels of a page.

    Args:
        image: (height, width, 3) uint8 RGB.
        direction: "ltr", "rtl" or "ttb", for the reading order.
        order: "rows" or "columns" first, or "auto" (`order_boxes`).

    Returns:
        Panels in reading order with ids from 1, boxes in page pixels and a score in 0..1. Empty for pages without
        panels: covers, art without a frame, prose, advertisements, blank pages.

    Raises:
        ValueError: the array has another shape or type.
    """
    return examine_page(image, direction, order).panels


def examine_page(image: np.ndarray, direction: str = "ltr", order: str = "auto") -> Findings:
    """`detect_panels`, and whether what was found is in doubt.

    Raises:
        ValueError: the array has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected a (height, width, 3) uint8 array, got {image.dtype} {image.shape}")
    if min(image.shape[:2]) < SMALLEST_PAGE:
        return Findings([])
    image = even_light(image)
    page = reduce_page(image)
    best, refused = Verdict((), 0.0), 0
    colour: tuple[int, int, int] = (255, 255, 255)
    lightest: Background | None = None
    for background in candidate_backgrounds(page):
        if lightest is None or sum(background.colour) > sum(lightest.colour):
            lightest = background
        verdict = _explain_in_ring(background, page)
        refused = max(refused, verdict.refused)
        if _worth(verdict) > _worth(best):
            best, colour = verdict, background.colour
        if best.score >= CONVINCING and (not _mostly_bleeds(best) or (best.certain and background.light)):
            break
    unsure = len(best.frames) <= FEW_PANELS or best.score < CONVINCING
    if not best.frames:
        # On white pages black is "background" too; under the lightest one a picture is what it looks like.
        doubtful = refused >= DOUBTFUL or (lightest is not None and may_have_panels(lightest.mask))
        return Findings([], doubtful and lettering_share(page.planes[1]) < PROSE)
    if unsure and lettering_share(page.planes[1]) >= PROSE:
        return Findings([])
    boxes = refine_boxes(image, [frame.box for frame in best.frames], page.scale, colour)
    places = order_boxes(boxes, direction, order)
    panels = [
        Panel(id=number, box=boxes[i], order=number, score=_score(best.frames[i], best.score), source=SOURCE)
        for number, i in enumerate(places, start=1)
    ]
    return Findings(panels, doubtful=min(panel.score for panel in panels) < UNSURE)


def _worth(verdict: Verdict) -> float:
    """For choosing among backgrounds: of two that explain the page, the one that parts it further is right."""
    return verdict.score + A_PANEL * min(len(verdict.frames), MANY_PANELS)


def _mostly_bleeds(verdict: Verdict) -> bool:
    """Whether the page has no margin to tell its background by, so that a frame's black may have been taken for it."""
    return sum(frame.bleeds > 0 for frame in verdict.frames) > 0.5 * len(verdict.frames)


def _explain_in_ring(background: Background, page: WorkingPage) -> Verdict:
    """`_explain` without the line around all panels, where it is one and not the frame of the only panel."""
    inner = without_ring(background.mask)
    if inner is not None:
        verdict = _explain(replace(background, mask=inner), page)
        if len(verdict.frames) > 1:
            return verdict
    return _explain(background, page)


def _explain(background: Background, page: WorkingPage) -> Verdict:
    """The panels of a working page under one guess at its background."""
    paper = background.mask
    ground = Ground(paper)
    blank = None if background.light else page.grey >= BLANK
    start = None
    cells = cut_page(ground)
    verdict = _judge(cells, paper, blank)
    # On larger pages tone is finer than frame lines, and gutters show, as they do between panels with a margin around.
    unexplained = not verdict.frames or _mostly_bleeds(verdict)
    if page.scale >= 1 and background.light and unexplained:
        twins = cut_at_twins(ground, page.bands)
        if _leaning(twins):
            start, cells = twins, cut_page(ground, cells=twins)
            verdict = _judge(cells, paper, blank)
    if 1 < len(verdict.frames) <= SPARSE and not verdict.certain:
        parted = cut_at_plain_lines(cells, ground, line_planes(page.grey))
        if len(parted) > len(cells):
            verdict, cells = _judge(parted, paper, blank), parted
    elif len(verdict.frames) <= 1:
        # Frame lines that are covered or begin anywhere count only where gutters explain nothing: art has straight
        # strokes too.
        lined_cells = cut_page(ground, line_planes(page.grey), start)
        lined = _judge(lined_cells, paper, blank)
        if len(lined.frames) > 1:
            verdict, cells = lined, lined_cells
        else:
            verdict = replace(verdict, refused=max(verdict.refused, lined.refused))
    if not verdict.frames:
        return verdict
    insets = [frame_of(inset, paper) for cell in cells for inset in find_insets(cell, paper)]
    return replace(verdict, frames=(*verdict.frames, *insets))


def _leaning(cells: Sequence[Cell]) -> bool:
    """Whether a page is cut into several pieces beyond doubt, some of which lean, as few pages are."""
    sure = [cell for cell in cells if cell.certain]
    return len(sure) >= LEANING[0] and sum(not cell.inside.all() for cell in sure) >= LEANING[1]


def _judge(cells: Sequence[Cell], paper: np.ndarray, blank: np.ndarray | None) -> Verdict:
    """The verdict on cells; those that show hardly anything but `blank` (h, w) bool are white paper on black."""
    if blank is not None:
        cells = [cell for cell in cells if not _is_blank(cell, blank)]
    return judge(
        attach_captions([frame_of(reach_edges(cell, paper), paper) for cell in cells], page_extent(paper)), paper
    )


def _is_blank(cell: Cell, blank: np.ndarray) -> bool:
    thin = bool(cell.inside.sum() / max(cell.inside.shape) < GUTTER * min(blank.shape))
    return float(cell.of(blank)[cell.inside].mean()) >= NOTHING_BUT[thin]


def _score(frame: Frame, page_score: float) -> float:
    return round(min(1.0, 0.7 * frame.support + 0.3 * page_score), 3)
