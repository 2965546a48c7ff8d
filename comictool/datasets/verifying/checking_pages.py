"""Checking the records of one comic: pictures, boxes, ids, references and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comictool.core.errors import ComicError, InputError
from comictool.core.images import decode, shown_size
from comictool.corpus.records import PAGE_TYPES, TEXT_KINDS, PageRecord, Panel, Text
from comictool.corpus.views import CorpusView
from comictool.formats.pictures import picture_size
from comictool.formats.values import number_of


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: which item, what kind of thing, and in words."""

    item: str
    kind: str
    detail: str


def check_pages(
    corpus: CorpusView, comic: str, records: Sequence[PageRecord], *, decode: bool = False
) -> Iterator[Finding]:
    """Everything that is wrong with the pages of one comic.

    Args:
        corpus: where the pictures are.
        comic: its name.
        records: all its pages.
        decode: decode each picture whole, not only its header.
    """
    for number, times in sorted(Counter(record.page for record in records).items()):
        if times > 1:
            yield Finding(f"{comic}/{number}", "duplicate", f"{times} pages have this number")
    for image, times in sorted(Counter(record.image for record in records).items()):
        if times > 1:
            yield Finding(comic, "duplicate", f"{times} pages name the picture {image}")
    for record in records:
        yield from _check_picture(corpus, record, decode)
        yield from _check_boxes(record)
        yield from _check_ids(record)
        yield from _check_references(record)
        yield from _check_numbers(record)


def _check_picture(corpus: CorpusView, record: PageRecord, whole: bool) -> Iterator[Finding]:
    try:
        picture = corpus.picture(record)
    except ComicError as error:
        yield Finding(record.id, "picture", error.fact)
        return
    if isinstance(picture, Path) and not picture.is_file():
        yield Finding(record.id, "picture", f"{record.image} is not there")
        return
    try:
        width, height = picture_size(picture) if isinstance(picture, Path) else shown_size(picture)
        if whole:
            decode(picture)
    except InputError as error:
        yield Finding(record.id, "picture", f"{record.image}: {error.fact}")
        return
    if (width, height) != (record.width, record.height):
        said = f"{record.width}x{record.height}"
        yield Finding(record.id, "size", f"recorded as {said}, but the picture has {width}x{height} pixels")


def _boxes(record: PageRecord) -> Iterator[tuple[str, Any]]:
    """Every box of a page with the id of what it belongs to."""
    for panel in record.panels:
        yield f"panel {panel.id}", panel.box
    for person in record.characters:
        for name in ("box", "face", "body"):
            if getattr(person, name) is not None:
                yield f"character {person.id}{'' if name == 'box' else ' ' + name}", getattr(person, name)
    for text in record.texts:
        if text.box is not None:
            yield f"text {text.id}", text.box
    for index, segment in enumerate(record.segments, start=1):
        box = segment.get("box") if isinstance(segment, dict) else None
        if box is not None:
            yield f"segment {index}", box


def _check_boxes(record: PageRecord) -> Iterator[Finding]:
    for name, box in _boxes(record):
        item = f"{record.id}: {name}"
        numbers = [number_of(v) for v in box] if isinstance(box, (list, tuple)) else []
        if len(numbers) != 4 or any(n is None for n in numbers):
            yield Finding(item, "box", f"{str(box)[:60]} is no box")
            continue
        x0, y0, x1, y1 = (n for n in numbers if n is not None)
        if x0 >= x1 or y0 >= y1:
            yield Finding(item, "box", f"{list(box)} has no area")
        elif x0 < 0 or y0 < 0 or x1 > record.width or y1 > record.height:
            yield Finding(item, "box", f"{list(box)} leaves the page of {record.width}x{record.height}")
    outlined: list[tuple[str, Panel | Text]] = [(f"panel {panel.id}", panel) for panel in record.panels]
    for name, thing in [*outlined, *((f"text {text.id}", text) for text in record.texts)]:
        for x, y in thing.polygon or []:
            across, down = number_of(x), number_of(y)
            if across is None or down is None or not (0 <= across <= record.width and 0 <= down <= record.height):
                yield Finding(f"{record.id}: {name}", "box", f"its outline leaves the page at ({x}, {y})")
                break


def _check_ids(record: PageRecord) -> Iterator[Finding]:
    groups: tuple[tuple[str, Iterable[Any]], ...] = (
        ("panel", record.panels),
        ("character", record.characters),
        ("text", record.texts),
    )
    for name, items in groups:
        for number, times in sorted(Counter(item.id for item in items).items()):
            if times > 1:
                yield Finding(record.id, "duplicate", f"{times} {name}s have the id {number}")


def _check_references(record: PageRecord) -> Iterator[Finding]:
    panels = {panel.id for panel in record.panels}
    people = {person.id for person in record.characters}
    texts = {text.id for text in record.texts}
    for person in record.characters:
        if person.panel is not None and person.panel not in panels:
            yield Finding(f"{record.id}: character {person.id}", "dangling", f"there is no panel {person.panel}")
    for text in record.texts:
        if text.panel is not None and text.panel not in panels:
            yield Finding(f"{record.id}: text {text.id}", "dangling", f"there is no panel {text.panel}")
        for speaker in dict.fromkeys([text.speaker, *text.speakers]):
            if speaker is not None and speaker not in people:
                yield Finding(f"{record.id}: text {text.id}", "dangling", f"there is no character {speaker}")
        if text.continues is not None and text.continues not in texts:
            yield Finding(f"{record.id}: text {text.id}", "dangling", f"there is no text {text.continues}")
    for index, segment in enumerate(record.segments, start=1):
        for name, known in (("panel", panels), ("character", people)):
            said = segment.get(name) if isinstance(segment, dict) else None
            if said is not None and not (isinstance(said, int) and said in known):
                yield Finding(f"{record.id}: segment {index}", "dangling", f"there is no {name} {said}")


def _check_numbers(record: PageRecord) -> Iterator[Finding]:
    """Panels are numbered 1, 2, 3... and so are their places in the reading order; other values are known ones."""
    wanted = list(range(1, len(record.panels) + 1))
    for name, numbers in (
        ("ids", sorted(panel.id for panel in record.panels)),
        ("order", sorted(panel.order for panel in record.panels)),
    ):
        if numbers != wanted and len(set(numbers)) == len(numbers):
            yield Finding(record.id, "numbering", f"the {name} of its panels are {numbers}, not 1 to {len(numbers)}")
        elif numbers != wanted and name == "order":
            yield Finding(record.id, "numbering", f"two panels have the same place in the order {numbers}")
    if record.type not in PAGE_TYPES:
        yield Finding(record.id, "record", f"the page type {record.type!r} is none of {', '.join(PAGE_TYPES)}")
    for text in record.texts:
        if text.kind not in TEXT_KINDS:
            kinds = ", ".join(TEXT_KINDS)
            yield Finding(f"{record.id}: text {text.id}", "record", f"the kind {text.kind!r} is none of {kinds}")
