from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from comictool.training.recipe import Prepared, SampleKey, StepState, Task, TrainingData
from tests.training.toy import ToyConfig


class Numbers(TrainingData):
    def __init__(self, file: Path) -> None:
        self.numbers = torch.tensor([int(line) for line in file.read_text().split()])

    def __len__(self) -> int:
        return len(self.numbers)

    def load(self, keys: Sequence[SampleKey]) -> dict[str, torch.Tensor]:
        numbers = self.numbers[[key.index for key in keys]]
        return {"bits": (numbers[:, None] >> torch.arange(8) & 1).float(), "even": (numbers % 2 == 0).float()}


class ToyTask(Task):
    def __init__(self, config: ToyConfig, data: Numbers) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, config.width), nn.GELU(), nn.Linear(config.width, 1))
        self.held_out = data.load([SampleKey(i, 0) for i in range(len(data))])

    def forward(self, batch: Any) -> dict[str, torch.Tensor]:
        answers = self.net(batch["bits"])[:, 0]
        return {"loss": nn.functional.binary_cross_entropy_with_logits(answers, batch["even"])}

    def validate(self, state: StepState) -> dict[str, float]:
        right = (self.net(self.held_out["bits"])[:, 0] > 0) == self.held_out["even"].bool()
        return {"accuracy": float(right.float().mean())}

    def export(self, folder: Path) -> None:
        folder.mkdir()
        torch.save(self.net.state_dict(), folder / "weights.pt")


def prepare(config: ToyConfig, sources: Mapping[str, Path], device: torch.device) -> Prepared:
    data = Numbers(sources["numbers"])
    return Prepared(ToyTask(config, data), data, {"numbers": len(data)})
