"""What is remembered of a page picture to find its copies: two digests and pictures of 64x64 grey
pixels.

Every perceptual hash is computed from the small picture (`comictool.duplicates.hashes`), so that better hashes
need no second reading of the pages.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, Any

import numpy as np
from PIL import Image

from comictool.core.errors import InputError
from comictool.core.images import decode, shown_size
from comictool.core.typed import at_least, typed
from comictool.corpus.page_pictures import PagePicture

VERSION = 1  # of everything in this file; another one reads all pages again
# Of the small pictures. With 32 the six panels of the same kitchen on two pages (e01p01 and e01p02 of Pepper&Carrot)
# are as alike as a page without text and its most lettered copy; with 64 they are not.
SIDE = 64
DECODED_SIDE = 192  # least shorter side of the decoded picture: three pixels for one of the small picture
WIDE = 1.15  # a page this much wider than high may be two pages side by side

# A page is near-empty when less of it than this holds a drawing or text, in cells of 1/16 of each side. Measured: a
# blank page 0, a credits page of three logos .09, a page of three lines of text .12; the emptiest pages that a reader
# would know again are at .18 (a small drawing on black) and .28, most story pages above .5. Near-empty pages look alike
# without being copies, and equal ones say nothing about the books that they are in.
LEAST_INK = 0.15
INK_CELLS = 16
INK_PIXELS = 8  # of a cell's side
INK_CONTRAST = 10.0  # grey levels; paper grain and JPEG noise stay below 6


@dataclass(frozen=True)
class Fingerprint:
    """One page.

    Attributes:
        file_digest: of the bytes of the file.
        pixel_digest: of the size and of the pixels, for a JPEG as decoded at a reduced scale: equal for the same
            picture in another container or with other metadata.
        width, height: of the upright picture.
        ink: share of the page that is not plain paper, 0..1.
        pictures: `(1 or 3, 64, 64)` uint8: the page, and of a wide page its left and right half.
    """

    page: int
    file_digest: str
    pixel_digest: str
    width: int
    height: int
    ink: float
    pictures: np.ndarray

    @property
    def near_empty(self) -> bool:
        """Whether there is too little on the page to tell it from others."""
        return self.ink < LEAST_INK

    def as_json(self) -> dict[str, Any]:
        """Plain values; the small pictures as base64."""
        return {
            "page": self.page,
            "file": self.file_digest,
            "pixels": self.pixel_digest,
            "size": [self.width, self.height],
            "ink": round(self.ink, 4),
            "pictures": base64.b64encode(self.pictures.tobytes()).decode("ascii"),
        }


@dataclass(frozen=True)
class _Line:
    page: int
    file: str
    pixels: str
    size: tuple[Annotated[int, at_least(1)], Annotated[int, at_least(1)]]
    ink: float
    pictures: str
    extra: dict[str, Any] = field(default_factory=dict)


def from_json(value: dict[str, Any]) -> Fingerprint:
    """Read what `as_json` made.

    Raises:
        InputError: it is not that.
    """
    line = typed(_Line, value, "a fingerprint")
    try:
        pictures = np.frombuffer(base64.b64decode(line.pictures, validate=True), np.uint8).reshape(-1, SIDE, SIDE)
    except ValueError as error:
        raise InputError("a damaged fingerprint", cause=str(error)) from error
    if len(pictures) not in (1, 3):
        raise InputError("a damaged fingerprint", cause="impossible sizes")
    return Fingerprint(line.page, line.file, line.pixels, *line.size, line.ink, pictures)


def fingerprint_page(page: int, file: PagePicture) -> Fingerprint:
    """Read a page picture.

    Raises:
        InputError: it is missing or cannot be decoded.
    """
    width, height = shown_size(file)
    picture = decode(file, at_least=DECODED_SIDE)
    pixels = blake2b(f"{width}x{height} {picture.width}x{picture.height} ".encode("ascii"), digest_size=16)
    pixels.update(picture.tobytes())
    try:
        content = blake2b(file.read_bytes(), digest_size=16)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    grey = picture.convert("L")
    return Fingerprint(
        page, content.hexdigest(), pixels.hexdigest(), width, height, ink_share(grey), small_pictures(grey)
    )


def small_pictures(grey: Image.Image) -> np.ndarray:
    """The page, and of a wide page also its halves, in 64x64 pixels each: `(1 or 3, 64, 64)` uint8."""
    width, height = grey.size
    boxes = [(0, 0, width, height)]
    if width > WIDE * height:
        boxes += [(0, 0, width // 2, height), (width - width // 2, 0, width, height)]
    return np.stack([np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX, box=box)) for box in boxes])


def ink_share(grey: Image.Image) -> float:
    """The share of 16x16 cells of a page in which something is drawn, 0..1."""
    side = INK_CELLS * INK_PIXELS
    pixels = np.asarray(grey.resize((side, side), Image.Resampling.BOX), np.float32)
    cells = pixels.reshape(INK_CELLS, INK_PIXELS, INK_CELLS, INK_PIXELS)
    return float((cells.std(axis=(1, 3)) > INK_CONTRAST).mean())
