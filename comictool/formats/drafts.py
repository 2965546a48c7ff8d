"""From what a file says of a page to a page record: its number, its picture, its size, then its contents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError
from comictool.corpus.assignment import assign_panels
from comictool.corpus.order import order_boxes
from comictool.corpus.records import Box, Character, PageRecord, Panel, Text
from comictool.formats.boxes import Points, bounds, place, place_outline
from comictool.formats.fitting import Fitting, Sheet, fitting
from comictool.formats.pictures import PictureFinder, comic_names, components, size_and_turn
from comictool.formats.view import ComicPages, ForeignCorpus, Problems

LARGEST_SIDE = 1_000_000  # pixels; beyond this a size is a mistake


@dataclass
class Draft:
    """One page as an annotation file has it.

    Attributes:
        number: page number, None when the file does not say.
        reference: the picture it names; empty when it names none.
        fill: puts panels, characters and texts on the record once its size is known.
        size: width and height if the file says them.
        extent: width and height that hold all its boxes, for pages without size and picture; (1, 1) without boxes.
        near: the folder of the annotation file, where the picture is looked for first.
    """

    number: int | None
    reference: str
    fill: Callable[[Sheet, Problems], None]
    size: tuple[int, int] | None = None
    extent: tuple[int, int] = (1, 1)
    direction: str = "ltr"
    near: Path | None = None


@dataclass
class RoughPanel:
    """A panel before numbering: box or outline in page pixels, and its place in the reading order if that is known."""

    points: Points
    order: int | None = None
    score: float = 1.0
    source: str = ""
    outlined: bool = field(default=False)


def checked_size(width: int | None, height: int | None) -> tuple[int, int] | None:
    """A size, None when it is impossible."""
    if width is None or height is None or not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        return None
    return width, height


def build_pages(comic: str, drafts: Sequence[Draft], finder: PictureFinder) -> ComicPages:
    """Make the records of one comic, sorted by page number."""
    problems = Problems()
    built = ComicPages()
    for number, draft in zip(_numbers(comic, drafts, problems), drafts, strict=True):
        item = f"{comic}/{number}"
        image = finder.find(draft.reference, draft.near) if draft.reference else None
        fits = _fitted(item, finder, image, draft, problems)
        path = image or "/".join(components(draft.reference)) or f"page-{number}"
        sheet = Sheet(comic, number, path, *fits.size, direction=draft.direction)
        sheet.fit = fits.fit
        draft.fill(sheet, problems)
        assign_panels(sheet)
        built.pages.append(sheet.finished())
        if image is None:
            built.missing.append(built.pages[-1])
    built.pages.sort(key=lambda record: record.page)
    built.problems = problems.found()
    return built


def view_of_titles(
    root: Path,
    titles: Mapping[str, list[dict[str, Any]]],
    draft: Callable[[dict[str, Any]], Draft],
    *,
    format: str,
    finder: PictureFinder,
    problems: Problems,
    files: Iterable[Path],
) -> ForeignCorpus:
    """The view of a format whose files list pages by the title of their comic: each entry becomes a draft of a page."""
    names = comic_names(titles)
    entries = {name: titles[title] for title, name in names.items()}

    def build(comic: str) -> ComicPages:
        return build_pages(comic, [draft(entry) for entry in entries[comic]], finder)

    return ForeignCorpus(
        root,
        format=format,
        comics=entries,
        build=build,
        finder=finder,
        problems=problems.found(),
        annotation_files=files,
    )


def number_panels(
    record: PageRecord, rough: Sequence[RoughPanel], problems: Problems, *, keep_numbers: bool = False
) -> list[int | None]:
    """Put panels on a page, numbered from 1 in reading order.

    When every panel has a place in the order, that decides; else the order is found from where the boxes lie.

    Args:
        record: the page.
        rough: its panels.
        problems: where panels that are not on the page are noted.
        keep_numbers: the places are the numbers, gaps and all (they name files elsewhere).

    Returns:
        For each rough panel its number, or None when nothing of it lies on the page.
    """
    boxes = [place(bounds(panel.points), record) for panel in rough]
    kept: list[tuple[int, Box]] = [(i, box) for i, box in enumerate(boxes) if box is not None]
    for _ in range(len(boxes) - len(kept)):
        problems.add(record.id, "a panel lies outside the page or has no area")
    places = [rough[i].order for i, _ in kept]
    if all(place_ is not None for place_ in places):
        ranks = sorted(range(len(kept)), key=lambda k: (places[k] or 0, k))
    else:
        ranks = order_boxes([box for _, box in kept], record.direction)
    numbers: list[int | None] = [None] * len(rough)
    for position, rank in enumerate(ranks, start=1):
        index, box = kept[rank]
        panel = rough[index]
        number = numbers[index] = panel.order if keep_numbers and panel.order is not None else position
        polygon = place_outline(panel.points, box, record) if panel.outlined else None
        record.panels.append(Panel(number, box, number, panel.score, polygon, panel.source))
    return numbers


def add_speaker(text: Text, person: Character) -> None:
    """Note that a character says a text, maybe together with others."""
    if text.speaker is None:
        text.speaker = person.id
    elif person.id not in (text.speaker, *text.speakers):
        text.speakers = [*(text.speakers or [text.speaker]), person.id]


def _numbers(comic: str, drafts: Sequence[Draft], problems: Problems) -> list[int]:
    """A number for each page: the one it has, else the next free one."""
    taken: set[int] = set()
    numbers: list[int | None] = []
    for draft in drafts:
        number = draft.number if draft.number is not None and draft.number >= 0 else None
        if number is not None and number in taken:
            problems.add(f"{comic}/{number}", "two pages have this number; the second gets a free one")
            number = None
        elif number is None:
            problems.add(comic, "a page without a number gets the next free one")
        if number is not None:
            taken.add(number)
        numbers.append(number)
    following = max(taken, default=0)
    out = []
    for number in numbers:
        if number is None:
            following += 1
        out.append(following if number is None else number)
    return out


def _fitted(item: str, finder: PictureFinder, image: str | None, draft: Draft, problems: Problems) -> Fitting:
    """How a page fits its picture; without one it is as large as it says, or as its boxes need."""
    if image is None:
        return Fitting(None, draft.size or draft.extent)
    try:
        shown, orientation = size_and_turn(finder.root / image)
    except InputError as error:
        problems.add(item, f"its picture {image}: {error.fact}")
        if draft.size is None:
            problems.add(item, "its size is not known; the extent of its boxes stands for it")
        return Fitting(None, draft.size or draft.extent)
    fits = fitting(draft.size, draft.extent, shown, orientation)
    if fits.problem:
        problems.add(item, fits.problem)
    if fits.note:
        finder.notes.setdefault(fits.note, set()).add(item)
    return fits
