"""PDF: pages that are one JPEG give that JPEG unchanged, all others are drawn.

A page whose only visible object is one upright JPEG picture that fills it yields the bytes of that JPEG. Any other page
is drawn pixel by pixel of its finest large pictures (`pdf_pages`); a page of letters and lines only, at 150 dots per
inch. A page of which something is damaged or missing is refused (`pdf_checks`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pypdfium2
from PIL import ImageChops, ImageStat

from comictool.archives.comicinfo import ComicInfo
from comictool.archives.container import Access, Container
from comictool.archives.members import Member
from comictool.archives.pdf_checks import Structure, undecodable
from comictool.archives.pdf_pages import SAME, Layout, draw, layout_of
from comictool.core.errors import InputError
from comictool.core.images import decode, to_rgb

_THUMBNAIL = 96  # pixels; for comparing the bare JPEG with the page as drawn
_ALIKE = 12.0  # mean difference in 0..255; JPEG and scaling differ by 1 to 4, an inverted picture by 100


class PdfContainer(Container):
    """A PDF document; each page is a member."""

    kind = "pdf"

    def __init__(self, path: Path, access: Access) -> None:
        super().__init__()
        self._limits = access.limits
        self._notes: dict[int, str] = {}
        try:
            self._document = pypdfium2.PdfDocument(path, password=access.password)
            self._count = len(self._document)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                reason = "wrong password" if access.password is not None else "encrypted PDF: it needs a password"
                raise InputError(reason) from error
            raise InputError("damaged or cut off: the PDF cannot be opened") from error
        self._limits.check_entries(self._count)
        self._structure = Structure(path, access.password, self._document)

    def entries(self) -> list[Member]:
        # Names end in what the pages most often are; the content decides about the stored file.
        return [Member(f"page {index + 1}.jpg", 0, index) for index in range(self._count)]

    def info(self) -> ComicInfo:
        """Title from the document's own description, when it has one."""
        title = str(self._document.get_metadata_dict().get("Title", ""))
        info = ComicInfo()
        info.note("title", title)
        return info

    def read(self, member: Member) -> bytes:
        try:
            page = self._document[member.index]
        except pypdfium2.PdfiumError as error:
            raise InputError("a damaged PDF page") from error
        try:
            layout = layout_of(page, self._structure.unit(member.index))
            jpeg = _only_jpeg(page, layout)
            if jpeg is not None and len(jpeg) <= self._limits.member_bytes:
                return jpeg
            self._refuse_damage(page, member.index, layout)
            return draw(page, layout)
        except pypdfium2.PdfiumError as error:
            raise InputError("a PDF page that cannot be drawn") from error
        finally:
            page.close()

    def note(self, member: Member) -> str:
        return self._notes.get(member.index, "")

    def _refuse_damage(self, page: Any, index: int, layout: Layout) -> None:
        """What cannot be decoded is left out of a drawing without a word."""
        fault, self._notes[index] = self._structure.faults(index, layout)
        for picture in layout.pictures:
            fault = fault or undecodable(picture.raw, page)
        if fault:
            raise InputError(fault)

    def close(self) -> None:
        self._structure.close()
        self._document.close()


def _only_jpeg(page: Any, layout: Layout) -> bytes | None:
    """The JPEG bytes of a page that shows nothing but one upright JPEG picture over its whole area."""
    if layout.is_drawn or not layout.pictures:
        return None
    last = layout.pictures[-1]
    if not all(layout.covers(last, other) for other in layout.pictures[:-1]):
        return None  # of a strip or a tile below it, however thin, something is seen
    if not (last.is_upright and layout.fills(last)) or abs(last.scale[0] / last.scale[1] - 1) > SAME:
        return None
    picture = pypdfium2.PdfImage(last.raw, page=page)
    filters = picture.get_filters()
    if filters[-1:] != ["DCTDecode"]:
        return None
    jpeg = bytes(picture.get_data(decode_simple=len(filters) > 1))
    return jpeg if _looks_alike(jpeg, page) else None


def _looks_alike(jpeg: bytes, page: Any) -> bool:
    """Whether the bare JPEG shows what the page shows: no mask, inverted colours or foreign profile between them."""
    try:
        bare = decode(jpeg, at_least=_THUMBNAIL).resize((_THUMBNAIL, _THUMBNAIL))
    except InputError:
        return False  # what is wrong with it is found before the page is drawn
    scale = 2 * _THUMBNAIL / max(*page.get_size(), 1.0)
    shown = to_rgb(page.render(scale=scale).to_pil()).resize((_THUMBNAIL, _THUMBNAIL))
    difference = ImageStat.Stat(ImageChops.difference(bare, shown)).mean
    return max(difference) <= _ALIKE
