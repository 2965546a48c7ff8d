"""Exported plugins: whole, repeatable, loadable; existing ones are not lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from comictool.core.errors import InputError, UsageError
from comictool.plugins.export import export_plugin
from comictool.plugins.load import load_plugin
from comictool.plugins.manifest import read_manifest
from tests.plugins.makers import manifest, tiny_state


def test_an_export_loads_again_and_is_the_same_twice(tmp_path: Path) -> None:
    written = export_plugin(tmp_path / "runs" / "a", manifest(), tiny_state())
    export_plugin(tmp_path / "runs" / "b", manifest(), dict(reversed(tiny_state().items())))
    assert read_manifest(tmp_path / "runs" / "a") == written
    assert load_plugin(str(tmp_path / "runs" / "a"), device="cpu").manifest == written
    for name in ("plugin.toml", "model.safetensors"):
        assert (tmp_path / "runs" / "a" / name).read_bytes() == (tmp_path / "runs" / "b" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["a", "b"]


def test_an_existing_directory_stays_unless_forced(tmp_path: Path) -> None:
    export_plugin(tmp_path / "a", manifest(), tiny_state(1))
    before = read_manifest(tmp_path / "a")
    with pytest.raises(UsageError, match="exists already"):
        export_plugin(tmp_path / "a", manifest(), tiny_state(2))
    assert read_manifest(tmp_path / "a") == before
    export_plugin(tmp_path / "a", manifest(), tiny_state(2), force=True)
    assert read_manifest(tmp_path / "a") != before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_failure_leaves_nothing_and_loses_nothing(tmp_path: Path) -> None:
    export_plugin(tmp_path / "a", manifest(), tiny_state())
    before = read_manifest(tmp_path / "a")
    with pytest.raises(InputError):
        export_plugin(tmp_path / "a", manifest(title="\x1b"), tiny_state(2), force=True)
    with pytest.raises(InputError, match="no weights"):
        export_plugin(tmp_path / "b", manifest(), {})
    with pytest.raises(UsageError, match="carries no code"):
        export_plugin(tmp_path / "b", manifest(architecture="python"), tiny_state())
    assert read_manifest(tmp_path / "a") == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_tensors_that_share_memory_are_stored_apart(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    state = {"left": shared, "right": shared.view(2, 3), "turned": shared.view(2, 3).t()}
    export_plugin(tmp_path / "a", manifest(), state)
    from safetensors.torch import load_file

    kept = load_file(tmp_path / "a" / "model.safetensors")
    assert all(torch.equal(kept[name], state[name]) for name in state)
