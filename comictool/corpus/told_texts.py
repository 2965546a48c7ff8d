"""Taking over into a page record what a reader of words told of the page, once it is known what belongs where.

The words become texts of the record: one with the box that a detector drew, where that is certain enough, else one with
the reader's box or with none. What an engine read of the same text (`read_texts`) gives way to them, and they keep its
box; texts of annotations or of a person are never touched. The reader's own words about the page, such as descriptions
of panels, stay apart from those, in `extra`, with the model named. What has no counterpart on the other side is kept: a
panel without words, a box of a text without words, a text that only the engine read, words without a panel, and panels
that only the reader saw (`extra["unmatched_text_panels"]`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from comictool.corpus.assignment import assign_panel
from comictool.corpus.boxes import iou
from comictool.corpus.order import order_boxes
from comictool.corpus.read_texts import likeness, read_texts
from comictool.corpus.records import Box, PageRecord, Panel, Text, clamp_box
from comictool.corpus.text_panels import Alignment, Placed, SaidText, TextPanel, align, pairs, pixels

# Extra fact of a text with the words of a reader in the box of a detector, or of an engine that read there: which one.
BOX_SOURCE = "box_source"
SAME_TEXT = 0.3  # IoU at which a reader's box of a text and a detector's are of the same one
# Likeness at which what a reader told and what an engine read are the same text, in the same panel and in another one;
# there only texts of so many letters, for short ones are said again and again.
ALIKE, SURELY_ALIKE, LONG_TEXT = 0.6, 0.8, 12
MOST_COMPARED = 10_000  # pairs of texts of a page; beyond that none are compared
# Facts of a page and of a panel that are written here; formats name them to keep them.
PAGE_FACTS = ("alignment", "description", "text_panels", "unmatched_text_panels")
PANEL_FACTS = ("description", "match", "modalities")


def take_over(
    record: PageRecord, seen: Sequence[TextPanel], *, source: str, summary: str = "", model: str = ""
) -> Alignment:
    """Put what a reader told of a page into its record, each text on its panel.

    Words that an engine read (`data text`) give way to those told of the same text; what only the engine read stays.

    Args:
        record: changed in place. Its texts keep their ids; those that stay without words come last.
        seen: the panels that the reader told.
        source: of the texts, for `Text.source`.
        summary: what the reader says of the page as a whole.
        model: who the reader is; named beside everything that it says in its own words.
    """
    panels = sorted(record.panels, key=lambda panel: (panel.order, panel.id))
    found = align(
        [panel.box for panel in panels],
        seen,
        (record.width, record.height),
        [text.box for text in record.texts if text.box is not None],
    )
    said = [
        (text, panels[placed.panel] if placed.panel is not None else None)
        for told, places in zip(seen, found.texts, strict=True)
        for text, placed in zip(told.texts, places, strict=True)
    ]
    _write_texts(record, said, source)
    of_panel: dict[int, int] = {p.panel: k for k, p in enumerate(found.panels) if p.panel is not None}
    with_words = {text.panel for text in record.texts if text.text}
    for index, panel in enumerate(panels):
        told = of_panel.get(index)
        _write_panel(panel, found.panels[told] if told is not None else None, found.method, panel.id in with_words)
        if told is not None and seen[told].description:
            panel.extra["description"] = _described(seen[told].description, model)
    _write_page(record, seen, found, summary, model)
    return found


def _write_texts(record: PageRecord, said: Sequence[tuple[SaidText, Panel | None]], source: str) -> None:
    boxes = _boxes(record, said)
    empty = {id(text): text for text in record.texts}
    number = max((text.id for text in record.texts), default=0)
    told: list[Text] = []
    for index, (words, panel) in enumerate(said):
        drawn = boxes.get(index)
        home = panel.id if panel is not None else None
        if drawn is not None:
            text = empty.pop(id(drawn))
            if text.box is not None:
                text.extra[BOX_SOURCE] = text.source
            if text.text:  # read there by an engine, so that is where it stands
                home, text.confidence = _panel_of(text, record.panels), 1.0
        else:
            number += 1
            own = (
                clamp_box(pixels(words.box, (record.width, record.height)), record.width, record.height)
                if words.box
                else None
            )
            text = Text(number, "", box=own)
        text.text, text.kind, text.source = words.text, words.kind, source
        text.panel = home
        if words.speaker:
            text.extra["speaker_name"] = words.speaker
        told.append(text)
    record.texts = [*told, *empty.values()]


def _boxes(record: PageRecord, said: Sequence[tuple[SaidText, Panel | None]]) -> dict[int, Text]:
    """For indices of what was said the text of the record whose box it has: one without words, or read by an engine."""
    read = read_texts(record)
    drawn = [text for text in record.texts if text.box is not None and not text.text]
    size = (record.width, record.height)
    own = {index: pixels(words.box, size) for index, (words, _) in enumerate(said) if words.box}
    out: dict[int, Text] = {}
    both = [*drawn, *(text for text in read if text.box is not None)]
    if own and both:
        table = np.array([[iou(box, text.box or ()) for text in both] for box in own.values()])
        out = {list(own)[row]: both[column] for row, column in pairs(table, SAME_TEXT)}
    taken = {id(text) for text in out.values()}
    out |= _alike(record, said, [n for n in range(len(said)) if n not in out], [t for t in read if id(t) not in taken])
    free = [text for text in drawn if id(text) not in taken]
    for panel in record.panels:
        # Without boxes of its own a text has that of the same place in the panel, if both count the same there.
        inside = [text for text in free if _panel_of(text, record.panels) == panel.id]
        words = [n for n, (_, where) in enumerate(said) if where is panel and n not in own and n not in out]
        if inside and len(inside) == len(words):
            order = order_boxes([_known(text) for text in inside], record.direction)
            out.update({index: inside[place] for index, place in zip(words, order, strict=True)})
    return out


def _alike(
    record: PageRecord, said: Sequence[tuple[SaidText, Panel | None]], left: Sequence[int], read: Sequence[Text]
) -> dict[int, Text]:
    """Those that read the same: nearly so in the same panel, closely anywhere."""
    if not left or not read or len(left) * len(read) > MOST_COMPARED:
        return {}
    homes = [_panel_of(text, record.panels) for text in read]
    table = np.zeros((len(left), len(read)))
    for row, index in enumerate(left):
        words, panel = said[index]
        for column, (text, home) in enumerate(zip(read, homes, strict=True)):
            here = home == (panel.id if panel is not None else None)
            if not here and len(words.text) < LONG_TEXT:
                continue
            alike = likeness(words.text, text.text)
            if alike >= (ALIKE if here else SURELY_ALIKE):
                table[row, column] = alike + here
    return {left[row]: read[column] for row, column in pairs(table, ALIKE)}


def _panel_of(text: Text, panels: Sequence[Panel]) -> int | None:
    if text.panel is not None or text.box is None:
        return text.panel
    found = assign_panel(text.box, panels)
    return found.id if found is not None else None


def _known(text: Text) -> Box:
    assert text.box is not None, "only texts with a box are asked for"
    return text.box


def _write_panel(panel: Panel, placed: Placed | None, method: str, words: bool) -> None:
    panel.extra["modalities"] = {"image": True, "text": words, "layout": True}
    panel.extra.pop("match", None)
    panel.extra.pop("description", None)
    if placed is not None:
        panel.extra["match"] = {"method": method, "confidence": round(placed.confidence, 4)}
        if placed.iou is not None:
            panel.extra["match"]["iou"] = round(placed.iou, 4)


def _write_page(record: PageRecord, seen: Sequence[TextPanel], found: Alignment, summary: str, model: str) -> None:
    for name in PAGE_FACTS:
        record.extra.pop(name, None)
    record.extra["text_panels"] = len(seen)
    record.extra["alignment"] = {
        "method": found.method,
        "confidence": round(found.confidence, 4),
        "with_words": sum(bool(told.texts) for told in seen),
    }
    if summary:
        record.extra["description"] = _described({"text": summary}, model)
    left = [
        {"number": number, **_left(told, record), **_described(told.description, model)}
        for number, (told, placed) in enumerate(zip(seen, found.panels, strict=True), start=1)
        if placed.panel is None
    ]
    if left:
        record.extra["unmatched_text_panels"] = left


def _left(told: TextPanel, record: PageRecord) -> dict[str, Any]:
    """A panel that only the reader saw: there is no picture of it, and its place on the page only if it said so."""
    size = (record.width, record.height)
    box = clamp_box(pixels(told.box, size), *size) if told.box else None
    modalities = {"image": False, "text": bool(told.texts), "layout": box is not None}
    return {"modalities": modalities} | ({"box": list(box)} if box is not None else {})


def _described(description: dict[str, Any], model: str) -> dict[str, Any]:
    return {**description, **({"model": model} if model else {})} if description else {}
