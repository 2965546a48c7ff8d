"""Pages that are no story: covers, advertisements, prose, credits. None of them has panels."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from comictool.corpus.records import PageRecord, Text, clamp_box
from comictool.drawn.colours import WHITE, Colour, hsv, mix, shade
from comictool.drawn.inks import Press, ink
from comictool.drawn.labels import cover, paste_depth, read_labels
from comictool.drawn.layout import BEYOND, Area, Cell, rectangle
from comictool.drawn.lettering import block, display, draw_block
from comictool.drawn.panel import draw_panel
from comictool.drawn.plan import ComicPlan
from comictool.drawn.script import Beat
from comictool.drawn.seeds import stream
from comictool.drawn.words import AD_LINES, CREDITS, GOODS, LETTERS, NAMES, PROSE, TAGLINES

_PAGE = 1000  # sizes here are in thousandths of the page width


def draw_other_page(
    plan: ComicPlan, kind: str, page: int, sheet: Image.Image, stored: np.ndarray, record: PageRecord, press: Press
) -> None:
    """Draw a page that is no story page on `sheet`, with its texts, characters and depth.

    Args:
        plan: the comic's.
        kind: cover, advertisement, text or credits.
        page: its number.
        sheet: the page, drawn upon.
        stored: the depth map, written where a scene is drawn.
        record: receives the labels.
        press: the comic's inks.
    """
    rng = stream(plan.seed, "matter", plan.comic, page)
    writer = Writer(plan, sheet, record, rng)
    if kind == "cover":
        _cover(writer, page, stored, press)
    elif kind == "advertisement":
        _advertisement(writer, page, stored, press)
    elif kind == "text":
        _prose(writer, page, stored, press)
    else:
        _credits(writer, page, stored, press)


class Writer:
    """Puts lettering on a page and into its record."""

    def __init__(self, plan: ComicPlan, sheet: Image.Image, record: PageRecord, rng: random.Random) -> None:
        self.plan, self.sheet, self.record, self.rng = plan, sheet, record, rng
        self.scale = sheet.width / _PAGE
        self.ink: Colour = (240, 236, 228) if plan.dark_paper else plan.ink

    def plain(
        self,
        text: str,
        x: float,
        y: float,
        wide: float,
        size: float,
        colour: Colour | None = None,
        *,
        centre: bool = False,
        left: bool = True,
    ) -> float:
        """Wrapped text from (x, y) in thousandths; returns the y below it."""
        hand = replace(self.plan.hand, size=max(9, round(size * self.scale)), slant=0.0)
        lines = block(text, hand, int(wide * self.scale))
        px = int((x + (wide / 2 if centre else 0)) * self.scale - (lines.width / 2 if centre else 0))
        py = int(y * self.scale)
        if py + lines.height > self.sheet.height - 3:
            return y
        draw_block(self.sheet, lines, hand, px, py, colour or self.ink, self.rng, left=left and not centre)
        self.note(text, (px, py, px + lines.width, py + lines.height))
        return y + (lines.height / self.scale)

    def big(
        self,
        text: str,
        middle: float,
        y: float,
        wide: float,
        tall: float,
        fill: Colour,
        edge: Colour,
        *,
        angle: float = 0.0,
    ) -> float:
        """Display letters as large as fit; returns the y below them."""
        probe = display(text, 100, fill, edge, 8)
        size = max(12, int(100 * min(wide * self.scale / probe.width, tall * self.scale / probe.height)))
        picture = display(text, size, fill, edge, max(2, size // 12), angle=angle)
        px, py = int(middle * self.scale - picture.width / 2), int(y * self.scale)
        self.sheet.paste(picture, (px, py), picture)
        self.note(text, (px, py, px + picture.width, py + picture.height))
        return y + picture.height / self.scale

    def heading(self, area: Area) -> float:
        """The title over the first story page; returns where the panels may begin, in pixels."""
        fill = self.colour(self.rng.random(), 0.7, 0.85)
        dark = self.plan.dark_paper
        top = area.y0 / self.scale
        letters, edge = (WHITE, fill) if dark else (fill, self.ink)
        below = self.big(self.plan.title.upper(), _PAGE / 2, top, 620, 62, letters, edge)
        return (below + 16) * self.scale

    def folio(self, page: int, margin: float) -> None:
        """The page number in the lower margin, where there is room for one."""
        middle = self.rng.choice((_PAGE / 2, _PAGE - margin / self.scale - 20))
        y = (self.sheet.height - margin * 0.75) / self.scale
        lowest = max((panel.box[3] for panel in self.record.panels), default=0)
        if margin >= 34 * self.scale and lowest < y * self.scale:
            self.plain(str(page), middle - 30, y, 60, min(18, 0.5 * margin / self.scale), centre=True)

    def note(self, text: str, box: tuple[int, int, int, int]) -> None:
        """Record a piece of lettering."""
        w, h = self.sheet.size
        inside = clamp_box(box, w, h)
        if inside is None:
            return  # the page is too low for it
        self.record.texts.append(
            Text(id=len(self.record.texts) + 1, text=text, kind="narration", box=inside, source="drawn")
        )

    def colour(self, hue: float, saturation: float, value: float) -> Colour:
        """A colour, grey in comics printed in black only."""
        colour = hsv(hue, saturation, value)
        if not self.plan.grey:
            return colour
        level = int(0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2])
        return (level, level, level)


def _scene(writer: Writer, page: int, beat: Beat, cell: Cell, stored: np.ndarray, press: Press) -> None:
    """Draw a picture that is no panel, and its labels."""
    plan, sheet, record = writer.plan, writer.sheet, writer.record
    art = draw_panel(plan, stream(plan.seed, "panel", plan.comic, page, 0), beat, cell, writer.scale, 0)
    printed = Image.fromarray(ink(np.asarray(art.picture), press, art.x, art.y))
    sheet.paste(printed, (art.x, art.y), art.alpha)
    cover([art], sheet.width, sheet.height)
    paste_depth(stored, art)
    truth = read_labels(art, None, 1, [look.identity for look in plan.cast], sheet.width, sheet.height)
    record.characters += truth.characters
    record.segments += truth.segments


def _cover(writer: Writer, page: int, stored: np.ndarray, press: Press) -> None:
    plan, rng, sheet = writer.plan, writer.rng, writer.sheet
    tall = sheet.height / writer.scale
    setting, light = (
        rng.choice(("city", "forest", "hills", "harbour", "desert", "night", "plain")),
        rng.choice(("day", "dusk", "night", "morning")),
    )
    roles = tuple(range(min(len(plan.cast), rng.choice((1, 2, 3, 3)))))
    beat = Beat(
        setting,
        light,
        roles,
        (),
        {r: rng.choice(("joy", "resolve", "fear", "smug", "surprise")) for r in roles},
        {r: rng.choice(("run", "point", "hips", "cheer", "jump", "fold", "reach")) for r in roles},
        shot=rng.choice(("full", "full", "medium")),
    )
    whole = rectangle(-BEYOND, -BEYOND, sheet.width + BEYOND, sheet.height + BEYOND, "bleed")
    _scene(writer, page, beat, whole, stored, press)
    hue = rng.random()
    fill, edge = writer.colour(hue, 0.75, 0.98), plan.ink
    first, second = plan.series.upper().split()
    y = writer.big(first, 500, 36, 900, 0.11 * tall, fill, edge)
    y = writer.big(second, 500, y + 8, 820, 0.1 * tall, WHITE if rng.random() < 0.5 else fill, edge)
    pen = ImageDraw.Draw(sheet)
    s = writer.scale
    x = 60 if plan.direction != "rtl" else 800
    pen.rectangle(
        [x * s, (y + 18) * s, (x + 140) * s, (y + 86) * s], fill=WHITE, outline=plan.ink, width=max(1, round(3 * s))
    )
    writer.plain(f"No. {plan.number}", x + 20, y + 36, 110, 28, plan.ink)
    line = plan.episode.say(rng.choice(TAGLINES), "")
    band = writer.colour(hue + 0.5, 0.6, 0.95)
    pen.rectangle(
        [0, (tall - 150) * s, sheet.width, (tall - 70) * s], fill=band, outline=plan.ink, width=max(1, round(3 * s))
    )
    writer.plain(line, 40, tall - 128, 920, 32, plan.ink, centre=True)
    writer.big(plan.title.upper(), 500, tall - 246, 760, 76, WHITE, edge, angle=rng.uniform(-4, 4))


def _advertisement(writer: Writer, page: int, stored: np.ndarray, press: Press) -> None:
    plan, rng, sheet = writer.plan, writer.rng, writer.sheet
    tall, s = sheet.height / writer.scale, writer.scale
    hue = rng.random()
    pen = ImageDraw.Draw(sheet)
    back = writer.colour(hue, rng.uniform(0.2, 0.7), 0.97)
    pen.rectangle([0, 0, sheet.width, sheet.height], fill=back)
    for i in range(24):  # sunburst behind the goods
        if i % 2 == 0:
            pen.pieslice(
                [-900 * s, (tall * 0.45 - 1400) * s, 1900 * s, (tall * 0.45 + 1400) * s],
                i * 15,
                i * 15 + 15,
                fill=shade(back, 1.25),
            )
    pen.rectangle([24 * s, 24 * s, 976 * s, (tall - 24) * s], outline=plan.ink, width=max(2, round(6 * s)))
    name, claim, price = rng.choice(GOODS)
    y = writer.big(
        name, 500, 60, 880, 0.12 * tall, writer.colour(hue + 0.5, 0.85, 0.9), plan.ink, angle=rng.uniform(-3, 3)
    )
    y = writer.plain(claim + "!", 80, y + 26, 840, 40, plan.ink, centre=True)
    role = rng.randrange(len(plan.cast))
    beat = Beat(
        "plain",
        "day",
        (role,),
        (),
        {role: rng.choice(("joy", "laugh", "surprise"))},
        {role: rng.choice(("point", "cheer", "wave"))},
        shot=rng.choice(("full", "medium", "close")),
    )
    low = 0.66 * tall
    if rng.random() < 0.7 and low - y > 130:
        _scene(writer, page, beat, rectangle(230 * s, (y + 30) * s, 770 * s, low * s, "inset"), stored, press)
    else:
        _goods(pen, writer, 500 * s, (y + low) / 2 * s, min(low - y - 40, 420) * s, hue)
    pen.ellipse(
        [650 * s, (low - 60) * s, 950 * s, (low + 130) * s],
        fill=writer.colour(0.14, 0.8, 1.0),
        outline=plan.ink,
        width=max(1, round(4 * s)),
    )
    writer.plain(price, 680, low - 2, 240, 34, plan.ink, centre=True)
    y = low + 150
    for text in rng.sample(AD_LINES, 3):
        y = writer.plain(text, 100, y, 800, 26, plan.ink) + 10
    pen.rectangle(
        [80 * s, (y + 10) * s, 920 * s, (y + 120) * s], fill=WHITE, outline=plan.ink, width=max(1, round(2 * s))
    )
    writer.plain(
        "Name ............................   Age ......   Street ............................",
        100,
        y + 46,
        780,
        20,
        plan.ink,
    )


def _goods(pen: ImageDraw.ImageDraw, writer: Writer, x: float, y: float, size: float, hue: float) -> None:
    """A bottle with a label: what is for sale."""
    line = max(2, round(size / 70))
    glass, label = writer.colour(hue + 0.3, 0.5, 0.8), writer.colour(hue + 0.15, 0.25, 1.0)
    pen.rounded_rectangle(
        [x - 0.26 * size, y - 0.2 * size, x + 0.26 * size, y + 0.5 * size],
        0.08 * size,
        fill=glass,
        outline=writer.plan.ink,
        width=line,
    )
    pen.rectangle(
        [x - 0.1 * size, y - 0.42 * size, x + 0.1 * size, y - 0.18 * size],
        fill=glass,
        outline=writer.plan.ink,
        width=line,
    )
    pen.rectangle(
        [x - 0.13 * size, y - 0.5 * size, x + 0.13 * size, y - 0.4 * size],
        fill=mix(glass, writer.plan.ink, 0.5),
        outline=writer.plan.ink,
        width=line,
    )
    pen.rectangle(
        [x - 0.22 * size, y, x + 0.22 * size, y + 0.3 * size], fill=label, outline=writer.plan.ink, width=line
    )
    for i in range(3):
        pen.line(
            [x - 0.15 * size, y + (0.08 + 0.07 * i) * size, x + 0.15 * size, y + (0.08 + 0.07 * i) * size],
            fill=writer.plan.ink,
            width=line,
        )


def _prose(writer: Writer, page: int, stored: np.ndarray, press: Press) -> None:
    plan, rng, sheet = writer.plan, writer.rng, writer.sheet
    tall, s = sheet.height / writer.scale, writer.scale
    letters = rng.random() < 0.35
    heading = "LETTERS TO THE EDITORS" if letters else plan.title.upper()
    fill = writer.colour(rng.random(), 0.7, 0.75)
    y = writer.big(heading, 500, 60, 820, 64, fill, (0, 0, 0) if plan.dark_paper else writer.ink)
    y += 30
    top = y
    columns = 2
    wide = 400
    pictured = rng.random() < 0.6
    if pictured:
        role = rng.randrange(len(plan.cast))
        beat = Beat(rng.choice(("interior", "city", "night")), "dusk", (role,), (), {role: "calm"}, {role: "think"})
        _scene(writer, page, beat, rectangle(540 * s, y * s, 940 * s, (y + 330) * s, "inset"), stored, press)
    source = [plan.episode.say(text, "") for text in (LETTERS if letters else PROSE)]
    ordered = source if not letters else rng.sample(source, len(source))
    at = 0
    for column in range(columns):
        x = 60 + column * 480
        y = top + (360 if pictured and column == 1 else 0)
        while y < tall - 150:
            take = 1 if letters else rng.choice((2, 3))
            piece = " ".join(ordered[at : at + take])
            if not piece:
                break
            at += take
            below = writer.plain(piece, x, y, wide, 23)
            if below == y:
                break
            y = below + 16
    writer.plain(str(page), 480, tall - 50, 60, 20, centre=True)


def _credits(writer: Writer, page: int, stored: np.ndarray, press: Press) -> None:
    plan, rng, sheet = writer.plan, writer.rng, writer.sheet
    tall, s = sheet.height / writer.scale, writer.scale
    y = writer.big(
        plan.series.upper(),
        500,
        90,
        760,
        90,
        writer.colour(rng.random(), 0.6, 0.8),
        (0, 0, 0) if plan.dark_paper else writer.ink,
    )
    y = writer.plain(f"No. {plan.number}: {plan.title}", 100, y + 20, 800, 34, centre=True) + 40
    ImageDraw.Draw(sheet).line([300 * s, y * s, 700 * s, y * s], fill=writer.ink, width=max(1, round(3 * s)))
    y += 40
    names = rng.sample(NAMES, len(CREDITS))
    last = rng.sample(
        ("Marlow", "Okafor", "Lindqvist", "Tanaka", "Rossi", "Petrov", "Garcia", "Weber", "Silva", "Novak"),
        len(CREDITS),
    )
    for what, first, family in zip(CREDITS, names, last, strict=True):
        y = writer.plain(f"{what}: {first} {family}", 200, y, 600, 30, centre=True) + 22
    y += 16
    deep = tall - 190 - y
    if deep > 160:
        roles = tuple(range(min(4, len(plan.cast))))
        faces = {role: rng.choice(("joy", "calm", "smug", "laugh")) for role in roles}
        poses = {role: rng.choice(("wave", "stand", "hips", "cheer", "fold")) for role in roles}
        beat = Beat("plain", "day", roles, (), faces, poses, shot="full")
        _scene(writer, page, beat, rectangle(180 * s, y * s, 820 * s, (y + min(deep, 420)) * s, "inset"), stored, press)
    claim = "Drawn by a machine from a seed. Any likeness is a coincidence of numbers."
    y = writer.plain(claim, 220, tall - 160, 560, 22, centre=True)
    writer.plain(f"Seed {plan.seed}, comic {plan.comic}", 220, y + 14, 560, 20, centre=True)
