"""Made comics with a known page order: what a generator hands over, pages that carry their number, and the oracle.

A generator is a module of its own with `make(seed, folder) -> Made`: the same seed makes the same comic, anywhere.
`tests/bench/generated.py` runs all of them; the suite runs a slice of each.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from comictool.core.jobs import JobOptions, JobReport
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics

COLUMNS, ROWS = 4, 6
_BITS = COLUMNS * ROWS // 2  # the second half of the cells is the opposite of the first
OUTCOMES = ("right", "reported", "needless", "lost", "doubled", "wrong order", "crashed")
GOOD = ("right", "reported")


@dataclass(frozen=True)
class Made:
    """A made comic.

    Attributes:
        path: what is imported: a file, or a folder of files or pictures.
        kind: its row in the table, e.g. `zip odd` or `epub damaged`.
        pages: the numbers of its pages in the right order; one that is shown twice stands there twice.
        may_be_reported: the numbers of pages that need not arrive, if a problem is reported.
        description: what is odd about it, for whoever reads a failure.
        doubtful_order: the order of the pages cannot be told for certain (as without a table of contents).
    """

    path: Path
    kind: str
    pages: list[int]
    may_be_reported: frozenset[int] = field(default_factory=frozenset)
    description: str = ""
    doubtful_order: bool = False


def numbered_picture(number: int, size: tuple[int, int] = (64, 96)) -> Image.Image:
    """A grey page that shows a number of 0 to 4095 as a grid of dark and light fields."""
    bits = [number >> place & 1 for place in range(_BITS)]
    cells = np.array([*bits, *(1 - bit for bit in bits)], dtype=np.uint8).reshape(ROWS, COLUMNS)
    return Image.fromarray(40 + 180 * cells).resize(size, Image.Resampling.NEAREST)


def numbered(
    number: int, size: tuple[int, int] = (64, 96), kind: str = "JPEG", mode: str = "L", **save: object
) -> bytes:
    """An encoded page that shows its number."""
    stream = io.BytesIO()
    numbered_picture(number, size).convert(mode).save(stream, kind, **save)
    return stream.getvalue()


def read_number(picture: Image.Image) -> int | None:
    """The number that a page shows, however it was scaled or compressed; None when it shows none."""
    small = picture.convert("L").resize((COLUMNS * 5, ROWS * 5), Image.Resampling.BOX)
    cells = np.asarray(small).reshape(ROWS, 5, COLUMNS, 5)[:, 1:4, :, 1:4].mean(axis=(1, 3)).reshape(-1) > 130
    first, second = cells[:_BITS], cells[_BITS:]
    return None if (first == second).any() else int((first << np.arange(_BITS)).sum())


def imported(path: Path, scratch: Path) -> tuple[list[int | None], JobReport]:
    """Import a comic into an empty corpus: the numbers of its pages in their order, and the report of the job."""
    corpus = Corpus.create(scratch)
    report = import_comics([path], corpus, options=JobOptions(jobs=1))
    numbers = []
    for record in corpus.all_pages():
        with Image.open(corpus.image_path(record)) as picture:
            numbers.append(read_number(picture))
    return numbers, report


def outcome(made: Made, numbers: list[int | None], report: JobReport) -> str:
    """The oracle: one of OUTCOMES for what arrived of a made comic."""
    if any("unexpected" in problem.message for problem in report.problems):
        return "crashed"
    expected, got = Counter(made.pages), Counter(numbers)
    if got - expected:
        return "doubled"  # or a page that is none of its own
    missing = expected - got
    if missing and not report.problems:
        return "lost"
    if not made.doubtful_order and not _is_subsequence(numbers, made.pages):
        return "wrong order"
    if set(missing) - made.may_be_reported:
        return "needless"  # reported, but it could have been read
    return "reported" if report.problems else "right"


def _is_subsequence(some: list[int | None], whole: list[int]) -> bool:
    rest = iter(whole)
    return all(number in rest for number in some)
