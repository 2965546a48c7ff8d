"""Writing comic sequences: see `comic_sequence` for the files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from comictool.core.files import atomic_text, write_json
from comictool.corpus.assignment import assign_panels
from comictool.corpus.records import Box, Character, PageRecord, Panel
from comictool.formats.comic_sequence import CORNERS, INSTANCES, PANELS, SERIES
from comictool.formats.keeping import Capabilities
from comictool.formats.view import Problems
from comictool.formats.written import JsonList, WrittenComic, suffix_of

# Identity to its instances, each the names of a face, a body or both.
People: TypeAlias = dict[str, list[dict[str, str]]]
LENGTH = 4  # panels in a sequence of the published data


def _keep(record: PageRecord) -> PageRecord:
    """Characters in the order of the panels, those of no panel last; a box is the body, or the face if that is all."""
    record.characters = [_faced(person) for person in record.characters]
    assign_panels(record, min_overlap=0)
    order = {panel.id: panel.order for panel in record.panels}
    record.characters.sort(key=lambda p: (p.panel is None, order.get(p.panel or 0, 0), p.panel or 0))
    return record


def _faced(person: Character) -> Character:
    body = person.body or (None if person.face == person.box else person.box)
    identity = (person.identity or "").strip() or None
    return replace(person, body=body, box=body or person.face or person.box, identity=identity)


CAPABILITIES = Capabilities(
    panels=frozenset({"order", "score"}),
    characters=frozenset({"panel", "face", "body", "identity", "score"}),
    adjust=_keep,
)


def picture_place(record: PageRecord) -> str:
    """`page_images/<comic>/page-<n>.<ext>`."""
    return f"page_images/{record.comic}/page-{record.page}{suffix_of(record)}"


def write(comics: Iterable[WrittenComic], destination: Path, problems: Problems) -> None:
    """Write the two tables of the format, its JSON files with the split name `all`, and our two tables."""
    faces: dict[str, list[str]] = {}
    bodies: dict[str, list[str]] = {}
    with ExitStack() as stack:

        def table(name: str, columns: Sequence[str]) -> Any:
            writer = csv.writer(stack.enter_context(atomic_text(destination / name)), lineterminator="\n")
            writer.writerow(columns)
            return writer

        instances = table(INSTANCES, ("series_id", "page_id", "type", "index", "char_index", *CORNERS, "score"))
        panels = table(PANELS, ("series_id", "page_id", *CORNERS, "order", "width", "height", "picture", "score"))
        series = table(SERIES, ("series_id", "name"))
        sequences = JsonList(stack.enter_context(atomic_text(destination / "all_sequences.json")))
        for number, comic in enumerate(comics, start=1):
            series.writerow([number, comic.name])
            said: list[tuple[str, People]] = []
            for record in comic.pages:
                listed: list[Panel | None] = [*record.panels]
                if not listed or any(person.panel is None for person in record.characters):
                    listed.append(None)  # a row without a box, so that neither page nor character is lost
                for panel in listed:
                    place = f"{record.page}_{panel.id if panel else 0}"
                    panels.writerow([number, place, *_panel_row(record, panel)])
                    rows, people = _instances(record, panel, f"{number}_{place}")
                    instances.writerows([number, place, *row] for row in rows)
                    if panel is not None:
                        said.append((f"{number}_{place}", people))
                    for identity, found in people.items():
                        for instance in found:
                            for kind, lists in (("face", faces), ("body", bodies)):
                                if kind in instance:
                                    lists.setdefault(f"{number}_{identity}", []).append(instance[kind])
            for sequence in _sequences(said):
                sequences.add(sequence)
        sequences.close()
    write_json(destination / "all_char_faces.json", faces)
    write_json(destination / "all_char_bodies.json", bodies)


def _panel_row(record: PageRecord, panel: Panel | None) -> list[Any]:
    """The cells about a panel; what stands in no panel has a row without a box."""
    box: Sequence[Any] = panel.box if panel else ("", "", "", "")
    order, score = (panel.order, panel.score) if panel else ("", "")
    return [*box, order, record.width, record.height, record.image, score]


def _instances(
    record: PageRecord, panel: Panel | None, prefix: str
) -> tuple[list[list[Any]], dict[str, list[dict[str, str]]]]:
    rows: list[list[Any]] = []
    people: dict[str, list[dict[str, str]]] = {}
    counts = {"body": 0, "face": 0}
    number, x, y = (panel.id, panel.box[0], panel.box[1]) if panel else (None, 0, 0)
    for index, person in enumerate(c for c in record.characters if c.panel == number):
        names: dict[str, str] = {}
        for kind in ("body", "face"):
            box: Box | None = getattr(person, kind)
            if box is not None:
                moved = [box[0] - x, box[1] - y, box[2] - x, box[3] - y]
                rows.append([kind, counts[kind], index, *moved, person.score])
                names[kind] = f"{prefix}_{kind}_{counts[kind]}"
                counts[kind] += 1
        if person.identity is not None:
            people.setdefault(person.identity, []).append(names)
    return rows, people


def _sequences(said: list[tuple[str, People]]) -> Iterable[dict[str, Any]]:
    """Runs of four panels one after the other; the last one reaches back so that it has four too, if there are four."""
    for start in range(0, len(said), LENGTH):
        begin = max(0, min(start, len(said) - LENGTH))
        run = said[begin : begin + LENGTH]
        together: dict[str, list[dict[str, str]]] = {}
        for _, people in run:
            for identity, found in people.items():
                together.setdefault(identity, []).extend(found)
        yield {
            "seq_id": "+".join(panel for panel, _ in run),
            "annotations": [{"charId": key, "charInstances": found} for key, found in together.items()],
        }
