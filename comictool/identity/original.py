"""Checkpoints of comic_char_reid, as Lightning saved them. Nothing in them is run.

Stage 1: `model.convnet.<ResNet-50 in torchvision's names>`, whose `fc` is the projector: `fc.0` to `fc.7`.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from comictool.core.errors import InputError
from comictool.plugins.building import check_finite, fit_weights
from comictool.plugins.weights import find_fit, named_tensors, read_checkpoint

PROJECTOR = "convnet.fc."


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
