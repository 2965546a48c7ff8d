"""CoMix COCO: categories panel, character, balloon, text, onomatopoeia, link_sbsc and face, one file for many books.

The id of an image is the first eight hexadecimal digits of the book's MD5 as a number, times 10000, plus the page.
A book folder that is such a hash already is taken as it is. What plain COCO has no field for (reading order, text,
identity, who speaks) stands in `attributes`, which other readers pass over.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from comictool.core.files import atomic_text
from comictool.corpus.records import TEXT_KINDS, Box, Character, PageRecord, Text
from comictool.formats.boxes import FloatBox, box_of_xywh, host_of, place, place_outline, shape_on, xywh
from comictool.formats.coco import Annotation, coco_files, image_entry, outlines, read_coco
from comictool.formats.drafts import add_speaker, number_panels
from comictool.formats.keeping import ALL_CHARACTER, ALL_PANEL, ALL_TEXT, Capabilities
from comictool.formats.masks import is_rle
from comictool.formats.values import integer_of, list_of, number_of, share_of, text_of
from comictool.formats.view import ForeignCorpus, Problems
from comictool.formats.written import JsonList, WrittenComic, mentions, suffix_of

NAME = "comix-coco"
FILE = "annotations.json"
CATEGORIES = {1: "panel", 2: "character", 3: "balloon", 4: "text", 5: "onomatopoeia", 6: "link_sbsc", 7: "face"}
PAGES_A_BOOK = 10_000  # of the image id rule


def _keep(record: PageRecord) -> PageRecord:
    """Balloons that are boxes on the page."""
    boxes = [place(_corners(value), record) for value in list_of(record.extra.pop("balloons", None))]
    if any(boxes):
        record.extra["balloons"] = [list(box) for box in boxes if box is not None]
    return record


def _corners(value: Any) -> FloatBox | None:
    numbers = [number_of(v) for v in value] if isinstance(value, (list, tuple)) and len(value) == 4 else [None]
    known = [n for n in numbers if n is not None]
    return (known[0], known[1], known[2], known[3]) if len(known) == 4 else None


CAPABILITIES = Capabilities(
    page=frozenset({"type", "type_confidence", "direction"}),
    panels=ALL_PANEL,
    characters=ALL_CHARACTER,
    texts=ALL_TEXT,
    extra=frozenset({"balloons"}),
    text_boxes=True,
    adjust=_keep,
)

# Other spellings of the seven, in files of this dialect and of people's own; a plural counts as its singular.
_KINDS = {
    "frame": "panel",
    "case": "panel",
    "vignette": "panel",
    "koma": "panel",
    "body": "character",
    "person": "character",
    "people": "character",
    "figure": "character",
    "head": "face",
    "speech_balloon": "balloon",
    "speech_bubble": "balloon",
    "text_bubble": "balloon",
    "bubble": "balloon",
    "sfx": "onomatopoeia",
    "onomatopeia": "onomatopoeia",
    "sound_effect": "onomatopoeia",
    "caption": "text",
    "lettering": "text",
    **{name: name for name in CATEGORIES.values()},
}
_HASH = re.compile(r"[0-9a-f]{8}\Z")


def detect(folder: Path) -> bool:
    """Whether there are COCO files and none carries depth."""
    files = coco_files(folder)
    return bool(files) and not any(mentions(file, b'"Interdepth"') for file in files)


def read(source: Path, pictures: Path | None = None) -> ForeignCorpus:
    """Open CoMix COCO files as a corpus; raises like `coco.read_coco`."""
    return read_coco(source, pictures, NAME, _fill)


def picture_place(record: PageRecord) -> str:
    """`images/<comic>/<nnn>.<ext>`."""
    return f"images/{record.comic}/{record.page:03d}{suffix_of(record)}"


def book_number(comic: str) -> int:
    """The first eight hexadecimal digits of the book's MD5, or of its name if that is such a hash."""
    digits = comic if _HASH.match(comic) else hashlib.md5(comic.encode(), usedforsecurity=False).hexdigest()[:8]
    return int(digits, 16)


def image_id(comic: str, page: int) -> int:
    """The id that CoMix gives to a page."""
    return book_number(comic) * PAGES_A_BOOK + page


