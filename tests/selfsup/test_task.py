"""A second recipe on the same parts: plain DINO of a linear backbone, in a few lines."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from comictool.selfsup.crops import crop_major
from comictool.selfsup.dino import momentum_at
from comictool.selfsup.head import DinoHead
from comictool.selfsup.options import BySize, DinoOptions
from comictool.selfsup.task import DinoTask
from comictool.training.recipe import StepState
from tests.selfsup.test_dino import loop_over_pairs

SAMPLES, CROPS, LARGE, PIXELS, PROTOTYPES = 5, 6, 2, 7, 12


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(PIXELS, 4)
        self.head = DinoHead(4, PROTOTYPES, hidden=8, bottleneck=3)

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        vectors = self.backbone(rows)
        return vectors, self.head(vectors)


class Plain(DinoTask):
    def forward(self, batch: Any) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            _, targets = self.teacher(crop_major(batch[:, :LARGE]))
        vectors, scores = self.student(crop_major(batch))
        return self.distilled(vectors, scores, targets, len(batch))


def test_a_step_is_the_published_one() -> None:
    torch.manual_seed(0)
    task = Plain(Network(), Network(), DinoOptions(freeze_last_layer=1), BySize(PROTOTYPES, 0.5, 0.9, 0.0))
    batch, state = torch.randn(SAMPLES, CROPS, PIXELS), StepState(0, 10, 5, 0, SAMPLES)
    started = [parameter.clone() for parameter in task.teacher.parameters()]
    task.before_batch(state)
    outputs = task(batch)
    _, targets = task.teacher(crop_major(batch[:, :LARGE]))
    _, scores = task.student(crop_major(batch))
    torch.testing.assert_close(outputs["loss"], loop_over_pairs(scores, targets, torch.zeros(1, PROTOTYPES), 0.5))
    outputs["loss"].backward()
    task.before_update(state)
    student = dict(task.student.named_parameters())
    assert [name for name, p in student.items() if p.requires_grad and p.grad is None] == ["head.last_layer.weight_v"]
    torch.optim.SGD([p for p in student.values() if p.requires_grad], lr=0.1).step()
    state.step = 1
    task.after_update(state)
    keep = momentum_at(0.0, 0.9)
    for before, now, own in zip(started, task.teacher.parameters(), task.student.parameters(), strict=True):
        torch.testing.assert_close(now, keep * before + (1 - keep) * own.detach())
    torch.testing.assert_close(task.loss.center, 0.1 * targets.mean(dim=0, keepdim=True))
