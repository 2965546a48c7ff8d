"""Every comic file of the test data against the tables of its README files."""

from __future__ import annotations

from pathlib import Path

import pytest

from comictool.archives import rar_files
from comictool.archives.external import extractors
from comictool.archives.finding import find_comics
from comictool.archives.opening import open_comic
from comictool.core.errors import ComicError, ExitCode
from comictool.core.images import decode
from comictool.core.jobs import JobOptions, JobReport
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics
from comictool.corpus.importing.options import ImportOptions
from tests.archives.comic_files import tree
from tests.data import data, needs_data

pytestmark = [pytest.mark.data, needs_data]

JPG, PNG, WEBP, AVIF, GIF = "jpg", "png", "webp", "avif", "gif"
# Name in the corpus: endings of the stored pages by page number; a missing number is a page that cannot be read.
GOOD: dict[str, dict[int, str] | list[str]] = {
    "avif_pages": [AVIF] * 3,
    "comicinfo_broken_xml": [JPG] * 2,
    "comicinfo_pages_types": [JPG] * 4,
    "double_page_spread": [JPG] * 3,
    "junk_files": [JPG] * 3,
    "mixed_formats": [JPG, PNG, GIF, PNG, WEBP, PNG],
    "nested_chapters": [JPG] * 9,
    "pages": [JPG] * 4,
    "path_traversal": [JPG] * 3,
    "plain": [JPG] * 3,
    "plain_cbt": [JPG] * 3,
    "rar_named": [PNG],
    "rtl_manga_comicinfo": [JPG] * 9,
    "truncated_and_bad_pages": {1: JPG, 5: JPG, 6: PNG},
    "unpadded_page_numbers": [JPG] * 11,
    "webp_pages": [WEBP] * 4,
    "webtoon_strip": [JPG] * 3,
    "zip_order_differs_from_name_order": [JPG] * 5,
    "7zip": [PNG],
    "epub3": [JPG, PNG],
    "komga": [PNG],
    "rar4": [PNG] * 3,
    "rar4-solid": [PNG] * 3,
    "rar5": [PNG],
    "rar5-solid": [PNG] * 3,
    "zip": [PNG],
    "zip-as-epub": [PNG],
    "zip-bzip2": [PNG],
    "zip-copy": [PNG],
    "zip-deflate64": [PNG],
    "zip-lzma": [PNG],
    "zip-ppmd": [PNG],
    "stump": {1: AVIF, 2: JPG, 4: PNG, 5: WEBP},
    "book-complex-tree": [PNG] * 15,
    "book-complex-tree_zip": [PNG] * 15,
    "book-image-format-test": {1: AVIF, 2: JPG, 4: PNG, 5: WEBP},
    "book_rar": [PNG],
    "book_zip": [PNG] * 15,
    "nested-macos-compressed": [JPG] * 3,
    "tall": [PNG],
}
# Name that it would have had: what the one line of reason must say.
BAD = {
    "empty": "an empty archive",
    "no_images": "no pictures in it",
    "password": "encrypted: it needs a password",
    "fake_cbr": "none of its 8 pages can be read (not a picture",
    "7zip-encrypted": "encrypted 7z",
    "rar4-encrypted": "encrypted RAR",
    "rar5-encrypted": "encrypted RAR",
    "zip-encrypted": "encrypted: it needs a password",
    # The checksums inside its three PNG files are wrong, so that no decoder takes them.
    "test-comicinfo": "none of its 3 pages can be read (damaged",
    "book": "a text book with 1 picture(s)",
}
PAGE_PROBLEMS = {
    ("comicinfo_broken_xml", "ComicInfo.xml: not well-formed"),
    ("truncated_and_bad_pages", "!02_truncated.jpg: damaged or cut off"),
    ("truncated_and_bad_pages", "!03_zero_bytes.jpg: the file is empty"),
    ("truncated_and_bad_pages", "!04_html_named_jpg.jpg: a web page"),
    ("stump", "!example.jxl: a JPEG XL picture"),
    ("book-image-format-test", "!book/3.jxl: a JPEG XL picture"),
}


# Solid RAR 5 is read by bsdtar alone.
needs_bsdtar = pytest.mark.skipif("bsdtar" not in extractors(), reason="bsdtar is not installed: solid RAR needs it")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, JobReport]:
    corpus = Corpus.create(tmp_path_factory.mktemp("archives") / "corpus")
    return corpus, import_comics([data("archives")], corpus, options=JobOptions(jobs=1))


@needs_bsdtar
def test_good_pages_of_every_archive(imported: tuple[Corpus, JobReport]) -> None:
    corpus, _ = imported
    found = {name: {r.page: r.image.rpartition(".")[2] for r in corpus.pages(name)} for name in corpus.comics()}
    assert found == {name: p if isinstance(p, dict) else dict(enumerate(p, 1)) for name, p in GOOD.items()}
    on_disk = {str(file.relative_to(corpus.root)) for file in (corpus.root / "page_images").rglob("*.*")}
    assert on_disk == {record.image for record in corpus.all_pages()}
    for record in corpus.all_pages():
        assert decode(corpus.image_path(record)).size == (record.width, record.height)


