"""Student, teacher and loss as one task of the training engine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from comictool import __version__
from comictool.elric.context import ContextProjection, drop_context
from comictool.elric.model import ElricNetwork
from comictool.elric.settings import ElricConfig
from comictool.elric.validation import Validation
from comictool.plugins.dino_vit import DinoViT, ViTShape, vit_shape
from comictool.plugins.export import export_plugin
from comictool.plugins.manifest import VECTOR, Inputs, InputSpec, Manifest, OutputSpec
from comictool.selfsup.crops import normalised
from comictool.selfsup.head import DinoHead
from comictool.selfsup.options import BySize
from comictool.selfsup.task import DinoTask
from comictool.training.recipe import StepState

LICENCE = "that of the pictures it was trained on"


class ElricTask(DinoTask):
    """DINO with context: `student` learns, `teacher` follows it and is what is exported.

    Args:
        config: of the run.
        sizes: the values that the number of images decides.
        context_width: numbers per context vector; 0 for plain DINO.
        validation: held-out characters, if any.
    """

    student: ElricNetwork
    teacher: ElricNetwork

    def __init__(
        self, config: ElricConfig, sizes: BySize, *, context_width: int = 0, validation: Validation | None = None
    ) -> None:
        shape = shape_of(config)
        student = build_network(config, sizes, shape, context_width, drop_path=config.model.drop_path)
        teacher = build_network(config, sizes, shape, context_width, drop_path=0.0)
        super().__init__(student, teacher, config.loss, sizes)
        self.config, self.shape = config, shape
        self.validation = validation

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The loss of one batch of `ElricData`, and for the log what `distilled` gives and:

        `context_length`: mean length of what the context adds to the student's vectors; absent without context.
        """
        groups = [normalised(batch[name]) for name in ("globals", "locals") if name in batch]
        mine, theirs = self._contexts(batch)
        with torch.no_grad():
            targets = self.teacher(groups[:1], theirs)
        samples = groups[0].shape[0]
        vectors = self.student.vectors(groups)
        scores = self.student.scores(vectors, mine, len(vectors) // samples)
        logged = self.distilled(vectors, scores, targets, samples)
        if mine is not None and self.student.context is not None:
            with torch.no_grad():
                logged["context_length"] = self.student.context(mine).float().norm(dim=1).mean()
        return logged

    def _contexts(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """What student and teacher are given."""
        if self.student.context is None:
            return None, None
        options, whole = self.config.context, batch["context"]
        dropped = drop_context(whole, batch["draws"], options.dropout) if self.training else whole
        return dropped, whole if options.dropout_of == "student" else dropped

    def validate(self, state: StepState) -> dict[str, float]:
        """Metrics of the teacher's vectors on held-out characters; see `Validation`."""
        if self.validation is None:
            return {}
        return self.validation.metrics(self.teacher.backbone)

    def export(self, folder: Path) -> None:
        """Write the teacher's backbone as a plugin, which `embed`, `query` and the rest take."""
        export_plugin(folder, manifest_of(self.config, self.shape), self.teacher.backbone.state_dict())


def build_network(
    config: ElricConfig, sizes: BySize, shape: ViTShape, context_width: int, *, drop_path: float
) -> ElricNetwork:
    """One network. The context comes last, so that with it all other weights begin as they do without."""
    backbone = DinoViT(shape, drop_path=drop_path)
    head = DinoHead(
        shape.width,
        sizes.prototypes,
        hidden=config.model.hidden,
        bottleneck=config.model.bottleneck,
        free_lengths=config.model.free_lengths,
        batch_norm=config.model.batch_norm,
    )
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
        model.size,
        width=model.width,
        depth=model.depth,
        heads=model.heads,
        patch_size=model.patch_size,
        image_size=config.crops.global_size,
    )


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
        input=Inputs(
            InputSpec((shape.image_size, shape.image_size), resize=config.model.input_resize, interpolation="bicubic")
        ),
        output={VECTOR: OutputSpec(shape.width, normalised=False)},
        minimum_tool=__version__,
    )
