"""Balloons, captions and sound words: finding room for them, drawing them, pointing their tails at the speakers."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from comictool.corpus.drawn.canvas import Point, smooth
from comictool.corpus.drawn.colours import WHITE, Colour
from comictool.corpus.drawn.lettering import Block, Hand, block, display, draw_block
from comictool.corpus.records import Box

FINE = 2  # balloons are drawn at twice the page resolution and averaged down
LONGEST_TAIL = 150  # thousandths of the page width; a tail points to its speaker and need not arrive
_SCALES = (1.0, 0.9, 0.8)
_WIDTHS = (0.52, 0.68, 0.85, 0.4)


@dataclass(frozen=True)
class Speaker:
    """Who speaks: number on the page, mouth and head size in page pixels."""

    number: int
    mouth: Point
    u: float
    species: str


@dataclass
class Room:
    """What a panel offers: its box, where balloons may reach to, and what they must not or should not cover."""

    box: Box
    reach: Box
    faces: list[Box]
    bodies: list[Box]
    taken: list[Box]  # lettering already placed anywhere on the page
    rtl: bool
    previous: Box | None = None  # the balloon before, which must be read first


@dataclass
class Placed:
    """A piece of lettering with its place. `box` is the lettering, `outer` the balloon round it."""

    kind: str
    text: str
    box: Box
    outer: Box
    block: Block | None
    speaker: Speaker | None = None
    tail: tuple[Point, Point] | None = None
    shape: str = "oval"
    picture: Image.Image | None = field(default=None, repr=False)


def place_balloon(
    text: str, kind: str, shape: str, hand: Hand, room: Room, speaker: Speaker | None, scale: float
) -> Placed | None:  # fmt: skip
    """Find room for a balloon or caption; None when the panel has none.

    Args:
        text: as it will be lettered.
        kind: dialogue, thought or narration.
        shape: outline, see `_contour`.
        hand: the comic's lettering.
        room: of the panel; `taken` and `previous` are updated.
        speaker: who says it; None for narration.
        scale: page width / 1000.
    """
    wide = room.box[2] - room.box[0]
    best: tuple[float, Placed] | None = None
    for size in _SCALES:
        for share in _WIDTHS:
            widest = int(min(wide * share, 330 * scale))
            if widest < 60 * scale:
                continue
            lines = block(text, hand, widest, size)
            if lines.width > widest * 1.15:
                continue
            pad_x, pad_y = _padding(shape, lines, scale)
            found = _search(lines, pad_x, pad_y, room, speaker, kind)
            if found is None:
                continue
            cost, outer = found
            cost += (1.0 - size) * 4 + 0.5 * lines.height / max(1, lines.width)
            if best is None or cost < best[0]:
                x, y = int(outer[0] + pad_x), int(outer[1] + pad_y)
                box = (x, y, x + lines.width, y + lines.height)
                best = (cost, Placed(kind, text, box, outer, lines, speaker, shape=shape))
        if best is not None and best[0] < 6:
            break
    if best is None:
        return None
    placed = best[1]
    if speaker is not None:
        placed.tail = _tail(placed.outer, speaker, scale)
    room.taken.append(placed.outer)
    room.previous = placed.outer
    return placed


def place_sound(text: str, rng: random.Random, room: Room, scale: float, fill: Colour, edge: Colour) -> Placed | None:
    """Put a sound word where it covers no face and no lettering."""
    wide, high = room.box[2] - room.box[0], room.box[3] - room.box[1]
    size = int(min(wide / (0.75 * len(text)), high * 0.24, 92 * scale))
    if size < 14 * scale:
        return None
    picture = display(text, size, fill, edge, max(2, size // 11), angle=rng.uniform(-16, 16), shear=0.15)
    w, h = picture.size
    if w > wide - 8 or h > high - 8:
        return None
    best: tuple[float, Box] | None = None
    for _ in range(16):
        x, y = rng.randint(room.box[0] + 4, room.box[2] - w - 4), rng.randint(room.box[1] + 4, room.box[3] - h - 4)
        outer = (x, y, x + w, y + h)
        if any(_overlap(outer, other) for other in room.taken):
            continue
        cost = sum(_overlap(outer, face) for face in room.faces) * 5.0 + sum(_overlap(outer, b) for b in room.bodies)
        if best is None or cost < best[0]:
            best = (cost, outer)
    if best is None or best[0] > 0.8 * w * h * 5:
        return None
    room.taken.append(best[1])
    return Placed("sfx", text, best[1], best[1], None, picture=picture)


def draw_placed(
    page: Image.Image, placed: Placed, hand: Hand, ink: Colour, caption: Colour, line: float, seed: int
) -> None:
    """Draw a placed piece of lettering on the page."""
    if placed.picture is not None:
        page.paste(placed.picture, placed.outer[:2], placed.picture)
        return
    assert placed.block is not None
    rng = random.Random(seed)
    fill = caption if placed.kind == "narration" else WHITE
    _draw_outline(page, placed, fill, ink, line, rng)
    draw_block(page, placed.block, hand, placed.box[0], placed.box[1], ink, rng, left=placed.kind == "narration")


def _padding(shape: str, lines: Block, scale: float) -> tuple[float, float]:
    """Space between lettering and outline; round shapes need more, in proportion."""
    if shape == "box":
        return 9 * scale, 7 * scale
    if shape in ("round", "cut"):
        return 13 * scale, 10 * scale
    if shape == "burst":
        return 16 * scale + 0.2 * lines.width, 14 * scale + 0.26 * lines.height
    return 9 * scale + 0.13 * lines.width, 8 * scale + 0.2 * lines.height


def _search(
    lines: Block, pad_x: float, pad_y: float, room: Room, speaker: Speaker | None, kind: str
) -> tuple[float, Box] | None:  # fmt: skip
    """The cheapest free place on a raster; None when all are taken or out of reach."""
    w, h = lines.width + 2 * pad_x, lines.height + 2 * pad_y
    x0, y0, x1, y1 = room.reach
    if x1 - x0 < w or y1 - y0 < h:
        return None
    span_x, span_y = x1 - x0 - w, y1 - y0 - h
    high, wide = y1 - y0, x1 - x0
    best: tuple[float, Box] | None = None
    for row in range(9):
        top = y0 + span_y * row / 8
        for column in range(9):
            left = x0 + span_x * column / 8
            outer = (int(left), int(top), int(left + w) + 1, int(top + h) + 1)
            if any(_overlap(outer, other) for other in room.taken):
                continue
            cost = 1.7 * (top - y0) / high
            previous = room.previous
            if previous is not None and not _after(outer, previous, room.rtl):
                continue
            area = w * h
            covered = max((_overlap(outer, face) / _area(face) for face in room.faces), default=0.0)
            if covered > 0.3:
                continue
            cost += 30 * covered + 1.2 * sum(_overlap(outer, body) for body in room.bodies) / area
            if speaker is not None:
                cost += 1.6 * abs((left + w / 2) - speaker.mouth[0]) / wide
                gap = (speaker.mouth[1] - 0.7 * speaker.u - top - h) / high
                cost += 5.0 * max(0.0, gap - 0.06)  # far above the head: a long tail
                if top > speaker.mouth[1] - 0.3 * speaker.u:
                    cost += 2.5
            else:
                start = (x1 - left - w) if room.rtl else (left - x0)
                cost += 2.0 * start / wide
                cost += 1.0 * min(top - y0, y1 - top - h) / high
            if best is None or cost < best[0]:
                best = (cost, outer)
    return best


def _after(box: Box, previous: Box, rtl: bool) -> bool:
    """Whether a balloon is read after another: clearly below, or beside it in reading direction and not higher."""
    if box[1] >= previous[1] + 0.6 * (previous[3] - previous[1]):
        return True
    beside = box[2] <= previous[0] + 4 if rtl else box[0] >= previous[2] - 4
    return beside and box[1] >= previous[1] - 0.25 * (previous[3] - previous[1])


def _tail(outer: Box, speaker: Speaker, scale: float) -> tuple[Point, Point] | None:
    """From where the balloon's edge faces the speaker to a point short of the mouth; None when they touch."""
    cx, cy = (outer[0] + outer[2]) / 2, (outer[1] + outer[3]) / 2
    dx, dy = speaker.mouth[0] - cx, speaker.mouth[1] - cy
    distance = math.hypot(dx, dy)
    if distance < 1:
        return None
    a, b = (outer[2] - outer[0]) / 2, (outer[3] - outer[1]) / 2
    to_edge = 1.0 / math.sqrt((dx / distance / a) ** 2 + (dy / distance / b) ** 2)
    length = min(distance - 0.55 * speaker.u, to_edge + LONGEST_TAIL * scale)
    if length < to_edge + 8:
        length = min(to_edge + 12, distance - 2)
        if length < to_edge + 3:
            return None
    edge = (cx + dx / distance * to_edge, cy + dy / distance * to_edge)
    return edge, (cx + dx / distance * length, cy + dy / distance * length)


