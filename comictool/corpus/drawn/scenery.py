"""Backgrounds in depth layers. Each place is drawn from far to near and says how deep its floor is at every row.

A place keeps its look wherever the camera stands: its streams come from the comic and the place, and the camera only
shifts and zooms. World coordinates: x to the right, y down, the horizon at 0, one unit = the panel's height at zoom 1.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from comictool.corpus.drawn.canvas import Canvas, Point
from comictool.corpus.drawn.colours import Colour, Light, hsv, mix, shade


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

    def depth(self, row: float) -> float:
        """Depth where something stands with its feet at a row (fine pixels); rows below the panel go on nearer."""
        share = (row - self.horizon) / max(1.0, self.bottom - self.horizon)
        return max(0.02, self.far + (self.near - self.far) * share)

    def begin(self, canvas: Canvas, kind: str) -> None:
        """Start the layer of the floor itself."""
        slope = (self.near - self.far) / max(1.0, self.bottom - self.horizon)
        canvas.begin(kind, self.far - slope * self.horizon, slope)


@dataclass
class View:
    """Everything a place needs to draw itself."""

    canvas: Canvas
    rng: random.Random
    light: Light
    camera: Camera
    floor: Floor
    smooth: bool  # many steps in the sky instead of few flat bands

    @property
    def left(self) -> float:
        """World x at the left edge, a little beyond."""
        return self.camera.x - self.camera.middle / self.camera.unit - 0.1

    @property
    def right(self) -> float:
        """World x at the right edge, a little beyond."""
        return self.camera.x + (self.canvas.width - self.camera.middle) / self.camera.unit + 0.1

    def shows(self, x: float, reach: float) -> bool:
        """Whether something of half width `reach` at world x can be seen."""
        return self.left - reach < x < self.right + reach


def draw_place(setting: str, view: View) -> None:
    """Draw a place by name, one of `SETTINGS`."""
    SETTINGS[setting](view)


def sky(view: View, *, stars: bool = False) -> None:
    """Bands of colour down to the horizon; sun, moon, clouds, stars."""
    canvas, light, camera = view.canvas, view.light, view.camera
    canvas.begin("sky", 1.0)
    steps = 28 if view.smooth else 4
    low = min(canvas.height, max(8.0, camera.horizon + 4))
    for step in range(steps):
        y0, y1 = low * step / steps, low * (step + 1) / steps
        canvas.box(0, y0, canvas.width, y1, mix(light.sky_top, light.sky_low, (step + 0.5) / steps), line=0)
    if light.name == "night" or stars:
        for _ in range(46):
            x, y = view.rng.uniform(-2.5, 2.5), -view.rng.uniform(0.05, 1.2)
            size = view.rng.choice((1.4, 1.8, 2.6)) * max(0.6, canvas.line / 3)
            if view.shows(x, 0):
                canvas.disc(*camera.at(x, y), size, size, (250, 246, 214), line=0)
        x, y = camera.at(view.rng.uniform(-0.8, 0.8), -0.55)
        size = 0.09 * camera.unit
        canvas.disc(x, y, size, size, (250, 240, 200), line=0)
        canvas.disc(
            x + size * 0.4, y - size * 0.2, size * 0.85, size * 0.85, mix(light.sky_top, light.sky_low, 0.4), line=0
        )
        return
    if light.name in ("morning", "dusk"):
        x, y = camera.at(view.rng.uniform(-0.9, 0.9), -0.14)
        canvas.disc(x, y, 0.1 * camera.unit, 0.1 * camera.unit, (255, 226, 140), line=0)
    cloud = mix(light.sky_low, (255, 255, 255), 0.5)
    for _ in range(7):
        x, y, size = view.rng.uniform(-2.4, 2.4), -view.rng.uniform(0.3, 0.9), view.rng.uniform(0.05, 0.11)
        if view.shows(x, 0.4):
            for dx, r in ((-1.2, 0.6), (-0.4, 0.95), (0.5, 0.8), (1.3, 0.5)):
                px, py = camera.at(x + dx * size, y)
                canvas.disc(px, py, r * size * camera.unit * 1.3, r * size * camera.unit * 0.8, cloud, line=0)


def ground(view: View, near: Colour, far: Colour, kind: str = "floor") -> None:
    """The floor from the horizon to the bottom of the panel, in bands that grow towards the viewer."""
    canvas, camera = view.canvas, view.camera
    view.floor.begin(canvas, kind)
    if camera.horizon >= canvas.height:
        return
    deep = canvas.height - camera.horizon
    edges = [0.0, 0.06, 0.18, 0.38, 0.68, 1.0]
    for index in range(len(edges) - 1):
        y0, y1 = camera.horizon + deep * edges[index], camera.horizon + deep * edges[index + 1]
        canvas.box(0, y0, canvas.width, y1 + 1, mix(far, near, index / 4), line=0)
    canvas.stroke([(0, camera.horizon), (canvas.width, camera.horizon)], canvas.line * 0.6)


def ridge(
    view: View, base: float, height: float, colour: Colour, depth: float, *, pieces: int = 14, sharp: bool = False
) -> None:
    """A range of hills or mountains along the horizon."""
    tops = [(-3.0 + 6.0 * i / pieces, base - height * view.rng.uniform(0.25, 1.0)) for i in range(pieces + 1)]
    view.canvas.begin("hills", depth)
    line = view.camera.many(tops)
    if not sharp:
        line = _eased(line)
    bottom = view.camera.horizon + 2
    view.canvas.polygon([(line[0][0], bottom), *line, (line[-1][0], bottom)], colour, line=view.canvas.line * 0.6)


def tree(view: View, x: float, foot: float, size: float, leaf: Colour, *, pine: bool = False) -> None:
    """A tree with its foot at world (x, foot)."""
    canvas, camera = view.canvas, view.camera
    px, py = camera.at(x, foot)
    distance = view.floor.depth(py)
    canvas.begin("tree", distance)
    unit = size * camera.unit
    wood = view.light.on((112, 80, 58), distance * 0.8)
    leaf = view.light.on(leaf, distance * 0.8)
    line = canvas.line * (0.5 + 0.5 * (1 - distance))
    canvas.polygon(
        [
            (px - 0.07 * unit, py),
            (px - 0.05 * unit, py - 0.6 * unit),
            (px + 0.05 * unit, py - 0.6 * unit),
            (px + 0.08 * unit, py),
        ],
        wood,
        line=line,
    )
    if pine:
        for step in range(3):
            y, w = py - (0.25 + 0.28 * step) * unit, (0.34 - 0.08 * step) * unit
            canvas.polygon([(px - w, y), (px, y - 0.5 * unit), (px + w, y)], shade(leaf, 0.85 + 0.1 * step), line=line)
        return
    wobble = [view.rng.uniform(0.85, 1.15) for _ in range(9)]
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
    canvas.shape(crown, leaf, line=line)
    canvas.disc(px - 0.12 * unit, py - 0.88 * unit, 0.16 * unit, 0.12 * unit, shade(leaf, 1.18), line=0)


def house(
    view: View, x: float, foot: float, width: float, height: float, wall: Colour, *, lit: float, style: int
) -> None:
    """A building front with windows, standing at world (x, foot)."""
    canvas, camera = view.canvas, view.camera
    x0, y1 = camera.at(x - width / 2, foot)
    x1, y0 = camera.at(x + width / 2, foot - height)
    distance = view.floor.depth(y1)
    canvas.begin("building", distance)
    wall = view.light.on(wall, distance * 0.7)
    line = canvas.line * (0.5 + 0.4 * (1 - distance))
    canvas.box(x0, y0, x1, y1, wall, line=line)
    roof = shade(wall, 0.62)
    if style == 0:
        canvas.polygon(
            [(x0 - 0.03 * camera.unit, y0), ((x0 + x1) / 2, y0 - 0.16 * camera.unit), (x1 + 0.03 * camera.unit, y0)],
            roof,
            line=line,
        )
    elif style == 1:
        canvas.box(
            x0 - 0.02 * camera.unit,
            y0 - 0.03 * camera.unit,
            x1 + 0.02 * camera.unit,
            y0 + 0.01 * camera.unit,
            roof,
            line=line,
        )
    else:
        canvas.box(
            (x0 + x1) / 2 - 0.03 * camera.unit,
            y0 - 0.09 * camera.unit,
            (x0 + x1) / 2 + 0.05 * camera.unit,
            y0,
            roof,
            line=line,
        )
    columns, rows = max(2, round(width / 0.11)), max(2, round(height / 0.15))
    glass, warm = view.light.on((120, 158, 184), distance * 0.6), (255, 226, 132)
    cell_w, cell_h = (x1 - x0) / columns, (y1 - y0) / rows
    for row in range(rows):
        for column in range(columns):
            on = view.rng.random() < lit
            wx, wy = x0 + cell_w * (column + 0.28), y0 + cell_h * (row + 0.25)
            if wx > canvas.width or wx + cell_w < 0 or wy > canvas.height or wy + cell_h < 0:
                continue
            canvas.box(wx, wy, wx + cell_w * 0.46, wy + cell_h * 0.52, warm if on else glass, line=line * 0.6)


def city(view: View) -> None:
    """A street: skyline, house fronts, pavement, lamps."""
    sky(view)
    rng, canvas, camera = view.rng, view.canvas, view.camera
    lit = 0.6 if view.light.name in ("night", "dusk") else 0.06
    canvas.begin("skyline", 0.96)
    x = -2.6
    far = view.light.on((128, 132, 150), 0.9)
    while x < 2.6:
        width, height = rng.uniform(0.14, 0.3), rng.uniform(0.3, 0.75)
        if view.shows(x, 0.3):
            canvas.box(*camera.at(x, -height), *camera.at(x + width, 0.02), far, line=canvas.line * 0.4)
        x += width
    base = rng.random()
    x = -2.5
    number = 0
    while x < 2.5:
        width = rng.uniform(0.3, 0.55)
        height, style = rng.uniform(0.35, 0.85), rng.randrange(3)
        wall = hsv(base + 0.09 * (number % 4), rng.uniform(0.18, 0.45), rng.uniform(0.7, 0.92))
        if rng.random() < 0.85 and view.shows(x + width / 2, width):
            house(view, x + width / 2, 0.03, width * 0.94, height, wall, lit=lit, style=style)
        x += width
        number += 1
    ground(view, view.light.on((150, 146, 150)), view.light.on((186, 180, 176)), "street")
    kerb = camera.horizon + (canvas.height - camera.horizon) * 0.2
    canvas.stroke([(0, kerb), (canvas.width, kerb)], canvas.line * 0.6)
    for lamp in (-1.7, -0.75, 0.35, 1.3):
        x = lamp + rng.uniform(-0.1, 0.1)
        if view.shows(x, 0.1):
            px, py = camera.at(x, 0.08)
            canvas.begin("lamp", view.floor.depth(py))
            canvas.limb(
                [(px, py), (px, py - 0.6 * camera.unit)],
                max(2.0, 0.018 * camera.unit),
                (70, 74, 84),
                line=canvas.line * 0.5,
            )
            canvas.disc(px, py - 0.63 * camera.unit, 0.04 * camera.unit, 0.05 * camera.unit, (255, 240, 180))


def forest(view: View) -> None:
    """Woods: a far ridge, two rows of trees, a clearing."""
    sky(view)
    rng = view.rng
    green = hsv(rng.uniform(0.22, 0.42), rng.uniform(0.35, 0.6), rng.uniform(0.5, 0.7))
    ridge(view, 0.02, 0.4, view.light.on(shade(green, 0.9), 0.9), 0.95)
    ground(
        view,
        view.light.on(mix(green, (190, 180, 110), 0.35)),
        view.light.on(mix(green, (220, 214, 150), 0.5), 0.4),
        "grass",
    )
    pine = rng.random() < 0.5
    for foot, size, count in ((0.03, 0.5, 17), (0.09, 0.75, 10)):
        for i in range(count):
            x = -2.4 + 4.8 * (i + rng.uniform(0.1, 0.9)) / count
            tint = shade(green, rng.uniform(0.75, 1.15))
            scale = size * rng.uniform(0.8, 1.2)
            if view.shows(x, 0.5):
                tree(view, x, foot, scale, tint, pine=pine)


def hills(view: View) -> None:
    """Open country with mountains, a lone house and a path."""
    sky(view)
    rng, camera = view.rng, view.camera
    green = hsv(rng.uniform(0.18, 0.36), 0.45, 0.74)
    ridge(view, 0.0, 0.5, view.light.on((134, 142, 168), 0.8), 0.97, pieces=9, sharp=True)
    ridge(view, 0.01, 0.24, view.light.on(shade(green, 0.85), 0.6), 0.93)
    ground(view, view.light.on(green), view.light.on(shade(green, 1.3), 0.4), "meadow")
    view.canvas.polygon(
        camera.many([(0.1, 0.0), (0.16, 0.0), (0.1, 0.2), (0.5, 1.2), (-0.4, 1.2), (-0.02, 0.2)]),
        view.light.on((226, 204, 156)),
        line=0,
    )
    if view.shows(0.7, 0.3):
        house(view, 0.7, 0.05, 0.3, 0.2, (238, 214, 186), lit=0.5, style=0)
    for _ in range(6):
        x, foot = rng.uniform(-2, 2), rng.uniform(0.04, 0.14)
        if view.shows(x, 0.4):
            tree(view, x, foot, 0.3 + foot * 2, shade(green, 0.8))


def harbour(view: View) -> None:
    """A quay: sea with waves, a lighthouse, boats, planks."""
    sky(view)
    rng, canvas, camera, light = view.rng, view.canvas, view.camera, view.light
    ridge(view, 0.01, 0.16, light.on((120, 136, 140), 0.9), 0.97)
    sea = light.on((70, 140, 170))
    ground(view, sea, light.on((130, 186, 200), 0.6), "sea")
    for _ in range(34):
        x, y = rng.uniform(-2, 2), rng.uniform(0.02, 0.22)
        px, py = camera.at(x, y)
        if view.shows(x, 0.1):
            canvas.stroke(
                [(px, py), (px + 0.06 * camera.unit, py)], max(1.0, canvas.line * 0.5), mix(sea, (255, 255, 255), 0.6)
            )
    x = rng.uniform(-0.9, 0.9)
    if view.shows(x, 0.4):
        px, py = camera.at(x, 0.015)
        unit = camera.unit
        canvas.begin("lighthouse", view.floor.depth(py))
        for step in range(4):
            w0, w1 = 0.07 - 0.01 * step, 0.06 - 0.01 * step
            y0, y1 = py - 0.12 * step * unit, py - 0.12 * (step + 1) * unit
            canvas.polygon([(px - w0 * unit, y0), (px - w1 * unit, y1), (px + w1 * unit, y1), (px + w0 * unit, y0)],
                           light.on((232, 84, 70) if step % 2 == 0 else (246, 240, 230), 0.3), line=canvas.line * 0.6)  # fmt: skip
        canvas.box(
            px - 0.035 * unit,
            py - 0.56 * unit,
            px + 0.035 * unit,
            py - 0.48 * unit,
            (255, 240, 160),
            line=canvas.line * 0.6,
        )
        canvas.polygon(
            [(px - 0.05 * unit, py - 0.56 * unit), (px, py - 0.63 * unit), (px + 0.05 * unit, py - 0.56 * unit)],
            (190, 60, 56),
            line=canvas.line * 0.6,
        )
    for _ in range(4):
        x, y = rng.uniform(-1.8, 1.8), rng.uniform(0.05, 0.16)
        sail = hsv(rng.random(), 0.5, 0.95)
        if view.shows(x, 0.25):
            size = (0.5 + 3 * y) * 0.5
            canvas.begin("boat", view.floor.depth(camera.at(x, y)[1]))
            canvas.polygon(
                camera.many(
                    [
                        (x - 0.2 * size, y - 0.07 * size),
                        (x + 0.22 * size, y - 0.07 * size),
                        (x + 0.13 * size, y),
                        (x - 0.13 * size, y),
                    ]
                ),
                light.on((140, 90, 60)),
            )
            canvas.polygon(
                camera.many(
                    [
                        (x + 0.02 * size, y - 0.1 * size),
                        (x + 0.02 * size, y - 0.5 * size),
                        (x + 0.2 * size, y - 0.1 * size),
                    ]
                ),
                light.on(sail),
            )
    quay = camera.at(0, 0.26)[1]
    if quay < canvas.height:
        wood = light.on((182, 144, 104))
        view.floor.begin(canvas, "quay")
        canvas.box(-8, quay, canvas.width + 8, canvas.height + 8, wood)
        for i in range(-12, 13):
            canvas.stroke(
                [camera.at(i * 0.2, 0.26), camera.at(camera.x + (i * 0.2 - camera.x) * 2.4, 1.0)],
                canvas.line * 0.5,
                shade(wood, 0.7),
            )


def desert(view: View) -> None:
    """Dunes, table mountains, cacti."""
    sky(view)
    rng, canvas, camera, light = view.rng, view.canvas, view.camera, view.light
    sand = hsv(rng.uniform(0.05, 0.12), 0.4, 0.92)
    canvas.begin("mountains", 0.95)
    for i in range(6):
        x, w, h = -2.2 + i * 0.8 + rng.uniform(-0.2, 0.2), rng.uniform(0.14, 0.3), rng.uniform(0.12, 0.4)
        if view.shows(x, 0.6):
            canvas.polygon(
                camera.many([(x - w * 1.4, 0.01), (x - w, -h), (x + w, -h * 0.96), (x + w * 1.5, 0.01)]),
                light.on((196, 110, 84), 0.5),
                line=canvas.line * 0.6,
            )
    ground(view, light.on(sand), light.on(shade(sand, 1.2), 0.3), "sand")
    for _ in range(5):
        x, y = rng.uniform(-2, 2), rng.uniform(0.04, 0.2)
        if view.shows(x, 0.3):
            px, py = camera.at(x, y)
            unit = (0.4 + 2 * y) * camera.unit
            canvas.begin("cactus", view.floor.depth(py))
            green = light.on((94, 150, 92), 0.2)
            canvas.limb(
                [(px - 0.14 * unit, py - 0.36 * unit), (px - 0.14 * unit, py - 0.2 * unit), (px, py - 0.2 * unit)],
                0.06 * unit,
                green,
            )
            canvas.limb(
                [(px + 0.15 * unit, py - 0.44 * unit), (px + 0.15 * unit, py - 0.28 * unit), (px, py - 0.28 * unit)],
                0.06 * unit,
                green,
            )
            canvas.limb([(px, py), (px, py - 0.5 * unit)], 0.1 * unit, green)


def night(view: View) -> None:
    """Under the stars: black hills, a few pines."""
    sky(view, stars=True)
    rng = view.rng
    dark = view.light.on((52, 70, 92))
    ridge(view, 0.02, 0.3, shade(dark, 1.25), 0.95)
    ridge(view, 0.03, 0.16, dark, 0.9)
    ground(view, view.light.on((70, 92, 96)), view.light.on((84, 108, 116), 0.3), "meadow")
    for _ in range(9):
        x, foot, size = rng.uniform(-2, 2), rng.uniform(0.03, 0.12), rng.uniform(0.3, 0.55)
        if view.shows(x, 0.4):
            tree(view, x, foot, size, (46, 84, 76), pine=True)


def interior(view: View) -> None:
    """A room: wall with window, pictures and shelf; floor; table or sofa."""
    rng, canvas, camera, light = view.rng, view.canvas, view.camera, view.light
    wall = hsv(rng.random(), rng.uniform(0.12, 0.4), rng.uniform(0.74, 0.95))
    if light.name == "night":
        wall = mix(wall, (60, 62, 110), 0.45)
    canvas.begin("wall", view.floor.far)
    canvas.box(-8, -8, canvas.width + 8, camera.horizon + 4, wall, line=0)
    paper = rng.randrange(3)
    stripe = shade(wall, 0.93)
    for i in range(-20, 20):
        if paper == 0 and view.shows(i * 0.14, 0.1):
            canvas.box(*camera.at(i * 0.14, -1.6), *camera.at(i * 0.14 + 0.05, 0.0), stripe, line=0)
        elif paper == 1 and view.shows(i * 0.14, 0.1):
            for row in range(8):
                canvas.disc(
                    *camera.at(i * 0.14 + 0.07 * (row % 2), -0.1 - row * 0.15),
                    0.012 * camera.unit,
                    0.012 * camera.unit,
                    stripe,
                    line=0,
                )
    wood = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.3, 0.55), rng.uniform(0.45, 0.75))
    for x in (-1.15, 0.35, 1.7):
        if view.shows(x, 0.3):
            _window(view, x, wood)
    for _ in range(4):
        x, y = rng.uniform(-2, 2), -rng.uniform(0.45, 0.7)
        colour = hsv(rng.random(), 0.5, 0.8)
        if view.shows(x, 0.2) and min(abs(x - w) for w in (-1.15, 0.35, 1.7)) > 0.34:
            canvas.begin("picture", view.floor.far - 0.004)
            canvas.box(*camera.at(x - 0.1, y - 0.08), *camera.at(x + 0.1, y + 0.08), shade(wood, 1.2))
            canvas.box(*camera.at(x - 0.08, y - 0.06), *camera.at(x + 0.08, y + 0.06), colour, line=canvas.line * 0.5)
    shelf = rng.uniform(-0.6, -0.3)
    if view.shows(shelf, 0.4):
        _bookcase(view, shelf, wood)
    board = light.on((196, 156, 116)) if light.name != "night" else (112, 96, 100)
    ground(view, board, shade(board, 0.82))
    for i in range(-14, 15):
        canvas.stroke(
            [camera.at(i * 0.16, 0.0), camera.at(camera.x + (i * 0.16 - camera.x) * 3.2, 1.0)],
            canvas.line * 0.4,
            shade(board, 0.75),
        )
    canvas.begin("skirting", view.floor.far - 0.002)
    canvas.box(*camera.at(-4, -0.04), *camera.at(4, 0.01), shade(wood, 1.3), line=canvas.line * 0.6)
    for x in (-0.8, 1.1):
        if view.shows(x, 0.4):
            _sofa(view, x, hsv(rng.random(), 0.5, 0.75))


def plain(view: View) -> None:
    """No place at all: a flat colour, a fade, or lines that rush to the middle."""
    canvas, rng = view.canvas, view.rng
    canvas.begin("backdrop", 1.0)
    colour = hsv(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.85, 1.0))
    canvas.box(-8, -8, canvas.width + 8, canvas.height + 8, colour, line=0)
    kind = rng.randrange(4)
    if kind == 0:
        cx, cy = canvas.width * 0.5, canvas.height * 0.5
        reach = canvas.width + canvas.height
        for _ in range(46):
            angle = rng.uniform(0, 6.2832)
            dx, dy = _unit(angle)
            start = rng.uniform(0.3, 0.42) * min(canvas.width, canvas.height) * 1.2
            wide = rng.uniform(3, 12)
            canvas.polygon([(cx + dx * start, cy + dy * start), (cx + dx * reach - dy * wide * 3, cy + dy * reach + dx * wide * 3),
                            (cx + dx * reach + dy * wide * 3, cy + dy * reach - dx * wide * 3)], shade(colour, 0.55), line=0)  # fmt: skip
    elif kind == 1:
        for i in range(10):
            y = canvas.height * (0.5 + 0.05 * i)
            canvas.box(-8, y, canvas.width + 8, canvas.height + 8, mix(colour, shade(colour, 0.7), i / 9), line=0)
    elif kind == 2:
        for _ in range(26):
            y = rng.uniform(0, canvas.height)
            canvas.stroke([(0, y), (canvas.width, y)], rng.uniform(1, 4), shade(colour, 0.7))


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
        for _ in range(7):
            x, y = edge - side * rng.uniform(0, share * 0.5) * w, rng.uniform(0.62, 1.02) * h
            r = rng.uniform(0.06, 0.13) * h
            colour = view.light.on(hsv(rng.uniform(0.25, 0.38), 0.5, rng.uniform(0.3, 0.5)))
            canvas.shape(
                [
                    (x - r, y),
                    (x - r * 0.4, y - r),
                    (x + r * 0.3, y - r * 1.15),
                    (x + r, y - r * 0.2),
                    (x + r * 0.5, y + r),
                    (x - r * 0.6, y + r),
                ],
                colour,
            )
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
        cup = edge - side * 0.34 * w
        canvas.box(cup - 0.03 * h, top - 0.07 * h, cup + 0.03 * h, top + 0.01 * h, hsv(rng.random(), 0.5, 0.9))
    else:
        x = edge - side * share * 0.3 * w
        canvas.limb([(x, -9), (x, h + 9)], 0.07 * h, view.light.on((82, 74, 84)))


def _window(view: View, x: float, wood: Colour) -> None:
    canvas, camera, light = view.canvas, view.camera, view.light
    canvas.begin("frame", view.floor.far - 0.004)
    canvas.box(*camera.at(x - 0.2, -0.74), *camera.at(x + 0.2, -0.26), shade(wood, 1.3))
    canvas.begin("outdoors", 1.0)
    canvas.box(
        *camera.at(x - 0.17, -0.71),
        *camera.at(x + 0.17, -0.29),
        mix(light.sky_top, light.sky_low, 0.4),
        line=canvas.line * 0.6,
    )
    canvas.box(
        *camera.at(x - 0.17, -0.42), *camera.at(x + 0.17, -0.29), light.on((130, 160, 120), 0.6), line=canvas.line * 0.5
    )
    canvas.begin("frame", view.floor.far - 0.004)
    canvas.limb(
        [camera.at(x, -0.71), camera.at(x, -0.29)],
        max(2.0, 0.016 * camera.unit),
        shade(wood, 1.3),
        line=canvas.line * 0.4,
    )
    canvas.limb(
        [camera.at(x - 0.17, -0.5), camera.at(x + 0.17, -0.5)],
        max(2.0, 0.016 * camera.unit),
        shade(wood, 1.3),
        line=canvas.line * 0.4,
    )


def _bookcase(view: View, x: float, wood: Colour) -> None:
    canvas, camera, rng = view.canvas, view.camera, view.rng
    canvas.begin("bookcase", view.floor.far - 0.03)
    canvas.box(*camera.at(x - 0.2, -0.72), *camera.at(x + 0.2, 0.03), wood)
    for row in range(4):
        top, bottom = -0.68 + row * 0.175, -0.54 + row * 0.175
        canvas.box(*camera.at(x - 0.17, top), *camera.at(x + 0.17, bottom), shade(wood, 0.55), line=canvas.line * 0.5)
        at = x - 0.16
        while at < x + 0.1:
            thick, tall = rng.uniform(0.018, 0.04), rng.uniform(0.08, 0.125)
            canvas.box(
                *camera.at(at, bottom - tall),
                *camera.at(at + thick, bottom),
                hsv(rng.random(), 0.5, 0.8),
                line=canvas.line * 0.4,
            )
            at += thick + 0.004


def _sofa(view: View, x: float, colour: Colour) -> None:
    canvas, camera = view.canvas, view.camera
    foot = 0.1
    canvas.begin("sofa", view.floor.depth(camera.at(x, foot)[1]))
    canvas.box(*camera.at(x - 0.26, foot - 0.28), *camera.at(x + 0.26, foot - 0.04), shade(colour, 0.9))
    for side in (-1, 1):
        canvas.box(
            *camera.at(min(x + side * 0.24, x + side * 0.32), foot - 0.19),
            *camera.at(max(x + side * 0.24, x + side * 0.32), foot),
            colour,
        )
    canvas.box(*camera.at(x - 0.24, foot - 0.14), *camera.at(x + 0.24, foot - 0.02), shade(colour, 1.12))


def _eased(points: list[Point]) -> list[Point]:
    """Rounder tops: three points between two neighbours on a cosine."""
    out: list[Point] = []
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        for share, ease in ((0.0, 0.0), (0.25, 0.147), (0.5, 0.5), (0.75, 0.853)):
            out.append((x0 + (x1 - x0) * share, y0 + (y1 - y0) * ease))
    out.append(points[-1])
    return out


def _unit(angle: float) -> Point:
    import math

    return math.cos(angle), math.sin(angle)


SETTINGS: dict[str, Callable[[View], None]] = {
    "city": city,
    "forest": forest,
    "hills": hills,
    "harbour": harbour,
    "desert": desert,
    "night": night,
    "interior": interior,
    "plain": plain,
}
