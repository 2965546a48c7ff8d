"""What a recipe gives to the engine: its data, and a task (a model with its loss). `declaration` has the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from comictool.core.errors import ComicError, ExitCode
from comictool.core.seeds import derive_seed


class RecipeError(ComicError):
    """A recipe breaks its contract: not the user's fault."""

    exit_code = ExitCode.BUG


@dataclass(frozen=True)
class SampleKey:
    """One sample of one epoch.

    Attributes:
        index: of the sample, 0 .. len(data) - 1.
        seed: all that is random in the sample (crops, negatives, masks) comes from it and from nothing else, so that
            the result depends neither on the number of workers nor on that of processes. A sample that an epoch
            repeats has another seed each time.
    """

    index: int
    seed: int


class TrainingData:
    """Samples by index. It is sent to worker processes.

    So it pickles at any time, also after `load` was called: files are opened when first asked and left out of the
    pickled state. Tensors are shared with the workers, arrays are copied.
    """

    def __len__(self) -> int:
        """Number of samples."""
        raise NotImplementedError

    def load(self, keys: Sequence[SampleKey]) -> Any:
        """A collated batch, one row a key: a dict of tensors on the CPU, nested where useful."""
        raise NotImplementedError

    def order(self, epoch: int, seed: int, batch_size: int, count: int | None = None) -> Sequence[int]:
        """The samples of an epoch, batch after batch; by default each sample once, shuffled.

        A recipe whose batches must be composed (M samples of each class, one series, one panel) gives its own: any
        samples, also repeated ones. It depends on nothing but the arguments, since a resumed run asks again, and every
        process asks for itself.

        Args:
            epoch: from 0.
            seed: of the run.
            batch_size: samples of one optimizer step, over all processes and accumulated parts.
            count: only samples below it may be given (`training.limit`); None: all.

        Returns:
            Indices, as many in every epoch. What is left over after the last whole batch is not trained on.
        """
        generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
        return torch.randperm(len(self) if count is None else count, generator=generator).tolist()


@dataclass
class StepState:
    """Where the run is.

    Attributes:
        step: optimizer steps finished.
        total_steps: of the whole run.
        steps_per_epoch: optimizer steps of one epoch.
        epoch: epochs finished.
        batch_size: samples of one step over all processes (smaller than asked when there are fewer samples).
        world_size: processes.
        rank: of this process.
    """

    step: int
    total_steps: int
    steps_per_epoch: int
    epoch: int
    batch_size: int
    world_size: int = 1
    rank: int = 0

    @property
    def progress(self) -> float:
        """Share of the run that is finished, 0 .. 1."""
        return min(1.0, self.step / max(1, self.total_steps))


class Task(torch.nn.Module):
    """A model with its loss. Everything that must survive a resume is in `state_dict()`."""

    def forward(self, batch: Any) -> dict[str, torch.Tensor]:
        """`loss`, a 0-d tensor that is the mean over the rows of `batch`, and further 0-d tensors for the log.

        Called under autocast and, with several processes, through DistributedDataParallel: `batch` is then this
        process's part of the rows. Every parameter that requires a gradient takes part in every loss.
        """
        raise NotImplementedError

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimizer: `params`, and optionally `lr_scale` and `weight_decay_scale`, both 1 by default.

        The default decays matrices and leaves biases, norms and other vectors alone (DINO, `utils.get_params_groups`).
        """
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        matrices = [parameter for parameter in trained if parameter.ndim > 1]
        vectors = [parameter for parameter in trained if parameter.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay_scale": 0.0}]
        return [group for group in groups if group["params"]]

    def before_batch(self, state: StepState) -> None:
        """Before each step, for what follows a schedule of the recipe (a temperature)."""

    def before_update(self, state: StepState) -> None:
        """Gradients are there, averaged over processes, not yet clipped (cancel those of the last layer)."""

    def after_update(self, state: StepState) -> None:
        """The weights have changed (teacher's moving average). `state.step` already counts this step."""

    def validate(self, state: StepState) -> dict[str, float]:
        """Metrics on held-out samples; empty when there are none. First process only, eval mode, no gradients.

        With training.ema the averaged weights are in place.
        """
        return {}

    def export(self, folder: Path) -> None:
        """Write the model directory `folder`, which does not exist yet."""
        raise NotImplementedError


@dataclass
class Prepared:
    """A recipe ready to run.

    Attributes:
        facts: counts and hashes that tell the data from other data; the same whenever a run is continued, so no
            times and no paths. They go into env.json.
        derived: what follows from the facts and the settings, for env.json too. It may change with a run's length.
    """

    task: Task
    data: TrainingData
    facts: dict[str, Any] = field(default_factory=dict)
    derived: dict[str, Any] = field(default_factory=dict)
