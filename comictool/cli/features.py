"""`comictool features ...`: vectors of every panel or character, as files that the methods read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.embed import BatchSize
from comictool.cli.options import Device, Loading, OutputFolder, PluginName, command
from comictool.cli.output import Output
from comictool.cli.reporting import report_job
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
) -> int:
    """Turn every panel or character into the vector of a frozen encoder.

    Writes a store as `embed` does, and from it <split>_features.hdf5 with an index, as ELRIC and ASTERX read them: one
    vector for each panel, filed under that panel. Crops are cut from the pages and never stored as JPEG. What a killed
    run finished is kept; shards share the folder, and the last one writes the packs.

    Example: comictool features backbone corpus --plugin timm:vit_small_patch16_224 --weights dino.pth -o features
    """
    from comictool.datasets.exporting.characters import CharacterOptions
    from comictool.features.backbone import backbone_features
    from comictool.vectors.job import EmbedOptions

    if part not in PARTS:
        raise UsageError(f"--part {part!r}: it is {', '.join(PARTS)}", near=near_matches(part, PARTS))
    chosen = EmbedOptions(
        levels=(level,),
        dtype=storage,
        raw=raw,
        cutting=CharacterOptions(part=part, unidentified=unidentified),
        split=split,
        batch_size=batch_size,
    )
    report = backbone_features(source, loading.spec(plugin), output, chosen, options=job, progress=out.progress())
    if report.waiting:
        out.note(report.waiting)
    facts = {"features": str(output), "packs": [str(pack) for pack in report.packs]}
    following = [f"comictool query {output} --image FILE"] if report.packs else []
    if level == "character":
        following += [f"comictool evaluate features {pack}" for pack in report.packs]
    elif any(pack.name == "train_features.hdf5" for pack in report.packs):
        following += [f"comictool train asterx {output} -o RUN"]
    return report_job(out, report.job, facts, following)


Windows = Annotated[
    str, typer.Option("--windows", metavar="auto|one|two", help="The window alone, or with its neighbours too.")
]
Heads = Annotated[
    int, typer.Option("--heads", min=1, help="Attention heads of a published .pt, which does not say them.")
]
Before = Annotated[int, typer.Option("--before", min=0, help="Panels before the centre, for a published .pt.")]
After = Annotated[int, typer.Option("--after", min=0, help="Panels after the centre, for a published .pt.")]


@command
def asterx(
    source: Annotated[
        Path, typer.Argument(metavar="FEATURES", help="Panel features: a store, a folder of packs, or one pack.")
    ],
    output: OutputFolder,
    model: Annotated[
        Path, typer.Option("--model", metavar="RUN|PLUGIN|PT", help="What `train asterx` wrote, or a published .pt.")
    ],
    split: Annotated[
        list[str] | None, typer.Option("--split", help="Only this split (repeatable); all of the folder by default.")
    ] = None,
    token: Annotated[
        str, typer.Option("--token", metavar="cls|centre", help="Vector of the window, or of the panel's place in it.")
    ] = "cls",
    masked: Annotated[
        bool, typer.Option("--masked/--unmasked", help="Hide the panel itself, as in training, or show it.")
    ] = True,
    windows: Windows = "auto",
    legacy_shape: Annotated[
        bool, typer.Option("--legacy-shape", help="All tokens of the window, (N, 6, 768), as the published code.")
    ] = False,
    heads: Heads = 8,
    before: Before = 2,
    after: After = 2,
    batch_size: BatchSize = None,
    device: Device = "auto",
    *,
    job: JobOptions,
    out: Output,
) -> int:
    """Turn every panel into the vector of its context, by a trained ASTERX.

    Writes <split>_sequence_features.hdf5 and its index: one vector for each panel, from the window centred on it, filed
    under that panel; panels at the ends of a comic included. Where FEATURES are a store in the same folder, it gets the
    column panel/sequence too. By default windows look as in training: the panel itself
    is hidden, and the windows after and before are shown beside it in turn (the vector is the mean of both), unless
    the model was trained with single windows too.

    Example: comictool features asterx features --model runs/asterx -o features
    """
    from comictool.asterx.encoding import BATCH
    from comictool.asterx.extract import ExtractOptions, extract
    from comictool.asterx.weights import load_sequence_model
    from comictool.asterx.windows import WindowShape
    from comictool.core.device import choose_device

    chosen = ExtractOptions(token, masked, windows, legacy_shape, batch_size or BATCH)
    plugin = load_sequence_model(model, heads=heads, window=WindowShape(before, after))
    out.note(plugin.title)
    report = extract(
        source,
        plugin,
        output,
        splits=split or (),
        chosen=chosen,
        device=choose_device(device).name,
        options=job,
        progress=out.progress(),
    )
    facts = {"packs": [str(pack) for pack in report.packs], "model": plugin.encoder_id, "windows": report.windows}
    following = [f"comictool train elric CORPUS --context asterx --features {output} -o runs/elric"]
    return report_job(out, report.job, facts, following)
