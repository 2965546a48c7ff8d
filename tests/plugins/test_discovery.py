"""Finding and listing plugins: order, hidden and broken ones, corrected spellings, nothing heavy imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import comictool
from comictool.core.errors import InputError, UsageError
from comictool.plugins.discovery import find_plugin, list_plugins, names_for_completion
from comictool.plugins.manifest import write_manifest
from comictool.plugins.trust import trust_plugin
from tests.plugins.makers import code_plugin, legacy_plugin, manifest

RAISES = "raise SystemExit('plugin code ran while listing')\nclass MainModule: ...\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One good, one broken, one with code, one older plugin, and things that are none."""
    root = tmp_path / "models"
    (root / "good").mkdir(parents=True)
    write_manifest(root / "good", manifest(id="good-id"))
    (root / "broken").mkdir()
    (root / "broken" / "plugin.toml").write_text("schema = 2\nkind = 'encoder'\n")
    code_plugin(root / "coded", RAISES)
    legacy_plugin(root / "older", RAISES)
    (root / "unrelated").mkdir()
    (root / "unrelated" / "main.py").write_text("print('no plugin')")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "plugin.toml").write_text("")
    (root / "notes.txt").write_text("x")
    return root


def test_the_list_says_all_that_can_be_said_without_running_anything(folder: Path) -> None:
    listed = {summary.name: summary for summary in list_plugins([folder])}
    assert {"good", "broken", "coded", "older", "classic"} <= set(listed)
    assert "unrelated" not in listed
    assert ".hidden" not in listed
    assert (listed["good"].dimension, listed["good"].licence, listed["good"].trusted) == (96, "MIT", None)
    assert listed["broken"].problem.endswith("id is missing")
    assert listed["coded"].trusted is False
    assert listed["older"].trusted is False
    assert listed["classic"].where == "shipped"
    trust_plugin(folder / "coded")
    listed = {summary.name: summary for summary in list_plugins([folder])}
    assert listed["coded"].trusted is True
    (folder / "coded" / "model.py").write_text("changed = 1\n")
    assert {s.name: s.trusted for s in list_plugins([folder])}["coded"] is False


def test_the_command_line_comes_first_then_the_environment_then_the_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("line", "environment"):
        (tmp_path / place / "classic").mkdir(parents=True)
        write_manifest(tmp_path / place / "classic", manifest(title=place))
    variable = os.pathsep.join([str(tmp_path / "absent"), str(tmp_path / "environment")])
    assert find_plugin("classic").where == "shipped"
    monkeypatch.setenv("COMICTOOL_PLUGIN_DIRS", variable)
    assert find_plugin("classic").where == "COMICTOOL_PLUGIN_DIRS"
    assert find_plugin("classic", [tmp_path / "line"]).where == "--plugin-dir"
    listed = [s for s in list_plugins([tmp_path / "line"]) if s.name == "classic"]
    assert [s.where for s in listed] == ["--plugin-dir", "COMICTOOL_PLUGIN_DIRS", "shipped"]
    assert [bool(s.problem) for s in listed] == [False, True, True]
    assert "hidden by" in listed[1].problem


def test_names_ids_and_paths(folder: Path) -> None:
    assert find_plugin("good", [folder]).directory == folder / "good"
    assert find_plugin("good-id", [folder]).name == "good"
    assert find_plugin(str(folder / "good")).where == "path"
    assert find_plugin(str(folder / "good" / "plugin.toml")).directory == folder / "good"
    assert find_plugin("good", [folder / "good"]).directory == folder / "good"


def test_the_working_directory_is_never_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError) as refusal:
        find_plugin("good")
    assert refusal.value.hint == "write it as ./good"
    assert find_plugin("./good").name == "good"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("timm/resnet18", "write it as timm:resnet18"),
        ("timm.resnet18", "write it as timm:resnet18"),
        ("TIMM:resnet18", "write it as timm:resnet18"),
        ("timm:resnet18", "comictool plugins check 'timm:resnet18'"),
        ("", "comictool plugins list"),
    ],
)
def test_nearly_right_names_get_the_right_spelling(wrong: str, hint: str) -> None:
    with pytest.raises(UsageError) as refusal:
        find_plugin(wrong)
    assert refusal.value.hint == hint


def test_unknown_names_and_folders(folder: Path) -> None:
    with pytest.raises(InputError) as refusal:
        find_plugin("godo", [folder])
    assert "good" in refusal.value.near
    with pytest.raises(InputError, match="is not a directory"):
        find_plugin("good", [folder / "absent"])
    with pytest.raises(InputError, match="is not a directory"):
        find_plugin(str(folder / "absent"))
    with pytest.raises(InputError, match=r"has no plugin\.toml"):
        find_plugin(str(folder / "unrelated"))


def test_a_plugin_for_a_newer_tool_says_so(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    write_manifest(tmp_path / "new", manifest(minimum_tool="99.1"))
    assert "needs comictool 99.1" in list_plugins([tmp_path / "new"])[0].problem


def test_the_shipped_folder_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "comictool"
    (package / "shipped" / "plugins" / "mine").mkdir(parents=True)
    write_manifest(package / "shipped" / "plugins" / "mine", manifest())
    monkeypatch.setattr(comictool, "__file__", str(package / "__init__.py"))
    assert [summary.name for summary in list_plugins()] == ["mine"]


def test_completion_never_fails(folder: Path) -> None:
    assert names_for_completion([folder]) == [
        "broken",
        "coded",
        "good",
        "older",
        "classic",
        "classic_character",
        "comic_small",
        "depth_anything",
        "depth_page",
        "depth_small",
        "dino_vits16",
        "hashed",
        "minilm",
        "rapidocr",
        "res18_single",
        "tesseract",
        "timm:",
    ]
    assert names_for_completion([folder / "absent"]) == ["timm:"]


LIGHT = """
import json, sys
from pathlib import Path
from comictool.plugins.discovery import list_plugins, names_for_completion
import comictool.plugins.trust, comictool.plugins.manifest
names_for_completion([Path(sys.argv[1])]); list_plugins([Path(sys.argv[1])])
print(json.dumps(sorted(sys.modules)))
"""


def test_listing_imports_only_the_standard_library_and_no_plugin(folder: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-S", "-c", LIGHT, str(folder)],  # -S: no site-packages at all, so nothing else can be needed
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if "site-packages" not in part)},
    )
    modules = json.loads(found.stdout)
    assert not [name for name in modules if name.startswith("_comictool_plugin_")]
    tops = {name.split(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"__main__", "comictool"}
    assert not {name for name in tops if not name.startswith("_")}
