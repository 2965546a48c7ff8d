"""The character instances of a comic as the methods take them, in reading order, and their vectors.

An instance is one appearance of a character: a face, a body or both. A record that gives neither gives its box, which
counts as the body.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from comictool.core.errors import InputError
from comictool.corpus.assignment import assign_panel
from comictool.corpus.page_pictures import PagePicture
from comictool.corpus.records import Box, Character, PageRecord
from comictool.corpus.views import CorpusView
from comictool.vectors.pictures import CHARACTER, Part, Picture
from comictool.vectors.stream import EmbeddedPicture

FACE, BODY = KINDS = ("face", "body")
FACE_SCALE = 1.2  # of the longer side, squared, as published; bodies are cut as they are


@dataclass(frozen=True)
class Instance:
    """One appearance.

    Attributes:
        comic, page: where.
        panel: its number; 0 for none.
        order: of the panel on its page, for reading order.
        character: its id in the page record.
        face, body: boxes on the page, one of them at least.
        identity: who it is said to be.
        extra: fields of the record that nobody knows.
    """

    comic: str
    page: int
    panel: int
    order: int
    character: int
    face: Box | None
    body: Box | None
    identity: str | None

    @property
    def id(self) -> str:
        """`comic/page#character`, for reports."""
        return f"{self.comic}/{self.page}#{self.character}"

    @property
    def panel_id(self) -> str:
        """`comic/page/panel`; of no panel, nothing stands together."""
        return f"{self.comic}/{self.page}/{self.panel}" if self.panel else f"{self.id}/0"

    def has(self, kind: str) -> bool:
        """Whether there is a face or a body."""
        return getattr(self, kind) is not None


@dataclass(frozen=True)
class Vectors:
    """Vectors of N instances: by kind (N, D) float32 unit rows, rows of zeros for those not `present` (N,) bool."""

    rows: dict[str, np.ndarray]
    present: dict[str, np.ndarray]

    def fused(self, kinds: Sequence[str] = KINDS) -> tuple[np.ndarray, np.ndarray]:
        """(N, D) unit means of what there is of each, and (N,) bool whether there is anything."""
        total = np.sum([self.rows[kind] for kind in kinds], axis=0)
        there = np.any([self.present[kind] for kind in kinds], axis=0)
        lengths = np.linalg.norm(total, axis=1, keepdims=True)
        return (total / np.maximum(lengths, 1e-12)).astype(np.float32), there & (lengths[:, 0] > 1e-6)


def instances_of(records: Iterable[PageRecord]) -> list[Instance]:
    """The instances of page records in reading order: page, panel, from left to right."""
    found = []
    for record in records:
        order = {panel.id: panel.order for panel in record.panels}
        for person in record.characters:
            panel = _panel_of(person, record)
            face, body = person.face, person.body
            if body is None and (face is None or face != person.box):
                body = person.box
            identity = (person.identity or "").strip() or None
            found.append(
                Instance(record.comic, record.page, panel, order.get(panel, 0), person.id, face, body, identity)
            )
    return sorted(found, key=lambda i: (i.page, i.panel == 0, i.order, i.panel, (i.body or i.face or (0,))[0]))


def _panel_of(person: Character, record: PageRecord) -> int:
    if person.panel in {panel.id for panel in record.panels}:
        return person.panel or 0
    panel = assign_panel(person.box, record.panels)
    return panel.id if panel is not None else 0


def pictures_of(view: CorpusView, records: Sequence[PageRecord], instances: Sequence[Instance]) -> list[Picture]:
    """The pages of instances as pictures, with a part for each face and then each body, page by page in their order."""
    by_page = {record.page: record for record in records}
    found = []
    for page, group in groupby(instances, key=lambda instance: instance.page):
        own, record, error = list(group), by_page[page], ""
        try:
            source: PagePicture = view.picture(record)
        except InputError as outside:
            source, error = view.root, outside.fact
        parts = [
            Part(instance.id, getattr(instance, kind), CHARACTER, instance.id, *_cutting(kind))
            for kind in KINDS
            for instance in own
            if instance.has(kind)
        ]
        found.append(Picture(source, tuple(parts), record.comic, record.id, (record.width, record.height), error=error))
    return found


def _cutting(kind: str) -> tuple[float, bool]:
    return (FACE_SCALE, True) if kind == FACE else (1.0, False)


def vectors_of(instances: Sequence[Instance], embedded: Sequence[EmbeddedPicture]) -> Vectors:
    """The answers to `pictures_of` by instance."""
    dimension = next((each.vectors.shape[1] for each in embedded if each.vectors.shape[1]), 0)
    rows = {kind: np.zeros((len(instances), dimension), np.float32) for kind in KINDS}
    present = {kind: np.zeros(len(instances), bool) for kind in KINDS}
    places = groupby(range(len(instances)), key=lambda place: instances[place].page)
    for (_, group), each in zip(places, embedded, strict=True):
        own, number = list(group), 0
        for kind in KINDS:
            for place in own:
                if instances[place].has(kind):
                    if each.present[number]:
                        rows[kind][place], present[kind][place] = each.vectors[number], True
                    number += 1
    return Vectors(rows, present)
