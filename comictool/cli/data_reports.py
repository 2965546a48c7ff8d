"""`comictool data metainfo|classes|dedupe`: reports on a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.data_steps import AnyCorpus, Target
from comictool.cli.options import PicturesFrom, command
from comictool.cli.output import Format, Output
from comictool.cli.reporting import report_job
from comictool.core.errors import ExitCode
from comictool.core.jobs import JobOptions


@command
def metainfo(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="A corpus whose panels are exported.")],
    split: Annotated[str, typer.Option("--split", metavar="train|val|test|all", help="Which panels.")] = "train",
    bins: Annotated[int, typer.Option("--bins", min=2, help="Quantile bins.")] = 100,
    *,
    job: JobOptions,
    out: Output,
) -> int:
    """Measure exported panels: size, colour, and their bins.

    Width, height, ratio, hue, saturation and intensity as CSV, and a histogram picture of each binned column.

    Example: comictool data metainfo corpus --split train
    """
    from comictool.datasets.metainfo import panel_metainfo

    report = panel_metainfo(
        corpus, split=None if split == "all" else split, bins=bins, options=job, progress=out.progress()
    )
    return report_job(out, report, {"corpus": str(corpus)}, [])


@command
def classes(
    corpus: AnyCorpus,
    column: Annotated[
        str, typer.Option("--column", help="Of metadata.csv, or of the comics' facts.")
    ] = "Global Region",
    output: Target = None,
    *,
    out: Output,
) -> int:
    """Write the comic-level labels of a column as classification.json.

    Example: comictool data classes corpus --column "Global Region"
    """
    from comictool.datasets.classes import data_classes
    from comictool.formats.registry import open_any

    value = data_classes(open_any(corpus), column=column, output=output)
    numbers = value["comic_to_cls"].values()
    rows = [
        {"label": label, "class": number, "comics": sum(n == number for n in numbers)}
        for label, number in value["cls_to_label"].items()
    ]
    out.rows(rows, ["label", "class", "comics"])
    return ExitCode.DONE


@command
def dedupe(
    corpus: AnyCorpus,
    pictures_from: PicturesFrom = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Also write the findings as JSON.")] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Also write an HTML contact sheet.")] = None,
    method: Annotated[
        str, typer.Option("--method", metavar="exact|hash|embedding|all", help="What counts as the same page.")
    ] = "hash",
    store: Annotated[
        Path | None, typer.Option("--store", help="A store of the corpus, for --method embedding or all.")
    ] = None,
    threshold: Annotated[
        float, typer.Option("--threshold", min=0, max=1, help="Share of a page that must agree.")
    ] = 0.55,
    *,
    job: JobOptions,
    out: Output,
) -> int:
    """Find duplicate pages, and comics inside collected editions.

    The same page in another lettering, size, compression or scan counts as the same. Nothing is ever deleted. Exit
    code 1 when duplicates are found.

    Example: comictool data dedupe corpus -o duplicates.json --sheet duplicates.html
    """
    from comictool.duplicates.results import write_report
    from comictool.formats.registry import open_any
    from comictool.library.sheets import write_duplicate_sheet
    from comictool.search.duplicates import find_duplicates

    view = open_any(corpus, pictures=pictures_from)
    report = find_duplicates(
        view, method=method, store=store, threshold=threshold, options=job, progress=out.progress()
    )
    if report.job.planned:
        return report_job(out, report.job, {"corpus": str(corpus)}, [])
    for notice in report.notices:
        out.note(notice)
    if output is not None:
        write_report(report, output)
        out.note(f"findings: {output}")
    if sheet is not None:
        write_duplicate_sheet(sheet, view, report)
        out.note(f"sheet: {sheet}")
    if out.format in (Format.json, Format.jsonl):
        problems = [{"item": p.key, "reason": p.message} for p in report.job.problems]
        out.record({**report.as_record(), "problems": problems})
    else:
        rows = [{"kind": g.kind, "score": g.score, "pages": g.pages} for g in report.groups]
        out.rows(rows, ["kind", "score", "pages"])
        for book in report.books:
            out.note(f"{book.a} and {book.b}: {book.relation}, {book.pages} pages")
    return ExitCode.FINDINGS if report.groups else report.job.exit_code
