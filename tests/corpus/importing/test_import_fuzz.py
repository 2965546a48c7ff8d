"""Whatever a comic file holds: no error but our own, and nothing written outside the corpus."""

from __future__ import annotations

import contextlib
import io
import random
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comictool.archives.comicinfo import parse_comic_info
from comictool.archives.limits import Limits
from comictool.archives.opening import open_comic
from comictool.core.errors import ComicError, InputError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics
from comictool.corpus.importing.page_files import page_file
from tests.archives.books import book
from tests.archives.comic_files import make_tar, make_zip, opened, pages, picture

FUZZ = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
LIMITS = Limits(member_bytes=1_000_000, total_bytes=5_000_000, free_bytes=1_000_000)

PIECES = r".. . / \ C: con nul.jpg a A 1 10 ² é ~ %s %2e%2e -rf __MACOSX .DS_Store ComicInfo.xml META-INF/container.xml"
pieces = st.sampled_from(["", "e\u0301", "\u202e", "\x1b[2J", "\n", "\ud800", "x" * 300, *PIECES.split()])
names = st.builds(
    lambda parts, glue, ending: glue.join(parts) + ending,
    st.lists(st.one_of(pieces, st.text(max_size=8)), max_size=5),
    st.sampled_from(["/", "\\", "", "//"]),
    st.sampled_from([".jpg", ".PNG", ".jpg ", "", ".xml", "/"]),
)
bodies = st.sampled_from([picture(1), picture(2, kind="PNG"), b"", b"<html>", picture(3)[:300], b"\xff\xd8\xff\xe0"])
kinds = st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "AVIF", "JPEG2000", "PPM"])


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with some bytes changed, cut off, or both; most changes near the start, where headers are."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(0, 6))):
        end = draw(st.sampled_from([min(64, len(data)), len(data)]))
        data[draw(st.integers(0, end - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


def check_import(path: Path, root: Path) -> None:
    """Import a file; only the corpus may change, and all that it says must be there and readable."""
    corpus = Corpus.create(root / "corpus")
    outside = {file for file in root.rglob("*") if not file.is_relative_to(corpus.root)}
    report = import_comics([path], corpus, options=JobOptions(jobs=1), limits=LIMITS)
    assert not [problem for problem in report.problems if "unexpected" in problem.message]
    assert {file for file in root.rglob("*") if not file.is_relative_to(corpus.root)} == outside
    assert not list(corpus.root.rglob("staging*"))
    assert report.done + report.failed == 1
    assert bool(report.failed) == (not corpus.comics())
    listed = {corpus.root / record.image for record in corpus.all_pages()}
    assert {file for file in (corpus.root / "page_images").rglob("*") if file.is_file()} == listed
    for record in corpus.all_pages():
        assert opened(corpus.image_path(record).read_bytes()).size == (record.width, record.height)
    for problem in report.problems:
        assert "\n" not in problem.message
        assert "\x1b" not in problem.message


@FUZZ
@given(st.lists(st.tuples(names, bodies), max_size=6), st.sampled_from(["zip", "tar", "tar.gz"]))
def test_member_names(members: list[tuple[str, bytes]], kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "a.cbz"
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in members:
                    archive.writestr(zipfile.ZipInfo(name.encode("utf-8", "replace").decode() or "x"), data)
        else:
            with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w", errors="surrogateescape") as tar:
                for name, data in members:
                    info = tarfile.TarInfo(name.encode("utf-8", "replace").decode())
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        check_import(path, Path(folder))


def containers() -> list[bytes]:
    """A small good file of each kind that can be made here."""
    import py7zr

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        made = [make_zip(root / "a", pages(2), method) for method in (zipfile.ZIP_STORED,)]
        made += [make_zip(root / "b", pages(2), zipfile.ZIP_DEFLATED), make_tar(root / "c", pages(2))]
        made += [make_tar(root / "d", pages(2), "w:gz"), make_tar(root / "e", pages(2), "w:xz")]
        documents = {"1.xhtml": '<body><img src="1.jpg"/></body>', "2.xhtml": '<body><img src="2.jpg"/></body>'}
        made.append(book(root / "f", documents, pages(2, "{}.jpg")))
        opened(picture(1)).save(root / "g", "PDF")
        with py7zr.SevenZipFile(root / "h", "w") as archive:
            for name, data in pages(2).items():
                archive.writestr(data, name)
        return [path.read_bytes() for path in [*made, root / "g", root / "h"]]


@FUZZ
@given(st.sampled_from(containers()).flatmap(damaged))
def test_damaged_containers(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.cbz").write_bytes(data)
        check_import(Path(folder) / "a.cbz", Path(folder))


@FUZZ
@given(st.sampled_from([b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00", b"%PDF-1.5\n"]), st.binary(max_size=300))
def test_containers_of_noise(magic: bytes, noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.cbr"
        path.write_bytes(magic + noise)
        # Our own errors are an answer; any other fails the test.
        with contextlib.suppress(ComicError), open_comic(path, limits=LIMITS) as comic:
            for member in comic.members:
                comic.read(member)


@settings(FUZZ, max_examples=300)
@given(kinds.flatmap(lambda kind: damaged(picture(5, size=(48, 48), kind=kind))))
def test_damaged_pictures(data: bytes) -> None:
    with contextlib.suppress(InputError):
        stored = page_file(data)
        assert opened(stored.data).size == (stored.width, stored.height)


MARKUP = [
    "<Page Image='1' Type='Story'/>",
    "<Page Image='-9' Type=''/>",
    "<!DOCTYPE x [",
    "<!ENTITY a 'b'>",
    "]>",
    "&a;",
    "&#0;",
    "<![CDATA[",
    "<?xml version='1.0' encoding='utf-16'?>",
    "\ufeff",
    "<" * 50,
    "<a>" * 3000,
]
tags = st.sampled_from(["ComicInfo", "Title", "Manga", "Pages", "Page", "Number", "PageCount", "Volume", "x:y", ""])
snippets = st.one_of(
    st.text(max_size=20), tags.map(lambda tag: f"<{tag}>"), tags.map(lambda tag: f"</{tag}>"), st.sampled_from(MARKUP)
)


@settings(FUZZ, max_examples=300)
@given(st.lists(snippets, max_size=12), st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "latin-1"]), st.booleans())
def test_comic_info(parts: list[str], encoding: str, wrapped: bool) -> None:
    text = "".join(parts)
    data = (f"<ComicInfo>{text}</ComicInfo>" if wrapped else text).encode(encoding, "replace")
    with contextlib.suppress(InputError):
        info = parse_comic_info(data)
        assert all(isinstance(value, str) for value in info.facts.values())
        assert info.direction in (None, "ltr", "rtl")


def test_random_noise_is_never_a_comic() -> None:
    chance = random.Random(3)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(20):
            (Path(folder) / "a.cbz").write_bytes(b"noise" + chance.randbytes(3000))
            check_import(Path(folder) / "a.cbz", Path(folder))
