"""Student, teacher and loss as one task of the training engine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from comictool import __version__
from comictool.elric.context import ContextProjection, drop_context
from comictool.elric.head import DinoHead
from comictool.elric.model import ElricNetwork, follow
from comictool.elric.objective import DinoLoss, koleo, momentum_at, teacher_temperature_at
from comictool.elric.settings import BySize, ElricConfig
from comictool.elric.validation import Validation
from comictool.plugins.dino_vit import DinoViT, ViTShape, vit_shape
from comictool.plugins.export import export_plugin
from comictool.plugins.manifest import IMAGENET_MEAN, IMAGENET_STD, InputSpec, Manifest, OutputSpec
from comictool.training.distributed import all_reduce_mean, world_size
from comictool.training.recipe import StepState, Task

LICENCE = "that of the pictures it was trained on"


class ElricTask(Task):
    """DINO with context: `student` learns, `teacher` follows it and is what is exported.

    Args:
        config: of the run.
        sizes: the values that the number of images decides.
        context_width: numbers per context vector; 0 for plain DINO.
        validation: held-out characters, if any.
    """

    def __init__(
        self, config: ElricConfig, sizes: BySize, *, context_width: int = 0, validation: Validation | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.sizes = sizes
        self.shape = shape_of(config)
        self.student = build_network(config, sizes, self.shape, context_width, drop_path=config.model.drop_path)
        self.teacher = build_network(config, sizes, self.shape, context_width, drop_path=0.0)
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.loss = DinoLoss(
            sizes.prototypes,
            student_temperature=config.loss.student_temperature,
            center_momentum=config.loss.center_momentum,
            centering=config.loss.centering,
        )
        self.validation = validation
        self._temperature = sizes.teacher_temperature

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The loss of one batch of `ElricData`, and for the log:

        `teacher_entropy`: of the teacher's mean answer over the whole batch, in nats; 0 when all go to one (collapse).
        `context_length`: mean length of what the context adds to the student's vectors; absent without context.
        """
        groups = [normalised(batch[name]) for name in ("globals", "locals") if name in batch]
        mine, theirs = self._contexts(batch)
        with torch.no_grad():
            targets = self.teacher(groups[:1], theirs)
        samples = groups[0].shape[0]
        vectors = self.student.vectors(groups)
        scores = self.student.scores(vectors, mine, len(vectors) // samples)
        loss = self.loss(scores, targets, samples=samples, teacher_temperature=self._temperature)
        if self.config.loss.koleo > 0 and samples * world_size() > 1:
            whole = vectors[: samples * groups[0].shape[1]].view(-1, samples, vectors.shape[1])
            loss = loss + self.config.loss.koleo * torch.stack([koleo(crop) for crop in whole]).mean()
        logged = {"loss": loss, "teacher_entropy": self._entropy(targets)}
        if mine is not None and self.student.context is not None:
            with torch.no_grad():
                logged["context_length"] = self.student.context(mine).float().norm(dim=1).mean()
        return logged

    def _contexts(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """What student and teacher are given."""
        if self.student.context is None:
            return None, None
        options, whole = self.config.context, batch["context"]
        dropped = drop_context(whole, batch["lots"], options.dropout) if self.training else whole
        return dropped, whole if options.dropout_of == "student" else dropped

    @torch.no_grad()
    def _entropy(self, targets: torch.Tensor) -> torch.Tensor:
        answer = torch.softmax((targets.float() - self.loss.center) / self._temperature, dim=-1).mean(dim=0)
        answer = all_reduce_mean(answer)
        return torch.special.entr(answer).sum()

    def before_batch(self, state: StepState) -> None:
        """Set the teacher's temperature, which is constant within an epoch, as published."""
        self._temperature = teacher_temperature_at(
            state.epoch,
            first=self.config.loss.teacher_temperature_first or self.sizes.teacher_temperature,
            last=self.sizes.teacher_temperature,
            warmup_epochs=self.sizes.teacher_warmup_epochs,
        )

    def before_update(self, state: StepState) -> None:
        """Leave the prototypes alone in the first epochs: they would follow a backbone that knows nothing yet."""
        if state.epoch < self.config.loss.freeze_last_layer:
            for parameter in self.student.head.last_layer.parameters():
                parameter.grad = None

    def after_update(self, state: StepState) -> None:
        """The teacher follows the student, and the centre the teacher's scores."""
        # The engine has counted the step; the published schedule gives its first value to the first step.
        progress = (state.step - 1) / max(1, state.total_steps)
        follow(self.teacher, self.student, momentum_at(progress, self.sizes.momentum))
        self.loss.update_center()

    def validate(self, state: StepState) -> dict[str, float]:
        """Figures of the teacher's vectors on held-out characters; see `Validation`."""
        if self.validation is None:
            return {}
        return self.validation.figures(self.teacher.backbone)

    def export(self, folder: Path) -> None:
        """Write the teacher's backbone as a plugin, which `embed`, `query` and the rest take."""
        export_plugin(folder, manifest_of(self.config, self.shape), self.teacher.backbone.state_dict())


def build_network(
    config: ElricConfig, sizes: BySize, shape: ViTShape, context_width: int, *, drop_path: float
) -> ElricNetwork:
    """One network. The context comes last, so that with it all other weights begin as they do without."""
    backbone = DinoViT(shape, drop_path=drop_path)
    head = DinoHead(
        shape.width, sizes.prototypes, hidden=config.model.hidden, bottleneck=config.model.bottleneck,
        free_lengths=config.model.free_lengths,
    )  # fmt: skip
    context = None
    if context_width:
        context = ContextProjection(
            context_width, shape.width, normalise=config.context.normalise, gate=config.context.gate
        )
    return ElricNetwork(backbone, head, context)


def shape_of(config: ElricConfig) -> ViTShape:
    """The transformer of a configuration; positions are for global crops."""
    model = config.model
    return vit_shape(
        model.size, width=model.width, depth=model.depth, heads=model.heads, patch_size=model.patch_size,
        image_size=config.crops.global_size,
    )  # fmt: skip


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """(B, crops, 3, H, W) uint8 to float32 with ImageNet's mean and deviation, where the pixels lie."""
    shape = (1, 1, 3, 1, 1)
    mean = torch.tensor(IMAGENET_MEAN, device=pixels.device).view(shape) * 255.0
    std = torch.tensor(IMAGENET_STD, device=pixels.device).view(shape) * 255.0
    return (pixels.float() - mean) / std


def manifest_of(config: ElricConfig, shape: ViTShape) -> Manifest:
    """What the exported plugin says of itself."""
    arguments: dict[str, Any] = {
        key: value for key, value in asdict(shape).items() if key != "mlp_ratio" or value != ViTShape.mlp_ratio
    }
    return Manifest(
        id="elric",
        version="1",
        title=f"ELRIC character vectors, context {config.context.mode}, {shape.depth} blocks of {shape.width}",
        kind="encoder",
        licence=LICENCE,
        architecture="dino_vit",
        arguments=arguments,
        input=InputSpec(
            size=(shape.image_size, shape.image_size), resize=config.model.input_resize, interpolation="bicubic"
        ),
        output=OutputSpec(shape.width, normalised=False),
        minimum_tool=__version__,
    )
