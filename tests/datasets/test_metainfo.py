"""Size and colour of panels in bins, and classes of comics."""

from __future__ import annotations

import colorsys
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.errors import InputError, UsageError
from comictool.datasets.classes import data_classes
from comictool.datasets.exporting.crops import CropOptions
from comictool.datasets.exporting.panels import export_panels
from comictool.datasets.metainfo import BINNED, COLUMNS, colour_means, histogram, panel_metainfo, quantile_bins
from comictool.datasets.normalizing.normalize import normalize_names
from comictool.datasets.splitting.split import SplitOptions, split_dataset
from tests.formats import mast_fixture as fixture
from tests.formats.mast_fixture import ALIKE_A, KANJI, PLAIN, QUOTED


def test_table_and_pictures_of_a_split(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus")
    view = fixture.open_fixture(root)
    export_panels(view, crops=CropOptions(format="png"))
    split_dataset(view, split=SplitOptions(level="panels", ratios=(0.6, 0.2, 0.2)))
    report = panel_metainfo(root, bins=4)
    with open(root / "processed" / "panels" / "metainfo_train.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [*COLUMNS, *(f"{name}_bin" for name in BINNED)]
    assert len(rows) == report.totals["panels"] > 0
    for row in rows:
        with Image.open(root / "panel_images" / row["comic"] / f"{row['panel']}.png") as picture:
            assert (int(row["width"]), int(row["height"])) == picture.size
            means = colour_means(picture)
        assert [float(row[n]) for n in ("hue", "saturation", "intensity")] == pytest.approx(means, abs=1e-5)
        assert row["panel_id"] == f"{row['comic']}/{row['panel']}"
    for name in BINNED:
        with Image.open(root / "processed" / "panels" / f"metainfo_train_{name}.png") as chart:
            assert chart.format == "PNG"
    before = fixture.contents(root)
    assert panel_metainfo(root, bins=4).done == 0
    assert fixture.contents(root) == before
    panel_metainfo(root, split=None)
    assert (root / "metainfo_all.csv").is_file()
    normalize_names(root)
    assert KANJI not in (root / "metainfo_all.csv").read_text("utf-8")


def test_colours_against_the_standard_library() -> None:
    for colour in ((255, 0, 0), (10, 200, 30), (90, 90, 250), (255, 255, 0)):
        hue, saturation, intensity = colour_means(Image.new("RGB", (3, 2), colour))
        assert intensity == pytest.approx(sum(colour) / 765)
        assert saturation == pytest.approx(1 - min(colour) / (sum(colour) / 3))
        # HSI's hue and HSV's are equal at the six corners and at most 1.2 degrees apart between them.
        assert hue == pytest.approx(360 * colorsys.rgb_to_hsv(*(c / 255 for c in colour))[0], abs=1.2)
    assert colour_means(Image.new("RGB", (2, 2), (0, 0, 0))) == (0.0, 0.0, 0.0)
    assert colour_means(Image.new("RGB", (2, 2), (77, 77, 77)))[:2] == (0.0, 0.0)
    reds = Image.new("RGB", (2, 1))
    reds.putdata([(255, 0, 20), (255, 20, 0)])
    assert min(colour_means(reds)[0], 360 - colour_means(reds)[0]) < 0.01  # not 180


def test_quantile_bins_are_even_and_equal_values_share_one() -> None:
    values = np.random.default_rng(0).random(1000)
    counts = np.bincount(quantile_bins(values.tolist(), 10))
    assert counts.min() >= 99
    assert counts.max() <= 101
    assert len(set(quantile_bins([3.0] * 7, 5))) == 1
    assert histogram([1.0], "one").size == histogram(values.tolist(), "many").size


def test_classes(tmp_path: Path) -> None:
    root = fixture.write_mast(tmp_path / "corpus")
    value = data_classes(fixture.open_fixture(root))
    assert value["cls_to_label"] == {"America": 0, "Europe": 1}
    assert value["comic_to_cls"][PLAIN] == 0
    assert value["comic_to_cls"][QUOTED] == 0
    assert len(value["comic_to_cls"]) == 7
    normalize_names(root)
    written = json.loads((root / "classification.json").read_text("utf-8"))
    assert list(written["comic_to_cls"].values()) == list(value["comic_to_cls"].values())
    assert data_classes(fixture.open_fixture(root)) == written
    assert ALIKE_A not in written["comic_to_cls"]
    with pytest.raises(InputError, match="no comic"):
        data_classes(fixture.open_fixture(root), column="Publisher")


def test_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no panels"):
        panel_metainfo(tmp_path)
    with pytest.raises(UsageError):
        panel_metainfo(tmp_path, bins=1)
