"""`comictool train`: one command a recipe; all of them run `train_recipe`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.errors import explain
from comictool.cli.options import command
from comictool.cli.output import Format, Output
from comictool.cli.training_options import Training, find_recipe
from comictool.core.errors import ExitCode, Stopped

RunFolder = Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="Folder of the run; goes on in it.")]


@command
def asterx(
    features: Annotated[
        Path, typer.Argument(metavar="FEATURES", help="Panel features: a folder with train_features.hdf5, or the file.")
    ],
    output: RunFolder,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Corpus or folder with the tables of the sampling key.")
    ] = None,
    before: Annotated[int | None, typer.Option("--before", min=0, help="Panels before the hidden one.")] = None,
    after: Annotated[int | None, typer.Option("--after", min=0, help="Panels after the hidden one.")] = None,
    order: Annotated[
        bool | None, typer.Option("--order/--no-order", help="Learn which of two windows comes first.")
    ] = None,
    retrieval: Annotated[
        bool | None, typer.Option("--retrieval/--no-retrieval", help="Learn which candidate is the hidden panel.")
    ] = None,
    noise: Annotated[
        float | None, typer.Option("--noise", min=0, help="Strength of noise on panel vectors in training.")
    ] = None,
    sampling_key: Annotated[
        str | None, typer.Option("--sampling-key", metavar="KEY", help="What candidates must not have in common.")
    ] = None,
    negate_sampling: Annotated[
        bool | None, typer.Option("--negate-sampling", help="What candidates must have in common instead.")
    ] = None,
    sampling_strategy: Annotated[
        str | None, typer.Option("--sampling-strategy", metavar="random|retrieve|mix", help="How they are chosen.")
    ] = None,
    train_candidates: Annotated[
        int | None, typer.Option("--train-candidates", min=0, help="How many in training; 0: all.")
    ] = None,
    eval_candidates: Annotated[
        int | None, typer.Option("--eval-candidates", min=0, help="How many in validation; 0: all.")
    ] = None,
    *,
    run: Training,
    out: Output,
) -> int:  # fmt: skip
    """Train ASTERX: what a panel means, from its neighbours.

    Writes a run: settings, metrics, curves, checkpoints and, in model/, a plugin directory for `features asterx`.
    Stopped or killed, the same command goes on where it was. KEY is panel, comic, ratio, intensity, saturation or
    character. `config show asterx` lists every setting.

    Example: comictool train asterx corpus/features -o runs/asterx
    """
    sources = {"features": features, **({"keys": keys} if keys is not None else {})}
    given = {
        "window.before": (before, "--before"),
        "window.after": (after, "--after"),
        "objective.order": (order, "--order"),
        "objective.retrieval": (retrieval, "--retrieval"),
        "objective.noise": (noise, "--noise"),
        "sampling.key": (sampling_key.removesuffix("_level") if sampling_key else None, "--sampling-key"),
        "sampling.negate": (negate_sampling, "--negate-sampling"),
        "sampling.strategy": (sampling_strategy, "--sampling-strategy"),
        "sampling.train_candidates": (train_candidates, "--train-candidates"),
        "sampling.eval_candidates": (eval_candidates, "--eval-candidates"),
    }
    folder = features if features.is_dir() else features.parent
    then = f"comictool features asterx {folder} --model {output} -o {folder}"
    return train_recipe("asterx", sources, output, run.with_options(given), out, [then])


@command
def elric(
    data: Annotated[Path, typer.Argument(metavar="CHARACTERS", help="A corpus, a folder of packs, or one pack.")],
    output: RunFolder,
    context: Annotated[
        str | None,
        typer.Option(
            "--context",
            metavar="none|zero|shuffled|asterx",
            show_default=False,
            help="What is added before the head: nothing, zeros, another panel's vector, its own panel's.",
        ),
    ] = None,
    features: Annotated[
        Path | None, typer.Option("--features", help="Vectors of panels, for a context: a folder of packs, or one.")
    ] = None,
    weights: Annotated[Path | None, typer.Option("--weights", help="Checkpoint to begin from.")] = None,
    validation: Annotated[
        Path | None, typer.Option("--validation", metavar="CHARACTERS", help="Another place for held-out characters.")
    ] = None,
    *,
    run: Training,
    out: Output,
) -> int:
    """Train ELRIC: character vectors, with the context of their panels.

    Writes a run: settings, metrics, curves, checkpoints and, in model/, a plugin directory that every command takes as
    --plugin. Stopped or killed, the same command goes on where it was.

    Example: comictool train elric corpus --context asterx --features corpus/features -o runs/elric
    """
    if context is not None:
        options = {**run.settings.options, "context.mode": (context, "--context")}
        run = replace(run, settings=replace(run.settings, options=options))
    given = {"data": data, "features": features, "weights": weights, "validation": validation}
    sources = {name: path for name, path in given.items() if path is not None}
    then = [
        f"comictool evaluate elric {data} --plugin {output}/model",
        f"comictool features backbone {data} --level character --plugin {output}/model -o CHARACTER_FEATURES",
    ]
    return train_recipe("elric", sources, output, run, out, then)


def train_recipe(
    name: str, sources: Mapping[str, Path], folder: Path, run: Training, out: Output, next_commands: Sequence[str]
) -> int:
    """Train a recipe in this process, or in several; one record on standard output, from the first process."""
    # Torch's threads and the processes that load data share the cores: they must not wait for each other by spinning.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from comictool.core.device import import_torch

    import_torch()
    from comictool.training import distributed, launch

    here = distributed.place()
    if run.devices > 1 and not here.starter:
        run.settings.resolve(find_recipe(name))  # wrong settings are told once, before anything starts
        return launch.run_processes(run.devices, sys.argv[1:])
    if launch.launched():
        launch.register(here.rank)
    try:
        code = int(_train_here(name, sources, folder, run, out if here.rank == 0 else None, next_commands))
    except BaseException as error:
        # Of several processes one speaks: the first, or the one that failed alone.
        follows = isinstance(error, distributed.OtherProcessFailed)
        silent = follows or (here.rank > 0 and isinstance(error, Stopped))
        if not launch.launched() and (not silent or isinstance(error, distributed.PeerGone)):
            raise
        code = int(getattr(error, "exit_code", ExitCode.BUG))
        if not silent:
            code = explain(error, debug="--debug" in sys.argv, arguments=sys.argv[1:])
        elif follows and launch.launched():
            code = ExitCode.DONE  # nothing to add: the launcher tells of a process that ended without a word
    if launch.launched():
        launch.report(code, here.rank)
        return ExitCode.DONE  # the launcher knows the code; another one would make torchrun write a page about it
    return code


def _train_here(
    name: str, sources: Mapping[str, Path], folder: Path, run: Training, out: Output | None, then: Sequence[str]
) -> int:
    from comictool.training.engine import RunOptions, train

    recipe = find_recipe(name)
    resolved = run.settings.resolve(recipe)
    options = RunOptions(run.device, run.gpu, run.resume, run.dry_run, progress=out.progress() if out else None)
    result = train(recipe, resolved, sources, folder, options)
    if out is None:
        return ExitCode.DONE
    if run.dry_run:
        plan = {**result.plan, "run": str(folder), "settings": resolved.values()}
        out.record(plan)
        return ExitCode.DONE
    record = result.record()
    if out.format is Format.table:
        best = record.pop("best") or {}
        if not record["ended"]:
            del record["ended"]  # it went to its last step
        record |= {f"best_{key}": value for key, value in best.get("figures", {}).items()}
    out.record(record)
    out.next_commands(then)
    return ExitCode.DONE
