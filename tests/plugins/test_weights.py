"""Weights: no code in a checkpoint runs, and a state dict fits a model openly or not at all."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from comictool.core.errors import InputError, UsageError
from comictool.plugins.convert import convert_checkpoint
from comictool.plugins.weights import Fit, find_fit, hash_tensors, read_checkpoint, unsafe_globals


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(images)).mean((2, 3))


def fit_into(net: Net, content: Any, source: str, **options: Any) -> Fit:
    """Find what fits, and load it."""
    fit = find_fit(net.state_dict(), content, source, **options)
    net.load_state_dict(fit.tensors, strict=False)
    return fit


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return dict(Net().state_dict())


def prefixed(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


class Payload:
    """Unpickling it makes a folder, which is the proof that code ran."""

    def __init__(self, proof: Path) -> None:
        self.proof = str(proof)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.proof,)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "format before torch 1.6"])
def test_code_in_a_checkpoint_is_refused_and_never_runs(tmp_path: Path, zipped: bool) -> None:
    proof, file = tmp_path / "proof", tmp_path / "model.pt"
    content = {"model": state(), "extra": Payload(proof)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError) as refusal:
        read_checkpoint(file)
    assert "posix.mkdir" in refusal.value.fact
    assert f"comictool plugins convert {file}" in refusal.value.hint
    unsafe_globals(file)
    done = convert_checkpoint(file)
    assert not proof.exists()
    assert done.left_behind == ("posix.mkdir",)
    assert done.output == tmp_path / "model.safetensors"
    kept = load_file(done.output)
    assert {name: tuple(kept[name].shape) for name in kept} == {
        f"model.{name}": tuple(tensor.shape) for name, tensor in state().items()
    }
    assert all(torch.equal(kept[f"model.{name}"], tensor) for name, tensor in state().items())
    torch.load(file, weights_only=False)
    assert proof.exists(), "the payload works, so the absence above proves something"


def test_a_nested_unpickling_is_not_reached(tmp_path: Path) -> None:
    proof, inner, file = tmp_path / "proof", tmp_path / "inner.pt", tmp_path / "outer.pt"
    torch.save(Payload(proof), inner)

    class Nested:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch.storage._load_from_bytes, (inner.read_bytes(),)

    torch.save({"model": state(), "extra": Nested()}, file)
    done = convert_checkpoint(file)
    assert not proof.exists()
    assert "torch.storage._load_from_bytes" in done.left_behind


def test_a_training_checkpoint_with_arguments_converts(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 3, "args": argparse.Namespace(lr=0.1), "teacher": state(1), "student": state(2)}, file)
    with pytest.raises(InputError, match=r"argparse\.Namespace"):
        read_checkpoint(file)
    done = convert_checkpoint(file, tmp_path / "teacher.safetensors", key="teacher")
    assert all(torch.equal(load_file(done.output)[name], tensor) for name, tensor in state(1).items())
    with pytest.raises(UsageError, match="exists already"):
        convert_checkpoint(file, done.output)
    with pytest.raises(InputError) as refusal:
        convert_checkpoint(file, tmp_path / "x.safetensors", key="techer")
    assert refusal.value.near[0] == "teacher"


def test_a_whole_pickled_module_converts(tmp_path: Path) -> None:
    file, net = tmp_path / "whole.pt", Net()
    torch.save(net, file)
    done = convert_checkpoint(file)
    kept = load_file(done.output)
    assert set(kept) == set(net.state_dict())
    assert all(torch.equal(kept[name], tensor) for name, tensor in net.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
def test_torchscript_is_a_program_and_refused(tmp_path: Path) -> None:
    file = tmp_path / "script.pt"
    torch.jit.trace(Net().eval(), torch.zeros(1, 3, 8, 8)).save(file)
    with pytest.raises(InputError, match="TorchScript"):
        convert_checkpoint(file)
    with pytest.raises(InputError, match="TorchScript"):
        read_checkpoint(file)


def test_damaged_files_are_sentences(tmp_path: Path) -> None:
    good = tmp_path / "good.pt"
    torch.save(state(), good)
    for name, data in {
        "empty.pt": b"",
        "text.pt": b"this is no checkpoint at all",
        "cut.pt": good.read_bytes()[:700],
        "garbled.pt": good.read_bytes().replace(b"PK\x01\x02", b"PK\x01\x00"),
        "pickle.pt": b"\x80\x02.",
        "wrong.safetensors": good.read_bytes(),
        "cut.safetensors": b"\xff\x00\x00\x00\x00\x00\x00\x00{",
        "vast.safetensors": b"\xff" * 8 + b"{",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError) as refusal:
            read_checkpoint(tmp_path / name)
        assert name in refusal.value.fact
    with pytest.raises(InputError, match="does not exist"):
        read_checkpoint(tmp_path / "absent.pt")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"\n<!doctype html><html>log in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"this is no checkpoint at all", "pop from empty"),
        (b"k" * 40, "operand 107"),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}.", "149"),
    ],
    ids=["web page", "LFS pointer", "text", "letters", "newer pickle"],
)
def test_nobody_is_told_to_load_with_all_rights(tmp_path: Path, data: bytes, cause: str) -> None:
    """Torch's own words advise `weights_only=False` for every file it cannot read, a downloaded web page too."""
    (tmp_path / "s.html").write_bytes(data)
    with pytest.raises(InputError, match="damaged, or no torch checkpoint") as refusal:
        read_checkpoint(tmp_path / "s.html")
    assert cause in refusal.value.cause
    told = f"{refusal.value} {refusal.value.cause} {refusal.value.hint}".lower()
    assert "weights_only" not in told
    assert "torch.load" not in told


