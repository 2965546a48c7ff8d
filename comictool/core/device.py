"""Choosing where and how exactly to compute, each choice with its reason; torch is imported only when it must be.

torch, torchvision and timm are imported through here, so that a broken or missing one becomes a sentence.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from comictool.core.errors import SetupError, UsageError, near_matches

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda", "cuda:0", "mps")


@dataclass(frozen=True)
class DeviceChoice:
    """A device in torch's spelling (cpu, cuda:N, mps), and why it was chosen."""

    name: str
    reason: str

    @property
    def kind(self) -> str:
        """cpu, cuda or mps."""
        return self.name.split(":")[0]


@dataclass(frozen=True)
class PrecisionChoice:
    """fp32, bf16 or fp16, and why it was chosen; `automatic` ones may be given up for fp32 by a model that fails."""

    name: str
    reason: str
    automatic: bool = False


def choose_device(device: str = "auto", gpu: int | None = None) -> DeviceChoice:
    """Turn `--device` and `--gpu` into one device.

    Args:
        device: auto | cpu | cuda | cuda:N | mps. `auto` takes the first CUDA GPU, then Apple's, then the CPU.
        gpu: the other spelling: N is cuda:N, a negative number is the CPU.

    Raises:
        UsageError: not a device, or the two disagree.
        SetupError: a device that this machine or this torch does not have; torch itself missing or broken.
    """
    wanted = spelling(device)
    if gpu is not None:
        from_gpu = "cpu" if gpu < 0 else f"cuda:{gpu}"
        agree = wanted in ("auto", from_gpu) or (wanted == "cuda" and gpu >= 0)
        if not agree:
            raise UsageError(
                f"--device {device} and --gpu {gpu} ask for different devices ({wanted} and {from_gpu})",
                hint="give one of the two; a negative --gpu means the CPU",
            )
        wanted = from_gpu
    if wanted == "cpu":
        return DeviceChoice("cpu", "a negative --gpu means the CPU" if gpu is not None else "asked for")
    if wanted == "auto":
        return _best_device()
    return _mps("asked for") if wanted == "mps" else _cuda(wanted)


def spelling(device: str) -> str:
    """A device as torch writes it, without asking whether it is there: auto, cpu, cuda, cuda:N or mps.

    Raises:
        UsageError: nothing like a device.
    """
    name = device.strip().lower()
    if name in ("auto", "cpu", "cuda", "mps") or re.fullmatch(r"cuda:[0-9]{1,3}", name):
        return name if not name.startswith("cuda:") else f"cuda:{int(name[5:])}"
    number = re.fullmatch(r"(?:gpu|cuda)?[-: ]?([0-9]{1,3})", name)
    hint = f"write it as cuda:{int(number[1])}" if number else "one of auto, cpu, cuda, cuda:N, mps"
    raise UsageError(f"{device!r} is not a device", hint=hint, near=near_matches(name, DEVICES))


def _best_device() -> DeviceChoice:
    torch = import_torch()
    if torch.cuda.is_available() and torch.cuda.device_count() > 0:
        return DeviceChoice("cuda:0", f"the first CUDA GPU, {torch.cuda.get_device_name(0)}")
    if torch.backends.mps.is_available():
        return DeviceChoice("mps", "Apple's GPU")
    return DeviceChoice("cpu", "no GPU that torch can use")


def _cuda(wanted: str) -> DeviceChoice:
    torch = import_torch()
    index = int(wanted[5:]) if ":" in wanted else 0
    if not torch.cuda.is_available():
        built = torch.version.cuda
        cause = f"torch {torch.__version__} sees no CUDA GPU or driver" if built else "this torch is built without CUDA"
        raise SetupError(f"no CUDA device for {wanted}", cause=cause, hint="use --device cpu, or --gpu -1")
    count = torch.cuda.device_count()
    if index >= count:
        raise SetupError(
            f"there is no {wanted}", cause=f"this machine has {count} CUDA device(s)", hint=f"--device cuda:{count - 1}"
        )
    return DeviceChoice(f"cuda:{index}", f"asked for: {torch.cuda.get_device_name(index)}")


