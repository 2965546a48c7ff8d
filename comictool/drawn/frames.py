"""Panel frames: the outline of a panel, the line along it, and figures that stand before it."""

from __future__ import annotations

import math
import random

from PIL import Image, ImageDraw

from comictool.drawn.canvas import FINE, Canvas, Point, Points, smooth
from comictool.drawn.layout import Cell
from comictool.drawn.plan import ComicPlan

HALF = 127  # a pixel belongs to a panel when the panel covers more than half of it


def make_outline(rng: random.Random, plan: ComicPlan, cell: Cell, x: int, y: int, scale: float) -> list[Point]:
    """The panel's edge in fine pixels: straight, rounded, drawn by an unsteady hand, or ragged as a brush leaves it."""
    corners = [((px - x) * FINE, (py - y) * FINE) for px, py in cell.corners]
    if cell.kind in ("bleed", "open", "bare") or plan.frame not in ("wobbly", "round", "ragged"):
        return corners
    out: list[Point] = []
    if plan.frame == "round":
        radius = 14 * scale * FINE
        for i, corner in enumerate(corners):
            out += _round_corner(corners[i - 1], corner, corners[(i + 1) % 4], radius)
        return out
    stride, reach = (90 * scale, 2.4 * scale) if plan.frame == "wobbly" else (14 * scale, 5.0 * scale)
    for i, (ax, ay) in enumerate(corners):
        bx, by = corners[(i + 1) % 4]
        steps = max(2, int(math.dist((ax, ay), (bx, by)) / stride))
        for step in range(steps):
            sway = rng.uniform(-reach, reach)
            t = step / steps
            out.append((ax + (bx - ax) * t + sway, ay + (by - ay) * t + rng.uniform(-reach, reach)))
    return smooth(out, 3)


def _round_corner(before: Point, corner: Point, after: Point, radius: float) -> list[Point]:
    """A quadratic curve round one corner."""

    def towards(other: Point) -> Point:
        length = math.dist(corner, other)
        share = min(0.5, radius / length)
        return (corner[0] + (other[0] - corner[0]) * share, corner[1] + (other[1] - corner[1]) * share)

    a, b = towards(before), towards(after)
    out = []
    for step in range(6):
        t = step / 5
        out.append(
            tuple((1 - t) ** 2 * p + 2 * t * (1 - t) * q + t * t * r for p, q, r in zip(a, corner, b, strict=True))
        )
    return [(p[0], p[1]) for p in out]


def frame_width_of(plan: ComicPlan, cell: Cell, scale: float) -> float:
    """Width of a cell's frame in page pixels."""
    if cell.kind == "open":
        return 0.0
    # An inset without a line would melt into the panel under it.
    return max(plan.frame_width, 3.0 if cell.kind == "inset" else 0.0) * scale


def draw_frame(
    canvas: Canvas, plan: ComicPlan, cell: Cell, outline: Points, scale: float, over: Image.Image | None
) -> tuple[Image.Image, Image.Image]:
    """Draw the frame on the picture.

    Args:
        canvas: with everything else drawn.
        plan, cell: whose frame.
        outline: in fine pixels, from `make_outline`.
        scale: page width / 1000.
        over: where figures stand before the frame (L, fine), or None.

    Returns:
        What the panel covers and what it covers with the figures before the frame, both L at page resolution.
    """
    alpha = Image.new("L", (canvas.width, canvas.height), 0)
    pen = ImageDraw.Draw(alpha)
    pen.polygon(list(outline), fill=255)
    width = frame_width_of(plan, cell, scale) * FINE
    before = canvas.picture.copy() if over is not None else None
    if width > 0:
        _edge(canvas, pen, outline, width, plan)
        if plan.frame == "double":
            _second_line(canvas, outline, 6 * scale * FINE, width * 0.8, plan)
    panel = alpha.reduce(FINE)
    if over is None or before is None:
        return panel, panel
    canvas.picture.paste(before, (0, 0), over)
    alpha.paste(255, (0, 0), over)
    return panel, alpha.reduce(FINE)


def _second_line(canvas: Canvas, outline: Points, gap: float, width: float, plan: ComicPlan) -> None:
    """A thin line inside the frame."""
    cx = sum(p[0] for p in outline) / len(outline)
    cy = sum(p[1] for p in outline) / len(outline)
    inner = [(px + math.copysign(gap, cx - px), py + math.copysign(gap, cy - py)) for px, py in outline]
    closed = [*inner, inner[0], inner[1]]
    ImageDraw.Draw(canvas.picture).line(closed, fill=plan.ink, width=round(width), joint="curve")


def _edge(canvas: Canvas, pen: ImageDraw.ImageDraw, outline: Points, width: float, plan: ComicPlan) -> None:
    """A line along the outline, on the picture and in the mask."""
    closed = [*outline, outline[0], outline[1]]
    ImageDraw.Draw(canvas.picture).line(closed, fill=plan.ink, width=round(width), joint="curve")
    pen.line(closed, fill=255, width=round(width), joint="curve")
