"""The elements of one page of Manga109-style XML (and of CoMix's dialect), put on a page record."""

from __future__ import annotations

from typing import Any

from comictool.corpus.formats.boxes import FloatBox, bounds, host_of, parse_vertices, place
from comictool.corpus.formats.drafts import RoughPanel, number_panels
from comictool.corpus.formats.values import integer_of, number_of, share_of
from comictool.corpus.formats.view import Problems
from comictool.corpus.records import TEXT_KINDS, Box, Character, PageRecord, Text

# Element names of Manga109 and of CoMix's dialect.
_KINDS = {
    "frame": "panel", "panel": "panel", "body": "body", "character": "body", "face": "face", "text": "text",
    "onomatopoeia": "text", "balloon": "balloon", "link_sbsc": "link",
}  # fmt: skip


def element_box(element: Any) -> FloatBox | None:
    """The box of an element, from xmin, ymin, xmax, ymax or from its points; None when it has no area."""
    corners = [number_of(element.get(name)) for name in ("xmin", "ymin", "xmax", "ymax")]
    if None not in corners:
        x0, y0, x1, y1 = (value for value in corners if value is not None)
    else:
        try:
            x0, y0, x1, y1 = bounds(parse_vertices(element.get("points", "")))
        except ValueError:
            return None
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def fill_page(record: PageRecord, page: Any, named: dict[str, str], problems: Problems) -> None:
    """Put the elements of a page on its record. `named` gives the characters of the book by their ids."""
    groups: dict[str, list[tuple[Any, FloatBox]]] = {kind: [] for kind in _KINDS.values()}
    for element in page:
        kind = _KINDS.get(str(element.tag))
        if kind is None:
            problems.add(record.id, f"an element of unknown kind {str(element.tag)[:30]!r} is left out")
        elif kind == "link":
            groups["link"].append((element, (0, 0, 0, 0)))
        elif (box := element_box(element)) is None or place(box, record) is None:
            problems.add(record.id, f"a {element.tag} without a box on the page is left out")
        else:
            groups[kind].append((element, box))
    rough = [
        RoughPanel([box[:2], box[2:]], integer_of(e.get("order")), share_of(e.get("score")))
        for e, box in groups["panel"]
    ]  # fmt: skip
    numbers = number_panels(record, rough, problems)
    panels = {panel.order: n for panel, n in zip(rough, numbers, strict=True) if panel.order is not None}
    people = _add_people(record, groups, named, panels)
    texts = _add_texts(record, groups["text"], people, panels)
    balloons = [place(box, record) for _, box in groups["balloon"]]
    if balloons:
        record.extra["balloons"] = [list(box) for box in balloons if box is not None]
    for link, _ in groups["link"]:
        text, person = texts.get(link.get("text_id", "")), people.get(link.get("character_id", ""))
        if text is None or person is None:
            problems.add(record.id, "a link names a text or character that is not there")
        else:
            text.speaker = person.id


def _add_people(
    record: PageRecord, groups: dict[str, list[tuple[Any, FloatBox]]], named: dict[str, str], panels: dict[int, Any]
) -> dict[str, Character]:  # fmt: skip
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
            people.setdefault(element.get("id", ""), person)
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
    record.characters.append(person)
    return person


def _add_texts(
    record: PageRecord, found: list[tuple[Any, FloatBox]], people: dict[str, Character], panels: dict[int, Any]
) -> dict[str, Text]:  # fmt: skip
    texts: dict[str, Text] = {}
    for element, box in found:
        usual = "sfx" if element.tag == "onomatopoeia" else "dialogue"
        kind = element.get("kind", usual)
        speaker = people.get(element.get("speaker", ""))
        text = Text(
            len(record.texts) + 1, element.text or "", kind if kind in TEXT_KINDS else usual, place(box, record),
            panels.get(integer_of(element.get("panel")) or 0), speaker.id if speaker else None,
        )  # fmt: skip
        record.texts.append(text)
        texts.setdefault(element.get("id", ""), text)
    return texts