def _contour(shape: str, outer: Box, rng: random.Random) -> list[Point]:
    """The closed outline of a balloon in page pixels."""
    x0, y0, x1, y1 = outer
    cx, cy, a, b = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
    if shape == "box":
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    if shape == "cut":
        c = min(a, b) * 0.3
        return [
            (x0 + c, y0),
            (x1 - c, y0),
            (x1, y0 + c),
            (x1, y1 - c),
            (x1 - c, y1),
            (x0 + c, y1),
            (x0, y1 - c),
            (x0, y0 + c),
        ]
    points = []
    steps = 56
    power = {"round": 5.0, "oval": 2.5, "wavy": 2.7, "cloud": 2.4, "burst": 2.4}[shape]
    spikes = 15
    for i in range(steps if shape != "burst" else 2 * spikes):
        angle = 2 * math.pi * i / (steps if shape != "burst" else 2 * spikes)
        c, s = math.cos(angle), math.sin(angle)
        radius = (abs(c) ** power + abs(s) ** power) ** (-1 / power)
        if shape == "cloud":
            bumps = max(8, round((a + b) / 16))
            radius *= 0.94 + 0.1 * abs(math.sin(bumps * angle / 2))
        elif shape == "burst":
            radius *= rng.uniform(0.98, 1.1) if i % 2 == 0 else rng.uniform(0.82, 0.87)
        elif shape == "wavy":
            radius *= 1 + 0.025 * math.sin(5 * angle + 1) + 0.015 * math.sin(9 * angle)
        points.append((cx + a * radius * c, cy + b * radius * s))
    return points


