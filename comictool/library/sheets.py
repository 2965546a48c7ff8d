"""Contact sheets of what a query found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comictool.core.errors import InputError
from comictool.report.sheet import Tile, write_sheet
from comictool.search.query import Hit, Query
from comictool.vectors.collection import Collection, pictures_from

if TYPE_CHECKING:
    from comictool.corpus.views import CorpusView
    from comictool.duplicates.results import DuplicateReport, PageGroup

COPIES = {
    "file": "the same file",
    "pixels": "the same picture",
    "hash": "the same drawing",
    "embedding": "the same drawing, cut",
    "spread": "a double page and its halves",
}


def hit_tile(hit: Hit) -> Tile:
    """How one answer is shown."""
    lines = [line for line in (hit.type if hit.type != "unknown" else "", hit.split) if line]
    if len(hit.why) > 1:
        lines.append(
            "; ".join(f"{name} {told['score']:.3g} (z {told.get('z', 0):.1f})" for name, told in hit.why.items())
        )
    image = hit.image or Path(hit.id)
    return Tile(image, hit.box, id=hit.id, score=hit.score, lines=lines, said=hit.text, spans=hit.spans)


def write_query_sheet(path: Path, place: Collection, asked: Query, hits: Sequence[Hit]) -> int:
    """Write the sheet of a query and its answers; returns how many pictures could not be shown.

    Raises:
        InputError: the id is not in the store, the store names a folder that is no corpus, or `path` is a folder or a
            file that is no web page.
    """
    _refuse_strangers(path)
    pictures_from(place)
    own = None
    if asked.image is not None:
        own = Tile(asked.image, id=asked.image.name)
    elif asked.id is not None:
        level, row, _ = place.find(asked.id)
        (found,) = place.describe(level, [row])
        own = Tile(found.image or Path(asked.id), found.box, id=asked.id)
    said = asked.text or asked.semantic
    title = f"Most like {own.id}" + (f", with: {said}" if said else "") if own is not None else f"Pages that say {said}"
    return write_sheet(path, title=title, tiles=[hit_tile(hit) for hit in hits], query=own)


def _refuse_strangers(path: Path) -> None:
    """A sheet replaces an earlier one without a word, but never a comic or a record that was named by mistake."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; the sheet is a file", hint=f"--sheet {path / 'sheet.html'}")
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as stream:
            if not stream.read(64).lstrip().lower().startswith(b"<!doctype html"):
                raise InputError(f"{path} exists and is not a sheet", hint="choose another name for --sheet")


def write_duplicate_sheet(path: Path, corpus: CorpusView, report: DuplicateReport, *, most: int = 400) -> int:
    """Write the pages of each group side by side, whole groups, about `most` pictures.

    Returns:
        How many pictures could not be shown.
    """
    chosen: list[tuple[int, PageGroup]] = []
    for number, group in enumerate(report.groups, start=1):
        if chosen and sum(len(other.pages) for _, other in chosen) + len(group.pages) > most:
            break
        chosen.append((number, group))
    wanted = {page for _, group in chosen for page in group.pages}
    images = {}
    for comic in sorted({page.rsplit("/", 1)[0] for page in wanted}):
        images.update({record.id: corpus.picture(record) for record in corpus.pages(comic) if record.id in wanted})
    tiles = [
        Tile(images[page], None, id=page, score=group.score, lines=[f"group {number}: {COPIES[group.kind]}"])
        for number, group in chosen
        for page in group.pages
        if page in images
    ]
    return write_sheet(path, title=f"{len(report.groups)} groups of the same page", tiles=tiles, notes=report.notices)
