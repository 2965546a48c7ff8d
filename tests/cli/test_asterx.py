"""ASTERX as a user runs it: train, contextual vectors, metrics; mistakes are sentences."""

from __future__ import annotations

import json
from pathlib import Path

import h5py

from tests.asterx.stories import story_panels, write_pack
from tests.cli.conftest import Run

QUICK = ("--preset", "tiny", "--epochs", "2", "--device", "cpu", "-j", "0", "--set", "encoder.width=16")


def test_from_panel_features_to_context_and_figures(tmp_path: Path, comictool: Run) -> None:
    for split, seed in (("train", 0), ("val", 1)):
        write_pack(tmp_path, split, story_panels(8, seed=seed))
    ran = comictool(
        "train", "asterx", tmp_path, "-o", "run", *QUICK, "--before", "1", "--train-candidates", "20", "--json"
    )
    assert ran.code == 0, ran.err
    assert ran.json()["best"]["metrics"].keys() == {"top1", "top5", "top10", "order"}
    assert "before = 1 " in (tmp_path / "run/config.toml").read_text()

    ran = comictool("features", "asterx", tmp_path, "--model", "run", "-o", "out", "--device", "cpu", "--json")
    assert ran.code == 0, ran.err
    told = ran.json()
    assert [Path(pack).name for pack in told["packs"]] == ["train_sequence_features.hdf5", "val_sequence_features.hdf5"]
    assert told["windows"] == "two"
    with h5py.File(tmp_path / "out/val_sequence_features.hdf5") as pack:
        assert pack["val_sequence_features/comic_1_0/feat_data"].shape == (20, 16)
    again = comictool("features", "asterx", tmp_path, "--model", "run", "-o", "out", "--device", "cpu", "--json")
    assert again.json()["done"] == 0

    ran = comictool(
        "evaluate",
        "asterx",
        tmp_path,
        "--model",
        "run",
        "--split",
        "val",
        "--candidates",
        "50",
        "-o",
        "metrics.json",
        "--json",
    )
    assert ran.code == 0, ran.err
    names = [metric["metric"] for metric in ran.json()["metrics"]]
    assert "order accuracy, model" in names
    assert "top-1 of 50 candidates, mean of context" in names
    assert json.loads((tmp_path / "metrics.json").read_text())["panels"] == len(story_panels(8))
    table = comictool("evaluate", "asterx", tmp_path, "--no-model", "--split", "val", "--candidates", "50")
    assert table.code == 0
    assert "panel before" in table.out


def test_mistakes_are_sentences(tmp_path: Path, comictool: Run) -> None:
    write_pack(tmp_path, "train", story_panels(2))
    ran = comictool("train", "asterx", tmp_path, "-o", "run", *QUICK, "--no-order", "--no-retrieval")
    assert ran.code == 2
    assert "nothing would be learnt" in ran.err
    ran = comictool("train", "asterx", tmp_path, "-o", "run", *QUICK, "--sampling-key", "ratio")
    assert ran.code == 3
    assert "comictool data metainfo" in ran.err
    ran = comictool("features", "asterx", tmp_path, "--model", "nothing.pt", "-o", "out")
    assert ran.code == 3
    ran = comictool("evaluate", "asterx", tmp_path)
    assert ran.code == 2
    assert not (tmp_path / "run").exists() or not (tmp_path / "run/model").exists()
