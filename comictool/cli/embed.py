"""`comictool embed` and `comictool merge`: vectors of a corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.complete import plugin_names
from comictool.cli.data import CorpusFolder
from comictool.cli.options import Loading, OutputFolder, command
from comictool.cli.output import Output
from comictool.cli.reporting import report_job
from comictool.core.errors import ExitCode, UsageError
from comictool.core.jobs import JobOptions, JobReport

MODALITIES = ("image", "text", "layout")

OptionalPlugin = Annotated[
    str | None,
    typer.Option(
        "--plugin",
        envvar="COMICTOOL_PLUGIN",
        autocompletion=plugin_names,
        show_default=False,
        help="A plugin's name or folder, or timm:NAME [classic; comic_small where only characters get vectors].",
    ),
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", min=1, help="Pictures at once.")]


@command
def embed(
    corpus: CorpusFolder,
    output: OutputFolder,
    plugin: OptionalPlugin = None,
    level: Annotated[
        list[str] | None,
        typer.Option("--level", metavar="page|panel|character", help="What gets vectors; pages and panels by default."),
    ] = None,
    modality: Annotated[
        str,
        typer.Option("--modality", metavar="image|text|layout", help="What is looked at: pictures, words, or places."),
    ] = "image",
    storage: Annotated[
        str, typer.Option("--storage", metavar="float16|float32|int8", help="How vectors are stored.")
    ] = "float16",
    batch_size: BatchSize = None,
    *,
    loading: Loading,
    job: JobOptions,
    out: Output,
) -> int:
    """Turn pages, panels and characters of a corpus into vectors.

    `--modality text` makes the words of panels a column of their own (with --plugin, a text encoder such as minilm),
    `layout` how panels lie on the page; a fusion plugin (`train fusion`) makes one vector of all three.

    Writes a store: a zarr v3 group with a column of vectors for each level, and what the rows are. Vectors whose
    picture and box did not change are kept; a level that is added later leaves the others as they are.

    Example: comictool embed corpus -o corpus/store --plugin classic
    """
    from comictool.formats.registry import open_native
    from comictool.vectors.job import EmbedOptions, default_plugin
    from comictool.vectors.job import embed as embed_into

    if modality not in MODALITIES:
        raise UsageError(f"--modality is {', '.join(MODALITIES)}, not {modality!r}")
    if modality != "image" or (plugin is not None and _kind(loading, plugin) in ("text-encoder", "fusion")):
        report = _derived(corpus, output, modality, plugin, level, storage, loading, job, out)
        return report_job(out, report, {"store": str(output)}, [f"comictool query {output} --id comic/page/panel"])
    chosen = EmbedOptions(dtype=storage, batch_size=batch_size)
    if level:
        chosen = replace(chosen, levels=tuple(level))
    spec = loading.spec(plugin or default_plugin(chosen.levels))
    report = embed_into(open_native(corpus), spec, output, chosen, options=job, progress=out.progress())
    return report_job(out, report, {"store": str(output)}, [f"comictool query {output} --image FILE"])


def _kind(loading: Loading, plugin: str) -> str:
    from comictool.plugins.known import known_manifest

    manifest = known_manifest(loading.spec(plugin))
    return manifest.kind if manifest is not None else "encoder"


def _derived(
    corpus: Path,
    output: Path,
    modality: str,
    plugin: str | None,
    level: list[str] | None,
    storage: str,
    loading: Loading,
    job: JobOptions,
    out: Output,
) -> JobReport:
    """Words, layout and fused vectors: see `comictool.vectors.derived`."""
    from comictool.formats.registry import open_native
    from comictool.vectors.derived import embed_fused, embed_layout, embed_texts

    view = open_native(corpus)
    if modality == "layout":
        if plugin is not None or level not in (None, [], ["panel"]):
            raise UsageError("--modality layout is of panels and needs no plugin")
        return embed_layout(view, output, options=job, progress=out.progress())
    if modality == "image" and plugin is not None and _kind(loading, plugin) == "fusion":
        if level:
            raise UsageError("a fusion plugin gives vectors to panels and pages", hint="leave --level out")
        return embed_fused(view, loading.spec(plugin), output, dtype=storage, options=job, progress=out.progress())
    spec = loading.spec(plugin or "hashed")
    levels = tuple(level or ("panel",))
    return embed_texts(view, spec, output, levels=levels, dtype=storage, options=job, progress=out.progress())


@command
def merge(
    parts: Annotated[list[Path], typer.Argument(metavar="PART...", help="Stores that `embed --shard` wrote.")],
    output: OutputFolder,
    *,
    out: Output,
) -> int:
    """Join the stores that `embed --shard` wrote.

    The result is the same as that of one run over the whole corpus. Shards that are not among the parts are named,
    with exit code 1; `comictool embed CORPUS -o STORE` computes what is missing.

    Example: comictool merge part-1 part-2 part-3 -o store
    """
    from comictool.vectors.merge import merge_stores

    merged = merge_stores(parts, output)
    missing = [f"{index}/{count}" for index, count in merged.missing]
    out.record(
        {
            "store": str(output),
            "parts": len(parts),
            "pages": merged.counts["page"],
            "panels": merged.counts["panel"],
            "missing_shards": missing,
        }
    )
    if missing:
        out.warn(f"the store lacks the pages of shard {', '.join(missing)}")
    return ExitCode.FINDINGS if missing else ExitCode.DONE
