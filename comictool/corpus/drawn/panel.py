"""One panel: stage its beat before a camera, draw it from far to near, then read the labels off the layer map."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from comictool.corpus.drawn.canvas import FINE, Canvas, Point, Points, smooth
from comictool.corpus.drawn.colours import LIGHTS
from comictool.corpus.drawn.figure import Anatomy, Figure, draw_figure
from comictool.corpus.drawn.layout import Cell
from comictool.corpus.drawn.marks import draw_marks
from comictool.corpus.drawn.places import INDOORS, draw_place
from comictool.corpus.drawn.plan import ComicPlan
from comictool.corpus.drawn.scenery import Camera, Floor, View, foreground
from comictool.corpus.drawn.script import Beat
from comictool.corpus.drawn.seeds import stream
from comictool.corpus.drawn.staging import CAMERA, FAR, apart, choose_shot, place_extras, place_figures

HALF = 127  # a pixel belongs to a panel when the panel covers more than half of it


@dataclass
class Actor:
    """One figure of a panel with what was drawn of it. Coordinates are page pixels once the panel is placed."""

    role: int | None  # None: a passer-by
    owner: int  # what its layers are marked with
    figure: Figure
    anatomy: Anatomy
    drawn: int = 0  # page pixels drawn of it before anything covered them
    face_drawn: int = 0


@dataclass
class PanelArt:
    """A finished panel. `x`, `y`: page position of its picture's corner; arrays are at page resolution."""

    cell: Cell
    x: int
    y: int
    picture: Image.Image  # RGB, page resolution, before inking
    alpha: Image.Image  # L, where the panel covers the page
    layers: Canvas
    layer_map: np.ndarray  # uint8, 0 = nothing of the scene
    outline: list[Point]
    frame_width: float  # page pixels, 0 without a frame
    shot: str
    beat: Beat
    actors: list[Actor] = field(default_factory=list)

    def on_page(self, point: Point) -> Point:
        """Fine pixels of the panel to page pixels."""
        return (self.x + point[0] / FINE, self.y + point[1] / FINE)


def draw_panel(plan: ComicPlan, rng: random.Random, beat: Beat, cell: Cell, scale: float, costume: int) -> PanelArt:
    """Draw one panel.

    Args:
        plan: the comic's.
        rng: the panel's stream.
        beat: what it shows.
        cell: where it lies.
        scale: page width / 1000.
        costume: which of their costumes the cast wears.
    """
    pad = math.ceil(plan.frame_width * scale / 2) + 4
    bx0, by0, bx1, by1 = cell.bounds
    x, y = math.floor(bx0) - pad, math.floor(by0) - pad
    width, height = math.ceil(bx1) + pad - x, math.ceil(by1) + pad - y
    canvas = Canvas(width * FINE, height * FINE, plan.paper, line=plan.line * scale, ink=plan.ink)
    inner = (pad * FINE, (width - 2 * pad) * FINE, (height - 2 * pad) * FINE)
    shot, actors = _stage(plan, rng, beat, cell, canvas, inner, scale, costume)
    outline = _outline(rng, plan, cell, x, y, scale)
    frame_width = _frame_width(plan, cell, scale)
    alpha = _frame(canvas, plan, cell, outline, frame_width, scale)
    layer_map = canvas.layer_map().copy()
    covered = alpha.reduce(FINE)
    layer_map[np.asarray(covered) <= HALF] = 0
    return PanelArt(
        cell=cell, x=x, y=y, picture=canvas.picture.reduce(FINE), alpha=covered, layers=canvas,
        layer_map=layer_map, outline=[(x + px / FINE, y + py / FINE) for px, py in outline], frame_width=frame_width,
        shot=shot, beat=beat,
        actors=actors,
    )  # fmt: skip


def _stage(
    plan: ComicPlan, rng: random.Random, beat: Beat, cell: Cell, canvas: Canvas, inner: tuple[int, int, int],
    scale: float, costume: int,
) -> tuple[str, list[Actor]]:  # fmt: skip
    """Choose the shot, draw the place, the cast and what stands in front."""
    pad, w, h = inner
    roles = list(beat.roles)
    shot = beat.shot or choose_shot(rng, len(roles), w / h, min(w, h) / scale)
    low, high, zoom, near = CAMERA[shot]
    horizon = pad + h * rng.uniform(low, high)
    unit = h * zoom if w / h > 0.55 else w * 1.5 * zoom
    floor = Floor(FAR, near, horizon, pad + h)
    light = LIGHTS[beat.light]
    camera = Camera(rng.uniform(-0.7, 0.7), unit, horizon, pad + w / 2)
    setting = beat.setting
    if shot in ("close", "medium") and rng.random() < 0.16:
        setting = "plain"
    places = stream(plan.seed, "place", plan.comic, setting)
    if setting == "plain":
        places = random.Random(rng.random())
    view = View(canvas, places, light, camera, floor, plan.style == "painted")
    if cell.kind != "open":
        line, canvas.line = canvas.line, canvas.line * 0.75
        draw_place(setting, view)
        canvas.line = line
    figures = place_figures(plan, rng, beat, roles, shot, floor, inner, costume)
    parts: list[int | None] = list(roles)
    if cell.kind != "open":
        extras = place_extras(rng, setting, camera, floor, max((f.depth for f in figures), default=0.0))
        figures, parts = apart(figures + extras), parts + [None] * len(extras)
    order = sorted(range(len(figures)), key=lambda i: -figures[i].depth)
    actors: list[Actor] = []
    base_line = canvas.line
    for index in order:
        figure = figures[index]
        canvas.line = base_line * min(1.7, max(0.55, (figure.u / (150 * scale)) ** 0.5))
        if cell.kind != "open" and setting != "plain" and shot in ("long", "full"):
            canvas.dim_ellipse(figure.x, figure.ground, 0.75 * figure.u, 0.12 * figure.u, 80)
        first = len(canvas.layers)
        anatomy = draw_figure(canvas, figure, index)
        actor = Actor(parts[index], index, figure, anatomy)
        _count(canvas, actor, first)
        actors.append(actor)
        draw_marks(canvas, rng, figure, anatomy)
    canvas.line = base_line
    if cell.kind != "open" and rng.random() < 0.16 and shot != "close":
        view.rng = random.Random(rng.random())
        kind = rng.choice(("leaves", "rail", "post") if setting not in INDOORS else ("table", "post", "table"))
        foreground(view, kind, rng.choice((-1, 1)))
    return shot, actors


