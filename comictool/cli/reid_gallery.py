"""`comictool reid enroll|gallery|calibrate|cluster|evaluate`: references, thresholds, groups and figures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from comictool.cli.evaluate import report_metrics
from comictool.cli.options import Loading, Seed, command
from comictool.cli.output import Format, Output
from comictool.cli.reid_options import ChosenMode, GalleryFolder, Mode, OptionalGallery, Vectors
from comictool.core.errors import ExitCode, UsageError

GalleryArgument = Annotated[Path, typer.Argument(metavar="GALLERY", help="A gallery folder.")]


@command
def enroll(
    gallery: GalleryFolder,
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG|DIR", help="JSON of names and folders, or a folder of folders.")
    ] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="NAME", help="Take a character out.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Take out references that are gone or changed.")] = False,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:
    """Add reference pictures of characters to a gallery.

    Only what is new is embedded. Warns of pictures enrolled twice, of references unlike the others of their character,
    and of characters that can hardly be told apart by their references.

    Example: comictool reid enroll refs.json -g gallery
    """
    from comictool.reid.configuration import read_config
    from comictool.reid.gallery import Enrolment, Gallery

    if config is None and not remove and not prune:
        raise UsageError("enroll needs references", hint=f"comictool reid enroll CONFIG -g {gallery}")
    left_out: list[str] = []
    wanted = read_config(config, left_out) if config else None
    for line in left_out:
        out.warn(line)
    opened = Gallery.create(gallery) if wanted else Gallery.open(gallery)
    with opened.answering():
        removed = opened.remove(remove) if remove else 0
        done = Enrolment()
        if wanted is not None:
            done = opened.enroll(wanted, vectors.reader(loading, out), prune=prune)
        elif prune:
            removed += opened.prune()
        for line in [*done.warnings, *(f"{path}: {reason}" for path, reason in done.failed.items())]:
            out.warn(line)
        out.record(
            {
                "gallery": str(gallery),
                "characters": len(opened.characters),
                "references": len(opened.references),
                "added": done.added,
                "kept": done.kept,
                "removed": removed + done.removed,
                "embedded": done.computed,
                "failed": len(done.failed),
                "warnings": list(done.warnings),
            }
        )
        sys.stdout.flush()
    out.next_commands([f"comictool reid calibrate -g {gallery}", f"comictool reid classify TARGETS -g {gallery}"])
    return ExitCode.FINDINGS if done.failed else ExitCode.DONE


@command
def gallery_info(gallery: GalleryArgument, *, out: Output) -> int:
    """Count what a gallery holds, and how far its characters are apart.

    `spread` is the mean cosine of a character's references to each other, `nearest` the character most like it.

    Example: comictool reid gallery info gallery
    """
    from comictool.reid.gallery import Gallery
    from comictool.reid.overview import overview

    opened = Gallery.open(gallery)
    rows = overview(opened.found)
    if out.format is Format.json:
        out.record(
            {
                "gallery": str(gallery),
                "encoder": opened.encoder_id,
                "flip": opened.flip,
                "legacy": opened.legacy,
                "references": len(opened.references),
                "thresholds": opened.thresholds,
                "characters": rows,
            }
        )
        return ExitCode.DONE
    out.rows(rows, ["character", "references", "spread", "nearest", "nearest_cosine"])
    fitted = opened.thresholds
    told = f"thresholds for a false acceptance rate of {fitted['far']:g}" if fitted else "not calibrated"
    out.note(f"{len(rows)} characters, {len(opened.references)} references, {opened.encoder_id}, {told}")
    return ExitCode.DONE


@command
def gallery_list(gallery: GalleryArgument, *, out: Output) -> int:
    """List every reference of a gallery.

    Example: comictool reid gallery list gallery --format csv
    """
    from comictool.reid.gallery import Gallery

    rows = [
        {"character": r.character, "path": str(r.path), "digest": r.digest} for r in Gallery.open(gallery).references
    ]
    out.rows(rows, ["character", "path"])
    return ExitCode.DONE


@command
def gallery_verify(gallery: GalleryArgument, *, out: Output) -> int:
    """Find what is wrong in a gallery.

    References that are gone or changed, vectors that are none, thresholds that do not fit any more. Exit code 1 when
    something is found.

    Example: comictool reid gallery verify gallery
    """
    from comictool.reid.gallery import Gallery

    problems = Gallery.open(gallery).verify()
    if problems:
        out.rows([{"problem": problem} for problem in problems], ["problem"])
        out.next_commands([f"comictool reid enroll -g {gallery} --prune"])
        return ExitCode.FINDINGS
    out.note(f"{gallery}: all is well")
    return ExitCode.DONE


@command
def gallery_merge(
    galleries: Annotated[list[Path], typer.Argument(metavar="GALLERY...", help="Galleries to add.")],
    gallery: GalleryFolder,
    *,
    out: Output,
) -> int:
    """Add the references of other galleries to one.

    All must have been enrolled with the same encoder.

    Example: comictool reid gallery merge mine yours -g ours
    """
    from comictool.reid.gallery import Gallery

    others = [Gallery.open(folder) for folder in galleries]
    opened = Gallery.create(gallery)
    with opened.answering():
        added = opened.merge(others)
        out.record({"gallery": str(gallery), "added": added, "references": len(opened.references)})
        sys.stdout.flush()
    return ExitCode.DONE


@command
def calibrate(
    gallery: GalleryFolder,
    far: Annotated[float, typer.Option("--far", help="Share of impostors that may be given a name.")] = 0.1,
    background: Annotated[
        list[Path] | None,
        typer.Option(
            "--background",
            metavar="DIR",
            help="Pictures of characters that are not enrolled, best a folder each (repeatable).",
        ),
    ] = None,
    per_character: Annotated[bool, typer.Option("--per-character", help="A threshold for each character.")] = False,
    mode: ChosenMode = None,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:
    """Fit the score from which a picture is given a name.

    Each reference stands in for an impostor, scored against all characters but its own and not against its own page. A
    safety margin is kept for what few characters cannot show; `named` says how many references would be named. The
    thresholds are kept in the gallery for `classify --threshold auto`.

    Example: comictool reid calibrate -g gallery --far 0.05 --background others
    """
    from comictool.reid.enrolled import calibrate_gallery
    from comictool.reid.gallery import Gallery

    fitted, failed = calibrate_gallery(
        Gallery.open(gallery),
        vectors.reader(loading, out),
        far=far,
        mode=mode or "auto",
        background=background,
        per_character=per_character,
    )
    for path, reason in failed.items():
        out.warn(f"{path}: {reason}")
    if fitted.note:
        out.note(fitted.note)
    out.record({"gallery": str(gallery), **fitted.to_json()})
    return ExitCode.FINDINGS if failed else ExitCode.DONE


@command
def evaluate(
    source: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A folder for each character, or a file as for enroll.")
    ] = None,
    pairs: Annotated[Path | None, typer.Option("--pairs", help="CSV with a, b, same: only pairs are judged.")] = None,
    mode: Mode = "max",
    rerank: Annotated[bool, typer.Option("--rerank/--no-rerank", help="Rank by k-reciprocal neighbours.")] = True,
    gallery: OptionalGallery = None,
    seed: Seed = 0,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:
    """Measure how well characters are re-identified, on labelled pictures.

    Rank-1 and rank-5 (of pictures, and macro: of characters), mAP, mAP@R, equal error rate, open-set detection,
    clusters and confusion, each figure with its 95 % interval and the chance level. With an index.json that names
    pages, pictures of one page do not answer for each other.

    Example: comictool reid evaluate labelled --json
    """
    from comictool.reid.gallery import Gallery
    from comictool.reid.measured import evaluate_labelled, evaluate_pairs

    if (source is None) == (pairs is None):
        raise UsageError("evaluate needs either a folder or --pairs FILE", hint="comictool reid evaluate DIR")
    opened = Gallery.open(gallery) if gallery else None
    reader = vectors.reader(loading, out)
    if pairs is not None:
        figures, count, failed = evaluate_pairs(pairs, reader, gallery=opened)
        facts: dict[str, Any] = {"pairs": count}
    else:
        assert source is not None
        found, failed = evaluate_labelled(source, reader, gallery=opened, rerank=rerank, mode=mode, seed=seed)
        for line in found.notes:
            out.warn(line)
        figures, facts = found.figures, found.facts()
    for path, reason in failed.items():
        out.warn(f"{path}: {reason}")
    report_metrics(out, list(figures.values()), facts)
    return ExitCode.FINDINGS if failed else ExitCode.DONE
