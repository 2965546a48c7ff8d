"""`comictool depth ...`: how far things are, predicted and measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comictool.cli.evaluate import MetricsFile, report_metrics
from comictool.cli.options import Direction, Loading, OutputFolder, PicturesFrom, PluginName, command
from comictool.cli.output import Output
from comictool.cli.reporting import report_job
from comictool.core.errors import ExitCode, InputError, UsageError
from comictool.core.jobs import JobOptions

if TYPE_CHECKING:
    from comictool.depth.evaluate import Said
    from comictool.plugins.protocols import DepthEstimator

DEFAULT_PLUGIN = "depth_small"
Tile = Annotated[int, typer.Option("--tile", min=64, help="Pixels; larger panels are looked at in tiles.")]


@command
def predict(
    source: Annotated[
        Path,
        typer.Argument(metavar="IMAGE|DIR|CORPUS|SEGMENTS.json", help="Pages, or COCO annotations of their segments."),
    ],
    output: OutputFolder,
    plugin: PluginName = DEFAULT_PLUGIN,
    pictures_from: PicturesFrom = None,
    maps: Annotated[bool, typer.Option("--maps/--no-maps", help="16-bit maps, and overlays in colours.")] = True,
    npz: Annotated[bool, typer.Option("--npz", help="Also the numbers themselves, as NumPy arrays.")] = False,
    ply: Annotated[bool, typer.Option("--ply", help="Also point clouds.")] = False,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Also one HTML page: panels that move with the pointer, all overlays.")
    ] = False,
    panels: Annotated[
        bool, typer.Option("--panels/--no-panels", help="Find panels where a page has none, or take it whole.")
    ] = True,
    direction: Direction = None,
    tile: Tile = 1536,
    *,
    loading: Loading,
    job: JobOptions,
    out: Output,
) -> int:
    """Say how far things are on pages, panel by panel, and for every segment.

    Writes maps (16-bit PNG, 0 is no depth, 1 the nearest of its panel), overlays, and for annotated segments the
    challenge's table segments.csv and the released baseline's columns in baseline.csv, a row for every annotation.
    Depths of two panels cannot be compared.

    Example: comictool depth predict page.png -o depth --sheet
    """
    from comictool.depth.job import SHEET, PredictOptions, predict

    chosen = PredictOptions(maps, npz, ply, sheet, panels, direction, tile)
    if sheet and not maps:
        raise UsageError("--sheet shows maps, and --no-maps writes none")
    model = _model(loading, plugin)
    report = predict(source, model, output, chosen=chosen, pictures=pictures_from, options=job, progress=out.progress())
    facts = {"output": str(output), "plugin": model.manifest.id}
    if sheet and not job.dry_run:
        facts["sheet"] = str(output / SHEET)
    return report_job(out, report, facts, [f"comictool depth evaluate {output} --truth TRUTH"])


@command
def evaluate(
    predictions: Annotated[
        Path | None,
        typer.Argument(metavar="[PREDICTIONS]", help="What `depth predict` wrote, or a CSV; else --plugin."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="AI4VA COCO, a corpus, pairs.json, points `l1 l2 x y`, or MLRC-Bench CSV."),
    ] = None,
    plugin: Annotated[str | None, typer.Option("--plugin", help="Predict now, with this plugin.")] = None,
    pictures_from: PicturesFrom = None,
    as_kit: Annotated[
        bool, typer.Option("--as-kit", help="As the challenge's script: the last segment of each image and category.")
    ] = False,
    append: Annotated[
        Path | None, typer.Option("--append", metavar="TXT", help="Also add a dated block to this text file.")
    ] = None,
    tile: Tile = 1536,
    file: MetricsFile = None,
    *,
    loading: Loading,
    out: Output,
) -> int:
    """Measure predicted depth, with floors and intervals beside.

    Segments: MSE and MAE of inter, intra and both as the challenge counts, Kendall's tau and the share of pairs in the
    right order within panels. Points: WHDR. Exact maps: AbsRel, RMSE, delta. Beside each stand constants and simple
    rules (lower, taller, larger, over others is nearer); intervals are over pages.

    Example: comictool depth evaluate depth --truth val-annotations.json --append evaluation_metrics.txt
    """
    from comictool.depth.evaluate import evaluate
    from comictool.depth.log import append_block

    if truth is None:
        raise UsageError("there is no truth to measure against", hint="--truth val-annotations.json")
    if (predictions is None) == (plugin is None):
        raise UsageError(
            "give either PREDICTIONS or --plugin", hint="comictool depth evaluate --plugin depth_small ..."
        )
    said = _said_by(_model(loading, plugin), tile) if plugin else _said(predictions or Path())
    found = evaluate(truth, said, pictures=pictures_from, as_kit=as_kit)
    for problem in found.problems:
        out.warn(str(problem))
    floors = list(dict.fromkeys(name for each in found.metrics for name in each.details.get("floors", {})))
    report_metrics(out, found.metrics, found.facts, file, floors=floors)
    if append is not None:
        append_block(append, said.name, found.metrics)
        out.note(f"appended to {append}")
    return ExitCode.FINDINGS if found.problems else ExitCode.DONE


def _model(loading: Loading, plugin: str) -> DepthEstimator:
    from comictool.plugins.load import load_model

    model: DepthEstimator = load_model(loading.spec(plugin), "depth")
    return model


def _said_by(model: DepthEstimator, tile: int) -> Said:
    from comictool.depth.evaluate import PluginMaps, Said

    return Said(model.manifest.id, model=model, maps=PluginMaps(model, tile))


def _said(path: Path) -> Said:
    from comictool.depth.evaluate import Said
    from comictool.depth.saved import SavedMaps
    from comictool.depth.tables import read_predictions
    from comictool.depth.truth import MLRC, read_page_ranks
    from comictool.formats.values import header_of

    if not path.exists():
        raise InputError(f"{path} is not there")
    if path.is_dir():
        table = path / "segments.csv"
        return Said(str(path), table=read_predictions(table) if table.is_file() else None, maps=SavedMaps(path))
    if set(MLRC) <= set(header_of(path)):
        return Said(str(path), pages=read_page_ranks(path))
    return Said(str(path), table=read_predictions(path))
