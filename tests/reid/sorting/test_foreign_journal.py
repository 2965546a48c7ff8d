"""A journal that came with somebody's folder: nothing of it is believed, and no path is followed through a link."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from comictool.core.errors import InputError
from comictool.reid.sorting.journal import FOLDER
from comictool.reid.sorting.signing import user_key
from comictool.reid.sorting.undoing import undo

HEAD = {"kind": "comictool reid journal", "version": 1, "stamp": "x", "made_root": False}


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMICTOOL_CONFIG_DIR", str(tmp_path / "config"))


def forged(tmp_path: Path, **entry: object) -> Path:
    """A result folder with one sorted picture, a link to the victim's home, and a journal of one entry."""
    root, victim = tmp_path / "sorted", tmp_path / "victim"
    for folder in (root / FOLDER, root / "alice", victim / ".ssh"):
        folder.mkdir(parents=True)
    (root / "alice" / "a.png").write_text("picture")
    (victim / "thesis.txt").write_text("thesis")
    (victim / ".ssh" / "id_rsa").write_text("secret")
    (root / "link").symlink_to(victim)
    line = {
        "number": 1,
        "action": "move",
        "source": str(victim / "autostart" / "evil.pth"),
        "destination": "alice/a.png",
        "staged": None,
        "replaced": None,
        "folders": [],
        "digest": "",
        "record": {},
        **entry,
    }
    lines = [HEAD, line, {"finished": True}]
    (root / FOLDER / "journal-0001.jsonl").write_text("".join(json.dumps(value) + "\n" for value in lines))
    return root


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_undo_refuses_it_and_lists_what_it_would_do(tmp_path: Path) -> None:
    root = forged(tmp_path)
    with pytest.raises(InputError, match="not written by this user") as caught:
        undo(root)
    assert "alice/a.png back to" in caught.value.cause
    assert "--trust-journal" in caught.value.hint
    assert files(tmp_path / "victim") == [".ssh/id_rsa", "thesis.txt"]


def test_it_makes_no_gallery_forget(tmp_path: Path) -> None:
    root = forged(tmp_path)
    journal = root / FOLDER / "journal-0001.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    taught = HEAD | {"lesson": {"gallery": str(tmp_path / "victim"), "references": [["ann", "d", "/a.png"]]}}
    journal.write_text(json.dumps(taught) + "\n" + "".join(lines[1:]))
    with pytest.raises(InputError) as caught:
        undo(root)
    assert f"take references out of {tmp_path / 'victim'}" in caught.value.cause
    journal.write_text(json.dumps(HEAD | {"lesson": {"gallery": "a\0b"}}) + "\n")
    with pytest.raises(InputError, match="not a journal of"):
        undo(root, trust=True)


def test_trusted_it_is_undone(tmp_path: Path) -> None:
    root = forged(tmp_path, source=str(tmp_path / "mine" / "a.png"))
    assert undo(root, trust=True).kept == {}
    assert (tmp_path / "mine" / "a.png").read_text() == "picture"


@pytest.mark.parametrize(
    "entry",
    [
        {"action": "copy", "source": "/etc/hostname", "staged": "link/.ssh/id_rsa"},
        {"action": "copy", "source": "/etc/hostname", "replaced": "link/thesis.txt"},
        {"destination": "link/thesis.txt"},
        {"folders": ["link/.ssh"]},
    ],
)
def test_even_trusted_no_path_leads_through_a_link(tmp_path: Path, entry: dict[str, object]) -> None:
    root = forged(tmp_path, **entry)
    report = undo(root, trust=True)
    assert "link" in next(iter(report.kept.values()))
    assert files(tmp_path / "victim") == [".ssh/id_rsa", "thesis.txt"]
    assert (root / "alice" / "a.png").exists()


@pytest.mark.parametrize(
    "entry",
    [
        {"destination": "../a.png"},
        {"destination": "/a.png"},
        {"staged": "alice/../../x"},
        {"folders": [".."]},
        {"source": "a\0b"},
        {"number": "1"},
        {"record": []},
        {"action": 1},
        {"extra": 1},
    ],
)
def test_what_no_run_writes_is_one_sentence(tmp_path: Path, entry: dict[str, object]) -> None:
    root = forged(tmp_path, **entry)
    with pytest.raises(InputError, match="not a journal of"):
        undo(root, trust=True)


def test_the_key_is_made_once_and_for_this_user_only(tmp_path: Path) -> None:
    key = user_key()
    assert len(key) == 32
    assert user_key() == key
    assert os.stat(tmp_path / "config" / "journal.key").st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "config").iterdir()] == ["journal.key"]
