"""What places are made of: the camera, the floor with its depth, skies, ridges, trees, houses, things in front.

A place keeps its look wherever the camera stands: its streams come from the comic and the place, and the camera only
shifts and zooms. So whatever is drawn takes its random numbers before it is known whether it can be seen.
World coordinates: x to the right, y down, the horizon at 0, one unit = the panel's height at zoom 1.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

from comictool.drawn.canvas import Canvas, Point
from comictool.drawn.colours import Colour, Light, hsv, mix, shade
from comictool.drawn.daylight import sun_at

WORLD = 2.6  # places reach from -WORLD to WORLD


@dataclass
class Camera:
    """Where the panel looks: world x at its middle, size of a world unit and row of the horizon in fine pixels."""

    x: float
    unit: float
    horizon: float
    middle: float

    def at(self, x: float, y: float) -> Point:
        """World to fine pixels."""
        return (self.middle + (x - self.x) * self.unit, self.horizon + y * self.unit)

    def many(self, points: list[Point]) -> list[Point]:
        """Several points of the world to fine pixels."""
        return [self.at(*p) for p in points]


@dataclass
class Floor:
    """Depth of the floor: `far` at the horizon row, `near` at the bottom row of the panel."""

    far: float
    near: float
    horizon: float
    bottom: float

    @property
    def slope(self) -> float:
        """Change of depth a row."""
        return (self.near - self.far) / max(1.0, self.bottom - self.horizon)

    def depth(self, row: float) -> float:
        """Depth where something stands with its feet at a row (fine pixels); rows below the panel go on nearer."""
        return max(0.02, self.far + self.slope * (row - self.horizon))

    def begin(self, canvas: Canvas, kind: str) -> None:
        """Start a layer that lies on the floor."""
        canvas.begin(kind, self.far - self.slope * self.horizon, self.slope)


@dataclass
class View:
    """Everything a place needs to draw itself."""

    canvas: Canvas
    rng: random.Random
    light: Light
    camera: Camera
    floor: Floor
    smooth: bool  # many steps in the sky instead of few flat bands

    def shows(self, x: float, reach: float) -> bool:
        """Whether something of half width `reach` at world x can be seen."""
        left = self.camera.x - self.camera.middle / self.camera.unit
        right = self.camera.x + (self.canvas.width - self.camera.middle) / self.camera.unit
        return left - reach < x < right + reach

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, weight: float = 1.0) -> None:
        """An upright rectangle of the world; `weight` times the canvas's line, 0: no outline."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, weight)

    def polygon(self, points: list[Point], fill: Colour, weight: float = 1.0) -> None:
        """A filled shape of the world with an ink outline."""
        self.canvas.polygon(self.camera.many(points), fill, line=self.canvas.line * weight)

    def stroke(self, points: list[Point], weight: float, colour: Colour | None = None) -> None:
        """A line through points of the world."""
        self.canvas.stroke(self.camera.many(points), self.canvas.line * weight, colour)

    def own(self) -> random.Random:
        """A stream for one thing, so that how much it uses does not move the things after it."""
        return random.Random(self.rng.random())


