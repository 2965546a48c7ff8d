"""The fingerprints of a corpus: computed comic by comic in a resumable job, kept beside its ledger, read as one table.

```
CORPUS/.jobs/fingerprints/<comic>-<digest>.jsonl     one page a line; replaced atomically
```
They are a cache: deleting the folder costs one more reading of the pages and nothing else.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import ComicError, InputError
from comictool.core.files import parse_json, read_bounded, write_text
from comictool.core.jobs import Done, Item, JobOptions, JobReport, Problem, run_job
from comictool.core.names import safe_component
from comictool.core.progress import Progress
from comictool.corpus.page_pictures import PagePicture, state_of_picture
from comictool.corpus.views import CorpusView
from comictool.duplicates.fingerprint import SIDE, VERSION, Fingerprint, fingerprint_page, from_json

JOB = "data dedupe fingerprints"
SETTINGS = {"version": VERSION}
MOST_BYTES = 256 << 20  # of the fingerprints of one comic; a page takes 6 to 17 kB
MOST_PROBLEMS = 50  # lines kept for one comic


@dataclass(frozen=True)
class PrintTask:
    """What a worker needs for one comic: where its pages are and where their fingerprints go."""

    comic: str
    pages: tuple[tuple[int, PagePicture | None, str], ...]  # number, picture, its stamp; without: the stamp says why
    cache: str
    reuse: bool


@dataclass
class PrintedComic:
    """What a worker hands back: the lines of the cache, what could not be read, and how many pages were read."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    read: int = 0


@dataclass
class FingerprintTable:
    """Fingerprints of N pages, in the order of the corpus. Rows are small pictures: pages, and halves of wide pages.

    Attributes:
        ids: `comic/page`.
        comic_of: `(N,)` place of the page's comic in `comics`.
        numbers: `(N,)` page numbers.
        files, pixels: digests (`comictool.duplicates.fingerprint`).
        near_empty: `(N,)` bool.
        shapes: `(N,)` width divided by height.
        pictures: `(R, 64, 64)` uint8, in a file without a name: 400 MB for 100,000 pages need not be in memory.
        row_page: `(R,)` the page that a row belongs to.
        row_part: `(R,)` 0 the whole page, 1 its left half, 2 its right half.
    """

    comics: list[str]
    ids: list[str]
    comic_of: np.ndarray
    numbers: np.ndarray
    files: list[str]
    pixels: list[str]
    near_empty: np.ndarray
    shapes: np.ndarray
    pictures: np.ndarray
    row_page: np.ndarray
    row_part: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def whole_rows(self) -> np.ndarray:
        """`(N,)` the row of each whole page."""
        return np.flatnonzero(self.row_part == 0)

    @property
    def row_shapes(self) -> np.ndarray:
        """`(R,)` width divided by height of what a row shows."""
        return np.where(self.row_part == 0, 1.0, 0.5) * self.shapes[self.row_page]


def compute_fingerprints(
    view: CorpusView, *, options: JobOptions | None = None, progress: Progress | None = None
) -> tuple[FingerprintTable, JobReport]:
    """Fingerprint every page that is new or changed, and read the fingerprints of all.

    With `options.shard` or `options.limit` only these comics are read, and the table holds what is there by then.

    Raises:
        InputError: the corpus holds no comics, or another process works on its fingerprints.
        Stopped: after a signal; what was finished is kept.
    """
    options = options or JobOptions()
    folder = view.root / ".jobs"
    items = []
    for comic in view.comics():
        try:
            items.append(_item(view, comic, folder, reuse=options.resume != "never"))
        except InputError as error:
            items.append(Item(comic, "unreadable", error.fact))
    if not items:
        raise InputError(f"{view.root} holds no comics")
    if not options.dry_run:
        folder.mkdir(parents=True, exist_ok=True)
    report = run_job(
        JOB,
        items,
        print_comic,
        _keep,
        ledger_folder=folder,
        settings=SETTINGS,
        options=options,
        progress=progress,
        present=lambda item, summary: Path(item.payload.cache).exists(),
    )
    tasks = [item.payload for item in items if isinstance(item.payload, PrintTask)]
    return read_prints([] if options.dry_run else tasks, folder), report


