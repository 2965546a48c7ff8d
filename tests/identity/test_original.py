"""Checkpoints as comic_char_reid's Lightning modules write them: made here under its names; no code runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, ResNet

from comictool.core.errors import InputError
from comictool.identity import original, reid_train
from comictool.identity.network import Encoder, build_backbone
from comictool.identity.original import load_backbone, load_identity
from comictool.plugins.architectures import call_builder, find_architecture
from comictool.plugins.instance_network import InstanceNetwork

WIDTH, HIDDEN, DIMENSION = 512, 24, 6
LAYERS = (1, 1, 1, 1)  # blocks of each stage, a fifth of a ResNet-50
SMALL = {"backbone": "timm:resnet18", "arguments": {"layers": list(LAYERS)}, "features": WIDTH, "neck": HIDDEN}


def convnet(seed: int, *, layers: int = 8) -> nn.Module:
    """torchvision's ResNet with the projector as its `fc`; statistics of the norms as after some training."""
    torch.manual_seed(seed)
    network = ResNet(BasicBlock, list(LAYERS), num_classes=HIDDEN)
    fc = [
        network.fc,
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN, bias=False),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, 8, bias=False),
        nn.BatchNorm1d(8, affine=False),
    ]
    network.fc = nn.Sequential(*fc[:layers])
    with torch.no_grad():
        network(torch.randn(4, 3, 32, 32))  # moves the norms
    return network.eval()


def stage_1(path: Path) -> nn.Module:
    network = convnet(0)
    state = {f"model.convnet.{name}": tensor for name, tensor in network.state_dict().items()}
    hyper = {"model_name": "resnet50", "temperature": 0.07, "hidden_dim": 128}
    torch.save({"epoch": 439, "state_dict": state, "optimizer_states": [{}], "hyper_parameters": hyper}, path)
    return network


def stage_2(path: Path, *, shared: bool = True) -> tuple[nn.Module, nn.Linear]:
    network, head = convnet(1, layers=6), nn.Linear(HIDDEN, DIMENSION)
    bodies = network if shared else convnet(2, layers=6)
    state = {f"backbone_face.convnet.{name}": tensor for name, tensor in network.state_dict().items()}
    state |= {f"backbone_body.convnet.{name}": tensor for name, tensor in bodies.state_dict().items()}
    state |= {f"id_net.1.{name}": tensor.detach() for name, tensor in head.state_dict().items()}
    torch.save({"epoch": 18, "state_dict": state, "hyper_parameters": {"pml_setup_v": 9}}, path)
    return network, head


def identity_network() -> InstanceNetwork:
    network: InstanceNetwork = call_builder(find_architecture("instance"), {**SMALL, "dimension": DIMENSION})
    return network.eval()


def test_the_first_stage_begins_a_run(tmp_path: Path) -> None:
    theirs = stage_1(tmp_path / "ssl.ckpt")
    encoder = Encoder(build_backbone("timm:resnet18", {"layers": LAYERS}), WIDTH, HIDDEN, 8).eval()
    assert load_backbone(encoder, tmp_path / "ssl.ckpt") == "backbone, projector"
    pictures = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(encoder(pictures), theirs(pictures), rtol=1e-4, atol=1e-5)
    other = Encoder(encoder.backbone, WIDTH, 16, 8)
    assert load_backbone(other, tmp_path / "ssl.ckpt") == "backbone, no projector (of another shape)"
    with pytest.raises(InputError) as wrong:
        load_backbone(Encoder(build_backbone("timm:resnet18", {}), WIDTH, HIDDEN, 8), tmp_path / "ssl.ckpt")
    assert "model.backbone" in wrong.value.hint


def test_the_second_stage_gives_its_own_vectors(tmp_path: Path) -> None:
    """Against its forward pass as published: unit features, padding of zeros, a sum, a linear layer, length 1."""
    theirs, head = stage_2(tmp_path / "reid.ckpt")
    network = identity_network()
    assert load_identity(network, tmp_path / "reid.ckpt") == "backbone, projector, head"
    faces, bodies = torch.randn(3, 3, 32, 32), torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        sides = [functional.normalize(theirs(pictures)) for pictures in (faces, bodies)]
        sides[1][0] = 0.0  # the first has no body
        wanted = functional.normalize(head(sides[0] + sides[1]))
        halves = torch.stack([network.features(faces), network.features(bodies)], dim=1)
        there = torch.tensor([[True, False], [True, True], [True, True]])
        torch.testing.assert_close(network.fuse(halves, there), wanted, rtol=1e-4, atol=1e-5)


def test_the_first_stage_begins_the_second(tmp_path: Path) -> None:
    theirs = stage_1(tmp_path / "ssl.ckpt")
    network = identity_network()
    assert load_identity(network, tmp_path / "ssl.ckpt") == "backbone, projector"
    pictures = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        wanted = functional.normalize(theirs.fc[:6](nn.Sequential(*list(theirs.children())[:-1])(pictures).flatten(1)))
        torch.testing.assert_close(network.features(pictures), wanted, rtol=1e-4, atol=1e-5)


def test_what_is_no_such_checkpoint_is_refused(tmp_path: Path) -> None:
    stage_2(tmp_path / "two.ckpt", shared=False)
    with pytest.raises(InputError, match="one backbone"):
        load_identity(identity_network(), tmp_path / "two.ckpt")
    state = {"model.convnet.conv1.weight": torch.zeros(64, 3, 7, 7)}
    torch.save({"state_dict": state, "callbacks": Path("anything")}, tmp_path / "hostile.ckpt")  # a Python object
    with pytest.raises(InputError):
        load_identity(identity_network(), tmp_path / "hostile.ckpt")
    theirs = stage_1(tmp_path / "nan.ckpt").state_dict()
    theirs["conv1.weight"][0] = torch.nan
    torch.save({"state_dict": {f"model.convnet.{n}": t for n, t in theirs.items()}}, tmp_path / "nan.ckpt")
    with pytest.raises(InputError, match="not finite"):
        load_identity(identity_network(), tmp_path / "nan.ckpt")


def test_the_published_shape_is_the_published_one() -> None:
    """32 M frozen parameters and a head of 524,544, counted in the published network."""
    with torch.device("meta"):
        network = call_builder(find_architecture("instance"), original.ORIGINAL)
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert count["backbone"] + count["neck"] == 31_906_880
    assert count["head"] == 524_544
    assert reid_train.original_input().size == (128, 128)
