"""Pages whose panels and texts agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from comictool.corpus.records import Box
from comictool.corpus.views import CorpusView


@dataclass
class AlignedReport:
    """Pages (`comic/page`) whose panels and texts agree, and why each other page does not."""

    aligned: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)


def aligned_pages(view: CorpusView, comics: Iterable[str] | None = None) -> AlignedReport:
    """Pages where the panel boxes and the texts of panels agree.

    The published rule compares only two counts: panels found by the detector, and panels that the reader of the texts
    saw. Here a page is aligned when those agree (a record that says neither is judged by its panels alone), every text
    belongs to a panel of the page, and the centre of a text's box lies in its panel.
    """
    report = AlignedReport()
    for comic in view.comics() if comics is None else comics:
        for record in view.pages(comic):
            numbers = {panel.id: panel for panel in record.panels}
            counted = record.extra.get("text_panels")
            reason = ""
            if not numbers:
                reason = "no panels"
            elif isinstance(counted, int) and counted != len(numbers):
                reason = f"{len(numbers)} panel boxes, texts of {counted} panels"
            elif not record.texts:
                reason = "no texts"
            else:
                placed = [(text, numbers[text.panel]) for text in record.texts if text.panel in numbers]
                stray = len(record.texts) - len(placed)
                outside = sum(text.box is not None and not _centre_in(text.box, panel.box) for text, panel in placed)
                if stray:
                    reason = f"{stray} texts belong to no panel of the page"
                elif outside:
                    reason = f"{outside} texts lie outside their panel"
            if reason:
                report.others[record.id] = reason
            else:
                report.aligned.append(record.id)
    return report


def _centre_in(box: Box, panel: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return panel[0] <= x < panel[2] and panel[1] <= y < panel[3]
