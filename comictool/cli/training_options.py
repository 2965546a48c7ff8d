"""Options for settings: presets, files, `--set`, and those that a recipe declares, with the help of its docstrings."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.options import BUNDLES
from comictool.training.declaration import RECIPES, Recipe, find_recipe

if TYPE_CHECKING:
    from comictool.training.config import Resolved

ConfigFile = Annotated[Path | None, typer.Option("-c", "--config", help="TOML file of settings.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting (repeatable).")]


def preset_names(incomplete: str) -> list[str]:
    """The presets of all recipes that begin as typed."""
    names = dict.fromkeys(name for recipe in RECIPES for name in find_recipe(recipe).presets)
    return [name for name in names if name.startswith(incomplete)]


@dataclass(frozen=True)
class Settings:
    """Where the settings of a recipe come from."""

    preset: str | None
    file: Path | None
    sets: tuple[str, ...]

    def resolve(self, recipe: Recipe) -> Resolved[Any]:
        """The whole configuration, each value with its origin."""
        return recipe.resolve(preset=self.preset, file=self.file, sets=self.sets)


def settings(
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="NAME", autocompletion=preset_names, help="One of the recipe's presets."),
    ] = None,
    config: ConfigFile = None,
    set_: Sets = None,
) -> Settings:
    """Options of a command that reads the settings of any recipe."""
    return Settings(preset, config, tuple(set_ or ()))


BUNDLES[Settings] = settings


def preset_option(recipe: Recipe) -> tuple[Any, str]:
    """`--preset` with what the recipe has, and its default."""
    names = list(recipe.presets)
    option = typer.Option("--preset", metavar="|".join(names) or "NAME", help="Settings to begin from.")
    return Annotated[str, option], names[0] if names else ""


def option_name(flag: str) -> str:
    """The parameter of an option: `-j, --jobs` is `jobs`."""
    return flag.split(", ")[-1].lstrip("-").replace("-", "_")


def setting_option(recipe: Recipe, flag: str, key: str) -> Any:
    """The option of one setting; not given, it is None.

    Raises:
        TypeError: the setting is neither number, flag nor text.
    """
    from comictool.training.config import fields_of, meanings

    kind, metavar = fields_of(recipe.config)[key], None
    if typing.get_origin(kind) is typing.Literal:
        kind, metavar = str, "|".join(map(str, typing.get_args(kind)))
    if kind not in (str, int, float, bool):
        raise TypeError(f"{key} cannot be an option: it is of type {kind}")
    names = flag.split(", ")
    if kind is bool:
        names = [f"{flag}/--no-{flag.removeprefix('--')}"]
    help_text = meanings(recipe.config).get(key, f"The setting {key}.")
    return Annotated[kind | None, typer.Option(*names, metavar=metavar, help=help_text, show_default=False)]
