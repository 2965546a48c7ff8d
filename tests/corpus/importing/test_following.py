"""A corpus follows its comic files by content: moved, changed, touched, gone, unmounted (faults 6.1, 6.5, 6.13)."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from comictool.core.jobs import JobOptions, JobReport
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing import following, job
from comictool.corpus.importing.job import import_comics
from comictool.corpus.importing.options import ImportOptions
from tests.archives.comic_files import make_zip, picture, tree
from tests.bench import kill_me


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Three comics, one of them a folder of pictures."""
    shelf = tmp_path / "shelf"
    (shelf / "album").mkdir(parents=True)
    make_zip(shelf / "one.cbz", {"1.jpg": picture(1), "2.jpg": picture(2)})
    make_zip(shelf / "two.cbz", {"1.jpg": picture(3), "2.jpg": picture(4)})
    for number in (5, 6):
        (shelf / "album" / f"{number}.jpg").write_bytes(picture(number))
    return shelf


@pytest.fixture
def corpus(tmp_path: Path, shelf: Path) -> Corpus:
    corpus = Corpus.create(tmp_path / "corpus")
    report = run(corpus, shelf)
    assert report.changes == {"added": ["album", "one", "two"], "changed": [], "moved": [], "gone": []}
    return corpus


def run(corpus: Corpus, *paths: Path, **how: Any) -> JobReport:
    options = JobOptions(jobs=1, **how.pop("options", {}))
    report = import_comics(paths, corpus, ImportOptions(**how), options=options)
    return report


def counts(report: JobReport) -> dict[str, int]:
    return {"done": report.done, **{kind: len(names) for kind, names in report.changes.items() if names}}


def test_the_shelf_at_another_place_is_the_same_shelf(corpus: Corpus, shelf: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf, tmp_path / "mounted", copy_function=shutil.copyfile)  # other times as well
    shutil.rmtree(shelf)
    assert counts(run(corpus, tmp_path / "mounted")) == {"done": 0, "moved": 3}
    assert corpus.comics() == ["album", "one", "two"]
    assert corpus.comic_facts("one")["source"] == str((tmp_path / "mounted" / "one.cbz").resolve())
    assert counts(run(corpus, tmp_path / "mounted")) == {"done": 0}


def test_a_copy_while_the_original_is_there_is_another_comic(corpus: Corpus, shelf: Path) -> None:
    shutil.copy(shelf / "one.cbz", shelf / "copy.cbz")
    assert counts(run(corpus, shelf)) == {"done": 1, "added": 1}


def test_equal_files_that_move_keep_their_names_apart(corpus: Corpus, shelf: Path) -> None:
    shutil.copy(shelf / "one.cbz", shelf / "copy.cbz")
    run(corpus, shelf)
    (shelf / "sub").mkdir()
    for name in ("one", "copy"):
        (shelf / f"{name}.cbz").rename(shelf / "sub" / f"{name}.cbz")
    assert counts(run(corpus, shelf)) == {"done": 0, "moved": 2}
    for name in ("one", "copy"):
        assert Path(corpus.comic_facts(name)["source"]).name == f"{name}.cbz"


