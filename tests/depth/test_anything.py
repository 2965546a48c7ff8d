"""Depth Anything V2's layout against a plain forward written from the published description, on a small network."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from comictool.core.errors import InputError
from comictool.depth.anything import SIZES, DepthAnything
from comictool.depth.anything_weights import anything_fitting
from comictool.plugins.load import EncoderSpec, load_model

WIDTH, DEPTH, HEADS, GRID = 64, 4, 1, 5  # one head of 64, as the loader takes for a size that was not published
PROJECTED, DECODER = (8, 12, 16, 20), 8


def checkpoint() -> dict[str, torch.Tensor]:
    """Names and shapes as published (reference: dpt.py, dinov2.py); numbers drawn."""
    generator = torch.Generator().manual_seed(4)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * (
            0.5 / math.sqrt(math.prod(shape[1:]) if len(shape) > 1 else 4)
        )

    found = {
        "pretrained.cls_token": drawn(1, 1, WIDTH),
        "pretrained.pos_embed": drawn(1, 1 + GRID**2, WIDTH),
        "pretrained.mask_token": drawn(1, WIDTH),
        "pretrained.patch_embed.proj.weight": drawn(WIDTH, 3, 14, 14),
        "pretrained.patch_embed.proj.bias": drawn(WIDTH),
        "pretrained.norm.weight": 1 + drawn(WIDTH),
        "pretrained.norm.bias": drawn(WIDTH),
    }
    for n in range(DEPTH):
        own = {
            "norm1": (WIDTH,), "attn.qkv": (3 * WIDTH, WIDTH), "attn.proj": (WIDTH, WIDTH), "norm2": (WIDTH,),
            "mlp.fc1": (4 * WIDTH, WIDTH), "mlp.fc2": (WIDTH, 4 * WIDTH),
        }  # fmt: skip
        for name, shape in own.items():
            found[f"pretrained.blocks.{n}.{name}.weight"] = drawn(*shape) + (1.0 if len(shape) == 1 else 0.0)
            found[f"pretrained.blocks.{n}.{name}.bias"] = drawn(shape[0])
        for name in ("ls1.gamma", "ls2.gamma"):
            found[f"pretrained.blocks.{n}.{name}"] = drawn(WIDTH)

    def convolution(name: str, *shape: int, bias: int = 0) -> None:
        found[f"depth_head.{name}.weight"] = drawn(*shape)
        if bias:
            found[f"depth_head.{name}.bias"] = drawn(bias)

    for n, size in enumerate(PROJECTED):
        convolution(f"projects.{n}", size, WIDTH, 1, 1, bias=size)
        convolution(f"scratch.layer{n + 1}_rn", DECODER, size, 3, 3)
    convolution("resize_layers.0", PROJECTED[0], PROJECTED[0], 4, 4, bias=PROJECTED[0])
    convolution("resize_layers.1", PROJECTED[1], PROJECTED[1], 2, 2, bias=PROJECTED[1])
    convolution("resize_layers.3", PROJECTED[3], PROJECTED[3], 3, 3, bias=PROJECTED[3])
    for n in (1, 2, 3, 4):
        convolution(f"scratch.refinenet{n}.out_conv", DECODER, DECODER, 1, 1, bias=DECODER)
        for unit in (1, 2):
            for conv in (1, 2):
                convolution(f"scratch.refinenet{n}.resConfUnit{unit}.conv{conv}", DECODER, DECODER, 3, 3, bias=DECODER)
    convolution("scratch.output_conv1", DECODER // 2, DECODER, 3, 3, bias=DECODER // 2)
    convolution("scratch.output_conv2.0", 32, DECODER // 2, 3, 3, bias=32)
    convolution("scratch.output_conv2.2", 1, 32, 1, 1, bias=1)
    found["depth_head.scratch.output_conv2.2.bias"] += 1.0  # so that the last ReLU does not cut everything off
    return found


def plain_forward(tensors: dict[str, torch.Tensor], x: torch.Tensor, taps: tuple[int, ...]) -> torch.Tensor:
    """(1, 3, 14 h, 14 w) to (14 h, 14 w), every step written out."""

    def get(name: str) -> torch.Tensor:
        return tensors[name]

    def normed(tokens: torch.Tensor, name: str) -> torch.Tensor:
        off = tokens - tokens.mean(-1, keepdim=True)
        return off / (off.square().mean(-1, keepdim=True) + 1e-6).sqrt() * get(f"{name}.weight") + get(f"{name}.bias")

    def linear(tokens: torch.Tensor, name: str) -> torch.Tensor:
        return tokens @ get(f"{name}.weight").T + get(f"{name}.bias")

    rows, columns = x.shape[2] // 14, x.shape[3] // 14
    kernel = get("pretrained.patch_embed.proj.weight").reshape(WIDTH, -1)
    cut = x[0].unfold(1, 14, 14).unfold(2, 14, 14).permute(1, 2, 0, 3, 4).reshape(rows * columns, -1)
    tokens = cut @ kernel.T + get("pretrained.patch_embed.proj.bias")
    table = get("pretrained.pos_embed")[0, 1:].reshape(1, GRID, GRID, WIDTH).permute(0, 3, 1, 2)
    if (rows, columns) != (GRID, GRID):
        factor = ((rows + 0.1) / GRID, (columns + 0.1) / GRID)
        table = functional.interpolate(table, scale_factor=factor, mode="bicubic", antialias=False)
    assert table.shape[2:] == (rows, columns)
    tokens = tokens + table[0].permute(1, 2, 0).reshape(rows * columns, WIDTH)
    tokens = torch.cat([get("pretrained.cls_token")[0] + get("pretrained.pos_embed")[0, :1], tokens])
    seen = []
    for n in range(DEPTH):
        at = f"pretrained.blocks.{n}"
        q, k, v = linear(normed(tokens, f"{at}.norm1"), f"{at}.attn.qkv").chunk(3, dim=1)
        attended = (q @ k.T / math.sqrt(WIDTH / HEADS)).softmax(1) @ v
        tokens = tokens + get(f"{at}.ls1.gamma") * linear(attended, f"{at}.attn.proj")
        inner = linear(normed(tokens, f"{at}.norm2"), f"{at}.mlp.fc1")
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        tokens = tokens + get(f"{at}.ls2.gamma") * linear(inner, f"{at}.mlp.fc2")
        if n in taps:
            seen.append(normed(tokens, "pretrained.norm")[1:].T.reshape(1, WIDTH, rows, columns))

    def conv(maps: torch.Tensor, name: str, padding: int = 0, stride: int = 1) -> torch.Tensor:
        bias = tensors.get(f"depth_head.{name}.bias")
        return functional.conv2d(maps, get(f"depth_head.{name}.weight"), bias, stride, padding)

    def enlarged(maps: torch.Tensor, n: int, step: int) -> torch.Tensor:
        at = f"depth_head.resize_layers.{n}"
        return functional.conv_transpose2d(maps, get(f"{at}.weight"), get(f"{at}.bias"), step)

    def unit(maps: torch.Tensor, name: str) -> torch.Tensor:
        inner = conv(maps.clamp(min=0), f"{name}.conv1", 1).clamp(min=0)
        return maps + conv(inner, f"{name}.conv2", 1)

    levels = [conv(maps, f"projects.{n}") for n, maps in enumerate(seen)]
    levels = [enlarged(levels[0], 0, 4), enlarged(levels[1], 1, 2), levels[2], conv(levels[3], "resize_layers.3", 1, 2)]
    levels = [conv(maps, f"scratch.layer{n}_rn", 1) for n, maps in enumerate(levels, start=1)]
    path = torch.zeros(())
    for n in (4, 3, 2, 1):
        at = f"scratch.refinenet{n}"
        path = levels[3] if n == 4 else path + unit(levels[n - 1], f"{at}.resConfUnit1")
        path = unit(path, f"{at}.resConfUnit2")
        size = levels[n - 2].shape[2:] if n > 1 else (2 * path.shape[2], 2 * path.shape[3])
        path = conv(functional.interpolate(path, size=size, mode="bilinear", align_corners=True), f"{at}.out_conv")
    path = conv(path, "scratch.output_conv1", 1)
    path = functional.interpolate(path, size=x.shape[2:], mode="bilinear", align_corners=True)
    path = conv(conv(path, "scratch.output_conv2.0", 1).clamp(min=0), "scratch.output_conv2.2")
    return path.clamp(min=0)[0, 0]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("anything") / "depth_anything_v2_tiny.pth"
    torch.save(checkpoint(), file)
    return file


@pytest.mark.parametrize("size", [(70, 70), (98, 140)], ids=["own grid", "resampled grid"])
def test_a_checkpoint_gives_the_map_of_the_published_description(weights: Path, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    side = min(size)
    model = load_model(EncoderSpec(str(plugin(weights, side)), device="cpu"), "depth")
    (found,) = model.depth([picture])
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((torch.from_numpy(picture).float() / 255 - mean) / std).permute(2, 0, 1)[None]
    disparity = plain_forward(checkpoint(), pixels, taps=(0, 1, 2, 3))
    assert float(disparity.std()) > 1e-3, "the generated network says something"
    close = np.allclose(-found, disparity.numpy(), rtol=1e-4, atol=1e-5)
    assert close, "larger is farther: the sign is turned, once"


def plugin(weights: Path, side: int) -> Path:
    """A plugin directory with the checkpoint, as a user would write one."""
    from comictool.plugins.trust import hash_file

    folder = weights.parent / f"anything_{side}"
    if not folder.exists():
        folder.mkdir()
        (folder / weights.name).write_bytes(weights.read_bytes())
        (folder / "plugin.toml").write_text(
            'schema = 2\nid = "mine"\nversion = "1"\ntitle = "t"\nkind = "depth"\nlicence = "Apache-2.0"\n'
            f'[architecture]\nname = "depth_anything"\n[architecture.arguments]\nside = {side}\n'
            '[output.depth]\nform = "map"\n'
            f'[weights]\nfile = "{weights.name}"\nsha256 = "{hash_file(weights)}"\n'
        )
    return folder


def test_the_shipped_plugin_takes_a_local_checkpoint_as_weights(weights: Path) -> None:
    model = load_model(EncoderSpec("depth_anything", device="cpu", weights=weights), "depth")
    picture = np.zeros((20, 30, 3), np.uint8)
    assert model.depth([picture])[0].shape == (20, 30)


def test_another_file_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(2, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="depth_anything") as caught:
        load_model(EncoderSpec("depth_anything", device="cpu", weights=tmp_path / "other.pth"), "depth")
    assert "pretrained.pos_embed" in caught.value.cause


def test_pictures_are_fitted_as_published() -> None:
    assert anything_fitting(518, 518) == (518, 518)
    assert anything_fitting(1000, 500) == (1036, 518)
    assert anything_fitting(300, 1000) == (518, 1722)  # 1726.7 to the nearest whole patch
    assert anything_fitting(100, 10_000)[1] == 4 * 518


def test_the_published_sizes_have_the_published_names() -> None:
    with torch.device("meta"):
        names = DepthAnything(SIZES["small"]).state_dict()
    assert names["pretrained.pos_embed"].shape == (1, 1370, 384)
    assert names["depth_head.scratch.refinenet4.resConfUnit1.conv2.bias"].shape == (64,)
    assert "depth_head.resize_layers.2.weight" not in names
    assert sum(t.numel() for t in names.values()) == pytest.approx(24.8e6, rel=0.01)
