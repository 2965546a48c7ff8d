"""Loading encoders: timm by name, declarative directories, refusals, and what every encoder promises."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from comictool.core.errors import InputError, SetupError, UsageError
from comictool.plugins.encoder import Encoder, embed_views, unit_rows
from comictool.plugins.export import export_plugin
from comictool.plugins.load import EncoderSpec, load_encoder, load_plugin
from comictool.plugins.manifest import VECTOR, Inputs, OutputSpec, WeightsSpec, write_manifest
from comictool.plugins.preparation import prepare_batch
from tests.plugins.makers import TINY_DIMENSION, manifest, pictures, tiny_state

RANDOM = "timm:test_resnet?random"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.pt"
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in tiny_state().items()}}, file)
    return file


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext", "test_mambaout"])
@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
def test_any_timm_architecture_embeds_pictures_of_any_size(name: str, resize: str) -> None:
    encoder = load_plugin(f"timm:{name}?random&resize={resize}", device="cpu")
    vectors = encoder.embed(pictures(3))
    assert isinstance(encoder, Encoder)
    assert encoder.needs_torch
    assert vectors.shape == (3, encoder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert encoder.embed([]).shape == (0, encoder.dimension)
    assert encoder.manifest.vector is not None
    assert encoder.manifest.vector.dimension == encoder.dimension


def test_vectors_equal_a_plain_use_of_timm(weights: Path) -> None:
    encoder = load_plugin("timm:test_resnet", weights=weights, device="cpu", precision="fp32")
    model = timm.create_model("test_resnet", num_classes=0).eval()
    model.load_state_dict(tiny_state())
    config = timm.data.resolve_model_data_config(model)
    spec = encoder.manifest.image
    assert spec is not None
    assert (3, *spec.size) == config["input_size"]
    assert (spec.mean, spec.std) == (config["mean"], config["std"])
    with torch.no_grad():
        expected = torch.nn.functional.normalize(model(prepare_batch(pictures(3), spec)), dim=1).numpy()
    np.testing.assert_allclose(encoder.embed(pictures(3)), expected, atol=1e-5)
    assert "state_dict" in encoder.device_note
    assert "module." in encoder.device_note
    sha = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert encoder.encoder_id == f"timm-test_resnet@0+{sha[:16]}+{spec.digest()[:12]}"


def test_bf16_is_near_fp32_and_is_not_part_of_its_id() -> None:
    exact = load_plugin(RANDOM, device="cpu", precision="fp32")
    fast = load_plugin(RANDOM, device="cpu", precision="bf16")
    assert (exact.embed(pictures(4)) * fast.embed(pictures(4))).sum(1).min() > 0.999
    assert exact.encoder_id == fast.encoder_id
    assert "bf16" in fast.device_note


def test_untrained_weights_are_the_same_every_time_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = load_plugin(RANDOM, device="cpu")
    assert torch.equal(torch.rand(3), expected)
    second = load_plugin("timm:test_resnet", device="cpu", random_weights=True)
    assert first.encoder_id == second.encoder_id
    assert np.array_equal(first.embed(pictures()), second.embed(pictures()))
    assert "untrained" in first.device_note


def test_no_weights_is_refused_with_both_ways_out() -> None:
    with pytest.raises(UsageError) as refusal:
        load_plugin("timm:test_resnet")
    assert "--weights FILE" in refusal.value.hint
    assert "--download" in refusal.value.hint
    assert "timm:test_resnet?random" in refusal.value.hint


def test_a_failed_download_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **options: Any) -> None:
        assert options["pretrained"] is True
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(SetupError) as refusal:
        load_plugin("timm:test_resnet", allow_download=True)
    assert refusal.value.cause == "no route to host"
    assert "--weights" in refusal.value.hint


@pytest.mark.parametrize(
    ("name", "options", "error", "text"),
    [
        ("timm:test_resnt?random", {}, InputError, "no architecture called"),
        ("timm:classic", {}, UsageError, "is our own architecture"),
        ("timm:test_resnet?randm", {}, UsageError, "unknown option"),
        ("timm:hf-hub:owner/model", {}, UsageError, "names a source"),
        ("timm:test_resnet?random", {"weights": Path("x.pt")}, UsageError, "contradict"),
        ("classic", {"weights": Path("x.pt")}, UsageError, "has no weights"),
        ("classic", {"random_weights": True}, UsageError, "has no weights"),
        ("timm:test_resnet", {"weights": Path("absent.pt")}, InputError, "does not exist"),
        ("timm:test_resnet?random", {"device": "cuda:99"}, SetupError, "cuda:99"),
        ("timm:test_resnet?random", {"precision": "fp8"}, UsageError, "not a precision"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        load_plugin(name, **options)


def test_a_near_timm_name_is_offered() -> None:
    with pytest.raises(InputError) as refusal:
        load_plugin("timm:test_resnt?random")
    assert "timm:test_resnet" in refusal.value.near


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    export_plugin(tmp_path / "tiny", manifest(), tiny_state())
    return tmp_path / "tiny"


def test_a_declarative_directory_loads_and_keeps_its_threshold(plugin: Path, weights: Path) -> None:
    encoder = load_plugin(str(plugin), device="cpu", precision="fp32")
    assert encoder.dimension == TINY_DIMENSION
    assert encoder.manifest.threshold == manifest().threshold
    assert encoder.encoder_id.startswith("tiny@1.0+")
    other = load_plugin(str(plugin), weights=weights, device="cpu", precision="fp32")
    assert other.manifest.threshold == {}, "fitted to other weights"
    assert other.encoder_id != encoder.encoder_id
    assert np.array_equal(other.embed(pictures()), encoder.embed(pictures()))


def test_changed_weights_are_noticed(plugin: Path) -> None:
    export_plugin(plugin.parent / "other", manifest(), tiny_state(2))
    (plugin.parent / "other" / "model.safetensors").replace(plugin / "model.safetensors")
    with pytest.raises(InputError, match="is not the file that"):
        load_plugin(str(plugin))


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        (
            {"kind": "detector", "output": {"boxes": OutputSpec(form="boxes")}},
            UsageError,
            "is a detector, not an encoder",
        ),
        ({"minimum_tool": "99"}, SetupError, "needs comictool 99"),
        ({"output": {VECTOR: OutputSpec(95)}}, InputError, "96 numbers, its manifest says 95"),
        ({"input": Inputs()}, InputError, r"\[input.image\] is missing"),
        ({"architecture": "timm:test_vit"}, InputError, "do not fit the architecture"),
        ({"architecture": "resnet18-linear"}, UsageError, "there is no architecture"),
        ({"architecture": "nothing"}, InputError, "there is no architecture"),
        ({"architecture": "timm:nothing"}, InputError, "no architecture called"),
        ({"arguments": {"pretrained": True}}, InputError, "pretrained is not for manifests"),
        ({"arguments": {"checkpoint_path": "/etc/passwd"}}, InputError, "checkpoint_path is not for manifests"),
        ({"arguments": {"no_such": 1}}, InputError, "does not take these arguments"),
        ({"arguments": {"global_pool": ""}}, InputError, "not one vector"),
    ],
)
def test_a_manifest_that_lies_is_caught(
    plugin: Path, changes: dict[str, Any], error: type[Exception], text: str
) -> None:
    weights = WeightsSpec("model.safetensors", hashlib.sha256((plugin / "model.safetensors").read_bytes()).hexdigest())
    write_manifest(plugin, manifest(weights=weights, **changes))
    with pytest.raises(error, match=text):
        load_plugin(str(plugin), device="cpu")


def test_a_directory_without_weights_says_how_to_give_them(tmp_path: Path, weights: Path) -> None:
    write_manifest(tmp_path, manifest())
    with pytest.raises(InputError) as refusal:
        load_plugin(str(tmp_path))
    assert "--weights" in refusal.value.hint
    assert load_plugin(str(tmp_path), weights=weights, device="cpu").dimension == TINY_DIMENSION


def test_resnet18_linear_loads_a_checkpoint_of_two_parts(tmp_path: Path) -> None:
    from comictool.plugins.architectures import find_architecture

    torch.manual_seed(0)
    state = find_architecture("resnet18_linear").build(dimension=20).state_dict()
    parts: dict[str, Any] = {"trunk": {}, "embedder": {}, "args": [20]}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    assert set(parts["embedder"]) == {"1.weight", "1.bias"}
    torch.save(parts, tmp_path / "old.mdl", _use_new_zipfile_serialization=False)
    output = {VECTOR: OutputSpec(20)}
    made = manifest(architecture="resnet18_linear", arguments={"dimension": 20}, output=output)
    write_manifest(tmp_path, made)
    encoder = load_plugin(str(tmp_path), weights=tmp_path / "old.mdl", device="cpu", precision="fp32")
    assert encoder.embed(pictures()).shape == (3, 20)


class NoBf16(torch.nn.Module):
    """Like architectures that use Fourier transforms, which exist for fp32 only."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0 + 2**-12]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfft(images.mean((2, 3))).abs() * self.weight


