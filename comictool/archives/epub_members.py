"""The files of a book by the references that its documents use."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from comictool.archives.container import Container
from comictool.archives.limits import Limits
from comictool.archives.markup import decoded, name_of, parse_document
from comictool.archives.members import Member, ending, is_picture
from comictool.archives.sniffing import HEAD, kind_of_bytes
from comictool.core.errors import InputError

_DOCUMENTS = ("application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/x-dtbook+xml")
_SVG = "image/svg+xml"


class BookFiles:
    """The members of a book, found as a lenient reader finds them.

    Args:
        root: the folder of the archive that the book lies in, with a slash at its end; mostly empty.
    """

    def __init__(self, container: Container, members: list[Member], root: str, limits: Limits) -> None:
        self.container = container
        self.limits = limits
        self.root = root
        self.media: dict[str, str] = {}  # by member name, as the package declares it
        self.sealed: dict[str, str] = {}  # encrypted members, and by what
        self._exact = {member.name.replace("\\", "/"): member for member in members}
        self._folded = {_folded(name): member for name, member in self._exact.items()}
        self._last: tuple[str, Any] = ("", None)

    def get(self, path: str) -> Member | None:
        """The member with this path; one that differs in case or in how its accents are composed will do."""
        return self._exact.get(path) or self._folded.get(_folded(path))

    def find(self, base: str, reference: str) -> Member | None:
        """The member that a reference in the file `base` means."""
        found = (self.get(path) for path in self.paths(base, reference))
        return next((member for member in found if member is not None), None)

    def paths(self, base: str, reference: str) -> Iterator[str]:
        """Where the reference may lead, the right place first: names that were not encoded come after it."""
        reference = "".join(reference.split("\n")).replace("\r", "").replace("\t", "").strip()
        try:
            parts = urlsplit(reference)
            path = parts.path if not parts.scheme and not parts.netloc else ""
        except ValueError:  # brackets that are no address
            path = ""
        folder = posixpath.dirname(base.replace("\\", "/").removeprefix(self.root))
        for name in dict.fromkeys((unquote(path), path, reference, unquote(reference).replace("\\", "/"))):
            if name:
                # A path cannot climb above the root, as in a browser.
                yield self.root + posixpath.normpath(posixpath.join("/", folder, name)).lstrip("/")

    def read(self, member: Member) -> bytes:
        """The bytes of a member.

        Raises:
            InputError: encrypted, damaged or too large.
        """
        if member.name in self.sealed:
            raise InputError(f"protected against copying ({self.sealed[member.name]})")
        self.limits.check_member(member.size, member.packed)
        return self.container.read(member)

    def text(self, member: Member) -> str:
        """The text of a style sheet or another plain document."""
        if member.size > self.limits.document_bytes:
            raise InputError(f"{member.size:,} bytes are too many")
        return decoded(self.read(member))

    def document(self, member: Member) -> Any:
        """The root element of a document; the last one is kept, for its pictures are asked for one by one."""
        if self._last[0] != member.name:
            self._last = (member.name, parse_document(self.read(member), self.limits.document_bytes))
        return self._last[1]

    def kind(self, member: Member) -> str:
        """What a file is: `document`, `svg`, `picture` or `other`; by its declared type, its name, or its content."""
        media = self.media.get(member.name, "")
        tail = ending(member.name)
        if media == _SVG or (not media and tail == "svg"):
            return "svg"
        if media.startswith("image/"):
            return "picture"
        if media in _DOCUMENTS or (not media and tail in ("xhtml", "html", "htm")):
            return "document"
        if is_picture(member.name):
            return "picture"
        if media.startswith(("audio/", "video/", "font/", "text/css", "application/pdf")):
            return "other"
        return self._sniffed(member)

    def _sniffed(self, member: Member) -> str:
        try:
            data = self.read(member)
            if kind_of_bytes(data[:HEAD]) == "image":
                return "picture"
            name = name_of(self.document(member))[1] if b"<" in data[:HEAD] else ""
        except InputError:
            return "other"
        return {"svg": "svg", "html": "document"}.get(name, "other")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
