"""Where files go, and that nothing is lost or leaves the result folder (defects 6, 7, 13 of the first program)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comictool.core.errors import UsageError
from comictool.reid.sorting.actions import CHOICES, Sorter, SortOptions, result_folders, safe_file_name
from comictool.reid.sorting.rules import Rules
from comictool.reid.sorting.undoing import undo
from tests.reid.sorting.world import World, tree, write


def outcome(world: World, **options: object) -> dict[str, tuple[str, str | None]]:
    return {
        os.path.relpath(r.decision.path, world.targets): (r.placed.action, r.placed.destination)
        for r in world.sort(**options)  # type: ignore[arg-type]
    }


def test_every_status_has_its_folder_and_equal_names_both_survive(world: World) -> None:
    assert outcome(world) == {
        "a/one.png": ("copy", "hero/one.png"),
        "b/one.png": ("copy", "hero/one (2).png"),
        "c/deep/er/two.png": ("copy", "villain/two.png"),
        "nobody.png": ("copy", "suggestions/hero/nobody.png"),
        "spoilt.png": ("none", None),
    }
    assert (world.result / "hero/one.png").read_text() == "hero 1 villain .1"
    assert (world.result / "hero/one (2).png").read_text() == "hero 1 villain .2"


def test_the_tree_below_the_targets_can_be_kept(world: World) -> None:
    filed = outcome(world, preserve_tree=True)
    assert filed["b/one.png"] == ("copy", "hero/b/one.png")
    assert filed["c/deep/er/two.png"] == ("copy", "villain/c/deep/er/two.png")


def test_copies_keep_times_and_permissions(world: World) -> None:
    source = world.targets / "nobody.png"
    source.chmod(0o640)
    os.utime(source, ns=(10**18, 10**18 + 7))
    world.sort()
    copy = (world.result / "suggestions/hero/nobody.png").stat()
    assert (copy.st_mode, copy.st_mtime_ns) == (source.stat().st_mode, 10**18 + 7)


@pytest.mark.parametrize("clash", ["rename", "skip", "overwrite"])
def test_a_file_in_the_way(world: World, clash: str) -> None:
    write(world.result / "suggestions/hero/nobody.png", "mine")
    before = tree(world.root)
    filed = outcome(world, on_clash=clash)
    kept = (world.result / "suggestions/hero/nobody.png").read_text()
    assert (
        filed["nobody.png"]
        == {
            "rename": ("copy", "suggestions/hero/nobody (2).png"),
            "skip": ("skipped", "suggestions/hero/nobody.png"),
            "overwrite": ("copy", "suggestions/hero/nobody.png"),
        }[clash]
    )
    assert kept == ("stranger 1 hero .2" if clash == "overwrite" else "mine")
    # Two pictures of one run never take each other's place, whatever the policy.
    texts = {file.read_text() for file in (world.result / "hero").iterdir()}
    assert len(texts) == (1 if clash == "skip" else 2)
    undo(world.result)
    assert tree(world.root) == before


@pytest.mark.parametrize("action", CHOICES)
def test_each_action_and_its_undo(world: World, action: str) -> None:
    before = tree(world.root)
    world.sort(action=action)
    source, place = world.targets / "a/one.png", world.result / "hero/one.png"
    if action == "move":
        assert not source.exists()
    if action == "none":
        assert not place.exists()
    elif action == "symlink":
        assert place.readlink() == source
    elif action == "hardlink":
        assert place.samefile(source)
    else:
        assert place.read_text() == "hero 1 villain .1"
    report = undo(world.result)
    assert report.kept == {}
    assert tree(world.root) == before


def test_a_dry_run_writes_nothing_and_says_the_same(world: World) -> None:
    before = tree(world.root)
    planned = outcome(world, dry_run=True)
    assert tree(world.root) == before
    assert planned == outcome(world)


def test_a_second_run_files_nothing_twice(world: World) -> None:
    world.sort()
    before = {path for path in tree(world.result) if not path.startswith(".reid")}
    again = outcome(world)
    assert {action for action, _ in again.values()} == {"skipped", "none"}
    assert {path for path in tree(world.result) if not path.startswith(".reid")} == before
    # What was put there by a run is no target of the next, when the result lies among the targets.
    world.target("unknown", "")
    (world.targets / "unknown").unlink()


@pytest.mark.parametrize("action", ["copy", "symlink", "hardlink"])
def test_a_run_that_decides_otherwise_moves_what_the_first_one_filed(world: World, action: str) -> None:
    """The first defect: it filed the picture a second time, so that it was in two folders."""
    world.sort(action=action)
    first = tree(world.root)
    named = outcome(world, action=action, rules=Rules(threshold=None, margin=0.0))
    assert named["nobody.png"] == ("move", "hero/nobody.png")
    assert named["b/one.png"] == ("skipped", "hero/one (2).png")
    assert not (world.result / "suggestions").exists()
    assert (world.result / "hero/nobody.png").read_text() == "stranger 1 hero .2"
    undo(world.result)
    assert tree(world.root) == first


def test_equal_names_do_not_try_each_other_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of `crop.png` from as many folders: the work grows with their number and not with its square."""
    count = 200
    for number in range(count):
        world.target(f"many/{number}/crop.png", f"hero 1 villain .{number:03d}1")
    write(world.result / "hero/crop (5).png", "mine")
    asked: list[str] = []
    real = Sorter._taken

    def counted(self: Sorter, path: str) -> bool:
        asked.append(path)
        return real(self, path)

    monkeypatch.setattr(Sorter, "_taken", counted)
    filed = outcome(world)
    names = {filed[f"many/{number}/crop.png"][1] for number in range(count)}
    assert names == {"hero/crop.png"} | {f"hero/crop ({n}).png" for n in range(2, count + 2) if n != 5}
    assert len(asked) < 3 * count