def sky(view: View) -> None:
    """Bands of colour down to the horizon; sun, or moon and stars, and clouds."""
    canvas, light, camera = view.canvas, view.light, view.camera
    rng = view.own()
    canvas.begin("sky", 1.0)
    steps = 28 if view.smooth else 5
    low = min(canvas.height, max(8.0, camera.horizon + 4))
    for step in range(steps):
        y0, y1 = low * step / steps, low * (step + 1) / steps
        canvas.box(0, y0, canvas.width, y1, mix(light.sky_top, light.sky_low, (step + 0.5) / steps), line=0)
    if light.name == "night":
        for _ in range(70):
            x, y, size = rng.uniform(-WORLD, WORLD), -rng.uniform(0.05, 1.2), rng.choice((1.4, 1.8, 2.8))
            size *= max(0.7, canvas.line / 3)
            if view.shows(x, 0):
                canvas.disc(*camera.at(x, y), size, size, (250, 246, 214), line=0)
    if light.hour is not None:
        _sun_of_story(view, light.hour)
        if light.name != "night":
            _clouds(view, rng)
        return
    if light.name == "night":
        x, y = camera.at(rng.uniform(-0.8, 0.8), -0.55)
        size = 0.09 * camera.unit
        canvas.disc(x, y, size, size, (250, 240, 200), line=0)
        canvas.disc(x - size * 0.3, y + size * 0.2, size * 0.2, size * 0.18, (232, 220, 176), line=0)
        canvas.disc(x + size * 0.35, y - size * 0.25, size * 0.28, size * 0.25, (232, 220, 176), line=0)
        return
    x, y = camera.at(rng.uniform(-0.9, 0.9), -0.14 if light.name != "day" else -0.66)
    if light.name != "rain":
        size = (0.1 if light.name != "day" else 0.07) * camera.unit
        canvas.disc(x, y, size * 1.35, size * 1.35, mix(light.sky_low, (255, 240, 190), 0.45), line=0)
        canvas.disc(x, y, size, size, (255, 232, 150), line=0)
    _clouds(view, rng)


def _clouds(view: View, rng: random.Random) -> None:
    canvas, camera = view.canvas, view.camera
    cloud = mix(view.light.sky_low, (255, 255, 255), 0.55)
    for _ in range(8):
        x, y, size = rng.uniform(-2.4, 2.4), -rng.uniform(0.28, 0.95), rng.uniform(0.04, 0.1)
        if view.shows(x, 0.4):
            for dx, dy, r in ((-1.3, 0.1, 0.55), (-0.5, -0.15, 0.95), (0.5, -0.05, 0.8), (1.4, 0.12, 0.5)):
                px, py = camera.at(x + dx * size, y + dy * size)
                canvas.disc(px, py, r * size * camera.unit * 1.2, r * size * camera.unit * 0.75, cloud, line=0)


def _sun_of_story(view: View, hour: float) -> None:
    """Sun or moon where the hour has it in the panel, wherever the camera looks; outlined, for print without tones."""
    canvas, light = view.canvas, view.light
    across, down = sun_at(hour)
    x, y = across * canvas.width, down * min(canvas.height, view.camera.horizon)
    size = 0.1 * min(canvas.width, canvas.height)
    moon = light.name == "night"
    if not moon:
        canvas.disc(x, y, size * 1.35, size * 1.35, mix(light.sky_low, (255, 240, 190), 0.45), line=0)
    canvas.disc(x, y, size, size, (250, 240, 200) if moon else (255, 232, 150), line=canvas.line * 0.6)


def rain(view: View) -> None:
    """Slanted strokes over the finished place, on the plane of what they cross."""
    canvas, rng = view.canvas, view.own()
    for _ in range(90):
        x, y, length = rng.uniform(0, canvas.width), rng.uniform(-40, canvas.height), rng.uniform(0.03, 0.08)
        dy = length * canvas.height
        canvas.tint([(x, y), (x - dy * 0.3, y + dy)], (240, 246, 250), max(1.0, canvas.line * 0.5))


def ground(view: View, near: Colour, far: Colour, kind: str = "floor") -> None:
    """The floor from the horizon to the bottom of the panel, in bands that grow towards the viewer."""
    canvas, camera = view.canvas, view.camera
    view.floor.begin(canvas, kind)
    if camera.horizon >= canvas.height:
        return
    deep = canvas.height - camera.horizon
    edges = [0.0, 0.06, 0.18, 0.38, 0.68, 1.0]
    for index, (top, bottom) in enumerate(pairwise(edges)):
        y0, y1 = camera.horizon + deep * top, camera.horizon + deep * bottom
        canvas.box(0, y0, canvas.width, y1 + 1, mix(far, near, index / 4), line=0)
    canvas.stroke([(0, camera.horizon), (canvas.width, camera.horizon)], canvas.line * 0.6)


