"""`comictool train`: one command a recipe, made from what the recipe declares."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.errors import explain
from comictool.cli.options import BUNDLES, Device, DryRun, check_device, command
from comictool.cli.output import Format, Output
from comictool.cli.training_options import ConfigFile, Sets, option_name, preset_option, setting_option
from comictool.core.errors import ExitCode, UsageError
from comictool.training.declaration import RECIPES, Recipe, find_recipe

if TYPE_CHECKING:
    from comictool.training.config import Resolved

RunFolder = Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="Folder of the run; resumes it.")]
HELP = """{summary}

Writes a run: settings, metrics, curves, checkpoints and, in model/, a plugin directory. Stopped or killed, the same
command resumes it. `config show {name}` lists every setting.
{details}

Example: {example}
"""


@dataclass(frozen=True)
class Carrying:
    """How a run is carried out."""

    resume: str
    device: str
    gpu: int | None
    devices: int
    dry_run: bool


def carrying(
    device: Device = "auto",
    gpu: Annotated[int | None, typer.Option("--gpu", help="GPU number; negative means CPU.")] = None,
    devices: Annotated[
        int, typer.Option("--devices", min=1, help="Processes on this machine, each with a GPU where there are any.")
    ] = 1,
    resume: Annotated[
        str,
        typer.Option(
            "--resume",
            metavar="auto|never|must",
            help="auto: resume the run that is there; never: start over; must: refuse to start.",
        ),
    ] = "auto",
    dry_run: DryRun = False,
) -> Carrying:
    """Options of every command that trains."""
    if resume not in ("auto", "never", "must"):
        raise UsageError(f"--resume {resume!r}: it is auto, never or must")
    return Carrying(resume, check_device(device), gpu, devices, dry_run)


BUNDLES[Carrying] = carrying


def __getattr__(name: str) -> Any:
    """The command of each recipe under its name, as the table has it."""
    if name in RECIPES:
        return recipe_command(find_recipe(name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def recipe_command(recipe: Recipe) -> Any:
    """A command that has the sources, settings and presets that the recipe declares."""
    from comictool.training.options import FLAGS

    flags = {**recipe.options, **FLAGS}

    def run_recipe(
        *,
        output: Path,
        preset: str,
        config: Path | None,
        set_: list[str] | None,
        run: Carrying,
        out: Output,
        **given: Any,
    ) -> int:
        sources = {source.name: given[source.name] for source in recipe.sources if given[source.name] is not None}
        values = {key: (given[option_name(flag)], flag.split(", ")[-1]) for flag, key in flags.items()}
        options = {key: (value, flag) for key, (value, flag) in values.items() if value is not None}
        # Wrong settings are reported once, before anything starts and before torch is imported.
        resolved = recipe.resolve(preset=preset, file=config, sets=set_ or (), options=options)
        return train_recipe(recipe, sources, output, resolved, run, out)

    plain: dict[str, tuple[Any, Any]] = {"output": (RunFolder, ...), "preset": preset_option(recipe)}
    plain |= {"config": (ConfigFile, None), "set_": (Sets, None)}
    sources: dict[str, tuple[Any, Any]] = {}
    for source in recipe.sources:
        shown: dict[str, Any] = {"metavar": source.metavar or None, "help": source.help}
        kind = typer.Option(source.flag, **shown) if source.flag else typer.Argument(**shown)
        sources[source.name] = (Annotated[Path | None if source.flag else Path, kind], None if source.flag else ...)
    own = {option_name(flag): (setting_option(recipe, flag, key), None) for flag, key in flags.items()}
    bundles: dict[str, tuple[Any, Any]] = {"run": (Carrying, ...), "out": (Output, ...)}
    run_recipe.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if default is ... else default,
                annotation=annotation,
            )
            for name, (annotation, default) in (sources | plain | own | bundles).items()
        ]
    )
    run_recipe.__doc__ = HELP.format(**vars(recipe))
    return command(run_recipe)


def train_recipe(
    recipe: Recipe, sources: Mapping[str, Path], folder: Path, resolved: Resolved[Any], run: Carrying, out: Output
) -> int:
    """Train a recipe in this process, or in several; one record on standard output, from the first process."""
    from comictool.core.device import import_torch
    from comictool.training.api import train

    import_torch()
    from comictool.training.launch import in_processes

    def here(first: bool) -> int:
        result = train(
            recipe,
            sources,
            folder,
            resolved,
            device=run.device,
            gpu=run.gpu,
            resume=run.resume,
            dry_run=run.dry_run,
            progress=out.progress() if first else None,
        )
        if not first:
            return ExitCode.DONE
        if run.dry_run:
            out.record({**result.plan, "run": str(folder), "settings": resolved.values()})
            return ExitCode.DONE
        record = result.record()
        if out.format is Format.table:
            best = record.pop("best") or {}
            if not record["ended"]:
                del record["ended"]  # it went to its last step
            record |= {f"best_{key}": value for key, value in best.get("metrics", {}).items()}
        out.record(record)
        out.next_commands(recipe.next_commands(sources, folder) if recipe.next_commands else [])
        return ExitCode.DONE

    def explained(error: BaseException) -> int:
        return explain(error, debug="--debug" in sys.argv, arguments=sys.argv[1:])

    return in_processes(here, run.devices, sys.argv[1:], explained)
