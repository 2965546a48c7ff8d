"""Places indoors: a parlour and a kitchen."""

from __future__ import annotations

import random

from comictool.drawn.colours import Colour, hsv, mix, shade
from comictool.drawn.scenery import View, ground

_WINDOWS = (-1.15, 0.35, 1.7)  # world x of the windows; pictures keep away from them


def parlour(view: View) -> None:
    """A living room: papered wall, windows, pictures, bookcase, sofas, rug."""
    rng, canvas, camera = view.rng, view.canvas, view.camera
    wall = _wall(view, rng)
    wood = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.3, 0.55), rng.uniform(0.45, 0.75))
    _paper(view, rng.randrange(3), shade(wall, 0.93))
    curtain = hsv(rng.random(), 0.5, 0.8)
    for x in _WINDOWS:
        if view.shows(x, 0.4):
            _window(view, x, wood, curtain)
    for _ in range(5):
        x, y, colour = rng.uniform(-2, 2), -rng.uniform(0.45, 0.7), hsv(rng.random(), 0.5, 0.8)
        if view.shows(x, 0.2) and min(abs(x - w) for w in _WINDOWS) > 0.42:
            canvas.begin("picture", view.floor.far - 0.004)
            view.box(x - 0.1, y - 0.08, x + 0.1, y + 0.08, shade(wood, 1.2))
            view.box(x - 0.08, y - 0.06, x + 0.08, y + 0.06, colour, 0.5)
            peak = [(x - 0.08, y + 0.06), (x - 0.02, y - 0.02), (x + 0.03, y + 0.02), (x + 0.08, y + 0.06)]
            view.polygon(peak, shade(colour, 0.7), 0)
    shelf = rng.uniform(-0.6, -0.3)
    _bookcase(view, shelf, wood)
    _boards(view, wood)
    rug = hsv(rng.random(), 0.45, 0.8)
    x = rng.uniform(-0.4, 0.4)
    view.floor.begin(canvas, "rug")
    px, py = camera.at(x, 0.26)
    canvas.disc(px, py, 0.55 * camera.unit, 0.1 * camera.unit, rug, line=canvas.line * 0.6)
    canvas.disc(px, py, 0.46 * camera.unit, 0.08 * camera.unit, shade(rug, 1.25), line=0)
    for x in (-0.8, 1.1):
        _sofa(view, x, hsv(rng.random(), 0.5, 0.75))
    _lamp(view, rng.uniform(0.5, 0.75))


