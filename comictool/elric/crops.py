"""Multi-crop augmentation (Caron and others, SwAV 2020 and DINO 2021) on arrays: several crops of one decoded picture.

All randomness of a sample comes from its seed, and its arithmetic does not depend on the other samples of a batch: the
same ticket gives the same bytes in any worker. Each crop is cut and resized in one step, straight from the source;
colours of all crops of a size then change by one matrix each, which is where the speed comes from
(`python -m tests.bench.elric crops`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from comictool.core.errors import UsageError

TRIES = 10  # of a box with the drawn area and aspect, before the middle is taken (as torchvision's crop does)
# ITU-R BT.601 luma, and a basis of the chroma plane: colours are turned and faded in it. Rows: Y, I, Q.
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
RGB = np.linalg.inv(YIQ)
BLUR_REACH = 5.0  # standard deviations; beyond lie 6 parts in ten million of the weight
SOLARISE_FROM = 128 / 255  # brighter values are inverted


@dataclass(frozen=True)
class CropOptions:
    """Crops and their changes. Probabilities in 0..1; the values as published are those of the preset `paper`.

    Attributes:
        global_size, global_count, global_scale: large crops, seen by student and teacher; side in pixels, share of
            the picture's area.
        local_size, local_count, local_scale: small crops, seen by the student alone.
        aspect: least and largest width over height of a crop's box, of the picture's own where `keep_shape` is on.
        keep_shape: boxes have about the shape of the picture and are squeezed to squares. Off, they are about square,
            as published: of a standing figure nearly every large crop is then the same piece of its middle.
        min_source: least side of a crop's box in source pixels, as far as the picture has them: a twentieth of a small
            figure is a blot of ink.
        flip: mirror a crop. Off by default: lettering, emblems and partings do not occur mirrored, and characters
            mostly face the way in which the comic is read.
        jitter: change brightness, contrast and saturation by up to these factors, and turn the hue by up to that part
            of the circle, with probability `jitter`. All four act linearly, so their order does not matter; hue is
            turned in the chroma plane of YIQ.
        grey: take the colour away.
        blur: Gaussian; for the first global crop, the other global ones, and the local ones. `blur_radius` is the
            least and largest standard deviation in pixels of the crop.
        solarise: invert bright values; for the first global crop, the other global ones, and the local ones.
    """

    global_size: int = 224
    global_count: int = 2
    global_scale: tuple[float, float] = (0.4, 1.0)
    local_size: int = 96
    local_count: int = 8
    local_scale: tuple[float, float] = (0.05, 0.4)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    keep_shape: bool = True
    min_source: int = 16
    flip: float = 0.0
    jitter: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1
    grey: float = 0.2
    blur: tuple[float, float, float] = (1.0, 0.1, 0.5)
    blur_radius: tuple[float, float] = (0.1, 2.0)
    solarise: tuple[float, float, float] = (0.0, 0.2, 0.0)

    def __post_init__(self) -> None:
        """Refuse what no crop can be.

        Raises:
            UsageError: a value out of its range.
        """
        for name in ("global_size", "local_size", "min_source", "global_count"):
            if getattr(self, name) < 1:
                raise UsageError(f"crops.{name} is {getattr(self, name)}: it must be at least 1")
        if self.local_count < 0 or self.global_count + self.local_count < 2:
            raise UsageError("crops: the loss compares crops, so there must be two of them at least")
        for name in ("global_scale", "local_scale", "aspect", "blur_radius"):
            low, high = getattr(self, name)
            if not 0 < low <= high or (name.endswith("scale") and high > 1):
                raise UsageError(f"crops.{name} is {[low, high]}: it must be a rising pair above 0")
        for name in ("flip", "jitter", "grey", "blur", "solarise"):
            value = getattr(self, name)
            if not all(0 <= p <= 1 for p in (value if isinstance(value, tuple) else (value,))):
                raise UsageError(f"crops.{name} is {value}: a probability is in 0 .. 1")
        if not 0 <= self.hue <= 0.5 or not all(0 <= v <= 1 for v in (self.brightness, self.contrast, self.saturation)):
            raise UsageError("crops: brightness, contrast and saturation change by 0 .. 1, hue by 0 .. 0.5")

    @property
    def source_side(self) -> int:
        """Root of a source's area, in pixels, from which no crop is enlarged; more pixels than that are of no use."""
        wanted = [self.global_size / math.sqrt(self.global_scale[0])]
        if self.local_count:
            wanted.append(self.local_size / math.sqrt(self.local_scale[0]))
        return math.ceil(max(wanted))


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
    lots = rng.random((2, count))
    left = np.where(found, np.floor(lots[0] * (width - wide + 1)), (width - wide) // 2)
    top = np.where(found, np.floor(lots[1] * (height - tall + 1)), (height - tall) // 2)
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
    lots = rng.random((count, 9))  # drawn whatever the options are, so that an option changes nothing but itself
    boxes = crop_boxes(planes.shape[2], planes.shape[3], count, scale, options, rng)
    if not count:
        return torch.zeros((0, 3, size, size), dtype=torch.uint8)
    cuts = []
    for (x0, y0, x1, y1), lot in zip(boxes, lots, strict=True):
        part = planes[:, :, y0:y1, x0:x1]
        if part.shape[2:] != (size, size):
            part = functional.interpolate(part, size=(size, size), mode="bicubic", antialias=True)
        cuts.append(part.flip(3) if lot[0] < options.flip else part)
    pixels = torch.cat(cuts).contiguous().float()
    pixels = change_colours(pixels, colour_matrices(lots[:, 1:7], options))
    for index, (kind, lot) in enumerate(zip(kinds, lots, strict=True)):
        low, high = options.blur_radius
        if lot[7] < options.blur[kind]:
            # What is left of a lot below its chance is itself even in 0..1 once divided by it.
            pixels[index] = blurred(pixels[index], low + (high - low) * lot[7] / options.blur[kind])
        if lot[8] < options.solarise[kind]:
            crop = pixels[index]
            pixels[index] = torch.where(crop >= 255 * SOLARISE_FROM, 255 - crop, crop)
    return pixels.round_().to(torch.uint8)


def colour_matrices(lots: np.ndarray, options: CropOptions) -> tuple[np.ndarray, np.ndarray]:
    """What jitter and grey do to colours: `x -> A x + o * mean luma of the crop`.

    In YIQ saturation scales the chroma plane and hue turns it, brightness scales all, contrast scales the distance from
    the mean luma. These four commute.

    Args:
        lots: (N, 6) numbers in 0..1: whether to jitter; brightness, contrast, saturation, hue; whether to grey.

    Returns:
        (N, 3, 3) and (N,).
    """
    jitter = lots[:, 0] < options.jitter
    signed = np.where(jitter[:, None], 2 * lots[:, 1:5] - 1, 0.0)
    bright, contrast, saturation = (
        1 + signed[:, i] * reach for i, reach in enumerate((options.brightness, options.contrast, options.saturation))
    )
    turn = 2 * np.pi * options.hue * signed[:, 3]
    saturation = np.where(lots[:, 5] < options.grey, 0.0, saturation)
    middle = np.zeros((len(lots), 3, 3))
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
