"""Networks as the rest of the program asks them: pictures of panels to maps, larger is farther."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from comictool.corpus.records import Box, Panel
from comictool.depth.inputs import as_input, fitted_shape, scaled, segment_inputs
from comictool.depth.segments import Segment
from comictool.plugins.manifest import Manifest

CELLS = 12  # of a map by a network for segments, on each side
Fitting = Callable[[int, int], tuple[int, int]]  # a picture's height and width to those that the network sees


@dataclass
class MapEstimator:
    """See `comictool.plugins.protocols.DepthEstimator`.

    Attributes:
        network: (N, 3, H, W) of `prepared` pictures to (N, h, w).
        fitting, scaling: what a picture is scaled to, and how.
        prepared: (N, 3, H, W) uint8 to what the network takes.
        nearer_is_larger: the network gives disparity; this is the one place where its sign is turned.
        corners: how maps are scaled back: with aligned corners or not.
    """

    network: nn.Module
    manifest: Manifest
    encoder_id: str
    fitting: Fitting
    device_note: str = "cpu"
    prepared: Callable[[torch.Tensor], torch.Tensor] = as_input
    nearer_is_larger: bool = False
    corners: bool = False
    scaling: Callable[[np.ndarray, tuple[int, int]], torch.Tensor] = scaled
    needs_torch: ClassVar[bool] = True

    def depth(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """N pictures (H, W, 3) uint8 to N maps (H, W) float32, larger is farther."""
        return [self._one(image) for image in images]

    @torch.inference_mode()
    def _one(self, image: np.ndarray) -> np.ndarray:
        device = next(self.network.parameters()).device
        height, width = image.shape[:2]
        pixels = self.scaling(image, self.fitting(height, width))
        found = self.network(self.prepared(pixels.to(device))).float()[:, None]
        if self.nearer_is_larger:
            found = -found
        whole = functional.interpolate(found, size=(height, width), mode="bilinear", align_corners=self.corners)
        return whole[0, 0].cpu().numpy()


@dataclass
class SegmentEstimator:
    """Ranks of segments, and a flat map for who asks for one: this network says nothing between segments.

    Attributes:
        network: see `SegmentNetwork`.
        side: what a panel is scaled to.
    """

    network: nn.Module
    manifest: Manifest
    encoder_id: str
    side: int
    device_note: str = "cpu"
    needs_torch: ClassVar[bool] = True

    def segment_depth(self, picture: np.ndarray, segments: Sequence[Segment], panels: Sequence[Panel]) -> np.ndarray:
        """Inter, intra and certainty of every segment of a page, (N, 3), smaller is nearer: one pass over each panel
        that has any, whatever their number.
        """
        height, width = picture.shape[:2]
        boxes: dict[int | None, Box] = {panel.id: panel.box for panel in panels}
        groups: dict[int | None, list[int]] = {}
        for index, segment in enumerate(segments):
            groups.setdefault(segment.panel if segment.panel in boxes else None, []).append(index)
        found = np.zeros((len(segments), 3))
        for key, members in groups.items():
            box = boxes[key] if key is not None else (0, 0, width, height)
            found[members] = self._panel(picture, [segments[i] for i in members], box)
        return found

    @torch.inference_mode()
    def _panel(self, picture: np.ndarray, segments: Sequence[Segment], box: Box) -> np.ndarray:
        device = next(self.network.parameters()).device
        x0, y0, x1, y1 = box
        shape = fitted_shape(y1 - y0, x1 - x0, self.side)
        pixels = scaled(picture[y0:y1, x0:x1], shape).to(device)
        masks, frames = segment_inputs(segments, box, shape)
        ranks, steps = self.network(as_input(pixels), masks[None].to(device), frames[None].to(device))
        sure = (steps[0].float().sigmoid() - 0.5).abs().mean((1, 2)) * 2
        inter, intra = ranks[0].float().unbind(1)
        return torch.stack([inter, intra, sure], dim=1).cpu().numpy()

    def depth(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """N pictures to N maps: of cells, each a segment of its own."""
        return [self._cells(image) for image in images]

    def _cells(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        rows, columns = min(CELLS, height), min(CELLS, width)
        ys, xs = (np.linspace(0, size, count + 1).astype(int) for size, count in ((height, rows), (width, columns)))
        cells = [
            Segment(0, 0, 0, "cell", None, (int(xs[c]), int(ys[r]), int(xs[c + 1]), int(ys[r + 1])))
            for r in range(rows)
            for c in range(columns)
        ]
        inter = self._panel(image, cells, (0, 0, width, height))[:, 0].reshape(rows, columns)
        coarse = torch.from_numpy(inter.astype(np.float32))[None, None]
        return functional.interpolate(coarse, size=(height, width), mode="bilinear")[0, 0].numpy()


def panel_fitting(side: int) -> Fitting:
    """Of the networks that are trained here."""
    return lambda height, width: fitted_shape(height, width, side)
