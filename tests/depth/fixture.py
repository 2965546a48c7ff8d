"""A COCO file as AI4VA's, with all that has gone wrong with one: two panels, parts within figures, a box-only panel, a
missing rank, no attributes at all, one category many times, (0, 0), a rank above 10, several outlines, run lengths, a
box that leaves the page, an annotation without a box."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comictool.plugins.manifest import Manifest, OutputSpec

CATEGORIES = [
    {"id": 22, "name": "Face"},
    {"id": 23, "name": "Body"},
    {"id": 25, "name": "Panel"},
    {"id": 28, "name": "Text"},
]
NAME = "Vaillant_0542_1955_10_02-16.png"
WIDTH, HEIGHT = 200, 100


def square(x: int, y: int, side: int) -> list[int]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def annotation(number: int, category: int, box: list[float], image: int = 131, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, "segmentation": [], **more}


def ranks(inter: float, intra: float) -> dict[str, float]:
    return {"Interdepth": inter, "Intradepth": intra}


def annotations() -> list[dict[str, Any]]:
    return [
        annotation(11, 25, [0, 0, 100, 100]),
        annotation(12, 25, [100, 0, 100, 100], segmentation=[[100, 0, 200, 0, 200, 100, 100, 100]]),
        annotation(13, 28, [5, 5, 20, 10]),  # lettering: no attributes at all
        annotation(
            14, 23, [10, 20, 40, 60], segmentation=[square(10, 20, 40), square(10, 40, 40)], attributes=ranks(0, 2),
        ),
        annotation(15, 22, [20, 25, 12, 12], segmentation=[square(20, 25, 12)], attributes=ranks(0, 1)),
        annotation(16, 22, [60, 30, 12, 12], segmentation=[square(60, 30, 12)], attributes=ranks(1, 1)),
        annotation(17, 22, [80, 30, 12, 12], attributes={"Interdepth": 3.0}),
        annotation(18, 23, [110, 50, 30, 40], attributes=ranks(0, 0)),
        annotation(19, 22, [150, 20, 12, 12], attributes=ranks(12, 14)),
        annotation(20, 23, [180, 60, 60, 60], attributes=ranks(2, 1)),  # leaves the page
        annotation(21, 28, [0, 0, 0, 0]),  # no box
        annotation(
            22, 22, [120, 10, 4, 4], iscrowd=1, attributes=ranks(4, 1),
            segmentation={"size": [HEIGHT, WIDTH], "counts": runs(120, 10, 4)},
        ),
    ]  # fmt: skip


def runs(x: int, y: int, side: int) -> list[int]:
    """COCO run lengths of a square, counted down the columns."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + side, x : x + side] = True
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.r_[False, flat, False]))
    return np.diff(np.r_[0, edges, flat.size]).tolist() if edges[-1] != flat.size else np.diff(np.r_[0, edges]).tolist()


def write(folder: Path, name: str = "val-annotations.json", *, test: bool = False) -> Path:
    """Write the file and its page; as the challenge's test segments without any rank."""
    found = annotations()
    if test:
        for each in found:
            each.pop("attributes", None)
    image = {"id": 131, "file_name": NAME, "width": WIDTH, "height": HEIGHT}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"images": [image], "categories": CATEGORIES, "annotations": found}))
    page = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    page[:] = np.linspace(0, 255, WIDTH, dtype=np.uint8)[None, :, None]
    Image.fromarray(page).save(folder / NAME)
    return folder / name


class Bright:
    """A plugin of kind `depth` for which light is far; it counts how often it is asked."""

    needs_torch = False
    device_note = ""
    encoder_id = "bright"

    def __init__(self) -> None:
        self.manifest = Manifest(
            id="bright", version="1", title="Light is far", kind="depth", licence="MIT", architecture="python",
            output={"depth": OutputSpec(form="map")},
        )  # fmt: skip
        self.calls = 0

    def depth(self, images: list[np.ndarray]) -> list[np.ndarray]:
        self.calls += 1
        return [image.mean(axis=2).astype(np.float32) for image in images]
