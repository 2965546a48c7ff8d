"""One page: layout, panels, inks, balloons, age; with its record and its depth map."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from comictool.core.errors import UsageError
from comictool.corpus.records import Box, PageRecord, Text
from comictool.drawn.balloons import draw_placed
from comictool.drawn.colours import WHITE, Colour, hsv
from comictool.drawn.hard_layouts import Arranged, arrange
from comictool.drawn.inks import Press, age, ink
from comictool.drawn.labels import Truth, cover, open_box, paste_depth, read_labels
from comictool.drawn.layout import BARE, Area, make_layout
from comictool.drawn.other_pages import Writer, draw_other_page
from comictool.drawn.panel import PanelArt, draw_panel
from comictool.drawn.placement import Placed, Room, Speaker, place_balloon, place_sound
from comictool.drawn.plan import LAYOUTS, ComicPlan, make_plan
from comictool.drawn.scans import finish
from comictool.drawn.script import Line, beats_of_page, on_journey
from comictool.drawn.seeds import stream

WIDTH, HEIGHT = 1000, 1400
# What the pages of a comic are, going round every ten: a cover, then story with one page each of other matter.
_TYPES = ("cover", "story", "story", "story", "advertisement", "story", "story", "text", "story", "credits")
_FINEST = 4.0  # pixels between dots; closer ones alias
_OLD_PAPERS: tuple[Colour, ...] = ((250, 238, 206), (244, 232, 208), (252, 244, 224), (242, 226, 188))


@dataclass(frozen=True)
class DrawnPage:
    """A page with its truth: `image` (H, W, 3) uint8 RGB, `depth` (H, W) uint16 as in `depth`, and its record."""

    image: np.ndarray
    depth: np.ndarray
    record: PageRecord


def draw_page(
    seed: int,
    comic: int,
    page: int,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    style: str | None = None,
    story: bool = False,
    layout: str | None = None,
) -> DrawnPage:
    """Draw one page. The same arguments give the same page, in any process and order.

    Args:
        seed: of the whole drawing.
        comic: counts from 1.
        page: counts from 1.
        width, height: of the page in pixels, each 300 to 4000.
        style: one of `inks.STYLES` instead of the comic's own.
        story: the comic is a journey through one day, and each panel has its `hour`.
        layout: one of `plan.LAYOUTS`: every page is story, or one picture, and laid out so.

    Raises:
        UsageError: an argument out of range, or no such style or layout.
    """
    if not (300 <= width <= 4000 and 300 <= height <= 4000):
        raise UsageError(f"a page of {width}x{height} pixels cannot be drawn", cause="sides go from 300 to 4000")
    if page < 1:
        raise UsageError(f"pages count from 1, not {page}")
    plan = make_plan(seed, comic, style, story, layout)
    kind = "story" if plan.layout else page_type(page)
    record = PageRecord(
        comic=plan.name,
        page=page,
        image="",
        width=width,
        height=height,
        type=kind,
        type_confidence=1.0,
        direction=plan.direction,
        extra={"style": plan.style},
    )
    sheet = Image.new("RGB", (width, height), plan.paper)
    stored = np.zeros((height, width), dtype=np.uint16)
    press = Press(plan.style, max(_FINEST, plan.pitch * width / WIDTH), plan.duo, plan.shift, (width, height))
    if kind == "story":
        _story(plan, page, sheet, stored, record, press)
    else:
        draw_other_page(plan, kind, page, sheet, stored, record, press)
    image = np.asarray(sheet)
    if plan.style in ("faded", "benday"):
        paper = _OLD_PAPERS[stream(seed, "paper", comic).randrange(len(_OLD_PAPERS))]
        image = age(image, press, paper, plan.fading if plan.style == "faded" else 0.25 * plan.fading)
    if plan.layout:
        image = finish(image, LAYOUTS[plan.layout].finish, stream(seed, "scan", comic, page))
    for index, segment in enumerate(record.segments, start=1):
        segment["id"] = index
    return DrawnPage(image, stored, record)


def page_type(page: int) -> str:
    """What the page with a number (from 1) is in every drawn comic."""
    return _TYPES[(page - 1) % len(_TYPES)]


def story_index(page: int) -> int:
    """How many story pages come before a page."""
    rounds, rest = divmod(page - 1, len(_TYPES))
    return rounds * _TYPES.count("story") + _TYPES[:rest].count("story")


def _story(
    plan: ComicPlan, page: int, sheet: Image.Image, stored: np.ndarray, record: PageRecord, press: Press
) -> None:
    rng = stream(plan.seed, "page", plan.comic, page)
    scale = sheet.width / WIDTH
    margin = plan.margin * scale
    area = Area(margin, margin, sheet.width - margin, sheet.height - margin, plan.gutter_width * scale)
    number = page - 1 if plan.layout else story_index(page)
    writer = Writer(plan, sheet, record, stream(plan.seed, "margin", plan.comic, page))
    family = plan.families[(number + stream(plan.seed, "families", plan.comic).randrange(7)) % len(plan.families)]
    if number == 0 and not plan.layout:
        family = "tiers" if family in ("bleed", "splash") else family  # those would run over the title
        area = replace(area, y0=writer.heading(area))
    panels = True
    if plan.layout:
        arranged = arrange(rng, family, area, plan.direction, sheet.size)
        cells, panels = arranged.cells, arranged.panels
        _print_ground(sheet, arranged, plan, scale)
    else:
        cells = make_layout(rng, family, area, plan.direction, sheet.width)
    record.extra["layout"] = family
    beats = beats_of_page(plan.seed, plan.comic, number, len(cells), plan.episode, len(plan.cast))
    if plan.story:
        beats = on_journey(beats, number)
    costume = 1 if number % 7 in (2, 3, 4) else 0  # the cast dresses for the road, and back again at home
    # An open panel is where its drawing is: nothing to see without anybody in it, nor with black lines on black; and
    # it shows no place, which a story is about.
    framed = plan.dark_paper or plan.story
    cells = [
        replace(cell, kind="framed") if cell.kind in BARE and (framed or not beat.roles) else cell
        for cell, beat in zip(cells, beats, strict=True)
    ]
    arts = [
        draw_panel(plan, stream(plan.seed, "panel", plan.comic, page, index), beat, cell, scale, costume)
        for index, (beat, cell) in enumerate(zip(beats, cells, strict=True))
    ]
    for art in arts:
        printed = Image.fromarray(ink(np.asarray(art.picture), press, art.x, art.y))
        sheet.paste(printed, (art.x, art.y), art.alpha)
    cover(arts, sheet.width, sheet.height)
    truths = []
    identities = [look.identity for look in plan.cast]
    for index, art in enumerate(arts, start=1):
        paste_depth(stored, art)
        panel = index if panels else None
        truth = read_labels(art, panel, len(record.characters) + 1, identities, sheet.width, sheet.height)
        record.characters += truth.characters
        record.segments += truth.segments
        if truth.panel is not None:
            if art.beat.hour is not None:
                truth.panel.extra["hour"] = round(art.beat.hour, 4)
            record.panels.append(truth.panel)
        truths.append(truth)
    if not plan.layout:
        writer.folio(page, margin)
    _letter(plan, page, sheet, record, arts, truths, scale)
    for art, truth in zip(arts, truths, strict=True):
        if art.cell.kind == "open" and truth.panel is not None:
            truth.panel.box = open_box(truth.panel, truth.characters, record.texts)


def _print_ground(sheet: Image.Image, arranged: Arranged, plan: ComicPlan, scale: float) -> None:
    """Print what lies under the panels: black paper, and a line round all of them."""
    pen = ImageDraw.Draw(sheet)
    if arranged.black is not None:
        pen.rectangle((0, round(arranged.black[0]), sheet.width, round(arranged.black[1])), fill=plan.ink)
    if arranged.ring is not None:
        pen.rectangle([round(v) for v in arranged.ring], outline=plan.ink, width=max(1, round(2 * scale)))


def _letter(
    plan: ComicPlan,
    page: int,
    sheet: Image.Image,
    record: PageRecord,
    arts: list[PanelArt],
    truths: list[Truth],
    scale: float,
) -> None:
    """Place and draw the lettering of all panels, in reading order."""
    taken: list[Box] = [text.box for text in record.texts if text.box]
    insets = [t.panel.box for t, a in zip(truths, arts, strict=True) if t.panel and a.cell.kind == "inset"]
    for index, (art, truth) in enumerate(zip(arts, truths, strict=True)):
        if truth.panel is None:
            continue
        rng = stream(plan.seed, "letters", plan.comic, page, index)
        blocked = taken + [box for box in insets if box != truth.panel.box]
        room = _room(plan, art, truth.panel.box, truth, blocked, sheet.size)
        for number, line in enumerate(art.beat.lines, start=1):
            room.waiting = len(art.beat.lines) - number
            placed = _place(plan, line, truth.speakers, room, rng, scale)
            if placed is None:
                continue
            taken.append(placed.outer)
            line_width = max(1.4, plan.line * 0.6) * scale
            draw_placed(sheet, placed, plan.hand, plan.letter_ink, plan.caption, line_width, rng.randrange(1 << 30))
            record.texts.append(_text(placed, len(record.texts) + 1, truth.panel.id, sheet))


def _room(plan: ComicPlan, art: PanelArt, panel: Box, truth: Truth, taken: list[Box], size: tuple[int, int]) -> Room:
    """Where a panel's lettering may go: off its frame, and as far over it as the comic's habit allows."""
    scale = size[0] / WIDTH
    x0, y0, x1, y1 = panel
    inside = int((plan.frame_width / 2 + 7) * scale)
    if art.cell.slanted:
        inside += int(8 * scale)
    out = int(plan.overflow * scale)
    edge = int(8 * scale)
    reach = (
        max(edge, x0 + inside - out),
        max(edge, y0 + inside - out),
        min(size[0] - edge, x1 - inside + out),
        min(size[1] - edge, y1 - inside + out),
    )
    return Room(
        box=panel,
        reach=reach,
        faces=[c.face for c in truth.characters if c.face],
        bodies=[c.box for c in truth.characters],
        taken=list(taken),
        rtl=plan.direction == "rtl",
    )


def _place(
    plan: ComicPlan, line: Line, speakers: dict[int, Speaker], room: Room, rng: random.Random, scale: float
) -> Placed | None:
    """Find room for a line; None when there is none, or nobody to be seen who says it."""
    if line.kind == "sfx":
        fill = WHITE if plan.grey else hsv(rng.choice((0.0, 0.1, 0.14, 0.55)), 0.85, 1.0)
        return place_sound(line.text, rng, room, scale, fill, plan.ink)
    text = plan.hand.write(line.text)
    if line.kind == "narration":
        return place_balloon(text, "narration", "box", plan.hand, room, None, scale)
    speaker = speakers.get(line.role) if line.role is not None else None
    if speaker is None:
        return None
    shape = plan.balloon
    if line.kind == "thought":
        shape = "cloud"
    elif speaker.species == "robot":
        shape = "cut"
    elif line.emotion in ("anger", "surprise", "fear") and text.endswith("!"):
        shape = "burst"
    return place_balloon(text, line.kind, shape, plan.hand, room, speaker, scale)


def _text(placed: Placed, number: int, panel: int, sheet: Image.Image) -> Text:
    """The record of a placed line; `balloon` and `tail` (root, tip) are in page pixels."""
    x0, y0, x1, y1 = placed.box
    outer = placed.outer
    extra: dict[str, object] = {
        "balloon": [max(0, outer[0]), max(0, outer[1]), min(sheet.width, outer[2]), min(sheet.height, outer[3])]
    }
    if placed.tail is not None:
        extra["tail"] = [[round(v, 1) for v in point] for point in placed.tail]
    if placed.kind != "sfx":
        extra["shape"] = placed.shape
    return Text(
        id=number,
        text=placed.text,
        kind=placed.kind,
        box=(max(0, x0), max(0, y0), min(sheet.width, x1), min(sheet.height, y1)),
        panel=panel,
        speaker=placed.speaker.number if placed.speaker else None,
        source="drawn",
        extra=extra,
    )
