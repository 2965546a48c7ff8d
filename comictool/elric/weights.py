"""Beginning a run of ELRIC from a checkpoint of ELRIC or DINO: `student`, `teacher`, `dino_loss`, `epoch`, `args`...

Nothing in it is run. A file that holds the pickled options of a run (`args`, an argparse.Namespace) is refused by the
reader, which names the object and the command that strips it: `comictool plugins convert`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comictool.core.errors import InputError
from comictool.plugins.building import check_finite, fit_weights
from comictool.plugins.weights import Tensors, find_fit, named_tensors, read_checkpoint

if TYPE_CHECKING:
    import torch

    from comictool.elric.task import ElricTask

# Heads of ELRIC hold one matrix more: the projection of a context that its training never reached. It has the shape
# (768, width), which no use of it could have, and is left behind.
UNTRAINED = ("context_projection",)
NEW_NAMES = {  # of a weight-normalised layer since torch 2.0
    "last_layer.parametrizations.weight.original0": "last_layer.weight_g",
    "last_layer.parametrizations.weight.original1": "last_layer.weight_v",
}


def load_original(task: ElricTask, path: Path) -> str:
    """Begin a run from a checkpoint: both backbones, and the heads and the centre where they have this run's shape.

    Args:
        task: of the run; its networks take the weights.
        path: a checkpoint of ELRIC or DINO, a backbone alone, or what `plugins convert` made of either. A file of one
            network is taken for both.

    Returns:
        What was taken, in words.

    Raises:
        InputError: it cannot be read, its backbone has another shape than the run's, or a number is not finite.
    """
    every = named_tensors(read_checkpoint(path))
    networks = {"student": task.student, "teacher": task.teacher}
    held = {
        name: {n.removeprefix(f"{name}."): t for n, t in every.items() if n.startswith(f"{name}.")} for name in networks
    }
    student, teacher = held["student"] or held["teacher"] or every, held["teacher"] or held["student"] or every
    both = ((task.student, student, "student"), (task.teacher, teacher, "teacher"))
    for network, tensors, name in both:
        network.backbone.load_state_dict(_backbone(network.backbone, tensors, f"{path} ({name})"), strict=False)
    heads = [_head(network.head, tensors, f"{path} ({name})") for network, tensors, name in both]
    if not all(heads):
        if not any("head." in name for name in student):
            return "backbones"
        normed = any(name.endswith("running_mean") and "head." in name for name in student)
        setting = f"; model.batch_norm={str(normed).lower()}" if normed != task.config.model.batch_norm else ""
        return f"backbones, no heads (of another shape{setting})"
    for (network, _, _), tensors in zip(both, heads, strict=True):
        network.head.load_state_dict(tensors)
    center = every.get("dino_loss.center")
    if center is None or center.shape != task.loss.center.shape:
        return "backbones, heads"
    check_finite({"dino_loss.center": center}, str(path))
    task.loss.center.copy_(center)
    return "backbones, heads, centre"


def _backbone(network: torch.nn.Module, tensors: Tensors, source: str) -> Tensors:
    try:
        return fit_weights(network, tensors, source, classifiers=("head",)).tensors
    except InputError as error:
        error.hint = "set model.size, model.patch_size and crops.global_size as the checkpoint was trained"
        raise


def _head(network: torch.nn.Module, found: Tensors, source: str) -> Tensors:
    """The head's tensors if they have this head's shape, empty if not."""
    renamed = {}
    for name, tensor in found.items():
        for new, old in NEW_NAMES.items():
            name = name.replace(new, old)
        renamed[name] = tensor
    try:
        fit = find_fit(network.state_dict(), renamed, source, classifiers=UNTRAINED)
    except InputError:
        return {}
    check_finite(fit.tensors, source)
    return fit.tensors
