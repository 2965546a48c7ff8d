"""`comictool index`: the main path in one command."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comictool.cli.data_text import note_speed
from comictool.cli.options import Loading, OutputFolder, PluginName, WholeJob, command
from comictool.cli.output import Format, Output
from comictool.cli.reporting import (
    as_record,
    note_changes,
    note_doubtful,
    note_forecast,
    note_turned,
    remind,
    report_job,
)
from comictool.core.errors import ExitCode
from comictool.corpus.importing.options import ImportOptions

if TYPE_CHECKING:
    from comictool.words.engines import Reading


@command
def index(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Comic files, image folders, or trees.")],
    output: OutputFolder,
    plugin: PluginName = "classic",
    text: Annotated[
        bool | None,
        typer.Option(
            "--text/--no-text",
            envvar="COMICTOOL_TEXT",
            show_default="when its engine is installed",
            help="Read the words too, which takes longest.",
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="rapidocr|tesseract|PLUGIN", help="What reads them.")
    ] = "rapidocr",
    *,
    chosen: ImportOptions,
    loading: Loading,
    job: WholeJob,
    out: Output,
) -> int:
    """Make comics searchable: import, panels, words, vectors, in one go.

    Run it again to add what is new or changed, or to resume after it was stopped: finished work is skipped. A file
    that was moved or renamed stays the same comic. What is gone is told, and removed with --prune.
    Unreadable files and pages are reported and skipped. Words are read when `pip install 'comictool[ocr]'` was done.

    Example: comictool index ~/Comics -o library
    """
    from comictool.library.building import build_library, example_queries

    reading = _reading(text, engine, loading)
    report = build_library(
        paths, output, loading.spec(plugin), chosen, reading=reading, options=job, progress=out.progress()
    )
    if job.dry_run:
        note_changes(out, report.imported, pruned=False)
        note_forecast(out, report.forecast)
        return report_job(out, report.imported, {"library": str(output)}, [])
    remind(out, report.imported)
    note_changes(out, report.imported, pruned=chosen.prune)
    if report.panels is not None:
        note_doubtful(out, report.panels)
        if report.words is None:
            _note_unread(out, text, report.panels.totals["pages"], job.workers)
        elif report.words.new["pages"]:
            note_speed(out, report.words, report.reading_seconds)
    note_turned(out, report.turned)
    steps = {step.name.split()[-1]: as_record(step) for step in report.steps}
    if out.format is Format.table:
        out.record(report.summary(output))
    else:
        out.record({**report.summary(output), "steps": steps})
    if report.exit_code != ExitCode.INPUT:
        out.next_commands(["comictool " + shlex.join(arguments) for arguments in example_queries(output)])
    return report.exit_code


def _reading(wanted: bool | None, engine: str, loading: Loading) -> Reading | None:
    """What reads the words; None when they are not wanted, or not asked for and the engine is not installed."""
    from comictool.words.engines import EngineOptions, make_reading, shipped

    absent = any(own.name == engine and own.missing for own in shipped())
    if wanted is False or (wanted is None and absent):
        return None
    return make_reading(EngineOptions(engine, loading.spec(engine)))


def _note_unread(out: Output, wanted: bool | None, pages: int, workers: int) -> None:
    """Say what it would take to have the words too, to whom has not declined."""
    from comictool.words.engines import shipped
    from comictool.words.expected import duration

    engine = shipped()[0]
    if wanted is None:
        time = duration(pages * engine.seconds / workers)
        out.note(f"words are not read ({engine.missing}): {engine.install}, then about {time} for {pages:,} pages")
