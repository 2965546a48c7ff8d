"""The released networks: their own files load, by names alone, and answer as the released code did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from comictool.core.errors import InputError
from comictool.depth.segments import Segment
from comictool.plugins.load import EncoderSpec, load_model

SIDE = 16  # of the generated first network; the released one has 128 and two gigabytes


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.05


def first_weights() -> dict[str, torch.Tensor]:
    shapes = {
        "conv1": (64, 3, 3, 3),
        "conv2": (128, 64, 3, 3),
        "fc1": (256, 128 * SIDE * SIDE),
        "fc_inter": (1, 256),
        "fc_intra": (1, 256),
    }
    return {
        f"{name}.{part}": drawn(*(shape if part == "weight" else shape[:1]), seed=seed * 2 + (part == "bias"))
        for seed, (name, shape) in enumerate(shapes.items())
        for part in ("weight", "bias")
    }


def second_weights() -> dict[str, torch.Tensor]:
    shapes = {
        "conv1": (64, 3, 3, 3),
        "conv2": (128, 64, 3, 3),
        "conv3": (256, 128, 3, 3),
        "fc1": (128, 256),
        "fc_inter": (1, 128),
        "fc_intra": (1, 128),
    }
    found = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        found |= {f"{name}.weight": drawn(*shape, seed=seed), f"{name}.bias": drawn(shape[0], seed=seed + 50)}
        if name.startswith("conv"):
            norm, size = name.replace("conv", "bn"), shape[0]
            found |= {f"{norm}.weight": 1 + drawn(size, seed=seed + 9), f"{norm}.bias": drawn(size, seed=seed + 19)}
            found |= {
                f"{norm}.running_mean": drawn(size, seed=seed + 29),
                f"{norm}.running_var": 1 + drawn(size, seed=seed + 39).abs(),
            }
            found[f"{norm}.num_batches_tracked"] = torch.tensor(5)
    return found


def released_input(picture: np.ndarray, side: int) -> torch.Tensor:
    """As it was trained: OpenCV's BGR, squashed by its bilinear resize, divided by 255."""
    planes = torch.from_numpy(picture[..., ::-1].astype(np.float32)).permute(2, 0, 1)[None]
    return functional.interpolate(planes, size=(side, side), mode="bilinear", align_corners=False) / 255


def first_answer(w: dict[str, torch.Tensor], picture: np.ndarray) -> tuple[float, float]:
    x = functional.conv2d(released_input(picture, SIDE), w["conv1.weight"], w["conv1.bias"], padding=1).clamp(min=0)
    x = functional.max_pool2d(x, 2)
    x = functional.conv2d(x, w["conv2.weight"], w["conv2.bias"], padding=1).clamp(min=0)
    x = x.repeat_interleave(2, 2).repeat_interleave(2, 3).flatten()
    x = (w["fc1.weight"] @ x + w["fc1.bias"]).clamp(min=0)
    return float(w["fc_inter.weight"] @ x + w["fc_inter.bias"]), float(w["fc_intra.weight"] @ x + w["fc_intra.bias"])


def second_answer(w: dict[str, torch.Tensor], picture: np.ndarray) -> tuple[float, float]:
    x = released_input(picture, 128)
    for n in (1, 2, 3):
        x = functional.conv2d(x, w[f"conv{n}.weight"], w[f"conv{n}.bias"], padding=1)
        mean, variance = w[f"bn{n}.running_mean"], w[f"bn{n}.running_var"]
        scale = w[f"bn{n}.weight"] / (variance + 1e-5).sqrt()
        x = ((x - mean[:, None, None]) * scale[:, None, None] + w[f"bn{n}.bias"][:, None, None]).clamp(min=0)
        x = functional.max_pool2d(x, 2) if n < 3 else x.mean((2, 3))[0]
    x = (w["fc1.weight"] @ x + w["fc1.bias"]).clamp(min=0)
    return float(w["fc_inter.weight"] @ x + w["fc_inter.bias"]), float(w["fc_intra.weight"] @ x + w["fc_intra.bias"])


@pytest.mark.parametrize("version", [1, 2])
def test_a_released_file_answers_as_the_released_code(tmp_path: Path, version: int) -> None:
    weights = first_weights() if version == 1 else second_weights()
    torch.save(weights, tmp_path / "best_model.pth")
    picture = np.random.default_rng(3).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    expected = (first_answer if version == 1 else second_answer)(weights, picture)
    model = load_model(EncoderSpec("depth_page", device="cpu", weights=tmp_path / "best_model.pth"), "depth")
    segments = [Segment(n, 1, 1, "face", None, (0, 0, 9, 9)) for n in (1, 2, 3)]
    found = model.segment_depth(picture, segments, [])
    # Inter first: the released evaluation took one for the other.
    assert found[:, :2].tolist() == [pytest.approx(expected, rel=1e-4)] * 3
    assert (model.depth([picture])[0] == np.float32(found[0, 0])).all()


def test_objects_in_a_file_are_never_made(tmp_path: Path) -> None:
    torch.save({"model": Path("x")}, tmp_path / "model.pth")
    with pytest.raises(InputError, match="more than weights"):
        load_model(EncoderSpec("depth_page", device="cpu", weights=tmp_path / "model.pth"), "depth")
