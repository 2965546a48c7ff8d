"""The encoder of the first stage: a backbone for faces and bodies alike, and the projector that the losses look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from comictool.plugins.architectures import call_builder, find_architecture

DINO_VIT = "dino_vit"


class Encoder(nn.Module):
    """`backbone` and `projector`, whose layers are numbered as those of the published checkpoints (`convnet.fc`).

    Args:
        backbone: pictures (N, 3, H, W) to (N, width).
        width: numbers of its vectors.
        hidden: of the projector's two hidden layers.
        projection: numbers that come out.
    """

    def __init__(self, backbone: nn.Module, width: int, hidden: int, projection: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = width
        self.projector = projector(width, hidden, projection)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) to (N, projection)."""
        projected: torch.Tensor = self.projector(self.backbone(pictures))
        return projected


def projector(width: int, hidden: int, projection: int) -> nn.Sequential:
    """Linear, norm, ReLU twice, then linear and a norm without weights (Foster's critic for SimCLR)."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, projection, bias=False),
        nn.BatchNorm1d(projection, affine=False),
    )


def build_backbone(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A backbone by the name of its architecture, with weights drawn anew.

    Raises:
        InputError: there is no such architecture, or it needs no torch.
    """
    found = find_architecture(name)
    if not found.needs_torch:
        from comictool.core.errors import InputError

        raise InputError(f"{name} has no weights to train", hint="timm:resnet50, timm:vit_small_patch16_224, dino_vit")
    backbone: nn.Module = call_builder(found, arguments)
    return backbone


def width_of(backbone: nn.Module, side: int) -> int:
    """Numbers of a backbone's vectors, by asking it about a picture."""
    training = backbone.training
    with torch.no_grad():
        width = int(backbone.eval()(torch.zeros(1, 3, side, side)).shape[1])
    backbone.train(training)
    return width
