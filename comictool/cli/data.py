"""`comictool data ...`: work on a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.options import Direction, OutputFolder, Seed, command
from comictool.cli.output import Output
from comictool.cli.reporting import note_changes, note_doubtful, note_forecast, report_job
from comictool.core.jobs import JobOptions
from comictool.corpus.importing.options import ImportOptions, check_direction

CorpusFolder = Annotated[Path, typer.Argument(metavar="CORPUS", help="A corpus folder.")]


@command
def import_(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Comic files, image folders, or trees.")],
    output: OutputFolder,
    *,
    chosen: ImportOptions,
    job: JobOptions,
    out: Output,
) -> int:
    """Read comic files and folders into a corpus.

    Reads cbz, cbr, cb7, cbt, pdf, epub and folders of pictures (told apart by content, not by name). Pages come in
    natural order of their names, covers first; picture files that need no change are kept byte for byte. Unreadable
    files and pages, and whatever else may have been a page, are reported and skipped. Run it again to add what is new
    or changed.

    Example: comictool data import ~/Comics -o corpus
    """
    from comictool.corpus.importing.destination import corpus_for
    from comictool.corpus.importing.forecast import forecast
    from comictool.corpus.importing.job import import_comics

    corpus = corpus_for(paths, output, dry_run=job.dry_run)
    report = import_comics(paths, corpus, chosen, options=job, progress=out.progress())
    note_changes(out, report, pruned=chosen.prune and not job.dry_run)
    if job.dry_run:
        note_forecast(out, forecast([item.payload for item in report.to_do], output, jobs=job.jobs))
    return report_job(out, report, {"corpus": str(output)}, [f"comictool data panels {output}"])


@command
def panels(
    corpus: CorpusFolder,
    direction: Direction = None,
    order: Annotated[
        str, typer.Option("--order", metavar="auto|rows|columns", help="Which comes first; auto: columns of 4-koma.")
    ] = "auto",
    *,
    job: JobOptions,
    out: Output,
) -> int:
    """Find the panels of every page and their reading order.

    Needs no weights. Pages without panels (covers, prose, advertisements) get none. Panels that a person drew
    (source "manual") are kept. Rows are read one after the other; but the columns of 4-koma are, which auto takes a
    page of two strips of four like panels for. A page with none that looks as if it might have some, or
    with a panel that looks little like one, is named and marked in its record (panels_doubtful).

    Example: comictool data panels corpus --direction rtl
    """
    from comictool.formats.registry import open_native
    from comictool.panels.job import detect_corpus

    check_direction(direction)
    report = detect_corpus(open_native(corpus), direction=direction, order=order, options=job, progress=out.progress())
    note_doubtful(out, report)
    return report_job(out, report, {"corpus": str(corpus)}, [f"comictool embed {corpus} -o {corpus / 'store'}"])


@command
def draw(
    output: OutputFolder,
    pages: Annotated[int, typer.Option("-n", "--pages", min=1, help="How many pages.")] = 20,
    comic_pages: Annotated[int, typer.Option("--comic-pages", min=1, help="Pages in one comic.")] = 10,
    seed: Seed = 0,
    style: Annotated[str | None, typer.Option("--style", help="Only this style of inking.")] = None,
    story: Annotated[bool, typer.Option("--story", help="Every comic is a journey from morning to night.")] = False,
    layout: Annotated[str | None, typer.Option("--layout", help="Only pages that are hard to cut in this way.")] = None,
    width: Annotated[int, typer.Option("--width", min=300, max=4000, help="Pixels.")] = 1000,
    height: Annotated[int, typer.Option("--height", min=300, max=4000, help="Pixels.")] = 1400,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=0, help="Workers; 0 is one for each core.")] = 0,
    shard: Annotated[str, typer.Option("--shard", metavar="I/N", help="Draw only the I-th of N parts.")] = "1/1",
    *,
    out: Output,
) -> int:
    """Draw procedural comics with exact labels into a corpus.

    Panels, characters with identity, faces, poses and feelings, balloons with text and speakers, depth for every
    pixel, page types and reading direction are all known exactly. The same seed draws the same pages. With --story
    light, sun and places of ten pages follow each other, so that the direction of time can be learnt.

    --layout draws one kind of page only: manga (thin gutters, panels that run off the page), slanted (leaning gutters,
    coarse JPEG; try --width 600 --height 837), black (black and white paper on a page), pencil, ring (a line round all
    panels), yonkoma, webtoon (try --width 600 --height 3000), shaded (a shadow over the paper), picture (no panels).

    Example: comictool data draw -n 100 --seed 7 -o drawn
    """
    from comictool.cli.options import parse_shard
    from comictool.drawn.corpus import draw_corpus

    options = JobOptions(jobs=jobs, shard=parse_shard(shard))
    report = draw_corpus(
        output,
        pages,
        seed=seed,
        comic_pages=comic_pages,
        width=width,
        height=height,
        style=style,
        story=story,
        layout=layout,
        options=options,
        progress=out.progress(),
    )
    return report_job(out, report, {"corpus": str(output)}, [f"comictool embed {output} -o {output / 'store'}"])
