"""Decoding pictures that may be hostile: sizes bounded before decoding, one RGB result, upright."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from comictool.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

MAX_PIXELS = 200_000_000  # a 600 dpi tabloid spread is about 90 million
MAX_SIDE = 65_500  # JPEG's own limit; webtoon strips reach 30,000
MAX_BYTES = 256 * 1024 * 1024  # one encoded picture
READABLE = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF", "ICO", "PPM", "JPEG2000")
BACKGROUND = (255, 255, 255)  # what shows through transparent pixels: paper


def open_picture(source: Path | bytes) -> Image.Image:
    """Open a picture without decoding it, with its declared size checked.

    Raises:
        InputError: not a readable picture, too many pixels, or too many bytes.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size == 0:
            raise InputError("the file is empty (0 bytes)")
        if size > MAX_BYTES:
            raise InputError(f"the file has {size:,} bytes, more than the {MAX_BYTES:,} allowed for one picture")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=READABLE)
    except UnidentifiedImageError as error:
        raise InputError("not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise InputError("more pixels than is safe to decode") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    except InputError:
        raise
    except Exception as error:  # Pillow's header parsers raise many types on damaged files
        raise InputError(f"damaged picture header ({type(error).__name__})") from error
    width, height = picture.size
    if width < 1 or height < 1 or max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(f"{width}x{height} pixels: outside what is safe to decode ({MAX_PIXELS:,} at most)")
    return picture


def decode(source: Path | bytes, *, at_least: int | None = None) -> Image.Image:
    """Decode a whole picture to upright 8-bit RGB; transparent pixels show `BACKGROUND`.

    Args:
        source: a file, or its bytes.
        at_least: when given, a JPEG may be decoded at a reduced scale as long as its shorter side stays at
            least this many pixels. Faster; positions must then be scaled by the caller.

    Raises:
        InputError: unreadable, damaged, cut off, or outside the size limits.
    """
    picture = open_picture(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if at_least is not None and picture.format == "JPEG" and min(picture.size) > 2 * at_least:
                ratio = at_least / min(picture.size)
                picture.draft("RGB", (max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio))))
            picture.load()
            return to_rgb(upright(picture))
    except InputError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # a damaged body raises OSError, SyntaxError, struct.error, ValueError, ...
        reason = str(error) or type(error).__name__
        raise InputError(f"damaged or cut off: {reason}") from error


def upright(picture: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF orientation says."""
    from PIL import ImageOps

    if picture.getexif().get(0x0112, 1) in (None, 1):
        return picture
    return ImageOps.exif_transpose(picture)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB. No copy when it is RGB already (a needless convert costs as much as a decode)."""
    from PIL import Image

    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith("I") or picture.mode == "F":
        # 16-bit and wider: scale to the range, where Pillow's own convert would clip everything to white.
        import numpy as np

        values = np.asarray(picture).astype(np.float32)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray((values.clip(0, top) * (255.0 / top)).round().astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (*BACKGROUND, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    return picture.convert("RGB")


def to_array(picture: Image.Image) -> np.ndarray:
    """RGB picture to a `(height, width, 3)` uint8 array."""
    import numpy as np

    return np.asarray(to_rgb(picture))


def decode_array(source: Path | bytes) -> np.ndarray:
    """Decode straight to a `(height, width, 3)` uint8 RGB array; same rules and errors as `decode`."""
    return to_array(decode(source))
