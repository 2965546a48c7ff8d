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
from comictool.core.errors import ExitCode
from comictool.core.jobs import JobOptions

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
    storage: Annotated[
        str, typer.Option("--storage", metavar="float16|float32", help="How vectors are stored.")
    ] = "float16",
    batch_size: BatchSize = None,
    *,
    loading: Loading,
    job: JobOptions,
    out: Output,
) -> int:
    """Turn pages, panels and characters of a corpus into vectors.

    Writes a store: a zarr v3 group with a column of vectors for each level, and what the rows are. Vectors whose
    picture and box did not change are kept; a level that is added later leaves the others as they are.

    Example: comictool embed corpus -o corpus/store --plugin classic
    """
    from comictool.formats.registry import open_native
    from comictool.vectors.job import EmbedOptions, default_plugin
    from comictool.vectors.job import embed as embed_into

    chosen = EmbedOptions(dtype=storage, batch_size=batch_size)
    if level:
        chosen = replace(chosen, levels=tuple(level))
    spec = loading.spec(plugin or default_plugin(chosen.levels))
    report = embed_into(open_native(corpus), spec, output, chosen, options=job, progress=out.progress())
    return report_job(out, report, {"store": str(output)}, [f"comictool query {output} --image FILE"])


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
