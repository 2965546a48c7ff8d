"""Panels of a whole corpus: the detector over every page, through the job engine.

An item is a run of neighbouring pages of one comic, so that a kill costs seconds and one thick book still keeps all
workers busy.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from comictool.core.errors import ComicError
from comictool.core.images import decode_array
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.progress import Progress
from comictool.corpus.corpus import Corpus
from comictool.corpus.panels.detect import SOURCE, detect_panels
from comictool.corpus.records import PageRecord, Panel

JOB = "data panels"
STAGE = "panels"
CHUNK_PAGES = 16  # two or three seconds of one worker


@dataclass(frozen=True)
class PanelTask:
    """Some pages of one comic: number, picture, reading direction; `reason` when the records cannot be read."""

    pages: tuple[tuple[int, Path, str], ...]
    reason: str = ""


@dataclass(frozen=True)
class FoundPanels:
    """The panels of one page, or why there are none."""

    page: int
    panels: list[Panel]
    problem: str = ""


def detect_corpus(
    corpus: Corpus,
    *,
    direction: str | None = None,
    replace: bool = False,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Find the panels of every page and write them into the page records.

    Args:
        direction: for the reading order; by default what each page's record says.
        replace: also replace panels that did not come from this detector (drawn by hand, read from another format).

    Returns:
        The report of the job; totals count `pages` and `panels`. Pages that cannot be decoded are
        problems in it, and keep what they had.
    """

    def commit(item: Item, found: list[FoundPanels]) -> Done:
        return _write(corpus, item.key.rsplit("/", 1)[0], found, direction)

    return run_job(
        JOB, _items(corpus, direction, replace), detect_pages, commit,
        ledger_folder=corpus.jobs_folder(), settings={"detector": SOURCE, "direction": direction, "replace": replace},
        options=options, workers="processes", progress=progress,
    )  # fmt: skip


def detect_pages(task: PanelTask) -> list[FoundPanels]:
    """The panels of some pages; runs in a worker."""
    if task.reason:
        raise ComicError(task.reason)
    found = []
    for number, picture, direction in task.pages:
        try:
            found.append(FoundPanels(number, detect_panels(decode_array(picture), direction)))
        except ComicError as error:
            found.append(FoundPanels(number, [], f"page {number}: {error.fact}"))
    return found


def _items(corpus: Corpus, direction: str | None, replace: bool) -> list[Item]:
    items = []
    for comic in corpus.comics():
        try:
            pages = [page for page in corpus.pages(comic) if replace or _is_ours(page)]
        except ComicError as error:
            items.append(Item(f"{comic}/", error.fact, PanelTask((), error.fact)))
            continue
        for start in range(0, len(pages), CHUNK_PAGES):
            chunk = pages[start : start + CHUNK_PAGES]
            task = PanelTask(tuple((p.page, _picture(corpus, p), direction or p.direction) for p in chunk))
            items.append(Item(f"{comic}/{chunk[0].page}-{chunk[-1].page}", _fingerprint(task), task))
    return items


def _is_ours(page: PageRecord) -> bool:
    """Whether the page has no panels of anybody else: none at all, or this detector's (of any version)."""
    others = [panel for panel in page.panels if panel.source.split("-")[0] != SOURCE.split("-")[0]]
    drawn = any(run.get("stage") == "draw" for run in page.runs)  # a drawn page without panels has truly none
    return not others and not drawn


def _picture(corpus: Corpus, page: PageRecord) -> Path:
    try:
        return corpus.image_path(page)
    except ComicError:
        return Path()  # a record that points outside: reading it fails as a page that is not there


def _fingerprint(task: PanelTask) -> str:
    digest = blake2b(digest_size=16)
    for number, picture, direction in task.pages:
        try:
            state = picture.stat()
            digest.update(f"{number}:{picture.name}:{state.st_size}:{state.st_mtime_ns}:{direction};".encode())
        except OSError:
            digest.update(f"{number}:missing;".encode())
    return digest.hexdigest()


def _write(corpus: Corpus, comic: str, found: list[FoundPanels], direction: str | None) -> Done:
    pages = {page.page: page for page in corpus.pages(comic)}
    counts = {"pages": 0, "panels": 0}
    problems = []
    for result in found:
        page = pages.get(result.page)
        if result.problem or page is None:
            problems.append(result.problem or f"page {result.page} left the corpus meanwhile")
            continue
        page.panels = result.panels
        if direction is not None:
            page.direction = direction
        page.record_run(STAGE, model=SOURCE, direction=page.direction)
        counts["pages"] += 1
        counts["panels"] += len(result.panels)
    corpus.write_pages(comic, pages.values())
    return Done(dict(counts), problems)
