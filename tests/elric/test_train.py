"""The recipe as the engine runs it: prepared from a corpus, trained, stopped, resumed, exported, loaded."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from comictool.core.errors import InputError, UsageError
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from comictool.elric.settings import RECIPE, ElricConfig, sizes_of
from comictool.elric.train import prepare
from comictool.plugins.load import load_plugin
from comictool.training import engine
from comictool.training.config import resolve
from comictool.training.engine import RunOptions, train
from tests.elric.drawn import make_corpus, make_features
from tests.elric.test_weights import original

SETS = [
    "model.width=12",
    "model.depth=1",
    "model.heads=3",
    "model.patch_size=8",
    "model.hidden=16",
    "model.bottleneck=8",
    "crops.global_size=16",
    "crops.local_size=8",
    "crops.local_count=2",
    "training.batch_size=8",
    "training.epochs=2",
    "training.workers=0",
    "training.warmup_epochs=0",
    "training.precision=fp32",
    "training.validate_every=1",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four comics, split by comic, with a vector for every panel but those of page 3."""
    root = tmp_path_factory.mktemp("elric") / "corpus"
    made = make_corpus(root, comics=4)
    split_dataset(made, split=SplitOptions(ratios=(3, 1, 0), level="characters"))
    panels = [f"{page}_{panel}" for page in (1, 2) for panel in (1, 2)]
    (root / "features").mkdir()
    make_features(root / "features", "train", {f"comic_{i}": panels for i in range(4)})
    return root


def resolved(*sets: str):  # type: ignore[no-untyped-def]
    return resolve(RECIPE.config, RECIPE.presets, preset="tiny", sets=[*SETS, *sets])


def run(corpus: Path, folder: Path, *sets: str, features: bool = True, resume: str = "auto"):  # type: ignore[no-untyped-def]
    sources = {"data": corpus} | ({"features": corpus / "features"} if features else {})
    return train(RECIPE, resolved(*sets), sources, folder, RunOptions(device="cpu", resume=resume))


@pytest.mark.parametrize("mode", ["none", "asterx"])
def test_every_mode_trains_and_its_model_embeds(corpus: Path, tmp_path: Path, mode: str) -> None:
    result = run(corpus, tmp_path / "run", f"context.mode={mode}")
    assert result.step == result.total_steps > 0
    assert result.best is not None
    assert 0 <= result.best["metrics"]["knn"] <= 1
    encoder = load_plugin(str(tmp_path / "run" / "model"), device="cpu")
    assert encoder.embed([np.zeros((30, 20, 3), np.uint8)]).shape == (1, 12)
    facts = json.loads((tmp_path / "run" / "env.json").read_text())
    text = json.dumps(facts)
    assert "by size: prototypes" in text
    if mode in ("shuffled", "asterx"):
        assert '"characters without context": 12' in text  # page 3 of three comics


def test_the_context_is_what_makes_runs_differ(corpus: Path, tmp_path: Path) -> None:
    losses = {}
    for mode in ("none", "zero", "shuffled", "asterx"):
        sets = (f"context.mode={mode}", "training.max_steps=2", "training.validate_every=0", "data.validation=''")
        losses[mode] = run(corpus, tmp_path / mode, *sets).loss
    assert losses["none"] == losses["zero"]
    assert len({losses["zero"], losses["shuffled"], losses["asterx"]}) == 3