NASTY = [
    "../esc",
    "/etc",
    "..",
    "CON",
    "a/b",
    "x" * 300,
    "\N{GRINNING FACE}",
    ".reid",
    " . ",
    "C:\\x",
    "-rf",
    "~",
    "a\\b",
]


@pytest.mark.parametrize("name", NASTY)
def test_no_character_leaves_the_result_folder(world: World, name: str) -> None:
    world.enrol(name, "stranger 1")
    outside = {path for path in tree(world.root) if not path.startswith("out")}
    results = {os.path.basename(r.decision.path): r for r in world.sort()}
    filed = results["nobody.png"].placed
    assert filed.action == "copy"
    assert filed.destination is not None
    place = world.result / filed.destination
    assert place.resolve().is_relative_to(world.result.resolve())
    assert place.parent.parent == world.result, "one folder below the result folder"
    assert {path for path in tree(world.root) if not path.startswith("out")} == outside
    assert results["nobody.png"].decision.character == name, "the label stays as it was given"


def test_characters_that_would_share_a_folder_are_refused() -> None:
    for pair in (["a/b", "a\\b"], ["Hero", "hero"], ["x" * 130, "x" * 131], ["Suggestions", "b"]):
        with pytest.raises(UsageError, match="folder"):
            result_folders(pair, SortOptions())
    assert result_folders(["unknown", "b"], SortOptions())["unknown"] == "unknown"
    with pytest.raises(UsageError, match="share a folder"):
        result_folders(["unknown", "b"], SortOptions(unknown="unknown"))
    with pytest.raises(UsageError, match="share a folder"):
        result_folders(["Ambiguous", "b"], SortOptions(unknown=""))
    with pytest.raises(UsageError, match="plain folder name"):
        result_folders(["a"], SortOptions(unknown="../x"))


def test_a_link_in_the_result_folder_does_not_lead_out(world: World) -> None:
    outside = world.root / "outside"
    outside.mkdir()
    world.result.mkdir()
    (world.result / "hero").symlink_to(outside)
    results = {os.path.basename(r.decision.path): r for r in world.sort()}
    assert results["one.png"].placed.action == "failed"
    assert "leads out" in results["one.png"].placed.error
    assert results["two.png"].placed.action == "copy"
    assert list(outside.iterdir()) == []


def test_a_link_is_not_moved(world: World) -> None:
    (world.targets / "link.png").symlink_to("nobody.png")
    results = {os.path.basename(r.decision.path): r for r in world.sort(action="move")}
    assert results["link.png"].placed.action == "failed"
    assert (world.targets / "link.png").is_symlink()


def test_unknown_choices_name_the_near_ones() -> None:
    with pytest.raises(UsageError) as caught:
        SortOptions("cpy")
    assert caught.value.near == ["copy"]
    with pytest.raises(UsageError):
        SortOptions("copy", "replace")


@pytest.mark.parametrize(
    "name", ["x" * 300 + ".png", "..png", "a:b.jpeg", "CON.png", "~.png", "é\N{GRINNING FACE}.webp", "no ending"]
)
def test_file_names_are_safe_and_keep_their_ending(name: str) -> None:
    safe = safe_file_name(name)
    assert Path(safe).name == safe
    assert len(safe.encode("utf-8")) <= 255
    assert safe.endswith(os.path.splitext(name)[1].lstrip("."))
