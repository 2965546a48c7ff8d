"""`comictool data export|normalize|split|hdf5|filter`: from a corpus to packed training sets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.options import DryRun, PicturesFrom, Seed, command
from comictool.cli.output import Output
from comictool.cli.reporting import report_job
from comictool.core.errors import ExitCode, InputError, UsageError, near_matches
from comictool.core.jobs import JobOptions

if TYPE_CHECKING:
    from comictool.datasets.normalizing.normalize import NormalizeReport

AnyCorpus = Annotated[
    Path, typer.Argument(metavar="CORPUS", help="A corpus, or a folder in any format that `data convert` reads.")
]
Target = Annotated[Path | None, typer.Option("-o", "--output", help="Where to write; in the corpus by default.")]
PictureFormat = Annotated[str, typer.Option("--picture-format", metavar="jpg|png|webp", help="How crops are stored.")]
Quality = Annotated[int, typer.Option("--quality", min=1, max=100, help="Of JPEG and WebP crops.")]
PARTS = ("characters", "faces", "bodies")


@command
def export_panels(
    corpus: AnyCorpus,
    output: Target = None,
    pictures_from: PicturesFrom = None,
    picture_format: PictureFormat = "jpg",
    quality: Quality = 95,
    *,
    job: JobOptions,
    out: Output,
) -> int:
    """Cut every panel from its page.

    Writes panel_images/<comic>/<page>_<panel>.jpg. Each page is decoded once; boxes are clamped to the page;
    unreadable pages are reported and skipped.

    Example: comictool data export panels corpus
    """
    from comictool.datasets.exporting.crops import CropOptions
    from comictool.datasets.exporting.panels import export_panels
    from comictool.formats.registry import open_any

    report = export_panels(
        open_any(corpus, pictures=pictures_from),
        output=output,
        crops=CropOptions(picture_format, quality),
        options=job,
        progress=out.progress(),
    )
    return report_job(out, report, {"corpus": str(output or corpus)}, [f"comictool data split {output or corpus}"])


@command
def export_characters(
    corpus: AnyCorpus,
    output: Target = None,
    pictures_from: PicturesFrom = None,
    part: Annotated[str, typer.Option("--part", metavar="characters|faces|bodies", help="What is cut.")] = "characters",
    min_overlap: Annotated[
        float, typer.Option("--min-overlap", min=0, max=1, help="Least share of a character inside its panel.")
    ] = 0.5,
    scale: Annotated[float, typer.Option("--scale", min=0.1, max=10, help="Enlarges boxes about their centre.")] = 1.0,
    square: Annotated[bool, typer.Option("--square", help="Squares; white beyond the page.")] = False,
    unidentified: Annotated[bool, typer.Option("--unidentified", help="Also characters that nobody named.")] = False,
    picture_format: PictureFormat = "jpg",
    quality: Quality = 95,
    *,
    job: JobOptions,
    out: Output,
) -> int:
    """Cut every character from its page, and write the index.

    The index is annotations/characters_indexing.csv. A character belongs to the panel that contains most of it, the
    innermost when panels nest. The same identity twice in a panel makes two files.

    Example: comictool data export characters corpus --part faces --scale 1.2 --square
    """
    from comictool.datasets.exporting.characters import CharacterOptions, export_characters
    from comictool.datasets.exporting.crops import CropOptions
    from comictool.formats.registry import open_any

    if part not in PARTS:
        raise UsageError(f"--part {part!r}: it is {', '.join(PARTS)}", near=near_matches(part, PARTS))
    chosen = CharacterOptions(part, min_overlap, scale, square, unidentified, CropOptions(picture_format, quality))
    view = open_any(corpus, pictures=pictures_from)
    report = export_characters(view, output=output, characters=chosen, options=job, progress=out.progress())
    return report_job(out, report, {"corpus": str(output or corpus)}, [f"comictool data split {output or corpus}"])


@command
def normalize(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="A corpus folder, native or MAST CSV.")],
    undo: Annotated[bool, typer.Option("--undo", help="Give every comic its old name back.")] = False,
    dry_run: DryRun = False,
    *,
    out: Output,
) -> int:
    """Normalise the names of comics everywhere.

    In folders and in every annotation file, names become lower-case ASCII without collisions; the old ones are kept
    and --undo brings them back. A journal is written first, so an interrupted run completes or changes nothing.

    Example: comictool data normalize corpus --dry-run
    """
    from comictool.datasets.normalizing.normalize import normalize_names, undo_names

    def tell(report: NormalizeReport) -> None:
        out.rows([{"old": old, "new": new} for old, new in report.names.items()], ["old", "new"])
        verb = "would be" if dry_run else "were"
        counts = f"{len(report.names)} comics, {len(report.folders)} folders and {len(report.files)} files"
        out.note(f"{counts} {verb} changed")
        sys.stdout.flush()

    (undo_names if undo else normalize_names)(corpus, dry_run=dry_run, progress=out.progress(), tell=tell)
    return ExitCode.DONE


@command
def split(
    corpus: AnyCorpus,
    output: Target = None,
    ratios: Annotated[str, typer.Option("--ratios", help="Of train, val and test.")] = ".8,.1,.1",
    by: Annotated[str, typer.Option("--by", metavar="comic|series|page", help="What stays together.")] = "comic",
    stratify: Annotated[
        str | None, typer.Option("--stratify", metavar="COLUMN", help="Spread the values of this column evenly.")
    ] = None,
    level: Annotated[str, typer.Option("--level", metavar="panels|characters|both", help="What is split.")] = "both",
    link: Annotated[
        str, typer.Option("--link", metavar="symlink|hardlink|copy", help="How files get into the split.")
    ] = "symlink",
    groups: Annotated[
        Path | None, typer.Option("--groups", help="Report of `data dedupe`; comics that overlap stay on one side.")
    ] = None,
    seed: Seed = 0,
    *,
    job: JobOptions,
    out: Output,
) -> int:
    """Split comics into train, val and test.

    Who is where stands in splits.json. The same corpus and seed give the same split on every machine. A small
    corpus gets at least one comic in each split, or is split by page when it has too few.

    Example: comictool data split corpus --ratios .7,.1,.2 --seed 1
    """
    from comictool.datasets.splitting.split import SplitOptions, split_dataset
    from comictool.duplicates.results import read_comic_groups
    from comictool.formats.registry import open_any

    chosen = SplitOptions(
        ratios=parse_ratios(ratios),
        seed=seed,
        by=by,
        stratify=stratify,
        level=level,
        link=link,
        groups=read_comic_groups(groups) if groups else (),
    )
    report = split_dataset(open_any(corpus), split=chosen, output=output, options=job, progress=out.progress())
    for notice in report.notices:
        out.note(notice)
    return report_job(
        out, report.job, {"corpus": str(output or corpus), **report.sizes}, [f"comictool data hdf5 {corpus}"]
    )


@command
def hdf5(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS|DIR", help="A split corpus, or one folder to pack.")],
    layout: Annotated[
        str, typer.Option("--layout", metavar="published|blob", help="As published, or one block that reads faster.")
    ] = "published",
    *,
    job: JobOptions,
    out: Output,
) -> int:
    """Pack the pictures of each split into an HDF5 file with its index.

    The published layout is the one that ELRIC and ASTERX read; rows are in numeric order for any number of panels.

    Example: comictool data hdf5 corpus
    """
    from comictool.datasets.packs.packing import LAYOUTS, pack_corpus, pack_folder
    from comictool.vectors.store import is_corpus

    if layout not in LAYOUTS:
        raise UsageError(f"--layout {layout!r}: it is {' or '.join(LAYOUTS)}", near=near_matches(layout, LAYOUTS))
    whole = (corpus / "processed").is_dir() or is_corpus(corpus)
    report = (pack_corpus if whole else pack_folder)(corpus, layout=layout, options=job, progress=out.progress())
    return report_job(out, report, {"corpus": str(corpus)}, [])


@command
def filter_(
    corpus: AnyCorpus,
    min_frequency: Annotated[
        int | None, typer.Option("--min-frequency", min=1, help="Keep identities that occur at least so often.")
    ] = None,
    indexing: Annotated[
        Path | None, typer.Option("--indexing", help="Count in this CSV instead of the corpus's own.")
    ] = None,
    min_score: Annotated[float | None, typer.Option("--min-score", min=0, max=1, help="Of the detector.")] = None,
    min_size: Annotated[int | None, typer.Option("--min-size", min=0, help="Of both sides, in pixels.")] = None,
    max_overlap: Annotated[
        float | None, typer.Option("--max-overlap", min=0, max=1, help="Share of its area under another.")
    ] = None,
    part: Annotated[str, typer.Option("--part", metavar="characters|faces|bodies", help="Which crops.")] = "characters",
    aligned: Annotated[
        bool, typer.Option("--aligned", help="List the pages whose panels and texts agree; changes nothing.")
    ] = False,
    perfect_match: Annotated[
        bool, typer.Option("--perfect-match", help="With --aligned: by equal counts of panels alone, as published.")
    ] = False,
    min_confidence: Annotated[
        float | None,
        typer.Option("--min-confidence", min=0, max=1, help="With --aligned: of texts on the right panel; .85 else."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="With --aligned on DataSpec: the list of files to train from.")
    ] = None,
    dry_run: DryRun = False,
    *,
    out: Output,
) -> int:
    """Filter rare identities and low-quality instances.

    They leave the index, the pictures and the packs alike. With --min-score, --min-size or --max-overlap the
    published rules hold for those not given (score .95, sides of 32 pixels, overlap .20 of its own area).

    Example: comictool data filter corpus --min-frequency 25

    Example: comictool data filter spec --aligned -o pages.txt
    """
    from comictool.datasets.filtering.aligned import MIN_CONFIDENCE, aligned_pages, write_list
    from comictool.datasets.filtering.identities import filter_characters
    from comictool.datasets.filtering.instances import InstanceRules, filter_instances
    from comictool.formats.registry import open_any

    rules = {"min_score": min_score, "min_size": min_size, "max_overlap": max_overlap}
    given: dict[str, Any] = {name: value for name, value in rules.items() if value is not None}
    if perfect_match and min_confidence is not None:
        raise UsageError("--perfect-match knows no confidence", hint="give one of the two")
    if aligned or perfect_match:
        view = open_any(corpus)
        least = MIN_CONFIDENCE if min_confidence is None else min_confidence
        found = aligned_pages(view, min_confidence=least, perfect_match=perfect_match)
        if output is not None and not dry_run:
            write_list(view, found, output)
        out.rows(
            [
                {
                    "page": page.page,
                    "aligned": page.kept,
                    "tier": page.tier,
                    "confidence": page.confidence,
                    "reason": page.reason or None,
                }
                for page in found.pages
            ],
            ["page", "aligned", "tier", "confidence", "reason"],
        )
        out.note(f"{len(found.aligned):,} of {len(found.pages):,} pages are kept")
        out.note("by their counts of panels: " + ", ".join(f"{n:,} {tier}" for tier, n in found.tiers.most_common()))
        return ExitCode.DONE
    if output is not None or min_confidence is not None:
        raise UsageError("--output and --min-confidence go with --aligned")
    if bool(given) == (min_frequency is not None):
        raise UsageError(
            "a filter needs either --min-frequency, or rules for instances",
            hint="--min-frequency 25, or --min-score .95 --min-size 32 --max-overlap .2, or --aligned",
        )
    if min_frequency is not None:
        _refuse_to_empty(corpus, min_frequency, indexing, part)
        report = filter_characters(
            corpus, min_frequency=min_frequency, indexing=indexing, part=part, dry_run=dry_run, progress=out.progress()
        )
    else:
        report = filter_instances(
            corpus, rules=InstanceRules(**given), part=part, dry_run=dry_run, progress=out.progress()
        )
    reasons = {f"removed_for_{reason}": count for reason, count in report.reasons.items()}
    out.record(
        {
            "kept": report.kept,
            "removed": report.removed,
            **reasons,
            "identities": report.identities,
            "packs": report.packs,
        }
    )
    return ExitCode.DONE


def _refuse_to_empty(corpus: Path, min_frequency: int, indexing: Path | None, part: str) -> None:
    """A frequency that nothing reaches was meant for a larger corpus: whoever types it does not want an empty one."""
    from comictool.datasets.filtering.identities import filter_characters

    plan = filter_characters(corpus, min_frequency=min_frequency, indexing=indexing, part=part, dry_run=True)
    if plan.removed and not plan.kept:
        most = max(plan.identities.values())
        raise InputError(
            f"no identity of {corpus} occurs {min_frequency} times: no character would be left",
            cause=f"the most frequent one occurs {most} times",
            hint=f"comictool data filter {corpus} --min-frequency {max(1, most // 2)}",
        )


def parse_ratios(text: str) -> tuple[float, float, float]:
    """`.8,.1,.1` to three numbers.

    Raises:
        UsageError: not three numbers.
    """
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--ratios {text!r}: three numbers, for example .8,.1,.1") from None
    return first, second, third
