"""The elements of one page of Manga109-style XML (and of CoMix's dialect), put on a page record."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from comictool.corpus.records import TEXT_KINDS, Box, Character, PageRecord, Text
from comictool.formats.boxes import (
    MAX_POINTS,
    FloatBox,
    Points,
    bounds,
    host_of,
    parse_vertices,
    place,
    place_outline,
    shape_on,
)
from comictool.formats.drafts import RoughPanel, add_speaker, number_panels
from comictool.formats.values import integer_of, number_of, share_of
from comictool.formats.view import Problems

# Element names of Manga109, of COO and of CoMix's dialect.
_KINDS = {
    "frame": "panel",
    "panel": "panel",
    "body": "body",
    "character": "body",
    "face": "face",
    "text": "text",
    "onomatopoeia": "text",
    "balloon": "balloon",
}
# Elements that name who says a text, with the attribute for the speaker: CoMix's and Manga109Dialog's.
_SPEAKERS = {"link_sbsc": "character_id", "speaker_to_text": "speaker_id"}


def element_box(element: Any) -> FloatBox | None:
    """The box of an element, from xmin, ymin, xmax, ymax or around its points; None when it has no area."""
    corners = [number_of(element.get(name)) for name in ("xmin", "ymin", "xmax", "ymax")]
    known = [value for value in corners if value is not None]
    points = [(known[0], known[1]), (known[2], known[3])] if len(known) == 4 else element_points(element)
    box = bounds(points) if points else (0, 0, 0, 0)
    return box if box[2] > box[0] and box[3] > box[1] else None


def element_points(element: Any) -> Points:
    """The outline of an element, from `points` or from x0, y0, x1, y1, ...; empty without one."""
    if element.get("points"):
        try:
            return parse_vertices(element.get("points"))
        except ValueError:
            return []
    out: Points = []
    while len(out) < MAX_POINTS:
        x, y = (number_of(element.get(f"{axis}{len(out)}")) for axis in "xy")
        if x is None or y is None:
            break
        out.append((x, y))
    return out


def fill_page(record: PageRecord, page: Any, named: dict[str, str], problems: Problems) -> None:
    """Put the elements of a page on its record. `named` gives the characters of the book by their ids."""
    groups: dict[str, list[tuple[Any, FloatBox]]] = {kind: [] for kind in _KINDS.values()}
    spoken, joined = [], []
    for element in page:
        tag = str(element.tag)
        kind = _KINDS.get(tag)
        if tag in _SPEAKERS:
            spoken.append(element)
        elif tag.startswith("onomatopoeia_link"):
            joined.append(element)
        elif kind is None:
            problems.add(record.id, f"an element of unknown kind {tag[:30]!r} is left out")
        elif (box := element_box(element)) is None or place(box, record) is None:
            problems.add(record.id, f"a {tag} without a box on the page is left out")
        else:
            groups[kind].append((element, box))
    rough = []
    for e, box in groups["panel"]:
        points = element_points(e) or [box[:2], box[2:]]
        rough.append(RoughPanel(points, integer_of(e.get("order")), share_of(e.get("score")), outlined=len(points) > 2))
    numbers = number_panels(record, rough, problems)
    panels = {panel.order: n for panel, n in zip(rough, numbers, strict=True) if panel.order is not None}
    people = _add_people(record, groups, named, panels)
    texts = _add_texts(record, groups["text"], people, panels)
    balloons = [(e, placed) for e, box in groups["balloon"] if (placed := place(box, record)) is not None]
    if balloons:
        record.extra["balloons"] = [list(box) for _, box in balloons]
    shapes = [shape_on(element_points(e), box, record) for e, box in balloons]
    if any(shapes):
        record.extra["balloon_outlines"] = shapes
    _add_speakers(record, spoken, people, texts, problems)
    _join(record, joined, texts, problems)


def _add_speakers(
    record: PageRecord, links: list[Any], people: dict[str, Character], texts: dict[str, Text], problems: Problems
) -> None:
    for link in links:
        text = texts.get(link.get("text_id", ""))
        person = people.get(link.get(_SPEAKERS[link.tag], ""))
        if text is None or person is None:
            problems.add(record.id, "a link names a text or character that is not there")
        else:
            add_speaker(text, person)


def _join(record: PageRecord, links: list[Any], texts: dict[str, Text], problems: Problems) -> None:
    """Each part of an onomatopoeia goes on from the one before it in the link; the attributes are link0, link1, ..."""
    for link in links:
        named = sorted((integer_of(k.removeprefix("link")) or 0, v) for k, v in link.items() if k.startswith("link"))
        for (_, before), (_, after) in pairwise(named):
            first, second = texts.get(before), texts.get(after)
            if first is None or second is None or first is second:
                problems.add(record.id, "a link names an onomatopoeia that is not there")
            elif second.continues not in (None, first.id):
                problems.add(record.id, "an onomatopoeia goes on from two others; the first counts")
            else:
                second.continues = first.id


def _add_people(
    record: PageRecord, groups: dict[str, list[tuple[Any, FloatBox]]], named: dict[str, str], panels: dict[int, Any]
) -> dict[str, Character]:
    """Bodies in their order, each with its face: the one that names it, else the best one in it of the same name.

    Faces that say that they have no body keep their place among the bodies; others without one come last.
    """
    people: dict[str, Character] = {}
    wandering = []
    elements = {id(element): box for kind in ("body", "face") for element, box in groups[kind]}
    in_order = sorted(groups["body"] + groups["face"], key=lambda pair: _position(pair[0]))
    for element, _ in in_order:
        box = place(elements[id(element)], record)
        assert box is not None, "checked before"
        alone = element.get("of") == "none"
        if _KINDS[element.tag] == "body" or alone:
            person = _person(record, element, box, named, panels)
            if alone:
                person.face = box
            else:
                person.body = box
            people.setdefault(element.get("id", ""), person)
        else:
            wandering.append((element, box))
    for element, box in wandering:
        owner = people.get(element.get("of", "")) or _owner(record, element, box, named)
        if owner is not None and owner.face is None:
            owner.face = box
        else:
            person = _person(record, element, box, named, panels)
            person.face = box
            owner = person
        people.setdefault(element.get("id", ""), owner)
    return people


def _position(element: Any) -> int:
    """Ids count up through a book in hexadecimal digits; those that do not leave the order as it is."""
    try:
        return int(element.get("id", ""), 16)
    except ValueError:
        return -1


def _owner(record: PageRecord, element: Any, box: Box, named: dict[str, str]) -> Character | None:
    identity = _identity(element, named)
    free = [c for c in record.characters if c.face is None and (identity is None or c.identity in (None, identity))]
    same = [c for c in free if identity is not None and c.identity == identity]
    for candidates in (same, free):
        host = host_of(box, [person.box for person in candidates])
        if host is not None:
            return candidates[host]
    return None


def _identity(element: Any, named: dict[str, str]) -> str | None:
    key = element.get("character", element.get("character_id"))
    return None if key is None else named.get(key, key)


def _person(record: PageRecord, element: Any, box: Box, named: dict[str, str], panels: dict[int, Any]) -> Character:
    panel = panels.get(integer_of(element.get("panel")) or 0)
    score = share_of(element.get("score"))
    person = Character(len(record.characters) + 1, box, panel, identity=_identity(element, named), score=score)
    if (shape := shape_on(element_points(element), box, record)) is not None:
        person.extra["polygon"] = shape
    record.characters.append(person)
    return person


def _add_texts(
    record: PageRecord, found: list[tuple[Any, FloatBox]], people: dict[str, Character], panels: dict[int, Any]
) -> dict[str, Text]:
    texts: dict[str, Text] = {}
    for element, box in found:
        usual = "sfx" if element.tag == "onomatopoeia" else "dialogue"
        kind = element.get("kind", usual)
        speaker = people.get(element.get("speaker", ""))
        placed = place(box, record)
        text = Text(
            len(record.texts) + 1,
            element.text or "",
            kind if kind in TEXT_KINDS else usual,
            placed,
            panels.get(integer_of(element.get("panel")) or 0),
            speaker.id if speaker else None,
            polygon=place_outline(element_points(element), placed, record),
        )
        record.texts.append(text)
        texts.setdefault(element.get("id", ""), text)
    return texts
