"""What a page of a PDF is made of, read a second time: pdfium draws what it can and keeps silent about the rest."""

from __future__ import annotations

import io
import logging
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pypdf
import pypdf.filters
import pypdfium2
import pypdfium2.raw as pdfium
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, NullObject, StreamObject

from comictool.archives.pdf_pages import Layout
from comictool.core.errors import InputError
from comictool.core.images import MAX_BYTES, MAX_PIXELS, load_picture, open_picture
from comictool.core.odd_pictures import jpeg_faults

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it warns of is told here, or repaired

MOST_DEPTH = 12  # forms inside forms
MOST_PARTS = 20_000  # pictures and forms of a page
MOST_CONTENT = 200_000_000  # bytes of the instructions of a page; detailed maps reach 50 million
_DO = re.compile(rb"/([^\s()<>\[\]{}/%]+)\s+Do\b")
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_SHORT = {"/Fl": "/FlateDecode", "/LZW": "/LZWDecode", "/RL": "/RunLengthDecode", "/A85": "/ASCII85Decode"}
_SHORT |= {"/AHx": "/ASCIIHexDecode", "/DCT": "/DCTDecode", "/CCF": "/CCITTFaxDecode"}
_UNPACKED_BY: dict[str, Any] = {
    "/LZWDecode": pypdf.filters.LZWDecode,
    "/RunLengthDecode": pypdf.filters.RunLengthDecode,
    "/ASCII85Decode": pypdf.filters.ASCII85Decode,
    "/ASCIIHexDecode": pypdf.filters.ASCIIHexDecode,
}
_PICTURE_FILTERS = ("/DCTDecode", "/JPXDecode", "/CCITTFaxDecode", "/JBIG2Decode")
_SAMPLES = {"/DeviceGray": 1, "/G": 1, "/CalGray": 1, "/Indexed": 1, "/I": 1, "/Separation": 1}
_SAMPLES |= {"/DeviceRGB": 3, "/RGB": 3, "/CalRGB": 3, "/Lab": 3, "/DeviceCMYK": 4, "/CMYK": 4}
_FAX = ("/K", "/Columns", "/Rows", "/BlackIs1", "/EncodedByteAlign", "/EndOfLine", "/EndOfBlock")
_FAX_VALUE = re.compile("-?[0-9]{1,6}|true|false")
_JBIG2_REGIONS = (4, 6, 7, 20, 22, 23, 36, 38, 39, 40, 42, 43)  # types of segments
_CHECKED_BY_DECODING = {"JPXDecode", "CCITTFaxDecode", "JBIG2Decode"}


class _FaultError(Exception):
    """Something of a page is damaged or missing."""


class Structure:
    """The objects behind the pages of a document; of no use, and content with everything, where they cannot be read."""

    def __init__(self, path: Path, password: str | None, document: Any) -> None:
        self._path = path
        self._password = password
        self._document = document
        self._pages: list[Any] | None = None
        self._reader: Any = None
        self._stream: Any = None

    def unit(self, index: int) -> float:
        """UserUnit of a page: how many 1/72 inches a unit of length is."""
        try:
            unit = float(self._page(index).get("/UserUnit", 1.0))
        except Exception:
            return 1.0
        return unit if 0.001 <= unit <= 75_000 else 1.0  # the most that PDF allows (ISO 32000-1, annex C)

    def faults(self, index: int, layout: Layout) -> tuple[str, str]:
        """The first thing of a page that is missing, and what else is wrong with it; both empty when all is there."""
        parts = _Parts()
        try:
            page = self._page(index)
            if page is None:
                return "", ""
            resources = page.get("/Resources", {})
            parts.look(_contents(page), resources, 0)
            is_empty = not (layout.pictures or layout.is_drawn)
            if is_empty and (parts.pictures or ("/Contents" not in page and _dictionary(resources).get("/XObject"))):
                return "a picture of the page cannot be drawn", ""
        except _FaultError as error:
            return str(error), ""
        except MemoryError:
            raise
        except Exception:  # pypdf raises many types on what pdfium has repaired
            return "", ""
        finally:
            if self._reader is not None:
                self._reader.resolved_objects.clear()  # else the pictures of all pages stay in memory
        return "", "; ".join(parts.doubts)

    def _page(self, index: int) -> Any:
        if self._pages is None:
            self._pages = self._read_pages()
        return self._pages[index] if index < len(self._pages) else None

    def _read_pages(self) -> list[Any]:
        for is_copy in (False, True):
            try:
                # What is encrypted or was repaired is read from the copy that pdfium writes.
                if not is_copy and pdfium.FPDF_GetSecurityHandlerRevision(self._document) >= 0:
                    continue
                self.close()
                self._stream = self._copy() if is_copy else self._path.open("rb")  # a path would be read whole
                self._reader = pypdf.PdfReader(self._stream, strict=False)
                pages = list(self._reader.pages)
                if len(pages) == len(self._document):
                    return pages
            except MemoryError:
                raise
            except Exception:  # many types on damaged files
                continue
        return []

    def close(self) -> None:
        """Release the file."""
        if self._stream is not None:
            self._stream.close()

    def _copy(self) -> io.BytesIO:
        stream = io.BytesIO()
        self._document.save(stream, flags=pdfium.FPDF_REMOVE_SECURITY)
        return stream


