"""Decoding pictures that may be hostile: sizes bounded before decoding, one RGB result, upright."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from comictool.core.errors import InputError
from comictool.core.odd_pictures import has_exif, jpeg_ended, jpeg_faults, plain, plain_png

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


class Held(Protocol):
    """A picture that something else holds than a file of its own, as a comic file holds its pages."""

    @property
    def name(self) -> str:
        """What a note calls it."""

    def read_bytes(self) -> bytes:
        """The encoded picture; raises InputError."""


Source: TypeAlias = "Path | bytes | Held"

MAX_PIXELS = 178_956_970  # from here Pillow takes a picture for a bomb; a 600 dpi tabloid spread is about 90 million
MAX_SIDE = 1_000_000  # the strip of a whole webtoon chapter has some 300,000 rows
MAX_BYTES = 256 * 1024 * 1024  # one encoded picture
READABLE = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF", "ICO", "PPM", "JPEG2000")
BACKGROUND = (255, 255, 255)  # what shows through transparent pixels: paper
JPEGS = ("JPEG", "MPO")  # MPO is a JPEG with further views of the same picture behind it; readers show the first
LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # that can be written: the limits of libjpeg and of the WebP format
_ORIENTATION = 0x0112  # EXIF tag
_BITS, _INKS, _SAMPLES, _HIGHEST = (
    258,
    262,
    339,
    341,
)  # TIFF: bits a sample, photometric, sample format, SMaxSampleValue
_SIGNED = 2  # of _SAMPLES
# White in a picture of fractions: 1 by convention (OpenEXR, PFM, TIFF), else that of the integers it was made from.
_FLOAT_WHITES = (1.0, 255.0, 65_535.0)


def open_picture(source: Source) -> Image.Image:
    """Open a picture without decoding it, with its declared size checked. For pixels there is `load_picture`.

    Raises:
        InputError: not a readable picture, too many pixels, or too many bytes.
    """
    return _opened_sound(_given(source))[0]


def _given(source: Source) -> Path | bytes:
    return source if isinstance(source, Path | bytes) else source.read_bytes()


def _opened_sound(source: Path | bytes) -> tuple[Image.Image, bytes | None]:
    """As `open_picture`, and the bytes without metadata, if only they could be opened."""
    bare = None
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size == 0:
            raise InputError("the file is empty (0 bytes)")
        if size > MAX_BYTES:
            raise InputError(f"the file has {size:,} bytes, more than the {MAX_BYTES:,} allowed for one picture")
        try:
            picture = _opened(source)
        except InputError:
            bare = plain(source if isinstance(source, bytes) else source.read_bytes())
            if bare is None:
                raise
            picture = _opened(bare)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    width, height = picture.size
    if min(width, height) < 1:
        raise InputError(f"{width}x{height} pixels: a picture without area")
    if max(width, height) > MAX_SIDE:
        raise InputError(f"{width}x{height} pixels: a side is longer than is safe to decode ({MAX_SIDE:,} at most)")
    if width * height > MAX_PIXELS:
        raise InputError(f"{width}x{height} pixels: more than is safe to decode ({MAX_PIXELS:,} at most)")
    return picture, bare


def _opened(source: Path | bytes) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=READABLE)
    except UnidentifiedImageError as error:
        raise InputError("not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"more pixels than is safe to decode ({MAX_PIXELS:,} at most)") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's header parsers raise many types on damaged files
        raise InputError(f"damaged picture header ({type(error).__name__})") from error


def load_picture(source: Source, *, at_least: int | None = None) -> Image.Image:
    """Decode a whole picture in its own mode, not turned.

    What is odd beside the picture itself (metadata that cannot be read, an end mark that is missing) does not matter.

    Args:
        source: a file, its bytes, or what holds it.
        at_least: see `decode`.

    Raises:
        InputError: unreadable, damaged, cut off, or outside the size limits.
    """
    return load_sound(source, at_least=at_least)[0]


def load_sound(source: Source, *, at_least: int | None = None) -> tuple[Image.Image, bytes]:
    """As `load_picture`, and the bytes of a file that any decoder reads: mostly those given."""
    source = _given(source)
    first, bare = _opened_sound(source)  # before all of a file is read
    data = bare or (source if isinstance(source, bytes) else source.read_bytes())
    if first.format == "PNG":
        pixels, breaks = plain_png(data)
        return _loaded(open_picture(pixels), at_least), pixels if breaks else data
    try:
        return _loaded(first, at_least), data
    except InputError:
        if first.format in JPEGS and (cut := jpeg_faults(data)[0]):
            raise InputError(f"damaged or {cut}") from None
        reduced = plain(data)
        others = [jpeg_ended(data)] if first.format in JPEGS else []
        for other in others if reduced is None else [*others, jpeg_ended(reduced) if others else reduced]:
            with suppress(InputError):
                return _loaded(open_picture(other), at_least), other
        raise


def _loaded(picture: Image.Image, at_least: int | None) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if at_least is not None and picture.format == "JPEG" and min(picture.size) > 2 * at_least:
                ratio = at_least / min(picture.size)
                picture.draft("RGB", (max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio))))
            picture.load()
            return picture
    except MemoryError:
        raise
    except Exception as error:  # a damaged body raises OSError, SyntaxError, struct.error, ValueError, ...
        raise InputError(f"damaged or cut off: {error or type(error).__name__}") from error


def decode(source: Source, *, at_least: int | None = None) -> Image.Image:
    """Decode a whole picture to upright 8-bit RGB; transparent pixels show `BACKGROUND`.

    Args:
        source: a file, its bytes, or what holds it.
        at_least: when given, a JPEG may be decoded at a reduced scale as long as its shorter side stays at
            least this many pixels. Faster; positions must then be scaled by the caller.

    Raises:
        InputError: unreadable, damaged, cut off, or outside the size limits.
    """
    picture = load_picture(source, at_least=at_least)
    try:
        return upright_rgb(picture)
    except MemoryError:
        raise
    except Exception as error:  # as in a mode that Pillow reads but does not convert
        raise InputError(f"cannot be shown: {error or type(error).__name__}") from error


def shown_size(source: Source) -> tuple[int, int]:
    """Width and height of a picture as it is shown (turned as its EXIF orientation says), from its header.

    Raises:
        InputError: not a picture that can be read.
    """
    return size_and_turn_of(source)[0]


def size_and_turn_of(source: Source) -> tuple[tuple[int, int], int]:
    """As `shown_size`, and the EXIF orientation, 1 to 8."""
    source = _given(source)
    with open_picture(source) as picture:
        width, height = picture.size
        # Pillow would decode all of a PNG to look for EXIF behind the picture.
        if picture.format == "PNG" and "exif" not in picture.info and not has_exif(source):
            return (width, height), 1
        turn = orientation(picture)
        if picture.format == "TIFF":
            return (width, height), turn  # Pillow turns it by itself
    return ((height, width) if turn >= 5 else (width, height)), turn


def orientation(picture: Image.Image) -> int:
    """How the EXIF block of a picture says that it is to be turned: 2 to 8; 1 is upright, and whatever else it says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = picture.getexif().get(_ORIENTATION, 1)
    except MemoryError:
        raise
    except Exception:  # damaged EXIF raises many types; such a picture is shown as it is stored
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(picture: Image.Image) -> Image.Image:
    """A picture turned as its EXIF orientation says."""
    return _turned(picture, orientation(picture))


