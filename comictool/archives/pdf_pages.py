"""A page of a PDF as pixels.

Each pixel of a picture becomes a pixel of the page: the finest pictures that cover a good part of the page decide on
its resolution, and their corners are moved onto whole pixels before the page is drawn. Where nothing else is shown, the
page has their pixels, whatever forms, strips, tiles, turns and units of length they were wrapped in.
"""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from comictool.core.errors import InputError
from comictool.core.images import MAX_BYTES

POINTS_PER_INCH = 72.0
DRAWN_DPI = 150.0  # of a page of letters and lines
LEAST_DPI = 72.0  # a picture coarser than a screen, with letters or lines over it, is a background and not the page
MOST_DRAWN_PIXELS = 25_000_000  # of a page without a resolution of its own
MOST_PIXELS = MAX_BYTES // 3  # a page is handed on as three bytes a pixel
FULL_PAGE = 0.98  # share of each side that a picture must cover to be the page; some tools round by a point
SAME = 0.02  # resolutions that differ by less are the same one, rounded
LARGE_PICTURE = 0.25  # share of the page that pictures must cover to decide on the resolution
MOST_OBJECTS = 20_000  # objects of a page that are looked at
MOST_DEPTH = 12  # forms inside forms
_STRAIGHT = 1e-3  # share of its length by which a side may lean; a tenth of a pixel in a hundred
_TOUCHING = 0.3  # pixels; edges nearer than this are one edge
_INSET = 0.01  # pixels by which a moved picture stays inside its place: the drawing rounds outwards
_HIDDEN = pdfium.FPDF_TEXTRENDERMODE_INVISIBLE


