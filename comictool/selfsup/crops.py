"""Multi-crop augmentation on arrays: several crops of one picture (SwAV, arXiv:2006.09882; DINO, arXiv:2104.14294).

All randomness of a sample comes from its seed, and its arithmetic does not depend on the other samples of a batch: the
same key gives the same bytes in any worker. Each crop is cut and resized in one step, straight from the source;
colours of all crops of a size then change by one matrix each, which is where the speed comes from
(`python -m tests.bench.elric crops`).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

from comictool.plugins.manifest import IMAGENET_MEAN, IMAGENET_STD
from comictool.selfsup.options import CropOptions

TRIES = 10  # of a box with the drawn area and aspect, before the middle is taken (as torchvision's crop does)
# ITU-R BT.601 luma, and a basis of the chroma plane: colours are turned and faded in it. Rows: Y, I, Q.
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
RGB = np.linalg.inv(YIQ)
BLUR_REACH = 5.0  # standard deviations; beyond lie 6 parts in ten million of the weight
SOLARISE_FROM = 128 / 255  # brighter values are inverted


def multi_crop(picture: np.ndarray, options: CropOptions, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The crops of one sample.

    Args:
        picture: (height, width, 3) uint8 RGB of any size from 1x1.
        seed: 0 .. 2**63 - 1; all randomness comes from it.

    Returns:
        Global crops (G, 3, S, S) and local crops (L, 3, s, s), uint8.
    """
    rng = np.random.default_rng(seed)
    planes = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0)
    large = [0] + [1] * (options.global_count - 1)
    globals_ = _crops(planes, rng, options, options.global_size, options.global_scale, large)
    locals_ = _crops(planes, rng, options, options.local_size, options.local_scale, [2] * options.local_count)
    return globals_, locals_


