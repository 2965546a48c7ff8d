"""`comictool index`: the main path in one command."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.options import Loading, OutputFolder, PluginName, WholeJob, command
from comictool.cli.output import Format, Output
from comictool.cli.reporting import as_record, note_changes, note_doubtful, note_forecast, remind, report_job
from comictool.core.errors import ExitCode
from comictool.corpus.importing.options import ImportOptions


@command
def index(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Comic files, image folders, or trees.")],
    output: OutputFolder,
    plugin: PluginName = "classic",
    *,
    chosen: ImportOptions,
    loading: Loading,
    job: WholeJob,
    out: Output,
) -> int:
    """Make comics searchable: import, find panels, embed, in one go.

    Run it again to add what is new or changed, or to resume after it was stopped: finished work is skipped. A file
    that was moved or renamed stays the same comic. What is gone is told, and removed with --prune.
    Unreadable files and pages are reported and skipped.

    Example: comictool index ~/Comics -o library
    """
    from comictool.library.building import build_library, example_queries

    report = build_library(paths, output, loading.spec(plugin), chosen, options=job, progress=out.progress())
    if job.dry_run:
        note_changes(out, report.imported, pruned=False)
        note_forecast(out, report.forecast)
        return report_job(out, report.imported, {"library": str(output)}, [])
    remind(out, report.imported)
    note_changes(out, report.imported, pruned=chosen.prune)
    if report.panels is not None:
        note_doubtful(out, report.panels)
    steps = {step.name.split()[-1]: as_record(step) for step in report.steps}
    if out.format is Format.table:
        out.record(report.summary(output))
    else:
        out.record({**report.summary(output), "steps": steps})
    if report.exit_code != ExitCode.INPUT:
        out.next_commands(["comictool " + shlex.join(arguments) for arguments in example_queries(output)])
    return report.exit_code
