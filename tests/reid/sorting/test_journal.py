"""Undo restores exactly: after a finished run, after a kill at any file action, and whatever happened since."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from comictool.core.errors import InputError
from comictool.reid.sorting import actions, journal, moving, undoing
from comictool.reid.sorting.journal import read_journal
from comictool.reid.sorting.undoing import undo
from comictool.vectors.reading import digest_of
from tests.reid.sorting.world import World, tree, write


class Killed(BaseException):
    """Stands in for SIGKILL: nothing in the program may catch it and tidy up."""


def test_the_digest_is_that_of_embedding(tmp_path: Path) -> None:
    file = write(tmp_path / "x", "content")
    assert moving.content_digest(file) == digest_of(b"content")


@pytest.mark.parametrize("action", ["copy", "move", "symlink", "hardlink"])
@pytest.mark.parametrize("moment", range(8))
def test_a_kill_at_any_moment_is_undone_and_resumed(
    world: World, monkeypatch: pytest.MonkeyPatch, action: str, moment: int
) -> None:
    write(world.result / "hero/one.png", "mine")
    before = tree(world.root)
    left = [moment]

    def dying(name: str, when: str) -> None:
        real = getattr(os, name)

        def call(*arguments: object, **options: object) -> object:
            if left[0] == 0 and when == "before":
                raise Killed
            result = real(*arguments, **options)
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return result

        monkeypatch.setattr(os, name, call)

    with monkeypatch.context() as patch:
        monkeypatch, outer = patch, monkeypatch
        for name in ("rename", "symlink", "link"):
            dying(name, "after" if moment % 2 else "before")
        died = False
        try:
            world.sort(action=action, on_clash="overwrite")
        except Killed:
            died = True
        monkeypatch = outer
    killed = tree(world.root)
    undo(world.result)
    assert tree(world.root) == before, f"{killed}"
    assert died or moment >= 5


@pytest.mark.parametrize("action", ["copy", "move"])
@pytest.mark.parametrize("done", [0, 1, 3])
def test_a_killed_run_goes_on_and_gives_the_same(world: World, action: str, done: int, tmp_path: Path) -> None:
    before = tree(world.root)
    stream = world.stream(action=action)
    for _ in range(done):
        next(stream)
    stream.close()  # the journal has no last line, as after a kill
    if done:  # and the last line is cut off
        journal = world.result / ".reid/journal-0001.jsonl"
        journal.write_bytes(journal.read_bytes() + b'{"number": 99, "acti')
    results = world.sort(action=action, resume=True)
    assert [r.earlier for r in results].count(True) in (done, max(0, done - 1))
    assert sorted(os.path.relpath(r.decision.path, world.targets) for r in results) == [
        "a/one.png",
        "b/one.png",
        "c/deep/er/two.png",
        "nobody.png",
        "spoilt.png",
    ]
    assert {p: f[1] for p, f in tree(world.result).items() if f[0] == "file" and not p.startswith(".reid")} == {
        "hero/one.png": "hero 1 villain .1",
        "hero/one (2).png": "hero 1 villain .2",
        "villain/two.png": "villain 1 hero .1",
        "suggestions/hero/nobody.png": "stranger 1 hero .2",
    }
    assert read_journal(world.result / ".reid/journal-0001.jsonl").finished
    assert not (world.result / ".reid/journal-0002.jsonl").exists()
    undo(world.result)
    assert tree(world.root) == before


def test_sigkill_of_a_real_process_is_undone(world: World) -> None:
    for number in range(300):
        world.target(f"many/{number}.png", f"hero 1 villain .{number:03d}1")
    before = tree(world.root)
    code = (
        "import sys, os, signal; from pathlib import Path\n"
        "from tests.reid.sorting.world import World; from comictool.reid.types import Reference\n"
        "from tests.reid.conftest import *\n"
        "w = World(Path(sys.argv[1]))\n"
        "w.enrol('hero', 'hero 1 stranger .05'); w.enrol('villain', 'villain 1 stranger .05')\n"
        "for n, r in enumerate(w.stream(action='move')):\n"
        "    if n == 150: print('now', flush=True)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(world.root)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert run.stdout is not None
    run.stdout.readline()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert len(list((world.targets / "many").iterdir())) < 300
    report = undo(world.result)
    assert report.kept == {}
    after = tree(world.root)
    assert {k: v for k, v in after.items() if not k.startswith("refs")} == {
        k: v for k, v in before.items() if not k.startswith("refs")
    }


def test_across_disks_a_move_copies_and_undo_moves_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.rename

    def other_disk(source: object, target: object) -> None:
        if Path(str(source)).parent != Path(str(target)).parent:
            raise OSError(18, "Invalid cross-device link")
        real(str(source), str(target))

    before = tree(world.root)
    monkeypatch.setattr(os, "rename", other_disk)
    world.sort(action="move")
    assert not (world.targets / "a/one.png").exists()
    assert (world.result / "hero/one.png").exists()
    undo(world.result)
    assert tree(world.root) == before


def test_what_a_person_changed_since_is_kept_and_told(world: World) -> None:
    world.sort()
    (world.result / "hero/one.png").write_text("painted over")
    report = undo(world.result)
    assert report.kept == {"hero/one.png": "it was changed since"}
    assert (world.result / "hero/one.png").read_text() == "painted over"
    assert not (world.result / "villain").exists()
    (world.result / "hero/one.png").unlink()
    assert undo(world.result).kept == {}
    assert not world.result.exists()


def test_what_a_person_moved_is_named_and_the_journal_stays(world: World) -> None:
    """F4: a picture moved out of `unknown` was neither put back nor named, and the journal was deleted."""
    world.sort(action="move")
    (world.result / "suggestions/hero/nobody.png").rename(world.result / "hero/nobody.png")
    report = undo(world.result)
    assert list(report.kept) == ["suggestions/hero/nobody.png"]
    assert "moved or deleted" in report.kept["suggestions/hero/nobody.png"]
    assert (world.targets / "a/one.png").exists()
    assert list((world.result / ".reid").glob("journal-*.jsonl"))
    (world.result / "suggestions/hero").mkdir(parents=True, exist_ok=True)
    (world.result / "hero/nobody.png").rename(world.result / "suggestions/hero/nobody.png")
    assert undo(world.result).kept == {}
    assert (world.targets / "nobody.png").exists()


def test_the_only_copy_is_kept(world: World) -> None:
    world.sort(action="hardlink")
    (world.targets / "nobody.png").unlink()
    assert undo(world.result).kept == {"suggestions/hero/nobody.png": "the original is gone; this is the only copy"}


def test_a_taken_place_is_not_overwritten_by_undo(world: World) -> None:
    world.sort(action="move")
    write(world.targets / "nobody.png", "new")
    assert undo(world.result).kept == {"suggestions/hero/nobody.png": "another file is at the original place"}
    assert (world.targets / "nobody.png").read_text() == "new"


def test_runs_are_undone_newest_first(world: World) -> None:
    before = tree(world.root)
    world.sort(action="copy")
    world.target("more.png", "villain 1 hero .05")
    world.sort(action="copy")
    with pytest.raises(InputError, match="newest"):
        undo(world.result / ".reid/journal-0001.jsonl")
    undo(world.result / ".reid/journal-0002.jsonl")
    undo(world.result)
    (world.targets / "more.png").unlink()
    assert tree(world.root) == before
    with pytest.raises(InputError, match="no journal"):
        undo(world.result)


@pytest.mark.parametrize(
    "change",
    [
        {"destination": "../x"},
        {"destination": "/etc/x"},
        {"replaced": "../../x"},
        {"folders": ["../x"]},
        {"number": "1"},
    ],
    ids=str,
)
def test_a_hostile_journal_is_refused(world: World, change: dict[str, object]) -> None:
    world.sort()
    journal = world.result / ".reid/journal-0001.jsonl"
    lines = journal.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | change)
    journal.write_text("\n".join(lines) + "\n")
    before = tree(world.root)
    with pytest.raises(InputError):
        undo(world.result)
    assert tree(world.root) == before or set(tree(world.root)) - set(before) <= {".reid"}


def test_something_else_is_no_journal(tmp_path: Path) -> None:
    for text in ("", "[]\n", "{}\n", "nothing\n", '{"kind": "comictool reid journal", "version": 9}\n'):
        file = write(tmp_path / ".reid/journal-0001.jsonl", text)
        with pytest.raises(InputError):
            undo(file)


def test_a_failed_action_leaves_no_trace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write(world.result / "suggestions/hero/nobody.png", "mine")
    before = tree(world.root)

    def refused(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied", "x")

    monkeypatch.setitem(actions.ACTIONS, "copy", refused)
    results = world.sort(on_clash="overwrite")
    assert {r.placed.action for r in results} == {"failed", "none"}
    assert (world.result / "suggestions/hero/nobody.png").read_text() == "mine"
    assert undo(world.result).kept == {}
    assert tree(world.root) == before


def test_a_failed_action_is_noted_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, destination: Path, staged: Path) -> None:
        if source.name == "nobody.png":
            raise PermissionError(13, "Permission denied", str(destination))
        moving.copy_file(source, destination, staged)

    with monkeypatch.context() as patch:
        patch.setitem(actions.ACTIONS, "copy", refused)
        stream = world.stream()
        results = [next(stream) for _ in range(4)]
        stream.close()
    assert [r.placed.action for r in results] == ["copy", "copy", "copy", "failed"]
    failed = read_journal(world.result / ".reid/journal-0001.jsonl").failed
    assert list(failed) == [4]
    assert "Permission denied" in failed[4]
    again = {os.path.basename(r.decision.path): r for r in world.sort(resume=True)}
    assert again["nobody.png"].placed.destination == "suggestions/hero/nobody.png"
    assert [r.earlier for r in again.values()] == [True, True, False, False]


def test_what_cannot_be_copied_whole_is_not_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, staged: Path) -> None:
        raise OSError(5, "Input/output error", str(staged))

    monkeypatch.setattr(moving.shutil, "copystat", refused)
    assert {r.placed.action for r in world.sort()} == {"failed", "none"}
    assert not [path for path, (kind, *_) in tree(world.result).items() if kind == "file" and ".reid" not in path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_cannot_be_written_stops_the_run_and_costs_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = tree(world.root)

    def full(source: Path, destination: Path, staged: Path) -> None:
        if source.name == "two.png":
            raise OSError(number, os.strerror(number), str(source))
        moving.copy_file(source, destination, staged)

    monkeypatch.setitem(actions.ACTIONS, "copy", full)
    stream = world.stream()
    assert [next(stream).placed.action for _ in range(2)] == ["copy", "copy"]
    with pytest.raises(InputError) as caught:
        next(stream)
    assert str(world.result) in caught.value.fact, "not the file that was read"
    assert "the same command again" in caught.value.hint
    monkeypatch.undo()
    assert [r.earlier for r in world.sort(resume=True)] == [True, True, False, False, False]
    undo(world.result)
    assert tree(world.root) == before


def test_a_disk_that_is_full_at_once_leaves_no_journal_without_a_head(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every later run reads the journals of a folder, so one that is none would spoil the folder for ever."""

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_as_line", full)
        with pytest.raises(InputError, match="no space left"):
            world.sort()
    assert len(world.sort()) == 5
    undo(world.result)
    assert [p for p in tree(world.result) if not p.startswith(".reid")] == []


