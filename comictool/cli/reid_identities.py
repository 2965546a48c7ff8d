"""`comictool reid assign` and `comictool reid fit`: who is who in a book."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.complete import plugin_names
from comictool.cli.data_steps import AnyCorpus
from comictool.cli.embed import BatchSize
from comictool.cli.options import Loading, PicturesFrom, command
from comictool.cli.output import Output
from comictool.cli.reporting import remind, report_job
from comictool.core.errors import ExitCode, UsageError
from comictool.core.jobs import JobOptions

Plugin = Annotated[
    str | None,
    typer.Option(
        "--plugin",
        envvar="COMICTOOL_PLUGIN",
        autocompletion=plugin_names,
        show_default=False,
        help="A plugin's name or folder, or timm:NAME; that of `reid` by default.",
    ),
]


@command
def assign(
    corpus: AnyCorpus,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write sequence files there; needed for other layouts.")
    ] = None,
    plugin: Plugin = None,
    method: Annotated[
        str, typer.Option("--method", metavar="constrained|average", help="average: the published baseline.")
    ] = "constrained",
    scope: Annotated[
        str, typer.Option("--scope", metavar="comic|page|sequence", help="What identities hold in.")
    ] = "comic",
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="FILE", help="Of `reid fit`, on comics of the same kind.")
    ] = None,
    distance: Annotated[
        float | None, typer.Option("--distance", min=0, max=2, help="Of average: largest mean distance [.82].")
    ] = None,
    gallery: Annotated[Path | None, typer.Option("-g", "--gallery", help="Whose characters give their names.")] = None,
    nobody: Annotated[float, typer.Option("--nobody", min=0, max=2, help="Price of being nobody of them.")] = 0.75,
    stream: Annotated[bool, typer.Option("--stream", help="Page after page, as one reads.")] = False,
    blind: Annotated[
        bool, typer.Option("--blind", help="Look at no given names, write into no records: to see how well it does.")
    ] = False,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Also draw every page with its identities, and an HTML page of them.")
    ] = False,
    pictures_from: PicturesFrom = None,
    batch_size: BatchSize = None,
    *,
    loading: Loading,
    job: JobOptions,
    out: Output,
) -> int:
    """Say who is who in every comic, without references.

    Two characters of one panel are never one. Identities come into the records of a corpus, numbered where nobody is
    named; names that somebody gave stay, and bind. With -o also as the files that comic-sequence reads. What
    contradicts itself is reported by character, with exit code 1.

    Example: comictool reid assign corpus -o identities --sheet
    """
    from comictool.assigning.evidence import Calibration
    from comictool.assigning.fitting import gallery_of, shipped_calibration
    from comictool.assigning.job import AssignOptions, assign_identities
    from comictool.assigning.overlay import write_pages_sheet
    from comictool.assigning.scopes import Gallery
    from comictool.formats.registry import open_any
    from comictool.reid.reader import DEFAULT_PLUGIN
    from comictool.vectors.stream import encoder_key

    if sheet and output is None:
        raise UsageError("--sheet needs a folder", hint="-o FOLDER")
    spec = loading.spec(plugin or DEFAULT_PLUGIN)
    # What a plugin brings was fitted on drawn comics. On books of other kinds the cut that is chosen from the book
    # itself held better (tests/bench/assigning.py); a stream, a page and four panels are too little to choose it from.
    few = stream or scope != "comic"
    own = shipped_calibration(spec, encoder_key(spec)) if few and calibration is None else None
    found = Calibration.read(calibration) if calibration else own
    if found is None and few and method == "constrained":
        out.note("no calibration of this encoder: the cut is chosen without labels; `comictool reid fit` makes one")
    report = assign_identities(
        open_any(corpus, pictures=pictures_from),
        spec,
        AssignOptions(method, scope, stream, found, distance, nobody, blind),
        output=output,
        gallery=Gallery(*gallery_of(gallery)) if gallery else None,
        overlays=sheet,
        batch_size=batch_size,
        options=job,
        progress=out.progress(),
    )
    if sheet and output is not None and not job.dry_run:
        out.note(f"sheet: {write_pages_sheet(output)}")
    place = output or corpus
    return report_job(out, report, {"corpus": str(corpus), "output": str(place)}, [f"comictool data info {place}"])


@command
def fit(
    corpora: Annotated[list[Path], typer.Argument(metavar="CORPUS...", help="Comics in which everybody is named.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The calibration, as JSON.")],
    plugin: Plugin = None,
    *,
    loading: Loading,
    out: Output,
) -> int:
    """Fit what distances mean for `reid assign`.

    Faces and bodies each get a line from distance to log-likelihood ratio, and both methods the cut with the best
    adjusted mutual information on these comics. Judge it on others.

    Example: comictool reid fit named -o calibration.json
    """
    from comictool.assigning.fitting import embed_comics
    from comictool.assigning.fitting import fit as fit_comics
    from comictool.core.jobs import JobReport
    from comictool.formats.registry import open_any
    from comictool.reid.reader import DEFAULT_PLUGIN
    from comictool.vectors.cache import EmbeddingCache, default_cache
    from comictool.vectors.stream import encoder_key

    spec, report = loading.spec(plugin or DEFAULT_PLUGIN), JobReport("fit")
    with EmbeddingCache(default_cache()) as cache:
        comics = [
            comic for corpus in corpora for comic in embed_comics(open_any(corpus), spec, report.problems, cache=cache)
        ]
    title = ", ".join(corpus.resolve().name for corpus in corpora)
    found, reached = fit_comics(comics, encoder_key(spec), f"{len(comics)} comics of {title}")
    found.write(output)
    remind(out, report)
    lines = {kind: {"offset": line.offset, "slope": line.slope} for kind, line in found.lines.items()}
    facts = {"calibration": str(output), "encoder": found.encoder_id, "cut": found.cut, "distance": found.distance}
    out.record({**facts, **{f"ami_{method}": round(value, 4) for method, value in reached.items()}, "lines": lines})
    return ExitCode.FINDINGS if report.problems else ExitCode.DONE