def kitchen(view: View) -> None:
    """A kitchen or workshop: tiles, cupboards, a stove, hanging lamps."""
    rng, canvas, camera = view.rng, view.canvas, view.camera
    wall = _wall(view, rng)
    tile = mix(wall, (255, 255, 255), 0.45)
    canvas.begin("tiles", view.floor.far - 0.001)
    view.box(-3, -0.52, 3, 0.0, tile, 0)
    for i in range(-26, 27):
        if view.shows(i * 0.1, 0.1):
            view.stroke([(i * 0.1, -0.52), (i * 0.1, 0.0)], 0.35, shade(tile, 0.86))
    for row in range(6):
        view.stroke([(-3, -0.52 + 0.1 * row), (3, -0.52 + 0.1 * row)], 0.35, shade(tile, 0.86))
    wood = hsv(rng.random(), rng.uniform(0.25, 0.5), rng.uniform(0.6, 0.85))
    curtain = hsv(rng.random(), 0.4, 0.9)
    if view.shows(0.35, 0.4):
        _window(view, 0.35, wood, curtain)
    canvas.begin("cupboard", view.floor.far - 0.02)
    for i in range(-6, 7):
        x = i * 0.36
        if view.shows(x, 0.4) and abs(x + 0.17 - 0.35) > 0.42:
            view.box(x, -0.92, x + 0.34, -0.62, wood, 0.7)
            canvas.disc(*camera.at(x + 0.3, -0.68), 0.012 * camera.unit, 0.012 * camera.unit, shade(wood, 0.6), line=0)
    _boards(view, (200, 176, 150))
    pots = view.own()
    canvas.begin("counter", view.floor.far - 0.05)
    for i in range(-7, 8):
        x = i * 0.34
        if view.shows(x, 0.4):
            view.box(x, -0.24, x + 0.33, 0.05, shade(wood, 0.86), 0.7)
            view.stroke([(x + 0.1, -0.18), (x + 0.23, -0.18)], 1, shade(wood, 0.5))
    view.box(-3, -0.28, 3, -0.24, shade(wood, 1.4), 0.7)
    for _ in range(9):
        x, size, colour = pots.uniform(-2, 2), pots.uniform(0.04, 0.08), hsv(pots.random(), 0.5, 0.85)
        if view.shows(x, 0.1):
            view.box(x - size, -0.28 - 1.3 * size, x + size, -0.28, colour, 0.7)
            view.box(x - 1.1 * size, -0.28 - 1.5 * size, x + 1.1 * size, -0.28 - 1.3 * size, shade(colour, 0.8), 0.7)
    for x in (-0.9, 0.0, 0.9):
        if view.shows(x, 0.2):
            px, py = camera.at(x, -0.7)
            canvas.begin("lamp", 0.6)
            canvas.stroke([(px, -9), (px, py)], canvas.line * 0.7)
            unit = camera.unit
            canvas.polygon(
                [
                    (px - 0.02 * unit, py),
                    (px + 0.02 * unit, py),
                    (px + 0.09 * unit, py + 0.08 * unit),
                    (px - 0.09 * unit, py + 0.08 * unit),
                ],
                shade(curtain, 0.8),
            )
            canvas.disc(px, py + 0.09 * unit, 0.03 * unit, 0.02 * unit, (255, 240, 180), line=canvas.line * 0.5)


def _wall(view: View, rng: random.Random) -> Colour:
    canvas = view.canvas
    wall = hsv(rng.random(), rng.uniform(0.12, 0.4), rng.uniform(0.78, 0.95))
    if view.light.name == "night":
        wall = mix(wall, (60, 62, 110), 0.4)
    canvas.begin("wall", view.floor.far)
    canvas.box(-8, -8, canvas.width + 8, view.camera.horizon + 4, wall, line=0)
    return wall


def _paper(view: View, kind: int, colour: Colour) -> None:
    """Wallpaper: stripes, dots or none."""
    canvas, camera = view.canvas, view.camera
    for i in range(-20, 20):
        if not view.shows(i * 0.14, 0.1):
            continue
        if kind == 0:
            view.box(i * 0.14, -1.8, i * 0.14 + 0.05, 0.0, colour, 0)
        elif kind == 1:
            for row in range(11):
                size = 0.013 * camera.unit
                canvas.disc(*camera.at(i * 0.14 + 0.07 * (row % 2), -0.1 - row * 0.15), size, size, colour, line=0)


def _boards(view: View, wood: Colour) -> None:
    """Floor boards that run away from the viewer, and the skirting of the wall."""
    canvas, camera, light = view.canvas, view.camera, view.light
    board = light.on(mix(wood, (216, 180, 140), 0.6)) if light.name != "night" else (124, 108, 112)
    ground(view, board, shade(board, 0.84))
    for i in range(-14, 15):
        away = camera.at(camera.x + (i * 0.16 - camera.x) * 3.2, 1.0)
        canvas.stroke([camera.at(i * 0.16, 0.0), away], canvas.line * 0.4, shade(board, 0.75))
    canvas.begin("skirting", view.floor.far - 0.002)
    view.box(-4, -0.04, 4, 0.01, shade(wood, 1.3), 0.6)


