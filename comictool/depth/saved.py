"""What `depth predict` writes, a page at a time, and how it is read again.

```
OUT/pages.json                  the pages: id, picture, size, files, panels with the range of their depths
OUT/maps/<page>.png             16-bit grey; 0 no depth, else (v - 1) / 65534 of the panel's range, 0 nearest
OUT/arrays/<page>.npz           `depth` (H, W) float32 in the model's own unit, nan outside of panels; `panels` (P, 4)
OUT/overlays/<page>.jpg         the page with its depth in colours, near is warm
OUT/clouds/<page>.ply           points x, y, z with the page's colours
OUT/segments.csv, baseline.csv  ranks of segments, in the challenge's columns and in the released baseline's
OUT/sheet.html                  all overlays, and panels whose layers move with the pointer
```
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError
from comictool.core.files import below, read_json, write_bytes
from comictool.core.typed import typed
from comictool.corpus.records import Box
from comictool.depth.maps import cut
from comictool.drawn.depth import encode_png16, read_depth, to_stored

PAGES = "pages.json"
QUALITY = 88
SHOWN = 2  # per cent of a panel at either end of its depths that share one colour
MOST_POINTS = 300_000  # of a cloud; beyond that every n-th row and column
RELIEF = 0.25  # of the panel's longer side, from the nearest to the farthest point of a cloud
# Colours of near to far, evenly bright to the eye: matplotlib's "inferno" at nine places, backwards.
_INFERNO = ("fcffa4", "f9c932", "f98e09", "e35933", "bb3754", "8a226a", "57106e", "1f0c48", "000004")
COLOURS = np.array([list(bytes.fromhex(colour)) for colour in _INFERNO], np.float32)


@dataclass(frozen=True)
class SavedPanel:
    """A panel: box, and the depths that its nearest and farthest value stand for, in the model's unit."""

    box: Box
    near: float
    far: float


@dataclass(frozen=True)
class SavedPage:
    """A page in `pages.json`; files are relative to the folder, empty when not written."""

    id: str
    picture: str
    width: int
    height: int
    map: str = ""
    overlay: str = ""
    array: str = ""
    cloud: str = ""
    panels: list[SavedPanel] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def normal(depth: np.ndarray, panels: Sequence[Box]) -> tuple[np.ndarray, list[SavedPanel]]:
    """A page's map with every panel from 0 nearest to 1 farthest, nan outside; and what was 0 and 1.

    Args:
        depth: (H, W), nan outside.
        panels: boxes; an inset lies over the panel around it, and each is spread by what is seen of it.
    """
    out = np.full(depth.shape, np.nan, np.float32)
    found = []
    for index, box in enumerate(panels):
        part = cut(depth, box)
        seen = np.isfinite(part)
        for x0, y0, x1, y1 in panels[index + 1 :]:
            seen[max(0, y0 - box[1]) : max(0, y1 - box[1]), max(0, x0 - box[0]) : max(0, x1 - box[0])] = False
        if not seen.any():
            found.append(SavedPanel(box, 0.0, 0.0))
            continue
        near, far = float(part[seen].min()), float(part[seen].max())
        cut(out, box)[seen] = (part[seen] - near) / (far - near) if far > near else 0.0
        found.append(SavedPanel(box, near, far))
    return out, found


def encode_map(normalised: np.ndarray) -> bytes:
    """A map as a 16-bit PNG."""
    return encode_png16(np.where(np.isfinite(normalised), to_stored(np.nan_to_num(normalised)), 0).astype(np.uint16))


def write_array(path: Path, depth: np.ndarray, panels: Sequence[Box]) -> None:
    """Write the numbers themselves."""
    stream = io.BytesIO()
    np.savez_compressed(stream, depth=depth.astype(np.float32), panels=np.array(panels, np.int32).reshape(-1, 4))
    write_bytes(path, stream.getvalue())


