"""Panels of a whole corpus: resumable, in parallel, and careful with what a person drew.

One item of the job is a chunk of the pages of one comic, so that a thick book keeps all workers busy and a kill
repeats little. A comic's records are one file, so all its chunks belong to one shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from comictool.core.errors import ComicError, InputError, UsageError
from comictool.core.images import decode_array
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.corpus.boxes import share_inside
from comictool.corpus.corpus import Corpus
from comictool.corpus.panels.detect import SOURCE, detect_panels
from comictool.corpus.records import DIRECTIONS, Character, PageRecord, Panel, Text

LEDGER = "panels"
STAGE = "panels"
CHUNK = 24  # pages; two seconds of work
WITHOUT_PANELS = ("cover", "advertisement", "text", "credits")  # page types that a comic's own metadata may declare
DECLARED = 0.9  # type_confidence from which a page type is taken for declared rather than guessed
INSIDE = 0.3  # share of a character's or text's box that must lie in a panel to belong to it


@dataclass(frozen=True)
class _Task:
    """One page as it travels to a worker; `skipped` pages are not looked at, and those with a `problem` fail."""

    page: int
    image: Path
    direction: str
    skipped: bool
    problem: str = ""


@dataclass(frozen=True)
class _Chunk:
    """Pages of one comic; with a `problem` instead when its records cannot be read."""

    comic: str
    tasks: tuple[_Task, ...]
    problem: str = ""


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
    decoded keeps its record and becomes a problem line, and so does a comic whose records cannot be read.

    Args:
        direction: "ltr", "rtl" or "ttb" for all comics; by default each page's own.
        options, progress: of the job; an item is up to `CHUNK` pages of a comic, while shards and the limit count
            comics.
        keep_drawn: leave pages alone whose panels a person or another tool made.

    Raises:
        UsageError: an unknown direction.
        Stopped: after a signal; the same call goes on from there.
    """
    if direction is not None and direction not in DIRECTIONS:
        raise UsageError(f"direction is {', '.join(DIRECTIONS)}, not {direction!r}")
    options = options or JobOptions()
    index, count = options.shard
    comics = corpus.comics()[index - 1 :: count][: options.limit]
    items, lacking = [], []
    for comic in comics:
        for item, complete in _items(corpus, comic, direction, keep_drawn):
            items.append(item)
            if not complete:
                lacking.append(item.key)
    if not options.dry_run:
        _forget(corpus, lacking, options)

    def commit(item: Item, found: list[_Found]) -> Done:
        return _commit(corpus, item.payload, {entry.page: entry for entry in found})

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
        shared_out=True,
    )


def find_panels(chunk: _Chunk) -> list[_Found]:
    """The worker: decode some pages of one comic and find their panels.

    Raises:
        InputError: the comic's records cannot be read, or not one of the pages can be decoded.
    """
    if chunk.problem:
        raise InputError(chunk.problem)
    found = [_find(task) for task in chunk.tasks if not task.skipped]
    if found and all(entry.problem for entry in found):
        raise InputError(f"no page can be read: {found[0].problem}")
    return found


def _find(task: _Task) -> _Found:
    problem = task.problem
    if not problem:
        try:
            return _Found(task.page, detect_panels(decode_array(task.image), task.direction), task.direction)
        except ComicError as error:
            problem = error.fact
        except OSError as error:
            problem = error.strerror or str(error)
    return _Found(task.page, [], task.direction, f"page {task.page}: {problem}")


def _items(corpus: Corpus, comic: str, direction: str | None, keep_drawn: bool) -> Iterator[tuple[Item, bool]]:
    """The chunks of a comic, each with whether all its records still show that their panels were found."""
    try:
        records = corpus.pages(comic)
    except (ComicError, UnicodeDecodeError, OSError) as error:
        problem = error.fact if isinstance(error, ComicError) else f"the records of {comic} cannot be read: {error}"
        yield Item(comic, "unreadable", _Chunk(comic, (), problem)), True
        return
    for begin in range(0, len(records), CHUNK):
        part = records[begin : begin + CHUNK]
        tasks = tuple(_task(corpus, record, direction, keep_drawn) for record in part)
        complete = all(any(run.get("stage") == STAGE for run in record.runs) for record in part)
        key = f"{comic}/{part[0].page}-{part[-1].page}"
        yield Item(key, _fingerprint(part, tasks), _Chunk(comic, tasks)), complete


def _task(corpus: Corpus, record: PageRecord, direction: str | None, keep_drawn: bool) -> _Task:
    foreign = any(not panel.source.startswith("gutters-") for panel in record.panels)
    declared = record.type in WITHOUT_PANELS and record.type_confidence >= DECLARED
    skipped = (foreign and keep_drawn) or declared
    try:
        image, problem = corpus.image_path(record), ""
    except InputError as error:
        image, problem = Path(), error.fact
    return _Task(record.page, image, direction or record.direction, skipped, problem)


def _fingerprint(records: Sequence[PageRecord], tasks: Sequence[_Task]) -> str:
    """Changes whenever a page picture, its direction or its being skipped does."""
    digest = blake2b(digest_size=12)
    for record, task in zip(records, tasks, strict=True):
        try:
            facts = task.image.stat()
            state = task.problem or f"{facts.st_size} {facts.st_mtime_ns}"
        except OSError:
            state = "missing"
        digest.update(f"{record.page} {record.image} {state} {task.direction} {task.skipped}\n".encode())
    return digest.hexdigest()


def _forget(corpus: Corpus, keys: Sequence[str], options: JobOptions) -> None:
    """Records that were written anew since their panels were found have lost them: do those chunks again."""
    ledger = Ledger(corpus.jobs_folder(), LEDGER, options.shard).load()
    stale = [key for key in keys if key in ledger.entries and ledger.entries[key].status == "done"]
    if stale:
        with ledger.writing():
            for key in stale:
                ledger.forget(key)


def _commit(corpus: Corpus, chunk: _Chunk, found: dict[int, _Found]) -> Done:
    records = corpus.pages(chunk.comic)
    mine = {task.page for task in chunk.tasks}
    problems = [entry.problem for entry in found.values() if entry.problem]
    for record in records:
        entry = found.get(record.page)
        if record.page not in mine:
            continue
        if entry is None:
            record.record_run(STAGE, model=SOURCE, kept=len(record.panels))
        elif entry.problem:
            record.record_run(STAGE, model=SOURCE, problem=entry.problem)
        else:
            record.direction = entry.direction
            record.panels = entry.panels
            _reassign(record)
            record.record_run(STAGE, model=SOURCE, panels=len(entry.panels))
    corpus.write_pages(chunk.comic, records)
    panels = sum(len(entry.panels) for entry in found.values())
    kept = len(mine) - len(found)
    return Done({"pages": len(found), "panels": panels, "kept": kept}, problems)


def _reassign(record: PageRecord) -> None:
    """Point characters and texts at the new panels: the one that holds most of their box."""
    things: list[Character | Text] = [*record.characters, *record.texts]
    for thing in things:
        if thing.box is not None:
            shares = [(share_inside(thing.box, panel.box), panel.id) for panel in record.panels]
            share, number = max(shares, default=(0.0, 0))
            thing.panel = number if share >= INSIDE else None
