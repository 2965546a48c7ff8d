"""Drawing balloons, captions and sound words, with tails that point at the speakers."""

from __future__ import annotations

import math
import random

from PIL import Image, ImageDraw

from comictool.corpus.records import Box
from comictool.drawn.canvas import Point, smooth
from comictool.drawn.colours import WHITE, Colour
from comictool.drawn.lettering import Hand, draw_block
from comictool.drawn.placement import Placed

FINE = 2  # balloons are drawn at twice the page resolution and averaged down


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
