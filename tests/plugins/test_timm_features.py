"""A timm model up to one of its layers, EfficientNets under other names, and weights in half the space."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from comictool.core.errors import InputError
from comictool.plugins.completing import complete_plugin
from comictool.plugins.export import export_plugin
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import VECTOR, Inputs, InputSpec, Manifest, OutputSpec, write_manifest
from comictool.plugins.preparation import prepare_batch
from tests.plugins.makers import manifest, pictures

LAYERS = {
    "test_resnet": ("layer2", 48),
    "test_efficientnet": ("blocks.2", 32),
    "test_convnext": ("stages.1.blocks", 32),
}
State = dict[str, torch.Tensor]


def seeded(name: str) -> Any:
    torch.manual_seed(3)
    return timm.create_model(name, num_classes=7).eval()


def featured(name: str, features: str, width: int, bands: int = 3, **more: Any) -> Manifest:
    arguments = {"features": features, "pooling": "bands", "bands": bands, **more}
    inputs = Inputs(InputSpec((96, 64), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
    return manifest(
        architecture=f"timm:{name}", arguments=arguments, input=inputs, output={VECTOR: OutputSpec(width * bands)}
    )


def expected(model: Any, features: str, description: Manifest, bands: int = 3) -> np.ndarray:
    """The map of the whole model's layer, and the mean over each band by a loop."""
    seen: list[torch.Tensor] = []
    model.get_submodule(features).register_forward_hook(lambda layer, given, answer: seen.append(answer))
    assert description.image is not None
    with torch.no_grad():
        model(prepare_batch(pictures(), description.image))
    rows = seen[0].shape[2]
    cuts = [(band * rows // bands, -(-(band + 1) * rows // bands)) for band in range(bands)]
    vectors = np.concatenate([seen[0][:, :, a:b].mean(dim=(2, 3)).numpy() for a, b in cuts], axis=1)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("name", LAYERS)
def test_the_vector_is_what_the_layer_sees_in_bands(tmp_path: Path, name: str) -> None:
    """Weights of the whole network are taken; what comes after the layer is left out."""
    features, width = LAYERS[name]
    model, description = seeded(name), featured(name, *LAYERS[name])
    export_plugin(tmp_path / "p", description, model.state_dict())
    encoder = EncoderSpec(str(tmp_path / "p"), device="cpu", precision="fp32").load()
    assert encoder.dimension == 3 * width
    assert "left out" in encoder.device_note
    assert np.allclose(encoder.embed(pictures()), expected(model, features, description), atol=1e-5)


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no such layer": ("test_resnet", {"features": "layer9"}, "no layer layer9; it has conv1"),
    "no such layer inside": ("test_resnet", {"features": "layer1.5"}, r"no layer layer1\.5; it has layer1\.0"),
    "pooling": ("test_resnet", {"features": "layer2", "pooling": "max"}, "pooling is 'max'"),
    "bands of a mean": ("test_resnet", {"features": "layer2", "bands": 2}, "pooling is 'mean' with 2 bands"),
    "no bands": ("test_resnet", {"features": "layer2", "pooling": "bands", "bands": 0}, "1 to 16"),
    "too many": ("test_resnet", {"features": "layer2", "pooling": "bands", "bands": 16}, "no map with 16 rows"),
    "bands of nothing": ("test_resnet", {"pooling": "bands", "bands": 2}, "of a layer that `features` names"),
    "tokens": ("test_vit", {"features": "blocks.1"}, "are no map"),
    "not a text": ("test_resnet", {"features": 3}, "does not take these arguments"),
}


@pytest.mark.parametrize(("name", "arguments", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_pooled_is_a_sentence(tmp_path: Path, name: str, arguments: dict[str, Any], words: str) -> None:
    inputs = Inputs(InputSpec((160, 160) if name == "test_vit" else (64, 64)))
    description = manifest(architecture=f"timm:{name}", arguments=arguments, input=inputs)
    export_plugin(tmp_path / "p", description, seeded(name).state_dict())
    with pytest.raises(InputError) as refusal:
        EncoderSpec(str(tmp_path / "p"), device="cpu").load()
    assert re.search(words, f"{refusal.value.fact} {refusal.value.cause}")


def counted_through(state: State) -> State:
    """The names of EfficientNet-PyTorch: `_blocks.3._bn1.weight`."""
    outside = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    three = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1"}
    three |= {"conv_pwl": "_project_conv", "bn3": "_bn2"}
    two = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    squeeze = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
    blocks = sorted({tuple(map(int, name.split(".")[1:3])) for name in state if name.startswith("blocks.")})
    found = {}
    for name, tensor in state.items():
        if not name.startswith("blocks."):
            found[f"{outside[name.split('.')[0]]}.{name.split('.', 1)[1]}"] = tensor
            continue
        stage, block, rest = name.split(".", 3)[1:]
        widens = f"blocks.{stage}.{block}.conv_pwl.weight" in state
        part, leaf = rest.rsplit(".", 1)
        own = ({**three, **squeeze} if widens else {**two, **squeeze})[part]
        found[f"_blocks.{blocks.index((int(stage), int(block)))}.{own}.{leaf}"] = tensor
    return found


def test_efficientnets_of_another_naming_become_half_a_plugin(tmp_path: Path) -> None:
    """As the backbone of `comic_small` was made; see its SOURCE.md."""
    model = seeded("efficientnet_b0")
    description = featured("efficientnet_b0", "blocks.1", 24)
    write_manifest(tmp_path / "p", description)
    torch.save({"state_dict": counted_through(model.state_dict())}, tmp_path / "published.pth")
    done = complete_plugin(tmp_path / "published.pth", str(tmp_path / "p"), tmp_path / "whole")
    half = complete_plugin(tmp_path / "published.pth", str(tmp_path / "p"), tmp_path / "half", half=True)
    kept = load_file(half.output)
    assert half.tensors == len(kept) < done.tensors / 6
    assert {tensor.dtype for tensor in kept.values()} == {torch.float16}
    wanted = expected(model, "blocks.1", description)
    for folder, least in (("whole", 1 - 1e-6), ("half", 0.9999)):
        vectors = EncoderSpec(str(tmp_path / folder), device="cpu", precision="fp32").load().embed(pictures())
        assert (vectors * wanted).sum(axis=1).min() > least
    too_large = {name: tensor * 1e6 for name, tensor in model.state_dict().items()}
    save_file(too_large, tmp_path / "large.safetensors")
    with pytest.raises(InputError, match="in fp16 holds numbers that are not finite"):
        complete_plugin(tmp_path / "large.safetensors", str(tmp_path / "p"), tmp_path / "none", half=True)
    assert not (tmp_path / "none" / "plugin.toml").exists()
