"""The declaration of `train ssl` and its configuration, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from comictool.core.errors import UsageError
from comictool.identity.data_options import DataOptions
from comictool.selfsup.options import CropOptions, DinoOptions
from comictool.training.declaration import Recipe, Source
from comictool.training.options import TrainingOptions


@dataclass(frozen=True)
class ModelOptions:
    """The encoder, one for faces and bodies, and what stands behind it while it is trained.

    Attributes:
        backbone: any architecture of timm (`timm:resnet50`), or `dino_vit` of the size below.
        width, depth, heads: of `dino_vit`; other backbones have their own.
        patch_size: of `dino_vit`, in pixels.
        hidden: width of the projector's two hidden layers.
        projection: numbers that the losses compare.
        prototypes: of the objective dino. 0: by the number of crops.
        normalise: what pixels are brought to: imagenet's mean and deviation, or half (.5 each, as published).
        input_resize: how the exported model fits pictures in.
    """

    backbone: str = "timm:resnet50"
    width: int = 64
    depth: int = 3
    heads: int = 2
    patch_size: int = 8
    hidden: int = 2048
    projection: int = 128
    prototypes: int = 0
    normalise: Literal["imagenet", "half"] = "imagenet"
    input_resize: Literal["squash", "pad", "crop"] = "squash"


@dataclass(frozen=True)
class LossOptions:
    """What is learned from.

    Attributes:
        objective: identity (views of a face agree, views of a body, and the face with its body), simclr (the first two
            alone), vicreg (the same three pairs by VICReg, without negatives) or dino (a teacher; face and body of one
            instance predict each other).
        temperature: of the softmax over similarities.
        face, body, cross: weights of the three terms.
        cross_views: what the face-to-body term compares: weakly changed crops of their own, as published, or the
            strongly changed ones that are there already (strong), which takes a third less time.
        weak_scale: share of a weakly changed crop's area that is kept.
        same_series: what two instances of one series are, of which nobody knows whether they are one person: negatives
            (as published) or ignored. Two in one panel are always negatives.
        invariance, variance, covariance: weights of VICReg's terms.
    """

    objective: Literal["identity", "simclr", "vicreg", "dino"] = "identity"
    temperature: float = 0.07
    face: float = 1.0
    body: float = 1.0
    cross: float = 1.0
    cross_views: Literal["weak", "strong"] = "weak"
    weak_scale: tuple[float, float] = (0.5, 1.0)
    same_series: Literal["negatives", "ignored"] = "negatives"
    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0


@dataclass(frozen=True)
class SslConfig:
    """Everything that a run depends on besides its data."""

    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(
            epochs=500,
            batch_size=640,
            learning_rate=5e-4,
            minimum_learning_rate=1e-5,
            warmup_epochs=0,
            weight_decay=0.01,
            clip_norm=0.5,
            validate_every=5,
        )
    )
    model: ModelOptions = field(default_factory=ModelOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    dino: DinoOptions = field(default_factory=DinoOptions)
    face: CropOptions = field(
        default_factory=lambda: CropOptions(global_size=96, global_scale=(0.2, 1.0), local_count=0, local_size=48)
    )
    body: CropOptions = field(
        default_factory=lambda: CropOptions(global_size=128, global_scale=(0.2, 1.0), local_count=0, local_size=48)
    )
    data: DataOptions = field(default_factory=DataOptions)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            UsageError: values out of range, or that do not fit each other.
        """
        if self.loss.temperature <= 0:
            raise UsageError(f"loss.temperature is {self.loss.temperature}: it must be above 0")
        if min(self.loss.face, self.loss.body, self.loss.cross) < 0:
            raise UsageError("loss: a weight is 0 or more")
        low, high = self.loss.weak_scale
        if not 0 < low <= high <= 1:
            raise UsageError(f"loss.weak_scale is {[low, high]}: it must be a rising pair in 0 .. 1")
        if min(self.face.global_count, self.body.global_count) < 2:
            raise UsageError("face.global_count, body.global_count: two views of a crop are compared, so at least 2")
        if self.loss.objective == "dino" and self.face.local_count != self.body.local_count:
            raise UsageError("face.local_count and body.local_count differ: dino compares crop by crop")
        if self.model.backbone == "dino_vit":
            for name, crops in (("face", self.face), ("body", self.body)):
                if crops.global_size % self.model.patch_size:
                    raise UsageError(
                        f"{name}.global_size {crops.global_size} is no whole number of patches of "
                        f"{self.model.patch_size}"
                    )


