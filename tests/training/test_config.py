from __future__ import annotations

from pathlib import Path

import pytest

from comictool.core.errors import InputError, UsageError
from comictool.depth.settings import DepthConfig
from comictool.elric.settings import ElricConfig
from comictool.identity.reid_settings import ReidConfig
from comictool.identity.ssl_settings import SslConfig
from comictool.training.config import config_text, fields_of, meanings, resolve, write_config
from tests.training.synthetic import RECIPE, SyntheticConfig


def test_later_sources_win_and_are_named(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('samples = 50\n[model]\nkind = "linear"\nwidth = 9\n', "utf-8")
    resolved = resolve(
        RECIPE.config,
        RECIPE.presets,
        preset="tiny",
        file=file,
        sets=["model.width=11", "model.scales=[1, 2.5]"],
        options={"training.epochs": (7, "--epochs")},
    )
    config: SyntheticConfig = resolved.config
    assert (config.samples, config.model.kind, config.model.width, config.training.epochs) == (50, "linear", 11, 7)
    assert config.model.scales == (1.0, 2.5)
    assert config.training.batch_size == 32, "the recipe's own default, not that of TrainingOptions"
    origins = resolved.origins
    assert origins["samples"] == f"file {file}"
    assert origins["model.width"] == "--set"
    assert origins["training.epochs"] == "--epochs"
    assert origins["noise"] == "default"
    assert resolve(RECIPE.config, RECIPE.presets, preset="tiny").origins["samples"] == "preset tiny"


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    resolved = resolve(RECIPE.config, RECIPE.presets, preset="tiny", sets=["model.kind=linear", "noise=1e-7"])
    write_config(tmp_path / "config.toml", resolved, "a\nheading")
    again = resolve(RECIPE.config, RECIPE.presets, file=tmp_path / "config.toml")
    assert again.config == resolved.config
    assert "samples = 96  # preset tiny" in config_text(resolved)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("training.epoch=3", "training.epochs"),
        ("epochs=3", "training.epochs"),
        ("batch_size=3", "training.batch_size"),
        ("modl.width=3", "model.width"),
    ],
)
def test_unknown_keys_name_the_nearest(text: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(RECIPE.config, RECIPE.presets, sets=[text])
    assert near in caught.value.near


@pytest.mark.parametrize(
    "text",
    [
        "training.epochs=1.5",
        "training.epochs=true",
        'training.epochs="3"',
        "training.epochs=x",
        "noise=true",
        "noise=inf",
        "unused=1",
        "model.kind=deep",
        "model.scales=1",
        "model.scales=[true]",
        "training=3",
        "training.epochs",
        "=3",
        "training.epochs=0",
        "training.learning_rate=-1",
        "training.ema=1.0",
        "training.workers=-2",
        "training.seed=-1",
        "training.non_finite=carry on",
        "training.epochs=3\nsamples=1",
        "noise=1" + 400 * "0",
        "training.epochs=1" + 5000 * "0",
        "training.limit=9223372036854775808",
        "samples=" + 5000 * "[",
    ],
    ids=lambda text: text[:30],
)
def test_wrong_values_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        resolve(RECIPE.config, RECIPE.presets, sets=[text])


def test_a_whole_number_does_for_a_float() -> None:
    value = resolve(RECIPE.config, RECIPE.presets, sets=["noise=1"]).config.noise
    assert value == 1.0
    assert type(value) is float


def test_unknown_preset_and_bad_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(RECIPE.config, RECIPE.presets, preset="tin")
    assert caught.value.near == ["tiny"]
    bad = tmp_path / "bad.toml"
    for data in (b"a = = 1", b"\xff\xfe", b"a = [" + b"[" * 100_000, b"a = " + b"1" * 5000):
        bad.write_bytes(data)
        with pytest.raises(InputError):
            resolve(RECIPE.config, RECIPE.presets, file=bad)
    with pytest.raises(InputError):
        resolve(RECIPE.config, RECIPE.presets, file=tmp_path / "absent.toml")
    with pytest.raises(InputError, match="1,048,576 bytes"):  # has the size 0, and no end
        resolve(RECIPE.config, RECIPE.presets, file=Path("/dev/zero"))
    bad.write_text("[training]\nepoch = 3\n", "utf-8")
    with pytest.raises(UsageError, match=r"training\.epoch"):
        resolve(RECIPE.config, RECIPE.presets, file=bad)


def test_what_an_attribute_means_is_said_by_the_class_that_has_it() -> None:
    for config_type in (DepthConfig, ElricConfig, ReidConfig, SslConfig):
        said = meanings(config_type)
        assert {key for key in fields_of(config_type) if key.startswith("data.")} <= set(said)
        assert said["data.split"].startswith("Trained on: train, val, test or all.")
