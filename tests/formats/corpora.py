"""Generated corpora with real (tiny) page pictures, for round trips through every format."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from comictool.corpus.corpus import Corpus
from comictool.corpus.records import DIRECTIONS, PAGE_TYPES, TEXT_KINDS, Box, Character, PageRecord, Panel, Text

# Corpus.pages takes these three for line ends, unlike JSON Lines.
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85\u2028\u2029"), max_size=12)
NAMES = st.sampled_from(
    ["Space Cops 01", 'The "Quoted", one', "Été à Besançon", "ワンピース 第1巻", "deadbeef", "17", "a_b_c"]
)
IDENTITIES = st.none() | st.sampled_from(["Pepper", "c_1", "Obélix & Co", "7", "女1"])
SCORES = st.sampled_from([1.0, 0.5, 0.25, 0.97])
SIDE = st.integers(8, 60)


@cache
def picture(width: int, height: int) -> bytes:
    """A grey JPEG of that size."""
    stream = BytesIO()
    Image.new("RGB", (width, height), (width * 4 % 256, height * 4 % 256, 128)).save(stream, "JPEG", quality=50)
    return stream.getvalue()


@st.composite
def boxes(draw: Any, width: int, height: int) -> Box:
    """A box on a page."""
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))


@st.composite
def pages(draw: Any, comic: str, number: int, direction: str) -> PageRecord:
    """A page with everything that a record can hold; references only to things that are there."""
    width, height = draw(SIDE), draw(SIDE)
    box = boxes(width, height)
    record = PageRecord(comic, number, "", width, height, direction=direction)
    record.type = draw(st.sampled_from(PAGE_TYPES))
    record.type_confidence = draw(SCORES) if record.type != "unknown" else 0.0
    orders = draw(st.permutations(range(1, 1 + draw(st.integers(0, 4)))))
    for number_, order in enumerate(orders, start=1):
        panel = Panel(number_, draw(box), order, draw(SCORES), source=draw(st.sampled_from(["", "classic"])))
        if draw(st.booleans()):
            x0, y0, x1, y1 = panel.box
            panel.polygon = [(x0, y0), (x1, y0), (x1, y1), (x0 + (x1 - x0) // 2, y1), (x0, y0)]
        record.panels.append(panel)
    in_panel = st.none() | st.sampled_from([p.id for p in record.panels]) if record.panels else st.none()
    feeling = st.none() | st.sampled_from([-1.0, -0.5, 0.0, 0.3, 1.0])
    for person in range(1, 1 + draw(st.integers(0, 3))):
        record.characters.append(
            Character(
                person,
                draw(box),
                draw(in_panel),
                draw(st.none() | box),
                draw(st.none() | box),
                draw(IDENTITIES),
                draw(SCORES),
                draw(feeling),
                draw(feeling),
            )
        )
    speakers = st.none() | st.sampled_from([c.id for c in record.characters]) if record.characters else st.none()
    for text in range(1, 1 + draw(st.integers(0, 3))):
        record.texts.append(
            Text(
                text,
                draw(WORDS),
                draw(st.sampled_from(TEXT_KINDS)),
                draw(st.none() | box),
                draw(in_panel),
                draw(speakers),
                draw(SCORES),
                draw(st.sampled_from(["", "ocr"])),
                continues=draw(st.none() | st.integers(1, text - 1)) if text > 1 else None,
            )
        )
        lettering = record.texts[-1]
        if lettering.box is not None and draw(st.booleans()):
            x0, y0, x1, y1 = lettering.box
            lettering.polygon = [(x0, y0), (x1, y0), (x0 + (x1 - x0) // 2, y1)]
        if len(record.characters) > 1 and lettering.speaker is not None and draw(st.booleans()):
            others = [c.id for c in record.characters if c.id != lettering.speaker]
            lettering.speakers = [lettering.speaker, *others]
    for _ in range(draw(st.integers(0, 2))):
        segment: dict[str, Any] = {"kind": draw(st.sampled_from(["figure", "face", "panel"])), "box": list(draw(box))}
        if record.panels and draw(st.booleans()):
            segment["panel"] = draw(st.sampled_from([p.id for p in record.panels]))
        segment |= draw(st.fixed_dictionaries({}, optional={"inter": st.integers(0, 12), "intra": st.integers(0, 3)}))
        record.segments.append(segment)
    return record


@st.composite
def comics(draw: Any) -> dict[str, list[PageRecord]]:
    """One to three comics with up to three pages each."""
    out = {}
    for comic in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        direction = draw(st.sampled_from(DIRECTIONS))
        numbers = sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=3)))
        out[comic] = [draw(pages(comic, number, direction)) for number in numbers]
    return out


def make_corpus(root: Path, records: dict[str, list[PageRecord]]) -> Corpus:
    """A native corpus with these records and a picture for each page."""
    corpus = Corpus.create(root)
    from comictool.formats.saving import outgoing_names

    for comic, name in outgoing_names(records).items():
        for record in records[comic]:
            record.comic, record.image = name, f"page_images/{name}/page-{record.page}.jpg"
            target = root / record.image
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(picture(record.width, record.height))
        corpus.write_pages(name, records[comic])
        corpus.write_comic_facts(name, {"title": name, "number": "3"})
    return corpus


def simple_page(comic: str = "a", page: int = 1) -> PageRecord:
    """A page with two panels, a character with a face, and a text that it says."""
    return PageRecord(
        comic,
        page,
        "",
        40,
        60,
        type="story",
        type_confidence=1.0,
        panels=[Panel(1, (0, 0, 40, 30), 1), Panel(2, (0, 30, 40, 60), 2, 0.5, [(0, 30), (40, 30), (20, 60)])],
        characters=[Character(1, (5, 5, 20, 28), 1, (8, 6, 14, 12), (5, 5, 20, 28), "Pepper", 0.9, 0.5, -1.0)],
        texts=[Text(1, "Hold it!", "dialogue", (22, 2, 38, 10), 1, 1, 0.75, "ocr"), Text(2, "BLAM", "sfx", None, 2)],
    )