def write(comics: Iterable[WrittenComic], destination: Path, problems: Problems) -> None:
    """Write `annotations.json`; annotations are streamed, only the image entries lie in memory."""
    images: list[dict[str, Any]] = []
    taken: set[int] = set()
    with atomic_text(destination / FILE) as stream:
        head = [{"id": number, "name": name, "supercategory": "comic"} for number, name in CATEGORIES.items()]
        stream.write('{"info": {"description": "CoMix categories"},\n"categories": ' + json.dumps(head))
        stream.write(',\n"annotations": ')
        annotations = JsonList(stream)
        number = 0
        for comic in comics:
            for record in comic.pages:
                identity = image_id(record.comic, record.page)
                if record.page >= PAGES_A_BOOK or identity in taken:
                    problems.add(record.id, "the image id rule gives an id that is taken; it gets another")
                    while identity in taken or identity < PAGES_A_BOOK << 32:
                        identity += PAGES_A_BOOK << 32  # beyond all ids of the rule
                taken.add(identity)
                images.append(image_entry(record, identity, record.image.removeprefix("images/")))
                for entry in _entries(record, identity, number + 1):
                    number += 1
                    annotations.add(entry)
        annotations.close()
        stream.write(',\n"images": ')
        listed = JsonList(stream)
        for image in images:
            listed.add(image)
        listed.close()
        stream.write("}\n")


def _entries(record: PageRecord, identity: int, first: int) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []

    def add(category: int, box: Box, score: float, **attributes: Any) -> int:
        plain = {name: value for name, value in attributes.items() if value not in (None, "")}
        shape = xywh(box)
        entry: dict[str, Any] = {"id": first + len(out), "image_id": identity, "category_id": category, "bbox": shape}
        entry |= {"area": shape[2] * shape[3], "iscrowd": 0, "score": score, "attributes": plain}
        out.append(entry)
        return int(entry["id"])

    for panel in record.panels:
        add(1, panel.box, panel.score, order=panel.order, source=panel.source)
        if panel.polygon is not None:
            out[-1]["segmentation"] = [[v for point in panel.polygon for v in point]]
    characters: dict[int, int] = {}
    for person in record.characters:
        body = None if person.body is None else xywh(person.body)
        characters[person.id] = add(
            2,
            person.box,
            person.score,
            identity=person.identity,
            panel=person.panel,
            body=body,
            valence=person.valence,
            arousal=person.arousal,
        )
    for person in record.characters:
        if person.face is not None:
            add(7, person.face, person.score, character=characters[person.id])
    for box in list_of(record.extra.get("balloons")):
        add(3, tuple(box), 1.0)
    texts: dict[int, dict[str, Any]] = {}
    for text in record.texts:
        assert text.box is not None, "texts without a box are not kept"
        category = 5 if text.kind == "sfx" else 4
        add(category, text.box, text.confidence, text=text.text, kind=text.kind, panel=text.panel, source=text.source)
        texts[text.id] = out[-1]
        if text.polygon is not None:
            out[-1]["segmentation"] = [[v for point in text.polygon for v in point]]
    for text in record.texts:
        if text.continues in texts:
            texts[text.id]["attributes"]["continues"] = texts[text.continues]["id"]
        said_by = text.speakers or [text.speaker or 0]
        for speaker in (c for s in said_by for c in record.characters if c.id == s):
            assert text.box is not None
            link = _link(text.box, speaker.box)
            add(6, link, 1.0, text=texts[text.id]["id"], character=characters[speaker.id])
    for entry in out:
        entry.setdefault("segmentation", [])
    return out


