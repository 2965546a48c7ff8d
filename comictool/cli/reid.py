"""`comictool reid similarity|classify|undo`: which character is drawn, and files sorted by it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.options import DryRun, Loading, command
from comictool.cli.output import Format, Output
from comictool.cli.reid_options import (
    Action,
    ChosenMode,
    Far,
    Margin,
    OnClash,
    OptionalGallery,
    Report,
    Resume,
    Threshold,
    TopK,
    Unknown,
    Vectors,
    parse_threshold,
    undecided_folders,
)
from comictool.core.errors import ExitCode, UsageError
from comictool.core.workers import numpy_with_one_thread

if TYPE_CHECKING:
    from comictool.reid.sorting.classify import SortedPicture
    from comictool.reid.sorting.sort import SortingRun
    from comictool.reid.sorting.undoing import Undone

UNKNOWN_PRESENT = 10  # with --fail-on-unknown
COLUMNS = ["path", "status", "character", "guess", "enrolled_as", "score", "margin", "action", "destination"]


@command
def similarity(
    files: Annotated[list[Path] | None, typer.Argument(metavar="A B [C...]", help="Pictures.")] = None,
    pair: Annotated[
        tuple[Path, Path] | None, typer.Option("--files", metavar="A B", help="Two pictures; the older spelling.")
    ] = None,
    matrix: Annotated[bool, typer.Option("--matrix", help="Every picture with every other.")] = False,
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=-2, max=1, help="Say same or different; exit 1 if any differ.")
    ] = None,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:
    """Score character similarity of two or more pictures.

    Two pictures give one number: the cosine of their vectors, or with --legacy minus the distance of the unit
    vectors. More pictures are compared with the first, or all with all (--matrix).

    Example: comictool reid similarity a.png b.png --threshold 0.8
    """
    numpy_with_one_thread()
    from comictool.reid.reader import compare_pictures

    chosen = [*(files or ()), *(pair or ())]
    scores = compare_pictures(chosen, vectors.reader(loading, out))
    if matrix:
        rows = [
            {"file": str(a)} | {str(b): float(scores[i, j]) for j, b in enumerate(chosen)} for i, a in enumerate(chosen)
        ]
        out.rows(rows, ["file", *dict.fromkeys(map(str, chosen))])
        different = threshold is not None and bool((scores < threshold).any())
        return ExitCode.FINDINGS if different else ExitCode.DONE
    rows = [{"a": str(chosen[0]), "b": str(b), "score": float(scores[0, j])} for j, b in enumerate(chosen[1:], start=1)]
    if threshold is not None:
        for row in rows:
            row |= {"threshold": threshold, "verdict": "same" if float(row["score"]) >= threshold else "different"}
    if len(rows) == 1 and threshold is None and out.format is Format.table:
        out.text(f"{rows[0]['score']:.6f}")
    elif len(rows) == 1 and out.format is Format.json:
        out.record(rows[0])
    else:
        out.rows(rows, list(rows[0]))
    return ExitCode.FINDINGS if any(row.get("verdict") == "different" for row in rows) else ExitCode.DONE


@command
def classify(
    targets: Annotated[list[Path] | None, typer.Argument(metavar="TARGETS...", help="Pictures and folders.")] = None,
    target_dir: Annotated[
        Path | None, typer.Option("--target-dir", help="A folder to copy from; the older spelling: all get a name.")
    ] = None,
    gallery: OptionalGallery = None,
    enroll_config: Annotated[
        Path | None,
        typer.Option("--enroll-config", "--enroll-config-fn", help="References: a JSON file, or a folder of folders."),
    ] = None,
    mode: ChosenMode = None,
    threshold: Threshold = None,
    far: Far = None,
    margin: Margin = None,
    own_references: Annotated[
        bool, typer.Option("--own-references", help="Compare a picture that is a reference with itself too.")
    ] = False,
    top_k: TopK = 5,
    action: Action = None,
    result_dir: Annotated[
        Path | None, typer.Option("-o", "--result-dir", help="Where files go, in a folder for each character [out].")
    ] = None,
    unknown: Unknown = None,
    unknown_dir: Annotated[
        str | None, typer.Option("--unknown-dir", help="One folder for the unknown; '' leaves them.")
    ] = None,
    ambiguous_dir: Annotated[
        str | None, typer.Option("--ambiguous-dir", help="One folder for the ambiguous; '' leaves them.")
    ] = None,
    on_clash: OnClash = "rename",
    preserve_tree: Annotated[bool, typer.Option("--preserve-tree", help="Keep folders below the targets.")] = False,
    report: Report = None,
    resume: Resume = True,
    fail_on_unknown: Annotated[
        bool, typer.Option("--fail-on-unknown", help=f"Exit code {UNKNOWN_PRESENT} when a picture is unknown.")
    ] = False,
    dry_run: DryRun = False,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:
    """Say which enrolled character each picture shows, and sort the files.

    One record for each picture: ok, unknown (below the threshold), ambiguous (within the margin) or error, with the
    candidates and the reference that decided; `guess` is the best of an unknown one, and what is not named goes into
    suggestions/<guess> (--unknown). JSON lines come as they are decided. Every file action is in a journal first;
    `comictool reid undo` takes all of it back. A picture that is a reference, byte for byte, keeps its name, which
    `enrolled_as` says. The same command resumes a run that was stopped.

    Example: comictool reid classify screenshots --enroll-config refs.json -o sorted --report sorted.html
    """
    numpy_with_one_thread()
    from comictool.reid.gallery import Gallery
    from comictool.reid.sorting.actions import SortOptions
    from comictool.reid.sorting.sort import prepare_sorting

    places = [*(targets or ()), *([target_dir] if target_dir else ())]
    if not places:
        raise UsageError("classify needs pictures", hint="comictool reid classify FOLDER --enroll-config refs.json")
    if (gallery is None) == (enroll_config is None):
        raise UsageError("classify needs either -g GALLERY or --enroll-config FILE", hint="give one of the two")
    references = Gallery.open(gallery) if gallery is not None else enroll_config
    assert references is not None
    action = action or ("copy" if result_dir or target_dir else "none")
    if target_dir and threshold is None and far is None:
        threshold = "none"
        out.note("every picture is given a name, as character-reid did; --threshold auto leaves strangers unknown")
    root = result_dir or (Path("out") if action != "none" else None)
    options = SortOptions(
        action,
        on_clash,
        *undecided_folders(unknown, unknown_dir, ambiguous_dir),
        preserve_tree,
        mode=mode or "",
        threshold=parse_threshold(threshold),
        far=far,
        margin=margin,
        top=top_k,
        own_references=own_references,
    )
    reader = vectors.reader(loading, out)
    run = prepare_sorting(places, references, root, options, reader=reader, dry_run=dry_run, resume=resume)
    show_run(run, out, report, dry_run=dry_run)
    counts = run.counts
    out.note(", ".join(f"{counts[status]} {status}" for status in ("ok", "unknown", "ambiguous", "error")))
    if action != "none" and not dry_run:
        out.next_commands([f"comictool reid undo {root}"])
    if fail_on_unknown and counts["unknown"]:
        return UNKNOWN_PRESENT
    return ExitCode.FINDINGS if counts["error"] or counts["failed"] or run.problems else ExitCode.DONE


def show_run(run: SortingRun, out: Output, report: Path | None, *, dry_run: bool) -> None:
    """Do a run, with a record for each picture, and the report when all is done."""
    for note in run.notes:
        out.note(note)
    for line in run.problems:
        out.warn(line)
    kept: list[SortedPicture] = []
    rows: list[dict[str, Any]] = []

    def tell() -> None:
        if out.format is not Format.jsonl:
            out.rows(rows, COLUMNS)
        if report is not None and not dry_run:
            if missing := run.write_report(report, kept):
                out.warn(f"{missing} pictures could not be shown in the report")
            out.note(f"report: {report}")
        sys.stdout.flush()

    run.tell = tell
    for picture in run:
        if report is not None:
            kept.append(picture)
        record = picture.as_record()
        if record["error"]:
            out.warn(f"{record['path']}: {record['error']}")
        if out.format is Format.jsonl:
            out.rows([record], COLUMNS)
            sys.stdout.flush()  # a reader of JSON lines sees each as it is decided
        else:
            # A table holds all its rows: only what it shows, or the candidates of many targets fill the memory.
            rows.append(record if out.format is Format.json else {column: record[column] for column in COLUMNS})


@command
def undo(
    journal: Annotated[
        Path, typer.Argument(metavar="JOURNAL|DIR", help="A journal, or a result folder: its newest run.")
    ],
    trust_journal: Annotated[
        bool, typer.Option("--trust-journal", help="Believe a journal that somebody else wrote.")
    ] = False,
    *,
    out: Output,
) -> int:
    """Take back the last `reid classify`, `learn`, `cluster` or `name` of a folder.

    Every file is where it was, also after a run that was killed, and a gallery forgets what it learned by it. What was
    changed, moved or deleted since is left and reported, with exit code 1, and the journal stays. A journal that came
    with somebody's folder is refused with a list of what it would do.

    Example: comictool reid undo sorted
    """
    from comictool.reid.sorting.undoing import undo

    def tell(done: Undone) -> None:
        for path, reason in done.kept.items():
            out.warn(f"{path} is left as it is: {reason}")
        out.record(
            {
                "journal": str(done.journal),
                "restored": len(done.restored),
                "kept": len(done.kept),
                "left": [{"path": path, "reason": reason} for path, reason in done.kept.items()],
            }
        )
        sys.stdout.flush()

    done = undo(journal, trust=trust_journal, tell=tell)
    return ExitCode.FINDINGS if done.kept else ExitCode.DONE
