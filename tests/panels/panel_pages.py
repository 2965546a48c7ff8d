"""Tiny procedural pages with known panels, for the tests of panel detection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]
Polygon = Sequence[tuple[float, float]]
WHITE, BLACK = (255, 255, 255), (10, 10, 10)


def art(width: int, height: int, seed: int, *, screentone: bool = False) -> np.ndarray:
    """A (height, width, 3) scene of soft colour fields, a ground and some figures, without ruler-straight strokes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    base = rng.uniform(60, 190, 3)
    wave = 25 * np.sin(x / width * 5 + rng.uniform(0, 6)) + 25 * np.sin(y / height * 4 + rng.uniform(0, 6))
    scene = base[None, None] + wave[..., None]
    picture = Image.fromarray(scene.clip(0, 215).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        cx, cy = rng.uniform(0.15, 0.85) * width, rng.uniform(0.25, 0.85) * height
        r = rng.uniform(0.05, 0.16) * min(width, height)
        fill = tuple(int(v) for v in rng.uniform(20, 230, 3))
        pen.ellipse((cx - r, cy - 1.4 * r, cx + r, cy + 1.4 * r), fill=fill, outline=BLACK, width=2)
    pixels = np.asarray(picture)
    if screentone:
        grey = pixels.mean(-1)
        dots = 127 + 90 * np.sin((x + y) * 1.1) * np.sin((x - y) * 1.1)
        pixels = np.repeat(np.where(grey < dots, 20, 245)[..., None], 3, axis=2)
    return pixels.astype(np.uint8)


def page_of(
    boxes: Sequence[Box],
    *,
    size: tuple[int, int] = (500, 700),
    paper: Colour = WHITE,
    frame: Colour | None = BLACK,
    frame_width: int = 3,
    screentone: bool = False,
    seed: int = 3,
) -> np.ndarray:
    """A page of `size` (width, height) with a scene and a frame in every box, later boxes over earlier ones."""
    page = np.empty((size[1], size[0], 3), dtype=np.uint8)
    page[:] = paper
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        page[y0:y1, x0:x1] = art(x1 - x0, y1 - y0, seed + number, screentone=screentone)
        if frame is not None:
            for inset in range(frame_width):
                page[[y0 + inset, y1 - 1 - inset], x0:x1] = frame
                page[y0:y1, [x0 + inset, x1 - 1 - inset]] = frame
    return page


def line_page(boxes: Sequence[Box], *, paper: Colour = WHITE, seed: int = 3) -> np.ndarray:
    """A page of 500x700 with a framed drawing of a few strokes, no shade, in every box."""
    picture = Image.new("RGB", (500, 700), paper)
    pen = ImageDraw.Draw(picture)
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        rng = np.random.default_rng(seed + number)
        for _ in range(6):
            cx, cy = x0 + rng.uniform(0.25, 0.75) * (x1 - x0), y0 + rng.uniform(0.25, 0.75) * (y1 - y0)
            r = rng.uniform(0.08, 0.2) * min(x1 - x0, y1 - y0)
            pen.ellipse((cx - r, cy - r, cx + r, cy + r), outline=BLACK, width=2)
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=BLACK, width=3)
    return np.array(picture)


def polygon_page(
    polygons: Sequence[Polygon],
    *,
    size: tuple[int, int] = (500, 700),
    paper: Colour = WHITE,
    seed: int = 3,
    screentone: bool = False,
) -> np.ndarray:
    """A page with a scene and a black frame in every polygon."""
    page = Image.new("RGB", size, paper)
    for number, polygon in enumerate(polygons):
        mask = Image.new("L", size, 0)
        ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in polygon], fill=255)
        page.paste(Image.fromarray(art(*size, seed + number, screentone=screentone)), (0, 0), mask)
        closed = [(float(x), float(y)) for x, y in (*polygon, polygon[0])]
        ImageDraw.Draw(page).line(closed, fill=BLACK, width=4, joint="curve")
    return np.asarray(page)


def balloon(page: np.ndarray, box: Box, words: int = 4) -> np.ndarray:
    """The page with a lettered balloon over everything."""
    picture = Image.fromarray(page)
    pen = ImageDraw.Draw(picture)
    pen.ellipse(box, fill=WHITE, outline=BLACK, width=2)
    x0, y0, x1, y1 = box
    for line in range(words):
        y = y0 + (y1 - y0) * (line + 1) / (words + 1)
        pen.text((x0 + 0.25 * (x1 - x0), y - 5), "SO THAT IS IT", fill=BLACK)
    return np.asarray(picture)


def outline_of(polygon: Polygon) -> Box:
    """The box around a polygon."""
    xs, ys = [p[0] for p in polygon], [p[1] for p in polygon]
    return int(min(xs)), int(min(ys)), int(max(xs)) + 1, int(max(ys)) + 1


def overlap(a: Sequence[int], b: Sequence[int]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
