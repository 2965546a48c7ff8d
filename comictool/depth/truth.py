"""Truth about depth that is no segments: pairs of points, ordered points, ranks of whole pages.

pairs     JSON, a list of `{"image", "panel_box", "near": [x, y], "far": [x, y], "page"}`; points in page pixels.
points    ComicsDepth: a text file for each panel, beside its picture, a line `l1 l2 x y` for each point: object from 1,
          place within it from 1, both nearest first, and where it is in the panel's picture.
pages     MLRC-Bench, task depth-estimation: CSV `image_id,inter_depth,intra_depth`, many rows for one page, and
          nothing that says which of its segments each is of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from comictool.core.errors import InputError
from comictool.core.files import below, read_bounded
from comictool.core.typed import Check, typed
from comictool.corpus.records import Box
from comictool.formats.values import header_of, number_of, read_json, read_rows

MLRC = ("image_id", "inter_depth", "intra_depth")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
MOST_TEXT = 1 << 20  # bytes of points of one panel
_OPEN = Check(lambda box: box is None or (box[0] < box[2] and box[1] < box[3]), "a box [x0, y0, x1, y1] with an area")
Point = tuple[float, float]


@dataclass(frozen=True)
class PointPair:
    """Two points of a panel, one nearer.

    Attributes:
        picture: of the page.
        box: of the panel on it; None: the picture is the panel.
        page: that points belong together by.
    """

    picture: Path
    box: Box | None
    near: Point
    far: Point
    page: str


@dataclass(frozen=True)
class PointPanel:
    """Ordered points of one panel: its picture, (N, 2) places x, y in it, and (N,) numbers of object and place."""

    picture: Path
    page: str
    points: np.ndarray
    inter: np.ndarray
    intra: np.ndarray


@dataclass(frozen=True)
class PageRanks:
    """Ranks that name a page alone: (N,) names, inter and intra, nan where a cell is empty."""

    pages: list[str]
    inter: np.ndarray
    intra: np.ndarray


@dataclass(frozen=True)
class _Pair:
    image: str
    near: Point
    far: Point
    panel_box: Annotated[Box | None, _OPEN] = None
    page: str = ""
    extra: dict[str, Any] | None = None


def kind_of(path: Path) -> str:
    """What a truth is: `pairs`, `points`, `pages` or, as far as this can tell, `segments`.

    Raises:
        InputError: there is nothing.
    """
    if not path.exists():
        raise InputError(f"{path} is not there")
    if path.is_file() and path.suffix.lower() == ".csv":
        return "pages" if header_of(path)[:1] == [MLRC[0]] else "segments"
    if path.is_file() and path.suffix.lower() == ".txt":
        return "points"
    if path.is_file() and path.suffix.lower() == ".json":
        with path.open("rb") as stream:
            return "pairs" if stream.read(64).lstrip()[:1] == b"[" else "segments"
    if path.is_dir() and not (path / "corpus.toml").is_file():
        if (path / "pairs.json").is_file():
            return "pairs"
        if any(picture_beside(file) for file in path.glob("*.txt")):
            return "points"
    return "segments"


def read_pairs(path: Path, pictures: Path | None = None) -> list[PointPair]:
    """Pairs of points.

    Args:
        path: the JSON file, or the folder of a `pairs.json`.
        pictures: the folder that `image` is relative to; else that of the file, or the one above it.

    Raises:
        InputError: not such a file, or a picture outside of the folder or not there.
    """
    file = path / "pairs.json" if path.is_dir() else path
    rows = read_json(file)
    roots = [pictures] if pictures is not None else [file.parent, file.resolve().parent.parent]
    out = []
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        value = {k: v for k, v in row.items() if k in _Pair.__annotations__} if isinstance(row, dict) else row
        pair = typed(_Pair, value, f"{file} pair {index + 1}")
        found = next((place for root in roots if (place := below(root, pair.image)).is_file()), None)
        if found is None:
            raise InputError(
                f"{file} pair {index + 1}: its picture {pair.image} is not there", hint="--pictures-from FOLDER"
            )
        out.append(PointPair(found, pair.panel_box, pair.near, pair.far, pair.page or pair.image))
    if not out:
        raise InputError(f"{file} holds no pairs of points")
    return out


def read_points(path: Path, pictures: Path | None = None) -> list[PointPanel]:
    """ComicsDepth's ordered points: one text file, or all of a folder whose picture is there.

    Raises:
        InputError: there are none, or a line is not `l1 l2 x y`.
    """
    files = [path] if path.is_file() else sorted(path.glob("*.txt"))
    out = []
    for file in files:
        picture = picture_beside(file, pictures)
        if picture is None and path.is_file():
            raise InputError(f"{file}: the picture {file.stem} is not beside it", hint="--pictures-from FOLDER")
        if picture is None:
            continue
        text = read_bounded(file, most_bytes=MOST_TEXT, what="the points").decode("utf-8", "replace")
        rows = []
        for number, line in enumerate(text.splitlines(), start=1):
            cells = [number_of(cell) for cell in line.split()]
            if not cells:
                continue
            if len(cells) != 4 or None in cells:
                raise InputError(f"{file} line {number} is not `l1 l2 x y`: {line[:40]!r}")
            rows.append([cell for cell in cells if cell is not None])
        table = np.array(rows, np.float64).reshape(-1, 4)
        page = file.stem.rstrip("0123456789") or file.stem
        out.append(PointPanel(picture, page, table[:, 2:], table[:, 0], table[:, 1]))
    if not out:
        raise InputError(f"{path} holds no points (text files beside pictures of the same name)")
    return out


def read_page_ranks(path: Path) -> PageRanks:
    """MLRC-Bench's table, or predictions in its columns.

    Raises:
        InputError: a column is missing.
    """
    pages, values = [], []
    for _, row in read_rows(path, MLRC):
        pages.append(row[MLRC[0]])
        values.append([number_of(row[name]) for name in MLRC[1:]])
    table = np.array(values, np.float64).reshape(-1, 2)  # None becomes nan
    return PageRanks(pages, table[:, 0], table[:, 1])


def picture_beside(file: Path, folder: Path | None = None) -> Path | None:
    """The picture of the same name."""
    places = (folder or file.parent).glob(f"{_escaped(file.stem)}.*")
    return next((place for place in sorted(places) if place.suffix.lower() in PICTURES), None)


def _escaped(name: str) -> str:
    from glob import escape

    return escape(name)
