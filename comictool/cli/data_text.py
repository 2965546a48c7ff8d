"""`comictool data text`: the words of a corpus."""

from __future__ import annotations

from typing import Annotated

import typer

from comictool.cli.data import CorpusFolder
from comictool.cli.options import Direction, Loading, command
from comictool.cli.output import Output
from comictool.cli.reporting import report_job
from comictool.core.jobs import JobOptions

Engine = Annotated[
    str, typer.Option("--engine", metavar="rapidocr|PLUGIN", help="What reads: an engine, or an ocr plugin's folder.")
]
MinConfidence = Annotated[
    float, typer.Option("--min-confidence", min=0.0, max=1.0, help="Lines that are read less surely are left out.")
]


@command
def text(
    corpus: CorpusFolder,
    engine: Engine = "rapidocr",
    min_confidence: MinConfidence = 0.5,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also read pages whose texts come from elsewhere; those are lost.")
    ] = False,
    direction: Direction = None,
    *,
    loading: Loading,
    job: JobOptions,
    out: Output,
) -> int:
    """Read the words of every page.

    Lines are grouped into balloons, put in reading order, and assigned to panels; so find the panels first. Pages whose
    texts come from annotations, a person or another engine are left alone. rapidocr needs `pip install
    'comictool[ocr]'` and no network; it reads Latin letters, Japanese (columns too) and Chinese.

    Example: comictool data text corpus --engine rapidocr
    """
    from comictool.formats.registry import open_native
    from comictool.words.engines import EngineOptions, make_reading
    from comictool.words.job import read_corpus

    reading = make_reading(EngineOptions(engine, loading.spec(engine), min_confidence))
    report = read_corpus(
        open_native(corpus), reading, direction=direction, replace=replace, options=job, progress=out.progress()
    )
    return report_job(out, report, {"corpus": str(corpus)}, [f"comictool embed {corpus} -o {corpus / 'store'}"])
