"""`comictool config`: the settings of a recipe or of a run, each with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comictool.cli.options import command
from comictool.cli.output import Format, Output
from comictool.cli.training_options import Settings
from comictool.core.errors import UsageError, near_matches
from comictool.core.files import read_json
from comictool.core.typed import typed
from comictool.training.declaration import RECIPES, find_recipe

if TYPE_CHECKING:
    from comictool.training.config import Resolved


@command
def show(
    what: Annotated[
        str, typer.Argument(metavar="RECIPE|RUN", help=f"A recipe ({', '.join(RECIPES)}), or a run's folder.")
    ],
    toml: Annotated[bool, typer.Option("--toml", help="As a TOML file, which -c takes again.")] = False,
    *,
    settings: Settings,
    out: Output,
) -> None:
    """Show every setting of a recipe or of a run, and where its value comes from.

    With -v also what each setting of a recipe means.

    Example: comictool config show asterx --preset tiny --set training.epochs=5
    """
    if what in RECIPES:
        recipe = find_recipe(what)
        resolved = settings.resolve(recipe)
        if toml:
            from comictool.training.config import config_text

            out.text(config_text(resolved, f"comictool train {what}"))
            return
        from comictool.training.config import meanings

        meant = meanings(recipe.config)
        rows = [{**row, "meaning": meant.get(row["key"], "")} for row in _rows(resolved)]
    else:
        folder = Path(what)
        if not (folder / "config.toml").is_file():
            raise UsageError(
                f"{what!r} is neither a recipe nor the folder of a run",
                hint="recipes: " + ", ".join(RECIPES),
                near=near_matches(what, RECIPES),
            )
        if settings.file is not None or settings.sets:
            raise UsageError("a run has its settings already: -c and --set are for recipes")
        if toml:
            from comictool.training.config import read_toml

            read_toml(folder / "config.toml")  # a sentence when it is none
            out.text((folder / "config.toml").read_text("utf-8-sig"))
            return
        rows = _of_run(folder)
    if out.format is Format.json:
        out.record({row.pop("key"): row for row in rows})
    elif out.format is Format.jsonl:
        out.rows(rows, list(rows[0]))
    else:  # as --set takes them: a table's usual four digits would show 1e-6 as 0
        from comictool.core.toml_text import toml_value

        columns = list(rows[0]) if out.verbose else ["key", "value", "origin"]
        out.rows([{**row, "value": toml_value(row["value"])} for row in rows], columns)


@dataclass(frozen=True)
class _Environment:
    """`env.json` of a run, as far as it is shown."""

    origins: dict[str, str]
    extra: dict[str, Any] = field(default_factory=dict)


def _rows(resolved: Resolved[Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value, "origin": resolved.origins[key]} for key, value in resolved.values().items()]


def _of_run(folder: Path) -> list[dict[str, Any]]:
    from comictool.training.config import flatten_tables, read_toml

    values = flatten_tables(read_toml(folder / "config.toml"))
    env = folder / "env.json"
    origins = typed(_Environment, read_json(env, hint="the origins of the settings are in it"), str(env)).origins
    return [{"key": key, "value": value, "origin": origins.get(key, "")} for key, value in values.items()]
