"""What an SVG drawing shows, as far as needed to tell a picture in an SVG frame from a page that has to be drawn."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from comictool.archives.epub_styles import Styles, word_of
from comictool.archives.markup import link_of, name_of

Matrix = tuple[float, float, float, float, float, float]
Box = tuple[float, float, float, float]  # left, top, width, height
_SHAPES = {"path", "rect", "circle", "ellipse", "line", "polyline", "polygon"}
_NOT_SHOWN = {"defs", "symbol", "clippath", "mask", "marker", "lineargradient", "radialgradient", "filter", "metadata"}
_NOT_SHOWN |= {"title", "desc", "style", "script", "pattern"}
_OWN = ("opacity", "fill-opacity", "display")
_INHERITED = ("fill", "stroke", "visibility")
_SPARE = 0.02  # share of a side by which a frame may miss its picture: programs round by a point
_MOST_ELEMENTS = 200_000  # with those that `use` repeats
_DEEPEST = 500
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_UNIT = {"px": 1.0, "": 1.0, "pt": 96 / 72, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4}


@dataclass
class Marks:
    """What is to be seen in a drawing.

    Attributes:
        pictures: references of the raster pictures in it, in order.
        painted: whether shapes or letters are seen besides, or the picture is cut or turned.
        letters: of text.
        foreign: elements of HTML inside, wrapped.
        size: width and height in the drawing's own units; None when it does not say.
        drawn: width and height of the pictures in these units, None where that cannot be said.
    """

    pictures: list[str] = field(default_factory=list)
    painted: bool = False
    letters: int = 0
    foreign: list[Any] = field(default_factory=list)
    size: tuple[float, float] | None = None
    drawn: list[tuple[float, float] | None] = field(default_factory=list)

    @property
    def is_one_picture(self) -> bool:
        """Whether the drawing is nothing but a frame round one picture."""
        return len(self.pictures) == 1 and not self.painted


def marks_of(wrapper: Any, styles: Styles) -> Marks:
    """Look through a drawing; `wrapper` is its outermost `svg`."""
    root = wrapper.etree_element
    view = view_of(root)
    marks = Marks(size=view[2:] if view else None)
    misplaced = name_of(root)[0] == "html"  # a drawing that lacks its namespace
    known = {element.get("id"): element for element in root.iter() if element.get("id")}
    # element or wrapper, matrix to the outermost units, what it inherits, depth
    inherited = {"fill": "black", "stroke": "none", "visibility": "visible"}
    start: Matrix = (1, 0, 0, 1, -view[0], -view[1]) if view else (1, 0, 0, 1, 0, 0)
    todo: list[tuple[Any, Matrix | None, dict[str, str], int]] = [(wrapper, start, inherited, 0)]
    count = 0
    while todo:
        at, matrix, inherited, depth = todo.pop()
        count += 1
        if count > _MOST_ELEMENTS or depth > _DEEPEST:
            marks.painted = True
            break
        element = at.etree_element
        space, name = name_of(element)
        style = styles.of(at)
        said = {**inherited}
        for key in _INHERITED:
            said[key] = word_of(style.get(key)) or element.get(key, "").lower() or inherited[key]
        own = {
            key: word_of(style.get(key)) or element.get(key, "").lower()
            for key in ("opacity", "fill-opacity", "display")
        }
        if name in _NOT_SHOWN or own["display"] == "none" or own["opacity"] in ("0", "0%", ".0", "0.0"):
            continue
        if name == "foreignobject" or (space == "html" and not misplaced):
            marks.foreign.extend(at.iter_children() if name == "foreignobject" else [at])
            continue
        matrix = _times(matrix, _transform(element.get("transform", "")))
        if name == "svg" and depth:
            matrix = None  # a frame within the frame; where things lie is not followed further
        if said["visibility"] != "visible":
            pass
        elif name == "image" and link_of(element):
            _add_picture(marks, element, matrix)
            if any(word_of(style.get(key)) or element.get(key, "none") != "none" for key in ("mask", "filter")):
                marks.painted = True
        elif name in ("text", "tspan", "textpath"):
            letters = sum(len("".join(part.split())) for part in (element.text or "", *(c.tail or "" for c in element)))
            marks.letters += letters
            marks.painted = marks.painted or letters > 0
        elif name in _SHAPES and _paints(said, own):
            marks.painted = True
        elif name == "use":
            target = known.get((link_of(element) or "").removeprefix("#"))
            if target is not None:
                marks.painted = marks.painted or name_of(target)[1] in _SHAPES | {"text", "g", "symbol"}
                if name_of(target)[1] == "image":
                    _add_picture(marks, target, None)
        todo.extend((child, matrix, said, depth + 1) for child in reversed(list(at.iter_children())))
    return marks


def view_of(root: Any) -> Box | None:
    """Left, top, width and height of what a drawing shows, in its own units."""
    numbers = [float(number) for number in _NUMBER.findall(root.get("viewBox", ""))]
    if len(numbers) == 4 and numbers[2] > 0 and numbers[3] > 0:
        return numbers[0], numbers[1], numbers[2], numbers[3]
    width, height = length(root.get("width", "")), length(root.get("height", ""))
    return (0.0, 0.0, width, height) if width and height else None


def length(text: str, whole: float | None = None) -> float | None:
    """A length in the drawing's units; of a share, `whole` is what it is a share of."""
    found = _NUMBER.match(text.strip())
    if not found:
        return None
    unit = text.strip()[found.end() :].strip().lower()
    if unit == "%":
        return None if whole is None else whole * float(found[0]) / 100
    return float(found[0]) * _UNIT[unit] if unit in _UNIT else None


