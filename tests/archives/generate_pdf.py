"""Made PDFs: pages whose pixels are known, wrapped in the ways that PDF allows, some of them damaged; see `made`."""

from __future__ import annotations

import base64
import io
import random
import struct
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from tests.archives.made import Made, numbered_picture

LOSSLESS = ("rgb", "grey", "indexed", "bit", "grey4", "grey2", "rgb16", "jpx", "fax", "jbig2", "masked", "stencil")
LOSSY = ("dct", "dct grey", "dct packed", "cmyk", "icc", "dct cmyk")
LAYOUTS = ("whole", "strips", "grid", "overlapping")
DAMAGES = ("cut", "missing", "unknown filter", "content cut", "content missing")
ROUNDING = (6, 6, 3, 2)  # decimals that producers write


@dataclass
class Pdf:
    """A document in the making; objects 1 and 2 are its catalogue and its list of pages."""

    objects: list[bytes] = field(default_factory=lambda: [b"", b""])
    pages: list[int] = field(default_factory=list)

    def add(self, entries: str, data: bytes | None = None) -> int:
        """An object, a stream when it has data; returns its number."""
        body = f"<<{entries}".encode("latin-1")
        if data is None:
            self.objects.append(body + b">>")
        else:
            self.objects.append(body + b"/Length %d>>\nstream\n" % len(data) + data + b"\nendstream")
        return len(self.objects)

    def written(self, *, xref: int = 0) -> bytes:
        """The bytes of the file; `xref` puts the table of objects so many bytes beside the truth."""
        kids = " ".join(f"{page} 0 R" for page in self.pages)
        self.objects[0] = b"<</Type/Catalog/Pages 2 0 R>>"
        self.objects[1] = f"<</Type/Pages/Kids[{kids}]/Count {len(self.pages)}>>".encode()
        out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), []
        for number, body in enumerate(self.objects, start=1):
            places.append(len(out))
            out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
        start = len(out)
        out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
        out += b"".join(b"%010d 00000 n \n" % (place + xref) for place in places)
        out += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, start + xref)
        return bytes(out)


@dataclass(frozen=True)
class MadePage:
    """What a page shows.

    Attributes:
        pixels: (height, width, 3) uint8.
        is_exact: each of them arrives as it is.
    """

    pixels: np.ndarray
    is_exact: bool
    description: str


def make(seed: int, folder: Path) -> Made:
    """A comic for a seed."""
    rng = random.Random(seed)
    pdf = Pdf()
    numbers = rng.sample(range(4096), rng.randint(1, 4))
    damaged = set(rng.sample(numbers, rng.randint(1, len(numbers)))) if rng.random() < 0.3 else set()
    told = [
        add_page(pdf, rng, number, damage=rng.choice(DAMAGES) if number in damaged else "").description
        for number in numbers
    ]
    xref = rng.choice((0, 0, 0, 7))
    kind = "pdf damaged" if damaged else "pdf odd"
    path = folder / "book.pdf"
    path.write_bytes(pdf.written(xref=xref))
    description = "; ".join(told) + (", table of objects broken" if xref else "")
    return Made(path, kind, numbers, frozenset(damaged), description)


