"""`features backbone` and `evaluate features`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from comictool.corpus.corpus import Corpus
from comictool.vectors.packs import FeaturePack, write_features
from tests.cli.conftest import Run


def test_features_of_drawn_comics(comictool: Run, tmp_path: Path) -> None:
    assert comictool("data", "draw", "-n", 4, "--comic-pages", 2, "--width", 400, "--height", 560, "-o", "c").code == 0
    ran = comictool("features", "backbone", "c", "-o", "f", "--json")
    assert ran.code == 0, ran.err
    panels = sum(len(record.panels) for record in Corpus.open(tmp_path / "c").all_pages())
    record = ran.json()
    assert record["panels"] == panels
    assert [Path(pack).name for pack in record["packs"]] == ["all_features.hdf5"]
    assert len(FeaturePack(tmp_path / "f" / "all_features.hdf5")) == panels
    again = comictool("features", "backbone", "c", "-o", "f", "--json").json()
    assert (again["done"], again["panels"]) == (0, panels)
    other = comictool("features", "backbone", "c", "-o", "f", "--level", "character")
    assert (other.code, other.out) == (3, "")
    assert "level panel, not character" in other.err
    light = ("--plugin", "classic_character", "--storage", "float32")
    assert comictool("embed", "c", "-o", "f", "--level", "character", *light).code == 0  # beside them
    pages = Corpus.open(tmp_path / "c").all_pages()
    face = next(page for page in pages if any(person.identity and person.panel for person in page.characters))
    person = next(person for person in face.characters if person.identity and person.panel)
    asked = ("query", "f", "--id", f"{face.id}/{person.panel}/{person.identity}", "--sheet", "sheet.html", "--json")
    found = comictool(*asked)
    assert found.code == 0, found.err
    assert all(hit["identity"] and hit["box"] for hit in found.json())
    assert "could not be shown" not in found.err
    raw = comictool("features", "backbone", "c", "-o", "g", "--raw")
    assert raw.code == 2
    assert "no raw output" in raw.err
    (tmp_path / "c" / Corpus.open(tmp_path / "c").pages(Corpus.open(tmp_path / "c").comics()[0])[1].image).unlink()
    missing = comictool("features", "backbone", "c", "-o", "h", "--json")
    assert missing.code == 1
    assert "without a vector" in missing.json()["problems"][0]["reason"]


def test_noise_scores_chance_on_the_command_line(comictool: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{page}_1_c{page % 4}" for page in range(1, 101)]
    pack = tmp_path / "noise_features.hdf5"
    write_features(pack, "val_features", {"a": (names, rng.normal(size=(100, 16)))}, {})
    ran = comictool("evaluate", "features", pack, "-k", 5, "-o", "metrics.json", "--json")
    assert ran.code == 0, ran.err
    document = ran.json()
    assert document == json.loads((tmp_path / "metrics.json").read_text())
    assert document["answered"] == 100
    assert not any(metric["beats_chance"] for metric in document["metrics"])
    table = comictool("evaluate", "features", pack, "-k", 5, "--no-linear")
    assert table.out.startswith("metric ")
    assert "chance" in table.out
    wrong = comictool("evaluate", "features", tmp_path / "missing.hdf5")
    assert (wrong.code, wrong.out) == (3, "")
