"""Trust: recorded by the hash of every file, revoked by any change, never silent."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from comictool.core.errors import InputError, UsageError
from comictool.plugins.trust import config_folder, fingerprint, require_trust, revoke_plugin, trust_plugin, trust_state


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    directory = tmp_path / "my plugin"
    (directory / "sub").mkdir(parents=True)
    (directory / "model.py").write_text("x = 1\n")
    (directory / "sub" / "layers.py").write_text("y = 2\n")
    (directory / ".config").write_text("hidden")
    return directory


def test_a_refusal_lists_what_would_run_and_the_command(plugin: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        require_trust(plugin, ["model.py"], trust=False)
    assert "it would run model.py (which can import sub/layers.py)" in refusal.value.cause
    assert f"comictool plugins trust '{plugin}'" in refusal.value.hint
    assert "--trust-plugin" in refusal.value.hint
    assert not (config_folder() / "trusted.json").exists()


def test_trusting_once_leaves_no_record(plugin: Path) -> None:
    require_trust(plugin, ["model.py"], trust=True)
    assert not trust_state(plugin).known


CHANGES: dict[str, Callable[[Path], object]] = {
    "model.py changed": lambda p: (p / "model.py").write_text("x = 2\n"),
    "sub/layers.py changed": lambda p: (p / "sub" / "layers.py").write_text("y = 3\n"),
    "sub/layers.py is gone": lambda p: (p / "sub" / "layers.py").unlink(),
    "new.txt is new": lambda p: (p / "new.txt").write_text(""),
    ".config changed": lambda p: (p / ".config").write_text("other"),
    "__pycache__/model.cpython-311.pyc is new": lambda p: (
        (p / "__pycache__").mkdir(),
        (p / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"evil"),
    ),
    "link is new": lambda p: (p / "link").symlink_to("model.py"),
}


@pytest.mark.parametrize(("expected", "change"), CHANGES.items(), ids=CHANGES)
def test_any_change_revokes(plugin: Path, expected: str, change: Callable[[Path], object]) -> None:
    trust_plugin(plugin)
    require_trust(plugin, ["model.py"], trust=False)
    assert trust_state(plugin).trusted
    change(plugin)
    state = trust_state(plugin)
    assert (state.trusted, state.known, state.changes) == (False, True, (expected,))
    with pytest.raises(UsageError) as refusal:
        require_trust(plugin, ["model.py"], trust=False)
    assert expected in refusal.value.cause
    trust_plugin(plugin)
    assert trust_state(plugin).trusted


def test_the_record_is_private_and_whole(plugin: Path, settings_folder: Path, tmp_path: Path) -> None:
    trust_plugin(plugin)
    file = settings_folder / "trusted.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    record = json.loads(file.read_text())
    assert set(record["trusted"][str(plugin.resolve())]) == {"model.py", "sub/layers.py", ".config"}
    assert [path.name for path in settings_folder.iterdir()] == ["trusted.json"]
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "model.py").write_text("x = 1\n")
    assert not trust_state(copy).known
    assert revoke_plugin(plugin)
    assert not revoke_plugin(plugin)
    assert not trust_state(plugin).known


def test_a_record_that_others_can_write_proves_nothing(plugin: Path, settings_folder: Path) -> None:
    trust_plugin(plugin)
    (settings_folder / "trusted.json").chmod(0o666)
    with pytest.raises(InputError, match="changed by other users"):
        trust_state(plugin)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2, "trusted": {}}', '{"schema": 1, "trusted": {"a": 1}}'])
def test_a_damaged_record_is_an_error_not_an_empty_one(plugin: Path, settings_folder: Path, text: str) -> None:
    file = settings_folder / "trusted.json"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(InputError) as refusal:
        trust_plugin(plugin)
    assert str(file) in refusal.value.fact
    assert file.read_text() == text


def test_links_may_not_lead_outside(plugin: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("z = 3\n")
    (plugin / "layers.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(InputError, match="outside the plugin directory"):
        trust_plugin(plugin)
    (plugin / "layers.py").unlink()
    (plugin / "folder").symlink_to(tmp_path)
    with pytest.raises(InputError, match="outside the plugin directory"):
        require_trust(plugin, ["model.py"], trust=True)


def test_special_files_are_refused(plugin: Path) -> None:
    os.mkfifo(plugin / "pipe")
    with pytest.raises(InputError, match="neither a file nor a directory"):
        fingerprint(plugin)


def test_the_fingerprint_depends_on_names_and_bytes_only(plugin: Path, tmp_path: Path) -> None:
    import shutil

    moved = tmp_path / "elsewhere"
    shutil.copytree(plugin, moved)
    assert fingerprint(moved).digest == fingerprint(plugin).digest
    (moved / "model.py").rename(moved / "renamed.py")
    assert fingerprint(moved).digest != fingerprint(plugin).digest


def test_where_the_record_lives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COMICTOOL_CONFIG_DIR")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_folder() == tmp_path / "comictool"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert config_folder() == tmp_path / "home" / ".config" / "comictool"


def test_a_folder_that_is_no_plugin_cannot_be_trusted(tmp_path: Path) -> None:
    (tmp_path / "comics").mkdir()
    (tmp_path / "comics" / "a.cbz").write_bytes(b"x")
    with pytest.raises(InputError, match="is no plugin"):
        trust_plugin(tmp_path / "comics")