def test_no_damage_makes_reading_raise_anything_else(tmp_path: Path) -> None:
    random.seed(4)
    content = {"a": torch.arange(20.0), "part": {"b": torch.ones(2, 3)}, "epoch": 3}
    torch.save(content, tmp_path / "new.pt")
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file({"a": torch.arange(20.0)}, tmp_path / "c.safetensors")
    for turn in range(150):
        source = tmp_path / ("new.pt", "old.pt", "c.safetensors")[turn % 3]
        data = bytearray(source.read_bytes())
        for _ in range(random.randint(1, 5)):
            data[random.randrange(len(data))] = random.randrange(256)
        if turn % 10 == 0:
            del data[random.randrange(len(data)) :]
        damaged = tmp_path / f"damaged{source.suffix}"
        damaged.write_bytes(bytes(data))
        with contextlib.suppress(InputError):
            read_checkpoint(damaged)
        with contextlib.suppress(InputError):
            convert_checkpoint(damaged, tmp_path / "out.safetensors", force=True)


def test_a_safetensors_file_is_known_by_its_content(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "model.bin")
    assert set(read_checkpoint(tmp_path / "model.bin")) == set(state())


@pytest.mark.parametrize(
    ("content", "prefix"),
    [
        (state(1), ""),
        (prefixed("module.", state(1)), "module."),
        (prefixed("_orig_mod.module.backbone.", state(1)), "_orig_mod.module.backbone."),
        ({"state_dict": prefixed("module.", state(1)), "epoch": 3}, "module."),
        ({"model": state(1), "optimizer": {"state": {0: {"step": torch.zeros(1)}}}}, "model."),
        ({**prefixed("backbone.", state(1)), "head.weight": torch.zeros(2, 4)}, "backbone."),
    ],
    ids=["plain", "data parallel", "compiled", "wrapped", "training", "with a head"],
)
def test_a_state_dict_is_found_behind_usual_wrappers(content: Any, prefix: str) -> None:
    net = Net()
    fit = fit_into(net, content, "file.pt")
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in state(1).items())
    if prefix:
        assert prefix.strip(".").split(".")[-1] in fit.note()
    else:
        assert fit.note() == ""


def test_what_does_not_fit_is_listed() -> None:
    wrong = state()
    del wrong["conv.bias"]
    wrong["conv.weight"] = torch.zeros(4, 3, 5, 5)
    wrong["fc.weight"] = torch.zeros(10, 4)
    with pytest.raises(InputError) as refusal:
        find_fit(Net().state_dict(), prefixed("module.", wrong), "file.pt")
    cause = refusal.value.cause
    assert "1 missing: conv.bias" in cause
    assert "1 unexpected: fc.weight" in cause
    assert "1 of another shape: conv.weight [4, 3, 5, 5] for [4, 3, 3, 3]" in cause
    assert "module." in refusal.value.fact


def test_a_larger_models_weights_are_not_taken_for_a_smaller_ones() -> None:
    with pytest.raises(InputError, match="do not fit"):
        find_fit(Net().state_dict(), {**state(), "conv2.weight": torch.zeros(1)}, "file.pt")


def test_only_the_classifier_that_was_taken_off_may_be_left_over() -> None:
    content = {**state(1), "fc.weight": torch.zeros(10, 4), "fc.bias": torch.zeros(10)}
    fit = find_fit(Net().state_dict(), content, "file.pt", classifiers=("fc",))
    assert fit.note() == "left out fc.weight, fc.bias"


def test_old_checkpoints_without_batch_counters_load() -> None:
    content = {name: tensor for name, tensor in state(1).items() if not name.endswith("num_batches_tracked")}
    net = Net()
    fit_into(net, content, "file.pt")
    assert torch.equal(net.conv.weight, state(1)["conv.weight"])


def test_two_sets_that_fit_are_ambiguous_unless_they_are_equal() -> None:
    content = {"first": state(1), "second": state(2)}
    with pytest.raises(InputError) as refusal:
        find_fit(Net().state_dict(), content, "file.pt")
    assert "first, second" in refusal.value.fact
    assert refusal.value.hint == "choose one: comictool plugins convert file.pt --key second"
    assert find_fit(Net().state_dict(), {"student": state(1), "teacher": state(1)}, "file.pt").key == "student"
    with pytest.raises(InputError, match="holds no tensors"):
        find_fit(Net().state_dict(), {"epoch": 3}, "file.pt")


def test_the_hash_sees_names_types_shapes_and_values() -> None:
    base = {"a": torch.arange(6.0), "b": torch.tensor(True)}
    variants = [
        base,
        {"a": base["a"].view(2, 3), "b": base["b"]},
        {"a": base["a"].half(), "b": base["b"]},
        {"c": base["a"], "b": base["b"]},
        {"a": base["a"], "b": torch.tensor(False)},
    ]
    assert len({hash_tensors(tensors) for tensors in variants}) == len(variants)
    assert hash_tensors(dict(reversed(base.items()))) == hash_tensors(base)