def tufts(view: View, colour: Colour, count: int = 40) -> None:
    """Grass blades or pebbles strewn over the ground, larger towards the viewer; part of the floor."""
    canvas, camera, rng = view.canvas, view.camera, view.own()
    for _ in range(count):
        x, y = rng.uniform(-2, 2), rng.uniform(0.02, 0.55)
        size = (0.006 + 0.05 * y) * camera.unit
        px, py = camera.at(x, y)
        if view.shows(x, 0.05) and py < canvas.height:
            canvas.stroke(
                [(px - size * 0.5, py - size), (px, py), (px + size * 0.6, py - size * 0.9)], canvas.line * 0.6, colour
            )


def ridge(
    view: View, base: float, height: float, colour: Colour, depth: float, *, pieces: int = 14, sharp: bool = False
) -> None:
    """A range of hills or mountains along the horizon."""
    rng = view.own()
    tops = [(-3.0 + 6.0 * i / pieces, base - height * rng.uniform(0.25, 1.0)) for i in range(pieces + 1)]
    view.canvas.begin("hills", depth)
    line = view.camera.many(tops)
    if not sharp:
        line = _eased(line)
    bottom = view.camera.horizon + 2
    view.canvas.polygon([(line[0][0], bottom), *line, (line[-1][0], bottom)], colour, line=view.canvas.line * 0.6)
    if sharp:  # snow on the peaks
        snow = mix(colour, (255, 255, 255), 0.7)
        for (ax, ay), (x, y), (bx, by) in zip(line, line[1:], line[2:], strict=False):
            if y < ay and y < by:
                left, right = (x + (ax - x) * 0.25, y + (ay - y) * 0.25), (x + (bx - x) * 0.25, y + (by - y) * 0.25)
                low = max(left[1], right[1])
                view.canvas.polygon([(x, y), left, (x - (x - left[0]) * 0.3, low * 0.4 + y * 0.6), right], snow, line=0)


def tree(view: View, x: float, foot: float, size: float, leaf: Colour, *, pine: bool = False) -> None:
    """A tree with its foot at world (x, foot)."""
    canvas, camera, rng = view.canvas, view.camera, view.own()
    if not view.shows(x, 0.5 * size):
        return
    px, py = camera.at(x, foot)
    distance = view.floor.depth(py)
    unit = size * camera.unit
    canvas.dim_ellipse(px, py, 0.3 * unit, 0.05 * unit, 60)
    canvas.begin("tree", distance)
    wood = view.light.on((112, 80, 58), distance * 0.8)
    leaf = view.light.on(leaf, distance * 0.8)
    line = canvas.line * (0.5 + 0.5 * (1 - distance))
    trunk = [
        (px - 0.07 * unit, py),
        (px - 0.05 * unit, py - 0.6 * unit),
        (px + 0.05 * unit, py - 0.6 * unit),
        (px + 0.08 * unit, py),
    ]
    canvas.polygon(trunk, wood, line=line)
    if pine:
        for step in range(3):
            y, w = py - (0.25 + 0.28 * step) * unit, (0.34 - 0.08 * step) * unit
            canvas.polygon([(px - w, y), (px, y - 0.5 * unit), (px + w, y)], shade(leaf, 0.85 + 0.1 * step), line=line)
            canvas.polygon(
                [(px, y - 0.5 * unit), (px + w, y), (px + w * 0.3, y)], shade(leaf, 0.72 + 0.1 * step), line=0
            )
        return
    wobble = [rng.uniform(0.85, 1.15) for _ in range(9)]
    around = (
        (-0.3, -0.5),
        (-0.42, -0.75),
        (-0.3, -1.02),
        (-0.05, -1.14),
        (0.22, -1.05),
        (0.4, -0.8),
        (0.34, -0.54),
        (0.12, -0.44),
        (-0.1, -0.44),
    )
    crown = [(px + dx * w * unit, py + dy * unit * (0.9 + 0.1 * w)) for (dx, dy), w in zip(around, wobble, strict=True)]
    canvas.shape(crown, shade(leaf, 0.84), line=line)
    canvas.shape(
        [(px + (cx - px) * 0.82 - 0.05 * unit, cy * 0.86 + (py - 0.85 * unit) * 0.14) for cx, cy in crown], leaf, line=0
    )
    canvas.disc(px - 0.14 * unit, py - 0.92 * unit, 0.13 * unit, 0.09 * unit, shade(leaf, 1.2), line=0)


