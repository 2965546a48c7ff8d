"""Importing: names, records, problems, and what a second run does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comictool.archives.comicinfo import parse_comic_info
from comictool.core.errors import ExitCode, InputError, UsageError
from comictool.core.jobs import JobOptions, JobReport
from comictool.corpus.corpus import Corpus
from comictool.corpus.importing import job, staging
from comictool.corpus.importing.job import import_comics
from comictool.corpus.importing.options import ImportOptions
from comictool.corpus.records import Panel
from comictool.formats.registry import FORMATS
from comictool.formats.saving import save
from tests.archives.books import book
from tests.archives.comic_files import make_tar, make_zip, opened, pages, picture, tree

ONE = JobOptions(jobs=1)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus.create(tmp_path / "corpus")


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


def run(corpus: Corpus, *paths: Path, **how: Any) -> JobReport:
    job = {name: how.pop(name) for name in ("options", "limits") if name in how}
    return import_comics(paths, corpus, ImportOptions(**how), **{"options": ONE, **job})


def stored(corpus: Corpus, comic: str) -> dict[str, bytes]:
    return tree(corpus.root / "page_images" / comic)


def test_pages_records_and_facts(corpus: Corpus, shelf: Path) -> None:
    info = (
        b"<ComicInfo><Title>T</Title><Series>S</Series><Number>3</Number><Manga>YesAndRightToLeft</Manga>"
        b"<Pages><Page Image='0' Type='FrontCover'/><Page Image='2' Type='Letters'/></Pages></ComicInfo>"
    )
    path = make_zip(
        shelf / "My Comic.cbz",
        {"10.jpg": picture(10), "9.jpg": picture(9), "8.png": picture(8), "c/ComicInfo.xml": info},
    )
    report = run(corpus, path)
    assert (report.done, report.failed, report.exit_code, report.totals["pages"]) == (1, 0, ExitCode.DONE, 3)
    assert corpus.comics() == ["My Comic"]
    # Natural order; the PNG that is a JPEG gets the ending of what it is.
    assert stored(corpus, "My Comic") == {f"page-{n}.jpg": picture(s) for n, s in ((1, 8), (2, 9), (3, 10))}
    records = corpus.pages("My Comic")
    assert [(r.page, r.image, r.width, r.height, r.direction) for r in records] == [
        (n, f"page_images/My Comic/page-{n}.jpg", 40, 60, "rtl") for n in (1, 2, 3)
    ]
    assert [(r.type, r.type_confidence) for r in records] == [("cover", 1.0), ("unknown", 0.0), ("text", 1.0)]
    facts = {key: value for key, value in corpus.comic_facts("My Comic").items() if not key.startswith("source_")}
    assert facts == {
        "title": "T",
        "series": "S",
        "number": "3",
        "direction": "rtl",
        "source": str(path),
        "direction_by": "comic",
        "kind": "zip",
        "page_count": 3,
        "problems": [],
    }


def test_facts_come_back_out_of_the_corpus(corpus: Corpus, shelf: Path, tmp_path: Path) -> None:
    """6.11: Writer and Year vanished at the import."""
    info = (
        b"<ComicInfo><Summary>Of\ncats</Summary><Year>1957</Year><Writer>W</Writer><Publisher>P</Publisher></ComicInfo>"
    )
    run(corpus, make_zip(shelf / "a.cbz", {"ComicInfo.xml": info, **pages(2)}))
    facts = {"title": "a", "summary": "Of\ncats", "year": "1957", "writer": "W", "publisher": "P"}
    assert corpus.comic_facts("a").items() >= facts.items()
    save(corpus, tmp_path / "out", FORMATS["comicinfo"])
    assert parse_comic_info((tmp_path / "out" / "a" / "ComicInfo.xml").read_bytes()).facts == facts


def test_books_of_prose_only_when_asked_for(corpus: Corpus, shelf: Path) -> None:
    """4A.1; and what was taken stays taken."""
    text = '<body><img src="1.jpg"/>' + "<p>It was a dark night.</p>" * 400 + "</body>"
    book(shelf / "a.epub", {"1.xhtml": text}, {"1.jpg": picture(1)})
    report = run(corpus, shelf)
    assert (report.failed, report.exit_code) == (1, ExitCode.INPUT)
    assert "a text book" in report.problems[0].message
    assert run(corpus, shelf, text_books=True).totals["pages"] == 1
    assert (run(corpus, shelf).skipped, run(corpus, shelf).exit_code) == (1, ExitCode.DONE)


def test_bad_pages_leave_holes_and_the_comic_is_done(corpus: Corpus, shelf: Path) -> None:
    members = pages(5) | {"page2.jpg": b"", "page4.jpg": b"<html>gone</html>"}
    path = make_zip(shelf / "a.cbz", members)
    report = run(corpus, path)
    assert [record.page for record in corpus.pages("a")] == [1, 3, 5]
    assert sorted(stored(corpus, "a")) == ["page-1.jpg", "page-3.jpg", "page-5.jpg"]
    assert [(problem.key, problem.message) for problem in report.problems] == [
        ("a", f"{path}!page2.jpg: the file is empty (0 bytes)"),
        ("a", f"{path}!page4.jpg: a web page, not a picture (a failed download?)"),
    ]
    assert (report.done, report.failed, report.exit_code) == (1, 0, ExitCode.FINDINGS)
    assert report.totals["bad_pages"] == 2
    assert corpus.comic_facts("a")["problems"] == [problem.message for problem in report.problems]


def test_nothing_readable_fails_and_leaves_no_trace(corpus: Corpus, shelf: Path) -> None:
    make_zip(shelf / "bad.cbz", {"1.jpg": b"", "2.jpg": b""})
    make_zip(shelf / "empty.cbz", {})
    (shelf / "text.cbz").write_bytes(b"not at all")
    before = tree(corpus.root)
    report = run(corpus, shelf)
    assert [problem.message for problem in report.problems] == [
        f"{shelf}/bad.cbz: none of its 2 pages can be read (the file is empty (0 bytes))",
        f"{shelf}/empty.cbz: an empty archive",
        f"{shelf}/text.cbz: not a comic file (known are cbz, cbr, cb7, cbt, pdf, epub and pictures)",
    ]
    assert (report.failed, report.exit_code) == (3, ExitCode.INPUT)
    assert tree(corpus.root) == before
    assert not list(corpus.root.rglob("staging*"))


def test_no_comics_at_all(corpus: Corpus, shelf: Path) -> None:
    with pytest.raises(InputError, match="no comics in"):
        run(corpus, shelf)
    with pytest.raises(InputError, match="does not exist"):
        run(corpus, shelf / "nothing.cbz")


def test_second_run_does_only_what_is_new_or_changed(corpus: Corpus, shelf: Path) -> None:
    make_zip(shelf / "a.cbz", pages(2))
    make_zip(shelf / "b.cbz", pages(2))
    run(corpus, shelf)
    before = tree(corpus.root)
    report = run(corpus, shelf)
    assert (report.done, report.skipped) == (0, 2)
    make_zip(shelf / "b.cbz", pages(3))
    make_zip(shelf / "c.cbz", pages(1))
    report = run(corpus, shelf)
    assert (report.done, report.skipped, report.new["new_pages"]) == (2, 1, 2)
    after = tree(corpus.root)
    assert {name for name in after if after.get(name) != before.get(name)} == {
        "annotations/comics/b.json",
        "annotations/comics/c.json",
        "annotations/pages/b.jsonl",
        "annotations/pages/c.jsonl",
        "page_images/b/page-3.jpg",
        "page_images/c/page-1.jpg",
    }


def test_changed_source_keeps_what_is_known_of_unchanged_pages(corpus: Corpus, shelf: Path) -> None:
    path = make_zip(shelf / "a.cbz", pages(4))
    run(corpus, path)
    records = corpus.pages("a")
    for record in records:
        record.panels = [Panel(1, (0, 0, 10, record.page))]
        record.type = "story"
    corpus.write_pages("a", records)
    # Page 1 stays, a new one is put in, page 2 moves, page 3 changes its picture and its format, page 4 goes.
    make_zip(
        path,
        {
            "page1.jpg": picture(1),
            "page1b.jpg": picture(7),
            "page2.jpg": picture(2),
            "page3.png": picture(3, kind="PNG"),
        },
    )
    run(corpus, path)
    assert [(r.page, [p.box for p in r.panels], r.type) for r in corpus.pages("a")] == [
        (1, [(0, 0, 10, 1)], "story"),
        (2, [], "unknown"),
        (3, [(0, 0, 10, 2)], "story"),
        (4, [], "unknown"),
    ]
    assert stored(corpus, "a") == {
        "page-1.jpg": picture(1),
        "page-2.jpg": picture(7),
        "page-3.jpg": picture(2),
        "page-4.png": picture(3, kind="PNG"),
    }


def test_broken_new_version_leaves_the_old_one(corpus: Corpus, shelf: Path) -> None:
    path = make_zip(shelf / "a.cbz", pages(2))
    run(corpus, path)
    before = tree(corpus.root)
    path.write_bytes(b"PK")
    assert run(corpus, path).failed == 1
    assert tree(corpus.root) == before


def test_deleted_comic_comes_back(corpus: Corpus, shelf: Path) -> None:
    run(corpus, make_zip(shelf / "a.cbz", pages(2)))
    before = tree(corpus.root)
    shutil.rmtree(corpus.root / "page_images" / "a")
    (corpus.root / "annotations" / "pages" / "a.jsonl").unlink()
    assert run(corpus, shelf / "a.cbz").done == 1
    assert tree(corpus.root) == before


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _garble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[50] ^= 255
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("damage", [Path.unlink, _cut, _garble], ids=["gone", "cut off", "same size"])
def test_damaged_pictures_are_fetched_again(corpus: Corpus, shelf: Path, damage: Callable[[Path], None]) -> None:
    path = make_zip(shelf / "a.cbz", pages(4))
    other = make_zip(shelf / "b.cbz", pages(2))
    run(corpus, path, other)
    good = stored(corpus, "a")
    records = corpus.pages("a")
    records[2].panels = [Panel(1, (0, 0, 20, 20), source="manual")]
    corpus.write_pages("a", records)
    damage(corpus.root / "page_images" / "a" / "page-2.jpg")
    report = run(corpus, path, other)
    assert (report.done, report.skipped, report.new["new_pages"]) == (1, 1, 1)
    assert stored(corpus, "a") == good
    assert corpus.pages("a")[2].panels[0].source == "manual"
    assert run(corpus, path, other).skipped == 2


def test_touched_and_copied_pictures_are_read_once_and_kept(
    corpus: Corpus, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A corpus that was copied without its times: the contents are compared, and next time nothing is read."""
    path = make_zip(shelf / "a.cbz", pages(3))
    run(corpus, path)
    for file in (corpus.root / "page_images" / "a").iterdir():
        os.utime(file, ns=(5, 5))
    (corpus.root / "page_images" / "a" / "notes.txt").touch()
    read: list[str] = []
    whole = job.pictures_are_sound
    monkeypatch.setattr(job, "pictures_are_sound", lambda c, name: read.append(name) or whole(c, name))
    assert run(corpus, path).skipped == 1
    assert run(corpus, path).skipped == 1
    assert read == ["a"]


