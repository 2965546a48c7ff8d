"""Devices and precisions: each choice with its reason, each impossible one a sentence with the right exit code."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest
import torch

from comictool.core import device as module
from comictool.core.device import (
    DeviceChoice,
    choose_device,
    choose_precision,
    import_timm,
    import_torch,
    import_torchvision,
)
from comictool.core.errors import ExitCode, SetupError, UsageError


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"card {index}")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda name: (7, 5))


def test_cpu_by_either_spelling_needs_no_torch() -> None:
    code = (
        "import sys; from comictool.core.device import choose_device;"
        "print(*[choose_device(*a).name for a in (('cpu',), ('auto', -1), ('cpu', -3))], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cpu cpu cpu False\n"


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu() -> None:
    assert choose_device("auto") == DeviceChoice("cpu", "no GPU that torch can use")
    for arguments in (("cuda",), ("cuda:1",), ("auto", 0), ("mps",)):
        with pytest.raises(SetupError) as refusal:
            choose_device(*arguments)
        assert refusal.value.exit_code == ExitCode.ENVIRONMENT
        assert refusal.value.cause
        assert "cpu" in refusal.value.hint


@pytest.mark.usefixtures("two_gpus")
def test_with_gpus() -> None:
    assert choose_device("auto").name == "cuda:0"
    assert "card 0" in choose_device("auto").reason
    assert choose_device("cuda").name == "cuda:0"
    assert choose_device("CUDA:01").name == "cuda:1"
    assert choose_device("auto", 1).name == "cuda:1"
    assert choose_device("cuda", 1).name == "cuda:1"
    assert choose_device("cuda:1", 1).name == "cuda:1"
    with pytest.raises(SetupError, match="there is no cuda:2"):
        choose_device("cuda:2")


def test_apples_gpu(monkeypatch: pytest.MonkeyPatch, no_gpu: None) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").name == "mps"
    assert choose_device("mps").kind == "mps"


@pytest.mark.parametrize(("device", "gpu"), [("cpu", 0), ("cuda", -1), ("cuda:0", 1), ("mps", 0), ("mps", -1)])
def test_two_spellings_that_disagree(device: str, gpu: int) -> None:
    with pytest.raises(UsageError, match="ask for different devices"):
        choose_device(device, gpu)


@pytest.mark.parametrize(
    ("device", "hint"),
    [
        ("gpu", "one of"),
        ("gpu0", "write it as cuda:0"),
        ("1", "write it as cuda:1"),
        ("cuda-1", "write it as cuda:1"),
        ("cuda:x", "one of"),
        ("", "one of"),
        ("cuda:9999", "one of"),
    ],
)
def test_what_is_no_device(device: str, hint: str) -> None:
    with pytest.raises(UsageError) as refusal:
        choose_device(device)
    assert hint in refusal.value.hint


CPU, CUDA = DeviceChoice("cpu", ""), DeviceChoice("cuda:0", "")


def test_automatic_precision_follows_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    for amx, avx, expected in ((True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda avx=avx: avx, raising=False)
        assert choose_precision("auto", CPU).name == expected
        assert choose_precision("auto", CPU).reason
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda name: (8, 0))
    assert choose_precision("auto", CUDA).name == "bf16"
    assert choose_precision("auto", DeviceChoice("mps", "")).name == "fp32"


@pytest.mark.usefixtures("two_gpus")
def test_precisions_that_a_device_cannot_do() -> None:
    assert choose_precision("auto", CUDA).name == "fp32"
    assert choose_precision("float16", CUDA).name == "fp16"
    with pytest.raises(SetupError, match="no bf16"):
        choose_precision("bf16", CUDA)
    with pytest.raises(SetupError, match="not for CPUs"):
        choose_precision("fp16", CPU)
    with pytest.raises(UsageError) as refusal:
        choose_precision("bf-16", CPU)
    assert refusal.value.near[0] == "bf16"


def test_what_is_installed_loads() -> None:
    assert import_torch() is torch
    assert import_torchvision().__name__ == "torchvision"
    assert import_timm().__name__ == "timm"


@pytest.mark.parametrize(
    ("raised", "fact", "hint"),
    [
        (
            RuntimeError("operator torchvision::nms does not exist"),
            "does not fit",
            "--force-reinstall torch torchvision",
        ),
        (OSError("libcudart.so.13: cannot open shared object file"), "does not fit", "torch torchvision"),
        (ImportError("cannot import name 'x'"), "does not load", "pip install"),
    ],
)
def test_a_torchvision_for_another_torch_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, fact: str, hint: str
) -> None:
    real = importlib.import_module

    def fail(name: str, *rest: Any) -> Any:
        if name == "torchvision":
            raise raised
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", fail)
    for load in (import_torchvision, import_timm):
        with pytest.raises(SetupError) as refusal:
            load()
        assert fact in refusal.value.fact
        assert hint in refusal.value.hint
        assert str(raised) in refusal.value.cause


def test_what_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError) as refusal:
        import_torch()
    assert refusal.value.hint.startswith("pip install torch")
    assert module.PRECISIONS[0] == "auto"
