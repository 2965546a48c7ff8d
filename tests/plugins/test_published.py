"""Checkpoints as they are published: each layout gives the very vectors that the plain weights give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from comictool.core.errors import InputError
from comictool.plugins.completing import complete_plugin
from comictool.plugins.convert import convert_checkpoint
from comictool.plugins.dino_vit import DinoViT, ViTShape, vit_shape
from comictool.plugins.export import export_plugin
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import VECTOR, Inputs, InputSpec, OutputSpec
from comictool.plugins.preparation import prepare_batch
from tests.plugins.makers import manifest, pictures

State = dict[str, torch.Tensor]
SHAPE = ViTShape(64, 4, 1, 8, 16)
RESNET, VIT = "timm:test_resnet", "timm:test_vit"


def seeded(name: str) -> State:
    import timm

    torch.manual_seed(3)
    return dict(timm.create_model(name.removeprefix("timm:"), num_classes=0).state_dict())


def above(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def noise(state: State) -> State:
    return {name: tensor + 1 for name, tensor in state.items()}


def taken_apart(state: State) -> State:
    """`nn.Sequential(*resnet.children())`."""
    import timm

    children = [name for name, _ in timm.create_model("test_resnet", num_classes=0).named_children()]
    return {f"{children.index(name.split('.')[0])}.{name.partition('.')[2]}": t for name, t in state.items()}


def mae(state: State) -> dict[str, Any]:
    """facebookresearch/mae: the decoder's weights and two mask tokens lie beside the encoder's."""
    decoder = {"decoder_embed.weight": torch.ones(8, 64), "decoder_blocks.0.norm1.weight": torch.ones(8)}
    extra = {"mask_token": torch.ones(1, 1, 8), "decoder_pos_embed": torch.ones(1, 5, 8), "decoder_norm.bias": decoder}
    return {"model": {**state, **decoder, **extra, "decoder_pred.weight": torch.ones(3, 8)}}


def moco(state: State) -> dict[str, Any]:
    """facebookresearch/moco: the query encoder under DistributedDataParallel, with its queue."""
    head = {"module.encoder_q.fc.0.weight": torch.ones(9, 96), "module.queue": torch.ones(4, 9)}
    return {"epoch": 200, "arch": "resnet", "state_dict": {**above("module.encoder_q.", state), **head}}


def chunks(state: State) -> State:
    """DINOv2: blocks in chunks of one, counted on."""
    return {n.replace("blocks.", f"blocks.{n.split('.')[1]}.") if n[:6] == "blocks" else n: t for n, t in state.items()}


LAYOUTS: dict[str, tuple[str, Callable[[State], dict[str, Any]]]] = {
    "plain": (RESNET, dict),
    "MoCo": (RESNET, moco),
    "MoCo v3": (RESNET, lambda s: {"state_dict": above("module.base_encoder.", s)}),
    "SimCLR": (RESNET, lambda s: above("backbone.", s) | {"projector.0.weight": torch.ones(3, 3)}),
    "lightly DINO, copies": (RESNET, lambda s: above("student_backbone.", s) | above("teacher_backbone.", s)),
    "lightly, taken apart": (RESNET, lambda s: {"state_dict": above("backbone.", taken_apart(s))}),
    "OpenCLIP": (RESNET, lambda s: above("visual.trunk.", s) | {"logit_scale": torch.ones(())}),
    "compiled": (RESNET, lambda s: {n.replace("layer2.", "layer2._orig_mod."): t for n, t in s.items()}),
    "sharded": (RESNET, lambda s: above("_fsdp_wrapped_module.backbone._checkpoint_wrapped_module.", s)),
    "copies of other parts": (RESNET, lambda s: {"model": s, "model_ema": {n: t.clone() for n, t in s.items()}}),
    "MAE": (VIT, mae),
    "SimMIM": (VIT, lambda s: above("encoder.", s) | {"encoder.mask_token": torch.ones(1, 1, 64), "decoder.0.bias": s}),
    "DINOv2": (VIT, lambda s: s | {"mask_token": torch.ones(1, 64)}),
    "SwAV": (RESNET, lambda s: above("module.", s | {"projection_head.0.weight": torch.ones(3, 3)})),
    "MoCo, both": (RESNET, lambda s: {"state_dict": above("module.encoder_k.", noise(s)) | moco(s)["state_dict"]}),
    "MoCo v3, both": (RESNET, lambda s: above("module.momentum_encoder.", noise(s)) | above("module.base_encoder.", s)),
    "DINO, both": (
        RESNET,
        lambda s: {"student": above("module.backbone.", noise(s)), "teacher": above("backbone.", s)},
    ),
    "lightly DINO": (RESNET, lambda s: above("teacher_backbone.", noise(s)) | above("student_backbone.", s)),
    "lightly BYOL": (RESNET, lambda s: above("backbone_momentum.", noise(s)) | above("backbone.", s)),
    "average": (RESNET, lambda s: {"state_dict": noise(s), "state_dict_ema": s}),
    "I-JEPA, both": (VIT, lambda s: {"encoder": above("module.", noise(s)), "target_encoder": above("module.", s)}),
    "DINOv2, chunks, both": (
        VIT,
        lambda s: above("student.backbone.", chunks(noise(s))) | above("teacher.backbone.", chunks(s)),
    ),
    "I-JEPA": (VIT, lambda s: {"target_encoder": above("module.", s)}),
}


def vectors(spec: EncoderSpec) -> np.ndarray:
    return spec.load().embed(pictures())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_published_layout_gives_the_vectors_of_the_plain_weights(tmp_path: Path, layout: str) -> None:
    """4F.26, the case `checkpoints`: whatever a trainer put around the weights and beside them."""
    name, write = LAYOUTS[layout]
    state = seeded(name)
    save_file(state, tmp_path / "plain.safetensors")
    torch.save(write(dict(state)), tmp_path / "published.pth")
    expected = vectors(EncoderSpec(name, weights=tmp_path / "plain.safetensors", device="cpu"))
    assert np.array_equal(vectors(EncoderSpec(name, weights=tmp_path / "published.pth", device="cpu")), expected)


def test_timms_own_conversion_is_used(tmp_path: Path) -> None:
    """DINOv2 with registers adds a position to its class token and its registers to nothing; timm does not."""
    import timm

    arguments = {"reg_tokens": 2, "no_embed_class": True, "class_token": True, "global_pool": "token"}
    torch.manual_seed(3)
    model = timm.create_model("test_vit", num_classes=0, **arguments)
    state = dict(model.state_dict())
    first = torch.randn(1, 1, 64)
    published = {n: t for n, t in state.items() if n not in ("reg_token", "cls_token", "pos_embed")} | {
        "register_tokens": state["reg_token"],
        "cls_token": state["cls_token"] - first,
        "pos_embed": torch.cat([first, state["pos_embed"]], dim=1),
        "mask_token": torch.ones(1, 64),
    }
    torch.save({"teacher": above("backbone.", published)}, tmp_path / "published.pth")
    description = manifest(
        architecture=VIT, arguments=arguments, output={VECTOR: OutputSpec(64)}, input=Inputs(InputSpec((160, 160)))
    )
    export_plugin(tmp_path / "plain", description, state)
    expected = vectors(EncoderSpec(str(tmp_path / "plain"), device="cpu"))
    spec = EncoderSpec(str(tmp_path / "plain"), weights=tmp_path / "published.pth", device="cpu")
    assert np.abs(vectors(spec) - expected).max() < 1e-5
    assert "converted as its authors' code does" in spec.load().device_note


def test_chunks_of_dinov2_and_sizes_read_off_weights(tmp_path: Path) -> None:
    """`plugins convert --for dino_vits16` takes a transformer of any size, with blocks in chunks of two."""
    torch.manual_seed(1)
    state = DinoViT(SHAPE).state_dict()
    chunked = {
        n.replace("blocks.", f"blocks.{int(n.split('.')[1]) // 2}.") if n[:6] == "blocks" else n: t
        for n, t in state.items()
    }
    heads = {"dino_head.mlp.0.weight": torch.ones(2, 64), "backbone.mask_token": torch.ones(1, 64)}
    torch.save({"teacher": above("backbone.", chunked) | heads}, tmp_path / "teacher_checkpoint.pth")
    complete_plugin(tmp_path / "teacher_checkpoint.pth", "dino_vits16", tmp_path / "made")
    encoder = EncoderSpec(str(tmp_path / "made"), device="cpu", precision="fp32").load()
    assert encoder.dimension == 64
    assert "1 heads assumed" in encoder.manifest.title
    model = DinoViT(SHAPE).eval()
    model.load_state_dict(state)
    assert encoder.manifest.image is not None
    with torch.no_grad():
        expected = model(prepare_batch(pictures(), encoder.manifest.image))
    assert np.allclose(encoder.embed(pictures()), torch.nn.functional.normalize(expected).numpy(), atol=1e-5)
    with pytest.raises(InputError) as refusal:
        EncoderSpec("dino_vits16", weights=tmp_path / "teacher_checkpoint.pth", device="cpu").load()
    assert f"plugins convert {tmp_path / 'teacher_checkpoint.pth'} --for dino_vits16 -o FOLDER" in refusal.value.hint


def test_heads_that_no_tensor_tells_are_asked_for(tmp_path: Path) -> None:
    torch.save(DinoViT(ViTShape(24, 1, 3, 8, 16)).state_dict(), tmp_path / "narrow.pth")
    with pytest.raises(InputError) as refusal:
        complete_plugin(tmp_path / "narrow.pth", "dino_vits16", tmp_path / "made")
    assert "how many heads share a width of 24" in refusal.value.hint
    assert "--heads N" in refusal.value.hint
    done = complete_plugin(tmp_path / "narrow.pth", "dino_vits16", tmp_path / "made", heads=3)  # F9, F10
    assert done.title.endswith("3 heads")
    encoder = EncoderSpec(str(tmp_path / "made"), device="cpu", precision="fp32").load()
    model = DinoViT(ViTShape(24, 1, 3, 8, 16)).eval()
    model.load_state_dict(torch.load(tmp_path / "narrow.pth"))
    assert encoder.manifest.image is not None
    with torch.no_grad():
        expected = model(prepare_batch(pictures(), encoder.manifest.image))
    assert np.allclose(encoder.embed(pictures()), torch.nn.functional.normalize(expected).numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="say how many heads"):
        vit_shape(width=24)


def test_the_key_is_asked_for_only_when_candidates_differ_and_then_works(tmp_path: Path) -> None:
    state = seeded(RESNET)
    both = above("module.first.", noise(state)) | above("module.second.", state)
    torch.save({"state_dict": both}, tmp_path / "moco.pth")
    with pytest.raises(InputError, match="2 different sets") as refusal:
        EncoderSpec(RESNET, weights=tmp_path / "moco.pth", device="cpu").load()
    key = refusal.value.hint.split("--key ")[1]
    assert key == "state_dict.module.second"
    done = convert_checkpoint(tmp_path / "moco.pth", key=key)
    save_file(state, tmp_path / "plain.safetensors")
    expected = vectors(EncoderSpec(RESNET, weights=tmp_path / "plain.safetensors", device="cpu"))
    assert np.array_equal(vectors(EncoderSpec(RESNET, weights=done.output, device="cpu")), expected)
