"""What an import is going to take, before it begins: pages, bytes and time, measured on a few pages of a few comics."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comictool.archives.opening import open_comic
from comictool.core.errors import ComicError
from comictool.core.images import decode_array
from comictool.core.workers import cores
from comictool.corpus.importing.following import size_of_source
from comictool.corpus.importing.page_files import page_file
from comictool.corpus.importing.staging import ImportTask

if TYPE_CHECKING:
    import numpy as np

COMICS, PAGES = 6, 2  # that are opened, and pages of each that are read: a second or two of work
RECORD_BYTES = 1500  # of a page: its record and line of metadata; the comics in the test data take 700 to 2,000

Later = Callable[["np.ndarray"], int]
"""What is done with a page after it was imported, (H, W, 3) uint8; gives the bytes that it leaves."""


@dataclass(frozen=True)
class Forecast:
    """What is to be expected.

    Attributes:
        comics: whose files are to be imported.
        pages: in them; counted in a few of the files, by size for the rest.
        bytes: that the folder will grow by.
        seconds: with the workers that were asked for.
        free_bytes: on the disk of the folder.
    """

    comics: int
    pages: int
    bytes: int
    seconds: float
    free_bytes: int

    @property
    def fits(self) -> bool:
        """Whether the disk has room for it."""
        return self.bytes <= self.free_bytes

    def __str__(self) -> str:
        minutes = f"{self.seconds / 60:,.0f} minutes" if self.seconds >= 90 else f"{self.seconds:.0f} seconds"
        return f"about {self.pages:,} pages, {_size(self.bytes)} ({_size(self.free_bytes)} are free), {minutes}"


def forecast(tasks: Sequence[ImportTask], root: Path, *, later: Later | None = None, jobs: int = 0) -> Forecast:
    """Measure a few pages of a few comics, spread over all of them, and say what all will take. Writes nothing to keep.

    Args:
        tasks: what is to be imported.
        root: where it will lie.
        later: the steps after importing.
        jobs: workers; 0 is one for each core.
    """
    place = next(folder for folder in (root.resolve(), *root.resolve().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    step = max(1, -(-len(tasks) // COMICS))
    sizes = [_size_of(task) for task in tasks]
    looked = pages = read = stored = 0
    opening = working = 0.0
    for task, size in list(zip(tasks, sizes, strict=True))[::step]:
        began = time.perf_counter()
        try:
            with (
                tempfile.TemporaryDirectory() as scratch,
                open_comic(
                    task.source.path,
                    task.password,
                    nested=task.source.nested,
                    scratch=Path(scratch),
                    limits=task.limits,
                    text_books=task.text_books,
                ) as comic,
            ):
                opening += time.perf_counter() - began
                looked += size
                pages += len(comic.members)
                refer = task.by_reference and comic.reads_singly and task.password is None
                for member in comic.members[:: -(-len(comic.members) // PAGES)]:
                    began = time.perf_counter()
                    try:
                        data = comic.read(member)
                        file = page_file(data)
                        stored += 0 if refer and file.data == data else len(file.data)
                        stored += RECORD_BYTES + (later(decode_array(file.data)) if later is not None else 0)
                        read += 1
                    except ComicError:
                        continue  # the import will name it
                    working += time.perf_counter() - began
        except ComicError:
            continue
    if not read or not pages:
        return Forecast(len(tasks), 0, 0, 0.0, free)
    every = pages * (sum(sizes) / looked) if looked else pages
    seconds = every * (working / read + opening / pages) / min(jobs or cores(), cores())
    return Forecast(len(tasks), round(every), round(every * stored / read), seconds, free)


def _size_of(task: ImportTask) -> int:
    try:
        return 0 if task.source.kind == "link" else size_of_source(task.source)
    except OSError:
        return 0


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
