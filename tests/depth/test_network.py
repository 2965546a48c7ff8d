from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from comictool.depth.inputs import CELL, fitted_shape, segment_inputs
from comictool.depth.network import DenseNetwork, SegmentNetwork, box_masks, pooled
from comictool.depth.segments import Segment
from comictool.depth.train import begin_from

BACKBONE = ("resnet10t", ("layer1", "layer2"))


@pytest.fixture(scope="module")
def network() -> SegmentNetwork:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return SegmentNetwork(*BACKBONE, width=8, hidden=16, heads=2, layers=1, levels=4).eval()


def test_pooling_all_segments_at_once_is_pooling_each() -> None:
    generator = torch.Generator().manual_seed(1)
    maps, masks = torch.randn(2, 3, 4, 5, generator=generator), torch.rand(2, 6, 4, 5, generator=generator)
    found = pooled(maps, masks)
    for b in range(2):
        for s in range(6):
            total = sum(masks[b, s, y, x] * maps[b, :, y, x] for y in range(4) for x in range(5))
            assert torch.allclose(found[b, s], total / masks[b, s].sum(), atol=1e-5)
    assert not pooled(maps, torch.zeros(2, 1, 4, 5)).any(), "a segment of no cell is nothing, not NaN"


def test_boxes_cover_cells_by_their_share() -> None:
    (found,) = box_masks(torch.tensor([[[0.125, 0.0, 0.5, 1.0]]]), 2, 4)[0]
    assert found.tolist() == [[0.5, 1.0, 0.0, 0.0]] * 2


def test_other_panels_and_filled_up_places_change_no_answer(network: SegmentNetwork) -> None:
    generator = torch.Generator().manual_seed(2)
    pictures = torch.randn(2, 3, 64, 64, generator=generator)
    boxes = torch.tensor([[[0.1, 0.1, 0.5, 0.6], [0.4, 0.2, 0.9, 0.9], [0, 0, 0, 0]], [[0.0, 0.0, 1.0, 1.0]] * 3])
    masks = box_masks(boxes, 8, 8)
    with torch.no_grad():
        together, _ = network(pictures, masks, boxes)
        alone, _ = network(pictures[:1], masks[:1, :2], boxes[:1, :2])
    assert torch.allclose(together[:1, :2], alone, atol=1e-5)
    assert together.isfinite().all()


def test_a_panel_is_looked_at_once_whatever_the_number_of_its_segments(network: SegmentNetwork) -> None:
    passes = []
    handle = network.trunk.register_forward_hook(lambda *_: passes.append(1))
    boxes = torch.rand(1, 300, 4, generator=torch.Generator().manual_seed(3)).sort(dim=2).values[..., [0, 1, 2, 3]]
    with torch.no_grad():
        ranks, steps = network(torch.zeros(1, 3, 64, 64), box_masks(boxes, 8, 8), boxes)
    handle.remove()
    assert (len(passes), ranks.shape, steps.shape) == (1, (1, 300, 2), (1, 300, 2, 4))


def test_layers_after_the_last_tap_are_gone() -> None:
    network = DenseNetwork(*BACKBONE, width=8)
    names = network.state_dict().keys()
    assert not any("layer3" in name or ".fc." in name for name in names)
    assert len(names) == len({name.removeprefix("trunk.") for name in names}), "no weight is there twice"
    assert "trunk.backbone.model.layer3" in network.left_out
    assert network.eval()(torch.zeros(1, 3, 64, 96)).shape == (1, 16, 24)
    with pytest.raises(ValueError, match="no layer"):
        DenseNetwork("resnet10t", ("layer1", "layer9"), 8)


def test_shapes_are_whole_multiples_near_the_aspect() -> None:
    for height, width in ((400, 400), (300, 900), (10, 4000), (4000, 10), (1, 1)):
        rows, columns = fitted_shape(height, width, 192)
        assert rows % 32 == columns % 32 == 0
        assert 0.6 < rows * columns / 192**2 < 1.5


def test_segments_of_a_panel_are_told_by_coverage_and_box() -> None:
    window = (100, 200, 164, 264)
    inside = Segment(1, 1, 1, "face", 1, (108, 208, 124, 232))
    outline = Segment(2, 1, 1, "hand", 1, (100, 200, 132, 232), polygons=(((100, 200), (132, 200), (100, 232)),))
    beside = Segment(3, 1, 1, "foot", 1, (0, 0, 20, 20))
    masks, boxes = segment_inputs([inside, outline, beside], window, (64, 64))
    assert masks.shape == (3, 64 // CELL, 64 // CELL)
    expected = np.zeros((8, 8), np.float32)
    expected[1:4, 1:3] = 1
    assert masks[0].numpy().tolist() == expected.tolist()
    assert boxes[0].tolist() == [0.125, 0.125, 0.375, 0.5]
    assert float(masks[1].sum()) == pytest.approx(8.0, abs=1.5), "half of the 16 cells of its box"
    assert boxes[2].tolist() == [0, 0, 1, 1], "of what lies beside its panel only the panel is known"


def test_a_segment_network_begins_from_the_decoder_of_a_dense_one(network: SegmentNetwork, tmp_path: Path) -> None:
    dense = DenseNetwork(*BACKBONE, width=8)
    torch.save(dense.state_dict(), tmp_path / "dense.pt")
    torch.save(dense.trunk.backbone.model.state_dict(), tmp_path / "backbone.pt")
    for name, whole in (("dense.pt", True), ("backbone.pt", False)):
        fresh = copy.deepcopy(network)
        begin_from(fresh, tmp_path / name)
        same = [torch.equal(value, dense.trunk.state_dict()[key]) for key, value in fresh.trunk.state_dict().items()]
        kept = [key.startswith("backbone.") for key in fresh.trunk.state_dict()]
        assert all(same) if whole else [s for s, k in zip(same, kept, strict=True) if k] == [True] * sum(kept)
        assert whole or not all(same)
