"""Pictures as people have them of a page: cut-out panels, phone screenshots, half pages, photographs in perspective.

Each kind is a function `(page, panels, rng) -> picture` of the page picture, its panel boxes and a generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from comictool.search.flattening import perspective
from tests.bench.page_search import jpeg

Box = Sequence[float]
Kind = Callable[[Image.Image, Sequence[Box], np.random.Generator], Image.Image]
PHONES = (
    (1080, 2340),
    (1170, 2532),
    (1440, 3200),
    (750, 1334),
    (1620, 2160),
)  # width and height in pixels, held upright


def cut_out(page: Image.Image, panels: Sequence[Box], rng: np.random.Generator) -> Image.Image:
    """One panel, cut by hand: each side up to 3 % off, at 40 to 120 % of its size."""
    areas = np.array([(box[2] - box[0]) * (box[3] - box[1]) for box in panels], float)
    box = panels[int(rng.choice(np.flatnonzero(areas >= 0.3 * areas.max())))]
    width, height = box[2] - box[0], box[3] - box[1]
    off = rng.uniform(-0.03, 0.03, 4) * (width, height, width, height)
    left, top = max(box[0] + off[0], 0), max(box[1] + off[1], 0)
    right, bottom = min(box[2] + off[2], page.width), min(box[3] + off[3], page.height)
    part = page.crop((round(left), round(top), round(right), round(bottom)))
    scale = rng.uniform(0.4, 1.2)
    part = part.resize(
        (max(round(part.width * scale), 48), max(round(part.height * scale), 48)), Image.Resampling.LANCZOS
    )
    return jpeg(part, int(rng.integers(60, 92)))


def screenshot(page: Image.Image, panels: Sequence[Box], rng: np.random.Generator) -> Image.Image:
    """A reader on a phone or tablet: the page on a plain ground, with a status bar, often with bars of the program."""
    width, height = PHONES[rng.integers(len(PHONES))]
    ground = [(0, 0, 0), (18, 18, 18), (255, 255, 255), (40, 44, 52), (244, 236, 216)][rng.integers(5)]
    screen = Image.new("RGB", (width, height), ground)
    scale = min(width / page.width, height / page.height) * rng.choice([1.0, 1.0, 0.94])
    shown = page.resize((round(page.width * scale), round(page.height * scale)), Image.Resampling.BICUBIC)
    screen.paste(shown, ((width - shown.width) // 2, (height - shown.height) // 2))
    draw = ImageDraw.Draw(screen)
    light = sum(ground) < 300
    ink = (235, 235, 235) if light else (30, 30, 30)
    if rng.random() < 0.7:
        size = width // 28
        draw.text(
            (width * 0.05, height * 0.012), f"{rng.integers(24)}:{rng.integers(10, 60)}", fill=ink, font_size=size
        )
        draw.rectangle((width * 0.88, height * 0.014, width * 0.94, height * 0.014 + size * 0.8), fill=ink)
        draw.ellipse((width * 0.8, height * 0.014, width * 0.8 + size * 0.8, height * 0.014 + size * 0.8), fill=ink)
    if rng.random() < 0.5:  # the bars of the program lie over whatever is there
        bar = tuple(int(value) for value in np.clip(np.array(ground) + (25 if light else -25), 0, 255))
        draw.rectangle((0, height * 0.94, width, height), fill=bar)
        draw.line((width * 0.1, height * 0.97, width * 0.9, height * 0.97), fill=ink, width=4)
        draw.text((width * 0.42, height * 0.945), f"{rng.integers(1, 40)} / 48", fill=ink, font_size=width // 32)
    return jpeg(screen, int(rng.integers(75, 95)))


def half(page: Image.Image, panels: Sequence[Box], rng: np.random.Generator) -> Image.Image:
    """The upper or lower half of a page, or a little more or less."""
    share = rng.uniform(0.45, 0.6)
    height = round(page.height * share)
    top = 0 if rng.random() < 0.5 else page.height - height
    part = page.crop((0, top, page.width, top + height))
    scale = rng.uniform(0.5, 1.0)
    return jpeg(part.resize((round(part.width * scale), round(part.height * scale)), Image.Resampling.LANCZOS), 80)


def photograph(page: Image.Image, panels: Sequence[Box], rng: np.random.Generator) -> Image.Image:
    """A page on a table, seen from the side: perspective, grain of wood or cloth, uneven light, blur, noise."""
    tall = 1400
    scale = tall * rng.uniform(0.65, 0.85) / page.height
    small = page.resize((round(page.width * scale), round(page.height * scale)), Image.Resampling.LANCZOS)
    width, height = round(small.width / rng.uniform(0.65, 0.85)), tall
    table = _table(width, height, rng)
    angle = np.deg2rad(rng.uniform(-12, 12))
    corners = np.array([(0, 0), (small.width, 0), (small.width, small.height), (0, small.height)], float)
    middle = np.array([small.width, small.height]) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = (corners - middle) @ turn.T
    target *= np.where(target[:, 1:] < 0, rng.uniform(0.8, 1.0), 1.0)  # farther away above
    target += rng.uniform(-0.02, 0.02, (4, 2)) * (small.width, small.height)
    room = np.abs(target).max(axis=0) / (np.array([width, height]) / 2 * 0.97)
    target = target / max(room.max(), 1.0) + np.array([width, height]) / 2
    warp = perspective(target, corners)
    flat = small.transform((width, height), Image.Transform.PERSPECTIVE, tuple(warp), Image.Resampling.BICUBIC)
    mask = Image.new("L", small.size, 255).transform((width, height), Image.Transform.PERSPECTIVE, tuple(warp))
    photo = Image.composite(flat, Image.fromarray(table), mask.filter(ImageFilter.GaussianBlur(0.7)))
    photo = photo.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.1)))
    pixels = np.asarray(photo, np.float32)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    light = 1 - rng.uniform(0.1, 0.35) * (columns * rng.uniform(-1, 1) + rows * rng.uniform(-1, 1) + 0.5).clip(0, 1)
    tint = rng.uniform(0.9, 1.0, 3)
    pixels = pixels * light[..., None] * tint + rng.normal(0, rng.uniform(2, 6), pixels.shape)
    return jpeg(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), int(rng.integers(70, 90)))


def _table(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    colour = np.array(
        [(120, 84, 52), (70, 72, 78), (168, 140, 104), (46, 62, 44), (200, 196, 188)][rng.integers(5)], float
    )
    grain = rng.normal(0, 1, (height // 2 + 1, 8)).repeat(width // 8 + 1, 1).repeat(2, 0)[:height, :width]
    knots = np.asarray(
        Image.fromarray(rng.normal(128, 40, (24, 24)).clip(0, 255).astype(np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        ),
        np.float32,
    )
    return (colour + grain[..., None] * 7 + (knots[..., None] - 128) * 0.2).clip(0, 255).astype(np.uint8)


KINDS: dict[str, Kind] = {
    "cut-out panel": cut_out,
    "screenshot": screenshot,
    "half page": half,
    "photograph": photograph,
}
