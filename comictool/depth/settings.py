"""The declaration of `train depth` and its configuration, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from comictool.core.errors import UsageError
from comictool.training.declaration import Recipe, Source
from comictool.training.options import SplitOptions, TrainingOptions

MULTIPLE = 32  # of pixels: the coarsest map of the usual backbones is a thirty-second of the picture


@dataclass(frozen=True)
class ModelOptions:
    """The network.

    Attributes:
        kind: dense (a map of every panel), segment (inter and intra of every segment of a panel, in one pass) or cnn
            (the released page network, for comparison; it sees no segments).
        backbone: an architecture of timm whose layers give maps of channels, height and width.
        taps: layers of it by name, from fine to coarse, each at half the size of the one before; nothing after the
            last is computed or has weights.
        width: channels of the decoder.
        heads, layers: of the attention between the segments of a panel.
        hidden: width of a segment's vector.
        levels: ordinal steps of the loss `ordinal`; a rank beyond them counts as the last.
        side: a panel is scaled to about this many pixels squared, its aspect kept but for whole multiples of 32.
        frozen: of the taps, how many first ones keep the backbone's own weights up to there.
        backbone_rate: learning rate of the backbone, as a share of that of the rest.
    """

    kind: Literal["dense", "segment", "cnn"] = "dense"
    backbone: str = "tf_efficientnet_lite0"
    taps: tuple[str, ...] = ("blocks.1", "blocks.2", "blocks.4", "blocks.5")
    width: int = 64
    heads: int = 4
    layers: int = 2
    hidden: int = 128
    levels: int = 8
    side: int = 224
    frozen: int = 0
    backbone_rate: float = 0.1


@dataclass(frozen=True)
class LossOptions:
    """Weights of the terms; 0 leaves one out.

    Attributes:
        invariant: of maps, up to scale and shift of each panel (MiDaS, arXiv:1907.01341).
        trim: share of the largest residuals that `invariant` leaves out.
        gradient: of maps, differences of neighbours on several scales, aligned the same way.
        direct: of maps, the plain distance to the truth in 0 .. 1.
        points: of maps, the order of pairs of points (DIW, arXiv:1604.03901).
        pairs: how many pairs of points a panel.
        least_gap: of depth between two points that count as ordered.
        regression: of segments, squared (or Huber) distance to inter and intra.
        huber: distance from which `regression` grows linearly. 0: squared everywhere.
        ordinal: of segments, cumulative links with an open top (CORN, arXiv:2111.08851).
        pairwise: of segments, the order of every pair of a panel.
        listwise: of segments, the order of all of a panel (ListMLE, Xia and others 2008).
        intra: weight of intra beside inter in each term of segments.
        balloons: what lies under lettering: ignored, since the scene behind it cannot be seen, or learned.
    """

    invariant: float = 1.0
    trim: float = 0.1
    gradient: float = 0.5
    direct: float = 0.5
    points: float = 1.0
    pairs: int = 512
    least_gap: float = 0.02
    regression: float = 1.0
    huber: float = 1.0
    ordinal: float = 0.5
    pairwise: float = 1.0
    listwise: float = 0.2
    intra: float = 1.0
    balloons: Literal["ignored", "learned"] = "ignored"


@dataclass(frozen=True)
class ChangeOptions:
    """What is changed about the panels that are trained on; chances are 0 .. 1.

    Attributes:
        crop: least share of a map's panel that is cut out and enlarged; segments are never cut.
        flip: left for right.
        recolour: every colour becomes another, near ones near ones.
        jitter: brightness, contrast, saturation and hue.
        grey: colours go.
        lines: only the lines stay, on paper.
        screentone: half tones become dots.
        paper: yellowed, spotted paper shows through.
        scan: noise and blur.
    """

    crop: float = 0.35
    flip: float = 0.5
    recolour: float = 0.3
    jitter: float = 0.6
    grey: float = 0.15
    lines: float = 0.1
    screentone: float = 0.1
    paper: float = 0.25
    scan: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what is no chance.

        Raises:
            UsageError: a value outside 0 .. 1.
        """
        for name, value in vars(self).items():
            if not 0 <= value <= 1 or (name == "crop" and value == 0):
                raise UsageError(f"changes.{name} is {value}: it must be in 0 .. 1")


@dataclass(frozen=True)
class DataOptions(SplitOptions):
    """Which panels.

    Attributes:
        held_out: of a corpus that was never split, the share of its series that is validated on.
        held_out_styles: the comics drawn in these styles are validated on instead.
        min_side: least pixels on the shorter side of a panel.
        most_segments: of one panel in training; more are drawn from anew each time.
        shuffled: labels are dealt out anew among the samples, which nothing can be learned from: a check.
    """

    held_out: float = 0.1
    held_out_styles: tuple[str, ...] = ()
    min_side: int = 48
    most_segments: int = 48
    shuffled: bool = False
    cache: int = 2048


