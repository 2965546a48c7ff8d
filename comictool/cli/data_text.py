"""`comictool data text`: the words of a corpus."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Annotated

import typer

from comictool.cli.data import CorpusFolder
from comictool.cli.options import Direction, Loading, command
from comictool.cli.output import Output
from comictool.cli.reporting import note_turned, report_job
from comictool.core.errors import UsageError
from comictool.core.jobs import JobOptions, JobReport
from comictool.words.vlm_options import VlmOptions

Engine = Annotated[
    str,
    typer.Option("--engine", metavar="rapidocr|tesseract|vlm|PLUGIN", help="What reads: an engine, or an ocr plugin."),
]
MinConfidence = Annotated[
    float, typer.Option("--min-confidence", min=0.0, max=1.0, help="Lines that are read less surely are left out.")
]


@command
def text(
    corpus: CorpusFolder,
    engine: Engine = "rapidocr",
    min_confidence: MinConfidence = 0.5,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", help="Of the pages, for engines that have to be told (repeatable): en, jpn_vert."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also read pages whose texts come from elsewhere; those are lost.")
    ] = False,
    direction: Direction = None,
    *,
    loading: Loading,
    service: VlmOptions,
    job: JobOptions,
    out: Output,
) -> int:
    """Read the words of every page.

    Lines are grouped into balloons, put in reading order, and assigned to panels; so find the panels first. Pages whose
    texts come from annotations, a person or another engine are left alone. rapidocr needs `pip install
    'comictool[ocr]'` and no network; it reads Latin letters, Japanese (columns too) and Chinese. tesseract is the
    program of that name, which has to be told the --language. With --dry-run it reads three pages and says how long all
    would take.

    vlm asks a vision-language model of an OpenAI-compatible service, -j pages at once (8); the key comes from
    COMICTOOL_API_KEY or OPENAI_API_KEY. Answers are cached by content, so no page is paid for twice; --dry-run says
    what a run would cost.

    Example: comictool data text corpus --engine rapidocr

    Example: comictool data text corpus --engine vlm --base-url http://127.0.0.1:8000/v1 --model NAME --dry-run
    """
    from time import monotonic

    from comictool.formats.registry import open_native
    from comictool.words.direction import follow_columns
    from comictool.words.engines import EngineOptions, make_reading
    from comictool.words.expected import expected
    from comictool.words.job import read_corpus

    if engine == "vlm" and loading.offline:
        raise UsageError("--engine vlm asks a service, and --offline forbids the network")
    options = EngineOptions(engine, loading.spec(engine), min_confidence, tuple(language or ()), service)
    reading, opened = make_reading(options), open_native(corpus)
    read = partial(read_corpus, opened, reading, direction=direction, replace=replace)
    if engine == "vlm":
        from comictool.words.vlm_estimate import estimate

        planned = read(options=dataclasses.replace(job, dry_run=True))
        out.note(str(estimate(service, planned.to_do, job.jobs)))
    began = monotonic()
    report = read(options=job, progress=out.progress())
    if job.dry_run and reading.free:
        out.note(str(expected(report, reading, job.jobs)))
    elif report.new["pages"]:
        note_speed(out, report, monotonic() - began)
    if engine == "vlm" and not job.dry_run:
        out.note(str(reading.find))  # answers, and what they cost
    later = [f"comictool embed {corpus} -o {corpus / 'store'}"]
    if not job.dry_run and (turned := follow_columns(opened)):
        note_turned(out, turned)
        later = [f"comictool data panels {corpus}", f"comictool data text {corpus}", *later]  # count them anew
    return report_job(out, report, {"corpus": str(corpus)}, later)


def note_speed(out: Output, report: JobReport, seconds: float) -> None:
    """Say how long reading took: it is what takes longest in a library."""
    from comictool.words.expected import duration

    pages = report.new["pages"]
    out.note(f"{pages:,} pages read in {duration(seconds)}: {pages / max(seconds, 1e-3):.2g} pages a second")
