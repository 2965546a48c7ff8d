"""The optimizer of a run and its schedules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from comictool.training.options import TrainingOptions
from comictool.training.recipe import RecipeError, StepState, Task
from comictool.training.schedules import SCHEDULES, cosine

MOMENTUM = 0.9  # of SGD, as in nearly every published recipe


def make_optimizer(task: Task, options: TrainingOptions) -> torch.optim.Optimizer:
    """AdamW or SGD over the task's parameter groups.

    Raises:
        RecipeError: the groups leave a trained parameter out or name one twice.
    """
    groups = [{"lr_scale": 1.0, "weight_decay_scale": 1.0, **group} for group in task.parameter_groups()]
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    trained = {id(parameter): name for name, parameter in task.named_parameters() if parameter.requires_grad}
    missing = [name for key, name in trained.items() if key not in set(grouped)]
    if missing or len(grouped) != len(set(grouped)) or not grouped:
        what = f"leave out {', '.join(missing[:5])}" if missing else "name a parameter twice, or none at all"
        raise RecipeError(f"the recipe's parameter groups {what}")
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.learning_rate, momentum=MOMENTUM)
    fused = all(parameter.device.type == "cuda" for group in groups for parameter in group["params"])
    return torch.optim.AdamW(groups, lr=options.learning_rate, fused=fused or None)


def learning_rate(options: TrainingOptions, state: StepState) -> float:
    """The rate of the step that comes next, before the scale of each group."""
    # Linear scaling (Goyal et al. 2017). The minimum is not scaled: so it is in DINO's `main_dino.py`.
    reference = options.learning_rate_reference_batch
    scale = state.batch_size / reference if reference else 1.0
    warmup = min(round(options.warmup_epochs * state.steps_per_epoch), state.total_steps)
    return SCHEDULES[options.schedule](
        state.step, state.total_steps, options.learning_rate * scale, options.minimum_learning_rate, warmup
    )


def learns_nothing(options: TrainingOptions, state: StepState) -> bool:
    """Whether every step so far had the rate 0: a warm-up begins there, and a run of one step ends there."""
    return state.step > 0 and not any(learning_rate(options, replace(state, step=s)) > 0 for s in range(state.step))


def weight_decay(options: TrainingOptions, state: StepState) -> float:
    """The decay of the step that comes next, before the scale of each group."""
    if options.weight_decay_end < 0:
        return options.weight_decay
    return cosine(state.step, state.total_steps, options.weight_decay, options.weight_decay_end)


def set_schedules(optimizer: torch.optim.Optimizer, options: TrainingOptions, state: StepState) -> dict[str, float]:
    """Give every group its rate and decay for the coming step; both are returned for the log."""
    rate, decay = learning_rate(options, state), weight_decay(options, state)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]
        group["weight_decay"] = decay * group["weight_decay_scale"]
    return {"learning_rate": rate, "weight_decay": decay}


def clip(parameters: Iterable[torch.Tensor], most: float) -> torch.Tensor:
    """Scale all gradients so that their global norm is at most `most` (0: only measure); gives the norm before."""
    return torch.nn.utils.clip_grad_norm_(parameters, most if most > 0 else float("inf"))


def check_all_trained(task: Task) -> None:
    """After a backward pass: every trained parameter has a gradient.

    DistributedDataParallel would fail one step later with a sentence about itself, and only with several processes.

    Raises:
        RecipeError: some have none; they are named.
    """
    unused = [name for name, p in task.named_parameters() if p.requires_grad and p.grad is None]
    if unused:
        shown = ", ".join(unused[:5]) + (f" and {len(unused) - 5} more" if len(unused) > 5 else "")
        raise RecipeError(
            f"the loss does not depend on {shown}",
            cause="every parameter that requires a gradient must take part in every loss",
            hint="the recipe should freeze what these settings leave unused (requires_grad_(False))",
        )


def parameter_counts(task: Task) -> dict[str, Any]:
    """`parameters` and how many of them are `trained`."""
    return {
        "parameters": sum(parameter.numel() for parameter in task.parameters()),
        "trained_parameters": sum(p.numel() for p in task.parameters() if p.requires_grad),
    }
