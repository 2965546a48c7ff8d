"""The engine: one loop for every recipe.

    result = train(RECIPE, RECIPE.resolve(preset="tiny"), {"features": Path("features.hdf5")}, Path("runs/first"))

Run again with the same folder, it resumes where it stopped, to the bit on a CPU.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from comictool.core.device import DeviceChoice, PrecisionChoice, choose_device, choose_precision
from comictool.core.errors import SetupError, Stopped, UsageError
from comictool.core.jobs import StopFlag, stop_signals
from comictool.core.progress import Progress
from comictool.training import distributed
from comictool.training.checkpoints import unpacking
from comictool.training.config import Resolved, as_tables, write_config
from comictool.training.curves import write_curves
from comictool.training.declaration import Recipe
from comictool.training.launch import stop_requested
from comictool.training.loading import Batches, to_device
from comictool.training.metrics_log import MetricsLog
from comictool.training.optimizing import check_all_trained, clip, learns_nothing, parameter_counts, set_schedules
from comictool.training.recipe import RecipeError
from comictool.training.run import Run, build, join_processes
from comictool.training.run_folder import RunFolder, check_same_data, check_same_settings, started_by
from comictool.training.validating import export_models, validate, validation_due

MOST_SKIPPED = 20  # steps in a row: beyond this `skip` would only hide that the run is lost


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; nothing here changes what is computed but device and processes.

    Attributes:
        device: auto | cpu | cuda | cuda:N | mps.
        gpu: the other spelling; negative is the CPU.
        resume: auto | never | must.
        dry_run: make everything, train nothing, write nothing.
        command: the command line for command.txt; this process's own when empty.
        progress: what is shown.
    """

    device: str = "auto"
    gpu: int | None = None
    resume: str = "auto"
    dry_run: bool = False
    command: str = ""
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.resume not in ("auto", "never", "must"):
            raise UsageError(f"resume is auto, never or must, not {self.resume!r}")


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        loss: of the last step that changed the weights; None when there was none.
        best: `value`, `step` and `metrics` of the best validation.
        ended: `patience` when it ended early, else empty.
        plan: sizes and choices, as in a dry run.
    """

    run: Path
    recipe: str
    step: int
    total_steps: int
    epochs: int
    loss: float | None
    best: dict[str, Any] | None
    ended: str
    model: Path | None
    skipped: int
    seconds: float
    plan: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        values = asdict(self)
        return {**values, "run": str(self.run), "model": str(self.model) if self.model else None}


def train(
    recipe: Recipe,
    resolved: Resolved[Any],
    sources: Mapping[str, Path],
    run_folder: Path,
    options: RunOptions | None = None,
) -> RunResult:
    """Train a recipe into a run folder, or resume the run that is there.

    Args:
        recipe: what.
        resolved: every setting, by `recipe.resolve`.
        sources: named inputs of the recipe.
        run_folder: see `run_folder.py` for what is in it.

    Raises:
        Stopped: after the first SIGINT or SIGTERM, when the run is saved.
        UsageError: settings that cannot be, other ones than the run was begun with, or a NaN or infinite loss.
        InputError: sources that cannot be read, or other data than the run was begun with.
    """
    options = options or RunOptions()
    recipe = recipe.judged(resolved.config)
    progress = options.progress or Progress()
    kind = choose_device(options.device, options.gpu).kind
    with ExitStack() as stack:
        stack.enter_context(distributed.group(torch.device(kind)))
        stop = stack.enter_context(stop_signals(echo_seconds=1.0 if distributed.world_size() > 1 else 0.0))
        folder = RunFolder(run_folder)
        first = distributed.rank() == 0
        existing = folder.config.exists()
        with distributed.all_or_none():
            # Within the group: a process without a GPU reports it, instead of leaving the others to wait for it.
            device, precision = resolve_device(options, resolved.config.training.precision)
            if first and existing and not options.dry_run:
                stack.enter_context(folder.locked())
        with distributed.all_or_none():
            saved = folder.checkpoint(options.resume)
            if saved is not None:
                with unpacking(folder.last):
                    check_same_settings(saved, as_tables(resolved.config), recipe.name)
            run = build(recipe, resolved, sources, folder, device, precision)
            if saved is not None:
                with unpacking(folder.last):
                    check_same_data(saved, run.prepared.facts)
                    run.load_state_dict(saved)
        if options.dry_run:
            return _result(run, 0, 0.0)
        with distributed.all_or_none():
            if first and not existing:  # only now: wrong sources leave no folder behind
                stack.enter_context(folder.locked())
                folder.check_still_new()
        join_processes(run)
        log = None
        with distributed.all_or_none():
            if first:
                log = stack.enter_context(_open_folder(run, options, again=saved is not None))
        return _train(run, log, stop, progress if first else Progress())


def _train(run: Run, log: MetricsLog | None, stop: StopFlag, progress: Progress) -> RunResult:
    """The loop. Every process runs it; only the first has a log."""
    state, options, task = run.state, run.options, run.task
    began, skipped, in_a_row = time.monotonic(), 0, 0
    keys = run.plan.keys(state.step, state.rank, state.world_size)
    batches = Batches(
        run.prepared.data, keys, workers=options.workers, device=run.device, on_this_machine=state.world_size
    )
    if run.finished:
        last = f", its last loss {run.loss:.4f}" if run.loss is not None else ""
        progress.message(f"{run.folder.path} is finished already, at step {state.step}{last}; more --epochs go on")
    elif run.lengthened_from:
        progress.message(
            f"going on at step {state.step}: the run of {run.lengthened_from} steps now has {state.total_steps}, "
            "which its schedules span from here on"
        )
    elif state.step:
        progress.message(f"resuming at step {state.step} of {state.total_steps}")
    progress.start(run.recipe.name, state.total_steps)
    progress.advance(state.step)
    task.train()
    first_step = True
    batch = _next(batches, run)

    while True:
        # At the end of an epoch, and of the run: metrics on held-out samples. Best weights are kept as a model. It is
        # done before saving, so that a checkpoint knows the validation of its own step and a resumed run repeats none.
        if validation_due(run):
            validate(run, log, progress)

        # Save at the end of an epoch (unless that was a moment ago), every so many steps, and at the end. Metrics are
        # flushed first: the checkpoint notes how much of the file belongs to it, and a resumed run cuts off the rest.
        every = options.checkpoint_every
        due = run.finished or (every and state.step % every == 0) or (run.at_epoch_end and run.worth_saving())
        if due and state.step > run.saved_at:
            run.save(log.sync() if log else 0)
        if run.finished:
            break

        # A signal reaches the processes at different steps, and one that stops alone leaves the others waiting for its
        # gradients: they agree on it before each step.
        signal_number = int(distributed.all_reduce_max(torch.tensor(stop.number or stop_requested())))
        if signal_number:
            if state.step > run.saved_at:
                run.save(log.sync() if log else 0)
            if log:
                write_curves(run.folder.path, run.recipe.name, run.recipe.monitor)
            raise Stopped(signal_number, done=state.step, total=state.total_steps, noun="steps")

        # Forward and backward, part by part; while the device is busy with a part, the next one is loaded. The loss is
        # divided before the backward pass, so that the gradients of the parts add up to the mean of the whole batch.
        step_began, waited = time.perf_counter(), batches.waited
        task.before_batch(state)
        numbers = set_schedules(run.optimizer, options, state)
        parts = []
        for part in range(options.accumulate):
            with run.accumulating(more=part + 1 < options.accumulate):
                with run.autocast():
                    outputs = run.model(batch)
                run.scaler.scale(outputs["loss"] / options.accumulate).backward()
            parts.append({name: value.detach() for name, value in outputs.items()})
            batch = _next(batches, run)
        # Once is enough, and only now are there gradients: a parameter outside the loss would never get one.
        if first_step:
            with distributed.all_or_none():
                check_all_trained(task)
            first_step = False
        numbers = {**_means(parts), **numbers}
        loss = numbers["loss"]

        # Gradients leave the scale of fp16 before anything measures them: the recipe, the norm, the clipping.
        norm = math.nan
        if math.isfinite(loss):
            run.scaler.unscale_(run.optimizer)
            task.before_update(state)
            norm = float(clip(task.parameters(), options.clip_norm))

        # A NaN or infinite loss or gradient would spoil the weights for good: stop before they change, or leave the
        # step out. Gradients that overflow in fp16 are the scaler's: it leaves the step out and lowers its scale.
        if not math.isfinite(loss) or not (math.isfinite(norm) or run.scaler.is_enabled()):
            in_a_row += 1
            if options.non_finite == "stop" or in_a_row >= MOST_SKIPPED:
                raise _lost(run, loss, norm, in_a_row)
            skipped += 1
            run.optimizer.zero_grad(set_to_none=True)
            state.step += 1
            state.epoch = state.step // state.steps_per_epoch
            if log:
                log.write("skipped", state.step, {"loss": loss, "gradient_norm": norm})
            progress.advance(1, f"loss {loss}")
            continue
        in_a_row = 0

        # Update the weights. The step counts before the average and the recipe follow: their schedules go by the number
        # of updates that the weights have seen.
        run.loss = loss
        numbers["gradient_norm"] = norm
        run.scaler.step(run.optimizer)
        run.scaler.update()
        run.optimizer.zero_grad(set_to_none=True)
        state.step += 1
        state.epoch = state.step // state.steps_per_epoch
        if run.average:
            run.average.update(state.step)
        task.after_update(state)

        if log:
            numbers["epoch"] = state.step / state.steps_per_epoch
            numbers["seconds"] = round(time.perf_counter() - step_began, 6)
            numbers["waited"] = round(batches.waited - waited, 6)
            log.write("step", state.step, numbers)
        progress.advance(1, f"loss {loss:.4f}")

    batches.close()
    progress.finish()
    if learns_nothing(options, state):
        progress.message(
            f"warning: nothing was learnt: the learning rate was 0 in all {state.step} steps, where warm-up starts; "
            "train longer, or --set training.warmup_epochs=0"
        )
    if log:
        export_models(run)
        write_curves(run.folder.path, run.recipe.name, run.recipe.monitor)
    distributed.broadcast(None)  # nobody leaves the group while the first still writes
    return _result(run, skipped, time.monotonic() - began)


def resolve_device(options: RunOptions, precision: str) -> tuple[DeviceChoice, PrecisionChoice]:
    """Device and precision of this process; with several processes on CUDA each has a GPU of its own.

    Raises:
        UsageError: one GPU named for several processes.
        SetupError: a device that is not there, or fewer GPUs than processes.
    """
    here = distributed.process_info()
    device = choose_device(options.device, options.gpu)
    if here.world_size > 1 and device.kind == "cuda":
        if ":" in options.device or options.gpu is not None:
            raise UsageError(
                "one GPU is named, but there are several processes", hint="--device cuda gives each its own"
            )
        count = torch.cuda.device_count()
        # SLURM may show each of its processes one GPU only, which then is number 0 in all of them.
        number = 0 if here.starter == "slurm" and count == 1 else here.local_rank
        if number >= count:
            raise SetupError(
                f"process {here.rank} has no GPU of its own",
                cause=f"this machine has {count}",
                hint=f"--devices {count}, or --device cpu",
            )
        device = choose_device(f"cuda:{number}")
        torch.cuda.set_device(number)
    if here.world_size > 1 and device.kind == "mps":
        device = DeviceChoice("cpu", "several processes cannot share Apple's GPU")
    return device, choose_precision(precision, device)


def describe(run: Run) -> dict[str, Any]:
    """Sizes and choices of a run, for a dry run and for env.json."""
    state = run.state
    return {
        "recipe": run.recipe.name,
        "samples": run.plan.count,
        "steps_per_epoch": state.steps_per_epoch,
        "total_steps": state.total_steps,
        "batch_size": state.batch_size,
        "processes": state.world_size,
        "accumulate": run.options.accumulate,
        "step": state.step,
        **parameter_counts(run.task),
        "device": run.device_choice.name,
        "device_reason": run.device_choice.reason,
        "precision": run.precision.name,
        "precision_reason": run.precision.reason,
        "data": {**run.prepared.facts, **run.prepared.derived},
    }


def _open_folder(run: Run, options: RunOptions, *, again: bool) -> Any:
    """Write down what this start is; gives the metrics log, open."""
    from contextlib import closing

    folder = run.folder
    if not again:
        for old in (folder.last, folder.best):
            old.unlink(missing_ok=True)
        for old in (folder.model, folder.last_model):
            shutil.rmtree(old, ignore_errors=True)
    write_config(folder.config, run.resolved, f"comictool train {run.recipe.name}")
    folder.note_command(options.command or started_by(), again=again)
    folder.note_environment({**describe(run), "origins": run.resolved.origins})
    log = MetricsLog(folder.path, keep_bytes=run.metrics_bytes if again else None, step=run.state.step)
    if again and not run.finished:
        log.write("resumed", run.state.step, {})
    return closing(log)


def _next(batches: Batches, run: Run) -> Any:
    batch = next(batches, None)
    return None if batch is None else to_device(batch, run.device)


def _means(parts: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """The outputs of a step, averaged over its parts and over the processes."""
    if "loss" not in parts[0]:
        raise RecipeError("the task's forward gives no `loss`")
    names = list(parts[0])
    stacked = torch.stack([torch.stack([part[name].double() for name in names]) for part in parts]).mean(dim=0)
    return dict(zip(names, distributed.all_reduce_mean(stacked.cpu()).tolist(), strict=True))


def _lost(run: Run, loss: float, norm: float, in_a_row: int) -> UsageError:
    rate = run.optimizer.param_groups[0]["lr"]
    again = f" ({in_a_row} steps in a row)" if in_a_row > 1 else ""
    saved = f"the checkpoint of step {run.saved_at} is unharmed; " if run.saved_at > 0 else ""
    lower = f"--set training.learning_rate={run.options.learning_rate / 3:.2g}"
    leave_out = "" if run.options.non_finite == "skip" else "; --set training.non_finite=skip leaves single steps out"
    fp16 = ", or --precision bf16" if run.precision.name == "fp16" else ""
    clip_norm = "" if run.options.clip_norm else ", --set training.clip_norm=3"
    what = f"gradient's norm in step {run.state.step + 1} is {norm}" if math.isfinite(loss) else ""
    return UsageError(
        f"the {what or f'loss of step {run.state.step + 1} is {loss}'}{again}",
        cause=f"most often the learning rate is too high: it is {rate:.3g} here",
        hint=f"{saved}into another -o, {lower}{clip_norm}{fp16}{leave_out}",
    )


def _result(run: Run, skipped: int, seconds: float) -> RunResult:
    model = run.folder.model if run.folder.model.is_dir() else None
    return RunResult(
        run.folder.path,
        run.recipe.name,
        run.state.step,
        run.state.total_steps,
        run.state.epoch,
        run.loss,
        run.best,
        run.ended,
        model,
        skipped,
        round(seconds, 3),
        describe(run),
    )
