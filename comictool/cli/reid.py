"""`comictool reid similarity|classify|undo`: which character is drawn, and files sorted by it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from comictool.cli.options import DryRun, Loading, command
from comictool.cli.output import Format, Output
from comictool.cli.reid_options import OptionalGallery, Vectors, parse_mode_option, parse_threshold
from comictool.core.errors import ExitCode, InputError, UsageError
from comictool.core.workers import numpy_with_one_thread

UNKNOWN_PRESENT = 10  # with --fail-on-unknown
COLUMNS = ["path", "status", "character", "score", "margin", "action", "destination"]

Mode = Annotated[
    str, typer.Option("--mode", metavar="max|avg|centroid|knn:K|auto", help="How references make one score.")
]  # fmt: skip


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
) -> int:  # fmt: skip
    """Say how alike the characters of two or more pictures are.

    Two pictures give one number: the cosine of their vectors, or with --legacy minus the distance of the unit
    vectors. More pictures are compared with the first, or all with all (--matrix).

    Example: comictool reid similarity a.png b.png --threshold 0.8
    """
    numpy_with_one_thread()
    from comictool.reid.embedding import embed_files
    from comictool.reid.scoring import similarity as compare

    chosen = [*(files or ()), *(pair or ())]
    if len(chosen) < 2:
        raise UsageError("similarity needs two pictures at least", hint="comictool reid similarity A B")
    for file in chosen:
        if not file.is_file():
            raise InputError(f"{file} " + ("is a folder, not a picture" if file.is_dir() else "does not exist"))
    with vectors.opened_cache() as cache:
        embedded = embed_files(
            chosen, vectors.spec(loading), cache=cache, **vectors.reading(), **vectors.work(), progress=out.progress()
        )
    for path, reason in embedded.errors.items():
        raise InputError(f"{path}: {reason}")
    scores = compare(embedded.vectors, embedded.vectors, "legacy" if vectors.legacy else "cosine")
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
    target_dir: Annotated[Path | None, typer.Option("--target-dir", help="A folder to copy from, sorted.")] = None,
    gallery: OptionalGallery = None,
    enroll_config: Annotated[
        Path | None,
        typer.Option("--enroll-config", "--enroll-config-fn", help="References: a JSON file, or a folder of folders."),
    ] = None,
    mode: Mode = "max",
    threshold: Annotated[
        str | None, typer.Option("--threshold", metavar="auto|none|X", help="Least score for a name; else unknown.")
    ] = None,
    far: Annotated[
        float | None, typer.Option("--far", help="With auto: share of strangers that may be given a name.")
    ] = None,
    margin: Annotated[
        float, typer.Option("--margin", min=0, help="Ambiguous when the winner leads by less.")
    ] = 0.0,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Candidates in each record.")] = 5,
    refine: Annotated[
        str, typer.Option("--refine", metavar="none|whiten|join", help="Vectors, by the set of references.")
    ] = "none",
    own_references: Annotated[
        bool, typer.Option("--own-references", help="Let a picture that is a reference match itself.")
    ] = False,
    action: Annotated[
        str | None,
        typer.Option(
            "--action", metavar="none|copy|move|symlink|hardlink",
            help="What happens to the files; copy with --result-dir or --target-dir, else none.",
        ),
    ] = None,
    result_dir: Annotated[
        Path | None, typer.Option("-o", "--result-dir", help="Where files go, in a folder for each character [out].")
    ] = None,
    unknown_dir: Annotated[str, typer.Option("--unknown-dir", help="For the unknown; '' leaves them.")] = "unknown",
    ambiguous_dir: Annotated[
        str, typer.Option("--ambiguous-dir", help="For the ambiguous; '' leaves them.")
    ] = "ambiguous",
    on_clash: Annotated[
        str, typer.Option("--on-clash", metavar="rename|skip|overwrite", help="When a file has the place.")
    ] = "rename",
    preserve_tree: Annotated[bool, typer.Option("--preserve-tree", help="Keep folders below the targets.")] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Also write an HTML page to look through.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    fail_on_unknown: Annotated[
        bool, typer.Option("--fail-on-unknown", help=f"Exit code {UNKNOWN_PRESENT} when a picture is unknown.")
    ] = False,
    dry_run: DryRun = False,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:  # fmt: skip
    """Say which enrolled character each picture shows, and sort the files.

    One record for each picture: ok, unknown (below the threshold), ambiguous (within the margin) or error, with the
    candidates and the reference that decided. JSON lines come as they are decided. Every file action is in a journal
    first; `comictool reid undo` takes all of it back. A picture that is itself a reference does not match itself.

    --refine changes vectors by what the references have in common, before they are compared: whiten levels what all
    vary in, join adds the nearest reference to each. On test comics plain cosines were best, and only for these are
    thresholds fitted: with --refine every picture gets a name, unless --threshold X is given.

    Example: comictool reid classify screenshots --enroll-config refs.json -o sorted --report sorted.html
    """
    numpy_with_one_thread()
    from comictool.reid.actions import Filing
    from comictool.reid.classify import Result, classify
    from comictool.reid.embedding import EmbeddingStream
    from comictool.reid.enrolled import from_config, from_gallery, rules_for
    from comictool.reid.pictures import find_pictures

    places = [*(targets or ()), *([target_dir] if target_dir else ())]
    if not places:
        raise UsageError("classify needs pictures", hint="comictool reid classify FOLDER --enroll-config refs.json")
    if (gallery is None) == (enroll_config is None):
        raise UsageError("classify needs either -g GALLERY or --enroll-config FILE", hint="give one of the two")
    chosen_mode = parse_mode_option(mode)
    chosen_threshold = parse_threshold(threshold, legacy=vectors.legacy, refine=refine, far=far)
    filed = action or ("copy" if result_dir or target_dir else "none")
    filing = Filing(filed, on_clash, unknown_dir, ambiguous_dir, preserve_tree)
    root = result_dir or (Path("out") if filed != "none" else None)
    if resume and root is None:
        out.note("nothing is sorted, so there is no run to resume; what was embedded is cached")
    problems: list[str] = []
    found = find_pictures(places, problems)
    if not found:
        raise InputError(f"no pictures in {', '.join(map(str, places))}")
    opened = None
    if gallery is not None:
        from comictool.reid.gallery import Gallery

        opened = Gallery.open(gallery)
    spec, reading = vectors.spec(loading, opened), vectors.reading(opened)
    with vectors.opened_cache() as cache:
        if opened is not None:
            ready = from_gallery(opened, spec, **reading)
        else:
            assert enroll_config is not None
            options = reading | vectors.work()
            ready = from_config(enroll_config, spec, cache=cache, progress=out.progress(), **options)
        rules, notes = rules_for(
            ready, mode=chosen_mode, metric="legacy" if reading["legacy"] else "cosine", threshold=chosen_threshold,
            far=far, margin=margin, top=top_k, own_references=own_references or reading["legacy"],
            refine=refine,
        )  # fmt: skip
        for note in notes:
            out.note(note)
        problems += [*ready.warnings, *(f"{path}: {reason}" for path, reason in ready.failed.items())]
        for line in problems:
            out.warn(line)
        stream = EmbeddingStream(spec, cache=cache, **reading, **vectors.work())
        progress = out.progress()
        results = classify(
            found, ready.found, lambda paths: stream.batches(paths, progress), rules, identity=stream.key,
            filing=filing, root=root, bases=places, dry_run=dry_run, resume=resume,
        )  # fmt: skip
        counts: Counter[str] = Counter()
        kept: list[Result] = []

        whole = out.format in (Format.json, Format.jsonl)

        def told() -> Iterator[dict[str, Any]]:
            for result in results:
                counts[result.decision.status] += 1
                counts["failed"] += result.filed.action == "failed"
                if report is not None:
                    kept.append(result)
                record = result.as_record()
                if record["error"]:
                    out.warn(f"{record['path']}: {record['error']}")
                # A table holds all its rows: only what it shows, or the candidates of many targets fill the memory.
                yield record if whole else {column: record[column] for column in COLUMNS}
                sys.stdout.flush()  # a reader of JSON lines sees each as it is decided

        out.rows(told(), COLUMNS)
    if report is not None and not dry_run:
        _write_report(report, kept, ready.found.references, root, out)
    out.note(", ".join(f"{counts[status]} {status}" for status in ("ok", "unknown", "ambiguous", "error")))
    if root is not None and filed != "none" and not dry_run:
        out.next_commands([f"comictool reid undo {root}"])
    if fail_on_unknown and counts["unknown"]:
        return UNKNOWN_PRESENT
    return ExitCode.FINDINGS if counts["error"] or counts["failed"] or problems else ExitCode.DONE


def _write_report(report: Path, results: list[Any], references: list[Any], root: Path | None, out: Output) -> None:
    from comictool.reid.report_page import write_report

    moved = {
        result.decision.path: root / result.filed.destination
        for result in results
        if root is not None and result.filed.action == "move" and result.filed.destination
    }
    missing = write_report(report, [result.decision for result in results], references, places=moved)
    if missing:
        out.warn(f"{missing} pictures could not be shown in the report")
    out.note(f"report: {report}")


@command
def undo(
    journal: Annotated[
        Path, typer.Argument(metavar="JOURNAL|DIR", help="A journal, or a result folder: its newest run.")
    ],
    *,
    out: Output,
) -> int:
    """Take back what `reid classify` did with files.

    Every file is where it was, also after a run that was killed. What was changed since is left and named, with exit
    code 1.

    Example: comictool reid undo sorted
    """
    from comictool.reid.undoing import undo

    done = undo(journal)
    for path, reason in done.kept.items():
        out.warn(f"{path} is left as it is: {reason}")
    out.record({"journal": str(done.journal), "restored": len(done.restored), "kept": len(done.kept),
                "left": [{"path": path, "reason": reason} for path, reason in done.kept.items()]})  # fmt: skip
    return ExitCode.FINDINGS if done.kept else ExitCode.DONE