def test_other_times_change_nothing_and_are_looked_at_once(
    corpus: Corpus, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(shelf / "one.cbz", ns=(1, 1))
    assert counts(run(corpus, shelf, options={"dry_run": True})) == {"done": 0}
    assert counts(run(corpus, shelf)) == {"done": 0}
    monkeypatch.setattr("comictool.corpus.importing.following._digest", lambda file: pytest.fail("read again"))
    assert counts(run(corpus, shelf)) == {"done": 0}


def test_other_content_of_the_same_size_is_a_change(corpus: Corpus, shelf: Path) -> None:
    data = bytearray((shelf / "one.cbz").read_bytes())
    make_zip(shelf / "one.cbz", {"1.jpg": picture(1), "2.jpg": picture(7)})
    changed = (shelf / "one.cbz").read_bytes()
    assert data != changed
    assert counts(run(corpus, shelf)) == {"done": 1, "changed": 1}


def test_what_is_gone_is_told_and_removed_only_when_asked(corpus: Corpus, shelf: Path) -> None:
    (shelf / "two.cbz").unlink()
    before = tree(corpus.root / "page_images" / "two")
    report = run(corpus, shelf)
    assert report.changes["gone"] == ["two"]
    assert tree(corpus.root / "page_images" / "two") == before
    assert run(corpus, shelf, prune=True, options={"dry_run": True}).planned == []
    assert "two" in corpus.comics()
    assert counts(run(corpus, shelf, prune=True)) == {"done": 0, "gone": 1}
    assert corpus.comics() == ["album", "one"]
    assert not (corpus.root / "page_images" / "two").exists()
    assert counts(run(corpus, shelf)) == {"done": 0}
    make_zip(shelf / "two.cbz", {"1.jpg": picture(3), "2.jpg": picture(4)})
    assert counts(run(corpus, shelf)) == {"done": 1, "added": 1}


def test_nothing_is_gone_from_a_disk_that_is_not_mounted(tmp_path: Path) -> None:
    shelves = tmp_path / "shelves"
    (shelves / "disk" / "deep").mkdir(parents=True)
    make_zip(shelves / "here.cbz", {"1.jpg": picture(1)})
    make_zip(shelves / "disk" / "deep" / "away.cbz", {"1.jpg": picture(2)})
    other = tmp_path / "other"
    other.mkdir()
    make_zip(other / "third.cbz", {"1.jpg": picture(3)})
    corpus = Corpus.create(tmp_path / "corpus")
    run(corpus, shelves, other)
    shutil.rmtree(shelves / "disk" / "deep")  # an empty mount point is left
    (other / "third.cbz").unlink()  # nothing at all is found in the other
    assert counts(run(corpus, shelves, other, prune=True)) == {"done": 0}
    assert corpus.comics() == ["away", "here", "third"]


def test_one_new_file_says_nothing_about_the_others(corpus: Corpus, shelf: Path) -> None:
    (shelf / "two.cbz").unlink()
    new = make_zip(shelf / "three.cbz", {"1.jpg": picture(8)})
    assert counts(run(corpus, new, prune=True)) == {"done": 1, "added": 1}
    assert "two" in corpus.comics()


def test_a_kill_at_any_moment_of_pruning_and_taking_over_leaves_what_the_next_run_ends(
    corpus: Corpus, shelf: Path, tmp_path: Path
) -> None:
    """One comic was moved, one is gone; the child kills itself before each of the things that it does to the disk."""
    (shelf / "deep").mkdir()
    (shelf / "one.cbz").rename(shelf / "deep" / "elsewhere.cbz")
    (shelf / "two.cbz").unlink()
    shutil.copytree(corpus.root, tmp_path / "whole")
    whole = Corpus.open(tmp_path / "whole")
    assert counts(run(whole, shelf, prune=True)) == {"done": 0, "moved": 1, "gone": 1}
    moment, status = 0, -9
    while status == -9:
        broken = Corpus.open(shutil.copytree(corpus.root, tmp_path / f"broken {moment}"))

        def killed(broken: Corpus = broken, moment: int = moment) -> None:
            kill_me.at([9], [moment])
            run(broken, shelf, prune=True)

        status = kill_me.in_a_child(killed)
        report = run(broken, shelf, prune=True)
        assert (report.done, report.problems) == (0, []), moment
        assert tree(broken.root) == tree(whole.root), moment
        moment += 1
    assert status == 0
    assert moment > 10


def test_two_that_follow_the_same_folder_at_once(corpus: Corpus, shelf: Path, tmp_path: Path) -> None:
    """One does all, the other is refused before it has changed anything."""
    (shelf / "one.cbz").rename(shelf / "moved.cbz")
    (shelf / "two.cbz").unlink()
    ready, go = os.pipe(), os.pipe()

    def first() -> None:
        find = following.moved_comics

        def slow(*arguments: Any) -> dict[str, str]:
            os.write(ready[1], b"x")
            os.read(go[0], 1)  # it has read what the corpus knows, and waits
            return find(*arguments)

        job.moved_comics = slow
        run(corpus, shelf, prune=True)

    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(kill_me.in_a_child, first)
        os.read(ready[0], 1)
        before = tree(corpus.root)
        assert kill_me.in_a_child(lambda: run(corpus, shelf, prune=True)) == 3
        assert tree(corpus.root) == before
        os.write(go[1], b"x")
        assert one.result() == 0
    assert corpus.comics() == ["album", "one"]
    assert counts(run(corpus, shelf, prune=True)) == {"done": 0}
