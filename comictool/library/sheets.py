"""Contact sheets of what a query found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from comictool.report.sheet import Tile, write_sheet
from comictool.search.query import Hit, find_item, find_store
from comictool.search.store import Store

if TYPE_CHECKING:
    from comictool.corpus.duplicates import DuplicateReport
    from comictool.corpus.views import CorpusView


def hit_tile(hit: Hit) -> Tile:
    """How one answer is shown."""
    return Tile(hit.image, hit.box, id=hit.id, score=hit.score, lines=[hit.type] if hit.type != "unknown" else [])


def write_query_sheet(path: Path, root: Path, hits: Sequence[Hit], *, image: Path | None, id: str | None) -> int:
    """Write the sheet of a query and its answers; returns how many pictures could not be shown.

    Raises:
        InputError: `id` is not in the store.
    """
    if image is not None:
        query = Tile(image, id=image.name)
    else:
        assert id is not None, "a query has a picture or an id"
        query = _stored_tile(root, id)
    title = f"Most like {query.id}"
    return write_sheet(path, title=title, tiles=[hit_tile(hit) for hit in hits], query=query)


def _stored_tile(root: Path, id: str) -> Tile:
    with Store.open(find_store(root)) as store:
        page, panel = find_item(store.metadata, id)
        return Tile(store.corpus_folder() / page.image, panel.box if panel else None, id=id)


def write_duplicate_sheet(path: Path, corpus: CorpusView, report: DuplicateReport) -> int:
    """Write the pages of each group side by side; returns how many pictures could not be shown."""
    from comictool.search.duplicates import duplicate_sheet  # scipy; a query's sheet does not need it

    tiles = [Tile(**asdict(row)) for row in duplicate_sheet(corpus, report)]
    return write_sheet(path, title=f"{len(report.groups)} groups of the same page", tiles=tiles, notes=report.notices)
