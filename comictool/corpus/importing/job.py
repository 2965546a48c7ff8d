"""Importing comics: any number of files and folders into the page pictures and page records of a corpus.

A worker opens a comic, checks every page and writes what has to be written into a staging folder inside the corpus.
The main process then moves the files into place and writes the records; the ledger line comes last. Killed at any
point and run again, an import ends with the same corpus: an unfinished comic is simply done again.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.corpus.archives.finding import ComicSource, find_comics
from comictool.corpus.archives.limits import Limits
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.comic_names import fingerprint_of, name_comics, source_id
from comictool.corpus.importing.kept_pictures import pictures_are_sound, pictures_state
from comictool.corpus.importing.staging import ImportTask, StagedComic, StagedPage, stage_comic
from comictool.corpus.journal import remove_left
from comictool.corpus.records import DIRECTIONS, PageRecord

JOB = "data import"
STATE = "pictures"  # in the ledger: what tells that nobody touched them since
VERSION = 1  # of the rules for what is stored how; a new one imports everything again


def import_comics(
    paths: Sequence[Path],
    corpus: Corpus,
    *,
    direction: str | None = None,
    options: JobOptions | None = None,
    progress: Progress | None = None,
    password: str | None = None,
    limits: Limits | None = None,
) -> JobReport:
    """Import all comics that the paths name or hold; one item of the job is one comic.

    Args:
        direction: `ltr`, `rtl` or `ttb` for all of them; without it each comic's own description decides, and the
            default of the corpus where that says nothing.
        password: for encrypted zip, 7z and pdf files.

    Returns:
        The report of the job, keyed by the names of the comics. A comic with some bad pages is done, with problems;
        one without a single good page has failed.

    Raises:
        InputError: a path does not exist, or nothing that looks like a comic was found.
        Stopped: a signal came; what was finished is saved.
    """
    options = options or JobOptions()
    if direction is not None and direction not in DIRECTIONS:
        raise InputError(f"direction {direction!r} is none of {', '.join(DIRECTIONS)}")
    sources = find_comics(paths)
    if not sources:
        raise InputError(f"no comics in {', '.join(map(str, paths)) or 'no paths at all'}")
    names = name_comics(sources, corpus)
    staging = corpus.jobs_folder() / f"staging-{options.shard[0]}-of-{options.shard[1]}"
    if not options.dry_run:
        mine = names[options.shard[0] - 1 :: options.shard[1]][: options.limit]
        _clear_up(corpus, staging, options, mine)
    items = []
    for name, source in zip(names, sources, strict=True):
        task = ImportTask(
            source, name, corpus.root, staging / name, password, limits or Limits(), options.resume != "never"
        )
        items.append(Item(name, _fingerprint(source), task))

    def commit(item: Item, result: StagedComic) -> Done:
        return _commit(corpus, item.payload, result, direction)

    try:
        return run_job(
            JOB,
            items,
            stage_comic,
            commit,
            ledger_folder=corpus.jobs_folder(),
            settings={"version": VERSION, "direction": direction},
            options=options,
            progress=progress,
        )
    finally:
        if staging.is_dir():
            shutil.rmtree(staging, ignore_errors=True)


def _fingerprint(source: ComicSource) -> str:
    try:
        return fingerprint_of(source.path, nested=source.nested)
    except OSError as error:
        return f"unreadable: {error.strerror}"  # the worker will report it; the item never counts as finished


def _clear_up(corpus: Corpus, staging: Path, options: JobOptions, mine: Sequence[str]) -> None:
    """Remove what a killed import left behind, and forget finished comics whose records or pictures are gone.

    Pictures of the comics at hand are looked at without being read: only where names, sizes or times of change are
    not those after the import are contents compared with the records, once.
    """
    ledger = Ledger(corpus.jobs_folder(), JOB, options.shard)
    with ledger.writing():  # nobody else works on this shard
        if staging.is_dir():
            shutil.rmtree(staging)
        present = set(corpus.comics())
        for key, entry in list(ledger.entries.items()):
            if entry.status == "done" and key not in present:
                ledger.forget(key)
        for comic in mine:
            known = ledger.entries.get(comic)
            if known is None or known.status != "done" or options.resume == "never":
                continue
            state = pictures_state(corpus.root / "page_images" / comic)
            if known.summary.get(STATE) == state:
                continue
            if pictures_are_sound(corpus, comic):
                ledger.append(replace(known, summary={**known.summary, STATE: state}))
            else:
                ledger.forget(comic)


def _commit(corpus: Corpus, task: ImportTask, result: StagedComic, direction: str | None) -> Done:
    """Move the pictures of one comic into place and write its records; the caller writes the ledger line after."""
    comic = task.comic
    said = result.info.direction if result.info else None
    reading = direction or said or corpus.direction
    earlier = _earlier_records(corpus, comic)
    records = [_record(comic, page, reading, _same_picture(page, earlier)) for page in result.pages]
    # Facts first: they bind the name to the source, whatever happens next.
    corpus.write_comic_facts(comic, _facts(task, result, reading))
    folder = task.pictures
    folder.mkdir(parents=True, exist_ok=True)
    for page in result.pages:
        if page.staged:
            (task.staging / page.file).replace(folder / page.file)
    corpus.write_pages(comic, records)
    # Only now does no record name the stale pictures any more.
    current = {page.file for page in result.pages}
    for file in folder.iterdir():
        if file.name not in current and file.is_file():
            file.unlink()
    remove_left(corpus.root / "annotations" / "comics" / f"{comic}.json")
    remove_left(corpus.root / "annotations" / "pages" / f"{comic}.jsonl")
    shutil.rmtree(task.staging, ignore_errors=True)
    summary = {
        "pages": len(result.pages),
        "bad_pages": result.member_count - len(result.pages),
        "new_pages": sum(page.staged for page in result.pages),
        STATE: pictures_state(folder),
    }
    return Done(summary, result.problems)


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
    return record


def _facts(task: ImportTask, result: StagedComic, direction: str) -> dict[str, Any]:
    facts: dict[str, Any] = dict(result.info.facts()) if result.info else {}
    facts.setdefault("title", task.source.name)
    return {
        **facts,
        "direction": direction,
        "source": source_id(task.source),
        "kind": result.kind,
        "page_count": result.member_count,
        "problems": result.problems,
    }
