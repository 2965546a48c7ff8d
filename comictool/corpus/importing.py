"""Importing comics: any number of files and folders into the page pictures and page records of a corpus.

A worker opens a comic, checks every page and writes what has to be written into a staging folder inside the corpus.
The main process then moves the files into place and writes the records; the ledger line comes last. Killed at any
point and run again, an import ends with the same corpus: an unfinished comic is simply done again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from comictool.core.errors import ComicError, EnvironmentError_, InputError
from comictool.core.files import write_bytes
from comictool.core.jobs import Done, Item, JobOptions, JobReport, run_job
from comictool.core.ledger import Ledger
from comictool.core.progress import Progress
from comictool.corpus.archives.finding import ComicSource, find_comics
from comictool.corpus.archives.limits import Limits
from comictool.corpus.archives.members import printable
from comictool.corpus.archives.opening import ComicArchive, open_comic
from comictool.corpus.comic_names import fingerprint_of, name_comics, source_id
from comictool.corpus.comicinfo import ComicInfo
from comictool.corpus.corpus import Corpus
from comictool.corpus.page_files import page_file
from comictool.corpus.records import DIRECTIONS, PageRecord

JOB = "data import"
VERSION = 1  # of the rules for what is stored how; a new one imports everything again
MOST_PROBLEMS = 200  # lines kept for one comic; a damaged archive of 5,000 pages says the same 5,000 times


@dataclass(frozen=True)
class ImportTask:
    """What a worker needs for one comic."""

    source: ComicSource
    comic: str
    corpus: Path
    staging: Path
    password: str | None
    limits: Limits
    trust_files: bool  # whether a page that is in the corpus already need not be written again

    @property
    def pictures(self) -> Path:
        """Where the pages of the comic lie in the corpus."""
        return self.corpus / "page_images" / self.comic


@dataclass(frozen=True)
class StagedPage:
    """One good page. `staged` is False when the file in the corpus is the same already."""

    page: int
    file: str
    width: int
    height: int
    digest: str
    member: str
    type: str | None
    staged: bool


@dataclass
class StagedComic:
    """What a worker hands back: small facts, while the pictures wait in the staging folder."""

    kind: str
    info: ComicInfo | None
    member_count: int
    pages: list[StagedPage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


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
        _clear_up(corpus, staging, options)
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
            _stage,
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


def _clear_up(corpus: Corpus, staging: Path, options: JobOptions) -> None:
    """Remove what a killed import left behind, and forget finished comics whose records are gone."""
    ledger = Ledger(corpus.jobs_folder(), JOB, options.shard)
    with ledger.writing():  # nobody else works on this shard
        if staging.is_dir():
            shutil.rmtree(staging)
        present = set(corpus.comics())
        for key, entry in list(ledger.entries.items()):
            if entry.status == "done" and key not in present:
                ledger.forget(key)


def _stage(task: ImportTask) -> StagedComic:
    """Runs in a worker: check all pages of a comic and put the new ones into the staging folder."""
    if task.staging.is_dir():
        shutil.rmtree(task.staging)  # this very item was begun before, by a worker that died
    try:
        return _staged(task)
    except EnvironmentError_:
        raise
    except ComicError as error:
        shutil.rmtree(task.staging, ignore_errors=True)
        raise InputError(f"{task.source.path}: {error.fact}", cause=error.cause, hint=error.hint) from error


def _staged(task: ImportTask) -> StagedComic:
    path = task.source.path
    before = _digests(task) if task.trust_files else {}
    with open_comic(
        path, task.password, nested=task.source.nested, scratch=task.staging / "unpacked", limits=task.limits
    ) as comic:
        result = StagedComic(comic.kind, comic.comic_info, len(comic.members))
        result.problems.extend(f"{path}: {line}" for line in comic.problems)
        types = comic.comic_info.page_types if comic.comic_info else {}
        reasons: list[tuple[str, str]] = []  # member, why
        for index in range(len(comic.members)):
            try:
                page, note = _staged_page(task, comic, index, types.get(index), before)
            except InputError as error:
                reasons.append((printable(comic.members[index].name), error.fact))
                result.problems.append(f"{path}!{': '.join(reasons[-1])}")
                continue
            if note:
                result.problems.append(f"{path}!{printable(page.member)}: {note}")
            result.pages.append(page)
    if not result.pages:
        raise InputError(_nothing_readable(reasons))
    if len(result.problems) > MOST_PROBLEMS:
        more = len(result.problems) - MOST_PROBLEMS
        result.problems = [*result.problems[:MOST_PROBLEMS], f"{path}: and {more} more problems like these"]
    return result


def _staged_page(
    task: ImportTask, comic: ComicArchive, index: int, kind: str | None, before: dict[str, str]
) -> tuple[StagedPage, str]:
    member = comic.members[index]
    stored = page_file(comic.read(member))
    # The number is the place among all pages, so a bad page leaves a hole and the others keep their names.
    number = index + 1
    name = f"page-{number}.{stored.ending}"
    digest = _digest(stored.data)
    # The file itself is asked as well: an import that was killed may have left another picture under the old record.
    fresh = before.get(name) != digest or _digest((task.pictures / name).read_bytes()) != digest
    if fresh:
        write_bytes(task.staging / name, stored.data)
    page = StagedPage(number, name, stored.width, stored.height, digest, printable(member.name), kind, fresh)
    return page, stored.note


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _nothing_readable(reasons: list[tuple[str, str]]) -> str:
    if len(reasons) == 1:
        return f"its only page cannot be read ({': '.join(reasons[0])})"
    if len({why for _, why in reasons}) == 1:
        return f"none of its {len(reasons)} pages can be read ({reasons[0][1]})"
    return f"none of its {len(reasons)} pages can be read (first {': '.join(reasons[0])})"


def _digests(task: ImportTask) -> dict[str, str]:
    """File name to digest of the pages that are in the corpus already, as their records say."""
    corpus = Corpus.open(task.corpus)
    try:
        records = corpus.pages(task.comic)
    except InputError:
        return {}  # not imported yet, or its records are damaged: then all is written anew
    out = {}
    for record in records:
        name = Path(record.image).name
        if (task.pictures / name).is_file():
            out[name] = str(record.extra.get("digest", ""))
    return out


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
    _sweep_partial(corpus.root / "annotations" / "comics" / f"{comic}.json")
    _sweep_partial(corpus.root / "annotations" / "pages" / f"{comic}.jsonl")
    shutil.rmtree(task.staging, ignore_errors=True)
    summary = {
        "pages": len(result.pages),
        "bad_pages": result.member_count - len(result.pages),
        "new_pages": sum(page.staged for page in result.pages),
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


def _sweep_partial(target: Path) -> None:
    """Remove temporary files that a killed import left beside a file (their names begin as `atomic_file` does)."""
    for file in target.parent.glob("*.partial"):
        if file.name.startswith(f".{target.name[:40]}."):
            file.unlink(missing_ok=True)
