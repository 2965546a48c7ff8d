"""Small pictures to put inside a page, as data URIs of bounded size."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

from comictool.core.errors import InputError
from comictool.core.images import Source, decode, shown_size

QUALITY = 82  # lettering stays clean; 0.1 to 0.25 bytes a pixel on comics
PIXELS_IN_ALL = 24_000_000  # about 5 MB of HTML
LARGEST_SIDE = 900
SMALLEST_SIDE = 120


@dataclass(frozen=True)
class Thumbnail:
    """A picture made small. `page_width` and `page_height` are those of the whole page it was cut from."""

    uri: str
    width: int
    height: int
    page_width: int
    page_height: int


def side_for(count: int) -> int:
    """The longest side that lets so many thumbnails stay within the bound on all together."""
    return max(SMALLEST_SIDE, min(LARGEST_SIDE, math.isqrt(PIXELS_IN_ALL // max(1, count))))


def thumbnail(image: Source, box: tuple[int, int, int, int] | None, side: int) -> Thumbnail:
    """Cut a box out of a picture, or take all of it, and make it small.

    Raises:
        InputError: the picture cannot be read, or nothing of the box lies on it.
    """
    width, height = shown_size(image)
    # A whole JPEG page may be decoded at a reduced scale; positions of a box would have to follow.
    picture = decode(image, at_least=2 * side if box is None else None)
    if box is not None:
        width, height = picture.size
        left, top, right, bottom = max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])
        if right <= left or bottom <= top:
            raise InputError(f"the box {list(box)} is not on the picture of {width}x{height}")
        picture = picture.crop((left, top, right, bottom))
    picture.thumbnail((side, side))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return Thumbnail(uri, picture.width, picture.height, width, height)
