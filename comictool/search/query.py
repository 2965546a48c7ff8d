"""Answering queries from a store: by an identifier in it, or by a picture.

A query by identifier imports neither torch nor zarr: numpy and SQLite are all it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.search.metadata import Box, Metadata, PageEntry, PanelEntry
from comictool.search.nearest import nearest
from comictool.search.store import LEVELS, Store
from comictool.search.views import nearest_view

if TYPE_CHECKING:
    from comictool.plugins.encoder import Encoder

NESTED = "store"  # a library keeps its store in a folder of this name


@dataclass(frozen=True)
class Hit:
    """One answer. `score` is the cosine, -1..1; `panel` and `box` are None for pages; `image` may be gone by now."""

    rank: int
    id: str
    score: float
    comic: str
    page: int
    panel: int | None
    box: Box | None
    image: Path
    type: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and tables."""
        return {**asdict(self), "box": list(self.box) if self.box else None, "image": str(self.image)}


@dataclass(frozen=True)
class _Question:
    """A query made ready: vectors, and the comic, level and row of the item when it is one of the store's own."""

    vectors: np.ndarray
    comic: str | None = None
    level: str | None = None
    row: int = -1


def query_store(
    root: Path,
    *,
    image: Path | None = None,
    id: str | None = None,
    k: int = 10,
    level: str | None = None,
    comic_glob: str | None = None,
    exclude_same_comic: bool = False,
    group_by: str | None = None,
    encoder: Encoder | None = None,
    trust: bool = False,
    device: str = "auto",
) -> list[Hit]:
    """The k nearest panels or pages, best first; equal scores in natural order of identifiers.

    Args:
        root: a store, or a library with one inside.
        image: a picture to look for; embedded by the plugin that made the store.
        id: `comic/page/panel` or `comic/page` in the store; never among its own answers.
        level: `panel` or `page`; by default what `id` names, and `page` for a picture (`panel` without pages).
        comic_glob: only comics whose name matches this shell pattern.
        exclude_same_comic: leave out the comic of `id`.
        group_by: `comic`: only the best answer of each comic.
        encoder: used for `image` instead of loading the store's own.
        trust: let the store's plugin run its own code this once.
        device: where a torch encoder runs.

    Raises:
        UsageError: contradicting or missing options.
        InputError: no such identifier (with near ones) or comic, an unreadable picture, a damaged or foreign store.
    """
    if (image is None) == (id is None):
        raise UsageError(
            "a query needs one of a picture and an id", hint="--image FILE, --id comic/page[/panel], or --text WORDS"
        )
    if k < 1:
        raise UsageError(f"{k} answers: ask for 1 or more")
    if level is not None and level not in LEVELS:
        raise UsageError(f"the level is {' or '.join(LEVELS)}, not {level!r}", near=near_matches(level, LEVELS))
    if group_by not in (None, "comic"):
        raise UsageError(f"answers can be grouped by comic, not by {group_by!r}")
    if exclude_same_comic and id is None:
        raise UsageError("--exclude-same-comic needs --id: a picture is of no comic")
    with Store.open(find_store(root)) as store:
        if id is not None:
            question = _by_id(store, id)
        else:
            assert image is not None
            question = _by_image(store, image, encoder, trust=trust, device=device)
        chosen = level or question.level or ("page" if "page" in store.vectors else "panel")
        return _answer(store, question, chosen, k, comic_glob, exclude_same_comic, group_by == "comic")


def find_store(root: Path) -> Path:
    """The store at a path: itself, or the one of a library."""
    nested = root / NESTED
    return nested if not (root / "zarr.json").is_file() and (nested / "zarr.json").is_file() else root


def _by_id(store: Store, name: str) -> _Question:
    page, panel = find_item(store.metadata, name)
    level, row = ("page", page.row) if panel is None else ("panel", panel.row)
    if level not in store.vectors:
        raise InputError(f"{store.root} has no vectors of {level}s", hint=f"comictool embed --level {level}")
    # The first view is the whole page; more views of the query do not help (see comictool.search.views).
    first = row * len(store.settings.views) if level == "page" else row
    return _Question(store.vectors[level].read(first, first + 1).astype(np.float32), page.comic, level, row)


def find_item(metadata: Metadata, name: str) -> tuple[PageEntry, PanelEntry | None]:
    """The page, and the panel if it is one, that an identifier names.

    Raises:
        InputError: none; with near identifiers.
    """
    comic, *numbers = name.encode("utf-8", "replace").decode("utf-8").split("/")  # bytes that are no UTF-8: no name
    values = [int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1 for number in numbers]
    page = metadata.find_page(comic, values[0]) if 1 <= len(values) <= 2 else None
    if page is not None and len(values) == 1:
        return page, None
    panel = metadata.find_panel(page.row, values[1]) if page is not None else None
    if page is not None and panel is not None:
        return page, panel
    raise InputError(
        f"{name!r} is not in the store",
        near=_near(metadata, name, comic, page, values),
        hint="" if numbers else "write it as comic/page or comic/page/panel",
    )