def test_names_are_unique_stable_and_say_what_differs(corpus: Corpus, shelf: Path) -> None:
    for folder in ("one", "two"):
        (shelf / folder).mkdir()
        make_zip(shelf / folder / "issue.cbz", pages(1))
    make_zip(shelf / "plain.cbz", pages(1))
    make_tar(shelf / "plain.cbt", pages(1))
    make_zip(shelf / "PLAIN.zip", pages(1))
    (shelf / "plain").mkdir()
    (shelf / "plain" / "1.jpg").write_bytes(picture(1))
    make_zip(shelf / "con.cbz", pages(1))
    make_zip(shelf / "..... .cbz", pages(1))
    sources = [
        shelf / n for n in ("one", "two", "plain.cbz", "plain.cbt", "PLAIN.zip", "plain", "con.cbz", "..... .cbz")
    ]
    expected = ["issue", "issue_two", "plain", "plain_cbt", "PLAIN_zip", "plain_folder", "_con", "untitled"]
    run(corpus, *sources)
    assert sorted(corpus.comics()) == sorted(expected)
    first = {name: corpus.comic_facts(name)["source"] for name in expected}
    # A new comic that sorts first takes nobody's name, and the others keep theirs in any order.
    (shelf / "a").mkdir()
    make_zip(shelf / "a" / "issue.cbz", pages(1))
    run(corpus, shelf / "a", *reversed(sources))
    assert {name: corpus.comic_facts(name)["source"] for name in expected} == first
    assert set(corpus.comics()) == {*expected, "issue_a"}