def print_comic(task: PrintTask | str) -> PrintedComic:
    """Fingerprint the pages of one comic; runs in a worker. Unchanged pages keep what the cache has of them."""
    if isinstance(task, str):
        raise InputError(task)  # the records of this comic cannot be read
    kept = {line["page"]: line for line in _cached(Path(task.cache))} if task.reuse else {}
    out = PrintedComic()
    for number, picture, stamp in task.pages:
        line = kept.get(number)
        if line is None or line.get("stamp") != stamp:
            try:
                if picture is None:
                    raise InputError(stamp)
                line = {**fingerprint_page(number, picture).as_json(), "stamp": stamp, "version": VERSION}
                out.read += 1
            except ComicError as error:
                out.problems.append(f"page {number}: {error.fact}")
                continue
        out.lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
    return out


def read_prints(tasks: Sequence[PrintTask], folder: Path) -> FingerprintTable:
    """The table of all fingerprints there are, in the order of the tasks; `folder` gets the file of the pictures."""
    comics: list[str] = []
    ids: list[str] = []
    comic_of: list[int] = []
    found: list[Fingerprint] = []
    with tempfile.TemporaryFile(dir=folder if folder.is_dir() else None) as stream:
        for task in tasks:
            current = {number: stamp for number, _, stamp in task.pages}
            lines = [line for line in _cached(Path(task.cache)) if current.get(line["page"]) == line.get("stamp")]
            prints = sorted((from_json(line) for line in lines), key=lambda each: each.page)
            for each in prints:
                stream.write(each.pictures.tobytes())
            comic_of += [len(comics)] * len(prints)
            ids += [f"{task.comic}/{each.page}" for each in prints]
            found += [replace(each, pictures=np.empty((len(each.pictures), 0, 0), np.uint8)) for each in prints]
            comics.append(task.comic)
        stream.flush()
        parts = np.array([len(each.pictures) for each in found], np.int64)
        shape = (int(parts.sum()), SIDE, SIDE)
        # the mapping outlives the stream; the file has no name and goes with it
        pictures = np.memmap(stream, np.uint8, mode="r", shape=shape) if shape[0] else np.empty(shape, np.uint8)
    row_page = np.repeat(np.arange(len(found)), parts)
    starts = np.cumsum(parts) - parts
    return FingerprintTable(
        comics=comics,
        ids=ids,
        comic_of=np.array(comic_of, np.int64),
        numbers=np.array([each.page for each in found], np.int64),
        files=[each.file_digest for each in found],
        pixels=[each.pixel_digest for each in found],
        near_empty=np.array([each.near_empty for each in found], bool),
        shapes=np.array([each.width / each.height for each in found], np.float64),
        pictures=pictures,
        row_page=row_page,
        row_part=np.arange(len(row_page)) - starts[row_page],
    )


def _item(view: CorpusView, comic: str, folder: Path, *, reuse: bool) -> Item:
    pages = []
    for record in view.pages(comic):
        picture: PagePicture | None = None
        try:
            picture = view.picture(record)
            stamp = state_of_picture(picture)
        except InputError as error:
            stamp = error.fact
        except OSError:
            stamp = "missing"  # the worker says so; a file that appears later changes the stamp
        pages.append((record.page, picture, stamp))
    together = blake2b(
        json.dumps([(page, stamp) for page, _, stamp in pages]).encode("ascii"), digest_size=12
    ).hexdigest()
    # names that differ only in forbidden characters become the same component, hence the digest
    digest = blake2b(comic.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    cache = folder / "fingerprints" / f"{safe_component(comic)[:60]}-{digest}.jsonl"
    return Item(comic, together, PrintTask(comic, tuple(pages), str(cache), reuse))


def _keep(item: Item, printed: PrintedComic) -> Done:
    write_text(Path(item.payload.cache), "".join(line + "\n" for line in printed.lines))
    problems = printed.problems[:MOST_PROBLEMS]
    if len(printed.problems) > MOST_PROBLEMS:
        problems.append(f"and {len(printed.problems) - MOST_PROBLEMS} more pages that cannot be read")
    return Done({"pages": len(printed.lines), "read": printed.read}, [Problem(item.key, line) for line in problems])


def _cached(file: Path) -> list[dict[str, Any]]:
    """The lines of a cache file; what is damaged or of another version is left out and so read again."""
    lines = []
    for text in read_bounded(file, default=b"", most_bytes=MOST_BYTES).split(b"\n"):
        with suppress(InputError):
            value = parse_json(text, "")
            from_json(value)
            if value.get("version") == VERSION:
                lines.append(value)
    return lines
