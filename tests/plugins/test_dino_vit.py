"""The transformer in DINO's layout, against a slow second implementation and against timm."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from comictool.core.errors import InputError
from comictool.plugins.architectures import call_builder, find_architecture
from comictool.plugins.dino_vit import DinoViT, ViTShape, vit_shape
from comictool.plugins.export import export_plugin
from comictool.plugins.load import load_plugin
from comictool.plugins.manifest import VECTOR, Inputs, InputSpec, Manifest, OutputSpec

SMALL = ViTShape(width=24, depth=2, heads=3, patch_size=8, image_size=56)


@pytest.fixture
def model() -> DinoViT:
    """A small transformer whose every weight matters (the initial ones are close to 0)."""
    torch.manual_seed(1)
    made = DinoViT(SMALL).double().eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


# --- the slow implementation: plain loops over numpy arrays, written from the description alone -------------------


def cubic(distance: float) -> float:
    """Keys' kernel with a = -0.75, as torch and OpenCV have it."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def resampled(line: np.ndarray, count: int) -> np.ndarray:
    """(n, D) to (count, D) along the first axis by DINO's rule: steps of n / (count + 0.1), edges repeated."""
    scale = len(line) / (count + 0.1)
    out = np.zeros((count, *line.shape[1:]))
    for target in range(count):
        place = (target + 0.5) * scale - 0.5
        for tap in range(math.floor(place) - 1, math.floor(place) + 3):
            out[target] += cubic(place - tap) * line[min(max(tap, 0), len(line) - 1)]
    return out


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * weight + bias


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def slow_forward(model: DinoViT, image: np.ndarray) -> np.ndarray:
    """The vector of one picture (3, H, W)."""
    w = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    size, heads = model.shape.patch_size, model.shape.heads
    rows, columns = image.shape[1] // size, image.shape[2] // size
    tokens = [w["cls_token"][0, 0]]
    for row in range(rows):
        for column in range(columns):
            patch = image[:, row * size : (row + 1) * size, column * size : (column + 1) * size]
            product = (w["patch_embed.proj.weight"] * patch[None]).sum(axis=(1, 2, 3))
            tokens.append(product + w["patch_embed.proj.bias"])
    side = math.isqrt(w["pos_embed"].shape[1] - 1)
    grid = w["pos_embed"][0, 1:].reshape(side, side, -1)
    if (rows, columns) != (side, side):
        grid = resampled(resampled(grid, rows).transpose(1, 0, 2), columns).transpose(1, 0, 2)
    x = np.stack(tokens) + np.concatenate([w["pos_embed"][0, :1], grid.reshape(rows * columns, -1)])
    for block in range(model.shape.depth):
        p = f"blocks.{block}."
        y = layer_norm(x, w[p + "norm1.weight"], w[p + "norm1.bias"])
        qkv = y @ w[p + "attn.qkv.weight"].T + w[p + "attn.qkv.bias"]
        width = x.shape[1]
        each = width // heads
        mixed = np.zeros_like(x)
        for head in range(heads):
            q, k, v = (qkv[:, part * width + head * each :][:, :each] for part in range(3))
            for token in range(len(x)):
                scores = np.exp(q[token] @ k.T / math.sqrt(each))
                mixed[token, head * each : (head + 1) * each] = scores @ v / scores.sum()
        x = x + mixed @ w[p + "attn.proj.weight"].T + w[p + "attn.proj.bias"]
        y = layer_norm(x, w[p + "norm2.weight"], w[p + "norm2.bias"])
        hidden = gelu(y @ w[p + "mlp.fc1.weight"].T + w[p + "mlp.fc1.bias"])
        x = x + hidden @ w[p + "mlp.fc2.weight"].T + w[p + "mlp.fc2.bias"]
    return layer_norm(x[0], w["norm.weight"], w["norm.bias"])


