"""PDF: pages that are one JPEG give that JPEG unchanged, all others are drawn.

The rule: a page whose only visible object is one upright JPEG picture that fills it yields the bytes of that JPEG.
Any other page is drawn at the resolution of its finest large picture, but with at least 150 and at most 400 dots per
inch, and at most 25 million pixels; a page of letters and lines only, at 150 dots per inch.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image, ImageChops, ImageStat

from comictool.core.errors import InputError
from comictool.core.images import open_picture, to_rgb, upright
from comictool.corpus.archives.container import Access, Container
from comictool.corpus.archives.members import Member
from comictool.corpus.comicinfo import LONGEST_TEXT, ComicInfo

POINTS_PER_INCH = 72.0
LEAST_DPI = 150.0
MOST_DPI = 400.0
MOST_PIXELS = 25_000_000
FULL_PAGE = 0.98  # share of each side that a picture must cover to be the page; some tools round by a point
LARGE_PICTURE = 0.25  # share of the page from which a picture decides the resolution
MOST_OBJECTS = 5_000  # objects of a page that are looked at
_THUMBNAIL = 96  # pixels; for comparing the bare JPEG with the page as drawn
_ALIKE = 12.0  # mean difference in 0..255; JPEG and scaling differ by 1 to 4, an inverted picture by 100


class PdfContainer(Container):
    """A PDF document; each page is a member."""

    kind = "pdf"

    def __init__(self, path: Path, access: Access) -> None:
        super().__init__()
        self._limits = access.limits
        try:
            self._document = pypdfium2.PdfDocument(path, password=access.password)
            self._count = len(self._document)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                reason = "wrong password" if access.password is not None else "encrypted PDF: it needs a password"
                raise InputError(reason) from error
            raise InputError("damaged or cut off: the PDF cannot be opened") from error
        self._limits.check_entries(self._count)

    def entries(self) -> list[Member]:
        # Names end in what the pages most often are; the content decides about the stored file.
        return [Member(f"page {index + 1}.jpg", 0, index) for index in range(self._count)]

    def info(self) -> ComicInfo:
        """Title from the document's own description, when it has one."""
        title = str(self._document.get_metadata_dict().get("Title", ""))
        return ComicInfo(title=" ".join(title.replace("\0", " ").split())[:LONGEST_TEXT])

    def read(self, member: Member) -> bytes:
        try:
            page = self._document[member.index]
        except pypdfium2.PdfiumError as error:
            raise InputError("a damaged PDF page") from error
        try:
            jpeg = _only_jpeg(page)
            if jpeg is not None and len(jpeg) <= self._limits.member_bytes and _looks_alike(jpeg, page):
                return jpeg
            return _drawn(page)
        except pypdfium2.PdfiumError as error:
            raise InputError("a PDF page that cannot be drawn") from error
        finally:
            page.close()

    def close(self) -> None:
        self._document.close()


def _only_jpeg(page: Any) -> bytes | None:
    """The JPEG bytes of a page that shows nothing but one upright JPEG picture over its whole area."""
    if page.get_rotation() != 0:
        return None
    picture = None
    for number, thing in enumerate(page.get_objects(max_depth=1)):
        if thing.type == pdfium.FPDF_PAGEOBJ_TEXT:
            # Scanned pages often carry recognised text that is not shown.
            if pdfium.FPDFTextObj_GetTextRenderMode(thing.raw) != pdfium.FPDF_TEXTRENDERMODE_INVISIBLE:
                return None
        elif thing.type != pdfium.FPDF_PAGEOBJ_IMAGE or picture is not None:
            return None
        else:
            picture = thing
        if number >= MOST_OBJECTS:
            return None
    if picture is None or not _fills(picture, page) or picture.get_filters() != ["DCTDecode"]:
        return None
    matrix = picture.get_matrix()
    if matrix.a <= 0 or matrix.d <= 0 or abs(matrix.b) + abs(matrix.c) > 1e-3 * (matrix.a + matrix.d):
        return None  # mirrored or turned
    return bytes(picture.get_data(decode_simple=False))


def _fills(picture: Any, page: Any) -> bool:
    left, bottom, right, top = picture.get_bounds()
    page_left, page_bottom, page_right, page_top = page.get_cropbox()
    width, height = page_right - page_left, page_top - page_bottom
    spills = max(page_left - left, right - page_right, page_bottom - bottom, top - page_top)
    if width <= 0 or height <= 0 or spills > (1 - FULL_PAGE) * max(width, height):
        return False  # the page shows only a part of the picture
    return (right - left) >= FULL_PAGE * width and (top - bottom) >= FULL_PAGE * height


def _looks_alike(jpeg: bytes, page: Any) -> bool:
    """Whether the bare JPEG shows what the page shows: no mask, inverted colours or foreign profile between them."""
    try:
        with open_picture(jpeg) as opened:
            opened.draft("RGB", (_THUMBNAIL * 2, _THUMBNAIL * 2))
            bare = to_rgb(upright(opened)).resize((_THUMBNAIL, _THUMBNAIL))
    except (InputError, OSError, ValueError, SyntaxError):
        return False  # then the page is drawn, and a damaged page shows in that
    width, height = page.get_size()
    scale = 2 * _THUMBNAIL / max(width, height, 1.0)
    shown = to_rgb(page.render(scale=scale).to_pil()).resize((_THUMBNAIL, _THUMBNAIL))
    difference = ImageStat.Stat(ImageChops.difference(bare, shown)).mean
    return max(difference) <= _ALIKE


def _drawn(page: Any) -> bytes:
    """The page as an uncompressed picture (PPM); the import's rule for pictures then picks the format."""
    width, height = page.get_size()
    if width <= 0 or height <= 0:
        raise InputError("a PDF page without area")
    scale = _resolution(page, width, height) / POINTS_PER_INCH
    scale = min(scale, (MOST_PIXELS / (width * height)) ** 0.5)
    picture: Image.Image = to_rgb(page.render(scale=scale, may_draw_forms=False).to_pil())
    stream = io.BytesIO()
    picture.save(stream, "PPM")
    return stream.getvalue()


def _resolution(page: Any, width: float, height: float) -> float:
    finest = LEAST_DPI
    for number, thing in enumerate(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3)):
        if number >= MOST_OBJECTS:
            break
        left, bottom, right, top = thing.get_bounds()
        if (right - left) * (top - bottom) >= LARGE_PICTURE * width * height:
            pixels, _ = thing.get_px_size()
            finest = max(finest, pixels * POINTS_PER_INCH / (right - left))
    return min(finest, MOST_DPI)
