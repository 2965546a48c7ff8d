"""What happens between epochs: metrics on held-out samples, the best weights, early stopping, exported models."""

from __future__ import annotations

import math
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from comictool.core.files import replaced_folder
from comictool.core.progress import Progress
from comictool.training import distributed
from comictool.training.checkpoints import load_checkpoint, random_state, restore_random_state, save_checkpoint
from comictool.training.config import as_tables
from comictool.training.metrics_log import MetricsLog
from comictool.training.recipe import RecipeError
from comictool.training.run import Run

COLLAPSED = 0.1  # of the spread that healthy features have (see collapse.py)


def validation_due(run: Run) -> bool:
    """Whether this step's weights are to be validated and were not yet."""
    state, every = run.state, run.options.validate_every
    if state.step == 0 or run.validated_at == state.step or run.ended:
        return False
    return state.step == state.total_steps or bool(every and run.at_epoch_end and state.epoch % every == 0)


def validate(run: Run, log: MetricsLog | None, progress: Progress) -> None:
    """Metrics from the first process; best weights and patience on all of them."""
    state = run.state
    metrics: dict[str, float] = {}
    if distributed.rank() == 0:
        with eval_mode(run), run.averaged():
            metrics = {name: float(value) for name, value in run.task.validate(replace(state)).items()}
    metrics = distributed.broadcast(metrics)
    run.validated_at = state.step
    if not metrics:
        return
    monitor = run.recipe.monitor
    if monitor not in metrics:
        raise RecipeError(f"the recipe {run.recipe.name} is judged by {monitor!r}, but validates {', '.join(metrics)}")
    better = _better(metrics[monitor], run)
    if better:
        run.best = {"value": metrics[monitor], "step": state.step, "metrics": metrics}
    run.stale = 0 if better else run.stale + 1
    if run.options.patience and run.stale >= run.options.patience:
        run.ended = "patience"
    if log:
        log.write("validation", state.step, {"epoch": state.step / state.steps_per_epoch, **metrics})
        if better:
            _keep_best(run)
    shown = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    progress.message(f"step {state.step}, epoch {state.epoch}: {shown}" + (" (best so far)" if better else ""))
    if metrics.get("feature_spread", 1.0) < COLLAPSED:
        progress.message(
            f"warning: the features have collapsed: their spread is {metrics['feature_spread']:.3f} of a healthy one"
        )
    if run.ended:
        progress.message(f"no better {monitor} in {run.stale} validations: the run ends here")


def _better(value: float, run: Run) -> bool:
    if not math.isfinite(value):
        return False
    if run.best is None:
        return True
    return value > run.best["value"] if run.recipe.monitor_mode == "max" else value < run.best["value"]


def eval_mode(run: Run) -> ExitStack:
    """Within the block the task is in eval mode, without gradients; afterwards the random generators are where they
    were, so that validating changes nothing of the training."""
    stack = ExitStack()
    kept = random_state(run.device)
    stack.callback(restore_random_state, kept, run.device)
    stack.enter_context(torch.no_grad())
    run.task.eval()
    stack.callback(run.task.train)
    return stack


def _keep_best(run: Run) -> None:
    """best.pt and model/ with the weights as they were validated."""
    with eval_mode(run), run.averaged():
        save_checkpoint(
            run.folder.best,
            {
                "recipe": run.recipe.name,
                "config": as_tables(run.resolved.config),
                "task": run.task.state_dict(),
                "step": run.state.step,
                "metrics": (run.best or {}).get("metrics", {}),
            },
        )
        _export(run, run.folder.model)


def export_models(run: Run) -> None:
    """At the end: model/ is the best, or the last when nothing was validated; model-last/ is the last one otherwise."""
    folder = run.folder
    if run.best is None or run.best["step"] != run.state.step:
        with eval_mode(run), run.averaged():
            _export(run, folder.model if run.best is None else folder.last_model)
    else:
        shutil.rmtree(folder.last_model, ignore_errors=True)  # of an earlier end of this run
    if run.best is not None and not folder.model.exists():  # killed between two renames
        kept = {name: value.clone() for name, value in run.task.state_dict().items()}
        with eval_mode(run):
            run.task.load_state_dict(load_checkpoint(folder.best)["task"])
            _export(run, folder.model)
            run.task.load_state_dict(kept)


def _export(run: Run, target: Path) -> None:
    with replaced_folder(target) as new:
        new.rmdir()  # exports make it
        run.task.export(new)
