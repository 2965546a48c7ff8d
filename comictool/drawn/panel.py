"""One panel: stage its beat before a camera, draw it from far to near, then read the labels off the layer map."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image
from scipy import ndimage

from comictool.corpus.records import Box
from comictool.drawn.canvas import FINE, Canvas, Point, Points
from comictool.drawn.colours import LIGHTS, light_at
from comictool.drawn.daylight import in_daylight
from comictool.drawn.figure import Anatomy, Figure, draw_figure
from comictool.drawn.frames import HALF, draw_frame, make_outline
from comictool.drawn.inks import MARGIN
from comictool.drawn.layout import BARE, Cell
from comictool.drawn.marks import draw_marks
from comictool.drawn.places import INDOORS, draw_place
from comictool.drawn.plan import ComicPlan
from comictool.drawn.scenery import Camera, Floor, View, foreground
from comictool.drawn.script import Beat
from comictool.drawn.seeds import stream
from comictool.drawn.staging import CAMERA, FAR, RISE, apart, choose_shot, place_extras, place_figures


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
    extent: Box  # of the panel with its frame, in its own picture
    layers: Canvas
    layer_map: np.ndarray  # uint8, 0 = nothing of the scene
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
    pad = math.ceil(plan.frame_width * scale / 2) + 8
    framed = cell.kind == "framed" or (bool(plan.layout) and cell.kind != "open")
    breaking = plan.breaks and framed and bool(beat.roles) and rng.random() < plan.breaking
    if breaking:
        pad += round(min(RISE * scale, MARGIN - 24))
        beat = replace(beat, shot="full")
    bx0, by0, bx1, by1 = cell.bounds
    x, y = math.floor(bx0) - pad, math.floor(by0) - pad
    width, height = math.ceil(bx1) + pad - x, math.ceil(by1) + pad - y
    canvas = Canvas(width * FINE, height * FINE, plan.paper, line=plan.line * scale, ink=plan.ink)
    inner = (pad * FINE, (width - 2 * pad) * FINE, (height - 2 * pad) * FINE)
    shot, actors = _stage(plan, rng, beat, cell, canvas, inner, scale, costume, breaking=breaking)
    outline = make_outline(rng, plan, cell, x, y, scale)
    over = _before_frame(canvas, outline, actors) if breaking else None
    panel, covered = draw_frame(canvas, plan, cell, outline, scale, over)
    layer_map = canvas.layer_map().copy()
    outside = np.asarray(panel) <= HALF
    if over is not None:  # beyond the frame there is the figure and nothing else
        outside &= (np.asarray(covered) <= HALF) | (np.asarray(over)[::FINE, ::FINE] == 0)
    layer_map[outside] = 0
    extent = panel.point(lambda value: 255 * (value > HALF)).getbbox() or (0, 0, 1, 1)
    picture = canvas.picture.reduce(FINE)
    if beat.hour is not None:
        picture = in_daylight(picture, beat.hour)
    return PanelArt(
        cell=cell,
        x=x,
        y=y,
        picture=picture,
        alpha=covered,
        extent=extent,
        layers=canvas,
        layer_map=layer_map,
        shot=shot,
        beat=beat,
        actors=actors,
    )


def _before_frame(canvas: Canvas, outline: Points, actors: list[Actor]) -> Image.Image:
    """Where the cast is drawn above the middle of the panel: there it may stand out over the upper frame."""
    cast = {actor.owner for actor in actors if actor.role is not None}
    shown = [255 * (layer.kind == "character" and layer.owner in cast) for layer in canvas.layers]
    mask = canvas.map.point([*shown, *[0] * (256 - len(shown))])
    xs, ys = [p[0] for p in outline], [p[1] for p in outline]
    keep = Image.new("L", mask.size, 0)
    window = (int(min(xs)), 0, int(max(xs)), int((min(ys) + max(ys)) / 2))
    keep.paste(mask.crop(window), window[:2])
    return keep


def _stage(
    plan: ComicPlan,
    rng: random.Random,
    beat: Beat,
    cell: Cell,
    canvas: Canvas,
    inner: tuple[int, int, int],
    scale: float,
    costume: int,
    *,
    breaking: bool,
) -> tuple[str, list[Actor]]:
    """Choose the shot, draw the place, the cast and what stands in front."""
    pad, w, h = inner
    roles = list(beat.roles)
    shot = beat.shot or choose_shot(rng, len(roles), w / h, min(w, h) / scale)
    low, high, zoom, near = CAMERA[shot]
    horizon = pad + h * rng.uniform(low, high)
    unit = h * zoom if w / h > 0.55 else w * 1.5 * zoom
    floor = Floor(FAR, near, horizon, pad + h)
    light = LIGHTS[beat.light] if beat.hour is None else light_at(beat.hour)
    camera = Camera(rng.uniform(-0.7, 0.7), unit, horizon, pad + w / 2)
    setting = beat.setting
    if shot in ("close", "medium") and rng.random() < 0.16 and beat.hour is None:
        setting = "plain"
    places = stream(plan.seed, "place", plan.comic, setting)
    if setting == "plain":
        places = random.Random(rng.random())
    view = View(canvas, places, light, camera, floor, plan.style == "painted")
    if cell.kind not in BARE:
        line, canvas.line = canvas.line, canvas.line * 0.75
        draw_place(setting, view)
        canvas.line = line
    figures = place_figures(plan, rng, beat, roles, shot, floor, inner, costume, breaking=breaking)
    parts: list[int | None] = list(roles)
    if cell.kind not in BARE:
        extras = place_extras(rng, setting, camera, floor, max((f.depth for f in figures), default=0.0))
        figures, parts = apart(figures + extras), parts + [None] * len(extras)
    order = sorted(range(len(figures)), key=lambda i: -figures[i].depth)
    actors: list[Actor] = []
    base_line = canvas.line
    for index in order:
        figure = figures[index]
        canvas.line = base_line * min(1.7, max(0.55, (figure.u / (150 * scale)) ** 0.5))
        if cell.kind not in BARE and setting != "plain" and shot in ("long", "full"):
            canvas.dim_ellipse(figure.x, figure.ground, 0.75 * figure.u, 0.12 * figure.u, 80)
        first = len(canvas.layers)
        anatomy = draw_figure(canvas, figure, index)
        actor = Actor(parts[index], index, figure, anatomy)
        _count(canvas, actor, first)
        actors.append(actor)
        draw_marks(canvas, rng, figure, anatomy)
    canvas.line = base_line
    if cell.kind not in BARE and rng.random() < 0.16 and shot != "close":
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
