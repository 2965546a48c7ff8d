"""`comictool reid learn`: what a person corrected becomes known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.options import DryRun, Loading, command
from comictool.cli.output import Output
from comictool.cli.reid import show_run
from comictool.cli.reid_options import (
    ChosenMode,
    Far,
    GalleryFolder,
    Margin,
    Report,
    Resume,
    Threshold,
    TopK,
    Unknown,
    Vectors,
    parse_threshold,
    undecided_folders,
)
from comictool.core.errors import ExitCode
from comictool.core.workers import numpy_with_one_thread


@command
def learn(
    sorted_dir: Annotated[Path, typer.Argument(metavar="SORTED", help="A result folder of classify or cluster.")],
    gallery: GalleryFolder,
    corrections: Annotated[
        Path | None, typer.Option("--corrections", metavar="FILE", help="What was ticked in the report and saved.")
    ] = None,
    mode: ChosenMode = None,
    threshold: Threshold = None,
    far: Far = None,
    margin: Margin = None,
    top_k: TopK = 5,
    unknown: Unknown = None,
    report: Report = None,
    resume: Resume = True,
    dry_run: DryRun = False,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:
    """Learn from what a person corrected in sorted pictures, and sort the rest anew.

    A picture that was moved into a character's folder becomes a reference of that character; one that was moved out of
    it, or refused in the report, never gets that name again, and what is more like it than like a reference does not
    either. A group's folder with a character's name says it of all in it. The gallery grows, every other picture is
    decided anew and moved to where it belongs. `comictool reid undo` takes all of it back, also from the gallery.

    Example: comictool reid learn sorted -g gallery --corrections corrections.json
    """
    numpy_with_one_thread()
    from comictool.reid.enrolled import gallery_thresholds
    from comictool.reid.sorting.actions import SortOptions
    from comictool.reid.sorting.learning import prepare_learning

    options = SortOptions(
        "move",
        "rename",
        *undecided_folders(unknown),
        mode=mode or "",
        threshold=parse_threshold(threshold),
        far=far,
        margin=margin,
        top=top_k,
    )
    reader = vectors.reader(loading, out)
    run = prepare_learning(sorted_dir, gallery, corrections, options, reader=reader, dry_run=dry_run, resume=resume)
    show_run(run, out, report, dry_run=dry_run)
    lesson, counts = run.lesson, run.counts
    names = len({character for character, _, _ in lesson.references})
    learned = f"{len(lesson.references)} (of characters: {names}), refusals: {len(lesson.refused)}"
    out.note(f"references learned: {learned}, pictures moved: {counts['moved']}")
    out.note(", ".join(f"{counts[status]} {status}" for status in ("ok", "unknown", "ambiguous", "error")))
    if not dry_run:
        warned = gallery_thresholds(run.gallery)[1] if run.gallery and run.gallery.references else []
        for line in warned:
            out.warn(line)
        outdated = [f"comictool reid calibrate -g {gallery}"] if warned else []
        out.next_commands([*outdated, f"comictool reid undo {sorted_dir}"])
    return ExitCode.FINDINGS if counts["error"] or counts["failed"] or run.problems else ExitCode.DONE