@dataclass
class Placed:
    """A picture as it lies on the page as shown, in points from the top left corner.

    Attributes:
        raw: the object of pdfium.
        outer: from the space that its matrix leads to (a form's, the page's) to the page as shown.
        matrix: from the unit square to the page as shown.
        pixels: columns and rows as stored.
    """

    raw: Any
    outer: np.ndarray
    matrix: np.ndarray
    pixels: tuple[int, int]

    @property
    def is_upright(self) -> bool:
        """Neither turned nor mirrored."""
        (a, b, _), (c, d, _) = self.matrix[:2]
        return bool(a > 0 and d < 0 and abs(b) <= _STRAIGHT * a and abs(c) <= -_STRAIGHT * d)

    @property
    def is_straight(self) -> bool:
        """Its sides run along those of the page."""
        (a, b, _), (c, d, _) = np.abs(self.matrix[:2])
        return bool((b <= _STRAIGHT * a and c <= _STRAIGHT * d) or self.is_turned)

    @property
    def is_turned(self) -> bool:
        """Its rows run down the page or up."""
        (a, b, _), (c, d, _) = np.abs(self.matrix[:2])
        return bool(a <= _STRAIGHT * b and d <= _STRAIGHT * c)

    @property
    def shown(self) -> tuple[int, int]:
        """Pixels along the width and the height of the page."""
        return self.pixels[::-1] if self.is_turned else self.pixels

    @property
    def box(self) -> np.ndarray:
        """Left, top; right, bottom."""
        corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]]) @ self.matrix
        return np.array([corners[:, :2].min(0), corners[:, :2].max(0)])

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels a point, along the width and the height of the page; along its own sides when it lies askew."""
        if self.is_straight:
            width, height = self.box[1] - self.box[0]
            return self.shown[0] / width, self.shown[1] / height
        return self.pixels[0] / np.hypot(*self.matrix[0, :2]), self.pixels[1] / np.hypot(*self.matrix[1, :2])


@dataclass
class Layout:
    """What is on a page.

    Attributes:
        size: width and height as shown, in points.
        pictures: those of which something is on the page, in the order of painting.
        is_drawn: whether letters or lines may be seen; not those below a picture that covers the page.
        unit: points of an inch are 1/72 of it times this.
    """

    size: tuple[float, float]
    pictures: list[Placed]
    is_drawn: bool
    unit: float = 1.0

    def fills(self, picture: Placed) -> bool:
        """Whether a picture is the page: it covers it, and hardly more."""
        (left, top), (right, bottom) = picture.box
        width, height = self.size
        spill = max(-left, right - width, -top, bottom - height)
        return bool(
            picture.is_straight
            and spill <= (1 - FULL_PAGE) * max(self.size)
            and right - left >= FULL_PAGE * width
            and bottom - top >= FULL_PAGE * height
        )

    def covers(self, above: Placed, below: Placed) -> bool:
        """Whether nothing of a picture is seen beside one that is painted later."""
        left, top = np.maximum(below.box[0], 0) - above.box[0]
        right, bottom = above.box[1] - np.minimum(below.box[1], self.size)
        pixel = 1 / max(above.scale)
        return bool(min(left, top, right, bottom) > -_TOUCHING * pixel)


def layout_of(page: Any, unit: float = 1.0) -> Layout:
    """Look at the objects of a page.

    Raises:
        InputError: a page without area.
    """
    box = pdfium.FS_RECTF()
    pdfium.FPDF_GetPageBoundingBox(page, ctypes.byref(box))
    width, height = page.get_size()
    if not (width > 0 and height > 0):
        raise InputError("a PDF page without area")
    layout = Layout((width, height), [], False, unit)
    objects = _objects(
        pdfium.FPDFPage_CountObjects(page), lambda n: pdfium.FPDFPage_GetObject(page, n), _to_shown(page, box), 0
    )
    for count, (kind, raw, outer) in enumerate(objects):
        if count >= MOST_OBJECTS:
            layout.is_drawn = True
            break
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            columns, rows = ctypes.c_uint(), ctypes.c_uint()
            pdfium.FPDFImageObj_GetImagePixelSize(raw, columns, rows)
            picture = Placed(raw, outer, _matrix(raw) @ outer, (columns.value, rows.value))
            inside = np.minimum(picture.box[1], layout.size) - np.maximum(picture.box[0], 0)
            if min(inside) > 0 and min(picture.pixels) > 0:
                layout.pictures.append(picture)
                layout.is_drawn &= not layout.fills(picture)
        elif layout.pictures or not _is_white(kind, raw):  # a sheet of paper under all else is not seen
            layout.is_drawn |= _is_visible(kind, raw)
    return layout


def _objects(
    count: int, get: Callable[[int], Any], outer: np.ndarray, depth: int
) -> Iterator[tuple[int, Any, np.ndarray]]:
    """Type and object of all that is painted, with the way to the page as shown; what is in forms as well."""
    for number in range(count):
        raw = get(number)
        kind = pdfium.FPDFPageObj_GetType(raw)
        if kind != pdfium.FPDF_PAGEOBJ_FORM:
            yield kind, raw, outer
        elif depth < MOST_DEPTH:
            inner = _matrix(raw) @ outer

            def member(place: int, form: Any = raw) -> Any:
                return pdfium.FPDFFormObj_GetObject(form, place)

            yield from _objects(pdfium.FPDFFormObj_CountObjects(raw), member, inner, depth + 1)


def _is_visible(kind: int, raw: Any) -> bool:
    if kind == pdfium.FPDF_PAGEOBJ_TEXT:
        return bool(pdfium.FPDFTextObj_GetTextRenderMode(raw) != _HIDDEN)  # recognised text of a scan is not shown
    if kind == pdfium.FPDF_PAGEOBJ_PATH:
        fill, stroke = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDFPath_GetDrawMode(raw, fill, stroke)
        return bool(fill.value or stroke.value)
    return True


def _is_white(kind: int, raw: Any) -> bool:
    """A surface filled with white, without an outline."""
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    colour = [ctypes.c_uint() for _ in range(4)]
    return bool(
        kind == pdfium.FPDF_PAGEOBJ_PATH
        and pdfium.FPDFPath_GetDrawMode(raw, fill, stroke)
        and not stroke.value
        and pdfium.FPDFPageObj_GetFillColor(raw, *colour)
        and all(part.value == 255 for part in colour[:3])
    )


def _matrix(raw: Any) -> np.ndarray:
    m = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(raw, m)
    return np.array([[m.a, m.b, 0], [m.c, m.d, 0], [m.e, m.f, 1]], np.float64)


def _to_shown(page: Any, box: Any) -> np.ndarray:
    """From the page's own space to the page as shown: turned, from the top left corner, downwards."""
    left, bottom, right, top = box.left, box.bottom, box.right, box.top
    return np.array(
        {
            0: [[1, 0, 0], [0, -1, 0], [-left, top, 1]],
            90: [[0, 1, 0], [1, 0, 0], [-bottom, -left, 1]],
            180: [[-1, 0, 0], [0, 1, 0], [right, -bottom, 1]],
            270: [[0, -1, 0], [-1, 0, 0], [top, right, 1]],
        }[page.get_rotation()],
        np.float64,
    )


def draw(page: Any, layout: Layout) -> bytes:
    """The page as an uncompressed picture (PPM or PGM); the import's rule for pictures then picks the format.

    Raises:
        InputError: more pixels than a page may have.
    """
    group = _deciding(layout)
    scales = _scales(layout, group)
    sizes = [max(1, round(side * scale)) for side, scale in zip(layout.size, scales, strict=True)]
    snapped = [picture for picture in layout.pictures if group and _is_near(picture, scales)]
    deciding = {id(picture) for picture in group}
    axes = [_along(axis, sizes[axis] / layout.size[axis], sizes[axis], snapped, deciding) for axis in (0, 1)]
    width, height = axes[0][1], axes[1][1]
    if width * height > MOST_PIXELS:
        raise InputError(f"{width}x{height} pixels: more than a drawn page may have ({MOST_PIXELS:,})")
    for number, picture in enumerate(snapped):
        places = [axes[axis][0][number] for axis in (0, 1)]
        _move(picture, places, [layout.size[0] / width, layout.size[1] / height])
    bitmap = pypdfium2.PdfBitmap.new_native(width, height, pdfium.FPDFBitmap_BGR)
    pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
    flags = pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER
    pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
    pixels = bitmap.to_numpy()
    is_grey = bool((pixels[..., :1] == pixels[..., 1:]).all())
    drawn = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if is_grey else pixels))
    bitmap.close()
    stream = io.BytesIO()
    drawn.save(stream, "PPM")
    return stream.getvalue()


