"""The demo's report page: what was drawn, found and asked, in one self-contained HTML file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from comictool.core.files import write_text
from comictool.corpus.corpus import Corpus
from comictool.library.building import example_queries
from comictool.library.sheets import hit_tile
from comictool.report.page import escape, html_page
from comictool.report.sheet import STYLE, Tile, sheet_section

if TYPE_CHECKING:
    from comictool.library.demo import DemoReport, Question

SIDE = 300  # thumbnails; some forty of them keep the page under 3 MB
PAGES_SHOWN = 12
# A fact's name stands over its value where a telephone has no room for both.
FACTS_STYLE = """
.facts th { font-weight: 600; white-space: nowrap; }
@media (max-width: 600px) {
  .facts tr, .facts th, .facts td { display: block; border: 0; padding: 0; }
  .facts tr { border-bottom: 1px solid var(--line); padding: .35rem 0; }
  .facts th { color: var(--quiet); font-size: .85rem; } }
"""
HARD = (
    "Some pages are drawn to be hard: panels without frames, over the edge of the page, or over each other. "
    "These are the ones on which the detector, which needs no weights, goes wrong."
)
INTRODUCTION = (
    "These comics were drawn by the program, packed as CBZ files, and read back like anybody's. Nothing was downloaded."
)


def write_demo_page(report: DemoReport) -> None:
    """Write the page to `report.page`."""
    parts = [
        "<h1>comictool demo</h1>\n",
        f"<p>{INTRODUCTION}</p>\n",
        _facts(report),
        *(_question(number, question) for number, question in enumerate(report.questions, start=1)),
        "<h2>Some of the pages, with the panels that were found</h2>\n",
        _pages(report, list(report.panels)),
        *_missed(report),
        "<h2>Try next</h2>\n<pre>",
        escape("\n".join("comictool " + shlex.join(query) for query in example_queries(report.library))),
        "</pre>\n",
    ]
    write_text(report.page, html_page("comictool demo", "".join(parts), STYLE + FACTS_STYLE))


def _facts(report: DemoReport) -> str:
    summary, facts, panels = report.built.summary(report.library), report.facts(), report.panel_sum
    right = sum(question.right for question in report.questions)
    rows = [
        ("comics, pages", f"{summary['comics']}, {summary['pages']}"),
        ("panels", f"{panels.drawn} drawn, {panels.found} found, {panels.right} of them right"),
        ("pages with all panels right", f"{facts['pages_all_right']} of {facts['pages']}"),
        ("questions", f"{right} of {len(report.questions)} answered rightly in the first place"),
        ("time", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.seconds.items())),
    ]
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>\n" for name, value in rows)
    return f"<table class=facts>\n{cells}</table>\n"


def _question(number: int, question: Question) -> str:
    verdict = "right" if question.right else f"WRONG: expected {question.expected}"
    tiles = [hit_tile(hit) for hit in question.hits]
    markup, _ = sheet_section(
        tiles,
        query=Tile(question.picture, id=question.title),
        notes=[f"Expected first: {question.expected}. {verdict}, in {question.seconds:.2f} s."],
        side=SIDE,
        name=f"q{number}-",
    )
    return f"<h2>Question {number}: {escape(question.title)}</h2>\n{markup}"


def _missed(report: DemoReport) -> list[str]:
    """The pages on which the panels are not as they were drawn, those first that lack most."""
    wrong = {id: count for id, count in report.panels.items() if not count.is_right}
    if not wrong:
        return []
    worst = sorted(wrong, key=lambda id: wrong[id].right - wrong[id].drawn)
    return [
        f"<h2>Panels not as they were drawn: {len(wrong)} pages</h2>\n",
        f'<p class="quiet">{HARD}</p>\n',
        _pages(report, worst[:PAGES_SHOWN], name="wrong-"),
    ]


def _pages(report: DemoReport, ids: Sequence[str], name: str = "page-") -> str:
    library = Corpus.open(report.library)
    pages = {page.id: page for page in library.all_pages()}
    step = max(1, len(ids) // PAGES_SHOWN)
    tiles = []
    for id in [id for id in ids if id in pages][::step][:PAGES_SHOWN]:
        page, count = pages[id], report.panels[id]
        told = f"panels: {count.drawn} drawn, {count.found} found, {count.right} right"
        boxes = [panel.box for panel in page.panels]
        tiles.append(Tile(library.picture(page), id=page.id, lines=[page.type, told], outlines=boxes))
    return sheet_section(tiles, side=SIDE, name=name)[0]
