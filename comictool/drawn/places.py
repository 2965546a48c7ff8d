"""Places outdoors, each drawn from far to near, and the table of all places."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from comictool.drawn.colours import hsv, mix, shade
from comictool.drawn.rooms import kitchen, parlour
from comictool.drawn.scenery import View, ground, house, rain, ridge, sky, tree, tufts


def draw_place(setting: str, view: View) -> None:
    """Draw a place by name, one of `SETTINGS`."""
    SETTINGS[setting](view)
    if view.light.name == "rain" and setting not in INDOORS:
        rain(view)


def city(view: View) -> None:
    """A street: skyline, house fronts, pavement, lamps."""
    sky(view)
    rng, canvas, camera = view.rng, view.canvas, view.camera
    lit = 0.6 if view.light.name in ("night", "dusk") else 0.06
    canvas.begin("skyline", 0.96)
    x = -2.6
    far = view.light.on((128, 132, 150), 0.9)
    while x < 2.6:
        width, height = rng.uniform(0.14, 0.3), rng.uniform(0.4, 0.95)
        if view.shows(x, 0.3):
            view.box(x, -height, x + width, 0.02, far, 0.4)
        x += width
    base = rng.random()
    x, number = -2.5, 0
    while x < 2.5:
        width, height, value = rng.uniform(0.3, 0.55), rng.uniform(0.3, 0.85), rng.uniform(0.7, 0.92)
        wall = hsv(base + 0.09 * (number % 4), rng.uniform(0.18, 0.45), value)
        if rng.random() < 0.85:
            house(view, x + width / 2, 0.03, width * 0.94, height, wall, lit=lit)
        else:
            tree(view, x + width / 2, 0.03, 0.4, hsv(0.3, 0.4, 0.6))
        x += width
        number += 1
    ground(view, view.light.on((150, 146, 150)), view.light.on((196, 190, 186)), "street")
    deep = canvas.height - camera.horizon
    kerb = camera.horizon + deep * 0.2
    canvas.box(-8, kerb, canvas.width + 8, kerb + deep * 0.03, view.light.on((214, 208, 200)), line=canvas.line * 0.5)
    for i in range(-9, 10):  # the dashes of the middle of the road run away to one point
        a, b = camera.at(i * 0.3, 0.36), camera.at(i * 0.3 + 0.14, 0.36)
        canvas.polygon(
            [a, b, (b[0] + 0.01 * camera.unit, b[1] + 0.02 * camera.unit), (a[0], a[1] + 0.02 * camera.unit)],
            view.light.on((236, 232, 220)),
            line=0,
        )
    for lamp in (-1.7, -0.75, 0.35, 1.3):
        x = lamp + rng.uniform(-0.1, 0.1)
        if view.shows(x, 0.1):
            px, py = camera.at(x, 0.08)
            canvas.begin("lamp", view.floor.depth(py))
            thick = max(2.0, 0.018 * camera.unit)
            canvas.limb([(px, py), (px, py - 0.6 * camera.unit)], thick, (70, 74, 84), line=canvas.line * 0.5)
            canvas.disc(px, py - 0.63 * camera.unit, 0.04 * camera.unit, 0.05 * camera.unit, (255, 240, 180))


def forest(view: View) -> None:
    """Woods: a far ridge, two rows of trees, a clearing."""
    sky(view)
    rng = view.rng
    green = hsv(rng.uniform(0.22, 0.42), rng.uniform(0.35, 0.6), rng.uniform(0.55, 0.72))
    ridge(view, 0.02, 0.4, view.light.on(shade(green, 0.9), 0.9), 0.95)
    near, far = mix(green, (190, 180, 110), 0.35), mix(green, (220, 214, 150), 0.5)
    ground(view, view.light.on(near), view.light.on(far, 0.4), "grass")
    tufts(view, view.light.on(shade(near, 0.72)))
    pine = rng.random() < 0.5
    for foot, size, count in ((0.03, 0.5, 17), (0.09, 0.75, 9)):
        for i in range(count):
            x = -2.4 + 4.8 * (i + rng.uniform(0.1, 0.9)) / count
            tint, scale, kind = shade(green, rng.uniform(0.75, 1.15)), size * rng.uniform(0.8, 1.2), rng.random() < 0.8
            tree(view, x, foot, scale, tint, pine=pine == kind)


def hills(view: View) -> None:
    """Open country with mountains, a lone house and a path."""
    sky(view)
    rng, camera, canvas = view.rng, view.camera, view.canvas
    green = hsv(rng.uniform(0.18, 0.36), 0.45, 0.76)
    ridge(view, 0.0, 0.5, view.light.on((134, 142, 168), 0.8), 0.97, pieces=9, sharp=True)
    ridge(view, 0.01, 0.24, view.light.on(shade(green, 0.85), 0.6), 0.93)
    ground(view, view.light.on(green), view.light.on(shade(green, 1.3), 0.4), "meadow")
    path = [(0.1, 0.0), (0.16, 0.0), (0.1, 0.2), (0.5, 1.2), (-0.4, 1.2), (-0.02, 0.2)]
    view.polygon(path, view.light.on((226, 204, 156)), 0)
    tufts(view, view.light.on(shade(green, 0.7)))
    petals = view.own()
    for _ in range(26):
        x, y, colour = petals.uniform(-2, 2), petals.uniform(0.05, 0.5), hsv(petals.random(), 0.55, 1.0)
        if view.shows(x, 0.05):
            size = (0.004 + 0.018 * y) * camera.unit
            canvas.disc(*camera.at(x, y), size, size * 0.8, colour, line=canvas.line * 0.35)
    house(view, 0.7, 0.05, 0.3, 0.2, (238, 214, 186), lit=0.5)
    for _ in range(6):
        x, foot = rng.uniform(-2, 2), rng.uniform(0.04, 0.14)
        tree(view, x, foot, 0.3 + foot * 2, shade(green, 0.8))


def harbour(view: View) -> None:
    """A quay: sea with waves, a lighthouse, boats, planks."""
    sky(view)
    rng, canvas, camera, light = view.rng, view.canvas, view.camera, view.light
    ridge(view, 0.01, 0.16, light.on((120, 136, 140), 0.9), 0.97)
    sea = light.on((70, 140, 170))
    ground(view, sea, light.on((130, 186, 200), 0.6), "sea")
    waves = view.own()
    for _ in range(40):
        x, y, long = waves.uniform(-2, 2), waves.uniform(0.015, 0.25), waves.uniform(0.03, 0.09)
        px, py = camera.at(x, y)
        if view.shows(x, 0.1):
            ends = [(px, py), (px + 0.3 * long * camera.unit, py - 2), (px + long * camera.unit, py)]
            canvas.stroke(ends, max(1.0, canvas.line * 0.6), mix(sea, (255, 255, 255), 0.6))
    _lighthouse(view, rng.uniform(-0.9, 0.9))
    for _ in range(4):
        x, y, sail = rng.uniform(-1.8, 1.8), rng.uniform(0.05, 0.16), hsv(rng.random(), 0.5, 0.95)
        if view.shows(x, 0.25):
            s = (0.5 + 3 * y) * 0.5
            canvas.begin("boat", view.floor.depth(camera.at(x, y)[1]))
            hull = [(x - 0.2 * s, y - 0.07 * s), (x + 0.22 * s, y - 0.07 * s), (x + 0.13 * s, y), (x - 0.13 * s, y)]
            view.polygon(hull, light.on((140, 90, 60)))
            cloth = [(x + 0.02 * s, y - 0.1 * s), (x + 0.02 * s, y - 0.5 * s), (x + 0.2 * s, y - 0.1 * s)]
            view.polygon(cloth, light.on(sail))
            jib = [(x, y - 0.1 * s), (x, y - 0.42 * s), (x - 0.13 * s, y - 0.1 * s)]
            view.polygon(jib, light.on((248, 242, 230)))
    quay = camera.at(0, 0.26)[1]
    if quay < canvas.height:
        wood = light.on((190, 152, 112))
        view.floor.begin(canvas, "quay")
        canvas.box(-8, quay, canvas.width + 8, canvas.height + 8, wood)
        for i in range(-12, 13):
            away = camera.at(camera.x + (i * 0.2 - camera.x) * 2.4, 1.0)
            canvas.stroke([camera.at(i * 0.2, 0.26), away], canvas.line * 0.5, shade(wood, 0.7))
    for x in (-1.1, -0.2, 0.7, 1.6):  # bollards
        if view.shows(x, 0.1):
            px, py = camera.at(x, 0.31)
            canvas.begin("bollard", view.floor.depth(py))
            size = 0.045 * camera.unit
            canvas.box(px - size * 0.6, py - 2 * size, px + size * 0.6, py, (72, 70, 80))
            canvas.disc(px, py - 2 * size, size, size * 0.45, (92, 90, 100))


def _lighthouse(view: View, x: float) -> None:
    canvas, camera, light = view.canvas, view.camera, view.light
    if not view.shows(x, 0.4):
        return
    px, py = camera.at(x, 0.015)
    unit, line = camera.unit, canvas.line * 0.6
    canvas.begin("lighthouse", view.floor.depth(py))
    for step in range(4):
        w0, w1 = (0.07 - 0.01 * step) * unit, (0.06 - 0.01 * step) * unit
        y0, y1 = py - 0.12 * step * unit, py - 0.12 * (step + 1) * unit
        colour = light.on((232, 84, 70) if step % 2 == 0 else (246, 240, 230), 0.3)
        canvas.polygon([(px - w0, y0), (px - w1, y1), (px + w1, y1), (px + w0, y0)], colour, line=line)
    canvas.box(px - 0.035 * unit, py - 0.56 * unit, px + 0.035 * unit, py - 0.48 * unit, (255, 240, 160), line=line)
    roof = [(px - 0.05 * unit, py - 0.56 * unit), (px, py - 0.63 * unit), (px + 0.05 * unit, py - 0.56 * unit)]
    canvas.polygon(roof, (190, 60, 56), line=line)


def desert(view: View) -> None:
    """Dunes, table mountains, cacti."""
    sky(view)
    rng, canvas, camera, light = view.rng, view.canvas, view.camera, view.light
    sand = hsv(rng.uniform(0.05, 0.12), 0.4, 0.92)
    canvas.begin("mountains", 0.95)
    for i in range(6):
        x, w, h = -2.2 + i * 0.8 + rng.uniform(-0.2, 0.2), rng.uniform(0.14, 0.3), rng.uniform(0.12, 0.4)
        if view.shows(x, 0.6):
            rock = light.on((196, 110, 84), 0.5)
            outline = [(x - w * 1.4, 0.01), (x - w, -h), (x + w, -h * 0.96), (x + w * 1.5, 0.01)]
            view.polygon(outline, rock, 0.6)
            side = [(x + w * 0.3, -h * 0.97), (x + w, -h * 0.96), (x + w * 1.5, 0.01), (x + w * 0.5, 0.01)]
            view.polygon(side, shade(rock, 0.84), 0)
    ground(view, light.on(sand), light.on(shade(sand, 1.2), 0.3), "sand")
    ripples = view.own()
    for _ in range(22):
        x, y, long = ripples.uniform(-2, 2), ripples.uniform(0.03, 0.5), ripples.uniform(0.05, 0.2)
        if view.shows(x, 0.3):
            curve = camera.many(
                [(x - long, y), (x - long * 0.3, y - 0.012), (x + long * 0.4, y - 0.008), (x + long, y)]
            )
            canvas.stroke(curve, canvas.line * 0.5, light.on(shade(sand, 0.8)))
    for _ in range(6):
        x, y, arms = rng.uniform(-2, 2), rng.uniform(0.04, 0.2), rng.random()
        if view.shows(x, 0.3):
            px, py = camera.at(x, y)
            unit = (0.4 + 2 * y) * camera.unit
            canvas.dim_ellipse(px + 0.1 * unit, py, 0.16 * unit, 0.03 * unit, 70)
            canvas.begin("cactus", view.floor.depth(py))
            green = light.on((94, 150, 92), 0.2)
            if arms < 0.8:
                low, high = (px - 0.14 * unit, py - 0.36 * unit), (px - 0.14 * unit, py - 0.2 * unit)
                canvas.limb([low, high, (px, py - 0.2 * unit)], 0.06 * unit, green)
            if arms > 0.2:
                low, high = (px + 0.15 * unit, py - 0.44 * unit), (px + 0.15 * unit, py - 0.28 * unit)
                canvas.limb([low, high, (px, py - 0.28 * unit)], 0.06 * unit, green)
            canvas.limb([(px, py), (px, py - 0.5 * unit)], 0.1 * unit, green)


def night(view: View) -> None:
    """Under the open sky: dark hills, pines, a camp fire."""
    sky(view)
    rng, canvas, camera = view.rng, view.canvas, view.camera
    dark = view.light.on((72, 96, 112))
    ridge(view, 0.02, 0.3, shade(dark, 1.2), 0.95)
    ridge(view, 0.03, 0.16, dark, 0.92)
    ground(view, view.light.on((96, 122, 118)), view.light.on((108, 134, 138), 0.3), "meadow")
    tufts(view, view.light.on((58, 80, 84)))
    for _ in range(9):
        x, foot, size = rng.uniform(-2, 2), rng.uniform(0.03, 0.12), rng.uniform(0.3, 0.55)
        tree(view, x, foot, size, (56, 98, 86), pine=True)
    x = rng.uniform(-0.6, 0.6)
    if view.shows(x, 0.2):
        px, py = camera.at(x, 0.17)
        size = 0.11 * camera.unit
        canvas.begin("fire", view.floor.depth(py))
        canvas.limb([(px - size, py), (px + size, py - size * 0.2)], size * 0.25, (98, 66, 50))
        canvas.limb([(px + size, py), (px - size, py - size * 0.2)], size * 0.25, (98, 66, 50))
        for grow, colour in ((1.0, (244, 120, 50)), (0.6, (255, 214, 90))):
            flame = [
                (px - 0.6 * size * grow, py - 0.2 * size),
                (px - 0.3 * size * grow, py - size * grow),
                (px, py - 1.9 * size * grow),
                (px + 0.35 * size * grow, py - size * grow),
                (px + 0.6 * size * grow, py - 0.2 * size),
            ]
            canvas.shape(flame, colour, line=canvas.line * 0.6 if grow == 1.0 else 0)


def plain(view: View) -> None:
    """No place at all: a flat colour, a fade, stars, or lines that rush to the middle or along."""
    canvas, rng = view.canvas, view.rng
    canvas.begin("backdrop", 1.0)
    colour = hsv(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.85, 1.0))
    w, h = canvas.width, canvas.height
    canvas.box(-8, -8, w + 8, h + 8, colour, line=0)
    kind = rng.randrange(6)
    if kind == 0:
        _rays(view, rng, shade(colour, 0.62))
    elif kind == 1:
        for i in range(10):
            canvas.box(-8, h * (0.4 + 0.06 * i), w + 8, h + 8, mix(colour, shade(colour, 0.7), i / 9), line=0)
    elif kind == 2:
        for _ in range(34):
            y = rng.uniform(0, h)
            canvas.stroke([(0, y), (w, y)], rng.uniform(1, 5), shade(colour, 0.74))
    elif kind == 3:
        for i in range(12):
            start, end = math.radians(i * 30), math.radians(i * 30 + 15)
            reach = w + h
            fan = [
                (w / 2, h * 0.6),
                (w / 2 + reach * math.cos(start), h * 0.6 + reach * math.sin(start)),
                (w / 2 + reach * math.cos(end), h * 0.6 + reach * math.sin(end)),
            ]
            canvas.polygon(fan, shade(colour, 1.25), line=0)
    elif kind == 4:
        step = h / 7
        for i in range(int(w / step) + 2):
            for j in range(9):
                canvas.disc((i + 0.5 * (j % 2)) * step, j * step, step * 0.12, step * 0.12, shade(colour, 1.35), line=0)


def _rays(view: View, rng: random.Random, colour: tuple[int, int, int]) -> None:
    canvas = view.canvas
    cx, cy, reach = canvas.width * 0.5, canvas.height * 0.5, canvas.width + canvas.height
    for i in range(54):
        angle = 2 * math.pi * (i + rng.uniform(0.1, 0.9)) / 54
        dx, dy = math.cos(angle), math.sin(angle)
        # The lines stop on an ellipse inside the panel, whatever its proportions.
        start = rng.uniform(0.38, 0.48) / math.hypot(dx / canvas.width, dy / canvas.height)
        wide = rng.uniform(0.008, 0.02) * reach
        canvas.polygon(
            [
                (cx + dx * start, cy + dy * start),
                (cx + dx * reach - dy * wide, cy + dy * reach + dx * wide),
                (cx + dx * reach + dy * wide, cy + dy * reach - dx * wide),
            ],
            colour,
            line=0,
        )


INDOORS = ("interior", "kitchen", "plain")
SETTINGS: dict[str, Callable[[View], None]] = {
    "city": city,
    "forest": forest,
    "hills": hills,
    "harbour": harbour,
    "desert": desert,
    "night": night,
    "interior": parlour,
    "kitchen": kitchen,
    "plain": plain,
}
