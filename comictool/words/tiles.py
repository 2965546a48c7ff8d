"""Pages of any size to an engine: large ones are made smaller, tall strips are read in pieces that overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from comictool.plugins.protocols import TextLine

SHORT_SIDE = 1400  # pixels; lettering of 1/60 of a page's width is then 23 high, and more brings nothing
STRIP = 2.2  # longer than so many times the shorter side: read in pieces
PIECE = 1.5  # a piece's length in shorter sides
LEAST_PIECE = 1000  # pixels of it; a sliver is not cut into thousands
LEAST_SIDE = 8  # pixels; below that there is nothing to read
OVERLAP = 0.3  # of neighbouring pieces, in shorter sides; no line of a strip is that high
CUT = 2  # pixels from a cut within which a line is taken for cut
SAME = 0.5  # share of the smaller of two boxes inside the other from which they are one line seen twice


def read_lines(picture: np.ndarray, read: Callable[[np.ndarray], Iterable[TextLine]]) -> list[TextLine]:
    """The lines of a picture, in its own pixels.

    Args:
        picture: (H, W, 3) uint8 RGB, of any size.
        read: what reads a smaller one.
    """
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_SIDE:
        return []
    scale = min(1.0, SHORT_SIDE / min(height, width))
    small = _scaled(picture, scale)
    found: list[list[TextLine]] = []
    for x, y, piece in _pieces(small):
        whole = [line for line in read(piece) if not _is_cut(line, x, y, piece, small)]
        found.append([_moved(line, x, y) for line in whole])
    lines = _once([line for part in found for line in part]) if len(found) > 1 else found[0]
    fx, fy = width / small.shape[1], height / small.shape[0]
    return [
        TextLine((b[0] * fx, b[1] * fy, min(width, b[2] * fx), min(height, b[3] * fy)), line.text, line.score)
        for line in lines
        for b in [line.box]
    ]


def _scaled(picture: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1.0:
        return picture
    from PIL import Image

    kernel = Image.Resampling.BOX if scale <= 0.5 else Image.Resampling.LANCZOS
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, kernel))


def _pieces(picture: np.ndarray) -> Iterable[tuple[int, int, np.ndarray]]:
    """(x, y, piece): the whole picture, or pieces along its longer side."""
    height, width = picture.shape[:2]
    short, long = sorted((height, width))
    if long <= STRIP * short:
        yield 0, 0, picture
        return
    piece, overlap = max(LEAST_PIECE, round(PIECE * short)), round(OVERLAP * short)
    for start in range(0, max(1, long - overlap), piece - overlap):
        if height > width:
            yield 0, start, picture[start : start + piece]
        else:
            yield start, 0, picture[:, start : start + piece]


def _is_cut(line: TextLine, x: int, y: int, piece: np.ndarray, whole: np.ndarray) -> bool:
    """Whether a line lies at an edge of a piece that is none of the picture: the neighbour has all of it."""
    x0, y0, x1, y1 = line.box
    return bool(
        (x and x0 <= CUT)
        or (y and y0 <= CUT)
        or (x + piece.shape[1] < whole.shape[1] and x1 >= piece.shape[1] - CUT)
        or (y + piece.shape[0] < whole.shape[0] and y1 >= piece.shape[0] - CUT)
    )


def _moved(line: TextLine, x: int, y: int) -> TextLine:
    x0, y0, x1, y1 = line.box
    return TextLine((x0 + x, y0 + y, x1 + x, y1 + y), line.text, line.score)


def _once(lines: list[TextLine]) -> list[TextLine]:
    """Of lines that lie in each other the longest text alone."""
    kept: list[TextLine] = []
    for line in sorted(lines, key=lambda line: (-len(line.text), -line.score)):
        if not any(_shared(line.box, other.box) > SAME for other in kept):
            kept.append(line)
    return kept


def _shared(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The share of the smaller box that lies in the other."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return width * height / smaller if width > 0 and height > 0 else 0.0
