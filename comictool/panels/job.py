"""`data panels`: the panels of every page of a corpus, careful with what a person drew."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from comictool.core.errors import ComicError, UsageError
from comictool.core.jobs import JobOptions, JobReport
from comictool.core.progress import Progress
from comictool.corpus.annotating import Stage, annotate
from comictool.corpus.boxes import share_inside
from comictool.corpus.corpus import Corpus
from comictool.corpus.order import ORDERS
from comictool.corpus.records import DIRECTIONS, Character, PageRecord, Text
from comictool.panels.detect import SOURCE, examine_page

if TYPE_CHECKING:
    import numpy as np

WITHOUT_PANELS = ("cover", "advertisement", "text", "credits")  # page types that a comic's own metadata may declare
DECLARED = 0.9  # type_confidence from which a page type is taken for declared rather than guessed
DOUBT = "panels_doubtful"  # of a page record: true where the panels, or that there are none, may be wrong
INSIDE = 0.3  # share of a character's or text's box that must lie in a panel to belong to it


def detect_corpus(
    corpus: Corpus,
    *,
    direction: str | None = None,
    order: str = "auto",
    options: JobOptions | None = None,
    progress: Progress | None = None,
    keep_drawn: bool = True,
) -> JobReport:
    """Find the panels of every page and write them into the page records; a job that annotates (`annotate`).

    Pages whose own metadata calls them covers, advertisements, prose or credits get none. The report names pages of
    this run or an earlier one: `changes["doubtful"]` those that have none but look as if they might, and
    `changes["unsure"]` those with a panel that looks little like one.

    Args:
        direction: "ltr", "rtl" or "ttb" for all comics; by default each page's own.
        order: "rows" or "columns" first; "auto" is rows, except on 4-koma pages.
        options, progress: of the job.
        keep_drawn: leave pages alone whose panels a person or another tool made.

    Raises:
        UsageError: an unknown direction or order.
        Stopped: after a signal; the same call continues from there.
    """
    if direction is not None and direction not in DIRECTIONS:
        raise UsageError(f"direction is {', '.join(DIRECTIONS)}, not {direction!r}")
    if order not in ORDERS:
        raise UsageError(f"order is {', '.join(ORDERS)}, not {order!r}")
    ask = partial(_direction, given=direction, keep_drawn=keep_drawn)
    stage = Stage("panels", SOURCE, ask, partial(find_panels, order=order), _take_over, settings={"order": order})
    report = annotate(corpus, stage, options=options, progress=progress)
    if not report.planned:
        comics = (options or JobOptions()).share(corpus.comics())
        pages = [page for comic in comics for page in _doubtful(corpus, comic)]
        report.changes["doubtful"] = [page.id for page in pages if not page.panels]
        report.changes["unsure"] = [page.id for page in pages if page.panels]
    return report


def _doubtful(corpus: Corpus, comic: str) -> list[PageRecord]:
    """The pages of a comic whose panels are in doubt."""
    try:
        return [page for page in corpus.pages(comic) if page.extra.get(DOUBT)]
    except (ComicError, OSError):
        return []  # the job has reported it


def find_panels(picture: np.ndarray, direction: str, *, order: str = "auto") -> dict[str, Any]:
    """The worker: the panels of one page picture, their direction, and a doubt whether they are right."""
    found = examine_page(picture, direction, order)
    return {"panels": found.panels, "direction": direction, "extra": {DOUBT: True} if found.doubtful else {}}


def _direction(record: PageRecord, *, given: str | None, keep_drawn: bool) -> str | None:
    """The direction in which the panels of a page are to be counted; None: it is left alone."""
    foreign = any(not panel.source.startswith("gutters-") for panel in record.panels)
    declared = record.type in WITHOUT_PANELS and record.type_confidence >= DECLARED
    return None if (foreign and keep_drawn) or declared else given or record.direction


def _take_over(record: PageRecord, found: PageRecord) -> None:
    """The new panels; characters and texts point at those that hold most of their box."""
    record.extra.pop(DOUBT, None)
    record.extra.update(found.extra)
    record.direction, record.panels = found.direction, found.panels
    things: list[Character | Text] = [*record.characters, *record.texts]
    for thing in things:
        if thing.box is not None:
            shares = [(share_inside(thing.box, panel.box), panel.id) for panel in record.panels]
            share, number = max(shares, default=(0.0, 0))
            thing.panel = number if share >= INSIDE else None
