"""Small pictures to put on a page, of bounded size."""

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
    """A picture made small, as JPEG. `page_width` and `page_height` are those of the whole page it was cut from."""

    data: bytes
    width: int
    height: int
    page_width: int
    page_height: int

    @property
    def uri(self) -> str:
        """The same as a `data:` address."""
        return "data:image/jpeg;base64," + base64.b64encode(self.data).decode("ascii")


def side_for(count: int) -> int:
    """The longest side that lets so many thumbnails stay within the bound on all together."""
    return max(SMALLEST_SIDE, min(LARGEST_SIDE, math.isqrt(PIXELS_IN_ALL // max(1, count))))


def thumbnail(image: Source, box: tuple[int, int, int, int] | None, side: int) -> Thumbnail:
    """Cut a box out of a picture, or take all of it, and make it small: no side longer than `side` pixels.

    Raises:
        InputError: the picture cannot be read, or nothing of the box lies on it.
    """
    width, height = shown_size(image)
    left, top, right, bottom = (0, 0, width, height) if box is None else _inside(box, width, height)
    # A JPEG may be decoded at a reduced scale, as long as twice the pixels that are wanted are left.
    scale = min(1.0, 2 * side / max(right - left, bottom - top))
    picture = decode(image, at_least=math.ceil(min(width, height) * scale))
    if box is not None:
        across, down = picture.width / width, picture.height / height
        first, above = int(left * across), int(top * down)
        last, below = math.ceil(right * across), math.ceil(bottom * down)
        picture = picture.crop((first, above, min(last, picture.width), min(below, picture.height)))
    picture.thumbnail((side, side))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return Thumbnail(stream.getvalue(), picture.width, picture.height, width, height)


def _inside(box: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])
    if right <= left or bottom <= top:
        raise InputError(f"the box {list(box)} is not on the picture of {width}x{height}")
    return left, top, right, bottom
