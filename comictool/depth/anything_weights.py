"""Checkpoints of Depth Anything V2 as plugins: sizes from the file, pictures as published, sign turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from comictool.core.errors import InputError
from comictool.depth.anything import PATCH, DepthAnything, shape_of
from comictool.depth.estimators import MapEstimator
from comictool.depth.weights import loaded
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import IMAGENET_MEAN, IMAGENET_STD, Manifest
from comictool.plugins.weights import named_tensors

SIDE = 518  # least pixels of the shorter side, as published
LONGEST = 4  # times SIDE; a strip is squashed to that, for attention takes the square of it


def load_anything(spec: EncoderSpec | None, folder: Path, manifest: Manifest) -> MapEstimator:
    """What the table of kinds names for `depth_anything`; raises like `weights.loaded`, and:

    Raises:
        InputError: the file is no checkpoint of Depth Anything V2.
    """
    side = manifest.arguments.get("side", SIDE)
    if type(side) is not int or not PATCH <= side <= 4 * SIDE:
        raise InputError(f"{folder}: architecture.arguments.side must be {PATCH} to {4 * SIDE}")

    def make(checkpoint: object) -> DepthAnything:
        return DepthAnything(shape_of(named_tensors(checkpoint)))

    found = loaded(spec, folder, manifest, make)
    return MapEstimator(
        found.network,
        manifest,
        found.identity,
        lambda height, width: anything_fitting(height, width, side),
        found.note,
        prepared=_normalised,
        nearer_is_larger=True,
        corners=True,
        scaling=_scaled,
    )


def anything_fitting(height: int, width: int, side: int = SIDE) -> tuple[int, int]:
    """(height, width) with the shorter side at least `side`, whole patches, the aspect nearly kept."""
    scale = max(side / height, side / width)

    def whole(length: int) -> int:
        wanted = min(length * scale, LONGEST * side)
        patches = round(wanted / PATCH)
        return PATCH * (patches if patches * PATCH >= side else -int(-wanted // PATCH))

    return whole(height), whole(width)


def _scaled(image: np.ndarray, shape: tuple[int, int]) -> torch.Tensor:
    """(H, W, 3) uint8 to (1, 3, height, width) float in 0 .. 1, bicubic without antialiasing, as OpenCV scales."""
    planes = torch.from_numpy(image[..., :3].astype(np.float32) / 255).permute(2, 0, 1)[None]
    return functional.interpolate(planes, size=shape, mode="bicubic", antialias=False, align_corners=False)


def _normalised(pictures: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v, device=pictures.device)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (pictures - mean) / std
