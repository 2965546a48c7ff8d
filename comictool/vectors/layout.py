"""Layout as a vector: how a panel lies on its page, and who and what is in it, from its page record alone.

Fourteen numbers, each made to lie in -1..1 and to be comparable as they are. The first seven hold the composition
features of Closure Lite, which `published_numbers` gives back.
"""

from __future__ import annotations

import numpy as np

from comictool.corpus.assignment import assign_panel
from comictool.corpus.boxes import area
from comictool.corpus.records import Box, PageRecord, Panel

NUMBERS = 14
ENCODER_ID = "layout@1+none+own"
ASPECT_OCTAVES = 3.0  # a panel eight times as wide as high is 1
MOST_CHARACTERS = 10
MOST_PANELS = 12


def layout_numbers(record: PageRecord) -> dict[int, np.ndarray]:
    """The vectors, (14,) float32, of a page's panels by their number.

    In order: width to height (logarithm), root of the panel's share of the page, number of characters, roots of the
    mean and of the largest share of the panel that a character takes, mean centre of the characters in the panel (x,
    y), centre of the panel on the page (x, y), its width and height as shares of the page, its place in the order of
    reading, the number of panels, root of the share of the panel that lettering takes.
    """
    people: dict[int, list[Box]] = {panel.id: [] for panel in record.panels}
    letters: dict[int, list[Box]] = {panel.id: [] for panel in record.panels}
    for character in record.characters:
        _file(people, record, character.panel, character.box)
    for text in record.texts:
        if text.box is not None:
            _file(letters, record, text.panel, text.box)
    ordered = sorted(record.panels, key=lambda panel: (panel.order, panel.id))
    return {
        panel.id: _numbers(record, panel, place, len(ordered), people[panel.id], letters[panel.id])
        for place, panel in enumerate(ordered)
    }


def _file(found: dict[int, list[Box]], record: PageRecord, named: int | None, box: Box) -> None:
    if named not in found:
        panel = assign_panel(box, record.panels)
        named = panel.id if panel is not None else None
    if named is not None:
        found[named].append(box)


def _numbers(
    record: PageRecord, panel: Panel, place: int, count: int, people: list[Box], letters: list[Box]
) -> np.ndarray:
    x0, y0, x1, y1 = panel.box
    width, height = x1 - x0, y1 - y0
    shares = [min(1.0, area(box) / area(panel.box)) for box in people]
    centres = [(((a + c) / 2 - x0) / width, ((b + d) / 2 - y0) / height) for a, b, c, d in people] or [(0.5, 0.5)]
    x, y = np.clip(np.mean(centres, axis=0), 0, 1)
    return np.array(
        [
            np.clip(np.log2(width / height) / ASPECT_OCTAVES, -1, 1),
            np.sqrt(min(1.0, area(panel.box) / (record.width * record.height))),
            min(len(people), MOST_CHARACTERS) / MOST_CHARACTERS,
            np.sqrt(np.mean(shares)) if shares else 0.0,
            np.sqrt(max(shares, default=0.0)),
            x - 0.5,
            y - 0.5,
            np.clip((x0 + x1) / 2 / record.width - 0.5, -1, 1),
            np.clip((y0 + y1) / 2 / record.height - 0.5, -1, 1),
            min(1.0, width / record.width),
            min(1.0, height / record.height),
            (place + 0.5) / count - 0.5,
            min(count, MOST_PANELS) / MOST_PANELS,
            np.sqrt(min(1.0, sum(map(area, letters)) / area(panel.box))),
        ],
        np.float32,
    )


def published_numbers(layout: np.ndarray) -> np.ndarray:
    """(N, 7) composition features as Closure Lite's dataset defines them, of (N, 14) vectors: width to height, share of
    the page, number of characters, mean and largest share that a character takes, their mean centre x, y in 0..1.
    """
    found = np.array(layout[:, :7], np.float32)
    found[:, 0] = 2.0 ** (found[:, 0] * ASPECT_OCTAVES)
    found[:, 2] *= MOST_CHARACTERS
    found[:, [1, 3, 4]] **= 2
    found[:, 5:7] += 0.5
    return found
