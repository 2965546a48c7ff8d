"""Small EPUBs made on the spot, for tests: a package, documents in order, and pictures that show their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from comictool.archives.opening import open_comic
from comictool.core.errors import InputError
from tests.archives.comic_files import make_zip, opened
from tests.archives.made import numbered, read_number

CONTAINER_XML = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
SVG = 'xmlns="http://www.w3.org/2000/svg"'
FRAME = f'<svg {SVG} {XLINK} viewBox="0 0 64 96">'
WHOLE = 'width="64" height="96"'


def book(
    path: Path,
    documents: Mapping[str, str | bytes],
    pictures: Mapping[str, int | bytes],
    *,
    metadata: str = "",
    spine: str = "",
    items: str = "",
    references: str | None = None,
    guide: str = "",
    more: Mapping[str, bytes] | None = None,
    container: str = CONTAINER_XML,
) -> Path:
    """An EPUB below OEBPS/ that reads these documents in order; pictures are given by the number they show."""
    media = {"svg": "image/svg+xml", "css": "text/css", "jpg": "image/jpeg", "png": "image/png"}
    lines = "".join(
        f'<item id="{name}" href="{name}" media-type="{media.get(name[-3:], "application/xhtml+xml")}"/>'
        for name in [*documents, *pictures]
    )
    if references is None:
        references = "".join(f'<itemref idref="{name}"/>' for name in documents if not name.endswith("css"))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:opf="http://www.idpf.org/2007/opf" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>{metadata}</metadata>'
        f"<manifest>{lines}{items}</manifest><spine {spine}>{references}</spine>{guide}</package>"
    )
    members = {"META-INF/container.xml": container.encode(), "OEBPS/book.opf": package.encode()}
    for name, shown in sorted(pictures.items()):
        data = numbered(shown, kind="PNG" if name.endswith("png") else "JPEG") if isinstance(shown, int) else shown
        members[f"OEBPS/{name}"] = data
    for name, text in documents.items():
        members[f"OEBPS/{name}"] = text if isinstance(text, bytes) else text.encode()
    return make_zip(path, members | dict(more or {}))


def xhtml(body: str, head: str = "") -> str:
    return f"<html {XHTML} {XLINK}><head>{head}</head><body>{body}</body></html>"


def numbers(path: Path, *, problems: int | None = 0, **asked: bool) -> list[int | None]:
    """The numbers that the pages show; -1 for one that cannot be read."""
    found: list[int | None] = []
    with open_comic(path, **asked) as comic:
        assert comic.kind == "epub", comic.problems
        for member in comic.members:
            try:
                found.append(read_number(opened(comic.read(member))))
            except InputError:
                found.append(-1)
        assert problems is None or len(comic.problems) == problems, comic.problems
    return found
