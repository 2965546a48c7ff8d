"""The exponential moving average of the weights, which often is the better model (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class WeightAverage:
    """An average of the trained parameters of a module; what is frozen or a buffer is shared with it.

    Early on the decay is min(decay, (1 + step) / (10 + step)), as in TensorFlow's ExponentialMovingAverage: the random
    first weights are soon forgotten.

    Args:
        decay: 0 .. 1, share of the old average that one step keeps.
    """

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self._trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self._trained.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step number `step` (1 for the first)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages = list(self.average.values())
        torch._foreach_lerp_(averages, [self._trained[name].detach() for name in self.average], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the module has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The averages by parameter name."""
        return self.average

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what `state_dict` gave."""
        for name, value in state.items():
            self.average[name].copy_(value)

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._trained.items():
            kept = parameter.detach().clone()
            parameter.copy_(self.average[name])
            self.average[name].copy_(kept)
