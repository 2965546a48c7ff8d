"""A new recipe costs its own two files and a line in the table: no command, no option, no help is written for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comictool.cli.app import run
from comictool.core.errors import UsageError
from comictool.training.api import train
from comictool.training.declaration import RECIPES

FILES = [Path(__file__).with_name(name) for name in ("toy.py", "toy_task.py")]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "toy", "tests.training.toy:RECIPE")


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    (tmp_path / "numbers.txt").write_text("\n".join(map(str, range(40))))
    return tmp_path / "numbers.txt"


def test_it_is_short() -> None:
    assert sum(1 for file in FILES for line in file.read_text().splitlines() if line.strip()) < 60


def test_it_has_a_command_with_its_options_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--help"]) == 0
    assert "Train a toy: which numbers are even." in capsys.readouterr().out
    assert run(["train", "toy", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("NUMBERS A text file with a number a line.", "--width <int> Of the hidden layer.", "--preset tiny"):
        assert text in shown
    assert run(["config", "show", "toy", "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)
    assert settings["width"] == {"value": 4, "origin": "preset tiny", "meaning": "Of the hidden layer."}
    assert settings["training.epochs"]["origin"] == "default"


def test_the_command_and_the_function_train_the_same(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["-o", str(tmp_path / "command"), "--width", "5", "--device", "cpu", "--json"]
    assert run(["train", "toy", str(numbers), *options]) == 0
    told = json.loads(capsys.readouterr().out)
    result = train("toy", {"numbers": numbers}, tmp_path / "function", {"width": 5}, device="cpu")
    assert (told["step"], told["loss"], told["best"]) == (20, result.loss, result.best)
    assert (tmp_path / "command" / "model" / "weights.pt").is_file()


def test_sources_are_checked_by_name(numbers: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="toy needs 'numbers'"):
        train("toy", {}, tmp_path / "run")
    with pytest.raises(UsageError) as caught:
        train("toy", {"number": numbers}, tmp_path / "run")
    assert caught.value.near == ["numbers"]
    assert not (tmp_path / "run").exists()
