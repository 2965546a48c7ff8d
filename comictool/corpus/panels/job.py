"""Panels of a whole corpus, comic by comic: resumable, in parallel, and careful with what a person drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from comictool.core.errors import ComicError, InputError, UsageError
from comictool.core.images import decode_array
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.corpus.corpus import Corpus
from comictool.corpus.panels.detect import SOURCE, detect_panels
from comictool.corpus.records import DIRECTIONS, Box, Character, PageRecord, Panel, Text

LEDGER = "panels"
STAGE = "panels"
WITHOUT_PANELS = ("cover", "advertisement", "text", "credits")  # page types that a comic's own metadata may declare
DECLARED = 0.9  # type_confidence from which a page type is taken for declared rather than guessed
INSIDE = 0.3  # share of a character's or text's box that must lie in a panel to belong to it


@dataclass(frozen=True)
class _Task:
    """One page as it travels to a worker; `skipped` pages are not looked at."""

    page: int
    image: Path
    direction: str
    skipped: bool


@dataclass(frozen=True)
class _Found:
    page: int
    panels: list[Panel]
    direction: str
    problem: str = ""


def detect_corpus(
    corpus: Corpus,
    *,
    direction: str | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
    keep_drawn: bool = True,
) -> JobReport:
    """Find the panels of every page and write them into the page records.

    Pages whose own metadata calls them covers, advertisements, prose or credits get none. A page that cannot be
    decoded keeps its record and becomes a problem line.

    Args:
        direction: "ltr", "rtl" or "ttb" for all comics; by default each page's own.
        options, progress: of the job; one item is one comic.
        keep_drawn: leave pages alone whose panels a person or another tool made.

    Raises:
        UsageError: an unknown direction.
        Stopped: after a signal; the same call goes on from there.
    """
    if direction is not None and direction not in DIRECTIONS:
        raise UsageError(f"direction is {', '.join(DIRECTIONS)}, not {direction!r}")
    options = options or JobOptions()
    items, lacking = [], []
    for comic in corpus.comics():
        records = corpus.pages(comic)
        tasks = [_task(corpus, record, direction, keep_drawn) for record in records]
        items.append(Item(comic, _fingerprint(records, tasks), tasks))
        if any(not any(run.get("stage") == STAGE for run in record.runs) for record in records):
            lacking.append(comic)
    if not options.dry_run:
        _forget(corpus, lacking, options)

    def commit(item: Item, found: list[_Found]) -> Done:
        return _commit(corpus, item.key, {entry.page: entry for entry in found})

    return run_job(
        LEDGER,
        items,
        find_panels,
        commit,
        ledger_folder=corpus.jobs_folder(),
        settings={"detector": SOURCE, "direction": direction, "keep_drawn": keep_drawn},
        options=options,
        workers="processes",
        progress=progress,
    )


def find_panels(tasks: Sequence[_Task]) -> list[_Found]:
    """The worker: decode the pages of one comic and find their panels.

    Raises:
        InputError: not one page of the comic can be decoded.
    """
    found = []
    for task in tasks:
        if task.skipped:
            continue
        try:
            panels = detect_panels(decode_array(task.image), task.direction)
            found.append(_Found(task.page, panels, task.direction))
        except ComicError as error:
            found.append(_Found(task.page, [], task.direction, f"page {task.page}: {error.fact}"))
        except OSError as error:
            found.append(_Found(task.page, [], task.direction, f"page {task.page}: {error.strerror or error}"))
    if found and all(entry.problem for entry in found):
        raise InputError(f"no page can be read: {found[0].problem}")
    return found


def _task(corpus: Corpus, record: PageRecord, direction: str | None, keep_drawn: bool) -> _Task:
    foreign = any(not panel.source.startswith("gutters-") for panel in record.panels)
    declared = record.type in WITHOUT_PANELS and record.type_confidence >= DECLARED
    image = corpus.image_path(record)
    return _Task(record.page, image, direction or record.direction, (foreign and keep_drawn) or declared)


def _fingerprint(records: Sequence[PageRecord], tasks: Sequence[_Task]) -> str:
    """Changes whenever a page picture, its direction or its being skipped does."""
    digest = blake2b(digest_size=12)
    for record, task in zip(records, tasks, strict=True):
        try:
            facts = task.image.stat()
            state = f"{facts.st_size} {facts.st_mtime_ns}"
        except OSError:
            state = "missing"
        digest.update(f"{record.page} {record.image} {state} {task.direction} {task.skipped}\n".encode())
    return digest.hexdigest()


def _forget(corpus: Corpus, comics: Sequence[str], options: JobOptions) -> None:
    """Records that were written anew since their panels were found have lost them: do those comics again."""
    ledger = Ledger(corpus.jobs_folder(), LEDGER, options.shard).load()
    stale = [comic for comic in comics if comic in ledger.entries and ledger.entries[comic].status == "done"]
    if stale:
        with ledger.writing():
            for comic in stale:
                ledger.forget(comic)


def _commit(corpus: Corpus, comic: str, found: dict[int, _Found]) -> Done:
    records = corpus.pages(comic)
    problems = [entry.problem for entry in found.values() if entry.problem]
    for record in records:
        entry = found.get(record.page)
        if entry is None:
            record.record_run(STAGE, model=SOURCE, kept=len(record.panels))
        elif entry.problem:
            record.record_run(STAGE, model=SOURCE, problem=entry.problem)
        else:
            record.direction = entry.direction
            record.panels = entry.panels
            _reassign(record)
            record.record_run(STAGE, model=SOURCE, panels=len(entry.panels))
    corpus.write_pages(comic, records)
    panels = sum(len(entry.panels) for entry in found.values())
    kept = len(records) - len(found)
    return Done({"pages": len(found), "panels": panels, "kept": kept}, problems)


def _reassign(record: PageRecord) -> None:
    """Point characters and texts at the new panels: the one that holds most of their box."""
    things: list[Character | Text] = [*record.characters, *record.texts]
    for thing in things:
        if thing.box is not None:
            shares = [(_share_inside(thing.box, panel.box), panel.id) for panel in record.panels]
            share, number = max(shares, default=(0.0, 0))
            thing.panel = number if share >= INSIDE else None


def _share_inside(box: Box, panel: Box) -> float:
    width = min(box[2], panel[2]) - max(box[0], panel[0])
    height = min(box[3], panel[3]) - max(box[1], panel[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(0, width) * max(0, height) / area if area > 0 else 0.0
