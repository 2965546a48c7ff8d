"""How a command reports what its job did: one record on standard output, the same fields for every job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from comictool.cli.output import Format, Output
from comictool.core.errors import ExitCode
from comictool.core.jobs import JobReport

if TYPE_CHECKING:
    from comictool.corpus.importing.forecast import Forecast


def as_record(report: JobReport) -> dict[str, Any]:
    """`items, done, skipped, failed`, then the job's own totals, then `problems`."""
    return {
        "items": report.total,
        "done": report.done,
        "skipped": report.skipped,
        "failed": report.failed,
        **{kind: len(names) for kind, names in report.changes.items()},
        **report.totals,
        "problems": [{"item": problem.key, "reason": problem.message} for problem in report.problems],
    }


def report_job(out: Output, report: JobReport, facts: Mapping[str, Any], next_commands: Sequence[str]) -> int:
    """Write the record, remind of problems from earlier runs, name the next commands; gives the exit code."""
    remind(out, report)
    if report.planned:
        out.rows([{"item": key} for key in report.planned], ["item"])
        out.note(f"{len(report.planned)} of {report.total} would be done")
        return ExitCode.DONE
    record = {**facts, **as_record(report)}
    if out.format is Format.table:
        record = {name: value for name, value in record.items() if name != "problems" or value}
        record["problems"] = len(report.problems)
    out.record(record)
    if report.exit_code == ExitCode.DONE:
        out.next_commands(next_commands)
    return report.exit_code


MOST_NAMED = 10


def note_changes(out: Output, report: JobReport, *, pruned: bool) -> None:
    """Say which comics were moved and which are gone; added and changed ones are counted in the record."""
    for kind, what in (("moved", "moved, kept"), ("gone", "gone, removed" if pruned else "gone")):
        names = report.changes.get(kind, [])
        for name in names[:MOST_NAMED]:
            out.note(f"{name}: {what}")
        if len(names) > MOST_NAMED:
            out.note(f"and {len(names) - MOST_NAMED} more {what}")
    if copies := report.totals["comics_by_copy"]:
        out.note(f"kept by copy: {copies:,} comics, their pages cannot be read singly")
    if report.changes.get("gone") and not pruned:
        out.note("their files are gone; --prune removes these comics here as well")


def note_forecast(out: Output, expected: Forecast | None) -> None:
    """Say what an import would take, and when the disk has no room for it."""
    if expected is None or not expected.pages:
        return
    out.note(f"{expected.comics:,} comics to import: {expected}")
    if not expected.fits:
        out.warn("this does not fit on the disk; --keep reference leaves pages in their comic files")


def note_doubtful(out: Output, report: JobReport) -> None:
    """Name the pages whose panels may be wrong, and those on which none were found, though they may have some."""
    for kind, what in (("doubtful", "no panels found, but it may have some"), ("unsure", "its panels are uncertain")):
        names = report.changes.get(kind, [])
        for name in names[:MOST_NAMED]:
            out.note(f"{name}: {what}")
        if len(names) > MOST_NAMED:
            out.note(f"and {len(names) - MOST_NAMED} more {kind} pages (panels_doubtful in their records)")


def note_turned(out: Output, comics: Sequence[str]) -> None:
    """Name the comics that are read from right to left now, for their words stand in columns."""
    for name in comics[:MOST_NAMED]:
        out.note(f"{name}: its words stand in columns, so it is read from right to left (--direction ltr: it is not)")
    if len(comics) > MOST_NAMED:
        out.note(f"and {len(comics) - MOST_NAMED} more comics whose words stand in columns")


def remind(out: Output, report: JobReport) -> None:
    """Report what was not said while the job ran, and again what went wrong with items that an earlier run finished."""
    for problem in report.problems:
        if not problem.fresh:
            out.note(f"{problem} (seen in an earlier run)")
        elif str(problem) not in report.told:
            report.told.add(str(problem))
            out.note(str(problem))
