"""docs/commands.md, made from the table and each command's help: `python -m comictool.cli.reference docs`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from comictool.cli.app import EXIT_CODES, PROGRAM, load_command
from comictool.cli.table import COMMANDS, Command, Group

FILE = "commands.md"
HEAD = f"""# Commands

Made by `python -m comictool.cli.reference docs` from the program's own help; a test keeps it current.

Results go to standard output, everything else to standard error. {EXIT_CODES}
Options that are the same everywhere (`--format`, `--json`, `-q`, `-v`, `--debug`) are left out below.
"""
EVERYWHERE = {"format", "json", "quiet", "verbose", "debug", "help", "output_format"}


def every_command(table: Mapping[str, Command | Group] = COMMANDS, before: str = "") -> Iterator[tuple[str, Command]]:
    """Each command of the table with its full name, such as `data import`."""
    for name, entry in table.items():
        if isinstance(entry, Group):
            yield from every_command(entry.commands, f"{before}{name} ")
        else:
            yield before + name, entry


def page() -> str:
    """The text of the page."""
    commands = [(name, load_command(name.split()[-1], entry), entry.summary) for name, entry in every_command()]
    listed = "\n".join(f"- [`{PROGRAM} {name}`](#{_anchor(name)}): {summary}" for name, _, summary in commands)
    return "\n".join([HEAD, listed, *(_section(name, parser) for name, parser, _ in commands)])


def write(folder: Path) -> Path:
    """Write the page into a folder."""
    from comictool.core.files import write_text

    write_text(folder / FILE, page())
    return folder / FILE


def _section(name: str, parser: Any) -> str:
    arguments = [p for p in parser.params if p.param_type_name == "argument"]
    options = [p for p in parser.params if p.param_type_name == "option" and p.name not in EVERYWHERE]
    usage = " ".join([PROGRAM, name, *(_shown(argument) for argument in arguments)])
    told, _, example = inspect.cleandoc(parser.help or "").partition("Example: ")
    lines = [f"\n## {PROGRAM} {name}\n", told.replace("\b", "").strip(), "\n```", usage + " [OPTIONS]"]
    lines += [example.strip(), "```", ""] if example else ["```", ""]
    for parameter in [*arguments, *options]:
        lines.append(f"- `{_shown(parameter)}`: {' '.join((parameter.help or '').split())}{_default(parameter)}")
    return "\n".join(lines) + "\n"


def _shown(parameter: Any) -> str:
    metavar = parameter.metavar or ("" if getattr(parameter, "is_flag", False) else parameter.type.name.upper())
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return f"{', '.join(parameter.opts)} {metavar}".strip()


def _default(parameter: Any) -> str:
    value = parameter.default
    plain = isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
    return f" Default: `{value}`." if plain else ""


def _anchor(name: str) -> str:
    return f"{PROGRAM} {name}".replace(" ", "-")


if __name__ == "__main__":
    import sys

    write(Path(sys.argv[1]))
