"""How a page is kept on disk: its bytes as they came, or decoded once and stored anew. Every page is decoded fully.

Kept untouched: JPEG, PNG, WebP, AVIF and GIF that show one upright 8-bit picture in grey, RGB or palette colours
without see-through parts. Everything else is decoded to upright 8-bit grey or RGB on paper white and stored as

- PNG when the source was lossless and had see-through parts or at most `MOST_PNG_COLOURS` distinct colours;
- PNG when a side is longer than a JPEG may be;
- JPEG (quality 95, full colour resolution) otherwise: sources that were lossy or in printing inks already, and
  lossless ones with the many colours of a scan, where a PNG would be five to ten times as large for no visible gain.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from comictool.core.errors import InputError
from comictool.core.images import JPEGS, LONGEST_SIDE, load_sound, orientation, upright_rgb
from comictool.core.odd_pictures import jpeg_faults, png_chunks
from comictool.corpus.importing.strips import rims_of

# Drawn comics with flat colours and soft edges reach some 60,000 colours at print size, scans pass 80,000 in a
# picture of half a million pixels (counted on the pages of ten comics).
MOST_PNG_COLOURS = 65_536
JPEG_QUALITY = 95
MOST_PROFILE = 1_000_000  # bytes of a colour profile; decoders of PNG refuse a little more
KEPT = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "AVIF": "avif", "GIF": "gif"}
_LOSSLESS = {"PNG", "GIF", "BMP", "DIB", "TIFF", "ICO", "PPM"}
_GREY = ("1", "L", "LA", "I", "F")
_UNSUPPORTED = (
    (b"\xff\x0a", "a JPEG XL picture, which cannot be read here (djxl converts it)"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture, which cannot be read here (djxl converts it)"),
    (b"%PDF-", "a PDF document, not a picture"),
    (b"<svg", "an SVG drawing, which cannot be read here"),
    (b"8BPS", "a Photoshop document, which cannot be read here"),
)


@dataclass(frozen=True)
class PageFile:
    """A page as it is to be written.

    Attributes:
        data: the bytes of the file.
        ending: `jpg`, `png`, `webp`, `avif` or `gif`, by content.
        width, height: pixels, upright.
        note: something lost on the way that the user should hear of; empty mostly.
        rims: its uppermost and lowest row (`strips.rims_of`).
    """

    data: bytes
    ending: str
    width: int
    height: int
    note: str = ""
    rims: bytes = b""


def page_file(data: bytes) -> PageFile:
    """Check a picture by decoding all of it, and decide how it is stored.

    Raises:
        InputError: not a picture, damaged, cut off, or more pixels than is safe.
    """
    _refuse_other_files(data)
    picture, data = load_sound(data)
    cut, broken = jpeg_faults(data) if picture.format in JPEGS else ("", "")
    if cut:
        raise InputError(f"damaged or {cut}")
    if _is_kept(picture, data):
        return PageFile(data, KEPT[picture.format or ""], picture.width, picture.height, broken, rims_of(picture))
    try:
        stored = _encoded(picture, data)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # as in a mode that Pillow reads but does not convert
        raise InputError(f"cannot be shown: {error or type(error).__name__}") from error
    frames = _frames(picture)
    if picture.format == "TIFF" and frames > 1:
        # The first picture of an animation is the page, but a TIFF of several pictures holds pages that get lost.
        return replace(stored, note=f"holds {frames} pictures, only the first is taken")
    return replace(stored, note=broken)


def _refuse_other_files(data: bytes) -> None:
    """Name what is often found under the name of a picture."""
    for magic, what in _UNSUPPORTED:
        if data.startswith(magic):
            raise InputError(what)
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc"):
        raise InputError("a HEIC picture, which cannot be read here")
    start = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        raise InputError("a web page, not a picture (a failed download?)")


def _is_kept(picture: Image.Image, data: bytes) -> bool:
    """Whether the bytes can stay as they are."""
    kind = picture.format or ""
    if kind not in KEPT or picture.mode not in ("1", "L", "P", "RGB", "RGBA", "LA"):
        return False
    # A 16-bit PNG in colour passes for 8-bit in Pillow; its header tells (bit depth, byte 24).
    if kind == "PNG" and (data[24:25] == b"\x10" or any(name == b"acTL" for name, _, _ in png_chunks(data))):
        return False
    if kind not in JPEGS and _frames(picture) > 1:
        return False
    return orientation(picture) == 1 and not _is_see_through(picture)


def _frames(picture: Image.Image) -> int:
    """How many pictures a file holds; 1 where its list of them cannot be read."""
    try:
        return int(getattr(picture, "n_frames", 1))
    except MemoryError:
        raise
    except Exception:  # damaged lists raise many types
        return 1


def _is_see_through(picture: Image.Image) -> bool:
    """Whether any pixel lets paper shine through. An alpha channel that hides nothing needs no change."""
    if picture.mode in ("RGBA", "LA", "PA"):
        alpha = picture.getchannel("A")
    elif "transparency" in picture.info:
        alpha = picture.convert("RGBA").getchannel("A")
    else:
        return False
    lowest: Any = alpha.getextrema()[0]
    return bool(lowest < 255)


def _encoded(picture: Image.Image, data: bytes) -> PageFile:
    lossless = picture.format in _LOSSLESS or (picture.format == "WEBP" and b"VP8L" in data[:64])
    # A colour profile describes the stored numbers; after a change of inks it would be wrong.
    profile = picture.info.get("icc_profile") if picture.mode in ("L", "P", "RGB", "RGBA") else None
    if not isinstance(profile, bytes) or len(profile) > MOST_PROFILE:
        profile = None
    result = upright_rgb(picture)
    if picture.mode in _GREY or picture.mode.startswith("I;"):
        result = result.convert("L")
    stream = io.BytesIO()
    if max(result.size) > LONGEST_SIDE["JPEG"] or (
        lossless and (_is_see_through(picture) or result.getcolors(MOST_PNG_COLOURS) is not None)
    ):
        result.save(stream, "PNG", icc_profile=profile)
        return PageFile(stream.getvalue(), "png", *result.size, rims=rims_of(result))
    # An empty EXIF block: the picture is upright now, its old orientation must not be applied again.
    result.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=profile, exif=b"")
    return PageFile(stream.getvalue(), "jpg", *result.size, rims=rims_of(result))