def upright_rgb(picture: Image.Image) -> Image.Image:
    """A loaded picture as it is shown: 8-bit RGB, turned as its EXIF orientation says."""
    return _turned(to_rgb(picture), orientation(picture))


def _turned(picture: Image.Image, turn: int) -> Image.Image:
    from PIL import Image

    operation = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(turn)
    return picture if operation is None else picture.transpose(operation)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB. No copy when it is RGB already (a needless convert costs as much as a decode)."""
    from PIL import Image

    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(_eight_bits(picture)).convert("RGB")
    if picture.mode == "LAB":
        from PIL import ImageCms

        spaces = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(*spaces, "LAB", "RGB").apply(picture)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (*BACKGROUND, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> np.ndarray:
    """Grey of 16 bits and more, as (height, width) uint8: by the range of its type, never by what is in it.

    Pillow's own convert would clip everything to white.
    """
    import numpy as np

    values = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {}) if picture.format == "TIFF" else {}
    if picture.mode == "F":
        values = np.nan_to_num(values, nan=0.0)
        most = float(values.max(initial=0.0))
        # Twice white: the lights of a picture may pass it a little.
        white = next((w for w in _FLOAT_WHITES if most <= 2 * w), most)
        stated = tags.get(_HIGHEST, white)
        white = float(stated) if isinstance(stated, int | float) and 0 < stated < np.inf else white
    else:
        bits = int(tags.get(_BITS, (16,))[0])
        is_signed = tags.get(_SAMPLES, (1,))[0] == _SIGNED
        white = float(2 ** (bits - is_signed) - 1)
        if bits == 32 and not is_signed:
            values = values.view(np.uint32)
    grey = (values.astype(np.float64).clip(0, white) * (255.0 / white)).round().astype(np.uint8)
    if tags.get(_INKS) == 0:  # white is zero
        grey = 255 - grey
    key = picture.info.get("transparency")
    if isinstance(key, int):
        grey[values == key] = BACKGROUND[0]
    return grey


def to_array(picture: Image.Image) -> np.ndarray:
    """RGB picture to a `(height, width, 3)` uint8 array."""
    import numpy as np

    return np.asarray(to_rgb(picture))


def decode_array(source: Source) -> np.ndarray:
    """Decode straight to a `(height, width, 3)` uint8 RGB array; same rules and errors as `decode`."""
    return to_array(decode(source))
