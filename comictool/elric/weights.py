"""Checkpoints of ELRIC and DINO in their original layout: `student`, `teacher`, `dino_loss`, `epoch`, `args`...

Nothing in them is run. A file that holds the pickled options of a run (`args`, an argparse.Namespace) is refused by the
reader, which names the object and the command that strips it: `comictool plugins convert`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from comictool.core.errors import InputError
from comictool.plugins.dino_vit import DinoViT, ViTShape
from comictool.plugins.weights import Tensors, read_checkpoint, state_dicts

if TYPE_CHECKING:
    from comictool.elric.task import ElricTask

HEAD_WIDTH = 64  # numbers per attention head in every published size
_WRAPPERS = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class Network:
    """One network of a checkpoint, its names without wrappers; `head` is empty in files of a backbone alone."""

    backbone: Tensors = field(repr=False)
    head: Tensors = field(repr=False)

    @property
    def shape(self) -> ViTShape:
        """The transformer's sizes, read off its tensors.

        Raises:
            InputError: this is no vision transformer in DINO's layout.
        """
        try:
            width = self.backbone["cls_token"].shape[-1]
            patch = self.backbone["patch_embed.proj.weight"].shape[-1]
            side = round(max(0, self.backbone["pos_embed"].shape[1] - 1) ** 0.5)
            hidden = self.backbone["blocks.0.mlp.fc1.weight"].shape[0]
        except (KeyError, IndexError) as error:
            raise InputError("these weights are no vision transformer in DINO's layout", cause=f"no {error}") from error
        found = (re.match(r"blocks\.(\d+)\.", name) for name in self.backbone)
        # Counted, not the highest number plus one: a name costs nothing and would be built.
        depth = len({match[1] for match in found if match})
        try:
            return ViTShape(width, depth, max(1, width // HEAD_WIDTH), patch, side * patch, hidden / max(1, width))
        except ValueError as error:
            raise InputError("these weights are no vision transformer", cause=str(error)) from error


@dataclass(frozen=True)
class Original:
    """A checkpoint in the original layout.

    Attributes:
        student, teacher: the networks that it holds; a file of one plain network has it as the teacher.
        center: (1, K) of the loss, if it is there.
    """

    student: Network | None
    teacher: Network | None
    center: torch.Tensor | None


def read_original(path: Path) -> Original:
    """Read a checkpoint of ELRIC or DINO, a backbone alone, or what `plugins convert` made of either.

    Raises:
        InputError: missing or damaged; it holds Python objects (named, with the command that strips them); or there
            is no network in it.
    """
    parts = state_dicts(read_checkpoint(path))
    # A converted file is flat, `teacher.backbone.cls_token`; the parts are then told by their first name.
    every = parts.get("", {})
    student, teacher = _network(_part(every, "student.")), _network(_part(every, "teacher."))
    if student is None and teacher is None:
        teacher = _network(every)
    if student is None and teacher is None:
        raise InputError(f"{path} holds no network in the layout of DINO", hint="its names begin: " + _some(every))
    return Original(student, teacher, every.get("dino_loss.center"))


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _network(tensors: Mapping[str, torch.Tensor]) -> Network | None:
    """Names without wrappers, parted into backbone and head; None when there is no class token."""
    plain = {}
    for name, tensor in tensors.items():
        while wrapper := next((w for w in _WRAPPERS if name.startswith(w)), ""):
            name = name.removeprefix(wrapper)
        plain[name] = tensor
    backbone, head = _part(plain, "backbone."), _part(plain, "head.")
    if not backbone:
        backbone = {name: tensor for name, tensor in plain.items() if not name.startswith("head.")}
    return Network(backbone, head) if "cls_token" in backbone else None


def original_backbone(original: Original, which: str = "teacher") -> DinoViT:
    """The transformer of a checkpoint with its weights; the teacher is what DINO evaluates.

    Raises:
        InputError: no such network, or tensors that do not fit each other.
    """
    network = original.teacher if which == "teacher" else original.student
    if network is None:
        raise InputError(f"the checkpoint holds no {which}")
    shape = network.shape
    with torch.device("meta"):  # sizes that the file does not bear out take no memory
        _check(DinoViT(shape), network.backbone, f"the {which}'s backbone")
    backbone = DinoViT(shape)
    _load(backbone, network.backbone, f"the {which}'s backbone")
    return backbone.eval()


def load_original(task: ElricTask, path: Path) -> str:
    """Begin a run from a checkpoint: both backbones, and the heads and the centre where they have this run's shape.

    Returns:
        What was taken, in words.

    Raises:
        InputError: it cannot be read, or its backbone has another shape than the run's.
    """
    original = read_original(path)
    teacher = original.teacher or original.student
    student = original.student or original.teacher
    assert teacher is not None
    assert student is not None
    taken = ["backbones"]
    for network, weights, name in ((task.student, student, "student"), (task.teacher, teacher, "teacher")):
        _load(network.backbone, weights.backbone, f"the {name}'s backbone in {path}")
    both = [_usable_head(network.head, task.student.head) for network in (student, teacher)]
    if all(both):
        for network, head in ((task.student, both[0]), (task.teacher, both[1])):
            network.head.load_state_dict(head)
        taken.append("heads")
        if original.center is not None and original.center.shape == task.loss.center.shape:
            task.loss.center.copy_(original.center)
            taken.append("centre")
    elif student.head:
        taken.append("no heads (of another shape)")
    return ", ".join(taken)


def _usable_head(found: Tensors, head: torch.nn.Module) -> Tensors:
    """The head's tensors, if they have this head's shape; empty if not.

    Heads of ELRIC hold one matrix more: the projection of a context that its training never reached. It has the shape
    (768, width), which no use of it could have, and is left behind.
    """
    wanted = head.state_dict()
    renamed = {
        name.replace("last_layer.parametrizations.weight.original0", "last_layer.weight_g").replace(
            "last_layer.parametrizations.weight.original1", "last_layer.weight_v"
        ): tensor
        for name, tensor in found.items()
    }
    fits = all(name in renamed and renamed[name].shape == tensor.shape for name, tensor in wanted.items())
    return {name: renamed[name] for name in wanted} if fits else {}


def _load(module: torch.nn.Module, tensors: Tensors, name: str) -> None:
    _check(module, tensors, name)
    module.load_state_dict(dict(tensors))


def _check(module: torch.nn.Module, tensors: Tensors, name: str) -> None:
    """Refuse tensors that are not those of a module.

    Raises:
        InputError: names or shapes differ, numbers are not finite, or a tensor repeats a few numbers by its strides.
    """
    expected = module.state_dict()
    missing = [key for key in expected if key not in tensors]
    unexpected = [key for key in tensors if key not in expected]
    misshapen = [
        f"{key} {list(tensors[key].shape)} for {list(expected[key].shape)}"
        for key in expected
        if key in tensors and tensors[key].shape != expected[key].shape
    ]
    if missing or unexpected or misshapen:
        causes = [
            f"{len(keys)} {what}: {_some(keys)}"
            for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
            if keys
        ]
        raise InputError(
            f"{name} does not fit this transformer", cause="; ".join(causes),
            hint="set model.size, model.patch_size and crops.global_size as the checkpoint was trained",
        )  # fmt: skip
    for key, tensor in tensors.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise InputError(f"{name} is damaged: {key} is larger than what the file holds of it")
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{name} holds numbers that are not finite: {key}")


def _some(names: Mapping[str, object] | list[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