def crop_boxes(
    height: int, width: int, count: int, scale: tuple[float, float], options: CropOptions, rng: np.random.Generator
) -> np.ndarray:
    """Random boxes: areas even in `scale`, aspects even in their logarithm; (count, 4) of x0, y0, x1, y1.

    The first of ten drawn boxes that fits is taken, else the middle at the nearest aspect, as torchvision's
    RandomResizedCrop does, whose definition the published recipes use.
    """
    shape = width / height
    least, most = (bound * (shape if options.keep_shape else 1.0) for bound in options.aspect)
    area = rng.uniform(*scale, (count, TRIES)) * (height * width)
    ratio = np.exp(rng.uniform(math.log(least), math.log(most), (count, TRIES)))
    widths, heights = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = (widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height)
    first = fits.argmax(axis=1)
    rows = np.arange(count)
    nearest = min(max(shape, least), most)
    middle = (min(width, max(1, round(height * nearest))), min(height, max(1, round(width / nearest))))
    found = fits.any(axis=1)
    wide = np.where(found, widths[rows, first], middle[0])
    tall = np.where(found, heights[rows, first], middle[1])
    wide = np.maximum(wide, min(options.min_source, width))
    tall = np.maximum(tall, min(options.min_source, height))
    draws = rng.random((2, count))
    left = np.where(found, np.floor(draws[0] * (width - wide + 1)), (width - wide) // 2)
    top = np.where(found, np.floor(draws[1] * (height - tall + 1)), (height - tall) // 2)
    return np.stack([left, top, left + wide, top + tall], axis=1).astype(np.int64)


def _crops(
    planes: torch.Tensor,
    rng: np.random.Generator,
    options: CropOptions,
    size: int,
    scale: tuple[float, float],
    kinds: list[int],
) -> torch.Tensor:
    """Crops of one size, (len(kinds), 3, size, size) uint8; `kinds` choose among the chances of blur and solarise."""
    count = len(kinds)
    draws = rng.random((count, 9))  # drawn whatever the options are, so that an option changes nothing but itself
    boxes = crop_boxes(planes.shape[2], planes.shape[3], count, scale, options, rng)
    if not count:
        return torch.zeros((0, 3, size, size), dtype=torch.uint8)
    cuts = []
    for (x0, y0, x1, y1), draw in zip(boxes, draws, strict=True):
        part = planes[:, :, y0:y1, x0:x1]
        if part.shape[2:] != (size, size):
            part = functional.interpolate(part, size=(size, size), mode="bicubic", antialias=True)
        cuts.append(part.flip(3) if draw[0] < options.flip else part)
    pixels = torch.cat(cuts).contiguous().float()
    pixels = change_colours(pixels, colour_matrices(draws[:, 1:7], options))
    for index, (kind, draw) in enumerate(zip(kinds, draws, strict=True)):
        low, high = options.blur_radius
        if draw[7] < options.blur[kind]:
            # What is left of a draw below its chance is itself even in 0..1 once divided by it.
            pixels[index] = blurred(pixels[index], low + (high - low) * draw[7] / options.blur[kind])
        if draw[8] < options.solarise[kind]:
            crop = pixels[index]
            pixels[index] = torch.where(crop >= 255 * SOLARISE_FROM, 255 - crop, crop)
    return pixels.round_().to(torch.uint8)


def colour_matrices(draws: np.ndarray, options: CropOptions) -> tuple[np.ndarray, np.ndarray]:
    """What jitter and grey do to colours: `x -> A x + o * mean luma of the crop`.

    In YIQ saturation scales the chroma plane and hue turns it, brightness scales all, contrast scales the distance from
    the mean luma. These four commute.

    Args:
        draws: (N, 6) numbers in 0..1: whether to jitter; brightness, contrast, saturation, hue; whether to grey.

    Returns:
        (N, 3, 3) and (N,).
    """
    jitter = draws[:, 0] < options.jitter
    signed = np.where(jitter[:, None], 2 * draws[:, 1:5] - 1, 0.0)
    bright, contrast, saturation = (
        1 + signed[:, i] * reach for i, reach in enumerate((options.brightness, options.contrast, options.saturation))
    )
    turn = 2 * np.pi * options.hue * signed[:, 3]
    saturation = np.where(draws[:, 5] < options.grey, 0.0, saturation)
    middle = np.zeros((len(draws), 3, 3))
    middle[:, 0, 0] = 1.0
    middle[:, 1, 1] = middle[:, 2, 2] = saturation * np.cos(turn)
    middle[:, 1, 2] = -saturation * np.sin(turn)
    middle[:, 2, 1] = saturation * np.sin(turn)
    matrices = (bright * contrast)[:, None, None] * (RGB @ middle @ YIQ)
    return matrices, bright * (1 - contrast)


def change_colours(pixels: torch.Tensor, change: tuple[np.ndarray, np.ndarray]) -> torch.Tensor:
    """Apply `colour_matrices` to (N, 3, S, S) values in 0..255; the result is cut to that range."""
    matrices, offsets = change
    flat = pixels.flatten(2)
    luma = flat.mean(dim=2) @ torch.from_numpy(YIQ[0]).float()
    added = (torch.from_numpy(offsets).float() * luma).view(-1, 1, 1).expand(-1, 3, 1)
    mixed = torch.baddbmm(added, torch.from_numpy(matrices).float(), flat)
    return mixed.clamp_(0, 255).view_as(pixels)


def blurred(crop: torch.Tensor, radius: float) -> torch.Tensor:
    """Gaussian blur of (3, S, S) with standard deviation `radius`, by one matrix for rows and columns alike.

    At the edges the weights inside are scaled to sum to 1. Two dense products beat a convolution on a CPU here, as long
    as weights too small for normal numbers are zero: products with subnormal ones take twenty times as long.
    """
    places = torch.arange(crop.shape[-1], dtype=torch.float32)
    distances = (places[:, None] - places[None, :]).abs_()
    weights = torch.exp(distances.square() * (-0.5 / radius**2)) * (distances <= BLUR_REACH * radius)
    weights /= weights.sum(dim=1, keepdim=True)
    return weights @ crop @ weights.T


def crop_major(group: torch.Tensor) -> torch.Tensor:
    """(B, crops, ...) to (crops * B, ...): the first crop of every sample, then the second..."""
    return group.transpose(0, 1).flatten(0, 1)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """(B, crops, 3, H, W) uint8 to float32 with ImageNet's mean and deviation, where the pixels lie."""
    shape = (1, 1, 3, 1, 1)
    mean = torch.tensor(IMAGENET_MEAN, device=pixels.device).view(shape) * 255.0
    std = torch.tensor(IMAGENET_STD, device=pixels.device).view(shape) * 255.0
    return (pixels.float() - mean) / std