def test_shards_agree_on_names(corpus: Corpus, shelf: Path, tmp_path: Path) -> None:
    for n in range(5):
        (shelf / str(n) / "x").mkdir(parents=True)
        make_zip(shelf / str(n) / "x" / "issue.cbz", pages(n + 1))
        make_zip(shelf / str(n) / "cover.cbz", pages(1))
    whole = Corpus.create(tmp_path / "whole", name="corpus")
    run(whole, shelf)
    for index in (2, 1):
        run(corpus, shelf, options=JobOptions(jobs=1, shard=(index, 2)))
    assert tree(corpus.root) == tree(whole.root)


def test_direction_option_wins_over_comic_over_corpus(shelf: Path, tmp_path: Path) -> None:
    make_zip(shelf / "a.cbz", {"ComicInfo.xml": b"<ComicInfo><Manga>No</Manga></ComicInfo>", **pages(1)})
    make_zip(shelf / "b.cbz", pages(1))
    corpus = Corpus.create(tmp_path / "manga", direction="rtl")
    run(corpus, shelf)
    assert [record.direction for record in corpus.all_pages()] == ["ltr", "rtl"]
    run(corpus, shelf, direction="ttb")
    assert [record.direction for record in corpus.all_pages()] == ["ttb", "ttb"]
    with pytest.raises(UsageError, match="sideways"):
        run(corpus, shelf, direction="sideways")


