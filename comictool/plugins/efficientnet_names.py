"""EfficientNets under the names of EfficientNet-PyTorch (https://github.com/lukemelas/EfficientNet-PyTorch).

Its blocks are counted through, timm's by stage, and what a block's parts are called depends on whether it widens first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

OWN = re.compile(r"blocks\.([0-9]+)\.([0-9]+)\.")
THEIRS = re.compile(r"_blocks\.([0-9]+)\.([^.]+)\.(.+)")
OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
SQUEEZE = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
WIDENING = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
} | SQUEEZE
PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"} | SQUEEZE


def as_timm_names(tensors: Mapping[str, torch.Tensor], network: Any) -> dict[str, torch.Tensor]:
    """The tensors under timm's names; none where they are not of this kind.

    Args:
        tensors: by name, without a prefix.
        network: timm's, which knows how many blocks a stage has. Blocks beyond its last are of the stage after it.
    """
    if "_conv_stem.weight" not in tensors:
        return {}
    places = {(int(m[1]), int(m[2])) for name in network.state_dict() if (m := OWN.match(name))}
    order, stages = sorted(places), 1 + max((stage for stage, _ in places), default=-1)
    widening = {int(m[1]) for name in tensors if (m := THEIRS.fullmatch(name)) and m[2] == "_expand_conv"}
    renamed = {}
    for name, tensor in tensors.items():
        if match := THEIRS.fullmatch(name):
            number, part = int(match[1]), match[2]
            stage, block = order[number] if number < len(order) else (stages, number - len(order))
            own = (WIDENING if number in widening else PLAIN).get(part, part)
            renamed[f"blocks.{stage}.{block}.{own}.{match[3]}"] = tensor
        else:
            part, _, rest = name.partition(".")
            renamed[f"{OUTSIDE.get(part, part)}.{rest}"] = tensor
    return renamed