def test_a_resumed_run_ends_with_the_same_weights(corpus: Path, tmp_path: Path) -> None:
    whole = run(corpus, tmp_path / "whole", "context.mode=asterx", "context.dropout=0.3")
    run_options = RunOptions(device="cpu")
    parts = resolved("context.mode=asterx", "context.dropout=0.3")
    # Stopped by a signal in its third step, then run again.
    steps = {"count": 0}
    before = engine.set_schedules

    def counted(*arguments):  # type: ignore[no-untyped-def]
        steps["count"] += 1
        if steps["count"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return before(*arguments)

    engine.set_schedules = counted
    try:
        with pytest.raises(Exception, match="terminated"):
            train(RECIPE, parts, {"data": corpus, "features": corpus / "features"}, tmp_path / "parts", run_options)
    finally:
        engine.set_schedules = before
    again = train(RECIPE, parts, {"data": corpus, "features": corpus / "features"}, tmp_path / "parts", run_options)
    assert again.step == whole.step
    one, other = (
        torch.load(tmp_path / name / "checkpoints" / "last.pt", weights_only=True) for name in ("whole", "parts")
    )
    flat = [json.dumps(sorted(str(key) for key in content)) for content in (one, other)]
    assert flat[0] == flat[1]
    task = next(key for key in ("task", "model") if key in one)
    for name, tensor in one[task].items():
        assert torch.equal(tensor, other[task][name]), name


def test_characters_without_context_can_be_left_out(corpus: Path) -> None:
    sources = {"data": corpus, "features": corpus / "features"}
    with_all = prepare(resolved("context.mode=asterx").config, sources, torch.device("cpu"))
    without = prepare(resolved("context.mode=asterx", "context.missing=drop").config, sources, torch.device("cpu"))
    assert len(with_all.data) == 36
    assert len(without.data) == 24
    assert without.facts["characters without context"] == 12


def test_a_run_may_begin_from_an_original_checkpoint(corpus: Path, tmp_path: Path) -> None:
    torch.save(original(), tmp_path / "checkpoint.pth")
    sets = ("model.width=64", "model.heads=1", "model.prototypes=16", "model.hidden=20", "model.bottleneck=8")
    made = prepare(
        resolved(*sets).config, {"data": corpus, "weights": tmp_path / "checkpoint.pth"}, torch.device("cpu")
    )
    assert made.facts["began from"] == "backbones, heads, centre"


def test_what_cannot_be_is_told(corpus: Path, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    with pytest.raises(UsageError, match="needs the vectors"):
        prepare(resolved("context.mode=asterx").config, {"data": corpus}, cpu)
    with pytest.raises(UsageError, match="elric needs 'data'"):
        RECIPE.build(resolved().config, {}, cpu)
    with pytest.raises(UsageError, match="whole patches"):
        resolved("crops.local_size=20")
    with pytest.raises(UsageError, match=r"context\.mode"):
        resolved("context.mode=astrex")
    with pytest.raises(InputError, match="none that"):
        prepare(resolved("data.min_side=500").config, {"data": corpus}, cpu)
    with pytest.raises(InputError, match="trained and validated on"):
        prepare(resolved("data.split=all").config, {"data": corpus, "validation": corpus}, cpu)


@pytest.mark.parametrize(
    ("images", "prototypes", "temperature", "momentum"),
    [
        (500, 1024, 0.02, 0.99),
        (19_999, 1024, 0.02, 0.99),
        (20_000, 2048, 0.02, 0.99),
        (99_999, 4096, 0.02408, 0.99049),
        (510_000, 65_536, 0.045, 0.993),
        (2_000_000, 65_536, 0.07, 0.996),
    ],
)
def test_size_decides_what_is_left_open(images: int, prototypes: int, temperature: float, momentum: float) -> None:
    found = sizes_of(images, ElricConfig())
    assert found.prototypes == prototypes
    assert found.teacher_temperature == pytest.approx(temperature, abs=2e-4)
    assert found.momentum == pytest.approx(momentum, abs=2e-4)


def test_the_preset_paper_has_the_published_settings() -> None:
    config = resolve(RECIPE.config, RECIPE.presets, preset="paper").config
    sizes = sizes_of(3000, config)
    assert (sizes.prototypes, sizes.teacher_temperature, sizes.momentum) == (65_536, 0.04, 0.996)
    assert (config.model.size, config.model.patch_size, config.model.drop_path) == ("small", 16, 0.1)
    crops = config.crops
    assert (crops.global_size, crops.global_count, crops.global_scale) == (224, 2, (0.4, 1.0))
    assert (crops.local_size, crops.local_count, crops.local_scale) == (96, 8, (0.05, 0.4))
    assert (crops.flip, crops.jitter, crops.grey) == (0.5, 0.8, 0.2)
    assert (crops.brightness, crops.contrast, crops.saturation, crops.hue) == (0.4, 0.4, 0.2, 0.1)
    assert (crops.blur, crops.solarise) == ((1.0, 0.1, 0.5), (0.0, 0.2, 0.0))
    training = config.training
    assert (training.epochs, training.batch_size, training.warmup_epochs) == (100, 64, 10)
    assert (training.learning_rate, training.learning_rate_reference_batch) == (5e-4, 256)
    assert (training.weight_decay, training.weight_decay_end, training.clip_norm) == (0.04, 0.4, 3.0)
    assert config.loss.freeze_last_layer == 1
