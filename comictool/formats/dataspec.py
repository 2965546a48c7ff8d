"""DataSpec v0.3: one JSON object a page, in its full and in its minimal form; lists of pages are read too.

The full form has page_id, page_image_path, source_book, page_size, panels (`panel_coords` [x, y, width, height],
confidence, text lists by kind), reading_order, and characters, faces and texts of the whole page. The minimal form has
page_image_path and panels with their texts only.

What is written is the full form with panels in reading order, so that `reading_order` says what it should, plus keys
that other readers pass over: page, page_type, direction, which panel and character things belong to, what a text says.
In files of others the full form lists panels as a detector found them; their order is then found anew. The minimal
form lists them in the order in which its texts were read, which is kept.

Where a model's texts were put on found panels (`corpus.told_texts`) the full form also says how: of each panel `match`,
`modalities` (whether there is a picture, text, a place) and `description`, of the page `alignment`, `text_panels`,
`description`, and `unmatched_text_panels`. Texts without a panel are in the list of the page, without a place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from comictool.core.errors import InputError
from comictool.core.files import write_json
from comictool.corpus.assignment import assign_panels
from comictool.corpus.records import DIRECTIONS, PAGE_TYPES, TEXT_KINDS, Box, Character, PageRecord, Panel, Text
from comictool.corpus.told_texts import PAGE_FACTS, PANEL_FACTS
from comictool.formats.boxes import UNIT, Points, bounds, box_of_xywh, extent, host_of, place, xywh
from comictool.formats.coco import outlines
from comictool.formats.drafts import Draft, RoughPanel, checked_size, number_panels, view_of_titles
from comictool.formats.fitting import Sheet
from comictool.formats.keeping import Capabilities, writable
from comictool.formats.pictures import PICTURE_FOLDERS, PictureFinder, components, page_number
from comictool.formats.values import integer_of, list_of, number_of, object_of, read_json, share_of, text_of
from comictool.formats.view import ForeignCorpus, Problems
from comictool.formats.written import WrittenComic, first_bytes, json_files, suffix_of

NAME, MINIMAL = "dataspec", "dataspec-minimal"
FOLDER = "dataspec"
_SNIFFED = 20
Scale: TypeAlias = tuple[int, int]  # pixels of one unit of x and of y
_PANEL_KEYS = ("panel_coords", "bbox", "box", "rect", "coords")
_KINDS = ("dialogue", "thought", "narration", "sfx")  # thought is not in v0.3: it is written as dialogue


def _keep(record: PageRecord) -> PageRecord:
    """Texts of panels, then those of the page only; what has neither panel nor box has no place."""
    assign_panels(record, min_overlap=0)
    record.texts = [kept for text in record.texts if (kept := _kept(text)) is not None]
    order = {panel.id: panel.order for panel in record.panels}
    listed = {text.id: _place(text, order) for text in record.texts}
    record.texts.sort(key=lambda text: listed[text.id])
    return record


def _kept(text: Text) -> Text | None:
    if text.box is None and text.panel is None and not text.text.strip():
        return None
    if text.box is None and text.panel is not None:
        return replace(text, kind="dialogue" if text.kind == "thought" else text.kind, confidence=1.0)
    return text


def _place(text: Text, order: dict[int, int]) -> tuple[int, int, int]:
    """Where a text comes when it is read back: those in the list of the page in their order, then by panel and kind."""
    if text.box is not None or text.panel is None:
        return (0, 0, 0)
    return (1, order.get(text.panel or 0, 0), _KINDS.index(text.kind))


def _keep_minimal(record: PageRecord) -> PageRecord:
    assign_panels(record, min_overlap=0)
    record.texts = [replace(t, box=None, confidence=1.0) for t in record.texts if t.panel is not None and t.text]
    return _keep(record)


CAPABILITIES = Capabilities(
    page=frozenset({"type", "type_confidence", "direction"}),
    panels=frozenset({"order", "score"}),
    characters=frozenset({"panel", "face", "identity", "score"}),
    texts=frozenset({"kind", "box", "panel", "confidence"}),
    extra=frozenset(PAGE_FACTS),
    panel_extra=frozenset(PANEL_FACTS),
    adjust=_keep,
)
CAPABILITIES_MINIMAL = Capabilities(
    panels=frozenset({"order"}), texts=frozenset({"kind", "box", "panel", "confidence"}), adjust=_keep_minimal
)


def detect(folder: Path) -> bool:
    """Whether there are DataSpec pages."""
    for index, path in enumerate(json_files(folder)):
        head = first_bytes(path)
        if b'"page_image_path"' in head and b'"panels"' in head:
            return True
        if index >= _SNIFFED:
            break
    return False


def detect_minimal(folder: Path) -> bool:
    """Never by itself: `detect` finds both forms, and one reader reads both."""
    return False


def read(source: Path, pictures: Path | None = None) -> ForeignCorpus:
    """Open DataSpec pages of either form as a corpus; files that are not are named among the problems.

    Raises:
        InputError: none of the files is a DataSpec page.
    """
    root = source if source.is_dir() else source.parent
    problems, titles, files = Problems(), dict[str, list[dict[str, Any]]](), []
    for path in json_files(source):
        try:
            value = read_json(path)
        except InputError as error:
            problems.add(path.name, error.fact)
            continue
        pages = [p for p in (value if isinstance(value, list) else [value]) if isinstance(p, dict) and "panels" in p]
        if pages:
            files.append(path)
        for page in pages:
            titles.setdefault(_title(page, path), []).append({**page, "": path.stem})
    if not titles:
        raise InputError(f"{source} holds no DataSpec page (a JSON object with page_image_path and panels)")
    return view_of_titles(
        root, titles, _draft, format=NAME, finder=PictureFinder(source, pictures), problems=problems, files=files
    )


def picture_place(record: PageRecord) -> str:
    """`images/<comic>/p<nnn>.<ext>`."""
    return f"images/{record.comic}/p{record.page:03d}{suffix_of(record)}"


def page_file(root: Path, comic: str, page: int | str) -> Path:
    """Where `write` and `write_minimal` put a page: `dataspec/<comic>/p<nnn>.json`."""
    return root / FOLDER / comic / f"p{int(page):03d}.json"


def write(comics: Iterable[WrittenComic], destination: Path, problems: Problems) -> None:
    """Write the full form, `dataspec/<comic>/p<nnn>.json`."""
    for comic in comics:
        for record in comic.pages:
            write_json(page_file(destination, comic.name, record.page), _full(record))


def write_minimal(comics: Iterable[WrittenComic], destination: Path, problems: Problems) -> None:
    """Write the minimal form, `dataspec/<comic>/p<nnn>.json`."""
    for comic in comics:
        for record in comic.pages:
            value = {
                "page_image_path": record.image,
                "panels": [{"panel_coords": xywh(panel.box), "text": _texts(record, panel)} for panel in record.panels],
            }
            write_json(page_file(destination, comic.name, record.page), value)


def _full(record: PageRecord) -> dict[str, Any]:
    index = {panel.id: place for place, panel in enumerate(record.panels)}
    people = {person.id: place for place, person in enumerate(record.characters)}
    return {
        "page_id": f"{record.comic}_{record.comic} - p{record.page:03d}",
        "page_image_path": record.image,
        "source_book": record.comic,
        "source_rel_image_path": record.image.rpartition("/")[2],
        "page_size": [record.width, record.height],
        "page": record.page,
        "page_type": {"type": record.type, "confidence": record.type_confidence},
        "direction": record.direction,
        "panels_in_reading_order": True,
        "panels": [
            {"panel_coords": xywh(panel.box), "confidence": panel.score, "text": _texts(record, panel), **panel.extra}
            for panel in record.panels
        ],
        "reading_order": [f"{n}→{n + 1}" for n in range(len(record.panels) - 1)],
        "characters": [
            {
                "character_coords": xywh(person.box),
                "confidence": person.score,
                "identity": person.identity,
                "panel": index.get(person.panel or 0),
            }
            for person in record.characters
        ],
        "faces": [
            {"face_coords": xywh(person.face), "confidence": person.score, "character": people[person.id]}
            for person in record.characters
            if person.face is not None
        ],
        "texts": [
            {
                "text_coords": xywh(text.box) if text.box is not None else None,
                "confidence": text.confidence,
                "text": text.text,
                "kind": text.kind,
                "panel": index.get(text.panel or 0),
            }
            for text in record.texts
            if text.box is not None or text.panel is None
        ],
        **record.extra,
    }


def _texts(record: PageRecord, panel: Panel) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {"dialogue": [], "narration": [], "sfx": []}
    for text in record.texts:
        if text.panel == panel.id and (text.text or text.box is None):  # boxes without words are in the page's list
            out["dialogue" if text.kind == "thought" else text.kind].append(text.text)
    return out


def _title(page: dict[str, Any], path: Path) -> str:
    book = text_of(page.get("source_book"))
    if book and book.strip():
        return book.strip()
    parts = components(text_of(page.get("page_image_path")) or "")
    folder = parts[-2].strip() if len(parts) > 1 and parts[-2] not in PICTURE_FOLDERS else ""
    return folder or path.parent.resolve().name


def _draft(page: dict[str, Any]) -> Draft:
    reference = text_of(page.get("page_image_path")) or ""
    number = integer_of(page.get("page"))
    if number is None:
        named = (page_number(reference), page_number(text_of(page.get("page_id")) or ""), page_number(page[""]))
        number = next((n for n in named if n is not None), None)
    size = [integer_of(v) for v in list_of(page.get("page_size"))]
    entries = [entry for entry in list_of(page["panels"]) if isinstance(entry, dict)]
    shapes = [_shape(entry) for entry in entries]
    known = [bounds(points) for points in shapes if points]
    shares = all(0 <= v <= UNIT for box in known for v in box) and any(map(_has_decimals, entries))
    direction = page.get("direction")

    def fill(record: Sheet, problems: Problems) -> None:
        scale = record.annotated if shares else (1, 1)
        in_order = page.get("panels_in_reading_order") is True or "page_size" not in page
        numbers = _add_panels(record, entries, shapes, scale, in_order, problems)
        _add_facts(record, page, entries, numbers)
        _add_page_type(record, page.get("page_type"))
        _add_characters(record, page, scale, numbers, problems)
        _add_texts(record, page, entries, scale, numbers, problems)

    return Draft(
        number,
        reference,
        fill,
        checked_size(size[0], size[1]) if len(size) == 2 else None,
        (1, 1) if shares else extent(known),
        direction if direction in DIRECTIONS else "ltr",
    )


def _shape(entry: dict[str, Any]) -> Points:
    """The corners of a panel: its coordinates under any of the known names, or its polygon; empty without either."""
    for key in _PANEL_KEYS:
        box = box_of_xywh(entry.get(key))
        if box is not None:
            return [box[:2], box[2:]]
    for key in ("polygon", "segmentation"):
        value = list_of(entry.get(key))
        if value and isinstance(value[0], list) and len(value[0]) == 2:  # points instead of flat polygons
            value = [[v for point in value for v in list_of(point)]]
        elif value and not isinstance(value[0], list):
            value = [value]
        shapes = outlines(value)
        if shapes:
            return shapes[0]
    return []


def _has_decimals(entry: dict[str, Any]) -> bool:
    values: list[Any] = [entry.get(key) for key in (*_PANEL_KEYS, "polygon", "segmentation")]
    while values:
        value = values.pop()
        if isinstance(value, float):
            return True
        values += list_of(value)
    return False


def _add_panels(
    record: PageRecord,
    entries: list[dict[str, Any]],
    shapes: list[Points],
    scale: Scale,
    in_order: bool,
    problems: Problems,
) -> list[int | None]:
    """Put panels on the page; for each entry its number, None when it has no place on the page."""
    rough, indices = [], []
    for index, (entry, points) in enumerate(zip(entries, shapes, strict=True)):
        if not points:
            problems.add(record.id, "a panel without coordinates is left out")
            continue
        scaled = [(x * scale[0], y * scale[1]) for x, y in points]
        order = index + 1 if in_order else None
        rough.append(RoughPanel(scaled, order, share_of(entry.get("confidence")), outlined=len(points) > 2))
        indices.append(index)
    numbers: list[int | None] = [None] * len(entries)
    for index, number in zip(indices, number_panels(record, rough, problems), strict=True):
        numbers[index] = number
    return numbers


def _add_facts(
    record: PageRecord, page: dict[str, Any], entries: list[dict[str, Any]], numbers: list[int | None]
) -> None:
    """What the page and its panels say of how texts came to their panels, and what a model described."""
    record.extra.update({name: writable(page[name]) for name in PAGE_FACTS if page.get(name) is not None})
    of_number = {panel.id: panel for panel in record.panels}
    for entry, number in zip(entries, numbers, strict=True):
        if number is not None:
            facts = {name: writable(entry[name]) for name in PANEL_FACTS if entry.get(name) is not None}
            of_number[number].extra.update(facts)


def _add_page_type(record: PageRecord, value: Any) -> None:
    said = object_of(value)
    if said.get("type") in PAGE_TYPES:
        record.type, record.type_confidence = said["type"], share_of(said.get("confidence"), 0.0)


def _add_characters(
    record: PageRecord, page: dict[str, Any], scale: Scale, numbers: list[int | None], problems: Problems
) -> None:
    people: dict[int, Character] = {}
    for index, entry in enumerate(map(object_of, list_of(page.get("characters")))):
        box = _placed(entry.get("character_coords"), scale, record)
        if box is None:
            problems.add(record.id, "a character without a box on the page is left out")
            continue
        panel = _number(numbers, entry.get("panel"))
        person = Character(
            len(record.characters) + 1,
            box,
            panel,
            identity=text_of(entry.get("identity")),
            score=share_of(entry.get("confidence")),
        )
        record.characters.append(person)
        people[index] = person
    for entry in map(object_of, list_of(page.get("faces"))):
        box = _placed(entry.get("face_coords"), scale, record)
        if box is None:
            problems.add(record.id, "a face without a box on the page is left out")
            continue
        named = people.get(_index(entry.get("character")))
        faceless = [person for person in record.characters if person.face is None]
        host = None if named else host_of(box, [person.box for person in faceless])
        owner = named or (faceless[host] if host is not None else None)
        if owner is not None and owner.face is None:
            owner.face = box
        else:
            number = len(record.characters) + 1
            record.characters.append(Character(number, box, face=box, score=share_of(entry.get("confidence"))))


def _add_texts(
    record: PageRecord,
    page: dict[str, Any],
    entries: list[dict[str, Any]],
    scale: Scale,
    numbers: list[int | None],
    problems: Problems,
) -> None:
    boxed: list[tuple[int | None, str, str]] = []
    for entry in map(object_of, list_of(page.get("texts"))):
        box = _placed(entry.get("text_coords"), scale, record)
        words, kind = text_of(entry.get("text")) or "", entry.get("kind")
        if box is None and (entry.get("text_coords") is not None or not words.strip()):
            problems.add(record.id, "a text without a box on the page is left out")
            continue
        panel, kind = _number(numbers, entry.get("panel")), kind if kind in TEXT_KINDS else "dialogue"
        record.texts.append(
            Text(len(record.texts) + 1, words, kind, box, panel, None, share_of(entry.get("confidence")))
        )
        boxed.append((panel, "dialogue" if kind == "thought" else kind, words))
    ordered = sorted((n, i) for i, n in enumerate(numbers) if n is not None)
    for number, index in ordered:
        said = object_of(entries[index].get("text"))
        for kind in _KINDS:
            for value in list_of(said.get(kind)):
                words = text_of(value.get("text") if isinstance(value, dict) else value) or ""
                if (number, kind, words) in boxed:
                    boxed.remove((number, kind, words))  # the same text, already there with its box
                elif words or value == "":
                    record.texts.append(Text(len(record.texts) + 1, words, kind, panel=number))


def _placed(value: Any, scale: Scale, record: PageRecord) -> Box | None:
    box = box_of_xywh(value)
    if box is None:
        return None
    return place((box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1]), record)


def _number(numbers: list[int | None], value: Any) -> int | None:
    """The panel number for an index into the list of panels."""
    index = _index(value)
    return numbers[index] if 0 <= index < len(numbers) else None


def _index(value: Any) -> int:
    """A list index; -1 when it is none."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) and number_of(value) is not None else -1