def _link(text: Box, speaker: Box) -> Box:
    """The box of a line between two middles, at least one pixel wide and high."""
    (ax, ay), (bx, by) = [((b[0] + b[2]) // 2, (b[1] + b[3]) // 2) for b in (text, speaker)]
    x0, y0 = min(ax, bx), min(ay, by)
    return (x0, y0, max(ax, bx, x0 + 1), max(ay, by, y0 + 1))


def _fill(record: PageRecord, annotations: list[Annotation], categories: dict[int, str], problems: Problems) -> None:
    names = categories or CATEGORIES
    groups: dict[str, list[Annotation]] = {name: [] for name in CATEGORIES.values()}
    lettering: list[tuple[str, Annotation]] = []
    for annotation in annotations:
        name = names.get(annotation.category, "")
        kind = _kind(name)
        if kind is None:
            named = repr(name[:40]) if name else annotation.category
            problems.add(record.id, f"an annotation of unknown category {named} is left out")
        elif kind in ("text", "onomatopoeia"):
            lettering.append((kind, annotation))
        else:
            groups[kind].append(annotation)
        drawn = annotation.raw.get("segmentation")
        if annotation.outline is None and (outlines(drawn) or is_rle(drawn)):
            problems.add(record.id, "a mask, or an outline of several parts, is left out; its box is kept")
    panels = [a.rough() for a in groups["panel"]]
    numbers = number_panels(record, panels, problems)
    places = {p.order: n for p, n in zip(panels, numbers, strict=True) if p.order is not None and n is not None}
    people = _add_characters(record, groups["character"], places, problems)
    _add_faces(record, groups["face"], people, problems)
    texts = _add_texts(record, lettering, places, problems)
    for link in groups["link_sbsc"]:
        _follow(link, texts, people, problems, record)
    balloons = [(a, box) for a in groups["balloon"] if (box := _placed(a.box, record, problems)) is not None]
    if balloons:
        record.extra["balloons"] = [list(box) for _, box in balloons]
    shapes = [shape_on(a.outline or [], box, record) for a, box in balloons]
    if any(shapes):
        record.extra["balloon_outlines"] = shapes


def _kind(name: str) -> str | None:
    """Which of the seven a category is."""
    plain = re.sub(r"[\s-]+", "_", name.strip().casefold())
    singular = "body" if plain == "bodies" else plain.removesuffix("s")
    return _KINDS.get(plain, _KINDS.get(singular))


def _placed(box: FloatBox, record: PageRecord, problems: Problems) -> Box | None:
    placed = place(box, record)
    if placed is None:
        problems.add(record.id, "an annotation outside the page is left out")
    return placed


def _add_characters(
    record: PageRecord, found: list[Annotation], places: dict[int, int], problems: Problems
) -> dict[str, Character]:
    people: dict[str, Character] = {}
    for annotation in found:
        box = _placed(annotation.box, record, problems)
        if box is None:
            continue
        said = annotation.attributes
        person = Character(
            id=len(record.characters) + 1,
            box=box,
            panel=places.get(integer_of(said.get("panel")) or 0),
            body=place(box_of_xywh(said.get("body")), record),
            identity=text_of(said.get("identity")),
            score=annotation.score,
            valence=number_of(said.get("valence")),
            arousal=number_of(said.get("arousal")),
        )
        if (shape := shape_on(annotation.outline or [], box, record)) is not None:
            person.extra["polygon"] = shape
        record.characters.append(person)
        people.setdefault(annotation.id, person)
    return people


def _add_faces(record: PageRecord, faces: list[Annotation], people: dict[str, Character], problems: Problems) -> None:
    """Give each face to the character that it names, else to the one around it, else make a character of it."""
    unplaced = []
    for annotation in faces:
        box = _placed(annotation.box, record, problems)
        owner = people.get(str(annotation.attributes.get("character")))
        if box is not None and owner is not None and owner.face is None:
            owner.face = box
        elif box is not None:
            unplaced.append((box, annotation))
    for box, annotation in unplaced:
        faceless = [person for person in record.characters if person.face is None]
        host = host_of(box, [person.box for person in faceless])
        if host is not None:
            faceless[host].face = box
        else:
            number = len(record.characters) + 1
            record.characters.append(Character(number, box, face=box, score=annotation.score))


def _add_texts(
    record: PageRecord, found: list[tuple[str, Annotation]], places: dict[int, int], problems: Problems
) -> dict[str, Text]:
    texts: dict[str, Text] = {}
    parts: list[tuple[Text, str]] = []
    for kind, annotation in found:
        box = _placed(annotation.box, record, problems)
        if box is None:
            continue
        said = {**annotation.raw, **annotation.attributes}
        words = next((t for key in ("text", "transcription", "utf8_string") if (t := text_of(said.get(key)))), "")
        named = said.get("kind")
        text = Text(
            id=len(record.texts) + 1,
            text=words,
            kind=named if named in TEXT_KINDS else "sfx" if kind == "onomatopoeia" else "dialogue",
            box=box,
            panel=places.get(integer_of(said.get("panel")) or 0),
            confidence=share_of(annotation.score),
            source=text_of(said.get("source")) or "",
            polygon=place_outline(annotation.outline or [], box, record),
        )
        record.texts.append(text)
        texts.setdefault(annotation.id, text)
        if "continues" in annotation.attributes:
            parts.append((text, str(annotation.attributes["continues"])))
    for text, before in parts:
        if before in texts and texts[before] is not text:
            text.continues = texts[before].id
        else:
            problems.add(record.id, "a text goes on from one that is not there")
    return texts


def _follow(
    link: Annotation, texts: dict[str, Text], people: dict[str, Character], problems: Problems, record: PageRecord
) -> None:
    """Note who speaks: by the ids that the link names, else by what lies at the two ends of its line."""
    text = texts.get(str(link.attributes.get("text", link.attributes.get("text_id"))))
    person = people.get(str(link.attributes.get("character", link.attributes.get("character_id"))))
    if text is None or person is None:
        x0, y0, x1, y1 = link.box
        for start, end in (((x0, y0), (x1, y1)), ((x1, y1), (x0, y0)), ((x0, y1), (x1, y0)), ((x1, y0), (x0, y1))):
            text = next((t for t in record.texts if t.box and _holds(t.box, start)), None)
            person = next((c for c in record.characters if _holds(c.box, end)), None)
            if text is not None and person is not None:
                break
    if text is None or person is None:
        problems.add(record.id, "a link between text and speaker has nothing at its ends")
    else:
        add_speaker(text, person)


def _holds(box: Box, point: tuple[float, float]) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]
