"""The declaration of `train reid` and its configuration, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from comictool.core.errors import UsageError
from comictool.identity.data_options import DataOptions
from comictool.selfsup.options import CropOptions
from comictool.training.declaration import Recipe, Source
from comictool.training.options import TrainingOptions


@dataclass(frozen=True)
class ModelOptions:
    """What stands on the encoder.

    Attributes:
        tune: none leaves the encoder as it is, computes the vectors of all crops once and trains in seconds; all trains
            it too. Its batch norms stay as they are in both.
        fusion: of face and body: sum (as published), mean, weights (a trained share of each number) or attention.
        missing: of a half that is not there: left-out, or token, a trained vector in its place.
        dimension: of the identity vectors.
        half: what a single picture shows that the exported model is given: body or face.
    """

    tune: Literal["none", "all"] = "none"
    fusion: Literal["sum", "mean", "weights", "attention"] = "sum"
    missing: Literal["left-out", "token"] = "left-out"
    dimension: int = 256
    half: Literal["body", "face"] = "body"


@dataclass(frozen=True)
class LossOptions:
    """What is learned from names (all by pytorch-metric-learning).

    Attributes:
        kind: contrastive, triplet, multi-similarity, arcface or supcon.
        miner: which pairs or triplets count: all, multi-similarity, or semihard and hard triplets.
        margin: of triplet; of contrastive, between negatives.
        epsilon: of the multi-similarity miner.
        temperature: of supcon.
        negatives: certain takes two instances of one series for negatives only where they are known to be two people
            (one panel, one annotated sequence); all takes every other name; auto is certain for the published
            annotations, whose names may be one person, and all for others.
    """

    kind: Literal["contrastive", "triplet", "multi-similarity", "arcface", "supcon"] = "triplet"
    miner: Literal["all", "multi-similarity", "semihard", "hard"] = "multi-similarity"
    margin: float = 0.2
    epsilon: float = 0.2
    temperature: float = 0.1
    negatives: Literal["auto", "certain", "all"] = "auto"


@dataclass(frozen=True)
class BatchOptions:
    """What a batch is made of.

    Attributes:
        sampler: series (some identities of a series, then of the next), classes (identities of any series) or random.
        per_class: instances of an identity.
        classes_per_series: identities of a series that follow each other.
        views: with a frozen encoder, changed views of each crop besides itself whose vectors are kept. 0: none.
        drop_half: of an instance with both halves, how often a batch sees one of them alone.
    """

    sampler: Literal["series", "classes", "random"] = "series"
    per_class: int = 4
    classes_per_series: int = 4
    views: int = 4
    drop_half: float = 0.0


@dataclass(frozen=True)
class ReidConfig:
    """Everything that a run depends on besides its data and the encoder."""

    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(
            epochs=20,
            batch_size=128,
            learning_rate=7.5e-4,
            minimum_learning_rate=2.7e-4,
            warmup_epochs=0,
            weight_decay=0.05,
            clip_norm=0.5,
            patience=5,
        )
    )
    model: ModelOptions = field(default_factory=ModelOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    batches: BatchOptions = field(default_factory=BatchOptions)
    crops: CropOptions = field(
        default_factory=lambda: CropOptions(global_scale=(0.5, 1.0), local_count=0, hue=0.0, blur=(0.1, 0.1, 0.1))
    )
    data: DataOptions = field(default_factory=DataOptions)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            UsageError: values out of range, or that do not fit each other.
        """
        if not 0 <= self.batches.drop_half <= 1:
            raise UsageError(f"batches.drop_half is {self.batches.drop_half}: a probability is in 0 .. 1")
        if self.batches.per_class < 2 or self.batches.classes_per_series < 1 or self.batches.views < 0:
            raise UsageError("batches: per_class is 2 or more, classes_per_series 1 or more, views 0 or more")
        if self.model.dimension < 1:
            raise UsageError(f"model.dimension is {self.model.dimension}: it must be at least 1")
        if self.loss.kind == "arcface" and self.loss.miner != "all":
            raise UsageError("loss.miner is not for arcface, which compares with classes", hint="--set loss.miner=all")
        if self.loss.kind == "supcon" and self.loss.miner in ("semihard", "hard"):
            raise UsageError(f"loss.miner {self.loss.miner} gives triplets; supcon takes pairs")
        if self.loss.temperature <= 0:
            raise UsageError(f"loss.temperature is {self.loss.temperature}: it must be above 0")


SETUP_9: Mapping[str, Any] = {}
"""comic_char_reid's triplets of margin .2 by the multi-similarity miner; most likely those of its released model."""

SETUP_7: Mapping[str, Any] = {"loss": {"kind": "contrastive", "miner": "all", "margin": 1.0}}
"""The one that it documents as final."""

TINY: Mapping[str, Any] = {
    "training": {
        "epochs": 30,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "minimum_learning_rate": 1e-5,
        "precision": "fp32",
        "patience": 0,
        "validate_every": 5,
    },
    "model": {"fusion": "mean"},
    "loss": {"kind": "supcon", "miner": "all"},
    "crops": {"jitter": 0.5, "grey": 0.0, "blur": (0.0, 0.0, 0.0)},
}
"""Seconds on two processor cores with a frozen encoder; with model.tune=all a minute or two."""

PRESETS: Mapping[str, Mapping[str, Any]] = {"setup9": SETUP_9, "setup7": SETUP_7, "tiny": TINY}


def next_commands(sources: Mapping[str, Path], run: Path) -> list[str]:
    """What takes the model."""
    data = sources["data"]
    return [
        f"comictool features backbone {data} --level character --plugin {run}/model -o CHARACTER_FEATURES",
        f"comictool reid classify PICTURES --plugin {run}/model --gallery GALLERY -o SORTED",
    ]


RECIPE = Recipe(
    name="reid",
    summary="Train identity vectors of characters from names: face, body or both to one vector.",
    details="Presets: setup9 and setup7 as published by comic_char_reid; tiny, on small corpora.\n"
    "Every command takes the model as --plugin.",
    example="comictool train reid corpus --encoder runs/ssl/model --preset tiny -o runs/reid",
    config=ReidConfig,
    presets=PRESETS,
    sources=[
        Source("data", "A corpus with named characters, or the published files.", "INSTANCES"),
        Source("encoder", "Plugin of faces and bodies, such as the model of `train ssl`.", flag="--encoder"),
        Source("weights", "Published checkpoint of the second stage to begin from.", flag="--weights"),
        Source("validation", "Another place for held-out instances.", "INSTANCES", "--validation"),
    ],
    options={"--fusion": "model.fusion", "--loss": "loss.kind"},
    prepare="comictool.identity.reid_train:prepare",
    monitor="map_at_r",
    next_commands=next_commands,
)