@pytest.mark.parametrize(("height", "width"), [(56, 56), (24, 24), (96, 96), (24, 40), (64, 56), (8, 8), (61, 30)])
def test_the_forward_is_the_originals_at_any_size(model: DinoViT, height: int, width: int) -> None:
    image = np.random.default_rng(height).normal(size=(3, height, width))
    with torch.no_grad():
        found = model(torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_allclose(found, slow_forward(model, image), atol=1e-9)


def test_the_offset_is_what_tells_it_from_plain_resampling(model: DinoViT) -> None:
    grid = model.pos_embed[:, 1:].reshape(1, 7, 7, -1).permute(0, 3, 1, 2)
    plain = torch.nn.functional.interpolate(grid, size=(3, 3), mode="bicubic").permute(0, 2, 3, 1).reshape(1, 9, -1)
    assert (model.positions(3, 3)[:, 1:] - plain).abs().max() > 1e-2


@pytest.mark.parametrize("patches", range(1, 40))
def test_the_grid_always_comes_out_as_asked(patches: int) -> None:
    with torch.no_grad():
        made = DinoViT(ViTShape(8, 1, 1, 16, 224))
        assert made.positions(patches, 14).shape == (1, 1 + patches * 14, 8)


def test_timms_small_gives_the_same_where_nothing_is_resampled() -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = timm.create_model("vit_small_patch16_224", pretrained=False, num_classes=0).eval()
    ours = DinoViT(vit_shape("small")).eval()
    ours.load_state_dict(theirs.state_dict())  # the very same names
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("size", "count"), [("tiny", 5_524_416), ("small", 21_665_664), ("base", 85_798_656)])
def test_the_published_sizes_have_the_published_numbers_of_parameters(size: str, count: int) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in DinoViT(vit_shape(size)).parameters()) == count


def test_drop_path_skips_branches_in_training_alone() -> None:
    torch.manual_seed(0)
    model = DinoViT(SMALL, drop_path=0.5)
    images = torch.randn(64, 3, 24, 24)
    with torch.no_grad():
        assert torch.equal(model.eval()(images), model(images))
        assert not torch.equal(model.train()(images), model(images))
        # The mean over many draws stays that of no dropping.
        block = model.blocks[1]
        tokens = torch.randn(1, 10, 24).expand(4000, -1, -1)
        kept = block.train()._kept(tokens)
        assert abs(float(kept.mean(0).sub(tokens[0]).abs().max())) < 0.15
    assert [round(block.drop_path, 3) for block in DinoViT(SMALL, drop_path=0.1).blocks] == [0.0, 0.1]


def test_wrong_shapes_are_refused_with_their_reason() -> None:
    architecture = find_architecture("dino_vit")
    for arguments, reason in (
        ({"size": "huge"}, "none of tiny"),
        ({"width": 100, "heads": 3}, "cannot be shared"),
        ({"image_size": 100}, "whole patches"),
        ({"width": -1}, "outside"),
        ({"depth": 12, "hands": 2}, "unexpected keyword"),
    ):
        with pytest.raises(InputError) as caught:
            call_builder(architecture, arguments)
        assert reason in caught.value.cause


def test_an_exported_transformer_loads_as_a_plugin(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = DinoViT(SMALL).eval()
    manifest = Manifest(
        id="small",
        version="1",
        title="small",
        kind="encoder",
        licence="MIT",
        architecture="dino_vit",
        arguments={"width": 24, "depth": 2, "heads": 3, "patch_size": 8, "image_size": 56},
        input=Inputs(InputSpec(size=(56, 56), resize="pad")),
        output={VECTOR: OutputSpec(24, normalised=False)},
    )
    export_plugin(tmp_path / "small", manifest, model.state_dict())
    encoder = load_plugin(str(tmp_path / "small"), device="cpu", precision="fp32")
    picture = np.random.default_rng(0).integers(0, 256, (56, 56, 3), dtype=np.uint8)
    with torch.no_grad():
        pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (manifest.image.mean, manifest.image.std))  # type: ignore[union-attr]
        expected = torch.nn.functional.normalize(model((pixels - mean) / std))
    np.testing.assert_allclose(encoder.embed([picture]), expected.numpy(), atol=1e-5)
