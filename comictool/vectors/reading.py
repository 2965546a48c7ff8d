"""From an encoded picture to its content hash and the pixels of its parts; runs in threads and worker processes."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from comictool.core.errors import InputError
from comictool.core.images import BACKGROUND, MAX_BYTES
from comictool.corpus.page_pictures import MemberPicture, PagePicture
from comictool.corpus.records import Box
from comictool.plugins.preparation import prepare_one, prepare_picture
from comictool.vectors.cache import stamp_of
from comictool.vectors.pictures import PackRow, Picture, PixelBox, Size, whole_pixels

if TYPE_CHECKING:
    from comictool.datasets.packs.reading import Pack
    from comictool.plugins.manifest import InputSpec

DIGEST_BYTES = 20  # chance collisions are out of the question up to 10^20 pictures
# A JPEG may be decoded at a reduced scale, and any picture averaged over whole pixels, as long as this many times the
# side that the model sees is left: the antialiased resize that follows still decides on what the model gets.
# 70 comic pages, untrained ResNet-18, fp32: 1 - cosine to the page decoded in full is 5e-6 (median) and 1.4e-5 (most).
# Arithmetic in bf16 makes as much, 8e-6 and 1.1e-5; two different pages are 4e-3 apart (median), 2e-4 the nearest 1 %.
SPARE = 2


@dataclass(frozen=True)
class ReadingOptions:
    """How pictures are read and turned into vectors, besides the encoder itself.

    Attributes:
        flip: the mean of the vectors of the picture and of its mirror image, scaled to length 1.
        legacy: as the first program of this kind read pictures: EXIF orientation ignored, transparency dropped.
        precision: that the user asked for; empty for what the machine does best. Each is kept apart from the others.
        raw: the model's own output instead of vectors of length 1; not for the cache.
    """

    flip: bool = False
    legacy: bool = False
    precision: str = ""
    raw: bool = False

    def key(self, encoder_id: str) -> str:
        """What vectors read like this may be compared and kept under."""
        named = (("flip", self.flip), ("legacy", self.legacy), (self.precision, self.precision), ("raw", self.raw))
        return "|".join([encoder_id, *(name for name, on in named if on)])


@dataclass(frozen=True)
class Decoding:
    """What an encoder wants to be given.

    Attributes:
        size: what the model sees, (height, width) in pixels; None when it wants full pictures.
        preparation: how the encoder would bring a picture to `size`, when that may be done here; None: it does so
            itself, from a picture that is at least `SPARE` times as large.
        by_page: it shares work between parts of a picture, so that they are left to be cut by it.
        legacy: see `ReadingOptions`.
        at_least: a whole picture may be decoded at a reduced scale with this many pixels on its shorter side; only
            without `size`.
    """

    size: tuple[int, int] | None = None
    preparation: InputSpec | None = None
    by_page: bool = False
    legacy: bool = False
    at_least: int | None = None


@dataclass(slots=True)
class Decoded:
    """What reading one picture gave: the pixels of each part, or nothing and an `error`.

    Attributes:
        digest: of the content; empty when it could not be read, or nobody asked.
        stamp: of the file before it was read; None when that cannot be trusted.
        places: numbers of the parts that could be cut.
        pixels: (height, width, 3) uint8 of each of them; or the one whole picture, when there are `boxes`.
        boxes: of the parts, as fractions of the sides of the whole picture.
        lost: number of each part that could not be cut, with the reason.
    """

    digest: str = ""
    stamp: str | None = None
    places: list[int] = field(default_factory=list)
    pixels: list[np.ndarray] = field(default_factory=list)
    boxes: list[PixelBox] = field(default_factory=list)
    lost: dict[int, str] = field(default_factory=dict)
    error: str = ""


def digest_of(content: bytes) -> str:
    """The content hash of a file's bytes (blake2b, hexadecimal)."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def read_bytes(source: PagePicture | PackRow) -> bytes:
    """An encoded picture, whole.

    Raises:
        InputError: missing, unreadable, no plain file (a pipe would block for ever), or too large for one picture.
    """
    if isinstance(source, PackRow):
        return _pack(source.pack).read(source.comic, source.row)
    if isinstance(source, MemberPicture):
        return source.read_bytes()
    try:
        facts = source.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise InputError("not a plain file")
        if facts.st_size > MAX_BYTES:
            raise InputError(f"{facts.st_size:,} bytes, more than the {MAX_BYTES:,} allowed for one picture")
        return source.read_bytes()
    except FileNotFoundError as error:
        raise InputError("the picture is missing") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=2)
def _pack(file: Path) -> Pack:
    from comictool.datasets.packs.reading import Pack

    return Pack(file)