def _draw_outline(
    page: Image.Image, placed: Placed, fill: Colour, ink: Colour, line: float, rng: random.Random
) -> None:
    contour = _contour(placed.shape, placed.outer, rng)
    extra: list[list[Point]] = []
    bubbles: list[tuple[float, float, float]] = []
    if placed.tail is not None:
        (ex, ey), (tx, ty) = placed.tail
        if placed.kind == "thought":
            for share, radius in ((0.25, 6.5), (0.6, 4.5), (0.95, 3.0)):
                bubbles.append((ex + (tx - ex) * share, ey + (ty - ey) * share, radius * line / 2))
        else:
            length = math.hypot(tx - ex, ty - ey)
            nx, ny = -(ty - ey) / length, (tx - ex) / length
            wide = min(11.0 * line / 2, 0.3 * (placed.outer[3] - placed.outer[1]))
            cx, cy = (placed.outer[0] + placed.outer[2]) / 2, (placed.outer[1] + placed.outer[3]) / 2
            rx, ry = ex + (cx - ex) * 0.22, ey + (cy - ey) * 0.22  # the root lies inside the balloon
            bend = rng.uniform(-0.1, 0.1) * min(length, 70.0)
            mx, my = (ex + tx) / 2 + nx * bend, (ey + ty) / 2 + ny * bend
            extra.append(
                [
                    (rx + nx * wide, ry + ny * wide),
                    (mx + nx * wide * 0.55, my + ny * wide * 0.55),
                    (tx, ty),
                    (mx - nx * wide * 0.55, my - ny * wide * 0.55),
                    (rx - nx * wide, ry - ny * wide),
                ]
            )
    shapes = [contour, *extra]
    margin = line + 2
    xs = [p[0] for shape in shapes for p in shape] + [b[0] for b in bubbles]
    ys = [p[1] for shape in shapes for p in shape] + [b[1] for b in bubbles]
    x0, y0 = math.floor(min(xs) - margin - 6), math.floor(min(ys) - margin - 6)
    x1, y1 = math.ceil(max(xs) + margin + 6), math.ceil(max(ys) + margin + 6)
    size = ((x1 - x0) * FINE, (y1 - y0) * FINE)
    inner, outer = Image.new("L", size, 0), Image.new("L", size, 0)
    fill_pen, ink_pen = ImageDraw.Draw(inner), ImageDraw.Draw(outer)
    for shape in shapes:
        local = [((x - x0) * FINE, (y - y0) * FINE) for x, y in shape]
        if shape is contour and placed.shape == "wavy":
            local = smooth(local, 2)
        fill_pen.polygon(local, fill=255)
        ink_pen.polygon(local, fill=255)
        ink_pen.line([*local, local[0], local[1]], fill=255, width=max(2, round(line * FINE)), joint="curve")
    for x, y, radius in bubbles:
        for pen, grow in ((ink_pen, line / 2), (fill_pen, -line / 2)):
            r = (radius + grow) * FINE
            if r > 0:
                px, py = (x - x0) * FINE, (y - y0) * FINE
                pen.ellipse([px - r, py - r, px + r, py + r], fill=255)
    page.paste(ink, (x0, y0), outer.reduce(FINE))
    page.paste(fill, (x0, y0), inner.reduce(FINE))


def _overlap(first: Box, second: Box) -> int:
    """Pixels that two boxes share."""
    w = min(first[2], second[2]) - max(first[0], second[0])
    h = min(first[3], second[3]) - max(first[1], second[1])
    return w * h if w > 0 and h > 0 else 0


def _area(box: Box) -> int:
    return max(1, (box[2] - box[0]) * (box[3] - box[1]))
