"""What a folder holds: comic files, folders of pictures, chapters, and things that are none of these."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comictool.archives.finding import ComicSource, find_comics
from comictool.core.errors import InputError
from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing.job import import_comics
from tests.archives.comic_files import make_zip, pages, picture


def fill(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".cbz", ".zip"):
            make_zip(path, pages(1))
        else:
            path.write_bytes(picture(1))
    return root


def found(*paths: Path, root: Path) -> list[str]:
    return [str(source.path.relative_to(root)) for source in find_comics(paths)]


def test_one_folder_of_pictures_is_one_comic(tmp_path: Path) -> None:
    fill(tmp_path / "Saga", "2.jpg", "10.jpg", "extras/1.jpg", "notes.txt")
    assert find_comics([tmp_path / "Saga"]) == [ComicSource(tmp_path / "Saga", "folder", "Saga")]


@pytest.mark.parametrize(
    "parts",
    [
        ("Ch 1", "Ch 2", "Ch 10"),
        ("Vol 01", "Vol 02"),
        ("001", "002"),
        ("第1話", "第2話"),
        ("第一話", "第十二話"),
        ("上巻", "下巻"),
        ("제1화", "제2화"),
        ("Épisode 1", "E\u0301pisode 2"),
    ],
)
def test_chapters_alone_are_one_comic(tmp_path: Path, parts: tuple[str, ...]) -> None:
    fill(tmp_path / "Saga", *(f"{part}/1.jpg" for part in parts))
    assert found(tmp_path / "Saga", root=tmp_path) == ["Saga"]


def test_named_folders_are_a_comic_each_in_natural_order(tmp_path: Path) -> None:
    fill(tmp_path, "Saga 10/1.jpg", "Saga 2/Ch 1/1.jpg", "Saga 2/Ch 2/1.jpg", "Akira/1.jpg", "empty/x.txt")
    (tmp_path / "empty" / "x.txt").write_bytes(b"x")
    assert found(tmp_path, root=tmp_path) == ["Akira", "Saga 2", "Saga 10"]


def test_tree_of_files_and_folders(tmp_path: Path) -> None:
    fill(tmp_path, "b/2.cbz", "b/10.cbz", "b/2.jpg", "b/cover.jpg", "a.cbz", "raw/c/1.png", "raw/d/1.png")
    for name in ("README.md", "data.json", "x.py", "b/notes.txt", ".hidden/1.cbz", "__MACOSX/1.cbz", "log.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"PK\x03\x04")
    # 2.jpg and cover.jpg illustrate the files and are no comic of their own.
    assert found(tmp_path, root=tmp_path) == ["a.cbz", "b/2.cbz", "b/10.cbz", "raw/c", "raw/d"]


def test_loose_pictures_beside_comic_files_make_one_comic(tmp_path: Path) -> None:
    fill(tmp_path, "a.cbz", "strip1.jpg", "strip2.jpg", "scans/1.jpg")
    sources = find_comics([tmp_path])
    assert [(source.path, source.nested) for source in sources] == [
        (tmp_path, False),
        (tmp_path / "a.cbz", True),
        (tmp_path / "scans", True),
    ]
    # `scans` says nothing: the folder above gives the name.
    assert [source.name for source in sources] == [tmp_path.name, "a", tmp_path.name]


def test_names_and_kinds(tmp_path: Path) -> None:
    fill(tmp_path, "x.y.cbz", "page.jpg")
    (tmp_path / "book.tar.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "wrong.cbr").write_bytes((tmp_path / "x.y.cbz").read_bytes())
    named = [tmp_path / name for name in ("x.y.cbz", "book.tar.gz", "wrong.cbr", "page.jpg")]
    assert [(s.name, s.kind) for s in find_comics(named)] == [
        ("x.y", "zip"),
        ("book", "tar.gz"),
        ("wrong", "zip"),
        ("page", "image"),
    ]


def test_named_file_is_returned_whatever_it_is_and_only_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"no comic")
    os.symlink(tmp_path / "notes.txt", tmp_path / "same.txt")
    sources = find_comics([tmp_path / "notes.txt", tmp_path / "same.txt"])
    assert [(source.path.name, source.kind) for source in sources] == [("notes.txt", "unknown")]


def test_missing_path_names_the_near_ones(tmp_path: Path) -> None:
    fill(tmp_path, "watchmen.cbz")
    with pytest.raises(InputError) as caught:
        find_comics([tmp_path / "watchman.cbz"])
    assert caught.value.near == ["watchmen.cbz"]


def test_corpora_are_not_comics(tmp_path: Path) -> None:
    fill(tmp_path, "corpus/page_images/a/page-1.jpg", "a.cbz")
    (tmp_path / "corpus" / "corpus.toml").write_text("version = 1\n")
    assert found(tmp_path, root=tmp_path) == ["a.cbz"]
    with pytest.raises(InputError, match="is a corpus already"):
        find_comics([tmp_path / "corpus"])


def test_links_in_circles_end(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.jpg")
    os.symlink(tmp_path, tmp_path / "a" / "again")
    assert found(tmp_path, root=tmp_path) == ["a"]


def test_a_folder_that_may_not_be_listed_costs_itself_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a/1.jpg", "closed/1.jpg", "b.cbz")
    listed = os.scandir

    def refusing(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refusing)  # root may list everything
    assert sorted(found(tmp_path, root=tmp_path)) == ["a", "b.cbz", "closed"]


@pytest.mark.parametrize("strays", [["stray.jpg"], ["stray.jpg", "scan2.png", "x.jpg"]])
def test_stray_pictures_do_not_make_a_tree_one_comic(tmp_path: Path, strays: list[str]) -> None:
    """6.6: they are a comic of their own, and a comic file beside them changes nothing for the others."""
    fill(tmp_path, *strays, *(f"{name}/{n}.jpg" for name in ("Akira", "Saga") for n in range(4)))
    sources = find_comics([tmp_path])
    assert [(source.path.name, source.nested) for source in sources] == [
        (tmp_path.name, False),
        ("Akira", True),
        ("Saga", True),
    ]
    fill(tmp_path, "new.cbz")
    assert [source for source in find_comics([tmp_path]) if source.name != "new"] == sources


@pytest.mark.parametrize(
    "names",
    [
        ["cover.jpg", "Prologue/1.jpg", "Finale/1.jpg"],
        ["1.jpg", "Chapter 1/1.jpg", "Chapter 2/1.jpg"],
        ["1.jpg", "2.jpg", "3.jpg", "Making of/1.jpg", "Interview/1.jpg"],
        ["1.jpg", "pages/1.jpg", "pages/2.jpg"],
    ],
)
def test_pictures_with_their_chapters_or_extras_stay_one_comic(tmp_path: Path, names: list[str]) -> None:
    fill(tmp_path / "Saga", *names)
    assert [(source.name, source.nested) for source in find_comics([tmp_path / "Saga"])] == [("Saga", True)]


def test_links_to_folders_and_to_nothing_are_named_last(tmp_path: Path) -> None:
    """4A.3: unless what they lead to is imported anyway."""
    library, other = tmp_path / "library", fill(tmp_path / "other", "1.jpg")
    fill(library, "a/1.jpg", "b.cbz")
    for name, target in {"A": other, "again": library, "gone.cbz": "x.cbz", "gone.txt": "x", "self": "self"}.items():
        os.symlink(target, library / name)
    assert [(s.path.name, s.kind) for s in find_comics([library])] == [
        ("a", "folder"),
        ("b.cbz", "zip"),
        ("A", "link"),
        ("gone.cbz", "link"),
        ("self", "link"),
    ]
    corpus = Corpus.create(tmp_path / "corpus")
    report = import_comics([library], corpus, options=JobOptions(jobs=1))
    assert (report.done, report.failed) == (2, 3)
    assert ["not there" in str(p) for p in report.problems] == [False, True, True]


def test_files_without_an_ending_are_what_they_hold(tmp_path: Path) -> None:
    """4A.3."""
    fill(tmp_path, "scans/001", "scans/002", "README.md")
    make_zip(tmp_path / "book", pages(1))
    make_zip(tmp_path / "tool.jar", pages(1))
    assert found(tmp_path, root=tmp_path) == ["book", "scans"]
