"""Opening a comic of any kind: its pages in reading order, its description, and bounded reads."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from comictool.archives.comicinfo import ComicInfo, parse_comic_info
from comictool.archives.container import Access, Container
from comictool.archives.folder_files import why_not_followed
from comictool.archives.limits import Limits
from comictool.archives.members import (
    ARCHIVE_ENDINGS,
    Member,
    comic_info_member,
    ending,
    is_junk,
    is_picture,
    printable,
)
from comictool.archives.selecting import select_pages
from comictool.archives.sniffing import kind_of_file
from comictool.core.errors import ComicError, InputError
from comictool.core.jobs import FATAL

NOT_A_COMIC = {
    "empty": "the file is empty (0 bytes)",
    "html": "a web page, not a comic file (a failed download?)",
    "unknown": "not a comic file (known are cbz, cbr, cb7, cbt, pdf, epub and pictures)",
}
_LONGEST_PROGRAM = 2 * 1024 * 1024  # as far as rarfile looks; unrar itself looks half as far


class ComicArchive:
    """An opened comic.

    Attributes:
        kind: `zip`, `rar`, `7z`, `tar`, `pdf`, `epub`, `folder` or `image`, by content.
        members: the pages in reading order; junk is left out.
        comic_info: what ComicInfo.xml or the package file says, or None.
        problems: what is wrong with the comic besides single pages, one line each.
        reads_singly: see `Container`.
    """

    def __init__(self, container: Container, kind: str, members: list[Member], limits: Limits) -> None:
        self.kind = kind
        self.members = members
        self.comic_info: ComicInfo | None = None
        self.problems = container.problems
        self.reads_singly = container.reads_singly
        self._container = container
        self._limits = limits

    def read(self, member: Member) -> bytes:
        """The bytes of a page, as stored.

        Raises:
            InputError: encrypted, damaged, or larger than allowed.
            SetupError: a program that unpacks this kind is missing.
        """
        self._limits.check_member(member.size, member.packed)
        with _plain_errors():
            return self._container.read(member)

    def note(self, member: Member) -> str:
        """What is wrong with a page that was read all the same; empty mostly."""
        return self._container.note(member)


@contextmanager
def open_comic(
    path: Path,
    password: str | None = None,
    *,
    nested: bool = True,
    scratch: Path | None = None,
    limits: Limits | None = None,
    text_books: bool = False,
) -> Iterator[ComicArchive]:
    """Open a comic file, a folder of pictures or a single picture, by its content.

    Args:
        password: for encrypted zip, 7z and pdf files.
        nested: for a folder: whether the folders below belong to the comic.
        scratch: where solid archives are unpacked while the comic is open.
        text_books: whether the pictures of a book of prose are taken, too.

    Raises:
        InputError: not a comic, damaged, encrypted, a bomb, or without a single page.
    """
    access = Access(password, scratch, limits or Limits(), text_books)
    with _plain_errors():
        kind = "folder" if path.is_dir() else _kind(path)
        container = _open(path, kind, access, nested=nested)
    try:
        with _plain_errors():
            comic = _arranged(container, access)
            if path.is_file():
                small = (m.size for m in comic.members if m.size <= access.limits.member_bytes)
                access.limits.check_total(sum(small), path.stat().st_size)
        yield comic
    finally:
        container.close()


def _kind(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        raise InputError(why_not_followed(path))
    if path.exists() and not path.is_file():
        raise InputError("neither a file nor a folder")  # a pipe or a device would block for ever
    try:
        kind = kind_of_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    return _kind_behind_a_program(path) if kind == "unknown" else kind


def _kind_behind_a_program(path: Path) -> str:
    """The kind of an archive with something before it, such as a program that unpacks it.

    The first signature counts: either kind may hold the other, and the end of a ZIP is found in any.
    """
    with open(path, "rb") as stream:
        head = stream.read(_LONGEST_PROGRAM)
    rar, zip_ = head.find(b"Rar!\x1a\x07"), head.find(b"PK\x03\x04")
    if rar >= 0 and not 0 <= zip_ < rar:
        return "rar"
    return "zip" if zipfile.is_zipfile(path) else "unknown"


def _open(path: Path, kind: str, access: Access, *, nested: bool) -> Container:
    # Each kind's reader brings its library along, so only the one that is needed is loaded.
    if kind == "zip":
        from comictool.archives.zip_files import open_zip

        return open_zip(path, access)
    if kind == "rar":
        from comictool.archives.rar_files import RarContainer

        return RarContainer(path, access)
    if kind == "7z":
        from comictool.archives.seven_zip_files import open_seven_zip

        return open_seven_zip(path, access)
    if kind.startswith("tar"):
        from comictool.archives.tar_files import open_tar

        return open_tar(path, kind, access)
    if kind == "pdf":
        from comictool.archives.pdf_files import PdfContainer

        return PdfContainer(path, access)
    from comictool.archives.folder_files import FolderContainer, SinglePicture

    if kind == "folder":
        return FolderContainer(path, access, nested=nested)
    if kind == "image":
        return SinglePicture(path, access)
    raise InputError(NOT_A_COMIC[kind])


def _arranged(container: Container, access: Access) -> ComicArchive:
    """Find the pages and the description in an opened container."""
    entries = container.entries()
    if container.kind in ("pdf", "image"):
        comic = ComicArchive(container, container.kind, entries, access.limits)
        if container.kind == "pdf":
            from comictool.archives.pdf_files import PdfContainer

            assert isinstance(container, PdfContainer)
            comic.comic_info = container.info()
    else:
        comic = _epub(container, entries, access) or ComicArchive(
            container, container.kind, select_pages(container, entries, access.limits), access.limits
        )
        _read_comic_info(comic, container, entries, access.limits)
    if not comic.members:
        raise InputError(_why_no_pages(container, entries))
    return comic


def _epub(container: Container, entries: list[Member], access: Access) -> ComicArchive | None:
    """The comic in an EPUB; None for anything else, and for an EPUB whose package file is of no use."""
    if container.kind not in ("zip", "folder"):
        return None
    from comictool.archives.epub_files import EpubContainer, ProtectedBook, is_epub

    if not is_epub(entries):
        return None
    try:
        book = EpubContainer(container, entries, access.limits)
    except ProtectedBook:
        raise
    except InputError as error:
        # A lone package file may just describe the comic, as programs that manage books put it beside the pages.
        if any(member.name.endswith(("META-INF/container.xml", "mimetype")) for member in entries):
            container.problems.append(f"{error.fact}; its pictures are taken in the order of their names")
        return None
    if book.is_prose and not access.text_books:
        raise InputError(
            f"a text book with {len(book.entries())} picture(s), not a comic: nothing to import",
            cause=f"it has {book.letters:,} letters of running text",
            hint="--text-books takes the pictures of such books",
        )
    book.tell()
    comic = ComicArchive(book, "epub", book.entries(), access.limits)
    comic.comic_info = book.info
    return comic


def _read_comic_info(comic: ComicArchive, container: Container, entries: list[Member], limits: Limits) -> None:
    member = comic_info_member(entries)
    if member is None:
        return
    try:
        if member.size > limits.document_bytes:
            raise InputError(f"{member.size:,} bytes are too many")
        said = parse_comic_info(container.read(member))
    except InputError as error:
        comic.problems.append(f"{printable(member.name)}: {error.fact}; the pages are read without it")
        return
    for index in said.deleted:
        if index < len(comic.members):
            comic.problems.append(f"{printable(member.name)}: page {index + 1} is marked as deleted; it is kept")
    comic.comic_info = said.over(comic.comic_info)


def _why_no_pages(container: Container, entries: list[Member]) -> str:
    inner = sum(ending(m.name) in ARCHIVE_ENDINGS and not is_junk(m.name) for m in entries)
    if inner:
        return f"no pictures in it, but {inner} comic file(s): unpack it and import those"
    if container.problems:
        return f"no page in it ({container.problems[0]})"
    if not entries:
        return "nothing in it (no pictures)" if container.kind == "folder" else "an empty archive"
    hidden = sum(is_picture(m.name) for m in entries)
    return "only hidden pictures in it" if hidden else f"no pictures in it ({len(entries)} other file(s))"


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn whatever a reader of hostile files raises into one sentence.

    The libraries below raise dozens of types on damaged input, and new ones with every release; a full disk or used-up
    memory is no property of the file and passes through.
    """
    try:
        yield
    except (ComicError, MemoryError):
        raise
    except OSError as error:
        if error.errno in FATAL:
            raise
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    except Exception as error:
        reason = printable(str(error)) or type(error).__name__
        raise InputError(f"damaged: it cannot be read ({reason})") from error
