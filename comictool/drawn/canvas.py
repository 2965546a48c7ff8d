"""The drawing surface of one panel: a picture, and beside it the layer that every pixel shows.

Both are drawn with the same calls at twice the page resolution ("fine" pixels). The picture is averaged down, which
gives smooth edges for a fraction of the price of antialiased drawing; the layer map is sampled, which keeps it exact.
Depth follows from the layer map: each layer is a plane in space whose depth changes linearly down the panel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from comictool.drawn.colours import INK, Colour

FINE = 2  # fine pixels per page pixel
SHADOW: Colour = (24, 22, 44)
MOST_LAYERS = 255  # the layer map has one byte a pixel; 0 stands for "nothing drawn"

Point: TypeAlias = tuple[float, float]
Points: TypeAlias = Sequence[Point]


@dataclass
class Layer:
    """One thing in space. Depth at row `y` (fine pixels) is `depth + slope * y`, 0 = nearest, 1 = farthest."""

    kind: str
    depth: float
    slope: float = 0.0
    owner: int | None = None  # index of the character in the panel's cast
    part: str = ""


class Canvas:
    """Colour and layer map, drawn together. Sizes and coordinates are fine pixels."""

    def __init__(self, width: int, height: int, ground: Colour, *, line: float, ink: Colour = INK) -> None:
        self.width, self.height = width, height
        self.picture = Image.new("RGB", (width, height), ground)
        self.map = Image.new("L", (width, height), 0)
        self._pen, self._stamp = ImageDraw.Draw(self.picture), ImageDraw.Draw(self.map)
        self.layers: list[Layer] = [Layer("nothing", 1.0)]
        self.line = line
        self.ink = ink
        self._current = 0

    def begin(self, kind: str, depth: float, slope: float = 0.0, owner: int | None = None, part: str = "") -> int:
        """Start a layer; everything drawn from here on belongs to it."""
        if len(self.layers) > MOST_LAYERS:
            raise ValueError(f"a panel has more than {MOST_LAYERS} layers")
        self.layers.append(Layer(kind, depth, slope, owner, part))
        self._current = len(self.layers) - 1
        return self._current

    def resume(self, layer: int) -> None:
        """Draw on a layer begun earlier."""
        self._current = layer

    def polygon(self, points: Points, fill: Colour, *, line: float | None = None, ink: Colour | None = None) -> None:
        """A filled shape with an ink outline; `line` is its width (None: the canvas's own, 0: none)."""
        flat = [(x, y) for x, y in points]
        self._pen.polygon(flat, fill=fill)
        self._stamp.polygon(flat, fill=self._current)
        width = self.line if line is None else line
        if width > 0:
            self.stroke([*flat, flat[0], flat[1]], width, ink or self.ink)

    def stroke(self, points: Points, width: float, colour: Colour | None = None) -> None:
        """A line through points, with round joints."""
        flat = [(x, y) for x, y in points]
        size = max(1, round(width))
        joint = "curve" if size > 2 else None
        self._pen.line(flat, fill=colour or self.ink, width=size, joint=joint)
        self._stamp.line(flat, fill=self._current, width=size, joint=joint)

    def disc(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        fill: Colour | None,
        *,
        line: float | None = None,
        ink: Colour | None = None,
    ) -> None:
        """An upright ellipse with an ink outline."""
        if rx < 0.5 or ry < 0.5:
            return
        width = self.line if line is None else line
        grow = width / 2
        box = [x - rx - grow, y - ry - grow, x + rx + grow, y + ry + grow]
        size = round(width)
        self._pen.ellipse(box, fill=fill, outline=(ink or self.ink) if size else None, width=size)
        self._stamp.ellipse(box, fill=self._current if fill else None, outline=self._current, width=max(1, size))

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, *, line: float | None = None) -> None:
        """An upright rectangle with an ink outline."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, line=line)

    def limb(
        self, points: Points, width: float, fill: Colour, *, line: float | None = None, shadow: Colour | None = None
    ) -> None:
        """A tube through points with round ends: arms, legs, tails, pipes; with `shadow`, lit from the upper left."""
        edge = self.line if line is None else line
        if edge > 0:
            self._tube(points, width + 2 * edge, self.ink)
        if shadow is None:
            self._tube(points, width, fill)
            return
        self._tube(points, width, shadow)
        lit = 0.1 * width  # the light comes from the upper left
        self._tube([(x - lit, y - lit) for x, y in points], width * 0.74, fill)

    def _tube(self, points: Points, width: float, colour: Colour) -> None:
        self.stroke(points, width, colour)
        radius = width / 2
        for x, y in (points[0], points[-1]):
            self.disc(x, y, radius, radius, colour, line=0)

    def shape(self, points: Points, fill: Colour, *, line: float | None = None, ink: Colour | None = None) -> None:
        """A closed smooth shape through points."""
        self.polygon(smooth(points), fill, line=line, ink=ink)

    def tint(self, points: Points, colour: Colour, width: float) -> None:
        """A line on the picture only: rain or light, which belongs to whatever it crosses."""
        self._pen.line([(x, y) for x, y in points], fill=colour, width=max(1, round(width)))

    def tint_shape(self, points: Points, fill: Colour, width: float) -> None:
        """A small outlined shape on the picture only."""
        flat = [(x, y) for x, y in points]
        self._pen.polygon(flat, fill=fill, outline=self.ink, width=max(1, round(width)))

    def dim_ellipse(self, x: float, y: float, rx: float, ry: float, strength: int) -> None:
        """A shadow on what is already drawn, which keeps its layer; `strength` 0..255."""
        x0, y0, x1, y1 = (
            max(0, int(x - rx)),
            max(0, int(y - ry)),
            min(self.width, int(x + rx)),
            min(self.height, int(y + ry)),
        )
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        mask = Image.new("L", (x1 - x0, y1 - y0), 0)
        ImageDraw.Draw(mask).ellipse([x - rx - x0, y - ry - y0, x + rx - x0, y + ry - y0], fill=strength)
        self.picture.paste(SHADOW, (x0, y0), mask)

    def dim(self, points: Points, strength: int) -> None:
        """A shadow of any shape on what is already drawn, which keeps its layer; `strength` 0..255."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        x0, y0 = max(0, int(min(xs))), max(0, int(min(ys)))
        x1, y1 = min(self.width, int(max(xs)) + 1), min(self.height, int(max(ys)) + 1)
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        mask = Image.new("L", (x1 - x0, y1 - y0), 0)
        ImageDraw.Draw(mask).polygon([(x - x0, y - y0) for x, y in points], fill=strength)
        self.picture.paste(SHADOW, (x0, y0), mask)

    def layer_map(self) -> np.ndarray:
        """Layer of every page pixel, `(height, width)` uint8."""
        return np.asarray(self.map)[::FINE, ::FINE]

    def depth(self, layer_map: np.ndarray) -> np.ndarray:
        """Depth of every page pixel, float32, 0 = nearest .. 1 = farthest."""
        base = np.array([layer.depth for layer in self.layers], dtype=np.float32)
        slope = np.array([layer.slope for layer in self.layers], dtype=np.float32)
        rows = np.arange(layer_map.shape[0], dtype=np.float32)[:, None] * FINE
        out = base[layer_map]
        if slope.any():
            out += slope[layer_map] * rows
        return np.clip(out, 0.0, 1.0)


def smooth(points: Points, steps: int = 4) -> list[Point]:
    """A closed Catmull-Rom curve through points, `steps` pieces between two of them."""
    knots = np.asarray(points, dtype=np.float64)
    before, after, beyond = np.roll(knots, 1, 0), np.roll(knots, -1, 0), np.roll(knots, -2, 0)
    t = (np.arange(steps) / steps)[None, :, None]
    k, b, a, y = knots[:, None], before[:, None], after[:, None], beyond[:, None]
    curve = 0.5 * (2 * k + (a - b) * t + (2 * b - 5 * k + 4 * a - y) * t**2 + (3 * k - b - 3 * a + y) * t**3)
    return [(float(px), float(py)) for px, py in curve.reshape(-1, 2)]


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, steps: int = 10) -> list[Point]:
    """Points on an ellipse from one angle to another (degrees, 0 = right, 90 = down)."""
    out = []
    for i in range(steps + 1):
        angle = math.radians(start + (end - start) * i / steps)
        out.append((x + rx * math.cos(angle), y + ry * math.sin(angle)))
    return out
