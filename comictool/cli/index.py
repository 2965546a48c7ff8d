"""`comictool index`: the main path in one command."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.data import Direction, Password, check_direction
from comictool.cli.options import Loading, OutputFolder, PluginName, command
from comictool.cli.output import Format, Output
from comictool.cli.reporting import as_record, remind, tell
from comictool.core.errors import ExitCode
from comictool.core.jobs import JobOptions


@command
def index(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Comic files, image folders, or trees.")],
    output: OutputFolder,
    direction: Direction = None,
    password: Password = None,
    plugin: PluginName = "classic",
    *,
    loading: Loading,
    job: JobOptions,
    out: Output,
) -> int:
    """Make comics searchable: import, find panels, embed, in one go.

    Run it again to add what is new or changed, or to go on after it was stopped: finished work is skipped. Bad
    files and pages are named with the reason, and the rest goes on.

    Example: comictool index ~/Comics -o library
    """
    from comictool.library.building import build_library, example_queries
    from comictool.search.encoders import SpecChoice

    check_direction(direction)
    report = build_library(
        paths, output, SpecChoice(loading.spec(plugin)), direction=direction, password=password,
        options=job, progress=out.progress(),
    )  # fmt: skip
    if job.dry_run:
        return tell(out, report.imported, {"library": str(output)}, [])
    remind(out, report.imported)
    steps = {step.name.split()[-1]: as_record(step) for step in report.steps}
    if out.format is Format.table:
        out.record(report.summary(output))
    else:
        out.record({**report.summary(output), "steps": steps})
    if report.exit_code != ExitCode.INPUT:
        out.next_commands(["comictool " + shlex.join(arguments) for arguments in example_queries(output)])
    return report.exit_code