def _near(metadata: Metadata, name: str, comic: str, page: PageEntry | None, values: Sequence[int]) -> list[str]:
    if page is not None:
        numbers = metadata.panel_numbers(page.row)
        nearest_numbers = sorted(numbers, key=lambda number: (abs(number - values[1]), number))[:3]
        return [f"{page.id}/{number}" for number in nearest_numbers] or [page.id]
    numbers = metadata.page_numbers(comic)
    if numbers:
        wanted = values[0] if values else numbers[0]
        return [
            f"{comic}/{number}" for number in sorted(numbers, key=lambda number: (abs(number - wanted), number))[:3]
        ]
    names = near_matches(comic, [found.comic for found in metadata.comics()])
    firsts = {found: metadata.page_numbers(found) for found in names}
    same_page = values[0] if values else -1
    return [f"{found}/{same_page if same_page in pages else pages[0]}" for found, pages in firsts.items()]


def _by_image(store: Store, image: Path, encoder: Encoder | None, *, trust: bool, device: str) -> _Question:
    from comictool.core.images import decode_array

    try:
        picture = decode_array(image)
    except InputError as error:
        raise InputError(f"{image}: {error.fact}", cause=error.cause, hint=error.hint) from error
    if encoder is None:
        from comictool.plugins.load import load_encoder
        from comictool.search.encoders import recall

        encoder = load_encoder(recall(store.settings.plugin, trust=trust, device=device))
    if encoder.identity != store.settings.identity or encoder.dimension != store.settings.dimension:
        raise InputError(
            f"{store.root} was made by {store.settings.identity}, the plugin found is {encoder.identity}",
            cause="vectors of different encoders cannot be compared",
            hint=f"name the right one with --plugin, or embed again: comictool embed CORPUS -o {store.root}",
        )
    return _Question(encoder.embed([picture]))


def _answer(
    store: Store, question: _Question, level: str, k: int, glob: str | None, other_comics: bool, grouped: bool
) -> list[Hit]:
    if level not in store.vectors:
        raise InputError(f"{store.root} has no vectors of {level}s", hint=f"comictool embed --level {level}")
    found = nearest(
        store.vectors[level],
        question.vectors,
        k,
        ranges=chosen_ranges(store, level, glob, without=question.comic if other_comics else None),
        without=[question.row] if question.level == level else [],
        views=len(store.settings.views) if level == "page" else 1,
        combine=nearest_view if level == "page" else None,
        groups=_starts(store, level) if grouped else None,
    )
    return located_hits(store, level, found)


def chosen_ranges(store: Store, level: str, glob: str | None, *, without: str | None = None) -> list[tuple[int, int]]:
    """Half-open ranges of rows of the comics that match a shell pattern, one comic left out.

    Raises:
        InputError: no comic matches; with near names.
    """
    comics = store.metadata.comics(glob)
    if glob is not None and not comics:
        names = [found.comic for found in store.metadata.comics()]
        raise InputError(f"no comic in {store.root} matches {glob!r}", near=near_matches(glob, names))
    return _joined([comic.range(level) for comic in comics if comic.comic != without])


def _starts(store: Store, level: str) -> np.ndarray:
    """First row of each comic that has any at this level."""
    ranges = [comic.range(level) for comic in store.metadata.comics()]
    return np.array([start for start, stop in ranges if stop > start], np.int64)


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring ranges as one."""
    out: list[tuple[int, int]] = []
    for start, stop in ranges:
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], stop)
        elif stop > start:
            out.append((start, stop))
    return out


def located_hits(store: Store, level: str, found: Sequence[tuple[int, float]]) -> list[Hit]:
    """Answers of (row, score), in their order, with all that the store knows of them."""
    rows = [row for row, _ in found]
    panels = store.metadata.panels(rows) if level == "panel" else {}
    page_of = {row: panels[row][0] if level == "panel" else row for row in rows}
    pages = store.metadata.pages(list(page_of.values()))
    hits = []
    for rank, (row, score) in enumerate(found, start=1):
        page = pages[page_of[row]]
        panel = panels[row][1] if level == "panel" else None
        hits.append(
            Hit(
                rank=rank,
                id=page.id if panel is None else f"{page.id}/{panel.panel}",
                score=score,
                comic=page.comic,
                page=page.page,
                panel=None if panel is None else panel.panel,
                box=None if panel is None else panel.box,
                image=store.picture(page.image),
                type=page.type,
            )
        )
    return hits
