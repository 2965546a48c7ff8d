"""What the network is shown belongs to the truth that it is told."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, Panel, Text
from comictool.depth.changes import change_look
from comictool.depth.data import DepthData
from comictool.depth.panels import HeldPanels, panels_of
from comictool.depth.settings import ChangeOptions, DepthConfig, ModelOptions
from comictool.drawn.depth import encode_png16, to_stored
from comictool.training.recipe import SampleKey

WIDTH, HEIGHT = 300, 200
PANELS = [(10, 10, 140, 190), (150, 10, 290, 90), (150, 100, 290, 190), (150, 100, 160, 120)]
PLAIN = ChangeOptions(0.4, 0.5, *[0.0] * 7)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Pages whose brightness is their depth."""
    root = tmp_path_factory.mktemp("bright")
    corpus = Corpus.create(root)
    (root / "page_images/a").mkdir(parents=True)
    (root / "depth/a").mkdir(parents=True)
    records = []
    for number in (1, 2, 3, 4):
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / [[[HEIGHT]], [[WIDTH]]]
        depth = (0.5 + 0.3 * np.sin(5 * x * number) * np.cos(4 * y) + 0.1 * y).astype(np.float32)
        image, stored = f"page_images/a/{number}.png", f"depth/a/{number}.png"
        grey = np.round(depth * 255).astype(np.uint8)
        Image.fromarray(np.repeat(grey[..., None], 3, 2)).save(root / image)
        values = to_stored(depth)
        values[:, 145:148] = 0
        (root / stored).write_bytes(encode_png16(values))
        panels = [Panel(id=n, box=box, order=n) for n, box in enumerate(PANELS, start=1)]
        texts = [Text(id=1, text="HA", box=(20, 20, 40, 30), panel=1, extra={"balloon": [15, 15, 60, 45]})]
        records.append(
            PageRecord("a", number, image, WIDTH, HEIGHT, panels=panels, texts=texts, extra={"depth": stored})
        )
    corpus.write_comic_facts("a", {"name": "a", "series": "s", "style": "flat"})
    corpus.write_pages("a", records)
    return corpus


def data_of(corpus: Corpus, *, balloons: bool = True) -> DepthData:
    config = DepthConfig(model=ModelOptions(side=64), changes=PLAIN)
    table = panels_of(corpus, "all", min_side=48)
    return DepthData(HeldPanels(table, side=200, cache=64, maps=True, balloons=balloons), config)


def test_cut_mirrored_and_scaled_pictures_and_maps_stay_together(corpus: Corpus) -> None:
    data = data_of(corpus)
    assert len(data) == 12, "panels that are too small are left out"
    for seed in range(6):
        batch = data.load([SampleKey(n, seed * 100 + n) for n in range(4)])
        shown = torch.nn.functional.avg_pool2d(batch["pictures"][:, :1].float(), 4)[:, 0] / 255
        off = (shown - batch["truth"]).abs()
        assert float(off[batch["truth"].isfinite()].mean()) < 0.02
        assert int(batch["places"].max()) < batch["truth"][0].numel()


def test_a_sample_follows_from_its_key(corpus: Corpus) -> None:
    data, again = data_of(corpus), data_of(corpus)
    key = SampleKey(3, 77)
    one, other = data.load([key]), again.load([key])
    assert all(torch.equal(one[name].nan_to_num(), other[name].nan_to_num()) for name in one)


def test_what_lies_under_a_balloon_is_not_learned_unless_asked_for(corpus: Corpus) -> None:
    ignored, learned = data_of(corpus, balloons=False), data_of(corpus)
    first = [data.panels.map(0).isnan() for data in (ignored, learned)]
    height, width = first[0].shape
    assert not first[1].any()
    rows, columns = (5 * height // 180, 35 * height // 180), (5 * width // 130, 50 * width // 130)
    assert first[0][rows[0] + 1 : rows[1] - 1, columns[0] + 1 : columns[1] - 1].all()
    assert first[0].float().mean() < 0.1


def test_batches_have_panels_of_nearly_one_aspect(corpus: Corpus) -> None:
    data = data_of(corpus)
    order = list(data.order(0, 5, 4))
    assert sorted(order) == list(range(12))
    assert order == list(data.order(0, 5, 4))
    assert order != list(data.order(1, 5, 4))
    tall = {n for n in range(12) if data.panels.aspect(n) > 1}
    assert any(set(order[at : at + 4]) == tall for at in (0, 4, 8))
    assert len(data.order(0, 5, 5)) == 10, "whole batches alone, and any panel may be the one left over"


def test_a_damaged_map_leaves_its_page_out_and_says_so(corpus: Corpus, tmp_path: Path) -> None:
    shutil.copytree(corpus.root, tmp_path / "c")
    (tmp_path / "c/depth/a/2.png").write_bytes(encode_png16(np.ones((4, 6), np.uint16)))
    (tmp_path / "c/depth/a/3.png").write_bytes(b"nothing")
    data = data_of(Corpus.open(tmp_path / "c"))
    assert len(data) == 6
    assert len(data.panels.table.problems) == 2


@pytest.mark.parametrize("name", ["recolour", "jitter", "grey", "lines", "screentone", "paper", "scan"])
def test_a_look_changes_the_picture_and_nothing_else(name: str) -> None:
    rng = np.random.default_rng(0)
    blocks = torch.from_numpy(rng.integers(0, 256, (3, 5, 7))).float()
    pixels = blocks.repeat_interleave(9, 1).repeat_interleave(8, 2)
    off = ChangeOptions(1.0, *[0.0] * 8)
    assert torch.equal(change_look(pixels, off, np.random.default_rng(1)), pixels)
    on = replace(off, **{name: 1.0})
    one, other = (change_look(pixels, on, np.random.default_rng(1)) for _ in range(2))
    assert torch.equal(one, other)
    assert one.shape == pixels.shape
    assert one.isfinite().all()
    assert 0 <= float(one.min()) <= float(one.max()) <= 255
    assert float((one - pixels).abs().mean()) > 1