def _mps(reason: str) -> DeviceChoice:
    torch = import_torch()
    if not torch.backends.mps.is_available():
        raise SetupError(
            "no Apple GPU for mps", cause="torch was built without it, or this is another machine", hint="--device cpu"
        )
    return DeviceChoice("mps", reason)


def precision_name(text: str) -> str:
    """A precision by our name for it: `float16` and `half` are `fp16`.

    Raises:
        UsageError: not a precision.
    """
    name = text.strip().lower()
    name = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "half": "fp16"}.get(name, name)
    if name not in PRECISIONS:
        raise UsageError(
            f"{text!r} is not a precision", hint="one of " + ", ".join(PRECISIONS), near=near_matches(name, PRECISIONS)
        )
    return name


def choose_precision(precision: str, device: DeviceChoice) -> PrecisionChoice:
    """Turn `--precision` into one the device can do.

    `auto` is bf16 where it is native (AVX512-BF16 or AMX on a CPU: 2 to 3 times the speed of
    fp32 with cosine > .999 to it; CUDA from Ampere on), else fp32.

    Raises:
        UsageError: not a precision.
        SetupError: fp16 on a CPU, where it is only emulated, or bf16 where the GPU lacks it.
    """
    name = precision_name(precision)
    if name == "fp32":
        return PrecisionChoice("fp32", "asked for")
    native = _native_bf16(device)
    if name == "auto":
        return PrecisionChoice(*(("bf16", native) if native else ("fp32", "no native bf16 here")), automatic=True)
    if name == "fp16" and device.kind == "cpu":
        raise SetupError("fp16 is not for CPUs", cause="they only emulate it", hint="--precision bf16 or fp32")
    if name == "bf16" and not native and device.kind == "cuda":
        raise SetupError(f"{device.name} has no bf16", cause="it is older than Ampere", hint="--precision fp16")
    return PrecisionChoice(name, "asked for")


def _native_bf16(device: DeviceChoice) -> str:
    """Why bf16 is fast on this device; empty when it is not."""
    torch = import_torch()
    if device.kind == "cuda":
        return "native on this GPU" if torch.cuda.get_device_capability(device.name) >= (8, 0) else ""
    if device.kind == "cpu":
        # torch has no public question for this; an older or newer one without these names just means fp32.
        for question, reason in (("_is_amx_tile_supported", "AMX"), ("_is_avx512_bf16_supported", "AVX512-BF16")):
            ask = getattr(torch.cpu, question, None)
            if ask is not None and ask():
                return f"this CPU has {reason}"
    return ""


def import_torch() -> Any:
    """torch, or a sentence about what is wrong with it.

    Raises:
        SetupError: not installed, or it does not load.
    """
    return _imported("torch", "pip install torch torchvision")


def import_torchvision() -> Any:
    """torchvision, or a sentence about what is wrong with it (most often: built for another torch).

    Raises:
        SetupError: not installed, does not load, or does not fit the installed torch.
    """
    import_torch()
    return _imported("torchvision", "pip install torch torchvision")


def import_timm() -> Any:
    """timm, with the same care; it imports torchvision.

    Raises:
        SetupError: not installed, does not load, or torchvision does not fit torch.
    """
    import_torchvision()
    return _imported("timm", "pip install timm")


def _imported(name: str, install: str) -> ModuleType:
    if importlib.util.find_spec(name) is None:
        raise SetupError(f"{name} is not installed", hint=install)
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # A torchvision built for CUDA over a CPU-only torch (pip check is happy with it) fails with this RuntimeError.
        if "torchvision::" in str(error) or ("torchvision" in name and isinstance(error, RuntimeError | OSError)):
            raise SetupError(
                "torchvision does not fit the installed torch",
                cause=f"it was built for another one: {error}",
                hint="install both from the same place: pip install --force-reinstall torch torchvision",
            ) from error
        raise SetupError(f"{name} is installed but does not load", cause=str(error), hint=install) from error
