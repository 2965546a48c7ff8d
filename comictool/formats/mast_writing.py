"""Writing MAST CSV: the four tables side by side, comic by comic. See `mast_csv` for the layout."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from comictool.core.files import atomic_text
from comictool.corpus.records import Box, Character, PageRecord
from comictool.formats.keeping import Capabilities
from comictool.formats.mast_csv import FACT_COLUMNS, VALENCES, class_of, on_unit_scale
from comictool.formats.values import identifier
from comictool.formats.view import Problems
from comictool.formats.written import WrittenComic, suffix_of

PANEL_COLUMNS = ("Document Name", "Document Directory", "Page Number", "Region Vertices", "Annotation Notes")
CHARACTER_COLUMNS = ("Document Name", "Region Page", "Region Vertices", "Relation ID", "Region ID")
EMOTION_COLUMNS = ("Document Name", "Region ID", "Taxonomy Path", "Annotation Notes")
# The paths of the published exports, which the research scripts look for.
VALENCE_PATH = "VLT: Semantics: Emotion (v.4) / Valence / "
AROUSAL_PATH = "VLT: Semantics: Emotion (v.4) / Arousal"


def _keep(record: PageRecord) -> PageRecord:
    record.characters = [_classed(person) for person in record.characters]
    return record


def _classed(person: Character) -> Character:
    """Feelings rounded to the five classes; an identity is what its cell will be read as."""
    valence = None if person.valence is None else on_unit_scale(class_of(person.valence))
    arousal = None if person.arousal is None else on_unit_scale(class_of(person.arousal))
    identity = identifier((person.identity or "").strip()) or None
    return replace(person, valence=valence, arousal=arousal, identity=identity)


CAPABILITIES = Capabilities(
    panels=frozenset({"order", "polygon"}),
    characters=frozenset({"identity", "valence", "arousal"}),
    facts=frozenset(FACT_COLUMNS),
    adjust=_keep,
)


def picture_place(record: PageRecord) -> str:
    """`page_images/<comic>/page-<n>.<ext>`."""
    return f"page_images/{record.comic}/page-{record.page}{suffix_of(record)}"


def write(comics: Iterable[WrittenComic], destination: Path, problems: Problems) -> None:
    """Write panels.csv, characters.csv, emotions.csv and metadata.csv."""
    folder = destination / "annotations"
    with ExitStack() as stack:

        def table(name: str, columns: Sequence[str]) -> Any:
            writer = csv.writer(stack.enter_context(atomic_text(folder / name)), lineterminator="\n")
            writer.writerow(columns)
            return writer

        panels, characters = table("panels.csv", PANEL_COLUMNS), table("characters.csv", CHARACTER_COLUMNS)
        emotions = table("emotions.csv", EMOTION_COLUMNS)
        metadata = table("metadata.csv", ["Document Directory", *FACT_COLUMNS.values()])
        for comic in comics:
            metadata.writerow([comic.name, *(comic.facts.get(name, "") for name in FACT_COLUMNS)])
            for record in comic.pages:
                if not record.image.casefold().endswith(".jpg"):
                    problems.add(record.id, "its picture is no .jpg, the only ending that the research scripts open")
                if not (record.panels or record.characters or (destination / record.image).is_file()):
                    problems.add(record.id, "it has no panel, no character and no picture, so that it has no place")
                for panel in record.panels:
                    vertices = _vertices(panel.box, panel.polygon)
                    panels.writerow([comic.name, comic.name, record.page, vertices, panel.order])
                for person in record.characters:
                    region = f"{record.id}/{person.id}"
                    vertices = _vertices(person.box, None)
                    characters.writerow([comic.name, record.page, vertices, person.identity or "", region])
                    if person.valence is not None:
                        path = VALENCE_PATH + VALENCES[class_of(person.valence) - 1]
                        emotions.writerow([comic.name, region, path, ""])
                    if person.arousal is not None:
                        emotions.writerow([comic.name, region, AROUSAL_PATH, class_of(person.arousal)])


def _vertices(box: Box, polygon: list[tuple[int, int]] | None) -> str:
    points = polygon or [(box[0], box[1]), (box[2], box[3])]
    return ",".join(f"({x},{y})" for x, y in points)
