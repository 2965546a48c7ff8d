"""Jobs that annotate: what a stage finds on the pages of a corpus, written into their records.

A stage says what is to be found (`Stage`); `annotate` does the rest, alike for all of them. An item of the job is a
chunk of the pages of one comic, so that a thick book keeps all workers busy and a kill repeats little. The records of a
comic are one file. It is written once a run, when the last chunk of the comic is there; until then each chunk waits as
a part in `.jobs/parts`. All chunks of a comic belong to one shard.

Each page's record keeps a note of the run (`PageRecord.record_run`). Its `of` is a digest of the picture, of what was
asked, and of the stage and its settings: a page whose picture was only copied or touched keeps what was found.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comictool.core.errors import ComicError, InputError
from comictool.core.files import read_bounded, read_json, write_json
from comictool.core.images import MAX_BYTES, decode_array
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.ledger import stamp_of
from comictool.core.progress import Progress
from comictool.core.typed import typed
from comictool.core.workers import Kind
from comictool.corpus.corpus import Corpus
from comictool.corpus.page_pictures import PagePicture, state_of_picture
from comictool.corpus.records import PageRecord, from_json, to_json

if TYPE_CHECKING:
    import numpy as np

CHUNK = 24  # pages; two seconds of finding panels, and one part file
KEPT = "kept"  # in the note of a page that the stage leaves as it is
FOUND_BY = "found_by"  # in such a note: the model whose findings an earlier run of the stage left there


@dataclass(frozen=True)
class Stage:
    """One kind of annotation.

    Attributes:
        name: names the job and the note in each page's record.
        model: who finds it, with a version: `gutters-6`, or the id of a plugin.
        ask: what the worker is told of a page besides its picture (JSON values); None: the page is left as it is.
        find: a page picture, (H, W, 3) uint8 RGB, and what was asked, to fields of a page record. Runs in a worker, so
            it can be pickled; what it loads, such as a model, it loads when it is first called.
        merge: takes over into a page's record what was found, which comes as a record with those fields alone.
        settings: what else decides the result; JSON values.
        workers: where `find` runs.
        chunk: pages of an item, 0 for `CHUNK`; 1 where a page takes seconds, or should be tried again when it fails.
    """

    name: str
    model: str
    ask: Callable[[PageRecord], Any]
    find: Callable[[np.ndarray, Any], Mapping[str, Any]]
    merge: Callable[[PageRecord, PageRecord], None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    workers: Kind = "processes"
    chunk: int = 0

    @property
    def stamp(self) -> str:
        """Changes with the stage, its model and its settings."""
        return stamp_of(self.name, {"model": self.model, **self.settings})


@dataclass(frozen=True)
class _Page:
    """One page as it travels to a worker.

    Attributes:
        asked: None: not looked at.
        note: of the earlier run of the stage; without one the page is not taken for unchanged.
        problem: why its picture must not be read.
    """

    page: int
    image: str
    picture: PagePicture
    width: int
    height: int
    asked: Any
    note: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class _Chunk:
    """Pages of one comic; with a `problem` instead when its records cannot be read."""

    comic: str
    pages: tuple[_Page, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Annotated:
    """What became of one page, as it lies in a part.

    Attributes:
        image: the picture that was looked at, as its record named it.
        note: for `record_run`, besides stage and model.
        found: a page record with what was found alone; None when there is nothing to take over.
    """

    page: int
    image: str
    note: dict[str, Any]
    found: dict[str, Any] | None = None


def annotate(
    corpus: Corpus, stage: Stage, *, options: JobOptions | None = None, progress: Progress | None = None
) -> JobReport:
    """Find something on every page of a corpus and write it into the page records.

    A page that cannot be decoded keeps its record and becomes a problem line, and so does a comic whose records cannot
    be read. The totals count `pages` that were looked at, those `kept`, and each list that was found, by its name.

    Args:
        options, progress: of the job; an item is `Stage.chunk` pages of a comic, shards and limit count comics.

    Raises:
        Stopped: after a signal, with what was found until then in the records; the same call continues.
    """
    options = options or JobOptions()
    comics = options.share(corpus.comics())
    anew = options.resume == "never"
    items, noted = [], set()
    for comic in comics:
        for item, complete in _items(corpus, comic, stage, anew):
            items.append(item)
            if complete:
                noted.add(item.key)
    parts = _Parts(corpus, stage, comics, items)
    report = run_job(
        stage.name,
        items,
        _Find(stage.find, stage.stamp),
        parts.commit,
        ledger_folder=corpus.jobs_folder(),
        settings={"stage": stage.stamp},
        options=options,
        workers=stage.workers,
        progress=progress,
        present=lambda item, summary: item.key in noted or parts.has(item),
        within=None if options.dry_run else parts.merged(),
        shared_out=True,
    )
    report.problems += parts.problems
    return report


def looked_at(items: Sequence[Item]) -> list[tuple[PagePicture, Any]]:
    """The picture, and what is asked, of each page that a job of these items would look at."""
    pages = [page for item in items for page in item.payload.pages if page.asked is not None and not page.problem]
    return [(page.picture, page.asked) for page in pages]


@dataclass(frozen=True)
class _Find:
    """The worker: pages of one comic to what was found on them."""

    find: Callable[[np.ndarray, Any], Mapping[str, Any]]
    stamp: str

    def __call__(self, chunk: _Chunk) -> list[Annotated]:
        """Decode pages and look at them.

        Raises:
            InputError: the comic's records cannot be read, or not one of the pages can be decoded.
        """
        if chunk.problem:
            raise InputError(chunk.problem)
        out = [self._page(page, chunk.comic) for page in chunk.pages]
        looked_at = [page for page in out if KEPT not in page.note]
        if looked_at and all(_failed(page) for page in looked_at):
            first = f"page {looked_at[0].page}: {looked_at[0].note['problem']}"
            raise InputError(first if len(chunk.pages) == 1 else f"no page can be read: {first}")
        return out

    def _page(self, page: _Page, comic: str) -> Annotated:
        if page.asked is None:
            return Annotated(page.page, page.image, {KEPT: True})
        try:
            if page.problem:
                raise InputError(page.problem)
            picture = page.picture
            data = read_bounded(picture, most_bytes=MAX_BYTES) if isinstance(picture, Path) else picture.read_bytes()
            digest = blake2b(json.dumps([self.stamp, page.asked]).encode(), digest_size=12)
            digest.update(data)
            of = digest.hexdigest()
            if page.note.get("of") == of:
                return Annotated(page.page, page.image, dict(page.note))
            fields = self.find(decode_array(data), page.asked)
        except ComicError as error:
            return Annotated(page.page, page.image, {"problem": error.fact})
        counts = {name: len(value) for name, value in fields.items() if isinstance(value, list)}
        found = PageRecord(comic, page.page, page.image, page.width, page.height, **fields)
        return Annotated(page.page, page.image, {"of": of, **counts}, to_json(found))


class _Parts:
    """What chunks found, on disk until their comic is merged; and the merging."""

    def __init__(self, corpus: Corpus, stage: Stage, comics: Sequence[str], items: Sequence[Item]) -> None:
        self.problems: list[Problem] = []
        self._corpus, self._stage, self._comics = corpus, stage, comics
        self._stamps = {self._file(item): stamp_of(item.fingerprint, {"stage": stage.stamp}) for item in items}
        self._coming = ""  # the comic whose chunks are coming in

    def commit(self, item: Item, pages: Sequence[Annotated]) -> Done:
        """Keep what a chunk found."""
        comic = item.payload.comic
        if comic != self._coming:  # items come comic by comic
            self._merge(self._coming)
            self._coming = comic
        file = self._file(item)
        write_json(file, {"stamp": self._stamps[file], "pages": [asdict(page) for page in pages]}, indent=None)
        looked_at = [page for page in pages if KEPT not in page.note]
        summary = Counter({"pages": len(looked_at), KEPT: len(pages) - len(looked_at)})
        for page in looked_at:
            summary.update({name: value for name, value in page.note.items() if isinstance(value, int)})
        return Done(
            dict(summary), [Problem(f"{comic}/{page.page}", page.note["problem"]) for page in pages if _failed(page)]
        )

    def has(self, item: Item) -> bool:
        """Whether a chunk waits to be merged."""
        return self._is_ours(self._file(item))

    @contextmanager
    def merged(self) -> Iterator[None]:
        """When the block is left, whichever way, what was found is in the records; parts of a killed run count too."""
        for comic in self._comics:
            for file in self._folder(comic).glob("*.json"):
                if not self._is_ours(file):  # of pages, pictures or settings that are others by now
                    file.unlink()
        try:
            yield
        finally:
            for comic in self._comics:
                self._merge(comic)

    def _folder(self, comic: str) -> Path:
        name = blake2b(comic.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        return self._corpus.jobs_folder() / "parts" / self._stage.name / name

    def _file(self, item: Item) -> Path:
        return self._folder(item.payload.comic) / f"{item.key.rpartition('/')[2]}.json"

    def _is_ours(self, file: Path) -> bool:
        try:
            return file in self._stamps and bool(read_json(file)["stamp"] == self._stamps[file])
        except (InputError, TypeError, KeyError):
            return False

    def _merge(self, comic: str) -> None:
        folder = self._folder(comic)
        if not comic or not folder.is_dir():
            return
        try:
            records = {record.page: record for record in self._corpus.pages(comic)}
            changed = False
            for file in sorted(folder.glob("*.json")):
                for page in typed(list[Annotated], read_json(file)["pages"], str(file)):
                    record = records.get(page.page)
                    if record is not None and record.image == page.image:  # else the comic was imported anew meanwhile
                        changed |= self._take_over(record, page, file)
            if changed:
                self._corpus.write_pages(comic, records.values())
        except ComicError as error:
            self.problems.append(Problem(comic, error.fact))
            return
        shutil.rmtree(folder)

    def _take_over(self, record: PageRecord, page: Annotated, file: Path) -> bool:
        note = {**page.note, "stage": self._stage.name, "model": self._stage.model}
        before = _note(record, self._stage)
        if KEPT in note and (by := before.get(FOUND_BY) if KEPT in before else before.get("model")):
            note[FOUND_BY] = by
        if page.found is None and note == before:
            return False
        if page.found is not None:
            self._stage.merge(record, from_json(page.found, str(file)))
        del note["stage"]
        record.record_run(self._stage.name, **note)
        return True


def _failed(page: Annotated) -> bool:
    return "problem" in page.note


def _items(corpus: Corpus, comic: str, stage: Stage, anew: bool) -> Iterator[tuple[Item, bool]]:
    """The chunks of a comic, each with whether the stage has left a note in all its records."""
    try:
        records = corpus.pages(comic)
    except (ComicError, OSError) as error:
        problem = error.fact if isinstance(error, ComicError) else f"the records of {comic} cannot be read: {error}"
        yield Item(comic, "unreadable", _Chunk(comic, problem=problem)), True
        return
    length = stage.chunk or CHUNK
    for begin in range(0, len(records), length):
        part = records[begin : begin + length]
        notes = [_note(record, stage) for record in part]
        pages = tuple(
            _page(corpus, record, stage.ask(record), {} if anew else note)
            for record, note in zip(part, notes, strict=True)
        )
        yield Item(f"{comic}/{part[0].page}-{part[-1].page}", _fingerprint(pages), _Chunk(comic, pages)), all(notes)


def _note(record: PageRecord, stage: Stage) -> Mapping[str, Any]:
    return next((run for run in record.runs if isinstance(run, dict) and run.get("stage") == stage.name), {})


def _page(corpus: Corpus, record: PageRecord, asked: Any, note: Mapping[str, Any]) -> _Page:
    try:
        picture, problem = corpus.picture(record), ""
    except InputError as error:
        picture, problem = Path(), error.fact
    return _Page(record.page, record.image, picture, record.width, record.height, asked, note, problem)


def _fingerprint(pages: Sequence[_Page]) -> str:
    """Changes whenever a page's picture was written, or what is asked of it is another thing."""
    digest = blake2b(digest_size=12)
    for page in pages:
        try:
            state = page.problem or state_of_picture(page.picture)
        except OSError:
            state = "missing"
        digest.update(json.dumps([page.page, page.image, state, page.asked]).encode())
    return digest.hexdigest()
