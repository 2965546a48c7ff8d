"""`comictool config`: the settings of a recipe or of a run, each with where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.options import command
from comictool.cli.output import Format, Output
from comictool.cli.training_options import RECIPES, Settings, find_recipe
from comictool.core.errors import InputError, UsageError, near_matches

if TYPE_CHECKING:
    from comictool.training.config import Resolved


@command
def show(
    what: Annotated[str, typer.Argument(metavar="RECIPE|RUN", help="A recipe (asterx, elric), or a run's folder.")],
    toml: Annotated[bool, typer.Option("--toml", help="As a TOML file, which -c takes again.")] = False,
    *,
    settings: Settings,
    out: Output,
) -> None:
    """Show every setting of a recipe or of a run, and where its value comes from.

    Example: comictool config show asterx --preset tiny --set training.epochs=5
    """
    if what in RECIPES:
        recipe = find_recipe(what)
        resolved = settings.resolve(recipe)
        if toml:
            from comictool.training.config import config_text

            out.text(config_text(resolved, f"comictool train {what}"))
            return
        rows = _rows(resolved)
    else:
        folder = Path(what)
        if not (folder / "config.toml").is_file():
            raise UsageError(
                f"{what!r} is neither a recipe nor the folder of a run",
                hint="recipes: " + ", ".join(RECIPES), near=near_matches(what, RECIPES),
            )  # fmt: skip
        if settings.config is not None or settings.sets:
            raise UsageError("a run has its settings already: -c and --set are for recipes")
        if toml:
            from comictool.training.config import read_toml

            read_toml(folder / "config.toml")  # a sentence when it is none
            out.text((folder / "config.toml").read_text("utf-8-sig"))
            return
        rows = _of_run(folder)
    if out.format is Format.json:
        out.record({row["key"]: {"value": row["value"], "origin": row["origin"]} for row in rows})
    elif out.format is Format.jsonl:
        out.rows(rows, ["key", "value", "origin"])
    else:  # as --set takes them: a table's usual four digits would show 1e-6 as 0
        from comictool.core.toml_text import toml_value

        out.rows([{**row, "value": toml_value(row["value"])} for row in rows], ["key", "value", "origin"])


def _rows(resolved: Resolved[Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value, "origin": resolved.origins[key]} for key, value in resolved.values().items()]


def _of_run(folder: Path) -> list[dict[str, Any]]:
    from comictool.training.config import flatten_tables, read_toml

    values = flatten_tables(read_toml(folder / "config.toml"))
    try:
        origins = dict(json.loads((folder / "env.json").read_text("utf-8"))["origins"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{folder / 'env.json'} cannot be read: the origins of the settings are in it") from error
    return [{"key": key, "value": value, "origin": str(origins.get(key, ""))} for key, value in values.items()]
