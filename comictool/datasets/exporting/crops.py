"""Cutting crops out of one decoded page: clamped or squared, RGB, encoded.

A page is decoded once for all its crops; that is where the speed comes from (`python -m tests.bench.exporting`).
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from comictool.core.errors import InputError, UsageError
from comictool.core.images import BACKGROUND, LONGEST_SIDE, decode
from comictool.corpus.page_pictures import PagePicture
from comictool.corpus.records import Box, clamp_box

if TYPE_CHECKING:
    from PIL import Image

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}


@dataclass(frozen=True)
class CropOptions:
    """How crops are encoded: `format` is jpg, png or webp; `quality` in 1..100 holds for jpg and webp."""

    format: str = "jpg"
    quality: int = 95

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"crop format {self.format!r} is none of {', '.join(FORMATS)}")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"quality {self.quality}: it goes from 1 to 100")

    @property
    def suffix(self) -> str:
        """The file suffix with its dot."""
        return f".{self.format}"


@dataclass(frozen=True)
class Crop:
    """One crop to cut: its file name, its box on the page, what to call it in a report."""

    name: str
    box: tuple[float, float, float, float]
    label: str


@dataclass(frozen=True)
class PageCrops:
    """All crops of one page, as they travel to a worker.

    `size` is what the record says of the page. `scale` enlarges each box about its centre; `square` makes it a square.
    `error` is why the picture's path cannot be used.
    """

    image: PagePicture
    size: tuple[int, int]
    crops: tuple[Crop, ...]
    options: CropOptions
    scale: float = 1.0
    square: bool = False
    error: str = ""


@dataclass
class CutPage:
    """The result: encoded crops by file name, the box of each (it may leave the page when squared), problems."""

    size: tuple[int, int] = (0, 0)
    files: dict[str, bytes] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def cut_page(order: PageCrops) -> CutPage:
    """Decode a page and cut its crops.

    Raises:
        InputError: the page is missing, damaged or outside the size limits.
    """
    if order.error:
        raise InputError(order.error)
    if isinstance(order.image, Path) and not order.image.is_file():
        raise InputError(f"the page picture {order.image.name} is missing")
    result = CutPage()
    picture: Image.Image | None = None
    if order.crops:
        picture = decode(order.image)
        result.size = picture.size
        if min(order.size) > 0 and order.size != picture.size:
            stated, real = "x".join(map(str, order.size)), "x".join(map(str, picture.size))
            result.problems.append(f"the page is {real} pixels, but its annotations were made for {stated}")
    for crop in order.crops:
        assert picture is not None
        box = crop_box(crop.box, picture.size, scale=order.scale, square=order.square)
        if box is None:
            result.problems.append(f"{crop.label}: its box {_numbers(crop.box)} has no area on the page")
            continue
        longest = LONGEST_SIDE.get(FORMATS[order.options.format])
        if longest is not None and max(box[2] - box[0], box[3] - box[1]) > longest:
            named = order.options.format
            result.problems.append(f"{crop.label}: longer than a {named} picture may be ({longest:,} pixels); png may")
            continue
        result.files[crop.name] = encode(cut(picture, box), order.options)
        result.boxes[crop.name] = box
    return result


def crop_box(
    box: tuple[float, float, float, float], size: tuple[int, int], *, scale: float = 1.0, square: bool = False
) -> Box | None:
    """The box to cut in whole pixels, or None when the annotated box has no area on the page.

    Squared boxes follow the face rule of the published face and body sets: side = scale x the longer side, same centre.
    They are not cut at the page's edge (a face there would no longer be square, or no longer centred).
    """
    inside = clamp_box(box, *size)
    if inside is None:
        return None
    if square:
        return scaled_square(box, scale)
    if scale != 1.0:
        x0, y0, x1, y1 = inside
        grow_x, grow_y = (x1 - x0) * (scale - 1) / 2, (y1 - y0) * (scale - 1) / 2
        return clamp_box((x0 - grow_x, y0 - grow_y, x1 + grow_x, y1 + grow_y), *size)
    return inside


def scaled_square(box: tuple[float, float, float, float], scale: float) -> Box:
    """The square about the same centre with side `scale` times the longer side, in whole pixels.

    For corners on the page it is the published one (each corner truncated toward zero) wherever that is a square.
    """
    x0, y0, x1, y1 = box
    # A millionth of a pixel on top: 1.2 x 35 is 42, though the product in binary is a little below.
    side = max(1, math.floor(scale * max(x1 - x0, y1 - y0) + 1e-6))
    left = math.floor((x0 + x1) / 2 - scale * max(x1 - x0, y1 - y0) / 2 + 1e-6)
    top = math.floor((y0 + y1) / 2 - scale * max(x1 - x0, y1 - y0) / 2 + 1e-6)
    return left, top, left + side, top + side


def cut(picture: Image.Image, box: Box) -> Image.Image:
    """A part of a page; what lies beyond the page is white, as paper is."""
    inside = clamp_box(box, *picture.size)
    if inside == box:
        return picture.crop(box)
    from PIL import Image

    canvas = Image.new("RGB", (box[2] - box[0], box[3] - box[1]), BACKGROUND)
    if inside is not None:
        canvas.paste(picture.crop(inside), (inside[0] - box[0], inside[1] - box[1]))
    return canvas


def encode(picture: Image.Image, options: CropOptions) -> bytes:
    """An RGB picture as the bytes of a file."""
    stream = io.BytesIO()
    if options.format == "png":
        picture.save(stream, "PNG", compress_level=4)  # level 9 takes three times as long for 2 % less
    else:
        picture.save(stream, FORMATS[options.format], quality=options.quality)
    return stream.getvalue()


def _numbers(box: tuple[float, float, float, float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
