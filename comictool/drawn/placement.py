"""Finding room for lettering: balloons near who speaks, in reading order, off faces and off each other."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from comictool.corpus.records import Box
from comictool.drawn.canvas import Point
from comictool.drawn.colours import Colour
from comictool.drawn.lettering import Block, Hand, block, display

LONGEST_TAIL = 150  # thousandths of the page width; a tail points to its speaker and need not arrive
_SCALES = (1.0, 0.9, 0.8, 0.72)
_WIDTHS = (0.52, 0.68, 0.85, 0.4, 0.3)
_STEPS = 9  # places tried along each side of the panel
_MOST_FACE = 0.3  # share of a face that lettering may cover


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
    waiting: int = 0  # lines still to come, which need the room below or beside
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
) -> Placed | None:
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
            found = _search(lines, pad_x, pad_y, room, speaker)
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
    x0, y0, x1, y1 = room.box
    wide, high = x1 - x0, y1 - y0
    size = int(min(wide / (0.75 * len(text)), high * 0.24, 92 * scale))
    if size < 14 * scale:
        return None
    picture = display(text, size, fill, edge, max(2, size // 11), angle=rng.uniform(-16, 16), shear=0.15)
    w, h = picture.size
    if w > wide - 8 or h > high - 8:
        return None
    corners = np.array([(rng.randint(x0 + 4, x1 - w - 4), rng.randint(y0 + 4, y1 - h - 4)) for _ in range(16)])
    outer = np.concatenate([corners, corners + np.array([w, h])], axis=1)
    cost = 5.0 * _overlaps(outer, room.faces).sum(axis=1) + _overlaps(outer, room.bodies).sum(axis=1)
    cost[_overlaps(outer, room.taken).any(axis=1)] = np.inf
    best = int(np.argmin(cost))
    if cost[best] > 4.0 * w * h:
        return None
    box: Box = (int(outer[best, 0]), int(outer[best, 1]), int(outer[best, 2]), int(outer[best, 3]))
    room.taken.append(box)
    return Placed("sfx", text, box, box, None, picture=picture)


def _padding(shape: str, lines: Block, scale: float) -> tuple[float, float]:
    """Space between lettering and outline; round shapes need more, in proportion."""
    if shape == "box":
        return 9 * scale, 7 * scale
    if shape in ("round", "cut"):
        return 13 * scale, 10 * scale
    if shape == "burst":
        return 16 * scale + 0.2 * lines.width, 14 * scale + 0.26 * lines.height
    return 9 * scale + 0.13 * lines.width, 8 * scale + 0.2 * lines.height


def _search(lines: Block, pad_x: float, pad_y: float, room: Room, speaker: Speaker | None) -> tuple[float, Box] | None:
    """The cheapest free place on a raster and its cost; None when all are taken or out of reach."""
    w, h = lines.width + 2 * pad_x, lines.height + 2 * pad_y
    x0, y0, x1, y1 = room.reach
    wide, high = x1 - x0, y1 - y0
    if wide < w or high < h:
        return None
    steps = np.arange(_STEPS) / (_STEPS - 1)
    top, left = (grid.ravel() for grid in np.meshgrid(y0 + (high - h) * steps, x0 + (wide - w) * steps, indexing="ij"))
    outer = np.stack([left, top, left + w + 1, top + h + 1], axis=1).astype(np.int64)
    free = ~_overlaps(outer, room.taken).any(axis=1) & _after(outer, room)
    faces = np.array(room.faces, dtype=np.int64).reshape(-1, 4)
    sizes = (faces[:, 2] - faces[:, 0]) * (faces[:, 3] - faces[:, 1])
    covered = (_overlaps(outer, room.faces) / np.maximum(1, sizes)).max(axis=1, initial=0.0)
    free &= covered <= _MOST_FACE
    if not free.any():
        return None
    cost = (
        (1.7 + 1.6 * room.waiting) * (top - y0) / high
        + 30 * covered
        + 1.2 * _overlaps(outer, room.bodies).sum(axis=1) / (w * h)
    )
    if speaker is not None:
        cost += 1.6 * np.abs(left + w / 2 - speaker.mouth[0]) / wide
        gap = (speaker.mouth[1] - 0.7 * speaker.u - top - h) / high
        cost += 5.0 * np.maximum(0.0, gap - 0.06)  # far above the head: a long tail
        cost += 2.5 * (top > speaker.mouth[1] - 0.3 * speaker.u)
    else:
        start = x1 - left - w if room.rtl else left - x0
        cost += 2.0 * start / wide + np.minimum(top - y0, y1 - top - h) / high
    best = int(np.argmin(np.where(free, cost, np.inf)))
    bx0, by0, bx1, by1 = (int(v) for v in outer[best])
    return float(cost[best]), (bx0, by0, bx1, by1)


def _after(outer: np.ndarray, room: Room) -> np.ndarray:
    """Which places are read after the balloon before: clearly below, or beside it in reading direction, not higher."""
    if room.previous is None:
        return np.ones(len(outer), dtype=bool)
    px0, py0, px1, py1 = room.previous
    below = outer[:, 1] >= py0 + 0.6 * (py1 - py0)
    beside = outer[:, 2] <= px0 + 4 if room.rtl else outer[:, 0] >= px1 - 4
    return below | (beside & (outer[:, 1] >= py0 - 0.25 * (py1 - py0)))


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


def _overlaps(boxes: np.ndarray, others: list[Box]) -> np.ndarray:
    """Pixels that each box shares with each of the others, `(boxes, others)`."""
    other = np.array(others, dtype=np.int64).reshape(1, -1, 4)
    mine = boxes[:, None, :]
    w = np.minimum(mine[..., 2], other[..., 2]) - np.maximum(mine[..., 0], other[..., 0])
    h = np.minimum(mine[..., 3], other[..., 3]) - np.maximum(mine[..., 1], other[..., 1])
    return np.maximum(w, 0) * np.maximum(h, 0)
