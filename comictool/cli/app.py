"""The program: a lazy tree of commands over the table, and `main`, where every exit code is made."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from comictool import __version__
from comictool.cli.table import COMMANDS, OTHER_WORDS, SLIP, Command, Group
from comictool.core.errors import ComicError, ExitCode

PROGRAM = "comictool"
SUMMARY = """A toolkit for people who study, keep or draw comics.

  comictool index MY_COMICS -o LIBRARY     make a folder of comics searchable
  comictool query LIBRARY --image x.png    find where a panel or page comes from
  comictool demo                           see it work on drawn comics, no data needed
"""
EXIT_CODES = (
    "Exit codes: 0 done, 1 done but some items failed, 2 usage, 3 input, 4 environment, 5 bug, "
    "130/143 stopped and saved."
)


class LazyGroup(TyperGroup):
    """A command group that knows its commands from the table and imports one only to run it."""

    def __init__(self, table: Mapping[str, Any], *, carried: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(rich_markup_mode=None, **attributes)
        self._table = table
        self._carried = carried
        self._stubs_will_do = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = self._table.get(cmd_name)
        if entry is None:
            return None
        if isinstance(entry, Group):
            return LazyGroup(entry.commands, carried=entry.carried, name=cmd_name, help=entry.summary)
        if self._stubs_will_do:
            return TyperCommand(cmd_name, help=entry.summary)
        return load_command(cmd_name, entry)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            args = ["--help"]
        return super().parse_args(ctx, self._carry(args))

    def _carry(self, args: list[str]) -> list[str]:
        """Options that may stand before the command's name, moved behind it."""
        count = 0
        while count < len(args) and args[count].partition("=")[0] in self._carried:
            count += 1 if "=" in args[count] else 2
        return [*args[count : count + 1], *args[:count], *args[count + 1 :]]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self._table.items():
            sections.setdefault(entry.section, []).append((name, entry.summary))
        width = max(len(name) for name in self._table)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        # Completing names asks for every command object only to read its summary: the table has that.
        self._stubs_will_do = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._stubs_will_do = False

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self._table and not args[0].startswith("-") and not ctx.resilient_parsing:
            from comictool.core.errors import UsageError

            everywhere = {name: f"{ctx.command_path} {name}" for name in self._table}
            if ctx.parent is None:
                for name, entry in self._table.items():
                    for child in entry.commands if isinstance(entry, Group) else ():
                        everywhere.setdefault(child, f"{PROGRAM} {name} {child}")
            raise UsageError(
                f"there is no command {args[0]!r}" + (f" in `{ctx.command_path}`" if ctx.parent else ""),
                near=[everywhere[name] for name in _meant(args[0], everywhere)],
                hint=f"{ctx.command_path} --help",
            )
        return super().resolve_command(ctx, args)


def _meant(wrong: str, known: Mapping[str, str]) -> list[str]:
    """Names of commands that do what a word asks for, else those that it is a slip of."""
    from comictool.core.errors import near_matches

    asked = [name for name, words in OTHER_WORDS.items() if wrong.casefold() in words.split() and name in known]
    return asked or near_matches(wrong, known, cutoff=SLIP)


def load_command(name: str, entry: Command) -> Any:
    """Import a command's function and make the parser for it."""
    module_name, function_name = entry.target.split(":")
    function = getattr(importlib.import_module(f"comictool.cli.{module_name}"), function_name)
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(name, context_settings={"help_option_names": ["-h", "--help"]})(function)
    parser = typer.main.get_command(single)
    for parameter in parser.params:
        if hasattr(parameter.type, "readable"):
            # The parser's own check would call a file that may not be read wrong usage: it is bad input.
            parameter.type.readable = False
            parameter.type.convert = partial(_path, parameter.type.convert)  # type: ignore[method-assign]
        if parameter._custom_shell_complete is None and (values := fixed_choices(parameter.metavar)):
            parameter._custom_shell_complete = partial(_beginning, values)
    return parser


