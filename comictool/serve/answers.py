"""What pages and JSON say: plain values made of comics, page records and hits. Runs in threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from comictool.core.errors import ComicError
from comictool.corpus.records import Box, PageRecord, Panel, Text
from comictool.search.facets import Count
from comictool.search.query import Hit
from comictool.serve.asking import Asked, path_of
from comictool.serve.shelf import MISSING, Comic, Shelf

COVERS = 12  # on the first page
WHAT = {"page": "pages", "panel": "panels", "character": "characters"}
ASKED = {"text": "words", "semantic": "meaning", "image": "picture", "id": "likeness"}
KINDS = {"dialogue": "speech", "thought": "thought", "narration": "caption", "sfx": "sound"}


@dataclass(frozen=True)
class Card:
    """One answer as a tile shows it.

    Attributes:
        href: the page that it is on.
        where: `page 3, panel 2`.
        words: the place that matched, in pieces; True for those that were looked for.
        why: what made it match, in a few words each.
    """

    id: str
    href: str
    picture: str
    title: str
    where: str
    words: tuple[tuple[str, bool], ...]
    why: tuple[str, ...]
    type: str


@dataclass(frozen=True)
class Balloon:
    """A text of a page: `kind` as a reader would say it."""

    id: int
    text: str
    kind: str
    box: Box | None


@dataclass(frozen=True)
class Step:
    """A panel in reading order with what is said in it; without panels the whole page is one."""

    number: int
    id: str
    box: Box
    balloons: tuple[Balloon, ...]


def start(shelf: Shelf) -> dict[str, Any]:
    """The first page: counts and covers."""
    comics = list(shelf.comics().values())
    return {**_common(shelf), "totals": _totals(comics), "covers": [c for c in comics if c.cover is not None][:COVERS]}


def found(
    shelf: Shelf, asked: Asked, hits: Sequence[Hit], more: bool, facets: Mapping[str, Sequence[Count]]
) -> dict[str, Any]:
    """A page of answers."""
    comics = shelf.comics()
    like_title = ""
    if asked.like:
        comic, _, rest = asked.like.partition("/")
        like_title = f"{comics[comic].title if comic in comics else comic}, {_where(rest.split('/'))}"
    looks_everywhere = asked.parts == ("picture",) and not asked.level and asked.page == 1
    return {
        **_common(shelf, asked),
        "cards": [_card(hit, comics) for hit in hits],
        "more": more,
        "like_title": like_title,
        "facets": facets,
        "can": shelf.abilities(),
        "nothing_alike": looks_everywhere and bool(hits) and not any(hit.match for hit in hits),
    }


def library(shelf: Shelf, words: str, missing: str, page: int, a_page: int) -> dict[str, Any]:
    """A page of the comics whose name, title or series holds the words, and that lack what is named."""
    every = list(shelf.comics().values())
    wanted = words.casefold().split()
    chosen = [
        comic
        for comic in every
        if (missing not in MISSING or missing in comic.missing)
        and all(word in f"{comic.name} {comic.title} {comic.series} {comic.year}".casefold() for word in wanted)
    ]
    pages = max(1, -(-len(chosen) // a_page))
    page = min(page, pages)
    lacking = {what: sum(what in comic.missing for comic in every) for what in MISSING}
    return {
        **_common(shelf),
        "comics": chosen[a_page * (page - 1) : a_page * page],
        "count": len(chosen),
        "totals": _totals(every),
        "lacking": lacking,
        "words": words,
        "missing": missing if missing in MISSING else "",
        "page": page,
        "pages": pages,
    }


def comic(shelf: Shelf, name: str) -> dict[str, Any]:
    """A comic with its pages.

    Raises:
        NotThere: no comic of this name.
    """
    return {**_common(shelf), "comic": shelf.comic(name), "records": list(shelf.records(name).values())}


def page(shelf: Shelf, name: str, number: int, panel: str = "") -> dict[str, Any]:
    """A page, its panels in reading order with their texts, and the pages beside it.

    Raises:
        NotThere: no such comic or page.
    """
    record = shelf.page(name, number)
    numbers = list(shelf.records(name))
    place = numbers.index(number)
    steps, loose = steps_of(record)
    return {
        **_common(shelf),
        "comic": shelf.comic(name),
        "record": record,
        "steps": steps,
        "loose": loose,
        "marked": next((step.number for step in steps if panel and step.id == f"{record.id}/{panel}"), 0),
        "earlier": numbers[place - 1] if place else None,
        "later": numbers[place + 1] if place + 1 < len(numbers) else None,
        "place": place + 1,
        "count": len(numbers),
    }


def steps_of(record: PageRecord) -> tuple[list[Step], list[Balloon]]:
    """The panels of a page in reading order with their texts, and the texts that are in none."""
    panels = sorted(record.panels, key=lambda panel: (panel.order, panel.id))
    inside: dict[int, list[Balloon]] = {panel.id: [] for panel in panels}
    loose: list[Balloon] = []
    for text in record.texts:
        balloon = Balloon(text.id, text.text, KINDS.get(text.kind, text.kind), text.box)
        owner = _panel_of(text, panels)
        (loose if owner is None else inside[owner]).append(balloon)
    steps = [
        Step(number, record.panel_id(panel), panel.box, tuple(inside[panel.id]))
        for number, panel in enumerate(panels, start=1)
    ]
    return steps, loose


def _panel_of(text: Text, panels: Sequence[Panel]) -> int | None:
    """The panel that a text names, else the one in which its middle lies."""
    if text.panel is not None and any(panel.id == text.panel for panel in panels):
        return text.panel
    if text.box is None:
        return None
    x, y = (text.box[0] + text.box[2]) / 2, (text.box[1] + text.box[3]) / 2
    holding = (p.id for p in panels if p.box[0] <= x < p.box[2] and p.box[1] <= y < p.box[3])
    return next(holding, None)


def plain(hit: Hit) -> dict[str, Any]:
    """An answer for JSON: as `comictool query --json` has it, less the files, with addresses of page and picture."""
    told = {name: value for name, value in hit.as_dict().items() if name not in ("image", "source", "member")}
    return {**told, "page_url": _href(hit), "picture_url": picture(hit.id, "medium")}


def comic_facts(comic: Comic) -> dict[str, Any]:
    """A comic for JSON."""
    return {**asdict(comic), "url": path_of("comic", comic.name)}


def comic_as_json(shelf: Shelf, name: str) -> dict[str, Any]:
    """A comic with the numbers of its pages.

    Raises:
        NotThere: no comic of this name.
    """
    pages = [
        {"id": record.id, "page": record.page, "type": record.type, "panels": len(record.panels)}
        for record in shelf.records(name).values()
    ]
    return {**comic_facts(shelf.comic(name)), "page_list": pages}


def page_as_json(shelf: Shelf, name: str, number: int) -> dict[str, Any]:
    """A page with its panels in reading order, texts and characters.

    Raises:
        NotThere: no such comic or page.
    """
    record = shelf.page(name, number)
    steps, loose = steps_of(record)
    return {
        "id": record.id,
        "comic": record.comic,
        "page": record.page,
        "width": record.width,
        "height": record.height,
        "type": record.type,
        "direction": record.direction,
        "panels": [{**asdict(step), "picture_url": picture(step.id, "medium")} for step in steps],
        "texts": [asdict(balloon) for balloon in loose],
        "characters": [{"id": c.id, "box": c.box, "panel": c.panel, "identity": c.identity} for c in record.characters],
        "picture_url": picture(record.id, "large"),
    }


def problem(error: ComicError | str, shelf: Shelf) -> dict[str, Any]:
    """What is wrong, without the name of any folder of this machine."""
    if isinstance(error, str):
        return {"error": error}
    told = {"error": error.fact, "cause": error.cause, "near": error.near}
    return {name: _without_folders(value, shelf) for name, value in told.items() if value}


def _without_folders(value: Any, shelf: Shelf) -> Any:
    if not isinstance(value, str):
        return value
    for folder in {str(shelf.root), str(shelf.root.resolve()), str(shelf.place().root)}:
        value = value.replace(folder, "this library")
    return value


def picture(id: str, size: str) -> str:
    """The address of the picture of a page, panel or character."""
    return path_of("pictures", size, *id.split("/", 3))


def _common(shelf: Shelf, asked: Asked | None = None) -> dict[str, Any]:
    return {"library_name": shelf.name, "asked": asked or Asked()}


def _totals(comics: Sequence[Comic]) -> dict[str, int]:
    names = ("pages", "panels", "characters", "texts")
    return {"comics": len(comics), **{name: sum(getattr(comic, name) for comic in comics) for name in names}}


def _href(hit: Hit) -> str:
    href = path_of("page", hit.comic, hit.page)
    return f"{href}?panel={hit.panel}" if hit.panel is not None else href


def _card(hit: Hit, comics: dict[str, Comic]) -> Card:
    title = comics[hit.comic].title if hit.comic in comics else hit.comic
    parts = [hit.page, *([hit.panel] if hit.panel is not None else []), *([hit.identity] if hit.identity else [])]
    kind = hit.type if hit.type not in ("unknown", "story") else ""
    return Card(
        hit.id, _href(hit), picture(hit.id, "small"), title, _where(parts), tuple(_pieces(hit)), tuple(_why(hit)), kind
    )


def _where(parts: Sequence[Any]) -> str:
    told = [f"page {parts[0]}"] if parts else []
    told += [f"panel {parts[1]}"] if len(parts) > 1 else []
    return ", ".join([*told, *(str(part) for part in parts[2:3])])


def _why(hit: Hit) -> list[str]:
    """What made it match."""
    if any("z" in told for told in hit.why.values()):  # of several questions
        return [f"{ASKED.get(name, name)} {told['z']:+.1f}" for name, told in hit.why.items() if "z" in told]
    if hit.found_by in ("words", "near"):
        return ["nearly these words"] if hit.found_by == "near" else ["the words"]
    named = {"same": "the same", "similar": "similar"}.get(hit.match, "")
    by = {"page": "whole page", "panel": "a panel", "panels": "its panels"}.get(hit.found_by, "")
    return [text for text in (named, by, f"{hit.score:.2f}") if text]


def _pieces(hit: Hit) -> list[tuple[str, bool]]:
    """The text of an answer, parted where the words stand."""
    pieces, last = [], 0
    for start, stop in sorted(hit.spans):
        if last <= start < stop <= len(hit.text):
            pieces += [(hit.text[last:start], False), (hit.text[start:stop], True)]
            last = stop
    return [piece for piece in [*pieces, (hit.text[last:], False)] if piece[0]]