def test_a_model_that_cannot_do_bf16_falls_back_openly_and_exactly() -> None:
    from comictool.core.device import DeviceChoice, PrecisionChoice
    from comictool.plugins.torch_encoder import TorchEncoder

    cpu, made = DeviceChoice("cpu", "test"), manifest(output={})
    model = NoBf16()
    encoder = TorchEncoder(
        model, made, weights_hash="0", device=cpu, precision=PrecisionChoice("bf16", "AMX", automatic=True)
    )
    assert "fp32 (this model cannot compute in bf16)" in encoder.device_note
    assert model.weight.item() == 1.0 + 2**-12, "not rounded to bf16 on the way"
    with pytest.raises(InputError, match="fails on a plain picture"):
        TorchEncoder(NoBf16(), made, weights_hash="0", device=cpu, precision=PrecisionChoice("bf16", "asked for"))


def test_too_little_memory_is_a_sentence_with_half_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_plugin(RANDOM, device="cpu")

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "__call__", full)
    with pytest.raises(SetupError) as refusal:
        encoder.embed(pictures(6))
    assert refusal.value.hint.startswith("--batch-size 3")


def test_numbers_that_are_not_finite_are_an_error_and_silence_a_vector() -> None:
    with pytest.raises(InputError, match="not finite"):
        unit_rows(np.array([[1.0, np.nan]]), "x")
    assert unit_rows(np.array([[0.0, 0.0], [3.0, 4.0]]), "x").tolist() == [
        [1.0, 0.0],
        [0.6000000238418579, 0.800000011920929],
    ]
    assert unit_rows(np.array([[1e30, 0.0]], dtype=np.float32), "x").tolist() == [[1.0, 0.0]]


