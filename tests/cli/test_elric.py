"""`train elric` and `evaluate elric` as a user runs them, from pages to a store that is searched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from comictool.datasets.splitting.split import SplitOptions, split_dataset
from tests.elric.drawn import make_corpus

SMALL = [
    "--preset",
    "tiny",
    "--device",
    "cpu",
    "--precision",
    "fp32",
    "--epochs",
    "1",
    "--batch-size",
    "8",
    "-j",
    "0",
    "--set",
    "model.width=12",
    "--set",
    "model.depth=1",
    "--set",
    "model.heads=3",
    "--set",
    "model.patch_size=8",
    "--set",
    "model.hidden=16",
    "--set",
    "crops.global_size=16",
    "--set",
    "crops.local_size=8",
]


def comictool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "comictool", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_from_pages_to_character_vectors_and_a_search(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    split_dataset(make_corpus(corpus, comics=4), split=SplitOptions(ratios=(2, 1, 1), level="characters"))
    run = tmp_path / "run"
    trained = comictool("train", "elric", str(corpus), "--context", "none", "-o", str(run), "--json", *SMALL)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["step"] > 0
    found = comictool("evaluate", "elric", str(corpus), "--plugin", str(run / "model"), "--device", "cpu", "--json")
    assert found.returncode == 0, found.stderr
    document = json.loads(found.stdout)
    names = {metric["metric"].partition(":")[0] for metric in document["metrics"] if "within" in metric["metric"]}
    assert names == {str(run / "model"), f"{run / 'model'}, untrained", "classic_character"}
    assert all(metric["chance"] is not None for metric in document["metrics"])
    store = tmp_path / "store"
    embedded = comictool("embed", str(corpus), "-o", str(store), "--plugin", str(run / "model"), "--device", "cpu")
    assert embedded.returncode == 0, embedded.stderr
    asked = comictool("query", str(store), "--id", "comic_0/1/1", "-k", "3", "--json")
    assert asked.returncode == 0, asked.stderr


def test_a_context_without_vectors_says_what_to_do(tmp_path: Path) -> None:
    make_corpus(tmp_path / "corpus", comics=1, pages=1)
    failed = comictool(
        "train", "elric", str(tmp_path / "corpus"), "--context", "asterx", "-o", str(tmp_path / "r"), *SMALL
    )
    assert failed.returncode == 2
    assert "needs the vectors of panels" in failed.stderr
    assert "comictool features asterx" in failed.stderr
    assert failed.stdout == ""


def test_figures_of_a_split_that_is_not_there_are_refused(tmp_path: Path) -> None:
    split_dataset(make_corpus(tmp_path, comics=4), split=SplitOptions(ratios=(2, 1, 1), level="characters"))
    for option in ("--split", "--bank"):
        failed = comictool("evaluate", "elric", str(tmp_path), "--no-model", option, "tset")
        assert failed.returncode == 3
        assert "no split 'tset'" in failed.stderr
        assert "test" in failed.stderr
        assert failed.stdout == ""
