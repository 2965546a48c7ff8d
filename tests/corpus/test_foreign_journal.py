"""A corpus that came from somebody else, with a journal of changed names in it: nothing outside it is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comictool.core.errors import InputError
from comictool.corpus.corpus import Corpus
from comictool.corpus.journal import FOLDER, JOURNAL, finish_pending
from comictool.datasets.normalizing.normalize import normalize_names

ESCAPES: dict[str, dict[str, Any]] = {
    "link made by the journal": {"links": [["x", "{victim}"]], "removals": ["x/secret"]},
    "link that lies there": {"removals": ["out/secret"]},
    "file replaced through a link": {"replacements": [[f"{FOLDER}/staged/1", "out/secret"]]},
    "file taken through a link": {"replacements": [["out/secret", "taken"]]},
    "file taken that was not staged": {"replacements": [["corpus.toml", "taken"]]},
    "folder renamed through a link": {"renames": [["out", "secret", "gone"]]},
    "renamed to another folder": {"renames": [["pages", "a", "../b"]]},
    "dots": {"removals": ["../victim/secret"]},
    "absolute": {"removals": ["{victim}/secret"]},
    "relative link that leads out": {"links": [["pages/x", "../../victim"]]},
    "no list": {"removals": "corpus.toml"},
    "unknown key": {"more": 1},
}


def forged(tmp_path: Path, changes: dict[str, Any]) -> Path:
    root, victim = tmp_path / "corpus", tmp_path / "victim"
    (root / FOLDER / "staged").mkdir(parents=True)
    (root / "pages").mkdir()
    victim.mkdir()
    (victim / "secret").write_text("mine")
    (root / "corpus.toml").write_text('version = 1\nname = "evil"\n')
    (root / "out").symlink_to(victim)
    (root / FOLDER / "staged" / "1").write_text("evil")
    journal = {"phase": "place", "renames": [], "links": [], "replacements": [], "removals": [], **changes}
    (root / FOLDER / JOURNAL).write_text(json.dumps(journal).replace("{victim}", str(victim)))
    return root


@pytest.mark.parametrize("changes", ESCAPES.values(), ids=ESCAPES)
def test_even_the_command_that_plays_it_leaves_what_is_outside(tmp_path: Path, changes: dict[str, Any]) -> None:
    root = forged(tmp_path, changes)
    with pytest.raises(InputError):
        normalize_names(root)
    assert [(f.name, f.read_text()) for f in (tmp_path / "victim").iterdir()] == [("secret", "mine")]
    assert (root / "corpus.toml").exists()


def test_other_commands_refuse_it_and_change_nothing(tmp_path: Path) -> None:
    root = forged(tmp_path, {"removals": ["corpus.toml"]})
    with pytest.raises(InputError, match="unfinished") as caught:
        Corpus.open(root)
    assert "comictool data normalize" in caught.value.hint
    assert (root / "corpus.toml").exists()


def test_a_journal_in_a_linked_folder_is_not_played(tmp_path: Path) -> None:
    root = forged(tmp_path, {"removals": ["corpus.toml"]})
    (root / ".jobs").rename(tmp_path / "elsewhere")
    (root / ".jobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="link"):
        finish_pending(root)
    assert (tmp_path / "elsewhere" / "normalize" / "staged" / "1").exists()
    assert (root / "corpus.toml").exists()