def undecodable(raw: Any, page: Any) -> str:
    """Why a picture object of pdfium shows nothing; empty when it shows something."""
    facts = pdfium.FPDF_IMAGEOBJ_METADATA()
    known = pdfium.FPDFImageObj_GetImageMetadata(raw, page, facts)
    fails = not known or facts.bits_per_pixel == 0
    if not fails and _CHECKED_BY_DECODING & set(pypdfium2.PdfImage(raw, page=page).get_filters()):
        bitmap = pdfium.FPDFImageObj_GetBitmap(raw)
        fails = not bitmap
        if bitmap:
            pdfium.FPDFBitmap_Destroy(bitmap)
    return "a picture of the page is damaged: it cannot be decoded" if fails else ""


class _Parts:
    """Pictures and forms of a page, each looked at once."""

    def __init__(self) -> None:
        self.pictures = 0
        self.doubts: dict[str, None] = {}
        self._seen: set[Any] = set()
        self._count = 0

    def look(self, content: bytes, resources: Any, depth: int) -> None:
        """Follow the instructions that paint something by its name.

        Raises:
            _FaultError: something that is painted is damaged or missing.
        """
        known = _dictionary(_dictionary(resources).get("/XObject"))
        for name in dict.fromkeys(_DO.findall(content)):
            self._count += 1
            if self._count > MOST_PARTS:
                return
            key = "/" + _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), name).decode("latin-1")
            thing = known.raw_get(key) if key in known else None
            identity = (thing.idnum, thing.generation) if isinstance(thing, IndirectObject) else None
            thing = _object(thing)
            if not isinstance(thing, StreamObject):
                raise _FaultError(f"a picture of the page is missing ({key[1:]})")
            is_picture = thing.get("/Subtype") == "/Image"
            self.pictures += is_picture
            if identity is not None and identity in self._seen:
                continue
            self._seen.add(identity)
            if is_picture:
                self._look_at(thing, resources)
            elif thing.get("/Subtype") != "/Form":
                raise _FaultError(f"a part of the page is of an unknown kind ({key[1:]})")
            elif depth < MOST_DEPTH:
                self.look(_instructions(thing), thing.get("/Resources", resources), depth + 1)

    def _look_at(self, picture: Any, resources: Any) -> None:
        try:
            self.doubts |= dict.fromkeys(_check_picture(picture, _dictionary(resources)))
        except (_FaultError, MemoryError):
            raise
        except Exception:  # entries of a wrong type; `undecodable` says whether pdfium makes something of it
            return


def _object(thing: Any) -> Any:
    return thing.get_object() if isinstance(thing, IndirectObject) else thing


def _dictionary(thing: Any) -> Any:
    thing = _object(thing)
    return thing if isinstance(thing, DictionaryObject) else DictionaryObject()


def _contents(page: Any) -> bytes:
    if "/Contents" not in page:
        return b""
    contents = _object(page.raw_get("/Contents"))
    streams = [_object(part) for part in contents] if isinstance(contents, ArrayObject) else [contents]
    return b"\n".join(_instructions(stream) for stream in streams)


def _instructions(stream: Any) -> bytes:
    if not isinstance(stream, StreamObject):
        raise _FaultError("the content of the page is missing")
    unpacked = _unpacked(stream, MOST_CONTENT)
    if unpacked.codec or not unpacked.is_whole:
        raise _FaultError(f"the content of the page is {'a picture' if unpacked.codec else 'cut off'}")
    return unpacked.data


