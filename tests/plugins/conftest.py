"""Every plugin test has a settings folder of its own, so none can trust or distrust anything outside."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def settings_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("COMICTOOL_CONFIG_DIR", str(folder))
    monkeypatch.delenv("COMICTOOL_PLUGIN_DIRS", raising=False)
    return folder
