"""Checkpoints of comic_char_reid, as Lightning saved them. Nothing in them is run.

Stage 1: `model.convnet.<ResNet-50 in torchvision's names>`, whose `fc` is the projector: `fc.0` to `fc.7`.
Stage 2: `backbone_face.convnet.*`, the same again as `backbone_body`, with `fc.0` to `fc.5`; and `id_net.1`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from comictool.core.errors import InputError
from comictool.plugins.building import check_finite, fit_weights
from comictool.plugins.instance_network import InstanceNetwork, without_original_names
from comictool.plugins.weights import find_fit, named_tensors, read_checkpoint

PROJECTOR = "convnet.fc."
# The second stage as published, but for what a run sets itself (dimension, fusion, half).
ORIGINAL: dict[str, Any] = {"backbone": "timm:resnet50", "features": 2048, "neck": 2048}


def load_backbone(network: nn.Module, path: Path) -> str:
    """Begin from a checkpoint: its backbone, and the projector where it has this one's shape.

    Args:
        network: with `backbone`, and perhaps `projector`.
        path: of comic_char_reid, or of any network that holds such a backbone.

    Returns:
        What was taken, in words.

    Raises:
        InputError: it cannot be read, its backbone has another shape, or a number is not finite.
    """
    tensors = named_tensors(read_checkpoint(path))
    backbone, projector = network.backbone, getattr(network, "projector", None)
    assert isinstance(backbone, nn.Module)
    try:
        fit = fit_weights(backbone, tensors, str(path), classifiers=("fc", "head"))
    except InputError as error:
        error.hint = "set model.backbone as the checkpoint was trained"
        raise
    backbone.load_state_dict(fit.tensors, strict=False)
    head = {name.partition(PROJECTOR)[2]: t for name, t in tensors.items() if PROJECTOR in name}
    if projector is None or not head:
        return "backbone"
    try:
        fit = find_fit(projector.state_dict(), head, str(path))
    except InputError:
        return "backbone, no projector (of another shape)"
    check_finite(fit.tensors, str(path))
    projector.load_state_dict(fit.tensors)
    return "backbone, projector"


def load_identity(network: InstanceNetwork, path: Path) -> str:
    """Begin the second stage from its own checkpoint, or from one of the first: backbone, projector, and head.

    Raises:
        InputError: it cannot be read, its face and body backbones differ, or a tensor has another shape.
    """
    tensors = named_tensors(read_checkpoint(path))
    inside = {name.removeprefix("state_dict."): tensor for name, tensor in tensors.items()}
    renamed = without_original_names(inside, network)
    wanted = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("fusion.")}
    if "head.weight" not in renamed:
        wanted = {name: tensor for name, tensor in wanted.items() if not name.startswith("head.")}
    if not renamed:
        raise InputError(f"{path} is no checkpoint of comic_char_reid with one backbone for faces and bodies")
    fit = find_fit(wanted, renamed, str(path))
    check_finite(fit.tensors, str(path))
    network.load_state_dict(fit.tensors, strict=False)
    return "backbone, projector, head" if "head.weight" in renamed else "backbone, projector"
