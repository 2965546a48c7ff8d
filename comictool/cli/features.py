"""`comictool features ...`: vectors of every panel or character, as files that the methods read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.embed import BatchSize
from comictool.cli.options import Loading, OutputFolder, PluginName, command
from comictool.cli.output import Output
from comictool.cli.reporting import tell
from comictool.core.errors import UsageError, near_matches
from comictool.core.jobs import JobOptions

PARTS = ("characters", "faces", "bodies")


@command
def backbone(
    source: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="A corpus, a <split>_images.hdf5, or a folder panel_images.")
    ],
    output: OutputFolder,
    plugin: PluginName = "classic",
    level: Annotated[str, typer.Option("--level", metavar="panel|character", help="What gets a vector.")] = "panel",
    split: Annotated[
        str | None, typer.Option("--split", metavar="train|val|test|all", help="Each that the corpus has by default.")
    ] = None,
    layout: Annotated[
        str, typer.Option("--layout", metavar="published|zarr|both", help="published: HDF5 with a JSON index.")
    ] = "published",
    storage: Annotated[
        str, typer.Option("--storage", metavar="float32|float16", help="How vectors are stored.")
    ] = "float32",
    raw: Annotated[bool, typer.Option("--raw", help="The model's own output, not scaled to length 1.")] = False,
    part: Annotated[
        str, typer.Option("--part", metavar="characters|faces|bodies", help="With --level character: what is cut.")
    ] = "characters",
    unidentified: Annotated[bool, typer.Option("--unidentified", help="Also characters that nobody named.")] = False,
    batch_size: BatchSize = None,
    *,
    loading: Loading,
    job: JobOptions,
    out: Output,
) -> int:  # fmt: skip
    """Turn every panel or character into the vector of a frozen encoder.

    Writes <split>_features.hdf5 and its index, as ELRIC and ASTERX read them: one vector for each panel, filed under
    that panel. Crops are cut from the pages and never stored as JPEG. What a killed run finished is kept; shards share
    the folder, and the last one writes the packs.

    Example: comictool features backbone corpus --plugin timm:vit_small_patch16_224 --weights dino.pth -o features
    """
    from comictool.corpus.exporting import CharacterOptions
    from comictool.features.job import BackboneOptions, backbone_features

    if part not in PARTS:
        raise UsageError(f"--part {part!r}: it is {', '.join(PARTS)}", near=near_matches(part, PARTS))
    chosen = BackboneOptions(
        level, split, layout, storage, raw, batch_size, CharacterOptions(part=part, unidentified=unidentified)
    )
    report = backbone_features(
        source, loading.spec(plugin), output, backbone=chosen, options=job, progress=out.progress()
    )  # fmt: skip
    if report.waiting:
        out.note(report.waiting)
    facts = {"features": str(output), "packs": [str(pack) for pack in report.packs]}
    following = [f"comictool evaluate features {pack}" for pack in report.packs if pack.suffix == ".hdf5"]
    return tell(out, report.job, facts, following if level == "character" else [])