def _add_picture(marks: Marks, element: Any, matrix: Matrix | None) -> None:
    box = _box(element, matrix, marks.size)
    marks.pictures.append(link_of(element) or "")
    marks.drawn.append(box[2:] if box else None)
    if matrix is not None and _is_turned(matrix):
        marks.painted = True
    elif box and marks.size:
        (x, y, w, h), (width, height) = box, marks.size
        ahead = (-x / width, -y / height, (x + w) / width - 1, (y + h) / height - 1)  # beyond the frame at each side
        if max(ahead) > _SPARE:
            marks.painted = True  # the frame shows a part of the picture
        elif min(ahead) >= -_SPARE and len(marks.pictures) == 1 and not marks.letters:
            marks.painted = False  # it covers what was painted before, such as white paper


def _is_turned(matrix: Matrix) -> bool:
    a, b, c, d, _, _ = matrix
    return a < 0 or d < 0 or abs(b) + abs(c) > 1e-3 * (abs(a) + abs(d))


def _box(element: Any, matrix: Matrix | None, size: tuple[float, float] | None) -> Box | None:
    sides = size or (None, None)
    x, y = length(element.get("x", "0"), sides[0]), length(element.get("y", "0"), sides[1])
    width, height = length(element.get("width", ""), sides[0]), length(element.get("height", ""), sides[1])
    if matrix is None or x is None or y is None or not width or not height:
        return None
    a, b, c, d, e, f = matrix
    return a * x + e, d * y + f, math.hypot(a, b) * width, math.hypot(c, d) * height


def _paints(said: dict[str, str], own: dict[str, str]) -> bool:
    clear = ("none", "transparent", "")
    return (said["fill"] not in clear and own["fill-opacity"] not in ("0", "0.0", "0%")) or said["stroke"] not in clear


def _times(one: Matrix | None, other: Matrix | None) -> Matrix | None:
    if one is None or other is None:
        return None
    a, b, c, d, e, f = one
    g, h, i, j, k, m = other
    return a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * m + e, b * k + d * m + f


def _transform(text: str) -> Matrix | None:
    """The matrix of a list of transformations (SVG 1.1, 7.6); None when it holds something else."""
    matrix: Matrix | None = (1, 0, 0, 1, 0, 0)
    for name, inside in re.findall(r"(\w+)\s*\(([^()]*)\)", text):
        values = [float(number) for number in _NUMBER.findall(inside)]
        step: Matrix | None = None
        if name == "matrix" and len(values) == 6:
            step = (values[0], values[1], values[2], values[3], values[4], values[5])
        elif name == "translate" and values:
            step = (1, 0, 0, 1, values[0], values[1] if len(values) > 1 else 0)
        elif name == "scale" and values:
            step = (values[0], 0, 0, values[-1], 0, 0)
        elif name == "rotate" and values:
            cos, sin = math.cos(math.radians(values[0])), math.sin(math.radians(values[0]))
            x, y = values[1:3] if len(values) > 2 else (0.0, 0.0)
            step = (cos, sin, -sin, cos, x - cos * x + sin * y, y - sin * x - cos * y)
        elif name in ("skewX", "skewY") and values:
            slant = math.tan(math.radians(values[0]))
            step = (1, 0, slant, 1, 0, 0) if name == "skewX" else (1, slant, 0, 1, 0, 0)
        matrix = _times(matrix, step)
    return matrix
