"""What reading a corpus would take, before it begins: pages and time, measured on a few of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from comictool.core.errors import ComicError
from comictool.core.files import read_bounded
from comictool.core.images import MAX_BYTES, decode_array
from comictool.core.jobs import JobReport
from comictool.core.workers import cores
from comictool.corpus.annotating import looked_at
from comictool.words.engines import Reading

SAMPLE = 3  # pages that are read, spread over all


@dataclass(frozen=True)
class Expected:
    """Pages that are to be read, and the seconds that this takes with the workers that were asked for."""

    pages: int
    seconds: float

    def __str__(self) -> str:
        return f"about {self.pages:,} pages to read, {duration(self.seconds)}"


def expected(report: JobReport, reading: Reading, jobs: int = 0) -> Expected:
    """Read some of the pages of a dry run of `words.job.read_corpus`; nothing is kept.

    Args:
        jobs: workers; 0 is one for each core.
    """
    pages = looked_at(report.to_do)
    took, read = 0.0, 0
    for picture, asked in pages[:: -(-len(pages) // SAMPLE)] if pages else []:
        try:
            data = read_bounded(picture, most_bytes=MAX_BYTES) if isinstance(picture, Path) else picture.read_bytes()
            image = decode_array(data)
            if not read:
                reading.find(image[:64, :64], asked)  # opens the model, which a worker does once
            began = time.perf_counter()
            reading.find(image, asked)
        except ComicError:
            continue  # the job will name it
        took, read = took + time.perf_counter() - began, read + 1
    each = took / read if read else 0.0
    return Expected(len(pages), len(pages) * each / min(jobs or cores(), cores()))


def duration(seconds: float) -> str:
    """In the largest unit that leaves a sensible number."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} seconds"