def _filters(stream: Any) -> list[str]:
    filters = _object(stream.get("/Filter", stream.get("/F")))
    if filters is None or isinstance(filters, NullObject):
        return []
    names = [_object(one) for one in filters] if isinstance(filters, ArrayObject) else [filters]
    return [_SHORT.get(name, name) for name in names]


@dataclass
class _Unpacked:
    """The data of a stream up to its picture format, and the name of that; `is_right` is what a checksum says."""

    data: bytes
    codec: str = ""
    is_whole: bool = True
    is_right: bool = True


def _unpacked(stream: Any, most: int) -> _Unpacked:
    """Undo the filters of a stream; at most so many bytes.

    Raises:
        _FaultError: a filter is unknown, or what it unpacks is damaged.
    """
    out = _Unpacked(stream._data)
    for name in _filters(stream):
        if name in _PICTURE_FILTERS:
            out.codec = name
            return out
        if name == "/FlateDecode":
            _inflate(out, most)
        elif name in _UNPACKED_BY:
            try:
                data = _UNPACKED_BY[name].decode(out.data)
            except Exception as error:  # many types on damaged data
                raise _FaultError(f"a part of the page is damaged ({name[1:]})") from error
            out.data = data.encode("latin-1") if isinstance(data, str) else data
        elif name != "/Crypt":
            raise _FaultError(f"a part of the page is packed in a way that is not known ({str(name)[1:][:30]})")
    return out


def _inflate(out: _Unpacked, most: int) -> None:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = unpacker.decompress(out.data[2:], most)
    except zlib.error as error:
        raise _FaultError("a part of the page is damaged (FlateDecode)") from error
    checksum = unpacker.unused_data[:4]
    out.is_whole = unpacker.eof or len(data) >= most
    out.is_right &= len(checksum) < 4 or int.from_bytes(checksum) == zlib.adler32(data)
    out.data = data


def _check_picture(picture: Any, resources: Any) -> Iterator[str]:
    """What is doubtful about a picture that is there; raises `_FaultError` for one that is not."""
    width, height = (_object(picture.get(key, picture.get(key[:2]))) for key in ("/Width", "/Height"))
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        raise _FaultError("a picture of the page has no size")
    if width * height > MAX_PIXELS:
        raise _FaultError(f"a picture of {width}x{height} pixels: more than is safe to decode ({MAX_PIXELS:,} at most)")
    is_stencil = str(_object(picture.get("/ImageMask"))) == "True"
    bits = 1 if is_stencil else _object(picture.get("/BitsPerComponent", 8))
    samples = 1 if is_stencil else _samples(picture.get("/ColorSpace"), resources)
    row = (width * int(bits) * (samples or 1) + 7) // 8 + 1  # a predictor puts a byte before each row
    is_packed = any(name in _PICTURE_FILTERS for name in _filters(picture))
    # Two bytes more than needed, so that the end of what is packed is met.
    unpacked = _unpacked(picture, MAX_BYTES if is_packed else row * height + 2)
    if not unpacked.is_right:
        yield "a picture of the page has a wrong checksum"
    if unpacked.codec:
        yield from _check_packed(unpacked.data, unpacked.codec, picture)
    elif samples:
        has_predictor = any(int(parms.get("/Predictor", 1)) >= 10 for parms in _parameters(picture))
        rows = len(unpacked.data) // (row if has_predictor else row - 1)
        if rows < height:
            raise _FaultError(f"a picture of the page is cut off: {rows:,} of its {height:,} rows are there")
    for key in ("/SMask", "/Mask"):
        mask = _object(picture.get(key))
        if isinstance(mask, StreamObject):
            yield from _check_picture(mask, resources)


def _parameters(picture: Any) -> Iterator[Any]:
    parameters = _object(picture.get("/DecodeParms", picture.get("/DP")))
    yield from map(_dictionary, parameters if isinstance(parameters, ArrayObject) else [parameters])


def _samples(space: Any, resources: Any) -> int:
    """Numbers a pixel has in a colour space; 0 when it is not known."""
    space = _object(space)
    if isinstance(space, str):
        named = _object(_dictionary(resources.get("/ColorSpace")).get(space))
        return _SAMPLES.get(space, 0) or (_samples(named, {}) if named is not None else 0)
    if not isinstance(space, ArrayObject) or not space:
        return 0
    family = _object(space[0])
    if family == "/ICCBased":
        return int(_object(space[1]).get("/N", 0))
    if family == "/DeviceN":
        return len(_object(space[1]))
    return _SAMPLES.get(family, 0)