def _window(view: View, x: float, wood: Colour, curtain: Colour) -> None:
    canvas, camera, light = view.canvas, view.camera, view.light
    near = view.floor.far - 0.004
    frame = canvas.begin("window frame", near)
    view.box(x - 0.2, -0.74, x + 0.2, -0.26, shade(wood, 1.3))
    canvas.begin("outdoors", 1.0)
    view.box(x - 0.17, -0.71, x + 0.17, -0.29, mix(light.sky_top, light.sky_low, 0.4), 0.6)
    view.box(x - 0.17, -0.42, x + 0.17, -0.29, light.on((130, 160, 120), 0.6), 0.5)
    canvas.resume(frame)
    thick = max(2.0, 0.016 * camera.unit)
    for ends in ([camera.at(x, -0.71), camera.at(x, -0.29)], [camera.at(x - 0.17, -0.5), camera.at(x + 0.17, -0.5)]):
        canvas.limb(ends, thick, shade(wood, 1.3), line=canvas.line * 0.4)
    canvas.begin("curtain", near - 0.004)
    for side in (-1, 1):
        fall = [
            (x, -0.78),
            (x + side * 0.27, -0.78),
            (x + side * 0.27, -0.22),
            (x + side * 0.2, -0.22),
            (x + side * 0.17, -0.5),
        ]
        view.polygon(fall, curtain, 0.7)
        view.stroke([(x + side * 0.21, -0.7), (x + side * 0.235, -0.26)], 0.5, shade(curtain, 0.7))
    canvas.limb(
        [camera.at(x - 0.3, -0.79), camera.at(x + 0.3, -0.79)],
        max(2.0, 0.014 * camera.unit),
        shade(wood, 0.8),
        line=canvas.line * 0.4,
    )


def _bookcase(view: View, x: float, wood: Colour) -> None:
    canvas, rng = view.canvas, view.own()
    if not view.shows(x, 0.4):
        return
    canvas.begin("bookcase", view.floor.far - 0.03)
    view.box(x - 0.2, -0.72, x + 0.2, 0.03, wood)
    for row in range(4):
        top, bottom = -0.68 + row * 0.175, -0.54 + row * 0.175
        view.box(x - 0.17, top, x + 0.17, bottom, shade(wood, 0.6), 0.5)
        at = x - 0.16
        while at < x + 0.1:
            thick, tall = rng.uniform(0.018, 0.04), rng.uniform(0.08, 0.125)
            book = hsv(rng.random(), 0.5, 0.85)
            view.box(at, bottom - tall, at + thick, bottom, book, 0.4)
            at += thick + 0.004


def _sofa(view: View, x: float, colour: Colour) -> None:
    canvas, camera = view.canvas, view.camera
    if not view.shows(x, 0.4):
        return
    foot = 0.1
    px, py = camera.at(x, foot)
    canvas.dim_ellipse(px, py, 0.36 * camera.unit, 0.04 * camera.unit, 60)
    canvas.begin("sofa", view.floor.depth(py))
    view.box(x - 0.26, foot - 0.28, x + 0.26, foot - 0.04, shade(colour, 0.9))
    view.stroke([(x, foot - 0.28), (x, foot - 0.14)], 0.6)
    for side in (-1, 1):
        inner, outer = x + side * 0.24, x + side * 0.32
        view.box(min(inner, outer), foot - 0.19, max(inner, outer), foot, colour)
    view.box(x - 0.24, foot - 0.14, x + 0.24, foot - 0.02, shade(colour, 1.12))


def _lamp(view: View, x: float) -> None:
    """A standing lamp."""
    canvas, camera = view.canvas, view.camera
    if not view.shows(x, 0.2):
        return
    px, py = camera.at(x, 0.06)
    unit = camera.unit
    canvas.begin("lamp", view.floor.depth(py))
    canvas.limb([(px, py), (px, py - 0.5 * unit)], max(2.0, 0.014 * unit), (92, 76, 70), line=canvas.line * 0.5)
    canvas.disc(px, py, 0.05 * unit, 0.012 * unit, (92, 76, 70), line=canvas.line * 0.5)
    shape = [
        (px - 0.05 * unit, py - 0.62 * unit),
        (px + 0.05 * unit, py - 0.62 * unit),
        (px + 0.1 * unit, py - 0.46 * unit),
        (px - 0.1 * unit, py - 0.46 * unit),
    ]
    canvas.polygon(shape, (255, 236, 176))
