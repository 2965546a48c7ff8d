"""Checking a corpus: what is missing, wrong, dangling or left over, as a list of findings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from comictool.archives.members import is_page
from comictool.core.errors import ComicError, InputError
from comictool.core.files import TEMPORARY_SUFFIX
from comictool.core.jobs import Problem
from comictool.core.ledger import Ledger
from comictool.core.names import natural_key
from comictool.core.progress import Progress
from comictool.core.workers import cores, in_order
from comictool.corpus.corpus import Corpus
from comictool.corpus.journal import journal_file
from comictool.corpus.views import CorpusView
from comictool.datasets.exporting.characters import FOLDERS, job_name
from comictool.datasets.exporting.export import SOURCE, crops_source
from comictool.datasets.exporting.panels import JOB as PANELS
from comictool.datasets.splitting.folders import MANIFEST, read_manifest
from comictool.datasets.verifying.checking_pages import Finding, check_pages
from comictool.datasets.verifying.native_records import read_native_records
from comictool.formats.values import list_of

EXPORTS = (PANELS, *map(job_name, FOLDERS))
JOBS = ".jobs"  # ledgers and staging of the job engine; a running job may be at work there


@dataclass(frozen=True)
class _Comic:
    """One comic checked: its findings, the pictures that its records name, and how many pages it has."""

    findings: list[Finding]
    pictures: set[Path]
    pages: set[int]


def verify(
    corpus: CorpusView, *, decode: bool = False, jobs: int = 1, progress: Progress | None = None
) -> list[Finding]:
    """Check everything that can be checked without knowing where a corpus came from.

    Kinds of findings: `record` (unreadable, or under another comic's name), `problem` (what the reader of another
    format could not make sense of), `picture` (missing or unreadable), `size`, `box`, `duplicate`, `dangling`,
    `numbering`, `count`, `stray`, `stale`, `unfinished`.

    Args:
        corpus: a corpus or a view of one.
        decode: decode every picture whole; else only headers are read, which does not notice files that are cut off.
        jobs: threads; 0 is one for each core.
        progress: advanced by every comic.

    Returns:
        Findings, by comic in natural order, then those about the folder. The same corpus gives the same list.
    """
    progress = progress or Progress()
    comics = corpus.comics()
    findings: list[Finding] = []
    pictures: set[Path] = set()
    pages: dict[str, set[int]] = {}

    def work(comic: str) -> _Comic:
        return _check_comic(corpus, comic, decode)

    progress.start("verify", len(comics))
    try:
        checked = in_order(work, comics, kind="threads", jobs=jobs or cores())
        for comic, (result, error) in zip(comics, checked, strict=True):
            if error is not None:
                raise error
            findings += result.findings
            pictures |= result.pictures
            pages[comic] = result.pages
            progress.advance(1, comic)
    finally:
        progress.finish()
    findings += [_of_reader(problem) for problem in corpus.problems]
    if isinstance(corpus, Corpus):
        findings += _stray_facts(corpus.root, set(comics))
        findings += _stray_pictures(corpus.root, pictures)
        findings += _stray_panels(corpus.root, pages)
        findings += _stale_crops(corpus)
    findings += _leftovers(corpus.root)
    findings += _splits(corpus.root, set(comics))
    findings += _packs(corpus.root)
    return findings


def _check_comic(corpus: CorpusView, comic: str, decode: bool) -> _Comic:
    findings: list[Finding] = []
    if isinstance(corpus, Corpus):
        records, bad = read_native_records(corpus, comic)
        findings += bad
    else:
        found = corpus.read(comic)
        records = found.pages
        # Missing pictures are found below; said once is enough.
        findings += [_of_reader(problem) for problem in found.problems if not problem.message.endswith("is not there")]
    findings += check_pages(corpus, comic, records, decode=decode)
    findings += _count(corpus, comic, len(records))
    pictures = set()
    for record in records:
        try:
            pictures.add(corpus.image_path(record).resolve())
        except InputError:
            continue  # check_pages has named it
    return _Comic(findings, pictures, {record.page for record in records})


def _of_reader(problem: Problem) -> Finding:
    return Finding(problem.key, "problem", problem.message)


def _count(corpus: CorpusView, comic: str, pages: int) -> list[Finding]:
    """Pages against the number that the import noted, less those that it could not read."""
    try:
        facts = corpus.comic_facts(comic)
    except ComicError as error:
        return [Finding(comic, "record", error.fact)]
    said = facts.get("page_count")
    if not isinstance(said, int) or isinstance(said, bool):
        return []
    unread = len(list_of(facts.get("problems")))
    if said - unread <= pages <= said:
        return []
    return [Finding(comic, "count", f"{pages} pages, but the comic had {said} of which {unread} could not be read")]


def _stray_facts(root: Path, comics: set[str]) -> Iterator[Finding]:
    for file in sorted((root / "annotations" / "comics").glob("*.json")):
        if file.stem not in comics and not file.name.startswith("."):
            yield Finding(file.relative_to(root).as_posix(), "stray", "facts of a comic that has no page records")


def _stray_pictures(root: Path, named: set[Path]) -> Iterator[Finding]:
    for path in _walk(root / "page_images"):
        if is_page(path.name) and path.resolve() not in named:
            yield Finding(path.relative_to(root).as_posix(), "stray", "a page picture that no record names")


def _stray_panels(root: Path, pages: dict[str, set[int]]) -> Iterator[Finding]:
    """Exported crops, `<kind>_images/<comic>/<page>_...`, of comics or pages that are not there any more."""
    for kind in ("panel_images", "character_images"):
        for folder in sorted((root / kind).glob("*/")):
            item = folder.relative_to(root).as_posix()
            if folder.name not in pages:
                yield Finding(item, "stray", "crops of a comic that is not there")
                continue
            numbers = {int(n) for f in folder.iterdir() if (n := f.name.partition("_")[0]).isdecimal() and n.isascii()}
            for number in sorted(numbers - pages[folder.name]):
                yield Finding(item, "stray", f"crops of page {number}, which is not there")


def _stale_crops(corpus: Corpus) -> Iterator[Finding]:
    """Exported crops of pages whose panels or characters have changed since."""
    for name in EXPORTS:
        entries = Ledger(corpus.jobs_folder(), name).load().entries
        cut = {key: entry.summary.get(SOURCE) for key, entry in entries.items()}
        command = name if name == PANELS else f"export characters --part {name.split()[-1]}"
        comics = sorted({key.rpartition("/")[0] for key in cut} & set(corpus.comics()), key=natural_key)
        for comic in comics:
            try:
                records = corpus.pages(comic)
            except ComicError:
                continue  # named already
            for record in records:
                was, now = cut.get(record.id), crops_source(record)
                if name == PANELS:  # a panel is cut whoever stands in it
                    was, now = str(was).partition(" ")[0] if was else None, now.partition(" ")[0]
                if isinstance(was, str) and was != now:
                    detail = f"its crops were cut before it changed: comictool data {command} {corpus.root}"
                    yield Finding(record.id, "stale", detail)


def _leftovers(root: Path) -> Iterator[Finding]:
    for path in _walk(root):
        item = path.relative_to(root).as_posix()
        if path.name.endswith(TEMPORARY_SUFFIX):
            yield Finding(item, "stray", "what a writer that was killed left behind")
    journal = journal_file(root)
    if journal.is_file():
        item = journal.relative_to(root).as_posix()
        yield Finding(item, "unfinished", "a change of names was interrupted; run the same command again")


def _splits(root: Path, comics: set[str]) -> Iterator[Finding]:
    """The manifest of the splits: comics that are not there, and ids in two splits."""
    try:
        manifest = read_manifest(root)
    except InputError as error:
        yield Finding(MANIFEST, "record", error.fact)
        return
    seen: dict[str, str] = {}
    for split, ids in (manifest or {"splits": {}})["splits"].items():
        for identity in ids:
            if identity in seen:
                yield Finding(MANIFEST, "duplicate", f"{identity} is in {seen[identity]} and in {split}")
            seen.setdefault(identity, split)
            # With pages as units an id reads comic/page.
            if identity not in comics and identity.rpartition("/")[0] not in comics:
                yield Finding(MANIFEST, "dangling", f"{identity} in {split} is not in the corpus")


def _packs(root: Path) -> Iterator[Finding]:
    """Packs that were written for another split."""
    for file in sorted((root / "processed").glob("*/*_images.hdf5")):
        from comictool.datasets.packs.reading import Pack, stale_reason

        try:
            stale = stale_reason(Pack(file))
        except InputError as error:
            yield Finding(file.relative_to(root).as_posix(), "record", error.fact)
            continue
        if stale:
            yield Finding(file.relative_to(root).as_posix(), "stale", f"{stale}: comictool data hdf5 {root}")


def _walk(root: Path) -> Iterator[Path]:
    """All files below a folder in a stable order, without the job folder and without following links."""
    for folder, names, files in os.walk(root):
        names[:] = sorted((name for name in names if name != JOBS), key=natural_key)
        for name in sorted(files, key=natural_key):
            yield Path(folder) / name
