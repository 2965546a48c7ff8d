"""Options of the `train` and `config` commands: which settings, on which devices, going on or beginning anew."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.options import BUNDLES, Device, DryRun, check_device
from comictool.core.errors import UsageError, near_matches

if TYPE_CHECKING:
    from comictool.training.config import Resolved
    from comictool.training.recipe import Recipe

# Where each recipe is; imported only when it is asked for.
RECIPES = {"asterx": "comictool.asterx.train:RECIPE", "elric": "comictool.elric.train:RECIPE"}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        raise UsageError(
            f"there is no recipe {name!r}", hint=", ".join(RECIPES), near=near_matches(name, RECIPES)
        )  # fmt: skip
    module, attribute = RECIPES[name].split(":")
    recipe: Recipe = getattr(importlib.import_module(module), attribute)
    return recipe


@dataclass(frozen=True)
class Settings:
    """Where the settings of a recipe come from, later ones first in rank."""

    preset: str
    config: Path | None
    sets: tuple[str, ...]
    options: dict[str, tuple[Any, str]]

    def resolve(self, recipe: Recipe) -> Resolved[Any]:
        """The whole configuration, each value with its origin."""
        from comictool.training.config import resolve

        return resolve(
            recipe.config, recipe.presets, preset=self.preset, file=self.config, sets=self.sets, options=self.options
        )


Preset = Annotated[
    str,
    typer.Option(
        "--preset",
        metavar="paper|small|tiny",
        help="paper: as published; small: for thousands of characters (elric); tiny: minutes on two cores.",
    ),
]
ConfigFile = Annotated[Path | None, typer.Option("-c", "--config", help="TOML file of settings.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting (repeatable).")]


def settings(preset: Preset = "paper", config: ConfigFile = None, set_: Sets = None) -> Settings:
    """Options of every command that reads settings."""
    return Settings(preset, config, tuple(set_ or ()), {})


@dataclass(frozen=True)
class Training:
    """How a run is carried out, and its settings."""

    settings: Settings
    resume: str
    device: str
    gpu: int | None
    devices: int
    dry_run: bool

    def with_options(self, given: Mapping[str, tuple[Any, str]]) -> Training:
        """With a recipe's own options: for a dotted key its value, None where it was not given, and the option."""
        own = {key: (value, name) for key, (value, name) in given.items() if value is not None}
        return replace(self, settings=replace(self.settings, options={**self.settings.options, **own}))


def training(
    preset: Preset = "paper",
    config: ConfigFile = None,
    set_: Sets = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the data.")] = None,
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", min=1, help="Optimizer steps instead of epochs.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Samples of a step, over all processes.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first samples.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="The same seed gives the same result.")] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="auto|fp32|bf16|fp16", help="Arithmetic of the model.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j", "--jobs", min=-1, show_default=False,
            help="Processes that load data; 0: none of their own; -1 (usual): as many as loading needs.",
        ),
    ] = None,
    device: Device = "auto",
    gpu: Annotated[int | None, typer.Option("--gpu", help="GPU number; negative means CPU.")] = None,
    devices: Annotated[
        int, typer.Option("--devices", min=1, help="Processes on this machine, each with a GPU where there are any.")
    ] = 1,
    resume: Annotated[
        str,
        typer.Option(
            "--resume", metavar="auto|never|must",
            help="auto: go on with the run that is there; never: begin it anew; must: refuse to begin.",
        ),
    ] = "auto",
    dry_run: DryRun = False,
) -> Training:  # fmt: skip
    """Options of every command that trains."""
    if resume not in ("auto", "never", "must"):
        raise UsageError(f"--resume {resume!r}: it is auto, never or must")
    given = {
        "training.epochs": (epochs, "--epochs"),
        "training.max_steps": (max_steps, "--max-steps"),
        "training.batch_size": (batch_size, "--batch-size"),
        "training.limit": (limit, "--limit"),
        "training.seed": (seed, "--seed"),
        "training.precision": (precision, "--precision"),
        "training.workers": (jobs, "--jobs"),
    }
    options = {key: (value, name) for key, (value, name) in given.items() if value is not None}
    sources = Settings(preset, config, tuple(set_ or ()), options)
    return Training(sources, resume, check_device(device), gpu, devices, dry_run)


BUNDLES[Training] = training
BUNDLES[Settings] = settings
