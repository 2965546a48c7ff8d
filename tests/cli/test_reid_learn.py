"""`comictool reid learn`, `cluster -o` and `name` as a user types them, from suggestions to a gallery and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comictool.cli.app import run
from tests.reid.drawings import cast, drawing, save
from tests.reid.sorting.world import tree


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMICTOOL_CACHE", "cache")
    monkeypatch.setenv("COMICTOOL_JOBS", "1")
    cast(tmp_path / "refs", ("ann", "bob"), 2)
    for name in ("ann", "bob"):
        save(tmp_path / f"targets/{name}.png", drawing(name, 20))
    return tmp_path


def test_what_was_ticked_is_learned_and_taken_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reid", "enroll", "refs", "-g", "gallery", "-q"]) == 0
    sort = ["reid", "classify", "targets", "-g", "gallery", "-o", "sorted", "--threshold", "1"]
    assert run([*sort, "--report", "report.html", "--format", "jsonl"]) == 0
    (first, *_) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert (first["status"], first["destination"]) == ("unknown", "suggestions/ann/ann.png")
    assert first["digest"] in (here / "report.html").read_text()
    ticked = [{"digest": first["digest"], "path": first["path"], "character": "zoe"}]
    value = {"kind": "comictool reid corrections", "version": 1, "corrections": ticked}
    (here / "corrections.json").write_text(json.dumps(value))
    learn = ["reid", "learn", "sorted", "-g", "gallery", "--corrections", "corrections.json", "--threshold", "1"]
    before = tree(here / "sorted")
    assert run([*learn, "--dry-run"]) == 0
    assert tree(here / "sorted") == before
    capsys.readouterr()
    assert run([*learn, "--report", "again.html"]) == 0
    told = capsys.readouterr()
    assert "references learned: 1 (of characters: 1), refusals: 1, pictures moved: 1" in told.err
    assert (here / "sorted/zoe/ann.png").exists()
    assert (here / "again.html").exists()
    assert run(["reid", "undo", "sorted", "-q"]) == 0
    assert (here / "sorted/suggestions/ann/ann.png").exists()
    assert run(["reid", "gallery", "info", "gallery"]) == 0
    assert "zoe" not in capsys.readouterr().out
    assert run(["reid", "learn", "refs", "-g", "gallery"]) == 3
    assert "nothing was sorted into refs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ([], "sorted/suggestions/ann/ann.png"),
        (["--unknown", "unknown"], "sorted/unknown/ann.png"),
        (["--unknown-dir", "who"], "sorted/who/ann.png"),
        (["--unknown", "leave"], None),
    ],
)
def test_where_pictures_without_a_name_go(here: Path, options: list[str], place: str | None) -> None:
    sort = ["reid", "classify", "targets", "--enroll-config", "refs", "-o", "sorted", "--threshold", "1", "-q"]
    assert run([*sort, *options]) == 0
    found = {path for path in tree(here) if path.startswith("sorted/") and path.endswith("ann.png")}
    assert found == ({place} if place else set())


def test_choices_that_are_none_or_contradict_each_other(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sort = ["reid", "classify", "targets", "--enroll-config", "refs", "-o", "sorted"]
    assert run([*sort, "--unknown", "suggest"]) == 2
    assert "suggestions" in capsys.readouterr().err
    assert run([*sort, "--unknown", "leave", "--unknown-dir", "x"]) == 2


def test_groups_are_named_and_taken_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(here / "targets")
    cluster = ["reid", "cluster", "targets", "--groups", "2"]
    assert run([*cluster, "--action", "move"]) == 2, "it needs a folder"
    capsys.readouterr()
    assert run([*cluster, "-o", "groups", "--action", "move", "--sheet", "s.html", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["destination"] for row in rows] == ["group-0/ann.png", "group-1/bob.png"]
    assert (here / "s.html").read_text().count("data:image") == 2
    assert run(["reid", "name", "groups/group-1", "Bob", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 1
    assert run(["reid", "name", "groups/group-9", "Bob"]) == 3
    for _ in range(2):
        assert run(["reid", "undo", "groups", "-q"]) == 0
    assert tree(here / "targets") == before
    assert not (here / "groups").exists()