JITTER: Mapping[str, Any] = {"flip": 0.5, "brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.1}
PUBLISHED: Mapping[str, Any] = {
    **JITTER,
    "global_scale": (0.08, 1.0),
    "keep_shape": False,
    "min_source": 1,
    "blur": (1.0, 1.0, 1.0),
    "solarise": (0.0, 0.0, 0.0),
}
PAPER: Mapping[str, Any] = {"model": {"normalise": "half"}, "face": PUBLISHED, "body": PUBLISHED}
"""comic_char_reid's published settings: batches of 320 on each of two GPUs, whose negatives are here those of both."""

VIT: Mapping[str, Any] = {
    "model": {"backbone": "timm:vit_small_patch16_224"},
    "face": {"global_size": 128},
    "body": {"global_size": 128},
    "training": {"weight_decay": 0.05, "warmup_epochs": 10},
}

_TINY_CROPS: Mapping[str, Any] = {
    "global_size": 32,
    "global_scale": (0.25, 1.0),
    "local_size": 16,
    "brightness": 0.1,
    "contrast": 0.1,
    "saturation": 0.1,
    "hue": 0.0,
    "grey": 0.0,
    "blur": (0.0, 0.0, 0.0),
    "solarise": (0.0, 0.0, 0.0),
}
TINY: Mapping[str, Any] = {
    "training": {
        "epochs": 20,
        "batch_size": 128,
        "learning_rate": 2e-3,
        "minimum_learning_rate": 1e-5,
        "warmup_epochs": 1,
        "weight_decay": 0.05,
        "validate_every": 10,
        "precision": "fp32",
    },
    "model": {"backbone": "dino_vit", "hidden": 256, "projection": 64, "prototypes": 512},
    "loss": {"cross_views": "strong", "temperature": 0.1},
    "dino": {"teacher_temperature": 0.03, "momentum": 0.98, "koleo": 0.2},
    "face": {**_TINY_CROPS, "min_source": 8},
    "body": _TINY_CROPS,
}
"""Two minutes on two processor cores, on about a thousand instances. Colours tell drawn characters apart: hue stays,
and with half the jitter the body alone found 5 of 100 more on the drawn comics of the tuning."""

PRESETS: Mapping[str, Mapping[str, Any]] = {"paper": PAPER, "vit": VIT, "tiny": TINY}


def next_commands(sources: Mapping[str, Path], run: Path) -> list[str]:
    """The second stage, and what takes the model as it is."""
    data = sources["data"]
    return [
        f"comictool train reid {data} --encoder {run}/model -o RUN",
        f"comictool features backbone {data} --level character --plugin {run}/model -o CHARACTER_FEATURES",
    ]


RECIPE = Recipe(
    name="ssl",
    summary="Train an encoder of faces and bodies without names: identity-aware SimCLR.",
    details="Presets: paper, a ResNet-50 as published; vit, a ViT-S; tiny, two minutes on two cores.\n"
    "Every command takes the model as --plugin; train reid learns who is who on top of it.",
    example="comictool train ssl corpus --preset tiny -o runs/ssl",
    config=SslConfig,
    presets=PRESETS,
    sources=[
        Source("data", "A corpus with boxes of characters, or the published files.", "INSTANCES"),
        Source("weights", "Checkpoint to begin from: one of the published, or of any backbone.", flag="--weights"),
        Source("validation", "Another place for held-out instances.", "INSTANCES", "--validation"),
    ],
    options={"--objective": "loss.objective"},
    prepare="comictool.identity.ssl_train:prepare",
    monitor="rank1",
    next_commands=next_commands,
)
