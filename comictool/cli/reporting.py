"""How a command tells what its job did: one record on standard output, the same fields for every job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from comictool.cli.output import Format, Output
from comictool.core.errors import ExitCode
from comictool.core.jobs import JobReport


def as_record(report: JobReport) -> dict[str, Any]:
    """`items, done, skipped, failed`, then the job's own totals, then `problems`."""
    return {
        "items": report.total,
        "done": report.done,
        "skipped": report.skipped,
        "failed": report.failed,
        **report.totals,
        "problems": [{"item": problem.key, "reason": problem.message} for problem in report.problems],
    }


def tell(out: Output, report: JobReport, facts: Mapping[str, Any], next_commands: Sequence[str]) -> int:
    """Write the record, remind of problems from earlier runs, name the next commands; gives the exit code."""
    if report.planned:
        out.rows([{"item": key} for key in report.planned], ["item"])
        out.note(f"{len(report.planned)} of {report.total} would be done")
        return ExitCode.DONE
    remind(out, report)
    record = {**facts, **as_record(report)}
    if out.format is Format.table:
        record = {name: value for name, value in record.items() if name != "problems" or value}
        record["problems"] = len(report.problems)
    out.record(record)
    if report.exit_code == ExitCode.DONE:
        out.next_commands(next_commands)
    return report.exit_code


def remind(out: Output, report: JobReport) -> None:
    """Tell again what went wrong with items that an earlier run finished; this run's own are told already."""
    for problem in report.problems:
        if not problem.fresh:
            out.note(f"{problem.key}: {problem.message} (seen in an earlier run)")