def coloured(normalised: np.ndarray) -> np.ndarray:
    """(H, W) 0..1 to (H, W, 3) uint8, near is light and warm, far is dark; white outside."""
    place = np.clip(np.nan_to_num(normalised), 0, 1) * (len(COLOURS) - 1)
    below_, share = np.floor(place).astype(int), (place % 1)[..., None]
    mixed = COLOURS[below_] * (1 - share) + COLOURS[np.minimum(below_ + 1, len(COLOURS) - 1)] * share
    mixed[~np.isfinite(normalised)] = 255
    return mixed.round().astype(np.uint8)


def overlay(picture: np.ndarray, normalised: np.ndarray, panels: Sequence[Box]) -> np.ndarray:
    """The page with its depth in colours: the colour of the map, the lines of the drawing.

    Colours reach over all but the outermost hundredths of each panel, or one odd corner would leave it all dark.
    """
    shown = normalised.copy()
    for box in panels:
        part = cut(normalised, box)
        known = part[np.isfinite(part)]
        if len(known):
            near, far = np.percentile(known, [SHOWN, 100 - SHOWN])
            cut(shown, box)[:] = np.clip((part - near) / max(1e-6, far - near), 0, 1)
    grey = picture.astype(np.float32).mean(axis=2, keepdims=True) / 255
    mixed = coloured(shown) * (0.45 + 0.55 * grey)
    outside = ~np.isfinite(normalised)
    mixed[outside] = picture[outside] * 0.5 + 127
    return mixed.round().astype(np.uint8)


def encode_jpeg(picture: np.ndarray) -> bytes:
    """A picture as JPEG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=QUALITY, optimize=True)
    return stream.getvalue()


def encode_cloud(picture: np.ndarray, normalised: np.ndarray, panels: Sequence[Box]) -> bytes:
    """Points of all panels as a binary PLY: x to the right, y upwards, z towards the viewer, in pixels; coloured."""
    step = max(1, int(np.ceil(np.sqrt(normalised.size / MOST_POINTS))))
    rows, columns = np.mgrid[0 : normalised.shape[0] : step, 0 : normalised.shape[1] : step]
    relief = np.zeros(normalised.shape, np.float32)
    for box in panels:
        cut(relief, box)[:] = RELIEF * max(box[2] - box[0], box[3] - box[1])
    depth = normalised[::step, ::step]
    known = np.isfinite(depth)
    points = np.zeros(int(known.sum()), [("place", "<f4", 3), ("colour", "u1", 3)])
    height = normalised.shape[0]
    points["place"] = np.stack(
        [columns[known], height - 1 - rows[known], -(depth * relief[::step, ::step])[known]], axis=1
    )
    points["colour"] = picture[::step, ::step][known]
    names = "".join(f"property float {n}\n" for n in "xyz") + "".join(
        f"property uchar {n}\n" for n in ("red", "green", "blue")
    )
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{names}end_header\n"
    return header.encode("ascii") + points.tobytes()


def read_pages(folder: Path) -> list[SavedPage]:
    """The pages that were written.

    Raises:
        InputError: the folder is not from `depth predict`.
    """
    file = folder / PAGES
    if not file.is_file():
        raise InputError(f"{folder} is not from depth predict (it has no {PAGES})")
    return typed(list[SavedPage], read_json(file), str(file))


class SavedMaps:
    """Maps that `depth predict` wrote, as `evaluate.Maps`.

    Args:
        folder: that it wrote.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pages: dict[str, list[SavedPage]] = {}
        for page in read_pages(folder):
            self._pages.setdefault(Path(page.picture).name, []).append(page)

    def of(self, picture: Path, boxes: Sequence[Box | None]) -> list[np.ndarray]:
        """Maps of parts of a picture, by the end of its path.

        Raises:
            InputError: nothing, or more than one page, was predicted that could be it, or it has no map.
        """
        parts = picture.parts
        found = self._pages.get(picture.name, [])
        for length in range(2, len(parts) + 1):
            if len(found) < 2:
                break
            found = [page for page in found if Path(page.picture).parts[-length:] == parts[-length:]]
        if len(found) != 1 or not found[0].map:
            raise InputError(f"{self._folder} has {'no map' if found else 'nothing'} of {picture.name}")
        page = read_depth(below(self._folder, found[0].map).parent, Path(found[0].map).name)
        return [page if box is None else cut(page, box) for box in boxes]
