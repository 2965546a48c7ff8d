"""Writing a corpus, or anything that opens as one, in another format: pictures, annotation files, and what is lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from comictool.core.errors import ComicError, UsageError
from comictool.core.files import TEMPORARY_SUFFIX, atomic_file, write_bytes
from comictool.core.jobs import Problem
from comictool.core.names import distinct_names, safe_component
from comictool.corpus.page_pictures import KEPT, is_there
from comictool.corpus.records import PageRecord
from comictool.corpus.views import CorpusView
from comictool.formats.keeping import Loss, counted, facts_lost, keep, losses, numbered, sane, writable
from comictool.formats.registry import Format
from comictool.formats.view import Problems, missing_pictures
from comictool.formats.written import WrittenComic

PICTURES = ("copy", "link", "none")


@dataclass
class Saved:
    """What was written.

    Attributes:
        losses: what the format has no room for, by kind; in words when made a string.
        problems: what went wrong with single items.
        counts: comics, pages, panels, characters and texts that were written.
        read: the same as they were read.
    """

    losses: list[Loss] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)


def check_pictures(pictures: str) -> str:
    """A way of placing pictures, checked.

    Raises:
        UsageError: it is none of `PICTURES`.
    """
    if pictures not in PICTURES:
        raise UsageError(f"pictures are placed by {', '.join(PICTURES)}, not {pictures!r}")
    return pictures


def save(corpus: CorpusView, destination: Path, format: Format, pictures: str = "copy") -> Saved:
    """Write all comics in a format.

    Args:
        corpus: a corpus or a view of one.
        destination: a folder; made when it is not there.
        format: from `registry.format_named`.
        pictures: `copy` them, hard `link` them (copied where that cannot be), or `none`: only the annotations.

    Raises:
        InputError: a comic cannot be read.
        UsageError: no such way of placing pictures.
    """
    check_pictures(pictures)
    names = outgoing_names(corpus.comics())
    problems = Problems()
    if pictures != "none":
        for comic, name in names.items():
            missing = place_pictures(corpus, corpus.pages(comic), name, destination, format, pictures, problems)
            if missing:
                line = missing_pictures(comic, missing, len(corpus.pages(comic)), foreign=False)
                problems.add(line.key, line.message)
    saved = save_annotations(corpus, names, destination, format, placed=pictures != "none")
    saved.problems[:0] = problems.found()
    return saved


def outgoing_names(comics: Iterable[str]) -> dict[str, str]:
    """For each comic a name that is safe as one path component anywhere, and different whatever the letter case."""
    return distinct_names({comic: safe_component(comic) for comic in comics})


def place_pictures(
    corpus: CorpusView,
    pages: Iterable[PageRecord],
    name: str,
    destination: Path,
    format: Format,
    pictures: str,
    problems: Problems,
) -> list[PageRecord]:
    """Put the pictures of the pages of one comic where the format has them; gives the pages whose picture is missing.

    Raises:
        InputError: the comic cannot be read.
        OSError: the disk is full or the destination cannot be written.
    """
    missing = []
    for record in pages:
        try:
            source = corpus.picture(record)
        except ComicError as error:
            problems.add(record.id, error.fact)
            continue
        if not is_there(source):
            missing.append(record)
            continue
        target = destination / format.picture_place(replace(record, comic=name))
        if isinstance(source, Path):
            _place(source, target, link=pictures == "link")
            continue
        try:
            write_bytes(target, source.read_bytes())
        except ComicError as error:
            problems.add(record.id, error.fact)
    return missing


def save_annotations(
    corpus: CorpusView, names: dict[str, str], destination: Path, format: Format, *, placed: bool, dry_run: bool = False
) -> Saved:
    """Write the annotation files for these comics.

    Args:
        corpus: a corpus or a view of one.
        names: for each comic the name that it gets.
        destination: a folder.
        format: the format.
        placed: pictures lie where the format has them; else the records keep naming them as the source does.
        dry_run: write nothing, only find out what would be lost.
    """
    saved, lost, problems = Saved(), Counter[str](), Problems()
    comics = _outgoing(corpus, names, format, placed, lost, problems, saved)
    if dry_run:
        for _ in comics:
            continue
    else:
        format.write(comics, destination, problems)
    saved.losses = counted(lost, format.name)
    saved.problems = problems.found()
    return saved


def _outgoing(
    corpus: CorpusView,
    names: dict[str, str],
    format: Format,
    placed: bool,
    lost: Counter[str],
    problems: Problems,
    saved: Saved,
) -> Iterator[WrittenComic]:
    for comic, name in names.items():
        facts = writable(corpus.comic_facts(comic))
        facts = facts if name == comic else {"title": comic, **facts}
        if format.holds is not None:
            lost.update(facts_lost(facts, format.holds))
        written = WrittenComic(name, [], facts)
        seen: set[int] = set()
        pages = corpus.pages(comic)
        _count(saved.read, pages)
        for record in pages:
            if record.page in seen:
                problems.add(record.id, "another page has this number; only the first is written")
                continue
            seen.add(record.page)
            written.pages.append(_cut_down(record, name, format, placed, lost))
        if format.holds is not None and not format.holds.page_numbers:
            lost["pages: page number"] += sum(n != r.page for n, r in enumerate(written.pages, start=1))
        _count(saved.counts, written.pages)
        yield written


def _count(counts: Counter[str], pages: Sequence[PageRecord]) -> None:
    counts.update(comics=1, pages=len(pages))
    for record in pages:
        counts.update(panels=len(record.panels), characters=len(record.characters), texts=len(record.texts))


def _cut_down(record: PageRecord, name: str, format: Format, placed: bool, lost: Counter[str]) -> PageRecord:
    renamed = replace(record, comic=name)
    if placed:
        renamed.extra = {key: value for key, value in record.extra.items() if key != KEPT}  # its picture lies there
        renamed.image = format.picture_place(renamed)
    if format.holds is None:
        whole = sane(renamed)
        lost.update(losses(renamed, whole))
        return whole
    kept = keep(renamed, format.holds)
    lost.update(losses(renamed, kept))
    return numbered(kept)


def _place(source: Path, target: Path, *, link: bool) -> None:
    """Copy or link a file with its time of change; one that is there already with the same size and time stays."""
    facts = source.stat()
    if target.is_file():
        there = target.stat()
        if (there.st_size, there.st_mtime_ns) == (facts.st_size, facts.st_mtime_ns):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    if link and _link(source, target):
        return
    with source.open("rb") as reading, atomic_file(target) as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
    os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _link(source: Path, target: Path) -> bool:
    """Make a hard link under a temporary name, then rename it; False where the file system does not allow it."""
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=TEMPORARY_SUFFIX, dir=target.parent)
    os.close(handle)
    try:
        os.unlink(temporary)
        os.link(source.resolve(), temporary)
        os.replace(temporary, target)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        return False
    return True
