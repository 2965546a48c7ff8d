"""Networks for panels: a timm backbone, a light decoder, and on top of it a map or the ranks of segments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from comictool.core.device import import_timm
from comictool.plugins.timm_features import cut_after

GEOMETRY = 10  # numbers about a segment's box; see `geometry`
GROUPS = 8  # of the norms, which must not depend on what else is in a batch


class Taps(nn.Module):
    """Some layers of a timm model; nothing after the last of them has weights.

    Args:
        name: timm's.
        taps: layers by their dotted name, in order.

    Raises:
        ValueError: no such layer, or its answer is no map.
    """

    def __init__(self, name: str, taps: Sequence[str]) -> None:
        super().__init__()
        self.model: Any = import_timm().create_model(name, pretrained=False, num_classes=0)
        if getattr(self.model, "output_fmt", "NCHW") != "NCHW":
            raise ValueError(f"the features of {name} are no map of channels, height and width")
        last, self.left_out = cut_after(self.model, taps[-1])
        self._maps: list[torch.Tensor] = []
        layers = dict(self.model.named_modules())
        for tap in taps:
            if tap not in layers:
                raise ValueError(f"{name} has no layer {tap} before {taps[-1]}")
            layers[tap].register_forward_hook(partial(self._seen, last=layers[tap] is last))
        self.taps = tuple(taps)

    def _seen(self, layer: nn.Module, given: Any, maps: torch.Tensor, *, last: bool) -> None:
        self._maps.append(maps)
        if last:
            raise _Reached

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(N, 3, H, W) to the maps of the taps."""
        self._maps = []
        try:
            self.model(pictures)
        except _Reached:
            maps, self._maps = self._maps, []
            return maps
        raise RuntimeError(f"the model does not use its layer {self.taps[-1]}")


class _Reached(Exception):
    """The last tap is computed."""


class Step(nn.Module):
    """A depthwise and a pointwise convolution with a norm and GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.norm = nn.GroupNorm(min(GROUPS, width), width)
        self.pointwise = nn.Conv2d(width, width, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to the same shape; what it adds is added."""
        added: torch.Tensor = self.pointwise(functional.gelu(self.norm(self.depthwise(maps))))
        return maps + added


class Trunk(nn.Module):
    """Backbone and decoder: pictures to one map at the size of the finest tap.

    The coarsest map also gets the mean of the whole panel, which says what kind of picture it is.

    Args:
        backbone: timm's name.
        taps: from fine to coarse.
        width: channels of the decoder.
        channels: of the taps; when not given, the backbone is asked.
    """

    def __init__(self, backbone: str, taps: Sequence[str], width: int) -> None:
        super().__init__()
        self.backbone = Taps(backbone, taps)
        channels = _channels(self.backbone)
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.context = nn.Linear(channels[-1], width)
        self.steps = nn.ModuleList(nn.Sequential(Step(width), Step(width)) for _ in channels)
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in -1 .. 1 to (N, width, h, w)."""
        # On a CPU depthwise convolutions take two thirds of the time when channels lie together.
        maps = self.backbone(pictures.contiguous(memory_format=torch.channels_last))
        found = self.lateral[-1](maps[-1]) + self.context(maps[-1].mean((2, 3)))[:, :, None, None]
        found = self.steps[-1](found)
        for place in range(len(maps) - 2, -1, -1):
            finer = self.lateral[place](maps[place])
            found = functional.interpolate(found, size=finer.shape[2:], mode="bilinear", align_corners=False)
            found = self.steps[place](found + finer)
        return found


def _channels(backbone: Taps) -> list[int]:
    """Channels of every tap, by a pass over a small picture; on the meta device it costs nothing."""
    training = backbone.training
    device = next(backbone.parameters()).device
    with torch.no_grad():
        maps = backbone.eval()(torch.zeros(1, 3, 64, 64, device=device))
    backbone.train(training)
    if any(item.ndim != 4 for item in maps):
        raise ValueError("a tap is no map of channels, height and width")
    return [item.shape[1] for item in maps]


class DenseNetwork(nn.Module):
    """A map of depth.

    Args:
        backbone, taps, width: see `Trunk`.
    """

    def __init__(self, backbone: str, taps: Sequence[str], width: int) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, taps, width)
        self.head = nn.Sequential(nn.Conv2d(width, width // 2, 3, padding=1), nn.GELU(), nn.Conv2d(width // 2, 1, 1))

    @property
    def left_out(self) -> tuple[str, ...]:
        """Layers of published weights that have no place here."""
        return tuple(f"trunk.backbone.model.{name}" for name in self.trunk.backbone.left_out)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in -1 .. 1 to (N, h, w), larger is farther, at the size of the finest tap."""
        found: torch.Tensor = self.head(self.trunk(pictures))[:, 0]
        return found + 0.5  # where depth 0 .. 1 begins


