"""Converting comics from one annotation format into another, comic by comic through the shared job."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from comictool.core.errors import ComicError, UsageError
from comictool.core.files import TEMPORARY_SUFFIX
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.progress import Progress
from comictool.corpus.page_pictures import PagePicture, state_of_picture
from comictool.corpus.records import PageRecord
from comictool.corpus.views import CorpusView
from comictool.formats.keeping import Loss
from comictool.formats.registry import Format, format_named, open_any
from comictool.formats.saving import check_pictures, outgoing_names, place_pictures, save_annotations
from comictool.formats.view import ForeignCorpus, Problems, missing_pictures
from comictool.formats.with_texts import WithTexts

LEDGER = "convert"


@dataclass
class Conversion:
    """What a conversion did.

    Attributes:
        report: of the job; its problems are those of single items, on which the exit code depends.
        format: that was written.
        losses: what that format has no room for, by kind and count. They are facts about the format and no problems.
        counts: comics, pages, panels, characters and texts that the annotation files hold.
        read: the same as they were read.
        notes: what was done to annotations to fit them to their pictures.
    """

    report: JobReport
    format: str
    losses: list[Loss] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def convert(
    source: Path,
    destination: Path,
    format: str,
    *,
    source_format: str | None = None,
    source_pictures: Path | None = None,
    texts: Path | None = None,
    pictures: str = "copy",
    force: bool = False,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Write comics in another format; run again, it copies only what is new and writes the annotation files anew.

    Every shard of a job writes the same annotation files for all comics, so it does not matter which one ends last.
    With a limit they hold only the comics that were considered.

    Args:
        source: a corpus, or a folder or file in any format.
        destination: a folder, new or made by an earlier conversion.
        format: name of the format to write; `corpus` is the native one.
        source_format: name of the source's format, when it should not be found out.
        source_pictures: where the pictures are, when not with the annotations.
        texts: JSON that a model told of the pages, a file or a folder; each text goes on its panel (`with_texts`).
        pictures: `copy`, `link` or `none`.
        force: also write into a folder that holds other things.
        options, progress: of the job; one item is one comic.

    Raises:
        UsageError: no such format, or source and destination lie in each other, or the destination is in use.
        InputError: the source cannot be read.
        Stopped: after a signal.
    """
    target = format_named(format)
    check_pictures(pictures)
    options = options or JobOptions()
    corpus = open_any(source, source_format, source_pictures)
    corpus = WithTexts(corpus, texts) if texts is not None else corpus
    _check_apart(source, destination, force)
    names = outgoing_names(corpus.comics())
    missing: dict[str, list[PageRecord]] = {}
    pages: Counter[str] = Counter()
    items = [Item(comic, _fingerprint(corpus, comic, missing, pages), comic) for comic in names]
    several = len(missing) > 1  # then one line speaks of all of them

    def work(comic: str) -> tuple[dict[str, Any], list[Problem]]:
        return _convert_comic(corpus, comic, names[comic], destination, target, pictures, several)

    def commit(item: Item, result: tuple[dict[str, Any], list[Problem]]) -> Done:
        return Done(*result)

    report = run_job(
        LEDGER,
        items,
        work,
        commit,
        ledger_folder=destination / ".jobs",
        settings={"format": target.name, "pictures": pictures},
        options=options,
        workers="threads",
        progress=progress,
    )
    chosen = _readable(corpus, names, options)
    placed = pictures != "none"
    saved = save_annotations(corpus, chosen, destination, target, placed=placed, dry_run=options.dry_run)
    if options.shard == (1, 1) and not options.dry_run:
        _sweep(destination)
    report.problems += [*corpus.problems, *saved.problems]
    if several:
        every = [page for pages_of in missing.values() for page in pages_of]
        report.problems.append(missing_pictures(str(source), every, pages.total()))
    notes = corpus.notes() if isinstance(corpus, ForeignCorpus | WithTexts) else []
    return Conversion(report, target.name, saved.losses, saved.counts, saved.read, notes)


def _sweep(destination: Path) -> None:
    """Remove what killed runs left half written. Only a run without shards does: shards may still be at work."""
    for path in destination.rglob(f"*{TEMPORARY_SUFFIX}"):
        if path.name.startswith(".") and path.is_file():
            path.unlink(missing_ok=True)


def _convert_comic(
    corpus: CorpusView, comic: str, name: str, destination: Path, format: Format, pictures: str, several: bool
) -> tuple[dict[str, Any], list[Problem]]:
    """Place the pictures of one comic; the problems are those of its annotations and its pictures, each once."""
    problems = Problems()
    read = corpus.read(comic)
    found, placed = list(read.problems), 0
    if several and read.missing:
        found.remove(missing_pictures(comic, read.missing, len(read.pages)))
    if pictures != "none":
        missing = place_pictures(corpus, read.pages, name, destination, format, pictures, problems)
        placed = len(read.pages) - len(missing)
        if missing and not read.missing:
            found.append(missing_pictures(comic, missing, len(read.pages), foreign=False))
    return {"pictures": placed}, found + problems.found()


def _readable(corpus: CorpusView, names: dict[str, str], options: JobOptions) -> dict[str, str]:
    """The comics whose annotations are written: all that can be read, or those that a limit lets through."""
    comics = options.share(names) if options.limit is not None else list(names)
    if isinstance(corpus, ForeignCorpus):
        return {comic: names[comic] for comic in comics}  # what is wrong in a view are problems, never errors
    chosen = {}
    for comic in comics:
        try:
            corpus.pages(comic)
            corpus.comic_facts(comic)
        except ComicError:
            continue  # the job has named it among the failed items
        chosen[comic] = names[comic]
    return chosen


def _fingerprint(corpus: CorpusView, comic: str, missing: dict[str, list[PageRecord]], pages: Counter[str]) -> str:
    """Changes whenever the annotations of a comic or one of its pictures do; notes which pictures are not there."""
    digest = blake2b(digest_size=16)

    def add(path: PagePicture) -> None:
        try:
            state = state_of_picture(path)
        except OSError:
            state = "missing"
        digest.update(f"{path.name} {state}\n".encode("utf-8", "replace"))

    for path in corpus.annotation_files(comic):
        add(path)
    try:
        read = corpus.read(comic)
        pages[comic] = len(read.pages)
        if read.missing:
            missing[comic] = read.missing
        for record in read.pages:
            add(corpus.picture(record))
    except ComicError as error:  # the worker meets it again and fails this item
        digest.update(error.fact.encode("utf-8", "replace"))
    return digest.hexdigest()


def _check_apart(source: Path, destination: Path, force: bool) -> None:
    first, second = source.resolve(), destination.resolve()
    folder = first.parent if first.is_file() else first
    if second == folder or first.is_relative_to(second) or second.is_relative_to(first):
        raise UsageError(f"{destination} and {source} lie in each other; convert into another folder")
    if destination.exists() and not destination.is_dir():
        raise UsageError(f"{destination} is a file, a conversion needs a folder")
    used = destination.is_dir() and any(destination.iterdir())
    if used and not force and not list((destination / ".jobs").glob(f"{LEDGER}*")):
        raise UsageError(f"{destination} holds other things", hint="choose a new folder, or --force to write into it")
