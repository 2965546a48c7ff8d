"""The released networks (https://github.com/Davide-Ds/comics_images_depth_estimation): a page in 128 x 128 pixels, one
pair of ranks for all that is on it. They load for comparison; the smaller one can be trained with labels that belong
to their pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from comictool.corpus.records import Panel
from comictool.depth.inputs import as_input
from comictool.depth.segments import Segment
from comictool.depth.weights import loaded
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import Manifest
from comictool.plugins.weights import named_tensors

SIDE = 128


def as_released(pictures: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """(N, 3, H, W) RGB in -1 .. 1 to what the networks were trained on: BGR in 0 .. 1, squashed."""
    small = functional.interpolate(pictures, size=(side, side), mode="bilinear", align_corners=False)
    return (small.flip(1) + 1) / 2


class ReleasedNetwork(nn.Module):
    """The script's and the notebook's first one: 537 million weights, nearly all in one layer."""

    def __init__(self, side: int = SIDE) -> None:
        super().__init__()
        self.side = side
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1)
        self.conv2 = nn.Conv2d(64, 128, 3, padding=1)
        self.fc1 = nn.Linear(128 * side * side, 256)
        self.fc_inter = nn.Linear(256, 1)
        self.fc_intra = nn.Linear(256, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in -1 .. 1 to (N, 2): inter, then intra."""
        maps = functional.max_pool2d(functional.relu(self.conv1(as_released(pictures, self.side))), 2)
        maps = functional.interpolate(functional.relu(self.conv2(maps)), scale_factor=2, mode="nearest")
        vectors = functional.relu(self.fc1(maps.flatten(1)))
        return torch.cat([self.fc_inter(vectors), self.fc_intra(vectors)], dim=1)


class PageNetwork(nn.Module):
    """The notebook's second one: three convolutions with norms, their mean, two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128)
        self.conv3, self.bn3 = nn.Conv2d(128, 256, 3, padding=1), nn.BatchNorm2d(256)
        self.dropout = nn.Dropout(0.1)
        self.fc1 = nn.Linear(256, 128)
        self.fc_inter = nn.Linear(128, 1)
        self.fc_intra = nn.Linear(128, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in -1 .. 1 to (N, 2): inter, then intra."""
        maps = functional.max_pool2d(functional.relu(self.bn1(self.conv1(as_released(pictures)))), 2)
        maps = functional.max_pool2d(functional.relu(self.bn2(self.conv2(maps))), 2)
        maps = functional.relu(self.bn3(self.conv3(maps)))
        vectors = self.dropout(functional.relu(self.fc1(maps.mean((2, 3)))))
        return torch.cat([self.fc_inter(vectors), self.fc_intra(vectors)], dim=1)


@dataclass
class PageEstimator:
    """One answer a page, given to every segment; its map is flat."""

    network: nn.Module
    manifest: Manifest
    encoder_id: str
    device_note: str = "cpu"
    needs_torch: ClassVar[bool] = True

    def segment_depth(self, picture: np.ndarray, segments: Sequence[Segment], panels: Sequence[Panel]) -> np.ndarray:
        """Inter, intra and a certainty of 0, (N, 3), the same for all."""
        inter, intra = self.page(picture)
        return np.tile([inter, intra, 0.0], (len(segments), 1))

    def depth(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """N pictures to N flat maps."""
        return [np.full(image.shape[:2], self.page(image)[0], np.float32) for image in images]

    @torch.inference_mode()
    def page(self, picture: np.ndarray) -> tuple[float, float]:
        """Inter and intra of a page."""
        device = next(self.network.parameters()).device
        planes = torch.from_numpy(np.ascontiguousarray(picture[..., :3])).permute(2, 0, 1)[None].to(device)
        inter, intra = self.network(as_input(planes))[0].tolist()
        return inter, intra


def load_pages(spec: EncoderSpec | None, folder: Path, manifest: Manifest) -> PageEstimator:
    """What the table of kinds names for `depth_page`; which of the two it is, the file says. Raises like `loaded`."""

    def make(checkpoint: object) -> nn.Module:
        tensors = named_tensors(checkpoint)
        if any(name.endswith("conv3.weight") for name in tensors):
            return PageNetwork()
        inputs = max((t.shape[1] for name, t in tensors.items() if name.endswith("fc1.weight")), default=0)
        return ReleasedNetwork(round((inputs / 128) ** 0.5) if inputs else SIDE)

    found = loaded(spec, folder, manifest, make)
    return PageEstimator(found.network, manifest, found.identity, found.note)