class SegmentNetwork(nn.Module):
    """Inter and intra of every segment of a panel, in one pass over the panel.

    A segment is what the decoder's map holds under its mask and under its box, the panel's mean, and its geometry.
    The segments of a panel then attend to each other: ranks are relative.

    Args:
        backbone, taps, width: see `Trunk`.
        hidden, heads, layers: of the attention.
        levels: ordinal steps.
    """

    def __init__(
        self, backbone: str, taps: Sequence[str], width: int, hidden: int, heads: int, layers: int, levels: int
    ) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, taps, width)
        self.enter = nn.Sequential(nn.Linear(3 * width + GEOMETRY, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        layer = nn.TransformerEncoderLayer(
            hidden, heads, 2 * hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.attention = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(hidden)
        self.ranks = nn.Linear(hidden, 2)
        self.ordinal = nn.Linear(hidden, 2 * levels)
        self.levels = levels

    def forward(
        self, pictures: torch.Tensor, masks: torch.Tensor, boxes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Ranks of the segments of B panels.

        Args:
            pictures: (B, 3, H, W) in -1 .. 1.
            masks: (B, S, h, w) share of each cell of any grid over the panel that a segment covers, 0 .. 1.
            boxes: (B, S, 4) as fractions of the panel; a box without area stands for no segment.

        Returns:
            (B, S, 2) inter and intra, and (B, S, 2, levels) logits of the ordinal steps.
        """
        maps = self.trunk(pictures)
        if maps.shape[2:] != masks.shape[2:]:
            maps = functional.adaptive_avg_pool2d(maps, (masks.shape[2], masks.shape[3]))
        there = (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
        whole = box_masks(boxes, masks.shape[2], masks.shape[3])
        under, around = pooled(maps, masks), pooled(maps, whole)
        panel = maps.mean((2, 3))[:, None].expand_as(under)
        vectors = self.enter(torch.cat([under, around, panel, geometry(boxes, masks)], dim=-1))
        absent = ~there
        absent[:, 0] = False  # a panel without segments asks about nothing rather than about NaN
        vectors = self.norm(self.attention(vectors, src_key_padding_mask=absent))
        return self.ranks(vectors), self.ordinal(vectors).unflatten(-1, (2, self.levels))


def pooled(maps: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Mean of (B, C, h, w) under each of (B, S, h, w) masks, (B, S, C): one product of matrices for all segments."""
    flat = masks.flatten(2).to(maps.dtype)
    return flat @ maps.flatten(2).transpose(1, 2) / flat.sum(2, keepdim=True).clamp(min=1e-4)


def box_masks(boxes: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """(B, S, 4) boxes as fractions to the share of each cell of a grid that they cover, (B, S, rows, columns)."""

    def along(low: torch.Tensor, high: torch.Tensor, count: int) -> torch.Tensor:
        edges = torch.arange(count, device=boxes.device, dtype=boxes.dtype)
        return (torch.minimum(high[..., None] * count, edges + 1) - torch.maximum(low[..., None] * count, edges)).clamp(
            0, 1
        )

    across, down = along(boxes[..., 0], boxes[..., 2], columns), along(boxes[..., 1], boxes[..., 3], rows)
    return down[..., :, None] * across[..., None, :]


def geometry(boxes: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """(B, S, 10): the four sides, middle, width and height, area, how full the box is, how much touches the border."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    wide, high = x1 - x0, y1 - y0
    covered = masks.mean((2, 3))
    fullness = covered / (wide * high).clamp(min=1e-4)
    numbers = [
        *(x0, y0, x1, y1),
        *((x0 + x1) / 2, (y0 + y1) / 2),
        *(wide, high),
        (covered + 1e-4).log() / 5,
        fullness.clamp(0, 1),
    ]
    return torch.stack(numbers, dim=-1)
