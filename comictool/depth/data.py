"""Batches of `train depth`: panels of one shape each, with their maps or their segments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from comictool.core.seeds import derive_seed
from comictool.depth.changes import change_look
from comictool.depth.inputs import fitted_shape, scaled, segment_inputs
from comictool.depth.panels import HeldPanels, scaled_map
from comictool.depth.settings import DepthConfig
from comictool.training.recipe import SampleKey, TrainingData

UNCUT = 0.3  # share of maps whose panel is seen whole
ASPECT = 0.25  # how far the aspect of a cut may be from its panel's, as a logarithm
SPREAD = 0.15  # of the aspects' logarithm by which batches are composed: other neighbours in every epoch


class DepthData(TrainingData):
    """One sample a panel; a batch has panels of nearly one aspect, scaled to one shape.

    Args:
        panels: in memory.
        config: of the run.
        stride: pixels of the picture for each number of the network's map.
        labels: for `data.shuffled`: whose labels each panel is given.
    """

    def __init__(self, panels: HeldPanels, config: DepthConfig, stride: int = 4) -> None:
        self.panels = panels
        self.config = config
        self.stride = stride
        rng = np.random.default_rng(derive_seed(config.training.seed, "shuffled"))
        self.dealt = rng.permutation(len(panels)) if config.data.shuffled else np.arange(len(panels))
        ranks = [(s.inter, s.intra) for row in panels.table.rows for s in row.segments]
        order = rng.permutation(len(ranks)) if config.data.shuffled else np.arange(len(ranks))
        missing = float("nan")
        numbers = [[missing if v is None else v for v in ranks[place]] for place in order]
        self.ranks = np.array(numbers, dtype=np.float32).reshape(-1, 2)
        self.first = np.cumsum([0, *(len(row.segments) for row in panels.table.rows)])

    def __len__(self) -> int:
        return len(self.panels)

    def order(self, epoch: int, seed: int, batch_size: int, count: int | None = None) -> Sequence[int]:
        """Each panel once; neighbours in a batch have nearly one aspect."""
        rng = np.random.default_rng(derive_seed(seed, "order", epoch))
        aspects = np.log([self.panels.aspect(n) for n in range(len(self) if count is None else count)])
        by_aspect = np.argsort(aspects + rng.normal(0, SPREAD, len(aspects)))
        left = len(by_aspect) % batch_size
        dropped = set(rng.permutation(len(by_aspect))[:left].tolist())  # not always the widest
        kept = [int(n) for place, n in enumerate(by_aspect) if place not in dropped]
        batches = [kept[at : at + batch_size] for at in range(0, len(kept), batch_size)]
        return [n for batch in rng.permutation(len(batches)) for n in batches[batch]]

    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        """One batch.

        Returns:
            `pictures` (B, 3, H, W) uint8. Of maps also `truth` (B, H / stride, W / stride) float32 and `places`
            (B, 2, P) pairs of points; of segments `masks` (B, S, H / 8, W / 8), `boxes` (B, S, 4) and `ranks`
            (B, S, 2), all float32, NaN ranks where there is none.
        """
        side = self.config.model.side
        aspect = float(np.exp(np.median([np.log(self.panels.aspect(key.index)) for key in keys])))
        shape = fitted_shape(round(10_000 * aspect), 10_000, side)
        samples = [self._sample(key, shape) for key in keys]
        return {name: stacked([sample[name] for sample in samples]) for name in samples[0]}

    def _sample(self, key: SampleKey, shape: tuple[int, int]) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng(key.seed)
        changes = self.config.changes
        whole = self.panels.pictures[key.index]
        flipped = rng.random() < changes.flip
        dense = self.config.model.kind == "dense"
        box = cut_box(whole.shape[:2], changes.crop, rng) if dense else (0, 0, whole.shape[1], whole.shape[0])
        x0, y0, x1, y1 = box
        pixels = scaled(whole[y0:y1, x0:x1], shape)[0]
        if flipped:
            pixels = pixels.flip(2)
        pixels = change_look(pixels.float(), changes, rng).round().to(torch.uint8)
        if not dense:
            return {"pictures": pixels, **self._segments(key.index, shape, flipped, rng)}
        size = (shape[0] // self.stride, shape[1] // self.stride)
        depth = self.panels.map(int(self.dealt[key.index])).numpy()
        if depth.shape != whole.shape[:2]:
            depth = scaled_map(depth, whole.shape[:2])
        truth = torch.from_numpy(scaled_map(depth[y0:y1, x0:x1], size).astype(np.float32))
        places = torch.from_numpy(rng.integers(0, size[0] * size[1], (2, self.config.loss.pairs)))
        return {"pictures": pixels, "truth": truth.flip(1) if flipped else truth, "places": places}

    def _segments(
        self, index: int, shape: tuple[int, int], flipped: bool, rng: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        row = self.panels.table.rows[index]
        count = len(row.segments)
        chosen = np.sort(rng.permutation(count)[: self.config.data.most_segments])
        masks, boxes = segment_inputs([row.segments[n] for n in chosen], row.box, shape)
        if flipped:
            masks = masks.flip(2)
            boxes = torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], dim=1)
        return {"masks": masks, "boxes": boxes, "ranks": torch.from_numpy(self.ranks[self.first[index] + chosen])}


def cut_box(size: tuple[int, int], least: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A part of a picture of (height, width) of at least this share of its area, or all of it."""
    draws = rng.random(5)
    if draws[0] < UNCUT or least >= 1:
        return 0, 0, size[1], size[0]
    share = least + (1 - least) * draws[1]
    turn = float(np.exp(ASPECT * (2 * draws[2] - 1)))
    height = min(size[0], max(1, round(size[0] * (share * turn) ** 0.5)))
    width = min(size[1], max(1, round(size[1] * (share / turn) ** 0.5)))
    top, left = int(draws[3] * (size[0] - height + 1)), int(draws[4] * (size[1] - width + 1))
    return left, top, left + width, top + height


def stacked(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """A batch. Where numbers of segments differ, the shorter are filled up: boxes without area, no rank."""
    longest = max(part.shape[0] for part in parts)
    if all(part.shape == parts[0].shape for part in parts):
        return torch.stack(list(parts))
    whole = torch.full((len(parts), longest, *parts[0].shape[1:]), 0.0)
    if parts[0].ndim == 2 and parts[0].shape[1] == 2:
        whole.fill_(float("nan"))
    for place, part in enumerate(parts):
        whole[place, : len(part)] = part
    return whole
