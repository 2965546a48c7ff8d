"""The weights file decides how much memory a plugin takes, and numbers that no training wrote are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from comictool.asterx.model import EncoderShape, SequenceModel
from comictool.asterx.weights import PARTS, export_model, load_sequence_model
from comictool.asterx.windows import WindowShape
from comictool.core.errors import InputError
from comictool.elric.weights import load_original
from comictool.plugins.architectures import find_architecture
from comictool.plugins.building import build_with_weights
from comictool.plugins.completing import complete_plugin
from comictool.plugins.dino_vit import DinoViT, ViTShape
from comictool.plugins.load import EncoderSpec, load_model
from comictool.plugins.manifest import WeightsSpec, write_manifest
from comictool.plugins.timm_models import build_timm
from comictool.plugins.trust import hash_file
from tests.elric.test_model import make_config, make_task
from tests.plugins.makers import manifest

GIANT = """
schema = 2
id = "giant"
version = "1"
title = "giant"
licence = "none"
kind = "encoder"
[architecture]
name = "dino_vit"
[architecture.arguments]
{arguments}
[input.image]
size = [224, 224]
[output.vector]
dimension = 1536
[weights]
file = "model.safetensors"
sha256 = "{sha256}"
"""


def net() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))


def spoilt(how: str) -> dict[str, torch.Tensor]:
    tensors = {name: tensor.clone() for name, tensor in net().state_dict().items()}
    if how == "stride 0":
        tensors["0.weight"] = torch.zeros(1).expand(3, 4)
    else:
        tensors["0.weight"][1, 1] = float("nan")
    return tensors


def test_what_fits_is_loaded() -> None:
    wanted = net().state_dict()
    model, _ = build_with_weights(net, {"model": wanted}, "file.pt")
    assert all(torch.equal(model.state_dict()[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(("how", "words"), [("stride 0", "larger than what the file holds"), ("nan", "not finite")])
def test_numbers_that_no_training_wrote_are_refused(how: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_with_weights(net, spoilt(how), "file.pt")


def spoil(tensors: dict[str, torch.Tensor], name: str, how: str) -> dict[str, torch.Tensor]:
    weight = tensors[name]
    if how == "good":
        return tensors
    return tensors | {name: torch.zeros(1).expand(weight.shape) if how == "stride 0" else weight * float("nan")}


def timm_weights(folder: Path, how: str) -> None:
    torch.save(spoil(build_timm("test_resnet").state_dict(), "conv1.0.weight", how), folder / "file.pt")
    EncoderSpec("timm:test_resnet", weights=folder / "file.pt", device="cpu").load()


def plugin_folder(folder: Path, how: str) -> None:
    torch.save(spoil(build_timm("test_resnet").state_dict(), "conv1.0.weight", how), folder / "file.pt")
    write_manifest(folder, manifest(weights=WeightsSpec("file.pt", hash_file(folder / "file.pt"))))
    EncoderSpec(str(folder), device="cpu").load()


def completed(folder: Path, how: str) -> None:
    torch.save(spoil(DinoViT(ViTShape(64, 1, 1, 8, 16)).state_dict(), "cls_token", how), folder / "file.pt")
    complete_plugin(folder / "file.pt", "dino_vits16", folder / "made")


def begun(folder: Path, how: str) -> None:
    torch.save(spoil(DinoViT(ViTShape(64, 1, 1, 8, 16)).state_dict(), "cls_token", how), folder / "file.pt")
    load_original(make_task(make_config(width=64, heads=1)), folder / "file.pt")


def sequence_model() -> SequenceModel:
    return SequenceModel(EncoderShape(features=8, width=16, layers=1, heads=8, feedforward=8), WindowShape())


def sequence_published(folder: Path, how: str) -> None:
    parts = {name: getattr(sequence_model(), name).state_dict() for name in PARTS}
    parts["model"] = spoil(parts["model"], "linear_in.weight", how)
    torch.save(parts, folder / "file.pt")
    load_sequence_model(folder / "file.pt")


def sequence_folder(folder: Path, how: str) -> None:
    model = sequence_model()
    made = export_model(folder / "made", model, single=0, visible=0, similarity="cosine")
    torch.save(spoil(model.state_dict(), "model.linear_in.weight", how), folder / "made" / "file.pt")
    weights = WeightsSpec("file.pt", hash_file(folder / "made" / "file.pt"))
    write_manifest(folder / "made", replace(made, weights=weights))
    load_model(EncoderSpec(str(folder / "made"), device="cpu"))


LOADERS = (timm_weights, plugin_folder, completed, begun, sequence_published, sequence_folder)


@pytest.mark.parametrize("how", ["stride 0", "nan"])
@pytest.mark.parametrize("load", LOADERS, ids=lambda load: load.__name__)
def test_every_loader_refuses_such_weights(tmp_path: Path, load: Callable[[Path, str], None], how: str) -> None:
    for folder in ("good", "bad"):
        (tmp_path / folder).mkdir()
    load(tmp_path / "good", "good")
    with pytest.raises(InputError, match=r"larger than what the file holds|not finite"):
        load(tmp_path / "bad", how)


MANY = {"wide": "width = 1536\ndepth = 8", "deep": "width = 64\ndepth = 65536", "large": "image_size = 65536"}


@pytest.mark.parametrize("arguments", MANY.values(), ids=MANY)
def test_a_tiny_manifest_takes_no_memory(tmp_path: Path, arguments: str) -> None:
    """House review, fault 2: 414 bytes of manifest and 72 of weights took 910 MB before they were refused."""
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    text = GIANT.format(arguments=arguments, sha256=hash_file(tmp_path / "model.safetensors"))
    (tmp_path / "plugin.toml").write_text(text)
    code = (
        "import resource, sys, torch, comictool.plugins.load as load\n"
        "from comictool.plugins.building import build_with_weights\n"
        "import comictool.plugins.dino_vit, comictool.plugins.torch_encoder\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    load.EncoderSpec(sys.argv[1], device='cpu').load()\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120)
    refusal, megabytes = run.stdout.strip().splitlines()
    assert refusal.startswith("MisfitError"), run.stdout + run.stderr
    assert int(megabytes) < 60


LOADING = """
import sys
from pathlib import Path
from comictool.plugins.architectures import find_architecture
from comictool.plugins.architectures import find_architecture
from comictool.plugins.building import build_with_weights
import torch
build = find_architecture(sys.argv[1]).build
weights = torch.load(sys.argv[2], weights_only=True)
build_with_weights(build, weights, "weights")
print("torch._dynamo" in sys.modules)
"""


def test_the_outline_does_not_load_torchs_compiler(tmp_path: Path) -> None:
    """It costs each command with a torch plugin a second and 180 MB."""
    name = "resnet18_linear"  # draws normal numbers, which is what needs it
    torch.save(find_architecture(name).build().state_dict(), tmp_path / "weights.pt")
    command = [sys.executable, "-c", LOADING, name, str(tmp_path / "weights.pt")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
