"""Marks round a figure that no camera would see: sweat, surprise, anger, sparkle, speed.

They are signs on the paper like lettering, so they are drawn on the picture only and have no depth.
"""

from __future__ import annotations

import math
import random

from comictool.drawn.canvas import Canvas, Point
from comictool.drawn.figure import Anatomy, Figure

_CHANCE = 0.6  # of showing a mark that the emotion or pose allows
_SMALLEST = 26.0  # fine pixels of head; below that a mark is a blot


def draw_marks(canvas: Canvas, rng: random.Random, figure: Figure, anatomy: Anatomy) -> None:
    """Draw the marks of a figure's emotion and motion, or none."""
    u = figure.u
    if u < _SMALLEST or figure.back:
        return
    x, y = anatomy.head
    line = canvas.line * 0.8
    back = -figure.flip
    if figure.pose.name in ("run", "jump") and rng.random() < _CHANCE:
        for step in range(5):
            top = y + u * (0.4 + 0.5 * step)
            start = x + back * u * rng.uniform(0.9, 1.2)
            canvas.tint([(start, top), (start + back * u * rng.uniform(0.5, 1.2), top)], canvas.ink, line)
    if rng.random() > _CHANCE:
        return
    emotion = figure.emotion.name
    if emotion in ("fear", "worry"):
        for dx, dy in ((0.62, -0.25), (0.78, 0.02)):
            _drop(canvas, (x + back * dx * u, y + dy * u), 0.09 * u, line)
    elif emotion == "surprise":
        for angle in (-130, -90, -50):
            _burst(canvas, (x, y), u, math.radians(angle), 0.95, 1.2, line)
    elif emotion == "anger":
        cx, cy, s = x + back * 0.62 * u, y - 0.42 * u, 0.12 * u
        for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            ax, ay, bx, by = sx * s, sy * s, sx * 0.3 * s, sy * 0.3 * s
            corner = [(cx + ax, cy + by), (cx + bx, cy + by), (cx + bx, cy + ay)]
            canvas.tint(corner, (206, 44, 44), line * 1.3)
    elif emotion in ("joy", "laugh"):
        for angle in (-150, -30):
            _burst(canvas, (x, y), u, math.radians(angle), 0.75, 0.92, line)
            _burst(canvas, (x, y), u, math.radians(angle + 14), 0.75, 0.88, line)
    elif emotion == "tired":
        for step in range(3):
            cx, cy, s = x + back * (0.6 + 0.16 * step) * u, y - (0.3 + 0.16 * step) * u, (0.05 + 0.02 * step) * u
            canvas.tint([(cx - s, cy - s), (cx + s, cy - s), (cx - s, cy + s), (cx + s, cy + s)], canvas.ink, line)


def _drop(canvas: Canvas, at: Point, size: float, line: float) -> None:
    x, y = at
    shape = ((0.0, -1.6), (0.7, 0.0), (0.4, 0.7), (-0.4, 0.7), (-0.7, 0.0))
    outline = [(x + dx * size, y + dy * size) for dx, dy in shape]
    canvas.tint_shape(outline, (190, 224, 246), line)


def _burst(canvas: Canvas, at: Point, u: float, angle: float, inner: float, outer: float, line: float) -> None:
    dx, dy = math.cos(angle) * u, math.sin(angle) * u
    ends = [(at[0] + dx * share, at[1] + dy * share) for share in (inner, outer)]
    canvas.tint(ends, canvas.ink, line * 1.2)
