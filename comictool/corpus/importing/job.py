"""Importing comics: any number of files and folders into the page pictures and page records of a corpus.

A worker opens a comic, checks every page and writes what has to be written into a staging folder inside the corpus.
The main process then moves the files into place and writes the records; the ledger line comes last. Killed at any
point and run again, an import ends with the same corpus: an unfinished comic is simply done again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from comictool.archives.finding import ComicSource, find_comics
from comictool.archives.limits import Limits
from comictool.core.errors import InputError
from comictool.core.files import remove_left
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.comic_names import name_comics
from comictool.corpus.importing.following import (
    CONTENT,
    SIZE,
    SOURCE,
    STATE,
    Facts,
    fingerprints,
    forget_comics,
    gone_comics,
    known_facts,
    moved_comics,
    source_id,
)
from comictool.corpus.importing.kept_pictures import give_times_back, pictures_are_sound, pictures_state, times_of
from comictool.corpus.importing.options import ImportOptions
from comictool.corpus.importing.staging import ImportTask, StagedComic, StagedPage, stage_comic
from comictool.corpus.importing.strips import is_strip
from comictool.corpus.page_pictures import BY_COPY, BY_REFERENCE, KEPT
from comictool.corpus.records import DIRECTION_BY, DIRECTIONS, PageRecord

JOB = "data import"
PICTURES, TIMES = "pictures", "times"  # in the ledger: what tells that nobody touched them since
VERSION = 3  # of the rules for what is stored how; a new one imports everything again


def import_comics(
    paths: Sequence[Path],
    corpus: Corpus,
    chosen: ImportOptions | None = None,
    *,
    options: JobOptions | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> JobReport:
    """Import all comics that the paths name or hold; one item of the job is one comic.

    Returns:
        The report of the job, keyed by the names of the comics. A comic with some bad pages is done, with problems;
        one without a single good page has failed. Its `changes` say which were `added`, `changed`, `moved` and are
        `gone`.

    Raises:
        InputError: a path does not exist, nothing that looks like a comic was found, or another process imports.
        Stopped: a signal came; what was finished is saved.
    """
    chosen, options = chosen or ImportOptions(), options or JobOptions()
    keep = chosen.keep or corpus.keep
    sources = find_comics(paths)
    if not sources:
        raise InputError(f"no comics in {', '.join(map(str, paths)) or 'no paths at all'}")
    # From here on what the corpus knows is read, changed and written back: a second process that follows is refused.
    follow = Ledger(corpus.jobs_folder(), "following", options.shard)
    with nullcontext() if options.dry_run else follow.writing():
        return _follow(paths, sources, corpus, chosen, keep, options, progress, limits or Limits())


def _follow(
    paths: Sequence[Path],
    sources: Sequence[ComicSource],
    corpus: Corpus,
    chosen: ImportOptions,
    keep: str,
    options: JobOptions,
    progress: Progress | None,
    limits: Limits,
) -> JobReport:
    known = known_facts(corpus)
    moved = moved_comics(sources, known)
    names = name_comics(sources, corpus, known, moved)
    if not options.dry_run:
        corpus.set_keep(keep)
        _take_over(corpus, known, moved)
    by_name = dict(zip(names, sources, strict=True))
    states = fingerprints(by_name, known, None if options.dry_run else corpus)
    staging = corpus.jobs_folder() / f"staging-{options.shard[0]}-of-{options.shard[1]}"
    items = []
    for name, source in zip(names, sources, strict=True):
        task = ImportTask(
            source,
            name,
            corpus.root,
            staging / name,
            chosen.password,
            limits,
            options.resume != "never",
            chosen.text_books,
            keep == BY_REFERENCE,
        )
        items.append(Item(name, states[name], task))
    changes: dict[str, list[str]] = {"added": [], "changed": [], "moved": sorted(moved.values()), "gone": []}
    settings = {"version": VERSION, "direction": chosen.direction}

    def commit(item: Item, result: StagedComic) -> Done:
        before = known.get(item.key)
        if before is None or not corpus.records_file(item.key).is_file():
            changes["added"].append(item.key)
        elif before.get(CONTENT) not in (None, result.content):
            changes["changed"].append(item.key)
        return _commit(corpus, item.payload, result, chosen.direction, before or {}, item.fingerprint)

    report = run_job(
        JOB,
        items,
        stage_comic,
        commit,
        ledger_folder=corpus.jobs_folder(),
        settings=settings if keep == BY_COPY else {**settings, KEPT: keep},
        options=options,
        progress=progress,
        present=lambda item, summary: _still_there(corpus, item.key, summary, may_write=not options.dry_run),
        within=_cleared(staging),
    )
    changes["gone"] = [name for name in gone_comics(sources, paths, known_facts(corpus)) if name not in by_name]
    if chosen.prune and not options.dry_run:
        forget_comics(corpus, changes["gone"])
    report.changes = changes
    return report


def _take_over(corpus: Corpus, known: dict[str, Facts], moved: dict[str, str]) -> None:
    """Write down where comics are now that were moved."""
    for place, name in moved.items():
        known[name] = {**known[name], SOURCE: place}
        corpus.write_comic_facts(name, known[name])


@contextmanager
def _cleared(staging: Path) -> Iterator[None]:
    """Within it the staging folder holds only what this run puts there; a killed import leaves its own behind."""
    if staging.is_dir():
        shutil.rmtree(staging)
    try:
        yield
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _still_there(corpus: Corpus, comic: str, summary: dict[str, Any], *, may_write: bool) -> bool:
    """Whether the records and pictures of a finished comic are what was imported.

    Pictures are looked at without being read. Only where names, sizes or times of change are not those after the
    import are contents compared with the records, once; pictures that were only copied get their times back.
    """
    if not corpus.records_file(comic).is_file():
        return False
    folder = corpus.root / "page_images" / comic
    if summary.get(PICTURES) != pictures_state(folder):
        if not pictures_are_sound(corpus, comic):
            return False
        if may_write:
            give_times_back(folder, summary.get(TIMES))
        summary[PICTURES] = pictures_state(folder)
    return True


def _commit(
    corpus: Corpus, task: ImportTask, result: StagedComic, direction: str | None, before: Facts, state: str
) -> Done:
    """Move the pictures of one comic into place and write its records; the caller writes the ledger line after."""
    comic = task.comic
    reading, by = _reading(corpus, result, direction, before)
    earlier = _earlier_records(corpus, comic)
    records = [_record(comic, page, reading, _same_picture(page, earlier)) for page in result.pages]
    # Facts first: they bind the name to the source, whatever happens next.
    corpus.write_comic_facts(comic, _facts(task, result, reading, by, state))
    folder = task.pictures
    current = {page.file for page in result.pages if not page.referred}
    if current:
        folder.mkdir(parents=True, exist_ok=True)
    for page in result.pages:
        if page.staged:
            (task.staging / page.file).replace(folder / page.file)
    corpus.write_pages(comic, records)
    # Only now does no record name the stale pictures any more.
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.name not in current and file.is_file():
            file.unlink()
    remove_left(corpus.root / "annotations" / "comics" / f"{comic}.json")
    remove_left(corpus.root / "annotations" / "pages" / f"{comic}.jsonl")
    shutil.rmtree(task.staging, ignore_errors=True)
    summary = {
        "pages": len(result.pages),
        "bad_pages": result.member_count - len(result.pages),
        "new_pages": sum(page.staged for page in result.pages),
        **({"pages_by_reference": len(result.pages) - len(current)} if task.by_reference else {}),
        **({"comics_by_copy": 1} if task.by_reference and not result.singly else {}),
        PICTURES: pictures_state(folder),
        TIMES: times_of(folder),
    }
    return Done(summary, [Problem(comic, line) for line in result.problems])


def _reading(corpus: Corpus, result: StagedComic, asked: str | None, before: Facts) -> tuple[str, str]:
    """The direction in which a comic is read, and who says so; `default` when nobody does."""
    if asked:
        return asked, "told"
    if result.info and result.info.direction:
        return result.info.direction, "comic"
    if is_strip(result.pages):
        return "ttb", "shape"
    if before.get(DIRECTION_BY) == "words" and before.get("direction") in DIRECTIONS:
        return before["direction"], "words"
    return corpus.direction, "default"


def _earlier_records(corpus: Corpus, comic: str) -> dict[str, dict[int, PageRecord]]:
    """Records of the comic as it was, by digest of the picture and page number."""
    try:
        records = corpus.pages(comic)
    except InputError:
        return {}
    out: dict[str, dict[int, PageRecord]] = {}
    for record in records:
        out.setdefault(str(record.extra.get("digest", "")), {})[record.page] = record
    return out


def _same_picture(page: StagedPage, earlier: dict[str, dict[int, PageRecord]]) -> PageRecord | None:
    """The earlier record of the same picture, best of the same page number; pages move when one is put in."""
    records = earlier.get(page.digest)
    if not records:
        return None
    record = records.get(page.page) or records[min(records)]
    return replace(record, page=page.page, extra=dict(record.extra))


def _record(comic: str, page: StagedPage, direction: str, earlier: PageRecord | None) -> PageRecord:
    """The record of a page. One whose picture has not changed keeps all that was found out about it."""
    record = earlier or PageRecord(comic, page.page, "", page.width, page.height)
    record.image = f"page_images/{comic}/{page.file}"
    record.direction = direction
    if page.type is not None:
        record.type, record.type_confidence = page.type, 1.0
    record.extra["digest"] = page.digest
    record.extra["member"] = page.member
    record.extra.pop(KEPT, None)
    if page.referred:
        record.extra[KEPT] = BY_REFERENCE
    return record


def _facts(task: ImportTask, result: StagedComic, direction: str, by: str, state: str) -> Facts:
    facts: dict[str, Any] = dict(result.info.facts) if result.info else {}
    facts.setdefault("title", task.source.name)
    return {
        **facts,
        "direction": direction,
        DIRECTION_BY: by,
        SOURCE: source_id(task.source),
        STATE: state,
        CONTENT: result.content,
        SIZE: result.size,
        **({} if task.source.nested else {"nested": False}),
        "kind": result.kind,
        "page_count": result.member_count,
        "problems": result.problems,
    }