def _check_packed(data: bytes, codec: str, picture: Any) -> Iterator[str]:
    """A picture in a format of its own. What only pdfium decodes is left to `undecodable`."""
    if codec == "/DCTDecode":
        try:
            open_picture(data)
        except InputError as error:
            if _is_common_jpeg(data):
                raise _FaultError(f"a picture of the page is damaged ({error.fact})") from error
            return
        cut, broken = jpeg_faults(data)
        if cut:
            raise _FaultError(f"a picture of the page is damaged or {cut}")
        if broken:
            yield f"a picture of the page: {broken}"
    elif codec == "/JPXDecode":
        try:
            load_picture(data)
        except InputError as error:
            if "damaged" in error.fact:
                raise _FaultError(f"a picture of the page is {error.fact}") from error
    elif codec == "/JBIG2Decode" and _jbig2_lacks(data):
        raise _FaultError("a picture of the page is cut off (JBIG2)")
    elif codec == "/CCITTFaxDecode" and _fax_lacks(data, picture):
        raise _FaultError("a picture of the page is cut off (CCITT)")


def _is_common_jpeg(data: bytes) -> bool:
    """Whether the header is missing, or one of 8 bits that every decoder reads."""
    header = re.search(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf](..)(.)....(.)", data, re.DOTALL)
    return header is None or (header[2] == b"\x08" and header[3] in (b"\x01", b"\x03", b"\x04"))


def _jbig2_lacks(data: bytes) -> bool:
    """Whether the data ends inside a segment, or has none that paints something (ITU-T T.88, 7.2)."""
    at, paints = 0, False
    while at + 11 <= len(data):
        number, flags, referred = int.from_bytes(data[at : at + 4]), data[at + 4], data[at + 5] >> 5
        at += 6
        if referred == 7:
            referred = int.from_bytes(data[at - 1 : at + 3]) & 0x1FFFFFFF
            at += 3 + (referred + 8) // 8
        at += referred * (1 if number <= 256 else 2 if number <= 65_536 else 4) + (4 if flags & 0x40 else 1)
        length = int.from_bytes(data[at : at + 4])
        paints |= flags & 0x3F in _JBIG2_REGIONS
        if length == 0xFFFFFFFF:
            return False  # of unknown length, up to the end
        at += 4 + length
    return at > len(data) or not paints or any(data[at:])


def _fax_lacks(data: bytes, picture: Any) -> bool:
    """Whether rows of a fax picture are missing: two continuations show different rows. It needs no end mark."""
    given = {key: str(_object(value)).lower() for key, value in next(_parameters(picture)).items() if key in _FAX}
    entries = " ".join(f"{key} {value}" for key, value in given.items() if _FAX_VALUE.fullmatch(value))
    size = f"/Width {int(_object(picture['/Width']))}/Height {int(_object(picture['/Height']))}"
    head = f"<</Subtype/Image{size}/BitsPerComponent 1/ColorSpace/DeviceGray"
    head += f"/Filter/CCITTFaxDecode/DecodeParms<<{entries}>>"
    # Rows like the one above; stripes of two pixels in horizontal mode; and two that are hardly ever both refused.
    fillers = (b"\xff", int("001011111" * 8, 2).to_bytes(9), b"\x55", b"\xaa")
    return len({_shown_alone(head, data + filler * 999) for filler in fillers}) > 1


def _shown_alone(head: str, data: bytes) -> bytes:
    """The pixels of a picture in a document of its own, as pdfium decodes them."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Resources<</XObject<</I 4 0 R>>>>/Contents 5 0 R>>",
        head.encode("latin-1") + b"/Length %d>>stream\n" % len(data) + data + b"\nendstream",
        b"<</Length 5>>stream\n/I Do\nendstream",
    ]
    body = b"".join(b"%d 0 obj\n%b\nendobj\n" % (number, one) for number, one in enumerate(objects, 1))
    # Without a table of its objects pdfium looks for them.
    document = pypdfium2.PdfDocument(b"%PDF-1.7\n" + body + b"trailer<</Size 6/Root 1 0 R>>\n%%EOF")
    try:
        page = document[0]
        for picture in page.get_objects():
            return bytes(picture.get_bitmap().to_numpy())
    except pypdfium2.PdfiumError:
        pass
    finally:
        document.close()
    return b""
