"""`comictool query`: search a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.complete import plugin_names
from comictool.cli.options import Device, PluginFolders, Weights, check_device, command
from comictool.cli.output import Output
from comictool.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from comictool.search.query import Hit


@command
def query(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A store, a library, or feature packs.")],
    image: Annotated[Path | None, typer.Option("--image", help="Look for this picture.")] = None,
    id: Annotated[str | None, typer.Option("--id", help="Look for what is like comic/page[/panel[/identity]].")] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="Look for these words in the text; \"a phrase\", begin*.")
    ] = None,
    k: Annotated[int, typer.Option("-k", "--count", min=1, help="How many answers.")] = 10,
    level: Annotated[
        str | None, typer.Option("--level", metavar="panel|page", help="Search among panels or pages.")
    ] = None,
    comic: Annotated[
        str | None, typer.Option("--comic", metavar="GLOB", help="Only comics whose name matches, e.g. 'science*'.")
    ] = None,
    exclude_same_comic: Annotated[
        bool, typer.Option("--exclude-same-comic", help="Leave out the comic that the id is of.")
    ] = False,
    group_by: Annotated[
        str | None, typer.Option("--group-by", metavar="comic", help="Only the best answer of each comic.")
    ] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Also write an HTML contact sheet.")] = None,
    plugin: Annotated[
        str | None,
        typer.Option("--plugin", autocompletion=plugin_names, help="Embed the picture with this; else with the "
                     "plugin that the store remembers. It must be the one that made the store."),
    ] = None,
    plugin_dir: PluginFolders = None,
    weights: Weights = None,
    trust_plugin: Annotated[
        bool, typer.Option("--trust-plugin", help="Let the plugin run its own code (pictures only).")
    ] = False,
    device: Device = "auto",
    *,
    out: Output,
) -> int:  # fmt: skip
    """Find the panels or pages most like a picture or an id, or that say some words.

    Answers come best first with their cosine, or with BM25 for words; a picture is embedded by the plugin that made
    the store, an id and words need no model at all. A folder of `features backbone` is searched as well: panels, or
    characters by --id comic/page/panel/identity. Exit code 1 when nothing is found.

    Example: comictool query library --id science_comics_001/12/3 -k 5 --sheet similar.html
    """
    check_device(device)
    from comictool.search.pack_query import pack_files

    packs = pack_files(store)
    encoder = None
    if plugin is not None and image is not None:
        from comictool.plugins.load import load_plugin

        encoder = load_plugin(plugin, plugin_dirs=plugin_dir or (), trust=trust_plugin, device=device, weights=weights)
    elif plugin is None and (plugin_dir or weights):
        raise UsageError("--plugin-dir and --weights say where to find a plugin", hint="name it with --plugin")
    if packs:
        if text is not None or level is not None:
            raise UsageError(f"{store} holds feature packs: no words, and one level", hint="--id or --image")
        return _in_packs(
            store, out, sheet, image=image, id=id, k=k, comic_glob=comic, exclude_same_comic=exclude_same_comic,
            group_by=group_by, encoder=encoder, trust=trust_plugin, device=device,
        )  # fmt: skip
    hits: Sequence[Hit]
    if text is not None:
        from comictool.search.text_query import query_text

        if image or id or exclude_same_comic:
            raise UsageError("--text is a question by itself", hint="it goes with -k, --level, --comic, --group-by")
        hits = query_text(store, text, k=k, level=level, comic_glob=comic, group_by=group_by)
    else:
        from comictool.search.query import query_store

        hits = query_store(
            store, image=image, id=id, k=k, level=level, comic_glob=comic, exclude_same_comic=exclude_same_comic,
            group_by=group_by, encoder=encoder, trust=trust_plugin, device=device,
        )  # fmt: skip
    if sheet is not None:
        from comictool.library.sheets import pictures_from, write_query_sheet

        if (folder := pictures_from(store)) is not None:
            out.note(f"pictures are read from {folder}, where the store says that its corpus is")
        missing = write_query_sheet(sheet, store, hits, image=image, id=id, text=text or "")
        if missing:
            out.warn(f"{missing} pictures could not be shown on the sheet")
        out.note(f"sheet: {sheet}")
    columns = ["rank", "score", "id", "text" if text is not None else "type", "image"]
    out.rows([hit.as_dict() for hit in hits], columns)
    return ExitCode.DONE if hits else ExitCode.FINDINGS


def _in_packs(packs: Path, out: Output, sheet: Path | None, **question: Any) -> int:
    from comictool.search.pack_query import query_packs

    hits = query_packs(packs, **question)
    if sheet is not None:
        from comictool.library.sheets import write_pack_sheet

        missing = write_pack_sheet(sheet, packs, hits, image=question["image"], id=question["id"] or "")
        if missing:
            out.warn(f"{missing} pictures could not be shown on the sheet: `data export` writes them")
        out.note(f"sheet: {sheet}")
    out.rows([hit.as_dict() for hit in hits], ["rank", "score", "id", "split", "image"])
    return ExitCode.DONE if hits else ExitCode.FINDINGS