def test_dry_run_writes_nothing(corpus: Corpus, shelf: Path) -> None:
    make_zip(shelf / "a.cbz", pages(1))
    before = sorted(corpus.root.rglob("*"))
    report = run(corpus, shelf, options=JobOptions(jobs=1, dry_run=True))
    assert report.planned == ["a"]
    assert sorted(corpus.root.rglob("*")) == before


def test_processes_give_the_same_corpus(corpus: Corpus, shelf: Path, tmp_path: Path) -> None:
    for n in range(4):
        make_zip(shelf / f"{n}.cbz", pages(n + 1))
    (shelf / "4.cbz").write_bytes(b"")
    alone = Corpus.create(tmp_path / "alone", name="corpus")
    assert run(alone, shelf).failed == 1
    assert run(corpus, shelf, options=JobOptions(jobs=2)).done == 4
    assert tree(corpus.root) == tree(alone.root)


def test_hostile_names_write_nothing_outside(corpus: Corpus, shelf: Path, tmp_path: Path) -> None:
    names = ["../../outside.jpg", "/abs.jpg", "..\\..\\x.jpg", "a/../../y.jpg"]
    path = make_zip(shelf / "..-.cbz", {name: picture(n) for n, name in enumerate(names)})
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(corpus.root)}
    run(corpus, path)
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(corpus.root)} == before
    (comic,) = corpus.comics()
    assert sorted(stored(corpus, comic)) == [f"page-{n}.jpg" for n in (1, 2, 3, 4)]


def test_folder_changes_are_seen(corpus: Corpus, shelf: Path) -> None:
    for n in (1, 2):
        (shelf / f"{n}.jpg").write_bytes(picture(n))
    run(corpus, shelf)
    assert run(corpus, shelf).skipped == 1
    (shelf / "2.jpg").write_bytes(picture(5))
    os.utime(shelf / "2.jpg", ns=(1, 1))
    assert run(corpus, shelf).done == 1
    assert stored(corpus, "shelf")["page-2.jpg"] == picture(5)


class Killed(BaseException):
    """Stands for SIGKILL: nothing that catches errors sees it."""


STEPS: list[tuple[str, str]] = [
    ("comictool.corpus.corpus.Corpus", "write_comic_facts"),
    ("pathlib.Path", "replace"),
    ("comictool.corpus.corpus.Corpus", "write_pages"),
    ("pathlib.Path", "unlink"),
    ("comictool.core.ledger.Ledger", "append"),
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("owner", "step"), STEPS)
def test_killed_at_any_step_and_run_again(
    owner: str, step: str, after: bool, corpus: Corpus, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_zip(shelf / "a.cbz", pages(4))
    run(corpus, path)
    records = corpus.pages("a")
    for record in records:
        record.panels = [Panel(1, (0, 0, 10, record.page))]
    corpus.write_pages("a", records)
    expected = shutil.copytree(corpus.root, tmp_path / "expected" / "corpus")
    new = {"page1.jpg": picture(1), "page2.jpg": picture(9), "page3.png": picture(3, kind="PNG")}
    make_zip(path, new)
    run(Corpus.open(expected), path)

    import importlib

    module, name = owner.rsplit(".", 1)
    target = getattr(importlib.import_module(module), name)
    real: Callable[..., Any] = getattr(target, step)

    def dies(*arguments: Any, **more: Any) -> Any:
        if after:
            real(*arguments, **more)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(target, step, dies)
        patched.setattr(shutil, "rmtree", lambda *a, **k: None)  # a killed process cleans nothing up
        with pytest.raises(Killed):
            run(corpus, path)
    run(corpus, path)
    assert tree(corpus.root) == tree(expected)
    assert not list(corpus.root.rglob("staging*"))
    assert opened(stored(corpus, "a")["page-3.png"]).size == (40, 60)


def test_many_problems_are_cut_short(corpus: Corpus, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MOST_PROBLEMS", 3)
    make_zip(shelf / "a.cbz", {"0.jpg": picture(1)} | {f"{n}.jpg": b"" for n in range(1, 9)})
    report = run(corpus, shelf)
    assert len(report.problems) == 4
    assert report.problems[-1].message.endswith("and 5 more problems like these")