def add_page(
    pdf: Pdf, rng: random.Random, number: int, *, damage: str = "", kind: str = "", layout: str = "", extra: str = ""
) -> MadePage:
    """Add a page that shows a number, wrapped at random as far as the arguments leave it open."""
    kind = kind or rng.choice(LOSSLESS + LOSSY)
    layout = layout or rng.choice(LAYOUTS)
    size = rng.randint(60, 260), rng.randint(60, 260)
    pixels = page_pixels(rng, number, size, kind)
    height, width = pixels.shape[:2]
    dpi, unit = rng.choice((50, 72, 96, 150, 200, 300, 400, 600)), rng.choice((1, 1, 1, 2, 10))
    point = 72 / dpi / unit  # of a pixel
    rotation = rng.choice((0, 0, 0, 90, 180, 270))
    corner = rng.choice(((0.0, 0.0), (0.0, 0.0), (10.5, -20.25)))
    extra = extra or rng.choice(("", "text", "white below", "crop", "clips"))
    decimals = rng.choice(ROUNDING) if unit == 1 else 6
    to_page = _to_page(rotation, (width * point, height * point), corner)
    tiles = _tiles(rng, layout, (width, height))
    hurt = rng.randrange(len(tiles))
    resources, content = [], []
    if extra == "white below":
        content.append("q 1 1 1 rg -1000 -1000 9000 9000 re f Q")
    operation = rng.choice((0, 0, 0, 1, 2, 3)), rng.choice((False, False, True))
    in_form = rng.choice((0, 0, 1, 2))
    for place, (x0, y0, x1, y1) in enumerate(tiles):
        corners = np.array([[[x0, y0], [x1, y0]], [[x0, y1], [x1, y1]]], np.float64) * point
        stored, corners = _operated(pixels[y0:y1, x0:x1], *operation), _operated(corners, *operation)
        matrix = np.zeros((3, 3))
        matrix[0, :2], matrix[1, :2] = corners[1, 1] - corners[1, 0], corners[0, 0] - corners[1, 0]
        matrix[2] = [*corners[1, 0], 1]
        picture = _add_picture(pdf, rng, stored, kind, damage if place == hurt else "")
        name, instructions = f"Im{place}", _instructions(f"Im{place}", matrix @ to_page, decimals, extra == "clips")
        for depth in range(in_form):
            name, picture, instructions = _in_form(pdf, rng, f"F{place}x{depth}", name, picture, instructions)
        resources.append(f"/{name} {picture} 0 R")
        content.append(instructions)
    if extra == "text":
        content.append("BT 3 Tr /Helv 10 Tf 5 5 Td (recognised) Tj ET")
    boxes = _boxes(rotation, (width * point, height * point), corner, extra == "crop")
    data = zlib.compress("\n".join(content).encode())
    if damage == "content cut":
        data = data[: len(data) // 3]
    stream = 9_999 if damage == "content missing" else pdf.add("/Filter/FlateDecode", data)
    pdf.pages.append(
        pdf.add(
            f"/Type/Page/Parent 2 0 R{boxes}/Rotate {rotation}/UserUnit {unit}/Contents {stream} 0 R"
            f"/Resources<</XObject<<{''.join(resources)}>>"
            "/Font<</Helv<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
        )
    )
    description = (
        f"{number}: {kind} {layout} {width}x{height} at {dpi}, unit {unit}, turned {rotation}, operation {operation}, "
        f"{in_form} forms, {decimals} decimals, {extra} {damage}"
    )
    return MadePage(pixels, kind in LOSSLESS, description)


def page_pixels(rng: random.Random, number: int, size: tuple[int, int], kind: str) -> np.ndarray:
    """(height, width, 3) uint8: a number under noise, in the colours that a kind of picture can hold."""
    noise = np.random.default_rng(rng.randrange(1 << 30))
    grey: np.ndarray = np.asarray(numbered_picture(number, size)).astype(np.int16)[..., None]
    is_smooth = kind in LOSSY
    colours = 3 if kind in ("rgb", "rgb16", "indexed", "jpx", "masked") else 1
    grey = grey + (0 if is_smooth else noise.integers(-30, 31, (*grey.shape[:2], colours)))
    if kind in ("bit", "fax", "jbig2", "stencil"):
        grey = (grey > 130) * 255
    elif kind in ("grey4", "grey2", "indexed"):
        steps = 3 if kind == "grey2" else 5 if kind == "indexed" else 15
        grey = np.round(grey / 255 * steps) * (255 // steps)
    return np.broadcast_to(grey.clip(0, 255).astype(np.uint8), (*grey.shape[:2], 3)).copy()


def _tiles(rng: random.Random, layout: str, size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    width, height = size
    if layout == "whole":
        return [(0, 0, width, height)]
    across = _cuts(rng, width, rng.choice((1, 2, 4))) if layout == "grid" else [0, width]
    down = _cuts(rng, height, rng.choice((2, 5, 12)))
    over = 1 if layout == "overlapping" else 0
    return [(x0, max(0, y0 - over), x1, y1) for y0, y1 in pairwise(down) for x0, x1 in pairwise(across)]


def _cuts(rng: random.Random, length: int, parts: int) -> list[int]:
    if rng.random() < 0.5:
        return sorted({0, length, *(rng.randrange(1, length) for _ in range(parts - 1))})
    return sorted({0, length, *(length * part // parts for part in range(1, parts))})


def _operated(array: np.ndarray, turns: int, is_mirrored: bool) -> np.ndarray:
    turned = np.rot90(array, turns)
    return turned[:, ::-1] if is_mirrored else turned


def _to_page(rotation: int, size: tuple[float, float], corner: tuple[float, float]) -> np.ndarray:
    """From points of the page as shown (top left, downwards) to its own space, of which `corner` is the lower left."""
    (width, height), (left, bottom) = size, corner
    return np.array(
        {
            0: [[1, 0, 0], [0, -1, 0], [left, bottom + height, 1]],
            90: [[0, 1, 0], [1, 0, 0], [left, bottom, 1]],
            180: [[-1, 0, 0], [0, 1, 0], [left + width, bottom, 1]],
            270: [[0, -1, 0], [-1, 0, 0], [left + height, bottom + width, 1]],
        }[rotation],
        np.float64,
    )


def _boxes(rotation: int, size: tuple[float, float], corner: tuple[float, float], is_cropped: bool) -> str:
    (width, height), (left, bottom) = size if rotation % 180 == 0 else size[::-1], corner
    box = f"{left:.6f} {bottom:.6f} {left + width:.6f} {bottom + height:.6f}"
    if is_cropped:
        media = f"{left - 40:.4f} {bottom - 30:.4f} {left + width + 90:.4f} {bottom + height + 5:.4f}"
        return f"/MediaBox[{media}]/CropBox[{box}]"
    return f"/MediaBox[{box}]"


def _instructions(name: str, matrix: np.ndarray, decimals: int, is_clipped: bool) -> str:
    values = " ".join(f"{matrix[row, column]:.{decimals}f}" for row in range(3) for column in range(2))
    corners = np.array([[0, 0, 1], [1, 1, 1]]) @ matrix
    left, bottom, right, top = *corners.min(0)[:2], *corners.max(0)[:2]
    box = " ".join(f"{value:.{decimals}f}" for value in (left, bottom, right - left, top - bottom))
    clip = f"{box} re W n " if is_clipped else ""
    return f"q {clip}{values} cm /{name} Do Q"


def _in_form(
    pdf: Pdf, rng: random.Random, name: str, inner: str, picture: int, instructions: str
) -> tuple[str, int, str]:
    """Put what is painted into a form that is scaled outside."""
    scale, move = rng.choice((0.01, 0.5, 2.0, 30.0)), rng.choice((0.0, 7.0))
    back = f"q {1 / scale:.6f} 0 0 {1 / scale:.6f} {-move / scale:.6f} {-move / scale:.6f} cm {instructions} Q"
    form = pdf.add(
        f"/Type/XObject/Subtype/Form/BBox[-99999 -99999 99999 99999]/Resources<</XObject<</{inner} {picture} 0 R>>>>",
        back.encode(),
    )
    return name, form, f"q {scale} 0 0 {scale} {move} {move} cm /{name} Do Q"


def _add_picture(pdf: Pdf, rng: random.Random, pixels: np.ndarray, kind: str, damage: str) -> int:
    entries, data = _encoded(pdf, rng, np.ascontiguousarray(pixels), kind)
    height, width = pixels.shape[:2]
    if damage == "cut":
        data = data[: len(data) // 3]
    if damage == "missing":
        return 9_998
    if damage == "unknown filter":
        entries = entries.replace("/Filter", "/Filter/HuffyDecode/Was", 1) if "/Filter" in entries else entries
    return pdf.add(f"/Type/XObject/Subtype/Image/Width {width}/Height {height}{entries}", data)


def _encoded(pdf: Pdf, rng: random.Random, pixels: np.ndarray, kind: str) -> tuple[str, bytes]:
    picture = Image.fromarray(pixels)
    if kind in ("dct", "dct packed"):
        data = _saved(picture, "JPEG", quality=92)
        if kind == "dct packed":
            return "/BitsPerComponent 8/ColorSpace/DeviceRGB/Filter[/FlateDecode/DCTDecode]", zlib.compress(data)
        return "/BitsPerComponent 8/ColorSpace/DeviceRGB/Filter/DCTDecode", data
    if kind == "dct grey":
        return "/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/DCTDecode", _saved(picture.convert("L"), "JPEG")
    if kind == "dct cmyk":
        inverted = "/Decode[1 0 1 0 1 0 1 0]/BitsPerComponent 8/ColorSpace/DeviceCMYK/Filter/DCTDecode"
        return inverted, _saved(picture.convert("CMYK"), "JPEG", quality=92)
    if kind == "jpx":
        return "/Filter/JPXDecode", _saved(picture, "JPEG2000")
    if kind == "fax":
        parameters = f"/DecodeParms<</K -1/Columns {picture.width}/Rows {picture.height}/BlackIs1 true>>"
        entries = f"/BitsPerComponent 1/ColorSpace/DeviceGray/Filter/CCITTFaxDecode{parameters}"
        return entries, _fax(picture.convert("1"))
    if kind == "jbig2":
        return "/BitsPerComponent 1/ColorSpace/DeviceGray/Filter/JBIG2Decode", _jbig2(picture.convert("1"))
    return _flat(pdf, rng, pixels, kind)


def _flat(pdf: Pdf, rng: random.Random, pixels: np.ndarray, kind: str) -> tuple[str, bytes]:
    """Samples one after the other, packed by filters for any data."""
    samples: np.ndarray = pixels[..., :1]
    bits, space, more = 8, "/DeviceGray", ""
    if kind in ("rgb", "icc", "masked"):
        samples, space = pixels, "/DeviceRGB"
        if kind == "icc":
            profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
            space = f"[/ICCBased {pdf.add('/N 3', profile)} 0 R]"
        if kind == "masked":
            mask = np.full(pixels.shape[:2], 255, np.uint8)
            size = f"/Width {mask.shape[1]}/Height {mask.shape[0]}"
            entries = f"/Subtype/Image{size}/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/FlateDecode"
            more = f"/SMask {pdf.add(entries, zlib.compress(mask.tobytes()))} 0 R"
    elif kind == "indexed":
        levels = np.unique(pixels.reshape(-1, 3), axis=0)
        place = {tuple(level): number for number, level in enumerate(levels)}
        samples = np.array([[place[tuple(pixel)] for pixel in row] for row in pixels], np.uint8)[..., None]
        space = f"[/Indexed/DeviceRGB {len(levels) - 1}<{levels.tobytes().hex()}>]"
    elif kind == "cmyk":
        samples, space = np.asarray(Image.fromarray(pixels).convert("CMYK")), "/DeviceCMYK"
    elif kind == "rgb16":
        samples, bits, space = pixels.astype(">u2") * 257, 16, "/DeviceRGB"
        samples = samples.astype(">u2")
    bits = {"bit": 1, "stencil": 1, "grey2": 2, "grey4": 4}.get(kind, bits)
    if bits < 8:
        values = (samples[..., 0] >> (8 - bits)).astype(np.uint8)
        rows = np.unpackbits(values[..., None], axis=2)[..., 8 - bits :].reshape(len(values), -1)
        body = np.packbits(rows, axis=1)
    else:
        body = np.frombuffer(samples.tobytes(), np.uint8).reshape(len(samples), -1)
    colours = (
        "/ImageMask true/BitsPerComponent 1" if kind == "stencil" else f"/BitsPerComponent {bits}/ColorSpace{space}"
    )
    way = rng.choice(("flate", "flate", "up", "85", "hex", "none", "run"))
    if way == "up":  # each row as the difference to the one above
        rows = np.diff(np.concatenate([np.zeros_like(body[:1]), body]), axis=0)
        data = zlib.compress(np.concatenate([np.full((len(rows), 1), 2, np.uint8), rows], axis=1).tobytes())
        number = 1 if kind == "indexed" else samples.shape[2]
        parameters = f"/DecodeParms<</Predictor 15/Colors {number}/BitsPerComponent {bits}/Columns {samples.shape[1]}>>"
        return f"{colours}{more}/Filter/FlateDecode{parameters}", data
    if way == "85":
        data = base64.a85encode(zlib.compress(body.tobytes())) + b"~>"
        return f"{colours}{more}/Filter[/ASCII85Decode/FlateDecode]", data
    if way == "hex":
        return f"{colours}{more}/Filter/ASCIIHexDecode", body.tobytes().hex().encode() + b">"
    if way == "run":
        flat = body.tobytes()
        pieces = (flat[start : start + 128] for start in range(0, len(flat), 128))
        return f"{colours}{more}/Filter/RunLengthDecode", b"".join(bytes([len(p) - 1]) + p for p in pieces) + b"\x80"
    if way == "none":
        return f"{colours}{more}", body.tobytes()
    return f"{colours}{more}/Filter/FlateDecode", zlib.compress(body.tobytes())


def _saved(picture: Image.Image, kind: str, **save: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **save)
    return stream.getvalue()


def _fax(picture: Image.Image) -> bytes:
    """Group 4 data of a picture of black and white, black as 0."""
    data = _saved(picture, "TIFF", compression="group4", tiffinfo={278: picture.height})
    with Image.open(io.BytesIO(data)) as tiff:
        tags = tiff.tag_v2  # type: ignore[attr-defined]
        return data[tags[273][0] : tags[273][0] + tags[279][0]]


def _jbig2(picture: Image.Image) -> bytes:
    """The two segments of an embedded JBIG2 picture (ITU-T T.88): the page, and one region in fax code."""
    width, height = picture.size
    page = struct.pack(">IIIIBH", width, height, 0, 0, 0, 0)
    region = struct.pack(">IIIIBB", width, height, 0, 0, 0, 1) + _fax(ImageOps.invert(picture))
    return (
        struct.pack(">IBBBI", 0, 48, 0, 1, len(page)) + page + struct.pack(">IBBBI", 1, 38, 0, 1, len(region)) + region
    )
