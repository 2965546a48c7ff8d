"""`comictool doctor`."""

from __future__ import annotations

from pathlib import Path

from comictool.cli.options import command
from comictool.cli.output import Format, Output
from comictool.core.errors import ExitCode


@command
def doctor(*, out: Output) -> int:
    """Say what this machine has, what is missing, and how to get it.

    Paste the answer into a bug report. Exit code 1 when something that is needed is missing or broken;
    optional things that are missing (a GPU, an extractor for RAR) are no failure.

    Example: comictool doctor --json
    """
    from comictool.library.health import as_record, examine

    checks = examine(Path.cwd())
    record = as_record(checks)
    if out.format is Format.table:
        marks = {"ok": "ok", "optional": "-", "failed": "FAILED"}
        rows = [{"": marks[c.status], "check": c.name, "found": c.detail, "fix": c.fix} for c in checks]
        out.rows(rows, ["", "check", "found", "fix"])
    elif out.format is Format.json:
        out.record(record)
    else:
        out.rows(record["checks"], ["name", "status", "detail", "fix"])
    failed = [check.name for check in checks if check.status == "failed"]
    if failed:
        out.warn(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
        return ExitCode.FINDINGS
    return ExitCode.DONE
