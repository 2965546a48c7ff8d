from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from comictool import __version__
from comictool.cli import complete, reference
from comictool.cli.app import build
from comictool.cli.reference import every_command
from comictool.cli.table import COMMANDS, Command
from tests.cli.conftest import Run

HEAVY = ["torch", "numpy", "pandas", "PIL", "h5py", "zarr", "sklearn", "pydantic", "rich", "scipy"]


def loaded_after(arguments: list[str], **environment: str) -> set[str]:
    """Heavy modules in `sys.modules` after a command line."""
    code = (
        "import sys, json, io, contextlib\n"
        "from comictool.cli import app\n"
        "sys.argv = ['comictool', *json.loads(sys.argv[1])]\n"
        "try:\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        app.main()\n"
        "except SystemExit: pass\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=True,
    )
    return set(json.loads(run.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["data", "--help"], ["plugins", "--help"], ["nonsense"], []], ids=str
)
def test_help_and_version_load_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_after(arguments) == set()


@pytest.mark.parametrize("name", [name for name, _ in every_command()])
def test_help_of_every_command_loads_nothing_heavy(name: str) -> None:
    assert loaded_after([*name.split(), "--help"]) == set()


@pytest.mark.parametrize("typed", ["comictool ", "comictool d", "comictool data im", "comictool embed --plugin "])
def test_completion_loads_nothing_heavy(typed: str) -> None:
    words = {"_COMICTOOL_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    assert loaded_after([], **words) == set()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("comictool d", {"data", "demo", "doctor"}),
        ("comictool data ", {"import", "panels", "draw"}),
        ("comictool embed --plugin cl", {"classic"}),
        ("comictool query --form", {"--format"}),
        ("comictool query x --format js", {"json", "jsonl"}),
        ("comictool embed c --resume ", {"auto", "never", "must"}),
        ("comictool query x --level pa", {"panel", "page"}),
        ("comictool embed c --level page --level pa", {"panel", "page"}),
        ("comictool reid classify d --mode ", {"max", "avg", "centroid", "knn", "auto"}),
        ("comictool reid classify d --action m", {"move"}),
        ("comictool embed c --device c", {"cpu", "cuda"}),
        ("comictool data import c --direction r", {"rtl"}),
    ],
)
def test_tab_offers(comictool: Run, typed: str, expected: set[str]) -> None:
    words = {"_COMICTOOL_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    assert set(comictool(**words).out.split()) >= expected


@pytest.mark.parametrize(("name", "entry"), every_command())
def test_the_summary_in_the_table_is_the_first_line_of_the_docstring(name: str, entry: Command) -> None:
    module, function = entry.target.split(":")
    doc = inspect.getdoc(getattr(importlib.import_module(f"comictool.cli.{module}"), function))
    assert doc is not None
    assert doc.splitlines()[0] == entry.summary
    assert "Example: comictool" in doc, f"{name} shows no example"


@pytest.mark.parametrize("name", [name for name, _ in every_command()])
def test_every_command_has_help(comictool: Run, name: str) -> None:
    ran = comictool(*name.split(), "--help")
    assert ran.code == 0
    assert "--format" in ran.out


def test_version_is_the_version_and_nothing_else(comictool: Run) -> None:
    assert comictool("--version").out == __version__ + "\n"


def test_usage_errors_say_what_was_meant(comictool: Run) -> None:
    ran = comictool("inport")
    assert (ran.code, ran.out) == (2, "")
    assert "comictool data import" in ran.err
    ran = comictool("data", "import", "x", "--outputt", "y")
    assert (ran.code, ran.out) == (2, "")
    assert "--output" in ran.err
    ran = comictool("data", "import", "x")
    assert (ran.code, ran.out) == (2, "")
    assert "--output" in ran.err
    assert comictool("data", "panels", ".", "--direction", "up").code == 2
    assert comictool("data", "panels", ".", "--shard", "3/2").code == 2


@pytest.mark.parametrize(
    "words", [("query", ".", ""), ("query", ".", "--image", ""), ("data", "info", ""), ("reid", "undo", "")]
)
def test_an_empty_path_is_not_the_current_folder(comictool: Run, words: tuple[str, ...]) -> None:
    ran = comictool(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "is empty" in ran.err


def test_a_missing_corpus_is_an_input_error_with_the_next_command(comictool: Run) -> None:
    ran = comictool("data", "panels", "nowhere", "--json")
    assert (ran.code, ran.out) == (3, "")
    assert "comictool data import" in ran.err
    assert "Traceback" not in ran.err
    assert "Traceback" in comictool("data", "panels", "nowhere", "--debug").err


@pytest.mark.parametrize("shell", complete.SHELLS)
def test_the_completion_files_are_current(shell: str) -> None:
    """Run `python -m comictool.cli.complete completions` after a change of Typer."""
    file = Path(__file__).parents[2] / "completions" / complete.SHELLS[shell]
    assert file.read_text("utf-8") == complete.script(shell) + "\n"


def test_the_page_of_commands_is_current() -> None:
    """Run `python -m comictool.cli.reference docs` after a change of a command or its help."""
    file = Path(__file__).parents[2] / "docs" / reference.FILE
    assert file.read_text("utf-8") == reference.page()


def test_the_readme_is_a_door() -> None:
    """At most 6 kB, and every page that it names is there."""
    root = Path(__file__).parents[2]
    text = (root / "README.md").read_text("utf-8")
    assert len(text.encode()) <= 6144
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (root / target).is_file(), target


ASK_ZSH = """
import os, pty, select, sys, time
child, terminal = pty.fork()
if child == 0:
    os.execvp("zsh", ["zsh", "-f", "-i"])
def answer(until, seconds):
    out, end = b"", time.monotonic() + seconds
    while time.monotonic() < end and until not in out:
        if select.select([terminal], [], [], 0.1)[0]:
            out += os.read(terminal, 65536)
    return out
os.write(terminal, sys.argv[1].encode() + b"; echo rea''dy\\n")
answer(b"ready\\r", 60)
os.write(terminal, b"comictool do\\t")
print(answer(b"doctor", 60).decode(errors="replace"))
os.kill(child, 9)
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
@pytest.mark.parametrize("place", ["fpath", "rc with compinit", "rc alone"])
def test_zsh_answers_the_first_tab(tmp_path: Path, place: str) -> None:
    """On a terminal of its own: in $fpath the first Tab gave nothing; in a bare .zshrc `compdef` was not found."""
    completions = Path(__file__).parents[2] / "completions"
    setting = {
        "fpath": f"fpath=({completions} $fpath); autoload -Uz compinit; compinit -u -D",
        "rc with compinit": f"autoload -Uz compinit; compinit -u -D; source {completions}/_comictool",
        "rc alone": f"source {completions}/_comictool",
    }[place]
    program = tmp_path / "comictool"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m comictool "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "TERM": "dumb",
        "ZDOTDIR": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK_ZSH, setting],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    assert "doctor" in done.stdout


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish_offers_commands_and_values(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "completions" / "comictool.fish"
    program = tmp_path / "comictool"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m comictool "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    asked = f"source {script}; complete -C 'comictool d'; complete -C 'comictool embed c --resume '"
    done = subprocess.run(
        ["fish", "--no-config", "-c", asked], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} >= {"data", "demo", "doctor", "auto", "must"}


def test_an_unknown_shell_is_a_usage_error(comictool: Run) -> None:
    assert comictool("--show-completion", "tcsh").code == 2
    assert comictool("--show-completion", "bash").out.startswith("_comictool_completion()")


def test_commands_are_only_those_of_the_table() -> None:
    assert build().list_commands(None) == list(COMMANDS)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("search", "comictool query"),
        ("update", "comictool index"),
        ("sort", "comictool reid classify"),
        ("qurey", "comictool query"),
        ("pannels", "comictool data panels"),
        ("zzz", None),
    ],
)
def test_what_a_wrong_command_was_meant_to_be(comictool: Run, wrong: str, meant: str | None) -> None:
    """6.9: `search` led to `train elric`, `update` to `data`."""
    lines = comictool(wrong).err.splitlines()
    assert [line for line in lines if "did you mean" in line] == ([f"  did you mean: {meant}"] if meant else [])
