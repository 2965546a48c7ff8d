"""The texts of one page from its lines: blocks, panels, reading order, kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from comictool.core.typed import typed
from comictool.corpus.assignment import assign_panel
from comictool.corpus.order import order_boxes
from comictool.corpus.records import DIRECTION, Box, PageRecord, Panel, Text, clamp_box
from comictool.plugins.protocols import TextLine
from comictool.words.blocks import Block, blocks_of
from comictool.words.direction import COLUMNS
from comictool.words.lettering import kind_of

LAYOUT = 2  # raised when the same lines become other texts, so that pages are read anew
INSIDE = 0.3  # share of a block's box that must lie in a panel to belong to it, as for `data panels`


@dataclass(frozen=True)
class Frame:
    """A panel as a worker is told of it: its id and box, in reading order."""

    id: int
    box: Box


@dataclass(frozen=True)
class Question:
    """What a worker is told of a page besides its picture."""

    direction: Annotated[str, DIRECTION] = "ltr"
    panels: tuple[Frame, ...] = field(default=())


def question(direction: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """A `Question` as JSON values; the panels in reading order."""
    return {"direction": direction, "panels": [{"id": panel.id, "box": list(panel.box)} for panel in panels]}


def question_of(record: PageRecord, direction: str | None = None) -> dict[str, Any]:
    """The question about a page; `direction` stands before the page's own."""
    return question(direction or record.direction, sorted(record.panels, key=lambda panel: panel.order))


def read_question(asked: Any) -> Question:
    """The question in a worker; raises InputError for other values."""
    return typed(Question, asked, "the question about a page")


def page_texts(picture: np.ndarray, lines: Sequence[TextLine], asked: Any, source: str) -> list[Text]:
    """Texts in reading order, numbered from 1, with box, panel, kind and confidence.

    Args:
        picture: (H, W, 3) uint8 RGB.
        lines: in its pixels.
        asked: a `Question` as JSON.
        source: written into each text.
    """
    told = read_question(asked)
    height, width = picture.shape[:2]
    panels = [Panel(frame.id, frame.box, order=n) for n, frame in enumerate(told.panels, start=1)]
    placed = [(line, box) for line in lines if (box := clamp_box(line.box, width, height)) is not None]
    homes = [_home(box, panels) for _, box in placed]
    blocks = blocks_of([line for line, _ in placed], homes)
    usual = _usual_size(blocks)
    texts = [_text(block, panels, source, picture, usual) for block in blocks]
    ordered = in_reading_order(texts, panels, told.direction)
    for number, text in enumerate(ordered, start=1):
        text.id = number
    return ordered


def in_reading_order(texts: Sequence[Text], panels: Sequence[Panel], direction: str) -> list[Text]:
    """Texts by panels, and within a panel as boxes are read; what is in no panel stands where it lies on the page.

    Args:
        texts: each with a box and a panel, or none.
        panels: in reading order.
        direction: ltr, rtl or ttb.
    """
    stray = [text for text in texts if text.panel is None]
    boxes = [panel.box for panel in panels] + [_box(text) for text in stray]
    sequence: list[int | Text] = []  # ids of panels, and texts in none
    for place in order_boxes(boxes, direction):
        sequence.append(panels[place].id if place < len(panels) else stray[place - len(panels)])
    numbers = iter([panel.id for panel in panels])  # as the page counts them, whatever order this gave
    sequence = [item if isinstance(item, Text) else next(numbers) for item in sequence]
    found: list[Text] = []
    for item in sequence:
        if isinstance(item, Text):
            found.append(item)
        else:
            own = [text for text in texts if text.panel == item]
            found += [own[place] for place in order_boxes([_box(text) for text in own], direction)]
    return found


def _box(text: Text) -> Box:
    assert text.box is not None
    return text.box


def _home(box: Box, panels: Sequence[Panel]) -> int | None:
    panel = assign_panel(box, panels, INSIDE)
    return panel.id if panel is not None else None


def _usual_size(blocks: Sequence[Block]) -> float:
    """The size of a page's letters: the median over all letters."""
    if not blocks:
        return 0.0
    return float(np.median(np.repeat([block.size for block in blocks], [len(block.text) for block in blocks])))


def _text(block: Block, panels: Sequence[Panel], source: str, picture: np.ndarray, usual: float) -> Text:
    box = clamp_box(block.box, picture.shape[1], picture.shape[0])
    assert box is not None
    kind = kind_of(block.text, block.size, usual, picture, box)
    text = Text(0, block.text, kind, box, _home(box, panels), None, round(block.confidence, 4), source)
    if block.vertical:
        text.extra[COLUMNS] = True
    if block.ruby:
        text.extra["ruby"] = [line.text for line in block.ruby]
    return text