@needs_bsdtar
def test_bad_files_are_named_with_their_reason(imported: tuple[Corpus, JobReport]) -> None:
    _, report = imported
    assert (report.done, report.failed, report.exit_code) == (len(GOOD), len(BAD), ExitCode.FINDINGS)
    lines = {(problem.key, problem.message) for problem in report.problems}
    for expected in (BAD.items(), PAGE_PROBLEMS):
        for key, words in expected:
            (line,) = (line for line in lines if line[0] == key and words in line[1])
            assert str(data("archives")) in line[1]
            lines.remove(line)
    assert not lines


def test_bytes_are_untouched_where_nothing_has_to_change(imported: tuple[Corpus, JobReport]) -> None:
    corpus, _ = imported
    files = ("junk_files.cbz", "webp_pages.cbz", "avif_pages.cbz", "plain.cb7", "plain.cbt", "nested_chapters.cbz")
    for file in files:
        path = data("archives", "built", file)
        name = "plain_cbt" if file == "plain.cbt" else path.stem
        with open_comic(path) as comic:
            for record, member in zip(corpus.pages(name), comic.members, strict=True):
                assert corpus.image_path(record).read_bytes() == comic.read(member)


def test_page_order(imported: tuple[Corpus, JobReport]) -> None:
    corpus, _ = imported
    members = {name: [r.extra["member"] for r in corpus.pages(name)] for name in corpus.comics()}
    assert members["unpadded_page_numbers"] == [f"page{n}.jpg" for n in range(1, 12)]
    assert members["zip_order_differs_from_name_order"] == [f"00{n}.jpg" for n in range(1, 6)]
    assert members["nested_chapters"] == [f"Vol 1/Ch {c}/0{n}.jpg" for c in (1, 2, 10) for n in (1, 2, 3)]
    assert members["book_zip"][0] == "book/favicon.ico"
    assert members["book_zip"][-1] == "book/favicon copy 14.ico"


def test_descriptions(imported: tuple[Corpus, JobReport]) -> None:
    corpus, _ = imported
    types = [record.type for record in corpus.pages("comicinfo_pages_types")]
    assert types == ["cover", "advertisement", "story", "story"]
    assert {record.direction for record in corpus.pages("rtl_manga_comicinfo")} == {"rtl"}
    facts = corpus.comic_facts("rtl_manga_comicinfo")
    assert (facts["series"], facts["number"], facts["language"]) == ("Pepper&Carrot", "6", "ja")


@pytest.mark.parametrize(
    ("parts", "password", "count"),
    [
        (("archives", "built", "password.cbz"), "secret", 3),
        (("archives", "komga", "zip-encrypted.zip"), "komga", 1),
        (("archives", "komga", "7zip-encrypted.7z"), "komga", 1),
    ],
)
def test_passwords(parts: tuple[str, ...], password: str, count: int, tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    report = import_comics([data(*parts)], corpus, ImportOptions(password=password), options=JobOptions(jobs=1))
    assert (report.done, report.totals["pages"], report.problems) == (1, count, [])
    other, wrong = Corpus.create(tmp_path / "b"), ImportOptions(password="no")
    report = import_comics([data(*parts)], other, wrong, options=JobOptions(jobs=1))
    assert report.failed == 1
    assert "wrong" in report.problems[0].message


@pytest.mark.parametrize("only", ["unar", "bsdtar", ""])
def test_rar_with_one_extractor_or_none(only: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed = {name: path for name, path in extractors().items() if name == only}
    if only and not installed:
        pytest.skip(f"{only} is not installed")
    monkeypatch.setattr(rar_files, "extractors", lambda: installed)
    # Stored members need no extractor. unar fails on the solid RAR 5. bsdtar gets only the first file of the solid
    # RAR 4, which serves for all three, as they have the same size and checksum.
    able = {"rar4.rar": {"unar", "bsdtar", ""}, "rar4-solid.rar": {"unar", "bsdtar"}, "rar5-solid.rar": {"bsdtar"}}
    for name, programs in able.items():
        with open_comic(data("archives", "komga", name), scratch=tmp_path) as comic:
            last = comic.members[-1]
            if only in programs:
                assert len(comic.read(last)) == 3108
            else:
                with pytest.raises(ComicError, match="damaged in the archive" if only else "no program to unpack RAR"):
                    comic.read(last)
    assert not list(tmp_path.iterdir())


def test_books_read_the_same_from_file_and_folder(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    report = import_comics([data("page_blanche"), data("science_comics_1946")], corpus, options=JobOptions(jobs=1))
    assert (report.done, report.problems) == (4, [])
    assert corpus.comics() == ["page-blanche", "page_blanche", "science_comics_001", "science_comics_1946"]
    for book, folder, count in (("page-blanche", "page_blanche", 9), ("science_comics_001", "science_comics_1946", 36)):
        pictures = tree(corpus.root / "page_images" / book)
        assert len(pictures) == count
        assert pictures == tree(corpus.root / "page_images" / folder)
    assert corpus.comic_facts("page-blanche")["kind"] == "epub"


def test_pepper_and_carrot_is_one_comic_a_folder() -> None:
    names = [source.name for source in find_comics([data("pepper_carrot")])]
    assert names == ["lettered_en", "lettered_fr", "lettered_ja", "textless"]
