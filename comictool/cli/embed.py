"""`comictool embed` and `comictool merge`: vectors of a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.data import CorpusFolder
from comictool.cli.options import Loading, OutputFolder, PluginName, command
from comictool.cli.output import Output
from comictool.cli.reporting import tell
from comictool.core.errors import ExitCode, UsageError
from comictool.core.jobs import JobOptions

BatchSize = Annotated[int | None, typer.Option("--batch-size", min=1, help="Pictures at once.")]


@command
def embed(
    corpus: CorpusFolder,
    output: OutputFolder,
    plugin: PluginName = "classic",
    level: Annotated[
        list[str] | None, typer.Option("--level", metavar="panel|page", help="What gets vectors; both by default.")
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
    """Turn panels and pages of a corpus into vectors.

    Writes a store: a zarr v3 group with a row for each panel and for each view of a page, and their metadata. Pages
    whose picture and panels did not change keep the vectors they have.

    Example: comictool embed corpus -o corpus/store --plugin classic
    """
    from comictool.corpus.corpus import Corpus
    from comictool.search.embed import embed_corpus
    from comictool.search.encoders import SpecChoice
    from comictool.search.store import LEVELS

    levels = tuple(name for name in LEVELS if not level or name in level)
    unknown = [name for name in level or () if name not in LEVELS]
    if unknown:
        raise UsageError(f"--level {unknown[0]!r}: it is {' or '.join(LEVELS)}")
    report = embed_corpus(
        Corpus.open(corpus), SpecChoice(loading.spec(plugin)), output, levels=levels, dtype=storage,
        batch_size=batch_size, options=job, progress=out.progress(),
    )  # fmt: skip
    return tell(out, report, {"store": str(output)}, [f"comictool query {output} --image FILE"])


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
    from comictool.search.merge import merge_stores

    merged = merge_stores(parts, output)
    missing = [f"{index}/{count}" for index, count in merged.missing]
    out.record({"store": str(output), "parts": len(parts), "pages": merged.published.pages,
                "panels": merged.published.panels, "missing_shards": missing})  # fmt: skip
    if missing:
        out.warn(f"the store lacks the pages of shard {', '.join(missing)}")
    return ExitCode.FINDINGS if missing else ExitCode.DONE