def test_undo_on_a_disk_that_cannot_be_written_says_so_and_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(world.root)
    world.sort(action="move")

    def refused(*arguments: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(undoing, "move_file", refused)
        with pytest.raises(InputError, match="read-only") as caught:
            undo(world.result)
    assert "undo" in caught.value.hint
    undo(world.result)
    assert tree(world.root) == before


def test_a_result_folder_of_the_user_stays(world: World) -> None:
    world.result.mkdir()
    world.sort(preserve_tree=True)
    assert (world.result / "villain/c/deep/er/two.png").exists()
    undo(world.result)
    assert list(world.result.iterdir()) == []


def test_a_hard_link_that_became_another_file_is_kept(world: World) -> None:
    world.sort(action="hardlink")
    place = world.result / "hero/one.png"
    place.unlink()
    place.write_text("painted anew")
    assert undo(world.result).kept == {"hero/one.png": "it was changed since"}
    assert place.read_text() == "painted anew"


def test_a_kill_before_the_old_file_is_put_aside_is_resumed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write(world.result / "hero/one.png", "mine")
    before = tree(world.root)

    def dying(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", dying)
        with pytest.raises(Killed):
            world.sort(on_clash="overwrite")
    results = world.sort(on_clash="overwrite", resume=True)
    assert [r.earlier for r in results] == [False] * 5, "the line was there, and nothing had been done"
    assert list(read_journal(world.result / ".reid/journal-0001.jsonl").failed) == [1], "later runs do not believe it"
    assert (world.result / "hero/one.png").read_text() == "hero 1 villain .1"
    undo(world.result)
    assert tree(world.root) == before


def test_records_are_read_only_by_who_asks(world: World) -> None:
    records = {r.decision.path: r.as_record() for r in world.sort()}
    read = read_journal(world.result / ".reid/journal-0001.jsonl")
    assert all(entry.record == {} for entry in read.entries)
    assert {record["path"]: record for _, record in read.records()} == records


def test_undo_that_is_killed_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(world.root)
    world.sort(action="move")
    calls = []

    def dying(*arguments: Path) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise Killed
        moving.move_file(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(undoing, "move_file", dying)
        with pytest.raises(Killed):
            undo(world.result)
    undo(world.result)
    assert tree(world.root) == before


@pytest.mark.parametrize("action", ["copy", "move"])
def test_what_a_user_moved_elsewhere_is_reported_and_the_journal_stays(world: World, action: str) -> None:
    """The natural correction of a wrong name: the file goes to another folder. Undo must not pretend."""
    world.sort(action=action)
    moved = next(file for file in (world.result / "hero").iterdir())
    (world.result / "villain").mkdir(exist_ok=True)
    moved.rename(world.result / "villain" / "corrected.png")
    report = undo(world.result)
    assert list(report.kept) == [f"hero/{moved.name}"]
    assert "moved or deleted since" in report.kept[f"hero/{moved.name}"]
    assert (world.result / "villain" / "corrected.png").exists()
    assert report.journal.exists()
