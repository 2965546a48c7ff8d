"""Converting comics from one annotation format into another, comic by comic through the shared job."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from comictool.core.errors import ComicError, UsageError
from comictool.core.files import TEMPORARY_SUFFIX, state_of
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.progress import Progress
from comictool.corpus.corpus import Corpus
from comictool.corpus.formats.registry import Format, format_named, open_any
from comictool.corpus.formats.saving import check_pictures, outgoing_names, place_pictures, save_annotations
from comictool.corpus.formats.view import ForeignCorpus, Problems
from comictool.corpus.views import CorpusView

LEDGER = "convert"


@dataclass
class Conversion:
    """What a conversion did.

    Attributes:
        report: of the job; its problems are those of single items, on which the exit code depends.
        format: that was written.
        losses: what that format has no room for, one line each. They are facts about the format and no problems.
        counts: comics, pages, panels, characters and texts that the annotation files hold.
    """

    report: JobReport
    format: str
    losses: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def convert(
    source: Path, destination: Path, format: str, *, source_format: str | None = None,
    source_pictures: Path | None = None, pictures: str = "copy", force: bool = False,
    options: JobOptions | None = None, progress: Progress | None = None,
) -> Conversion:  # fmt: skip
    """Write comics in another format; run again, it copies only what is new and writes the annotation files anew.

    Every shard of a job writes the same annotation files for all comics, so it does not matter which one ends last.
    With a limit they hold only the comics that were considered.

    Args:
        source: a corpus, or a folder or file in any format.
        destination: a folder, new or made by an earlier conversion.
        format: name of the format to write; `corpus` is the native one.
        source_format: name of the source's format, when it should not be found out.
        source_pictures: where the pictures are, when not with the annotations.
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
    _check_apart(source, destination, force)
    names = outgoing_names(corpus.comics())
    items = [Item(comic, _fingerprint(corpus, comic), comic) for comic in names]

    def work(comic: str) -> tuple[dict[str, Any], list[str]]:
        return _convert_comic(corpus, comic, names[comic], destination, target, pictures)

    def commit(item: Item, result: tuple[dict[str, Any], list[str]]) -> Done:
        return Done(*result)

    report = run_job(
        LEDGER, items, work, commit, ledger_folder=destination / ".jobs",
        settings={"format": target.name, "pictures": pictures}, options=options, workers="threads", progress=progress,
    )  # fmt: skip
    chosen = _readable(corpus, names, options)
    placed = pictures != "none"
    saved = save_annotations(corpus, chosen, destination, target, placed=placed, dry_run=options.dry_run)
    if options.shard == (1, 1) and not options.dry_run:
        _sweep(destination)
    if isinstance(corpus, ForeignCorpus):
        report.problems += [Problem(corpus.root.name, line) for line in corpus.problems]
    report.problems += [Problem(target.name, line) for line in saved.problems]
    return Conversion(report, target.name, saved.losses, saved.counts)


def _sweep(destination: Path) -> None:
    """Remove what killed runs left half written. Only a run without shards does: shards may still be at work."""
    for path in destination.rglob(f"*{TEMPORARY_SUFFIX}"):
        if path.name.startswith(".") and path.is_file():
            path.unlink(missing_ok=True)


def _convert_comic(
    corpus: CorpusView, comic: str, name: str, destination: Path, format: Format, pictures: str
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """Place the pictures of one comic; the problems are those of its annotations and its pictures, each once."""
    problems = Problems()
    lines = corpus.comic_problems(comic) if isinstance(corpus, ForeignCorpus) else []
    placed = 0
    if pictures != "none":
        placed = place_pictures(corpus, comic, name, destination, format, pictures, problems)
    lines += [line for line in problems.lines() if line not in lines]
    return {"pictures": placed}, lines


def _readable(corpus: CorpusView, names: dict[str, str], options: JobOptions) -> dict[str, str]:
    """The comics whose annotations are written: all that can be read, or those that a limit lets through."""
    comics = list(names)
    if options.limit is not None:
        index, count = options.shard
        comics = comics[index - 1 :: count][: options.limit]
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


def _fingerprint(corpus: CorpusView, comic: str) -> str:
    """Changes whenever the annotations of a comic or one of its pictures do."""
    digest = blake2b(digest_size=16)

    def add(path: Path) -> None:
        try:
            state = state_of(path.stat())
        except OSError:
            state = "missing"
        digest.update(f"{path.name} {state}\n".encode("utf-8", "replace"))

    if isinstance(corpus, ForeignCorpus):
        for path in corpus.annotation_files:
            add(path)
    elif isinstance(corpus, Corpus):
        add(corpus.root / "annotations" / "pages" / f"{comic}.jsonl")
    try:
        for record in corpus.pages(comic):
            add(corpus.image_path(record))
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
