"""`comictool demo`: see the whole main path work, with nothing but the program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.options import Seed, command
from comictool.cli.output import Format, Output
from comictool.core.errors import ExitCode


@command
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path("comictool-demo"),
    seed: Seed = 7,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=0, help="Workers; 0 is one for each core.")] = 0,
    *,
    out: Output,
) -> int:
    """Draw a small comic library, index it, search it, and write a report page.

    Needs no data, network, weights or GPU. Asks three questions whose answers are known (a poor copy of a page, a
    part of a page, a panel cut out) and fails when a right answer does not come first.

    Example: comictool demo -o comictool-demo
    """
    from comictool.library.demo import run_demo

    report = run_demo(output, seed=seed, jobs=jobs, progress=out.progress())
    facts = report.facts()
    answers = [
        {
            "question": q.title,
            "expected": q.expected,
            "found": q.hits[0].id if q.hits else None,
            "score": q.hits[0].score if q.hits else None,
            "right": q.right,
        }
        for q in report.questions
    ]
    if out.format is Format.table:
        out.rows(answers, ["question", "expected", "found", "score", "right"])
        for line in (
            f"{facts['pages']} pages drawn, packed as CBZ, imported and indexed in {facts['seconds']} s",
            f"panels: {facts['panels_drawn']} drawn, {facts['panels_found']} found, {facts['panels_right']} right",
            f"pages with all panels right: {facts['pages_all_right']} of {facts['pages']} (some are drawn to be hard)",
            f"report: {report.page}",
        ):
            out.note(line)
    else:
        out.record({**facts, "answers": answers})
    out.next_commands([f"comictool query {report.library} --image {report.questions[0].picture}"])
    return ExitCode.DONE
