"""Probing packs: labels and groups from names, nothing fitted on what is scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.features.probing import _identity, points_of, probe_pack
from comictool.vectors.packs import write_features
from comictool.vectors.tables import read_pack

GROUP = "val_features"


def characters(rng: np.random.Generator, signal: float) -> dict[str, tuple[list[str], np.ndarray]]:
    """Two comics with four characters each, on thirty pages; the pictures of one page are nearly the same picture."""
    comics = {}
    for comic in ("alpha", "beta"):
        names, rows = [], []
        own = rng.normal(size=(4, 16)) * signal
        for page in range(1, 31):
            shared = rng.normal(size=16)
            for panel, who in enumerate(rng.integers(0, 4, 3), start=1):
                names.append(f"{page}_{panel}_c{who}")
                rows.append(own[who] + shared + rng.normal(size=16) * 0.1)
        comics[comic] = (names, np.array(rows, np.float32))
    return comics


def test_noise_scores_chance_and_signal_does_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for signal, beats in ((0.0, False), (3.0, True)):
        path = tmp_path / f"{signal}_features.hdf5"
        write_features(path, GROUP, characters(rng, signal), {})
        metrics, facts = probe_pack(path, ks=[5, 20])
        assert facts["points"] == facts["answered"] == 180
        assert facts["classes"] == 8
        assert [metric.name for metric in metrics] == [
            "identity, 5-NN accuracy",
            "identity, 5-NN macro accuracy",
            "identity, 20-NN accuracy",
            "identity, 20-NN macro accuracy",
            "identity, linear accuracy",
            "identity, linear macro accuracy",
            "identity, retrieval mAP",
            "identity, retrieval rank-1",
            "identity, retrieval rank-5",
            "identity, retrieval rank-10",
        ]
        assert {metric.beats_chance for metric in metrics} == {beats}


def test_points_carry_label_and_group(tmp_path: Path) -> None:
    path = tmp_path / "x.hdf5"
    vectors = np.arange(6).reshape(3, 2)
    write_features(path, GROUP, {"a": (["1_1_Ann_Lee", "1_2", "2_1_Bo"], vectors)}, {})
    points = points_of(read_pack(path), _identity, "panel")
    assert points.labels.tolist() == ["a/Ann_Lee", "a/Bo"]
    assert points.groups.tolist() == ["a/1/1", "a/2/1"]
    np.testing.assert_array_equal(points.vectors, vectors[[0, 2]])
    assert points_of(read_pack(path), _identity, "page").groups.tolist() == ["a/1", "a/2"]
    assert points_of(read_pack(path), _identity, "comic").groups.tolist() == ["a", "a"]


def test_classes_of_comics_are_asked_across_comics(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    comics = {f"c{n}": ([f"{p}_1" for p in range(1, 9)], rng.normal(size=(8, 4)) + (n % 2) * 4) for n in range(8)}
    for split in ("train", "val"):
        part = {name: rows for name, rows in comics.items() if (int(name[1]) < 5) == (split == "train")}
        write_features(tmp_path / f"{split}_features.hdf5", f"{split}_features", part, {})
    file = tmp_path / "classification.json"
    classes = {f"c{n}": n % 2 for n in range(8) if n != 7}
    file.write_text(json.dumps({"comic_to_cls": classes, "cls_to_label": {"Asia": 0, "Europe": 1}}))
    train, val = tmp_path / "train_features.hdf5", tmp_path / "val_features.hdf5"
    metrics, facts = probe_pack(train, val, labels=str(file), ks=[5])
    assert (facts["group_by"], facts["points"], facts["answered"]) == ("comic", 40, 16)
    assert metrics[0].name == "class, 5-NN accuracy"
    assert metrics[0].value > 0.9
    alone, _ = probe_pack(train, labels="comic", ks=[5], linear=False, most=10)
    assert alone[0].count == 10
    with pytest.raises(InputError, match="no query"):
        probe_pack(train, val, labels="comic")
    with pytest.raises(InputError, match="no comic occurs in two comics"):
        probe_pack(train, labels="comic", group_by="comic")
    with pytest.raises(InputError, match="has a label identity"):
        probe_pack(train)
    with pytest.raises(InputError, match="does not exist"):
        probe_pack(train, labels="identiy")
    with pytest.raises(UsageError, match="book"):
        probe_pack(train, group_by="book")
    file.write_text("[]")
    with pytest.raises(InputError, match="classification"):
        probe_pack(train, labels=str(file))
