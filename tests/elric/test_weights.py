"""Checkpoints in the original layout: they load by name, and nothing that is pickled in them runs."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from comictool.core.errors import InputError
from comictool.elric.task import ElricTask
from comictool.elric.weights import load_original
from comictool.plugins.completing import complete_plugin
from comictool.plugins.convert import convert_checkpoint
from comictool.plugins.dino_vit import DinoViT, ViTShape
from comictool.plugins.export import export_plugin
from comictool.plugins.load import load_plugin
from comictool.plugins.manifest import VECTOR, Inputs, InputSpec, Manifest, OutputSpec
from tests.elric.test_model import make_config, make_task
from tests.plugins.makers import pictures

SHAPE = ViTShape(64, 1, 1, 8, 16)


def original(seed: int = 0, *, width: int = 64) -> dict[str, Any]:
    """What ELRIC's trainer saves: wrapped student, plain teacher, a projection that was never trained, the centre."""
    torch.manual_seed(seed)
    parts: dict[str, Any] = {}
    for name, wrapper in (("student", "module."), ("teacher", "")):
        backbone = DinoViT(ViTShape(width, 1, max(1, width // 64), 8, 16))
        last = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(8, 16, bias=False))
        head = {
            **{f"mlp.{i}.weight": torch.randn(*size) for i, size in ((0, (20, width)), (2, (20, 20)), (4, (8, 20)))},
            **{f"mlp.{i}.bias": torch.randn(size) for i, size in ((0, 20), (2, 20), (4, 8))},
            "last_layer.weight_g": torch.ones(16, 1),
            "last_layer.weight_v": last.parametrizations.weight.original1.detach(),
            "context_projection.weight": torch.randn(768, width),
        }
        parts[name] = {f"{wrapper}backbone.{key}": value for key, value in backbone.state_dict().items()}
        parts[name] |= {f"{wrapper}head.{key}": value for key, value in head.items()}
    moments = {0: {"exp_avg": torch.zeros(3), "step": 7}}
    return {
        **parts,
        "optimizer": {"state": moments, "param_groups": [{"lr": 0.1}]},
        "epoch": 3,
        "dino_loss": {"center": torch.randn(1, 16)},
    }


def task() -> ElricTask:
    return make_task(make_config(width=64, heads=1))


class Hostile:
    """Runs a command when it is unpickled freely."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.proof}",)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("blocks.99999999.norm1.weight", torch.zeros(1)),  # so many blocks would be built
        ("pos_embed", torch.zeros(1, 0, 64)),
        ("pos_embed", torch.zeros(1).expand(1, (1 << 40) + 1, 64)),  # terabytes from four bytes
        ("patch_embed.proj.weight", torch.zeros(64, 3, 8, 0)),
        ("cls_token", torch.zeros(1).expand(1, 1, 1 << 24)),
        ("cls_token", torch.full((1, 1, 64), torch.nan)),
    ],
)
def test_damaged_weights_are_refused_before_they_take_memory(tmp_path: Path, name: str, tensor: torch.Tensor) -> None:
    torch.save(DinoViT(SHAPE).state_dict() | {name: tensor}, tmp_path / "dino.pth")
    with pytest.raises(InputError):
        load_original(task(), tmp_path / "dino.pth")
    with pytest.raises(InputError):
        complete_plugin(tmp_path / "dino.pth", "dino_vits16", tmp_path / "made")


def test_a_backbone_alone_loads(tmp_path: Path) -> None:
    torch.save(DinoViT(SHAPE).state_dict(), tmp_path / "dino.pth")
    assert load_original(task(), tmp_path / "dino.pth") == "backbones"
    torch.save({"something": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="do not fit"):
        load_original(task(), tmp_path / "other.pth")


def test_the_pickled_options_are_named_and_stripped_by_a_command(tmp_path: Path) -> None:
    torch.save({**original(), "args": argparse.Namespace(arch="vit_small")}, tmp_path / "checkpoint.pth")
    with pytest.raises(InputError, match=r"argparse\.Namespace") as caught:
        load_original(task(), tmp_path / "checkpoint.pth")
    assert "comictool plugins convert" in caught.value.hint
    done = convert_checkpoint(tmp_path / "checkpoint.pth")
    assert done.left_behind == ("argparse.Namespace",)
    begun = task()
    assert load_original(begun, done.output) == "backbones, heads, centre"
    assert torch.equal(begun.teacher.head.last_layer.weight_v, original()["teacher"]["head.last_layer.weight_v"])


def test_a_hostile_checkpoint_does_not_run(tmp_path: Path) -> None:
    proof = tmp_path / "it-ran"
    torch.save({**original(), "args": Hostile(proof)}, tmp_path / "checkpoint.pth")
    with pytest.raises(InputError, match="system"):
        load_original(task(), tmp_path / "checkpoint.pth")
    done = convert_checkpoint(tmp_path / "checkpoint.pth")
    assert load_original(task(), done.output) == "backbones, heads, centre"
    assert not proof.exists()
    torch.load(tmp_path / "checkpoint.pth", weights_only=False)  # the file is what it claims to be
    assert proof.exists()


def test_a_run_begins_from_a_checkpoint(tmp_path: Path) -> None:
    content = original(5)
    torch.save(content, tmp_path / "checkpoint.pth")
    begun = task()
    taken = load_original(begun, tmp_path / "checkpoint.pth")
    assert taken == "backbones, heads, centre"
    assert torch.equal(begun.teacher.backbone.cls_token, content["teacher"]["backbone.cls_token"])
    assert torch.equal(begun.student.head.last_layer.weight_v, content["student"]["module.head.last_layer.weight_v"])
    assert torch.equal(begun.loss.center, content["dino_loss"]["center"])


def test_a_backbone_of_another_size_is_refused_with_both_shapes(tmp_path: Path) -> None:
    torch.save(original(), tmp_path / "checkpoint.pth")
    with pytest.raises(InputError) as caught:
        load_original(make_task(make_config(width=12)), tmp_path / "checkpoint.pth")
    assert "[1, 1, 64] for [1, 1, 12]" in caught.value.cause


def test_plugins_convert_makes_a_plugin_of_the_teacher(tmp_path: Path) -> None:
    torch.save({**original(), "args": argparse.Namespace()}, tmp_path / "checkpoint.pth")
    manifest = Manifest(
        id="small",
        version="1",
        title="small",
        kind="encoder",
        licence="MIT",
        architecture="dino_vit",
        arguments={"width": 64, "depth": 1, "heads": 1, "patch_size": 8, "image_size": 16},
        input=Inputs(InputSpec(size=(16, 16))),
        output={VECTOR: OutputSpec(64, normalised=False)},
    )
    export_plugin(tmp_path / "like", manifest, DinoViT(SHAPE).state_dict())
    complete_plugin(tmp_path / "checkpoint.pth", str(tmp_path / "like"), tmp_path / "made", key="teacher")
    assert load_plugin(str(tmp_path / "made"), device="cpu").dimension == 64
    complete_plugin(tmp_path / "checkpoint.pth", str(tmp_path / "like"), tmp_path / "both")
    vectors = [load_plugin(str(tmp_path / name), device="cpu").embed(pictures()) for name in ("made", "both")]
    assert np.array_equal(*vectors)  # the teacher is what DINO evaluates


def test_a_head_with_batch_norm_loads_and_is_that_of_dino(tmp_path: Path) -> None:
    """F10: DINO's `--use_bn_in_head true`, written out here as its `DINOHead` is."""
    torch.manual_seed(4)
    checkpoint = original()
    mlp = torch.nn.Sequential(
        *(torch.nn.Linear(64, 20), torch.nn.BatchNorm1d(20), torch.nn.GELU()),
        *(torch.nn.Linear(20, 20), torch.nn.BatchNorm1d(20), torch.nn.GELU()),
        torch.nn.Linear(20, 8),
    )
    mlp(torch.randn(50, 64))  # the statistics have run
    for name, wrapper in (("student", "module."), ("teacher", "")):
        kept = {key: value for key, value in checkpoint[name].items() if "head.mlp" not in key}
        checkpoint[name] = kept | {f"{wrapper}head.mlp.{key}": value for key, value in mlp.state_dict().items()}
    torch.save(checkpoint, tmp_path / "bn.pth")
    plain = load_original(task(), tmp_path / "bn.pth")
    assert plain == "backbones, no heads (of another shape; model.batch_norm=true)"
    config = make_config(width=64, heads=1)
    made = make_task(replace(config, model=replace(config.model, batch_norm=True)))
    assert load_original(made, tmp_path / "bn.pth") == "backbones, heads, centre"
    rows = torch.randn(7, 64)
    directions = torch.nn.functional.normalize(checkpoint["teacher"]["head.last_layer.weight_v"])
    with torch.no_grad():
        expected = torch.nn.functional.normalize(mlp.eval()(rows)) @ directions.T
        assert torch.allclose(made.teacher.head.eval()(rows), expected, atol=1e-6)