def house(view: View, x: float, foot: float, width: float, height: float, wall: Colour, *, lit: float) -> None:
    """A building front standing at world (x, foot): windows, a door or a shop, a roof."""
    canvas, camera, rng = view.canvas, view.camera, view.own()
    if not view.shows(x, width):
        return
    style, shop = rng.randrange(3), rng.random() < 0.45 and height > 0.3
    awning = hsv(rng.random(), 0.6, 0.85)
    x0, y1 = camera.at(x - width / 2, foot)
    x1, y0 = camera.at(x + width / 2, foot - height)
    unit = camera.unit
    distance = view.floor.depth(y1)
    canvas.begin("building", distance)
    wall = view.light.on(wall, distance * 0.6)
    line = canvas.line * (0.5 + 0.4 * (1 - distance))
    canvas.box(x0, y0, x1, y1, wall, line=line)
    roof = shade(wall, 0.62)
    if style == 0:
        canvas.polygon(
            [(x0 - 0.03 * unit, y0), ((x0 + x1) / 2, y0 - 0.16 * unit), (x1 + 0.03 * unit, y0)], roof, line=line
        )
    elif style == 1:
        canvas.box(x0 - 0.02 * unit, y0 - 0.03 * unit, x1 + 0.02 * unit, y0 + 0.01 * unit, roof, line=line)
    else:
        canvas.box((x0 + x1) / 2 - 0.03 * unit, y0 - 0.09 * unit, (x0 + x1) / 2 + 0.05 * unit, y0, roof, line=line)
        canvas.box(x0 - 0.01 * unit, y0 - 0.02 * unit, x1 + 0.01 * unit, y0, roof, line=line)
    columns, rows = max(2, round(width / 0.12)), max(2, round(height / 0.15))
    glass, warm = view.light.on((120, 158, 184), distance * 0.6), (255, 226, 132)
    cell_w, cell_h = (x1 - x0) / columns, (y1 - y0) / rows
    arched = rng.random() < 0.3
    for row in range(rows):
        for column in range(columns):
            on = rng.random() < lit
            wx, wy = x0 + cell_w * (column + 0.28), y0 + cell_h * (row + 0.25)
            low_floor = row == rows - 1
            outside = wx > canvas.width or wx + cell_w < 0 or wy > canvas.height or wy + cell_h < 0
            if outside or (low_floor and (shop or column == columns // 2)):
                continue
            canvas.box(wx, wy, wx + cell_w * 0.46, wy + cell_h * 0.52, warm if on else glass, line=line * 0.6)
            if arched:
                canvas.disc(
                    wx + cell_w * 0.23, wy, cell_w * 0.23, cell_h * 0.12, warm if on else glass, line=line * 0.6
                )
            else:
                canvas.box(
                    wx - cell_w * 0.05,
                    wy + cell_h * 0.52,
                    wx + cell_w * 0.51,
                    wy + cell_h * 0.58,
                    shade(wall, 1.3),
                    line=0,
                )
    door = x0 + cell_w * (columns // 2 + 0.3)
    canvas.box(door, y1 - cell_h * 0.8, door + cell_w * 0.5, y1, shade(awning, 0.6), line=line * 0.7)
    if shop:
        top = y1 - cell_h * 0.95
        for i in range(2 * columns):
            a, b = x0 + (x1 - x0) * i / (2 * columns), x0 + (x1 - x0) * (i + 1) / (2 * columns)
            colour = view.light.on(awning if i % 2 else (248, 244, 236), distance * 0.5)
            canvas.polygon([(a, top), (b, top), (b, top + cell_h * 0.3), (a, top + cell_h * 0.3)], colour, line=0)
        canvas.stroke([(x0, top + cell_h * 0.3), (x1, top + cell_h * 0.3)], line * 0.7)


def foreground(view: View, kind: str, side: int, share: float = 0.3) -> None:
    """Something close to the viewer at one side or along the bottom, in front of everybody.

    Args:
        view: the scene.
        kind: "leaves", "rail", "table" or "post".
        side: -1 left, 1 right.
        share: how far it reaches into the panel.
    """
    canvas, rng = view.canvas, view.rng
    w, h = canvas.width, canvas.height
    canvas.begin(kind, 0.03)
    edge = 0 if side < 0 else w
    if kind == "leaves":
        for _ in range(8):
            x, y = edge - side * rng.uniform(0, share * 0.6) * w, rng.uniform(0.62, 1.02) * h
            r = rng.uniform(0.06, 0.13) * h
            colour = view.light.on(hsv(rng.uniform(0.25, 0.38), 0.5, rng.uniform(0.3, 0.5)))
            leaf = [
                (x - r, y),
                (x - r * 0.4, y - r),
                (x + r * 0.3, y - r * 1.15),
                (x + r, y - r * 0.2),
                (x + r * 0.5, y + r),
                (x - r * 0.6, y + r),
            ]
            canvas.shape(leaf, colour)
            canvas.stroke([(x - r * 0.5, y + r * 0.5), (x + r * 0.3, y - r * 0.6)], canvas.line * 0.5)
    elif kind == "rail":
        top = (1 - share * 0.6) * h
        colour = view.light.on((94, 84, 96))
        for i in range(9):
            x = w * (i + 0.5) / 9
            canvas.limb([(x, top), (x, h + 9)], 0.012 * h + 2, colour)
        canvas.limb([(-9, top), (w + 9, top)], 0.03 * h, colour)
    elif kind == "table":
        top = (1 - share * 0.5) * h
        wood = (170, 118, 78)
        canvas.polygon(
            [
                (edge - side * 0.66 * w, top),
                (edge + side * 9, top),
                (edge + side * 9, h + 9),
                (edge - side * 0.72 * w, h + 9),
            ],
            wood,
        )
        for dx in (0.3, 0.5):
            cup, colour = edge - side * dx * w, hsv(rng.random(), 0.5, 0.9)
            canvas.disc(cup + 0.03 * h, top - 0.03 * h, 0.02 * h, 0.02 * h, None)
            canvas.box(cup - 0.03 * h, top - 0.07 * h, cup + 0.03 * h, top + 0.01 * h, colour)
    else:
        x = edge - side * share * 0.3 * w
        canvas.limb([(x, -9), (x, h + 9)], 0.07 * h, view.light.on((82, 74, 84)))
        canvas.limb([(x - 0.015 * h, -9), (x - 0.015 * h, h + 9)], 0.02 * h, view.light.on((112, 104, 112)), line=0)


def _eased(points: list[Point]) -> list[Point]:
    """Rounder tops: three points between two neighbours on a cosine."""
    out: list[Point] = []
    for (x0, y0), (x1, y1) in pairwise(points):
        for share, ease in ((0.0, 0.0), (0.25, 0.147), (0.5, 0.5), (0.75, 0.853)):
            out.append((x0 + (x1 - x0) * share, y0 + (y1 - y0) * ease))
    out.append(points[-1])
    return out