def read_picture(picture: Picture, wanted: Sequence[int], decoding: Decoding, *, hashed: bool = True) -> Decoded:
    """Read a picture, decode it once and cut the wanted ones of its parts; a bad picture gives an `error`.

    Args:
        wanted: numbers of parts.
        hashed: whether the digest is wanted.
    """
    if picture.error:
        return Decoded(error=picture.error)
    stamp = stamp_of(picture.source) if isinstance(picture.source, Path) else None
    digest = ""
    try:
        content = read_bytes(picture.source)
        digest = digest_of(content) if hashed else ""
        found = Decoded(digest, stamp)
        if picture.is_whole:
            found.places, found.pixels = list(wanted), [_whole(content, decoding)] * len(wanted)
        else:
            _cut(picture, wanted, content, decoding, found)
        return found
    except InputError as error:
        return Decoded(digest, stamp, error=error.fact)


def _whole(content: bytes, decoding: Decoding) -> np.ndarray:
    from comictool.core.images import decode, to_array

    if decoding.legacy:
        return _as_before(content, decoding.size)
    if decoding.size is None:
        return to_array(decode(content, at_least=decoding.at_least))
    enough = SPARE * max(decoding.size)
    picture = decode(content, at_least=enough)
    factor = min(picture.size) // enough
    smaller = picture.reduce(factor) if factor > 1 else picture
    return to_array(smaller) if decoding.preparation is None else prepare_picture(smaller, decoding.preparation)


def _as_before(content: bytes, size: tuple[int, int] | None) -> np.ndarray:
    """Pixels as they lie in the file, whatever covers or turns them, squashed by Pillow.

    Its antialiasing and torch's differ by one level of brightness here and there, which shows in the fifth digit of
    scores.
    """
    from PIL import Image

    from comictool.core.images import load_picture

    picture = load_picture(content)
    try:
        pixels = picture.convert("RGB")
        return np.asarray(pixels if size is None else pixels.resize(size[::-1], Image.Resampling.BILINEAR))
    except MemoryError:
        raise
    except Exception as error:  # damaged bodies raise many types
        raise InputError(f"damaged or cut off: {error or type(error).__name__}") from error


def _cut(picture: Picture, wanted: Sequence[int], content: bytes, decoding: Decoding, found: Decoded) -> None:
    from comictool.core.images import decode_array

    pixels = decode_array(content)
    height, width = pixels.shape[:2]
    if min(picture.size) > 0 and picture.size != (width, height):
        stated = "x".join(map(str, picture.size))
        raise InputError(
            f"the picture has {width}x{height} pixels, its annotations were made for {stated}: import it again"
        )
    boxes: list[PixelBox] = []
    for place in wanted:
        part = picture.parts[place]
        box = (0, 0, width, height) if part.box is None else part.box_on((width, height))
        if box is None:
            found.lost[place] = f"{part.label or part.id}: its box has no area on the page; no vector"
        else:
            found.places.append(place)
            boxes.append(box)
    if decoding.by_page and not any(picture.parts[place].square for place in found.places):
        found.pixels = [pixels]
        found.boxes = [(x0 / width, y0 / height, x1 / width, y1 / height) for x0, y0, x1, y1 in boxes]
        return
    cuts = (cut(pixels, whole_pixels(box, (width, height))) for box in boxes)
    if decoding.preparation is None:
        found.pixels = list(cuts)
        return
    # Resized here, beside the threads that compute; the encoder leaves pictures of its own size as they are.
    found.pixels = [prepare_one(c, decoding.preparation).permute(1, 2, 0).contiguous().numpy() for c in cuts]


def cut(pixels: np.ndarray, box: Box) -> np.ndarray:
    """The part of a picture (height, width, 3) in a box of whole pixels: no copy where it lies on the picture.

    What lies beyond is white, as paper is.
    """
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = box
    inside = pixels[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return inside
    canvas = np.full((y1 - y0, x1 - x0, 3), BACKGROUND, np.uint8)
    if inside.size:
        top, left = max(0, y0) - y0, max(0, x0) - x0
        canvas[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return canvas


def part_key(picture: Picture, place: int, digest: str) -> str | None:
    """What the vector of a part is cached under; None when only decoding tells what is cut."""
    part = picture.parts[place]
    if part.box is None:
        return digest
    box = part.box_on(picture.size) if min(picture.size) > 0 else None
    return digest + "/" + ",".join(f"{value}" for value in box) if box is not None else None


def size_of(source: PagePicture | PackRow) -> Size:
    """Width and height of a picture, from its header.

    Raises:
        InputError: as for `read_bytes`, or not a picture.
    """
    from comictool.core.images import shown_size

    return shown_size(source if isinstance(source, Path) else read_bytes(source))