@dataclass(frozen=True)
class DepthConfig:
    """Everything that a run depends on besides its data."""

    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(
            epochs=40,
            batch_size=16,
            learning_rate=1e-3,
            minimum_learning_rate=1e-5,
            warmup_epochs=1,
            weight_decay=0.01,
            clip_norm=1.0,
            patience=8,
        )
    )
    model: ModelOptions = field(default_factory=ModelOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    changes: ChangeOptions = field(default_factory=ChangeOptions)
    data: DataOptions = field(default_factory=DataOptions)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            UsageError: values out of range, or that do not fit each other.
        """
        model, loss = self.model, self.loss
        if model.side < 2 * MULTIPLE or model.side % MULTIPLE:
            raise UsageError(
                f"model.side is {model.side}: it must be a multiple of {MULTIPLE}, at least {2 * MULTIPLE}"
            )
        if len(model.taps) < 2 or not 0 <= model.frozen <= len(model.taps):
            raise UsageError("model.taps names two layers at least, and model.frozen counts among them")
        if model.hidden % model.heads:
            raise UsageError(f"model.hidden {model.hidden} does not divide by model.heads {model.heads}")
        if model.levels < 2:
            raise UsageError(f"model.levels is {model.levels}: it must be at least 2")
        for name in ("invariant", "gradient", "direct", "points", "regression", "ordinal", "pairwise", "listwise"):
            if getattr(loss, name) < 0:
                raise UsageError(f"loss.{name} is {getattr(loss, name)}: a weight is 0 or more")
        if not 0 <= loss.trim < 1:
            raise UsageError(f"loss.trim is {loss.trim}: it must be at least 0 and below 1")
        if not 0 <= self.data.held_out < 1:
            raise UsageError(f"data.held_out is {self.data.held_out}: it must be at least 0 and below 1")


SMALL: Mapping[str, Any] = {
    "training": {"epochs": 4, "learning_rate": 2e-3, "warmup_epochs": 0.3, "validate_every": 2, "precision": "fp32"},
    "model": {"frozen": 3, "side": 192},
}
"""What the shipped `depth_small` was trained by: begins from `--weights plugins/comic_small/backbone`, half of which
stays as it is, which halves the time."""

TINY: Mapping[str, Any] = {
    "training": {"epochs": 12, "batch_size": 8, "learning_rate": 3e-3, "precision": "fp32", "workers": 0},
    "model": {"backbone": "resnet10t", "taps": ("layer1", "layer2", "layer3"), "width": 16, "side": 64, "hidden": 32,
              "layers": 1, "backbone_rate": 1.0},
    "changes": {"recolour": 0.0, "lines": 0.0, "screentone": 0.0, "paper": 0.0, "jitter": 0.0, "grey": 0.0,
                "scan": 0.0},
    "loss": {"pairs": 128},
}  # fmt: skip
"""A minute on one core, from nothing."""

PAPER: Mapping[str, Any] = {
    "training": {
        "epochs": 30,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "minimum_learning_rate": 0.0,
        "schedule": "constant",
        "warmup_epochs": 0,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
        "patience": 5,
    },
    "model": {"kind": "cnn"},
    "loss": {"huber": 0.0, "ordinal": 0.0, "pairwise": 0.0, "listwise": 0.0},
    "changes": {"flip": 0.0, "recolour": 0.0, "jitter": 0.0, "grey": 0.0, "lines": 0.0, "screentone": 0.0,
                "paper": 0.0, "scan": 0.0},
    "data": {"held_out": 0.2},
}  # fmt: skip
"""The released page network and its settings (MSE of both, Adam's rate of 1e-3, batches of 32), with labels that
belong to their pages: it learns the mean of a page's segments, which is all that it can answer."""

PRESETS: Mapping[str, Mapping[str, Any]] = {"small": SMALL, "tiny": TINY, "paper": PAPER}


def next_commands(sources: Mapping[str, Path], run: Path) -> list[str]:
    """What takes the model."""
    return [f"comictool depth predict PAGE --plugin {run}/model -o DEPTH"]


RECIPE = Recipe(
    name="depth",
    summary="Train a network that says how far things in a panel are.",
    details="From drawn comics with maps (data draw), or from segments with inter and intra ranks (AI4VA's COCO).\n"
    "--model dense gives maps, --model segment ranks of segments. Presets: small, what the shipped depth_small was\n"
    "trained by; tiny, a minute on one core; paper, the released page network for comparison.",
    example="comictool train depth drawn --preset tiny -o runs/depth",
    config=DepthConfig,
    presets=PRESETS,
    sources=[
        Source("data", "A corpus with depth maps or ranked segments.", "CORPUS"),
        Source("weights", "A plugin of depth or of the backbone to begin from, or its file.", flag="--weights"),
        Source("validation", "Another corpus for held-out panels.", "CORPUS", "--validation"),
    ],
    options={"--model": "model.kind"},
    prepare="comictool.depth.train:prepare",
    monitor="pairwise",
    next_commands=next_commands,
)
