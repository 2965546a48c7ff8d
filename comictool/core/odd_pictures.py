"""Picture files that readers show although something about them is odd: metadata that breaks a decoder, a missing end.

What is wrong with the picture itself is damage and stays an error: a checksum of image data, rows that are not there.
"""

from __future__ import annotations

import io
import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from comictool.core.errors import InputError

PNG = b"\x89PNG\r\n\x1a\n"
_MOST_TEXT = 1_000_000  # bytes of one unpacked text or colour profile; from 1,048,576 Pillow refuses the picture
_MOST_TEXT_IN_ALL = 60_000_000  # and from 64 of these
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
# What libjpeg says when a part of the picture is not there or not readable. Its other warnings (bytes too many between
# two markers, an unknown version of a header) leave every pixel in its place.
_JPEG_CUT = "premature end"
_JPEG_BROKEN = re.compile("bad huffman code|instead of rst|before marker 0x(?!d9)|bad progression|bad arithmetic")


def plain(data: bytes) -> bytes | None:
    """The same picture without the metadata that may stop a decoder; None where nothing can be left out.

    Raises:
        InputError: as for `plain_png`.
    """
    if data.startswith(PNG):
        return plain_png(data)[0]
    if data.startswith(b"\xff\xd8"):
        return _plain_jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _plain_webp(data)
    if data[4:8] == b"ftyp":
        # The type of an item: one of an unknown type is passed over (ISO 14496-12, 8.11.6).
        return data[:4096].replace(b"Exif", b"skip") + data[4096:]
    return None


def png_chunks(data: bytes | mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and length of the content of each chunk of a PNG; the last one may be cut."""
    at = len(PNG)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], at + 8, length
        at += length + 12


def has_exif(png: Path | bytes) -> bool:
    """Whether a PNG has an EXIF block anywhere."""
    if isinstance(png, bytes):
        return any(name == b"eXIf" for name, _, _ in png_chunks(png))
    with png.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(name == b"eXIf" for name, _, _ in png_chunks(data))


def plain_png(data: bytes) -> tuple[bytes, bool]:
    """A PNG of nothing but what decides about its pixels; whether something that was left out breaks decoders.

    Raises:
        InputError: image data has a wrong checksum.
    """
    out, breaks, colours, text = [PNG], False, 0, 0
    for name, start, length in png_chunks(data):
        content = data[start : start + length]
        stated = data[start + length : start + length + 4]
        checksum = zlib.crc32(content, zlib.crc32(name)).to_bytes(4)
        if name[:1].isupper():  # critical
            if stated != checksum and name not in (b"IHDR", b"PLTE", b"IDAT"):
                break  # behind the picture; if it is not, rows are missing
            if stated != checksum and len(stated) == 4:
                raise InputError(f"damaged: wrong checksum of {name.decode('ascii')}")
        elif stated != checksum or not _is_sound(name, content, colours):
            breaks = True
            continue
        elif name not in (b"tRNS", b"iCCP", b"eXIf"):
            text += {b"tEXt": length, b"zTXt": _MOST_TEXT, b"iTXt": _MOST_TEXT}.get(name, 0)
            continue
        if name == b"IHDR" and len(content) == 13:
            colours = content[9]
        out += [struct.pack(">I", len(content)), name, content, checksum]
        if name == b"IEND":
            break
    return b"".join(out), breaks or text > _MOST_TEXT_IN_ALL


def _is_sound(name: bytes, content: bytes, colours: int) -> bool:
    """Whether an ancillary chunk is one that decoders can read. `colours` is the colour type of the header."""
    size = len(content)
    if name == b"tRNS":
        return 0 < size <= 256 if colours == 3 else size == {0: 2, 2: 6}.get(colours)
    if name == b"eXIf":
        return content.startswith((b"II*\0", b"MM\0*"))
    if name in (b"iCCP", b"zTXt"):
        return _unpacks(content.partition(b"\0")[2])
    if name == b"iTXt":
        rest = content.partition(b"\0")[2]
        return rest[:1] != b"\1" or _unpacks(rest[1:2] + rest[2:].split(b"\0", 2)[-1])
    if name in (b"fcTL", b"fdAT"):
        return False  # of an animation, which the page is not
    return size >= {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}.get(name, 0)


def _unpacks(packed: bytes) -> bool:
    """Whether what is packed after its method (0) has a size that decoders allow."""
    try:
        return packed[:1] == b"\0" and len(zlib.decompressobj().decompress(packed[1:], _MOST_TEXT)) < _MOST_TEXT
    except zlib.error:
        return False


def _plain_jpeg(data: bytes) -> bytes:
    """Without application segments, but for JFIF and Adobe's, which say what the numbers of the pixels mean."""
    out, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        code = data[at + 1]
        if code == 0xFF:  # a fill byte
            at += 1
            continue
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if not (0xE1 <= code <= 0xEF and code != 0xEE) and code != 0xFE:
            out.append(data[at:stop])
        at = stop
        if code == 0xDA:
            break
    return b"".join(out) + data[at:]


def _plain_webp(data: bytes) -> bytes:
    out, at = [], 12
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        stop = at + 8 + length + length % 2
        if name == b"VP8X":
            flags = data[at + 8] & ~0x2C  # no profile, no EXIF, no XMP
            out.append(data[at : at + 8] + bytes([flags]) + data[at + 9 : stop])
        elif name not in (b"ICCP", b"EXIF", b"XMP "):
            out.append(data[at:stop])
        at = stop
    body = b"WEBP" + b"".join(out)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def jpeg_ended(data: bytes) -> bytes:
    """A JPEG with the end mark that it lacks. Neither mark occurs among the packed pixels."""
    return data if data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN) else data + _JPEG_END


def jpeg_faults(data: bytes) -> tuple[str, str]:
    """What libjpeg warns of when it reads the whole of a JPEG: that it is cut off, that a part cannot be read.

    At most one of the two; both are empty for a whole picture, one without its end mark too. Pillow keeps silent about
    either when an end mark follows.
    """
    import simplejpeg

    try:
        # An eighth of the size: every coefficient is read, but few are turned into pixels.
        simplejpeg.decode_jpeg(jpeg_ended(data), min_height=1, min_width=1, strict=True)
    except ValueError as error:
        said = str(error).lower()
        if _JPEG_CUT in said:
            return f"cut off{_jpeg_rows(data)}", ""
        if _JPEG_BROKEN.search(said):
            return "", f"a part of it is damaged ({said.removeprefix('corrupt jpeg data: ')})"
    return "", ""


def _jpeg_rows(data: bytes) -> str:
    """How much of a JPEG that is cut off is there: what different continuations agree on."""
    import numpy as np
    from PIL import Image

    body = data[: data.rfind(_JPEG_END)] if jpeg_ended(data) is data else data
    shown = []
    try:
        for filler in (b"\x00", b"\x5a", b"\xa5"):
            with Image.open(io.BytesIO(body + filler * 4096 + _JPEG_END), formats=("JPEG",)) as picture:
                shown.append(np.asarray(picture.convert("L"), np.int16))
    except MemoryError:
        raise
    except Exception:  # what is there of it is damaged too
        return ""
    differ = np.flatnonzero(((shown[0] != shown[1]) | (shown[0] != shown[2])).any(axis=1))
    rows, height = int(differ[0]) if differ.size else 0, shown[0].shape[0]
    return f": {rows:,} of its {height:,} rows are whole"