def _deciding(layout: Layout) -> list[Placed]:
    """The pictures that decide on the resolution: the finest that, with all finer ones, cover enough."""
    areas = []
    for picture in layout.pictures:
        inside = np.minimum(picture.box[1], layout.size) - np.maximum(picture.box[0], 0)
        areas.append((_fineness(picture), float(inside[0] * inside[1])))
    page = layout.size[0] * layout.size[1]
    needed = LARGE_PICTURE * (page if layout.is_drawn else min(page, sum(area for _, area in areas)))
    covered = 0.0
    for finest, area in sorted(areas, reverse=True):
        covered += area
        if covered >= needed:
            if layout.is_drawn and finest * POINTS_PER_INCH < LEAST_DPI * layout.unit:
                return []
            return [picture for picture in layout.pictures if abs(_fineness(picture) / finest - 1) <= SAME]
    return []


def _fineness(picture: Placed) -> float:
    """Pixels a point along the longer side, which rounded positions change least."""
    pixels = picture.shown if picture.is_straight else picture.pixels
    return float(picture.scale[int(np.argmax(pixels))])


def _scales(layout: Layout, group: list[Placed]) -> tuple[float, float]:
    """Pixels a point along the width and the height of the page."""
    if not group:
        scale = DRAWN_DPI * layout.unit / POINTS_PER_INCH
        most = (MOST_DRAWN_PIXELS / (layout.size[0] * layout.size[1])) ** 0.5
        return min(scale, most), min(scale, most)
    straight = [picture for picture in group if picture.is_straight]
    if not straight:
        finest = max(max(picture.scale) for picture in group)
        return finest, finest
    # Over all of them: where strips touch, what one was rounded up by the next was rounded down.
    pixels = np.sum([picture.shown for picture in straight], axis=0)
    across, down = pixels / np.sum([picture.box[1] - picture.box[0] for picture in straight], axis=0)
    if abs(across / down - 1) <= SAME:
        return float(across), float(down)
    return (float(max(across, down)),) * 2  # stretched: the page keeps its shape


def _is_near(picture: Placed, scales: tuple[float, float]) -> bool:
    """Whether a picture has about as many pixels as the place that it takes."""
    if not picture.is_straight:
        return False
    places = (picture.box[1] - picture.box[0]) * scales
    return all(
        abs(pixels - place) <= max(2.0, SAME * pixels) for pixels, place in zip(picture.shown, places, strict=True)
    )


def _along(
    axis: int, scale: float, size: int, pictures: list[Placed], deciding: set[int]
) -> tuple[list[tuple[int, int]], int]:
    """First pixel and the one past the last of each picture along an axis, and how many the page has.

    Pictures that are the page but for rounding decide where it begins and ends: their edges are those of the page.
    """
    places: dict[int, tuple[int, int]] = {}
    edges: dict[float, int] = {}  # where an edge lies in pixels, and where it was put
    for number in sorted(range(len(pictures)), key=lambda n: float(pictures[n].box[0][axis])):
        start, stop = pictures[number].box[:, axis] * scale
        touched = [put for edge, put in edges.items() if abs(edge - start) <= _TOUCHING]
        first = touched[-1] if touched else round(start)
        places[number] = first, first + pictures[number].shown[axis]
        edges[stop] = places[number][1]
        edges = {edge: put for edge, put in edges.items() if edge >= start - _TOUCHING}
    of_the_page = [places[n] for n, picture in enumerate(pictures) if id(picture) in deciding]
    first, last = min((a for a, _ in of_the_page), default=0), max((b for _, b in of_the_page), default=0)
    slack = (1 - FULL_PAGE) * size
    if not of_the_page or abs(first) > slack or abs(last - size) > slack:
        first, last = 0, size
    return [(places[n][0] - first, places[n][1] - first) for n in range(len(pictures))], last - first


def _move(picture: Placed, places: list[tuple[int, int]], points: list[float]) -> None:
    """Put a picture onto whole pixels; `points` are those of a pixel along both axes."""
    starts = [(first + _INSET) * point for (first, _), point in zip(places, points, strict=True)]
    stops = [(last - _INSET) * point for (_, last), point in zip(places, points, strict=True)]
    target = np.diag([0.0, 0.0, 1.0])
    for axis in (0, 1):
        side = int(picture.is_turned) ^ axis  # of the unit square that runs along this axis
        forward = picture.matrix[side, axis] > 0
        target[side, axis] = (stops[axis] - starts[axis]) * (1 if forward else -1)
        target[2, axis] = starts[axis] if forward else stops[axis]
    try:
        matrix = target @ np.linalg.inv(picture.outer)
    except np.linalg.LinAlgError:
        return  # a form without area
    values = (float(matrix[row, column]) for row in range(3) for column in range(2))
    pdfium.FPDFPageObj_SetMatrix(picture.raw, pdfium.FS_MATRIX(*values))
