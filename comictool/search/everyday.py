"""Pictures as people have them: which page shows what is on a cut-out, a screenshot, a photograph, half a page.

The picture is seen in every way that it can be (`search.readings`), each whole and panel by panel. A whole one is
compared with pages and with panels, its panels with panels. Cosines of pages and panels, and of different encoders,
do not mean the same, so each is measured against the store itself: how far it stands out from what pictures of the
store have in common with this one. What stands out adds up: panels that were found on one page vote for it together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from comictool.search.nearest import Searched, cosines
from comictool.vectors.collection import Collection, SearchedColumn, StoreCollection

if TYPE_CHECKING:
    from comictool.plugins.encoder import Encoder

DEVIATIONS = 3.0  # from the median of a store, robust: chance goes farther in one of 700 pages, were they normal
MOST_LIMIT = 0.95  # a cosine above it counts in any store
FEW = 20  # pages; fewer do not tell what is usual, so the limit of the classic encoder in a large store is taken
USUAL_LIMIT = 0.65
SAMPLE = 20_000  # rows from which the median and the deviation are taken
MOST_PANELS = 8  # of a reading that are asked for, the largest
LEAST_PANEL = 0.02  # of the area; smaller ones are mostly letters
SAME, SIMILAR = 0.5, 0.1  # evidence; see tests/bench/picture_queries.py for how often pages that are not there reach it


@dataclass(frozen=True)
class Found:
    """A page that may show the picture.

    Attributes:
        page, panel: rows of the store; a panel where that is what the whole picture shows.
        score: the cosine that decided, -1..1; with `panels` the mean of those that voted.
        evidence: 0 and up; 1 is about one perfect match.
        match: `same`, `similar`, or empty for the merely nearest.
        found_by: `page`, `panel`, or `panels`.
    """

    page: int
    panel: int | None
    score: float
    evidence: float
    match: str
    found_by: str


def has_both_levels(place: Collection) -> TypeGuard[StoreCollection]:
    """Whether a place has pictures of pages and of panels by one encoder."""
    if not isinstance(place, StoreCollection) or not {"page/image", "panel/image"} <= set(place.columns):
        return False
    return place.columns["page/image"].column.encoder_id == place.columns["panel/image"].column.encoder_id


def pages_showing(
    place: StoreCollection, encoder: Encoder, image: np.ndarray, inside: np.ndarray | None = None
) -> list[Found]:
    """All pages with vectors, the likeliest first; equal ones in the order of their rows.

    Args:
        place: see `has_both_levels`.
        encoder: the one that made its columns.
        image: (H, W, 3) uint8 RGB.
        inside: (pages,) bool, those that may be answers; all when None.
    """
    pages, panels = place.columns["page/image"], place.columns["panel/image"]
    inside = np.ones(len(pages.present), bool) if inside is None else inside
    owners = _Owners(np.array(place.store.metadata.first_rows("panel"), np.int64).reshape(-1, 2))
    with_panels = owners.any(panels.present)
    evidence = np.full(len(inside), -1.0)
    score = np.zeros(len(inside))
    by = np.full(len(inside), "page", object)
    panel = np.full(len(inside), -1)
    for vectors in _asked(encoder, image):
        whole = _cosines(pages, vectors[:1])[0]
        asked = _cosines(panels, vectors)
        best, rows = owners.best(asked[0])
        votes = [owners.best(row)[0] for row in asked[1:]]
        page_evidence, panel_evidence = _standing_out(whole, pages.present), _standing_out(best, with_panels)
        vote_evidence = [_standing_out(vote, with_panels) for vote in votes]
        total = np.sum(vote_evidence, axis=0) if vote_evidence else np.zeros(len(inside))
        voters = np.sum([v > 0 for v in vote_evidence], axis=0) if vote_evidence else np.zeros(len(inside), int)
        single = np.maximum(page_evidence, panel_evidence)
        is_panel = (panel_evidence > page_evidence) | ((single == 0) & (best > whole))
        nearest = np.where(is_panel, best, whole)
        here = single + total + 1e-4 * nearest  # the last so that the merely nearest have an order as well
        mean = (
            np.sum([np.where(e > 0, v, 0) for v, e in zip(votes, vote_evidence, strict=True)], axis=0) if votes else 0.0
        )
        by_votes = (voters > 0) & (total > single)
        better = here > evidence
        evidence = np.where(better, here, evidence)
        score = np.where(better, np.where(by_votes, mean / np.maximum(voters, 1), nearest), score)
        by = np.where(better, np.where(by_votes, "panels", np.where(is_panel, "panel", "page")), by)
        panel = np.where(better, np.where(is_panel & ~by_votes, rows, -1), panel)
    there = np.flatnonzero(inside & (pages.present | with_panels))
    # rounded: the same picture in two files must not be told apart by how float32 sums were blocked
    order = there[np.argsort(-np.round(evidence[there], 5), kind="stable")]
    return [
        Found(
            int(row),
            int(panel[row]) if panel[row] >= 0 else None,
            float(score[row]),
            float(evidence[row]),
            "same" if evidence[row] >= SAME else "similar" if evidence[row] >= SIMILAR else "",
            str(by[row]),
        )
        for row in order
    ]


def _asked(encoder: Encoder, image: np.ndarray) -> list[np.ndarray]:
    """For each reading (1 + panels, D) unit rows: the whole and its panels."""
    from comictool.panels.detect import detect_panels
    from comictool.search.readings import readings

    found = []
    for picture in readings(image):
        height, width = picture.shape[:2]
        boxes = [panel.box for panel in detect_panels(picture)]
        sizes = [(x1 - x0) * (y1 - y0) / (width * height) for x0, y0, x1, y1 in boxes]
        largest = sorted(range(len(boxes)), key=lambda n: -sizes[n])[:MOST_PANELS]
        cuts = [
            np.ascontiguousarray(picture[y0:y1, x0:x1])
            for x0, y0, x1, y1 in (boxes[n] for n in largest if sizes[n] > LEAST_PANEL)
        ]
        found.append(encoder.embed([picture, *cuts]))
    return found


def _cosines(column: SearchedColumn, vectors: np.ndarray) -> np.ndarray:
    facts = column.column
    searched = Searched(column.rows, vectors, len(facts.views), column.present, 1.0, facts.normalised)
    return cosines(searched, np.ones(len(column.present), bool))


def _standing_out(cosine: np.ndarray, present: np.ndarray) -> np.ndarray:
    """How far the cosines of pages lie beyond what is usual among them, 0 (usual) to 1 (equal)."""
    sample = cosine[present]
    sample = sample[:: len(sample) // SAMPLE + 1]
    if len(sample) < FEW:
        limit = USUAL_LIMIT
    else:
        middle = float(np.median(sample))
        limit = min(middle + DEVIATIONS * 1.4826 * float(np.median(np.abs(sample - middle))), MOST_LIMIT)
    return np.maximum(cosine - limit, 0) / (1 - limit)


class _Owners:
    """Which rows of panels belong to which page: neighbours, in the order of the pages."""

    def __init__(self, firsts: np.ndarray) -> None:
        self._first, self._count = firsts[:, 0], firsts[:, 1]
        self._with = np.flatnonzero(self._count > 0)

    def best(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each page the largest value among its panels and its row; 0 and -1 where it has none."""
        top, rows = np.zeros(len(self._first)), np.full(len(self._first), -1)
        if len(self._with):
            top[self._with] = np.maximum.reduceat(values, self._first[self._with])
            owner = np.repeat(np.arange(len(self._first)), self._count)
            hits = np.flatnonzero(values == top[owner])
            rows[owner[hits[::-1]]] = hits[::-1]  # of equal ones the first
        return top, rows

    def any(self, present: np.ndarray) -> np.ndarray:
        """Whether a page has a panel that is there."""
        return self.best(present.astype(float))[0] > 0