def _path(convert: Callable[..., Any], value: Any, parameter: Any, ctx: Any) -> Any:
    """A path as the parser reads it; an empty one, which would be the current folder, is mostly an unset variable.

    Raises:
        UsageError: it is empty.
    """
    if value == "":
        from comictool.core.errors import UsageError

        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.make_metavar(ctx)
        raise UsageError(f"{name} is empty", hint="write . for the current folder")
    return convert(value, parameter, ctx)


def fixed_choices(metavar: str | None) -> list[str]:
    """The values that a metavar such as `auto|never|must` names; of `cuda[:N]` and `knn:K` what stands before."""
    if not metavar or "|" not in metavar:
        return []
    return [word for part in metavar.split("|") if (word := re.split(r"[\[:]", part)[0]) and word == word.lower()]


def _beginning(values: Sequence[str], ctx: Any, parameter: Any, incomplete: str) -> list[str]:
    return [value for value in values if value.startswith(incomplete)]


def build() -> LazyGroup:
    """The root of the command tree."""
    from typer.core import TyperOption

    def show_version(ctx: Any, param: Any, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            print(__version__)  # noqa: T201 - the one answer that needs no output object
            raise typer.Exit

    def show_completion(ctx: Any, param: Any, value: str | None) -> None:
        if value and not ctx.resilient_parsing:
            from comictool.cli.complete import script

            print(script(value))  # noqa: T201
            raise typer.Exit

    options = [
        TyperOption(
            param_decls=["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=show_version,
            help="Print the version and stop.",
        ),
        TyperOption(
            param_decls=["--show-completion"],
            type=str,
            is_eager=True,
            expose_value=False,
            callback=show_completion,
            metavar="SHELL",
            help="Print the completion script for bash, zsh or fish and stop.",
        ),
    ]
    return LazyGroup(
        COMMANDS,
        name=PROGRAM,
        help=SUMMARY.replace("\n\n", "\n\n\b\n", 1),
        epilog=EXIT_CODES,
        params=options,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code; every error is already reported on standard error."""
    from comictool.cli.errors import explain

    try:
        result = build().main(args=list(arguments), prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()  # a full disk or a closed pipe is told as any other
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except BaseException as error:
        # An import that is interrupted may fail with an error of its own. No name may hold the error beyond this
        # block: its traceback would keep all frames alive, and with them the processes that load training data.
        interrupted = _Interrupts.came and not isinstance(error, ComicError)
        return explain(KeyboardInterrupt() if interrupted else error, debug="--debug" in arguments, arguments=arguments)
    return int(result or 0)


class _Interrupts:
    """Ctrl-C as an exception, remembered, since code that is interrupted may make another error of it."""

    came = False

    @classmethod
    def begin(cls) -> None:
        """From here on it is an exception; it goes nowhere without ending the program."""
        sys.unraisablehook = cls._unraisable
        signal.signal(signal.SIGINT, cls._came)

    @classmethod
    def _came(cls, number: int, frame: FrameType | None) -> None:
        cls.came = True
        raise KeyboardInterrupt

    @staticmethod
    def _unraisable(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):  # in a destructor or callback, where it would be lost
            os._exit(ExitCode.INTERRUPTED)
        sys.__unraisablehook__(unraisable)


def main() -> NoReturn:
    """Entry point of the `comictool` program."""
    _Interrupts.begin()
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by who started us (`>&-`): say it to nobody
            setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
    if os.environ.get("_COMICTOOL_COMPLETE"):
        from typer.completion import completion_init

        completion_init()  # tells Typer of the shells; its own add_completion would do so
        build().main(prog_name=PROGRAM)
    try:
        code = run(sys.argv[1:])
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left is tidying up
    except KeyboardInterrupt:  # a second one, while the first was being reported
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = int(ExitCode.INTERRUPTED)
    sys.exit(code)
