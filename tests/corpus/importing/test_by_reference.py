"""Pages that stay in their comic files, and every reader of page pictures over them (fault 6.7)."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tarfile
from pathlib import Path

import py7zr
import pytest
from PIL import Image

import comictool as ct
from comictool.core.errors import InputError, UsageError
from comictool.core.jobs import JobOptions
from comictool.corpus import page_pictures
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics
from comictool.corpus.importing.options import ImportOptions
from comictool.corpus.page_pictures import MemberPicture
from comictool.datasets.info import info
from comictool.datasets.verifying.checking_corpus import verify
from tests.archives.comic_files import make_zip, picture, tree

ONE = JobOptions(jobs=1)
REFERENCE = ImportOptions(keep="reference")


def transparent() -> bytes:
    """A picture that is stored anew, on white."""
    stream = io.BytesIO()
    Image.new("RGBA", (40, 60), (255, 0, 0, 90)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    shelf = tmp_path / "shelf"
    (shelf / "album").mkdir(parents=True)
    (shelf / "album" / "5.jpg").write_bytes(picture(5))
    make_zip(shelf / "one.cbz", {"1.jpg": picture(1), "2.png": transparent(), "3.jpg": picture(2)})
    with tarfile.open(shelf / "two.cbt", "w") as archive:
        archive.add(shelf / "album" / "5.jpg", "1.jpg")
    return shelf


@pytest.fixture
def corpus(tmp_path: Path, shelf: Path) -> Corpus:
    corpus = Corpus.create(tmp_path / "corpus")
    report = import_comics([shelf], corpus, REFERENCE, options=ONE)
    assert (report.totals["pages"], report.totals["pages_by_reference"]) == (5, 4)
    return corpus


def contents(corpus: Corpus) -> dict[str, bytes]:
    return {record.id: corpus.picture(record).read_bytes() for record in corpus.all_pages()}


def test_pages_are_those_of_a_copy_and_only_changed_ones_are_stored(corpus: Corpus, shelf: Path) -> None:
    copied = Corpus.create(corpus.root.parent / "copied")
    import_comics([shelf], copied, options=ONE)
    assert contents(corpus) == contents(copied)
    assert set(tree(corpus.root / "page_images")) == {"one/page-2.png"}
    plain = [{**record.extra, "kept": ""} for record in copied.all_pages()]
    assert [{**record.extra, "kept": ""} for record in corpus.all_pages()] == plain
    assert verify(corpus, decode=True) == []
    assert info(corpus)["pages_by_reference"] == 4


def test_the_way_is_remembered_and_can_be_changed_and_changed_back(corpus: Corpus, shelf: Path) -> None:
    again = Corpus.open(corpus.root)
    assert import_comics([shelf], again, options=ONE).done == 0
    import_comics([shelf], again, ImportOptions(keep="copy"), options=ONE)
    assert len(tree(corpus.root / "page_images")) == 5
    assert not any("kept" in record.extra for record in again.all_pages())
    import_comics([shelf], Corpus.open(corpus.root), REFERENCE, options=ONE)
    assert set(tree(corpus.root / "page_images")) == {"one/page-2.png"}
    with pytest.raises(UsageError, match="copy or reference"):
        ImportOptions(keep="elsewhere")


def test_what_cannot_be_read_singly_is_copied_and_counted(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (tmp_path / "1.jpg").write_bytes(picture(1))
    with py7zr.SevenZipFile(shelf / "seven.cb7", "w") as archive:
        archive.write(tmp_path / "1.jpg", "1.jpg")
    with tarfile.open(shelf / "packed.tar.gz", "w:gz") as packed:
        packed.add(tmp_path / "1.jpg", "1.jpg")
    corpus = Corpus.create(tmp_path / "corpus")
    report = import_comics([shelf], corpus, REFERENCE, options=ONE)
    assert (report.totals["comics_by_copy"], report.totals["pages_by_reference"]) == (2, 0)
    assert len(tree(corpus.root / "page_images")) == 2


def test_moved_files_are_followed_and_gone_or_changed_ones_told_by_page(corpus: Corpus, shelf: Path) -> None:
    (shelf / "deep").mkdir()
    (shelf / "one.cbz").rename(shelf / "deep" / "other name.cbz")
    with pytest.raises(InputError, match=r"one\.cbz.*gone"):
        corpus.picture(corpus.pages("one")[0]).read_bytes()
    assert import_comics([shelf], corpus, options=ONE).changes["moved"] == ["one"]
    assert len(contents(corpus)) == 5
    make_zip(shelf / "deep" / "other name.cbz", {"1.jpg": picture(1), "3.jpg": picture(9)})
    found = [(finding.item, finding.kind) for finding in verify(corpus)]
    assert found == [("one/3", "picture")]  # 1 is what it was, 2 is in the corpus
    report = import_comics([shelf], corpus, options=ONE)
    assert report.changes["changed"] == ["one"]
    assert verify(corpus) == []
    shutil.rmtree(shelf / "album")
    import_comics([shelf], corpus, ImportOptions(prune=True), options=ONE)
    assert corpus.comics() == ["one", "two"]


def test_a_corpus_of_somebody_else_shows_no_file_of_ours(corpus: Corpus, shelf: Path, tmp_path: Path) -> None:
    """Records and facts may name any file: without its content nothing of it comes out."""
    make_zip(tmp_path / "private.cbz", {"1.jpg": picture(77)})
    facts = {**corpus.comic_facts("two"), "source": str(tmp_path / "private.cbz")}
    corpus.write_comic_facts("two", facts)
    with pytest.raises(InputError, match="not what was imported"):
        corpus.picture(corpus.pages("two")[0]).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    corpus.write_comic_facts("two", {**facts, "source": str(tmp_path / "pipe")})
    with pytest.raises(InputError, match="read singly"):
        corpus.picture(corpus.pages("two")[0]).read_bytes()
    for source in (["x"], "a\0b", ""):
        corpus.write_comic_facts("two", {**facts, "source": source})
        with pytest.raises(InputError, match="do not say"):
            corpus.picture(corpus.pages("two")[0])


def test_few_files_are_open_and_pictures_travel(corpus: Corpus, tmp_path: Path) -> None:
    first = corpus.picture(corpus.pages("one")[0])
    assert isinstance(first, MemberPicture)
    for number in range(2 * page_pictures.OPEN):
        make_zip(tmp_path / f"{number}.cbz", {"1.jpg": picture(1)})
        MemberPicture(tmp_path / f"{number}.cbz", "1.jpg", first.digest, "page-1.jpg").read_bytes()
    assert len(page_pictures._cache) <= page_pictures.OPEN
    assert pickle.loads(pickle.dumps(first)).read_bytes() == picture(1)


def test_reading_is_through_the_door() -> None:
    """`image_path` says where a copy is; who reads pictures asks for `picture`."""
    package = Path(ct.__file__).parent
    users = {
        str(file.relative_to(package)) for file in package.rglob("*.py") if ".image_path(" in file.read_text("utf-8")
    }
    assert users == {
        "assigning/identified.py",
        "corpus/corpus.py",
        "corpus/importing/kept_pictures.py",
        "datasets/verifying/checking_corpus.py",
        "drawn/cbz.py",
        "formats/with_texts.py",
    }
