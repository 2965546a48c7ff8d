"""`comictool data metainfo|classes|dedupe`: reports on a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.data_steps import AnyCorpus, Target
from comictool.cli.options import command
from comictool.cli.output import Output
from comictool.cli.reporting import tell
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
    from comictool.corpus.metainfo import panel_metainfo

    report = panel_metainfo(
        corpus, split=None if split == "all" else split, bins=bins, options=job, progress=out.progress()
    )  # fmt: skip
    return tell(out, report, {"corpus": str(corpus)}, [])


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
    from comictool.corpus.formats.registry import open_any
    from comictool.corpus.metainfo import data_classes

    value = data_classes(open_any(corpus), column=column, output=output)
    numbers = value["comic_to_cls"].values()
    rows = [
        {"label": label, "class": number, "comics": sum(n == number for n in numbers)}
        for label, number in value["cls_to_label"].items()
    ]
    out.rows(rows, ["label", "class", "comics"])
    return ExitCode.DONE
