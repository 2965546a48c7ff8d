"""Settings of self-supervised recipes, without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from comictool.core.errors import UsageError

# Prototypes for less than so many images; more get 65,536 (lightly-train's rule for DINO, documentation of 2025).
PROTOTYPES = ((20_000, 1024), (50_000, 2048), (100_000, 4096), (200_000, 16_384), (500_000, 32_768))
MOST_PROTOTYPES = 65_536  # DINO's own, for 1.28 million images
SMALL_DATA, LARGE_DATA = 20_000, 1_000_000  # images between which temperature and momentum go over
TEACHER_TEMPERATURES = (0.02, 0.07)
MOMENTA = (0.99, 0.996)


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
        jitter: change brightness, contrast, saturation and hue. All four act linearly, so their order does not matter.
        brightness, contrast, saturation: with `jitter`, changed by up to this factor.
        hue: with `jitter`, turned by up to this part of the circle, in the chroma plane of YIQ.
        grey: take the colour away.
        blur: Gaussian; for the first global crop, the other global ones, and the local ones.
        blur_radius: least and largest standard deviation of the blur, in pixels of the crop.
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


@dataclass(frozen=True)
class DinoOptions:
    """The objective and the teacher (DINO, arXiv:2104.14294).

    Attributes:
        student_temperature: of the student's softmax.
        teacher_temperature: of the teacher's, after the warm-up. 0: by the number of images.
        teacher_temperature_first: at the start. 0: the same as after it.
        teacher_warmup_epochs: of the temperature.
        momentum: of the teacher at the start, on its way to 1. 0: by the number of images.
        center_momentum: of the moving mean that the teacher's scores are centred by.
        centering: mean (DINO) or sinkhorn (DINOv2).
        freeze_last_layer: epochs in which the prototypes are not trained.
        koleo: weight of the term that spreads the vectors of a batch (DINOv2 has 0.1); DINO and ELRIC have none.
    """

    student_temperature: float = 0.1
    teacher_temperature: float = 0.0
    teacher_temperature_first: float = 0.0
    teacher_warmup_epochs: float = 0.0
    momentum: float = 0.0
    center_momentum: float = 0.9
    centering: Literal["mean", "sinkhorn"] = "mean"
    freeze_last_layer: int = 1
    koleo: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            UsageError: a value out of its range.
        """
        if not 0 <= self.momentum <= 1 or not 0 <= self.center_momentum <= 1:
            raise UsageError("loss: a momentum is in 0 .. 1")
        if min(self.teacher_temperature, self.teacher_temperature_first) < 0:
            raise UsageError("loss: a temperature is above 0 (0: by the number of images)")
        if self.koleo < 0:
            raise UsageError(f"loss.koleo is {self.koleo}: it must be at least 0")
        if self.student_temperature <= 0:
            raise UsageError(f"loss.student_temperature is {self.student_temperature}: it must be above 0")


@dataclass(frozen=True)
class BySize:
    """What the number of images decides, once the automatic values are filled in."""

    prototypes: int
    teacher_temperature: float
    momentum: float
    teacher_warmup_epochs: float


def by_size(images: int, options: DinoOptions, *, prototypes: int, epochs: int) -> BySize:
    """Fill in the automatic values.

    65,536 prototypes for a few thousand pictures leave nearly all of them unused, and a teacher that averages over ten
    times as many steps as an epoch has hardly moves. Between 20,000 and 1,000,000 images the values go over evenly to
    those for large data; the temperature's warm-up takes at most three tenths of the run.
    """
    share = min(1.0, max(0.0, (images - SMALL_DATA) / (LARGE_DATA - SMALL_DATA)))
    usual = next((count for below, count in PROTOTYPES if images < below), MOST_PROTOTYPES)
    return BySize(
        prototypes or usual,
        options.teacher_temperature or _between(TEACHER_TEMPERATURES, share),
        options.momentum or _between(MOMENTA, share),
        min(options.teacher_warmup_epochs, 0.3 * epochs),
    )


def _between(ends: tuple[float, float], share: float) -> float:
    return round(ends[0] + (ends[1] - ends[0]) * share, 5)
