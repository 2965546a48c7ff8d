"""Every plugin that ships keeps the contract; a new one is tested by being there."""

from __future__ import annotations

import pytest

from comictool.plugins import check
from comictool.plugins.architectures import architecture, architecture_names, find_architecture
from comictool.plugins.check import check_plugin
from comictool.plugins.discovery import PluginPlace, find_plugin, shipped_folder, summarise
from comictool.plugins.joined import read_joining
from comictool.plugins.kinds import KINDS
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import format_manifest, read_manifest
from comictool.plugins.names import JOINED

SHIPPED = sorted(path.name for path in shipped_folder().iterdir() if path.is_dir())


def test_classic_ships() -> None:
    assert "classic" in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_plugin_is_declarative_and_whole(name: str) -> None:
    directory = shipped_folder() / name
    manifest = read_manifest(directory)
    assert manifest.id == name.replace("_", "-")
    assert not manifest.runs_code, "what ships runs no code of its own"
    assert summarise(PluginPlace(name, directory, "shipped")).problem == ""
    assert format_manifest(manifest)
    if manifest.architecture == JOINED:
        assert read_joining(manifest, directory).parts
    elif manifest.kind == "encoder":
        find_architecture(manifest.architecture)
    else:
        assert manifest.architecture in KINDS[manifest.kind].architectures


@pytest.mark.parametrize("name", [n for n in SHIPPED if read_manifest(shipped_folder() / n).kind == "encoder"])
def test_a_shipped_encoder_passes_every_check(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "SPEED_SECONDS", 0.05)
    untrained = summarise(find_plugin(name)).needs_weights  # ships without; the architecture is checked all the same
    spec = EncoderSpec(name, device="cpu", random_weights=untrained)
    failed = [result for result in check_plugin(spec) if not result.ok]
    assert failed == []


def test_a_name_is_registered_once() -> None:
    assert {"classic", "resnet18_linear"} <= set(architecture_names())
    with pytest.raises(ValueError, match="registered twice"):
        architecture("classic")(lambda: None)
