"""Contact sheets of what a query found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from comictool.core.errors import InputError
from comictool.report.sheet import Tile, write_sheet
from comictool.search.pack_query import PackHit, crop_of
from comictool.search.query import Hit, find_item, find_store
from comictool.search.store import Store

if TYPE_CHECKING:
    from comictool.corpus.duplicates import DuplicateReport
    from comictool.corpus.views import CorpusView


def hit_tile(hit: Hit) -> Tile:
    """How one answer is shown."""
    lines = [line for line in (hit.type if hit.type != "unknown" else "", getattr(hit, "text", "")) if line]
    return Tile(hit.image, hit.box, id=hit.id, score=hit.score, lines=lines)


def write_query_sheet(
    path: Path, root: Path, hits: Sequence[Hit], *, image: Path | None = None, id: str | None = None, text: str = ""
) -> int:
    """Write the sheet of a query and its answers; returns how many pictures could not be shown.

    Raises:
        InputError: `id` is not in the store, the store names a folder that is no corpus, or `path` is a folder or a
            file that is no web page.
    """
    _refuse_strangers(path)
    pictures_from(root)
    query = None
    if image is not None:
        query = Tile(image, id=image.name)
    elif id is not None:
        query = _stored_tile(root, id)
    title = f"Most like {query.id}" if query is not None else f"Pages that say {text}"
    return write_sheet(path, title=title, tiles=[hit_tile(hit) for hit in hits], query=query)


def write_pack_sheet(
    path: Path, root: Path, hits: Sequence[PackHit], *, image: Path | None = None, id: str = ""
) -> int:
    """Write the sheet of a query of feature packs, of the exported crops; returns how many could not be shown.

    Raises:
        InputError: `id` is not in the packs, or `path` is a folder or a file that is no web page.
    """
    _refuse_strangers(path)
    asked = Tile(image, id=image.name) if image is not None else Tile(crop_of(root, id) or Path(id), id=id)
    tiles = [Tile(hit.image or Path(hit.id), id=hit.id, score=hit.score, lines=[hit.split]) for hit in hits]
    return write_sheet(path, title=f"Most like {asked.id}", tiles=tiles, query=asked)


def pictures_from(root: Path) -> Path | None:
    """The folder that pictures of a store are read from, when it is one that only the store names.

    Raises:
        InputError: it is no corpus; nothing is read there.
    """
    with Store.open(find_store(root)) as store:
        return store.foreign_corpus()


def _refuse_strangers(path: Path) -> None:
    """A sheet replaces an earlier one without a word, but never a comic or a record that was named by mistake."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; the sheet is a file", hint=f"--sheet {path / 'sheet.html'}")
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as stream:
            if not stream.read(64).lstrip().lower().startswith(b"<!doctype html"):
                raise InputError(f"{path} exists and is not a sheet", hint="choose another name for --sheet")


def _stored_tile(root: Path, id: str) -> Tile:
    with Store.open(find_store(root)) as store:
        page, panel = find_item(store.metadata, id)
        return Tile(store.picture(page.image), panel.box if panel else None, id=id)


def write_duplicate_sheet(path: Path, corpus: CorpusView, report: DuplicateReport) -> int:
    """Write the pages of each group side by side; returns how many pictures could not be shown."""
    from comictool.search.duplicates import duplicate_sheet  # scipy; a query's sheet does not need it

    tiles = [Tile(**asdict(row)) for row in duplicate_sheet(corpus, report)]
    return write_sheet(path, title=f"{len(report.groups)} groups of the same page", tiles=tiles, notes=report.notices)
