"""`data text`: the words of every page of a corpus, careful with texts that others wrote."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

from comictool.core.errors import UsageError
from comictool.core.jobs import JobOptions, JobReport
from comictool.core.progress import Progress
from comictool.corpus.annotating import Stage, annotate
from comictool.corpus.corpus import Corpus
from comictool.corpus.read_texts import READING
from comictool.corpus.records import DIRECTIONS, PageRecord
from comictool.words.engines import Reading
from comictool.words.page import question_of

CHUNK = 4  # pages; ten seconds of reading, which is what a kill costs


def read_corpus(
    corpus: Corpus,
    reading: Reading,
    *,
    direction: str | None = None,
    replace: bool = False,
    options: JobOptions | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Read every page and write its texts into the page records; a job that annotates (`annotate`).

    A page with texts of another source (annotations, a person, another engine) is left alone.

    Args:
        reading: the engine, from `words.engines.make_reading`.
        direction: "ltr", "rtl" or "ttb" for all comics; by default each page's own.
        replace: read those pages too; their texts are lost.
        options, progress: of the job.

    Raises:
        UsageError: an unknown direction.
        Stopped: after a signal; the same call continues from there.
    """
    if direction is not None and direction not in DIRECTIONS:
        raise UsageError(f"direction is {', '.join(DIRECTIONS)}, not {direction!r}")
    options = options or JobOptions()
    if reading.at_once and not options.jobs:
        options = dataclasses.replace(options, jobs=reading.at_once)
    boxes_too = reading.merge is None
    ask = partial(_ask, source=reading.source, direction=direction, replace=replace, boxes_too=boxes_too)
    merge, chunk = reading.merge or _take_over, reading.chunk or CHUNK
    stage = Stage(READING, reading.model, ask, reading.find, merge, reading.settings, reading.workers, chunk)
    return annotate(corpus, stage, options=options, progress=progress)


def _ask(record: PageRecord, *, source: str, direction: str | None, replace: bool, boxes_too: bool) -> Any:
    foreign = any(text.source != source and (boxes_too or text.text) for text in record.texts)
    return None if foreign and not replace else question_of(record, direction)


def _take_over(record: PageRecord, found: PageRecord) -> None:
    record.texts = found.texts