def test_a_light_encoder_travels_to_other_processes_without_torch() -> None:
    spec = pickle.loads(pickle.dumps(EncoderSpec("classic")))
    encoder = pickle.loads(pickle.dumps(load_encoder(spec)))
    assert not encoder.needs_torch
    assert np.array_equal(encoder.embed(pictures()), load_encoder(spec).embed(pictures()))
    code = "import sys; from comictool.plugins.load import load_plugin; load_plugin('classic', device='cuda');"
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_remembered_spec_finds_the_encoder_from_anywhere(
    plugin: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plugin.parent)
    for spec in (
        EncoderSpec("./tiny", device="cpu"),
        EncoderSpec("tiny", plugin_dirs=(Path("."),), device="cpu"),
        EncoderSpec("timm:test_resnet", weights=Path(weights.name), device="cpu"),
        EncoderSpec("timm:test_resnet", random_weights=True, device="cpu"),
    ):
        expected = spec.load().encoder_id
        values = json.loads(json.dumps(spec.remembered()))
        with monkeypatch.context() as elsewhere:
            elsewhere.chdir("/")
            found = EncoderSpec.recalled(values, given=EncoderSpec("", device="cpu"))
            assert found.load().encoder_id == expected


def test_a_remembered_spec_brings_no_rights() -> None:
    values = EncoderSpec("x", trust=True, allow_download=True, device="cuda").remembered()
    found = EncoderSpec.recalled({**values, "trust": True, "allow_download": True, "plugin_dirs": ["/no/such"]})
    assert (found.trust, found.allow_download, found.device, found.plugin_dirs) == (False, False, "auto", ())
    assert EncoderSpec.recalled(values, given=EncoderSpec("", trust=True)).trust
    for wrong in ({}, {"plugin": 3}, {"plugin": "x", "plugin_dirs": "y"}, {"plugin": "x", "weights": 1}):
        with pytest.raises(InputError, match="does not name a plugin"):
            EncoderSpec.recalled(wrong)


@pytest.mark.parametrize("name", ["classic", RANDOM])
def test_cut_outs_are_near_to_embedding_each(name: str) -> None:
    encoder = load_plugin(name, device="cpu")
    image = np.kron(pictures(1)[0], np.ones((6, 6, 1), np.uint8))
    boxes = [(0.0, 0.0, 1.0, 1.0), (0.25, 0.5, 0.75, 1.0), (0.999, 0.999, 1.0, 1.0)]
    views = embed_views(encoder, image, boxes)
    height, width = image.shape[:2]
    cuts = [image, image[height // 2 :, width // 4 : width * 3 // 4]]
    assert views.shape == (3, encoder.dimension)
    assert (views[:2] * encoder.embed(cuts)).sum(1).min() > 0.98
    assert embed_views(encoder, image, []).shape == (0, encoder.dimension)