def _count(canvas: Canvas, actor: Actor, first: int) -> None:
    """Note how many page pixels a figure has before others cover it."""
    x0, y0, x1, y1 = (max(0, int(v)) for v in actor.anatomy.bounds)
    crop = np.asarray(canvas.map.crop((x0 // FINE * FINE, y0 // FINE * FINE, max(x0 + 1, x1), max(y0 + 1, y1))))[
        ::FINE, ::FINE
    ]
    counts = np.bincount(crop.ravel(), minlength=len(canvas.layers))
    actor.drawn = int(counts[first:].sum())
    actor.face_drawn = int(sum(counts[i] for i in range(first, len(canvas.layers)) if canvas.layers[i].part == "face"))


def _outline(rng: random.Random, plan: ComicPlan, cell: Cell, x: int, y: int, scale: float) -> list[Point]:
    """The panel's edge in fine pixels: straight, rounded or drawn by an unsteady hand."""
    corners = [((px - x) * FINE, (py - y) * FINE) for px, py in cell.corners]
    if cell.kind in ("bleed", "open") or plan.frame not in ("wobbly", "round"):
        return corners
    out: list[Point] = []
    if plan.frame == "round":
        radius = 14 * scale * FINE
        for i, corner in enumerate(corners):
            out += _round_corner(corners[i - 1], corner, corners[(i + 1) % 4], radius)
        return out
    for i, (ax, ay) in enumerate(corners):
        bx, by = corners[(i + 1) % 4]
        steps = max(2, int(math.dist((ax, ay), (bx, by)) / (90 * scale)))
        for step in range(steps):
            sway = rng.uniform(-2.4, 2.4) * scale
            t = step / steps
            out.append((ax + (bx - ax) * t + sway, ay + (by - ay) * t + rng.uniform(-2.4, 2.4) * scale))
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


def _frame_width(plan: ComicPlan, cell: Cell, scale: float) -> float:
    """Width of a cell's frame in page pixels."""
    if cell.kind == "open":
        return 0.0
    # An inset without a line would melt into the panel under it.
    return max(plan.frame_width, 3.0 if cell.kind == "inset" else 0.0) * scale


def _frame(
    canvas: Canvas, plan: ComicPlan, cell: Cell, outline: Points, frame_width: float, scale: float
) -> Image.Image:  # fmt: skip
    """Draw the frame on the picture; return what the panel covers, at fine resolution."""
    alpha = Image.new("L", (canvas.width, canvas.height), 0)
    pen = ImageDraw.Draw(alpha)
    pen.polygon(list(outline), fill=255)
    if frame_width <= 0:
        return alpha
    width = frame_width * FINE
    _edge(canvas, pen, outline, width, plan)
    if plan.frame == "double":
        cx = sum(p[0] for p in outline) / len(outline)
        cy = sum(p[1] for p in outline) / len(outline)
        gap = 6 * scale * FINE
        inner = [(px + math.copysign(gap, cx - px), py + math.copysign(gap, cy - py)) for px, py in outline]
        ImageDraw.Draw(canvas.picture).line(
            [*inner, inner[0], inner[1]], fill=plan.ink, width=round(width * 0.8), joint="curve"
        )
    return alpha


def _edge(canvas: Canvas, pen: ImageDraw.ImageDraw, outline: Points, width: float, plan: ComicPlan) -> None:
    """A line along the outline, on the picture and in the mask."""
    closed = [*outline, outline[0], outline[1]]
    ImageDraw.Draw(canvas.picture).line(closed, fill=plan.ink, width=round(width), joint="curve")
    pen.line(closed, fill=255, width=round(width), joint="curve")


@dataclass(frozen=True)
class Seen:
    """What can be seen of a layer: its box on the page (x1, y1 exclusive) and how many pixels."""

    box: tuple[int, int, int, int]
    pixels: int


def seen_layers(art: PanelArt) -> dict[int, Seen]:
    """Visible box and size of every layer of a panel, on the page."""
    counts = np.bincount(art.layer_map.ravel(), minlength=len(art.layers.layers))
    found = ndimage.find_objects(art.layer_map, max_label=len(art.layers.layers) - 1)
    out = {}
    for number, where in enumerate(found, start=1):
        if where is not None:
            rows, columns = where
            box = (columns.start + art.x, rows.start + art.y, columns.stop + art.x, rows.stop + art.y)
            out[number] = Seen(box, int(counts[number]))
    return out
