"""Pages whose panels and texts agree: which are, how well the counts of the others do, and the list to train from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.files import write_text
from comictool.corpus.records import Box, PageRecord
from comictool.corpus.views import CorpusView
from comictool.formats import dataspec

MIN_CONFIDENCE = 0.85  # expected share of a page's texts on the right panel; the bench `alignment` says what it costs
TIERS = ("perfect", "near", "high", "medium", "low")
FROM_SCORE = 0.5  # from which a found panel counts, in the published rule


@dataclass(frozen=True)
class Verdict:
    """What became of one page (`comic/page`).

    Attributes:
        tier: how well the counts of panels agree, one of `TIERS`; empty when nobody told its panels.
        confidence: the expected share of texts on the right panel; None when its texts were not aligned.
        reason: why it is not kept; empty when it is.
    """

    page: str
    tier: str
    confidence: float | None
    reason: str

    @property
    def kept(self) -> bool:
        """Whether the page is kept."""
        return not self.reason


@dataclass
class AlignedReport:
    """Verdicts on all pages, and how many pages are in each tier."""

    pages: list[Verdict] = field(default_factory=list)
    tiers: Counter[str] = field(default_factory=Counter)

    @property
    def aligned(self) -> list[str]:
        """The pages that are kept."""
        return [verdict.page for verdict in self.pages if verdict.kept]

    @property
    def others(self) -> dict[str, str]:
        """Why each other page is not."""
        return {verdict.page: verdict.reason for verdict in self.pages if not verdict.kept}


def aligned_pages(
    view: CorpusView,
    comics: Iterable[str] | None = None,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    perfect_match: bool = False,
) -> AlignedReport:
    """Pages where the panel boxes and the texts of panels agree.

    Where texts were aligned with the panels (`corpus.text_panels`), a page is kept from a confidence. Elsewhere it is
    when every text belongs to a panel of the page, the centre of a text's box lies in its panel, and the number of
    panels is that which the reader of the texts saw, if the record says one.

    Args:
        view: any corpus.
        comics: only these.
        min_confidence: the least expected share of texts on the right panel.
        perfect_match: the published rule instead, which compares two counts and nothing else: panels found with a score
            of .5 or more, and panels that the reader of the texts saw.
    """
    report = AlignedReport()
    for comic in view.comics() if comics is None else comics:
        for record in view.pages(comic):
            facts = _facts(record)
            confidence = facts.get("confidence")
            confidence = float(confidence) if isinstance(confidence, int | float) else None
            reason = _counts_differ(record) if perfect_match else _reason(record, confidence, min_confidence)
            tier = tier_of(record)
            report.pages.append(Verdict(record.id, tier, confidence, reason))
            report.tiers[tier or "untold"] += 1
    return report


def tier_of(record: PageRecord) -> str:
    """How well the counts agree, by the published score of 0 to 4; empty when nobody told its panels.

    Points: for the ratio of found to told panels 2 within .9 to 1.1, else 1 within .8 to 1.2; for the share of told
    panels with words 1 from .8, else .5 from .6; for 1 to 15 told panels 1, up to 20 .5. Equal counts are `perfect`,
    else `near` from 3.5, `high` from 2.5, `medium` from 1.5, `low` below. The published tools have two meanings of
    these names; this is the one of the tool that wrote the lists.
    """
    told, found = _told(record), _found(record)
    if told is None:
        return ""
    if told == found:
        return "perfect"
    if not told:
        return "low"
    ratio = found / told
    score = 2.0 if 0.9 <= ratio <= 1.1 else 1.0 if 0.8 <= ratio <= 1.2 else 0.0
    with_words = _facts(record).get("with_words")
    coverage = with_words / told if isinstance(with_words, int) else 0.0
    score += 1.0 if coverage >= 0.8 else 0.5 if coverage >= 0.6 else 0.0
    score += 1.0 if told <= 15 else 0.5 if told <= 20 else 0.0
    return "near" if score >= 3.5 else "high" if score >= 2.5 else "medium" if score >= 1.5 else "low"


def write_list(view: CorpusView, report: AlignedReport, target: Path) -> None:
    """Write the list that training reads: a line for each page that is kept, the path of its DataSpec file.

    Raises:
        InputError: the view is no folder that `data convert --to dataspec` wrote.
    """
    lines = []
    for page in report.aligned:
        file = dataspec.page_file(view.root, *page.rsplit("/", 1))
        if view.format != dataspec.NAME or not file.is_file():
            raise InputError(
                f"a list names DataSpec files, and {file} is not there",
                hint=f"comictool data convert {view.root} SPEC --to dataspec, then data filter SPEC --aligned",
            )
        lines.append(f"{file.resolve()}\n")
    write_text(target, "".join(lines))


def _facts(record: PageRecord) -> dict[str, Any]:
    facts = record.extra.get("alignment")
    return facts if isinstance(facts, dict) else {}


def _told(record: PageRecord) -> int | None:
    told = record.extra.get("text_panels")
    return told if isinstance(told, int) and told >= 0 else None


def _found(record: PageRecord) -> int:
    return sum(panel.score >= FROM_SCORE for panel in record.panels)


def _counts_differ(record: PageRecord) -> str:
    told, found = _told(record), _found(record)
    if told is None:
        return "nothing says how many panels the reader of the texts saw"
    return "" if told == found and found else f"{found} panel boxes, texts of {told} panels"


def _reason(record: PageRecord, confidence: float | None, least: float) -> str:
    numbers = {panel.id: panel for panel in record.panels}
    texts = [text for text in record.texts if text.text or text.box is None]
    if not numbers:
        return "no panels"
    if not texts:
        return "no texts"
    if confidence is not None:
        return "" if confidence >= least else f"{confidence:.0%} of the texts expected on the right panel"
    told = _told(record)
    if told is not None and told != len(numbers):
        return f"{len(numbers)} panel boxes, texts of {told} panels"
    placed = [(text, numbers[text.panel]) for text in texts if text.panel in numbers]
    if len(texts) > len(placed):
        return f"{len(texts) - len(placed)} texts belong to no panel of the page"
    outside = sum(text.box is not None and not _centre_in(text.box, panel.box) for text, panel in placed)
    return f"{outside} texts lie outside their panel" if outside else ""


def _centre_in(box: Box, panel: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return panel[0] <= x < panel[2] and panel[1] <= y < panel[3]
