"""`comictool query`: search a store."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from comictool.cli.complete import plugin_names
from comictool.cli.options import Device, PluginFolders, check_device, command
from comictool.cli.output import Output
from comictool.core.errors import ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from comictool.search.query import Query
    from comictool.vectors.collection import Collection


@command
def query(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A store, a library, or feature packs.")],
    pictures: Annotated[
        list[Path] | None, typer.Argument(metavar="[PICTURE...]", help="Look for these: files, folders, - for input.")
    ] = None,
    image: Annotated[Path | None, typer.Option("--image", help="Look for this picture.")] = None,
    id: Annotated[str | None, typer.Option("--id", help="Look for what is like comic/page[/panel[/identity]].")] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", help='Look for these words in the text; "a phrase", -without, this OR that, begin*.'),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Only words as they were typed; vectors compared with every row.")
    ] = False,
    ann: Annotated[
        bool,
        typer.Option(
            "--ann", help="Look up vectors in an index, made first where there is none; without it from 200,000 on."
        ),
    ] = False,
    semantic: Annotated[
        str | None, typer.Option("--semantic", metavar="WORDS", help="Look for text that means this (column text).")
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FIELD=VALUE",
            help="Only answers with this: comic=GLOB, type=story, series=..., year=1946..1950, 'panels>=4', "
            "character=NAME, text=yes; repeatable.",
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", "--count", min=1, help="How many answers.")] = 10,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Leave out so many of the best.")] = 0,
    level: Annotated[
        str | None, typer.Option("--level", metavar="page|panel|character|comic", help="What is searched among.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="NAME[=WEIGHT]",
            help="Compare by this column, e.g. sequence; repeatable, with weights. image by default.",
        ),
    ] = None,
    comic: Annotated[
        str | None, typer.Option("--comic", metavar="GLOB", help="Only comics whose name matches, e.g. 'science*'.")
    ] = None,
    exclude_same_comic: Annotated[
        bool, typer.Option("--exclude-same-comic", help="Leave out the comic that the id is of.")
    ] = False,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by", metavar="comic|duplicates", help="Only the best answer of each comic, or of the same page."
        ),
    ] = None,
    duplicates: Annotated[
        Path | None,
        typer.Option("--duplicates", help="The report of data dedupe for it [duplicates.json in the corpus]."),
    ] = None,
    facets: Annotated[
        bool,
        typer.Option("--facets", help="Instead of answers: how many of each series, comic, type, character, year."),
    ] = False,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Also write an HTML contact sheet.")] = None,
    plugin: Annotated[
        str | None,
        typer.Option(
            "--plugin",
            autocompletion=plugin_names,
            help="Embed the picture with this; else with the "
            "plugin that the store remembers. It must be the one that made the store.",
        ),
    ] = None,
    plugin_dir: PluginFolders = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="NAME=WEIGHT,...",
            help="Of several questions, as image=.5,text=.5; without an equals sign a timm model's weights file.",
        ),
    ] = None,
    trust_plugin: Annotated[
        bool, typer.Option("--trust-plugin", help="Let the plugin run its own code (pictures only).")
    ] = False,
    device: Device = "auto",
    *,
    out: Output,
) -> int:
    """Find the panels, pages or characters most like a picture or an id, or that say some words.

    Answers come best first with their cosine, or with BM25 for words; a picture is embedded by the plugin that made
    the store, an id and words need no model at all. Without --level a picture is looked for among pages and panels at
    once, less the bars of a screenshot, straightened where it is a photograph, and by the panels on it; each page is
    one answer, which is the same, similar, or merely the nearest. Packs of features are searched as well, whoever
    wrote them. With several columns the score is the mean of their cosines by weight. Several questions at once
    (--text, --semantic, --image, --id) are each measured against what is usual in the store and added up by --weights;
    what a row lacks does not count against it. Where an index of a large column is there, one question is answered by
    it: scores are exact, an answer may be missed; --ann makes one, --exact reads every row. Exit code 1 when nothing
    is found, or when one of several pictures cannot be read.

    Example: comictool query library --id science_comics_001/12/3 -k 5 --sheet similar.html
    """
    check_device(device)
    from comictool.search.query import Query
    from comictool.search.query import query as answers
    from comictool.vectors.collection import open_collection, pictures_from

    weighed = _weights(weights.split(","), "--weights") if weights and "=" in weights else ()
    file = Path(weights) if weights and not weighed else None
    if plugin is None and (plugin_dir or file):
        raise UsageError("--plugin-dir and --weights say where to find a plugin", hint="name it with --plugin")
    with ExitStack() as stack:
        images = _images(image, pictures or [], stack) if image or pictures else [None]
        if len(images) > 1 and sheet is not None:
            raise UsageError("--sheet shows the answers to one picture", hint="ask for one at a time")
        place = stack.enter_context(open_collection(store))
        encoder = None
        if plugin is not None and images[0] is not None:
            from comictool.plugins.load import load_plugin

            folders = plugin_dir or ()
            encoder = load_plugin(plugin, plugin_dirs=folders, trust=trust_plugin, device=device, weights=file)
        rows, failed = [], 0
        for one in images:
            asked = Query(
                image=one,
                id=id,
                text=text,
                exact=exact,
                k=k,
                offset=offset,
                level=level,
                columns=_weights(column or (), "--column"),
                comic_glob=comic,
                exclude_same_comic=exclude_same_comic,
                group_by=group_by,
                semantic=semantic,
                weights=weighed,
                filters=tuple(filters or ()),
                duplicates=duplicates,
                ann=ann,
            )
            if ann:
                _index(place, asked, out)
            if facets:
                return _facets(place, asked, out)
            try:
                hits = answers(place, asked, encoder=encoder, trust=trust_plugin, device=device)
            except InputError as error:
                if len(images) == 1:
                    raise
                out.warn(str(error))
                failed += 1
                continue
            name = {"query": str(one)} if len(images) > 1 else {}
            rows += [{**name, **hit.as_dict(), "because": _because(hit.why)} for hit in hits]
            alone = len(asked.parts) == 1 and level is None
            if one is not None and hits and alone and not any(hit.match for hit in hits):
                out.note(f"{one} is not here: these are merely the nearest")
        if sheet is not None:
            from comictool.library.sheets import write_query_sheet

            if (folder := pictures_from(place)) is not None:
                out.note(f"pictures are read from {folder}, where the store says that its corpus is")
            missing = write_query_sheet(sheet, place, asked, hits)
            if missing:
                out.warn(f"{missing} pictures could not be shown on the sheet")
            out.note(f"sheet: {sheet}")
    matched = any(row["match"] for row in rows)
    nearly = any(row["found_by"] == "near" for row in rows)
    columns = [
        "rank",
        "score",
        *["match"] * matched,
        *["found_by"] * nearly,
        "id",
        "text" if text is not None else "type",
        "source",
        "member",
    ]
    columns += ["because"] * (len(asked.parts) > 1)
    out.rows(rows, ["query", *columns] if len(images) > 1 else columns)
    return ExitCode.DONE if rows and not failed else ExitCode.FINDINGS


def _images(image: Path | None, pictures: Sequence[Path], stack: ExitStack) -> list[Path | None]:
    """The pictures asked with: files, those below folders in natural order, and `-`, which is standard input."""
    from comictool.vectors.files import find_pictures

    found: list[Path | None] = [image] if image is not None else []
    for path in pictures:
        if path != Path("-"):
            found += find_pictures([path])
            continue
        given = stack.enter_context(TemporaryDirectory())
        found.append(Path(given) / "standard input")
        with (Path(given) / "standard input").open("wb") as file:
            copyfileobj(sys.stdin.buffer, file)
    return found


def _index(place: Collection, asked: Query, out: Output) -> None:
    """Make the indices that a query needs and that are not there."""
    from comictool.search.approximate import build_index
    from comictool.search.query import columns_asked
    from comictool.vectors.collection import StoreCollection

    if not isinstance(place, StoreCollection):
        return
    for name in columns_asked(place, asked):
        if place.index(name) is None:
            facts = build_index(place, name, out.progress())
            out.note(
                f"index of {name}: {facts.count:,} vectors, {facts.bytes / 1e6:,.0f} MB, {facts.seconds:.0f} s; "
                f"recall@10 {facts.recall:.3f} [{facts.low:.3f}, {facts.high:.3f}] of {facts.asked} rows"
            )


def _facets(place: Collection, asked: Query, out: Output) -> int:
    from comictool.search.facets import facets

    counted = facets(place, asked)
    rows = [{"facet": name, "value": value, "rows": rows} for name, found in counted.items() for value, rows in found]
    out.rows(rows, ["facet", "value", "rows"])
    return ExitCode.DONE if rows else ExitCode.FINDINGS


def _because(why: Mapping[str, Mapping[str, float]]) -> str:
    """`image .83 z 4.1, text 7.2 z 5.0`."""
    return ", ".join(
        f"{name} {said['score']:.3g}" + (f" z {said['z']:.1f}" if "z" in said else "") for name, said in why.items()
    )


def _weights(given: Sequence[str], option: str) -> tuple[tuple[str, float], ...]:
    found = []
    for text in given:
        name, there, weight = text.strip().partition("=")
        try:
            found.append((name, float(weight) if there else 1.0))
        except ValueError:
            raise UsageError(f"{option} {text!r}: the weight is a number, as in image=0.5") from None
    return tuple(found)
