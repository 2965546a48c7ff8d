"""The demo's report page: what was drawn, found and asked, in one self-contained HTML file."""

from __future__ import annotations

import shlex
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
        _pages(report),
        "<h2>Try next</h2>\n<pre>",
        escape("\n".join("comictool " + shlex.join(query) for query in example_queries(report.library))),
        "</pre>\n",
    ]
    write_text(report.page, html_page("comictool demo", "".join(parts), STYLE))


def _facts(report: DemoReport) -> str:
    summary = report.built.summary(report.library)
    right = sum(question.right for question in report.questions)
    rows = [
        ("comics, pages", f"{summary['comics']}, {summary['pages']}"),
        ("panels", f"{report.panels_drawn} drawn, {report.panels_found} found, {report.panels_right} of them right"),
        ("questions", f"{right} of {len(report.questions)} answered rightly in the first place"),
        ("time", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.seconds.items())),
    ]
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>\n" for name, value in rows)
    return f"<table>\n{cells}</table>\n"


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


def _pages(report: DemoReport) -> str:
    library = Corpus.open(report.library)
    pages = list(library.all_pages())
    step = max(1, len(pages) // PAGES_SHOWN)
    tiles = []
    for page in pages[::step][:PAGES_SHOWN]:
        found = f"{len(page.panels)} panels" if page.panels else "no panels"
        facts = f"{page.type}, {found}, {page.direction}"
        boxes = [panel.box for panel in page.panels]
        tiles.append(Tile(library.picture(page), id=page.id, lines=[facts], outlines=boxes))
    return sheet_section(tiles, side=SIDE, name="page-")[0]
