"""Self-distillation as a task of the engine: a student learns, its moving average teaches (DINO, arXiv:2104.14294)."""

from __future__ import annotations

import torch
from torch import nn

from comictool.selfsup.dino import DinoLoss, koleo, momentum_at, teacher_temperature_at
from comictool.selfsup.options import BySize, DinoOptions
from comictool.training.distributed import all_reduce_mean, world_size
from comictool.training.recipe import StepState, Task


class DinoTask(Task):
    """What recipes with DINO's objective share; each has its own `forward`, which ends in `distilled`.

    Args:
        student: with a `DinoHead` as `head`.
        teacher: of the same shape; it begins as the student, and is what is exported.
        options: of the objective.
        sizes: the values that the number of images decides.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, options: DinoOptions, sizes: BySize) -> None:
        super().__init__()
        self.options = options
        self.sizes = sizes
        self.student = student
        self.teacher = teacher
        teacher.load_state_dict(student.state_dict())
        teacher.requires_grad_(False)
        self.loss = DinoLoss(
            sizes.prototypes,
            student_temperature=options.student_temperature,
            center_momentum=options.center_momentum,
            centering=options.centering,
        )
        self._temperature = sizes.teacher_temperature

    def distilled(
        self, vectors: torch.Tensor, scores: torch.Tensor, targets: torch.Tensor, samples: int
    ) -> dict[str, torch.Tensor]:
        """The loss of a batch, and for the log:

        `teacher_entropy`: of the teacher's mean answer over the whole batch, in nats; 0 when all go to one (collapse).

        Args:
            vectors: (S * B, D) of the student's backbone for all crops, crop-major, the teacher's crops first.
            scores: (S * B, K) of the student.
            targets: (T * B, K) of the teacher.
            samples: B.
        """
        loss = self.loss(scores, targets, samples=samples, teacher_temperature=self._temperature)
        if self.options.koleo > 0 and samples * world_size() > 1:
            whole = vectors[: len(targets)].view(-1, samples, vectors.shape[1])
            loss = loss + self.options.koleo * torch.stack([koleo(crop) for crop in whole]).mean()
        return {"loss": loss, "teacher_entropy": self._entropy(targets)}

    @torch.no_grad()
    def _entropy(self, targets: torch.Tensor) -> torch.Tensor:
        answer = torch.softmax((targets.float() - self.loss.center) / self._temperature, dim=-1).mean(dim=0)
        return torch.special.entr(all_reduce_mean(answer)).sum()

    def before_batch(self, state: StepState) -> None:
        """Set the teacher's temperature, which is constant within an epoch, as published."""
        self._temperature = teacher_temperature_at(
            state.epoch,
            first=self.options.teacher_temperature_first or self.sizes.teacher_temperature,
            last=self.sizes.teacher_temperature,
            warmup_epochs=self.sizes.teacher_warmup_epochs,
        )

    def before_update(self, state: StepState) -> None:
        """Leave the prototypes alone in the first epochs: they would follow a backbone that knows nothing yet."""
        if state.epoch < self.options.freeze_last_layer:
            for parameter in self.student.head.last_layer.parameters():  # type: ignore[union-attr]
                parameter.grad = None

    def after_update(self, state: StepState) -> None:
        """The teacher follows the student, and the centre the teacher's scores."""
        # The engine has counted the step; the published schedule gives its first value to the first step.
        progress = (state.step - 1) / max(1, state.total_steps)
        update_teacher(self.teacher, self.student, momentum_at(progress, self.sizes.momentum))
        self.loss.update_center()


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move every parameter of the teacher towards the student's: `t <- m t + (1 - m) s` (DINO, section 3.1)."""
    mine, theirs = ([parameter.detach() for parameter in net.parameters()] for net in (teacher, student))
    torch._foreach_mul_(mine, momentum)
    torch._foreach_add_(mine, theirs, alpha=1.0 - momentum)
