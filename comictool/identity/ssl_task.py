"""The first stage as a task of the engine: three terms over the instances of all processes, or DINO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from comictool import __version__
from comictool.identity.certain import Certainty
from comictool.identity.instances import BODY, FACE, HALVES
from comictool.identity.network import DINO_VIT, Encoder, build_backbone
from comictool.identity.pair_losses import nt_xent, vicreg
from comictool.identity.ssl_settings import SslConfig
from comictool.identity.validation import Validation
from comictool.plugins.export import export_plugin
from comictool.plugins.manifest import VECTOR, Inputs, InputSpec, Manifest, OutputSpec
from comictool.selfsup.crops import crop_major, normalised
from comictool.selfsup.head import DinoHead
from comictool.selfsup.options import BySize
from comictool.selfsup.task import DinoTask
from comictool.training.distributed import gather_rows
from comictool.training.recipe import StepState, Task

LICENCE = "that of the pictures it was trained on"
HALF = (0.5, 0.5, 0.5)


class SslTask(Task):
    """Views of a face agree, views of a body agree, and the face of an instance agrees with its body.

    A process encodes its own instances. Vectors of the backbone and not of the projector are gathered, so that the
    batch norms of the projector see the whole batch on every process. Crops that are not there take no part in
    anything: no picture stands in for them, and no row of them is gathered into a norm or a loss.

    Args:
        config: of the run.
        encoder: trained and exported.
        certain: who is known to be somebody else, for `loss.same_series`.
        validation: held-out instances, if any.
    """

    def __init__(
        self, config: SslConfig, encoder: Encoder, certain: Certainty, validation: Validation | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.certain = certain
        self.validation = validation

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The loss of one batch of `SslData`, and for the log each term, and:

        `cross_top1`: share of instances of the batch whose face is most like their own body.
        """
        rows = gather_rows(batch["rows"])
        vectors, there = self._vectors(batch)
        views = {half: vectors[half].shape[1] for half in HALVES}
        flat = [vectors[half][there[half]].flatten(0, 1) for half in HALVES]
        projected = self.encoder.projector(torch.cat(flat))
        cut = dict(zip(HALVES, projected.split([len(part) for part in flat]), strict=True))
        seen = {half: cut[half].unflatten(0, (-1, views[half])) for half in HALVES}
        loss = self.config.loss
        terms: dict[str, torch.Tensor] = {}
        for half in HALVES:
            weight = loss.face if half == FACE else loss.body
            if weight:
                terms[half] = weight * self._term(seen[half][:, 0], seen[half][:, 1], rows[there[half]])
        both = there[FACE] & there[BODY]
        faces, bodies = seen[FACE][both[there[FACE]]][:, -1], seen[BODY][both[there[BODY]]][:, -1]
        if loss.cross and loss.objective != "simclr":
            terms["cross"] = loss.cross * self._term(faces, bodies, rows[both])
        logged = {f"{name}_loss": term.detach() for name, term in terms.items()}
        return {"loss": sum(terms.values(), projected.sum() * 0.0), **logged, "cross_top1": _top1(faces, bodies)}

    def _vectors(self, batch: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The backbone's vectors of all views of all processes, (B, V, W) with zeros where a half is not there; and
        where it is, (B,) bool."""
        encoded = encode_halves(self.encoder.backbone, {half: as_input(batch[half], self.config) for half in HALVES})
        vectors, there = {}, {}
        for half in HALVES:
            own = batch[f"has_{half}"]
            whole = torch.zeros((len(own), *encoded[half].shape[1:]), dtype=torch.float32, device=own.device)
            whole[own] = encoded[half].float()
            vectors[half], there[half] = gather_rows(whole), gather_rows(own.to(torch.uint8)).bool()
        return vectors, there

    def _term(self, first: torch.Tensor, second: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The loss of one kind of pairs; 0 when there are too few to compare."""
        if len(first) < 2:
            return (first.sum() + second.sum()) * 0.0
        loss = self.config.loss
        if loss.objective == "vicreg":
            return vicreg(first, second, invariance=loss.invariance, variance=loss.variance, covariance=loss.covariance)
        ignored = None
        if loss.same_series == "ignored":
            ignored = ~self.certain.to(rows.device).different(rows)
        return nt_xent(first, second, loss.temperature, ignored)

    def validate(self, state: StepState) -> dict[str, float]:
        """Metrics of the backbone's vectors on held-out instances; see `Validation`."""
        return {} if self.validation is None else self.validation.of_backbone(self.encoder.backbone)

    def export(self, folder: Path) -> None:
        """Write the backbone as a plugin, which `embed`, `query`, `reid` and `train reid` take."""
        manifest = manifest_of(self.config, self.encoder.width)
        export_plugin(folder, manifest, self.encoder.backbone.state_dict())


class DinoNetwork(nn.Module):
    """A backbone and DINO's head, as `DinoTask` wants them."""

    def __init__(self, backbone: nn.Module, head: DinoHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head


class SslDinoTask(DinoTask):
    """DINO on the same data: every half is a sample, and where both are there face and body predict each other.

    Args:
        config: of the run.
        student, teacher: of one shape.
        width: numbers of the backbone's vectors.
        sizes: the values that the number of crops decides.
        validation: held-out instances, if any.
    """

    student: DinoNetwork
    teacher: DinoNetwork

    def __init__(
        self,
        config: SslConfig,
        student: DinoNetwork,
        teacher: DinoNetwork,
        width: int,
        sizes: BySize,
        validation: Validation | None = None,
    ) -> None:
        super().__init__(student, teacher, config.dino, sizes)
        self.config, self.width, self.validation = config, width, validation

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The loss of one batch of `SslData`; what `distilled` logs, and `cross_loss`."""
        large = {half: as_input(batch[half], self.config) for half in HALVES}
        given = [half for half in HALVES if f"{half}_locals" in batch]
        small = {half: as_input(batch[f"{half}_locals"], self.config) for half in given}
        with torch.no_grad():
            seen = encode_halves(self.teacher.backbone, large)
            targets = {half: _scores(self.teacher.head, seen[half]) for half in HALVES}
        mine = encode_halves(self.student.backbone, large)
        if small:
            locals_ = encode_halves(self.student.backbone, small)
            mine = {half: torch.cat([mine[half], locals_[half]], dim=1) for half in HALVES}
        every = torch.cat([mine[half] for half in HALVES])
        scores = {half: _scores(self.student.head, mine[half]) for half in HALVES}
        logged = self.distilled(
            crop_major(every),
            crop_major(torch.cat([scores[half] for half in HALVES])),
            crop_major(torch.cat([targets[half] for half in HALVES])),
            len(every),
        )
        both = batch["has_face"] & batch["has_body"]
        count = int(both.sum())
        if self.config.loss.cross and count:
            pairs = [both[batch[f"has_{half}"]] for half in HALVES]
            student, teacher = (
                torch.cat([found[half][own][:, 0] for half, own in zip(HALVES, pairs, strict=True)])
                for found in (scores, targets)
            )
            training, self.loss.training = self.loss.training, False  # the centre has these targets already
            cross = self.loss(student, teacher, samples=count, teacher_temperature=self._temperature)
            self.loss.training = training
            logged["loss"] = logged["loss"] + self.config.loss.cross * cross
            logged["cross_loss"] = cross.detach()
        return logged

    def validate(self, state: StepState) -> dict[str, float]:
        """Metrics of the teacher's vectors on held-out instances; see `Validation`."""
        return {} if self.validation is None else self.validation.of_backbone(self.teacher.backbone)

    def export(self, folder: Path) -> None:
        """Write the teacher's backbone as a plugin."""
        export_plugin(folder, manifest_of(self.config, self.width), self.teacher.backbone.state_dict())


def as_input(pixels: torch.Tensor, config: SslConfig) -> torch.Tensor:
    """(N, V, 3, H, W) uint8 as the encoder takes it."""
    return pixels.float() / 127.5 - 1 if config.model.normalise == "half" else normalised(pixels)


def _scores(head: DinoHead, vectors: torch.Tensor) -> torch.Tensor:
    """(N, V, W) vectors to (N, V, K) scores."""
    scores: torch.Tensor = head(vectors.flatten(0, 1))
    return scores.unflatten(0, vectors.shape[:2])


def encode_halves(backbone: nn.Module, pixels: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """(N, V, 3, H, W) views of each half to their vectors (N, V, W).

    Halves of one size go through together, so that batch norms see what they will see later: faces and bodies. A half
    that nobody has is not encoded at all.
    """
    there = [half for half in HALVES if len(pixels[half])]
    shapes = {pixels[half].shape[2:] for half in there}
    if len(shapes) == 1:
        flat = backbone(torch.cat([pixels[half].flatten(0, 1) for half in there]))
        parts = flat.split([pixels[half].shape[0] * pixels[half].shape[1] for half in there])
    else:
        parts = tuple(backbone(pixels[half].flatten(0, 1)) for half in there)
    found = {half: part.unflatten(0, pixels[half].shape[:2]) for half, part in zip(there, parts, strict=True)}
    width = parts[0].shape[1]
    none = {half: parts[0].new_zeros((0, pixels[half].shape[1], width)) for half in HALVES}
    return {half: found.get(half, none[half]) for half in HALVES}


@torch.no_grad()
def _top1(faces: torch.Tensor, bodies: torch.Tensor) -> torch.Tensor:
    if len(faces) < 2:
        return faces.new_zeros(())
    near = torch.nn.functional.normalize(faces.float(), dim=1) @ torch.nn.functional.normalize(bodies.float(), dim=1).T
    return (near.argmax(dim=1) == torch.arange(len(near), device=near.device)).float().mean()


def input_of(config: SslConfig) -> InputSpec:
    """How the exported model prepares pictures: faces too are brought to the size of bodies."""
    size = (config.body.global_size, config.body.global_size)
    if config.model.normalise == "half":
        return InputSpec(size, config.model.input_resize, "bicubic", HALF, HALF)
    return InputSpec(size, config.model.input_resize, "bicubic")


def backbone_arguments(config: SslConfig) -> dict[str, Any]:
    """What the backbone's architecture is told."""
    model, size = config.model, config.body.global_size
    if model.backbone == DINO_VIT:
        shape = {"width": model.width, "depth": model.depth, "heads": model.heads, "patch_size": model.patch_size}
        return {**shape, "image_size": size}
    return {"img_size": size} if "vit" in model.backbone else {}


def make_backbone(config: SslConfig) -> nn.Module:
    """The backbone of a configuration."""
    return build_backbone(config.model.backbone, backbone_arguments(config))


def manifest_of(config: SslConfig, width: int) -> Manifest:
    """What the exported plugin says of itself."""
    return Manifest(
        id="ssl",
        version="1",
        title=f"characters by {config.loss.objective} self-supervision, {config.model.backbone}",
        kind="encoder",
        licence=LICENCE,
        architecture=config.model.backbone,
        arguments=backbone_arguments(config),
        input=Inputs(input_of(config)),
        output={VECTOR: OutputSpec(width, normalised=False)},
        minimum_tool=__version__,
    )
