from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize("recipe", ["asterx", "elric", "ssl", "reid"])
def test_every_preset_of_every_recipe_resolves(comictool: Run, recipe: str) -> None:
    shown = comictool("config", "show", recipe, "--preset", "tiny", "--set", "training.epochs=3", "--json").json()
    assert shown["training.epochs"] == {"value": 3, "origin": "--set", "meaning": "Passes over the data."}
    assert all(entry["meaning"] for entry in shown.values())
    assert any(entry["origin"] == "preset tiny" for entry in shown.values())
    assert any(entry["origin"] == "default" for entry in shown.values())


def test_settings_as_toml_can_be_given_again(comictool: Run, tmp_path: Path) -> None:
    text = comictool("config", "show", "asterx", "--set", "training.learning_rate=1e-6", "--toml").out
    assert tomllib.loads(text)["training"]["learning_rate"] == 1e-6
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    table = comictool("config", "show", "asterx", "-c", str(tmp_path / "mine.toml")).out
    line = next(line for line in table.split("\n") if line.startswith("training.learning_rate "))
    assert line.split()[1] == "1e-06"
    assert "mine.toml" in line


def test_unknown_settings_recipes_and_presets_name_the_nearest(comictool: Run) -> None:
    wrong = comictool("config", "show", "asterx", "--set", "training.epoch=3")
    assert wrong.code == 2
    assert "did you mean: training.epochs" in wrong.err
    assert wrong.out == ""
    assert "did you mean: asterx" in comictool("config", "show", "astrx").err
    assert "did you mean: tiny" in comictool("config", "show", "elric", "--preset", "tin").err


def test_training_without_its_sources_is_an_input_error(comictool: Run, tmp_path: Path) -> None:
    gone = comictool("train", "asterx", tmp_path / "nothing", "-o", tmp_path / "run", "--preset", "tiny")
    assert gone.code == 3
    assert "does not exist" in gone.err
    assert gone.out == ""
    assert not (tmp_path / "run").exists()
    wrong = comictool("train", "elric", tmp_path, "-o", tmp_path / "run", "--resume", "perhaps")
    assert wrong.code == 2
    assert "auto, never or must" in wrong.err
