"""The demo: draw a small comic library, pack it as comic files, index it, ask three questions whose answers are known.

Nothing is needed besides the program: no data, no network, no weights, no GPU. It proves the whole main path on this
machine: a wrong answer is an error, not a remark.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from comictool.core.errors import ComicError, ExitCode
from comictool.core.files import atomic_file
from comictool.core.images import decode
from comictool.core.jobs import JobOptions
from comictool.core.progress import Progress
from comictool.corpus.boxes import iou
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import Box, PageRecord
from comictool.drawn.cbz import pack_cbz
from comictool.drawn.corpus import draw_corpus
from comictool.library.building import LibraryReport, build_library
from comictool.plugins.load import EncoderSpec
from comictool.search.query import Hit, Query, query

PAGES, COMIC_PAGES = 40, 8
MATCH = 0.5  # IoU from which a found panel box is the drawn one, as everywhere in panel detection


class DemoFailed(ComicError):
    """A question got a wrong answer: the installation does not work as it should."""

    exit_code = ExitCode.BUG


@dataclass
class Question:
    """One query of the demo: the picture asked with, the page that must come first, and what came."""

    title: str
    picture: Path
    expected: str
    hits: list[Hit] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether the expected page (or a panel of it) came first."""
        return bool(self.hits) and (self.hits[0].id == self.expected)


class PanelCount(NamedTuple):
    """Panels of a page: how many were found, were drawn, and agree (each drawn one with at most one found one)."""

    found: int
    drawn: int
    right: int

    @property
    def is_right(self) -> bool:
        """Whether every drawn panel was found, and nothing else."""
        return self.found == self.drawn == self.right


@dataclass
class DemoReport:
    """What the demo did and how long each part took, in seconds."""

    folder: Path
    library: Path
    built: LibraryReport
    questions: list[Question]
    panels: dict[str, PanelCount]
    seconds: dict[str, float]

    @property
    def panel_sum(self) -> PanelCount:
        """Over all pages."""
        return PanelCount(*(sum(numbers) for numbers in zip(*self.panels.values(), strict=True)))

    @property
    def page(self) -> Path:
        """The report page."""
        return self.folder / "report.html"

    def facts(self) -> dict[str, Any]:
        """The record that the command prints."""
        return {
            "folder": str(self.folder),
            "report": str(self.page),
            "pages": self.built.summary(self.library)["pages"],
            "panels_drawn": self.panel_sum.drawn,
            "panels_found": self.panel_sum.found,
            "panels_right": self.panel_sum.right,
            "pages_all_right": sum(count.is_right for count in self.panels.values()),
            "right_answers": sum(question.right for question in self.questions),
            "questions": len(self.questions),
            "seconds": round(sum(self.seconds.values()), 1),
        }


def run_demo(folder: Path, *, seed: int, jobs: int = 0, progress: Progress | None = None) -> DemoReport:
    """Draw, pack, index, ask, and write the report page into `folder`.

    Raises:
        DemoFailed: a right answer did not come first.
        Stopped: after a signal; the same call resumes there.
    """
    progress = progress or Progress()
    options = JobOptions(jobs=jobs)
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - began
        return result

    drawn = Corpus.create(folder / "drawn", name="drawn")
    timed(
        "draw",
        lambda: draw_corpus(drawn.root, PAGES, seed=seed, comic_pages=COMIC_PAGES, options=options, progress=progress),
    )
    timed("pack", lambda: pack_cbz(drawn, folder / "comics"))
    library = folder / "library"
    encoder = EncoderSpec("classic")
    built = timed(
        "index", lambda: build_library([folder / "comics"], library, encoder, options=options, progress=progress)
    )
    questions = _questions(drawn, Corpus.open(library), folder / "questions")
    for question in questions:
        began = time.perf_counter()
        level = "panel" if question.expected.count("/") == 2 else "page"
        question.hits = query(library, Query(image=question.picture, k=6, level=level))
        question.seconds = seconds[question.title] = time.perf_counter() - began
    report = DemoReport(folder, library, built, questions, _panel_counts(drawn, Corpus.open(library)), seconds)
    from comictool.library.demo_page import write_demo_page

    write_demo_page(report)
    wrong = [question for question in questions if not question.right]
    if wrong:
        found = wrong[0].hits[0].id if wrong[0].hits else "nothing"
        raise DemoFailed(
            f"{wrong[0].title}: expected {wrong[0].expected} first, found {found}",
            hint=f"comictool doctor, and look at {report.page}",
        )
    return report


def _questions(drawn: Corpus, library: Corpus, folder: Path) -> list[Question]:
    """Three pictures made from known places: a poor copy of a page, a part of another, a panel cut out of a third."""
    stories = [page for page in drawn.all_pages() if page.type == "story" and len(page.panels) >= 2]
    copied, cut, panelled = stories[len(stories) // 4], stories[len(stories) // 2], stories[-2]
    pages = {page.id: page for page in library.all_pages()}
    place = _largest(pages[panelled.id])
    return [
        _question(folder / "poor-copy.jpg", "half the size, badly compressed", drawn, copied, None, 0.5, copied.id),
        _question(folder / "part.jpg", "a part of a page", drawn, cut, _window(cut), 1.0, cut.id),
        _question(
            folder / "panel.jpg",
            "a panel cut out",
            library,
            pages[panelled.id],
            place[1],
            0.7,
            f"{panelled.id}/{place[0]}",
        ),
    ]


def _question(
    picture: Path, title: str, corpus: Corpus, page: PageRecord, box: Box | None, scale: float, expected: str
) -> Question:
    image = decode(corpus.picture(page))
    if box is not None:
        image = image.crop(box)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    with atomic_file(picture) as stream:
        image.save(stream, "JPEG", quality=35)
    return Question(title, picture, expected)


def _window(page: PageRecord) -> Box:
    """Four fifths of each side, away from the middle."""
    width, height = page.width * 4 // 5, page.height * 4 // 5
    left, top = (page.width - width) * 2 // 3, (page.height - height) // 4
    return left, top, left + width, top + height


def _largest(page: PageRecord) -> tuple[int, Box]:
    """Number and box of the page's largest found panel; the whole page when none was found."""
    boxes = [(panel.id, panel.box) for panel in page.panels]
    if not boxes:
        raise DemoFailed(f"no panel was found on {page.id}, which was drawn with several")
    return max(boxes, key=lambda item: (item[1][2] - item[1][0]) * (item[1][3] - item[1][1]))


def _panel_counts(drawn: Corpus, library: Corpus) -> dict[str, PanelCount]:
    """Found and drawn panels by page."""
    found_pages = {page.id: page for page in library.all_pages()}
    counts = {}
    for truth in drawn.all_pages():
        page = found_pages.get(truth.id)
        found = [panel.box for panel in page.panels] if page else []
        left, right = list(found), 0
        for panel in truth.panels:
            best = max(left, key=lambda box: iou(panel.box, box), default=None)
            if best is not None and iou(panel.box, best) >= MATCH:
                left.remove(best)
                right += 1
        counts[truth.id] = PanelCount(len(found), len(truth.panels), right)
    return counts
