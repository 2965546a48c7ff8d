"""Every command that a hint of the program names is one, with the options that it is said to have (6.8, 6.12)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comictool.cli.app import load_command, run
from comictool.cli.reference import every_command
from tests.reid.drawings import drawing, save

PACKAGE = Path(__file__).parents[2] / "comictool"
PLACE = "{}"  # stands for what an f-string puts in
COMMANDS = dict(every_command())
# from the word `comictool` to the end of the command: a sentence, a bracket or another command
NAMED = re.compile(r"comictool ([a-z][^;()]*?)(?=$|[;()]|, | then | or comictool|: | where | to )")


def texts(node: ast.expr) -> Iterator[str]:
    """The strings that an expression may give, with a mark for each thing put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else PLACE for part in node.values)
        yield "".join(str(part) for part in parts)
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from texts(value)


def hints() -> Iterator[tuple[str, str]]:
    """Place and text of every hint in the package."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                for text in texts(node.value):
                    yield f"{file.relative_to(PACKAGE)}:{node.value.lineno}", text


def named(text: str) -> Iterator[list[str]]:
    """The command lines in a text, as words."""
    for found in NAMED.finditer(text):
        yield found[1].split()


def test_the_finder_sees_commands() -> None:
    assert [words[0] for words in named("rm -r x, then: comictool embed {} -o {}; or comictool index C -o L")] == [
        "embed",
        "index",
    ]
    assert sum(1 for _, text in hints() for _ in named(text)) > 60


@pytest.mark.parametrize(("place", "text"), [(p, t) for p, t in hints() if any(named(t))])
def test_a_hint_names_a_command_with_its_options(place: str, text: str) -> None:
    for words in named(text):
        if PLACE in words[0]:
            continue
        name = next((" ".join(words[:n]) for n in (3, 2, 1) if " ".join(words[:n]) in COMMANDS), None)
        if name is None and len(words) > 1 and PLACE in words[1]:
            continue  # which command of a group is put in
        assert name is not None, f"{place}: there is no {' '.join(words[:2])!r}"
        command: Any = load_command(name.split()[-1], COMMANDS[name])
        options = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
        for word in words:
            if word.startswith("-") and len(word) > 1 and PLACE not in word.split("=")[0]:
                assert word.split("=")[0].rstrip(".") in options, f"{place}: {name} has no {word}"


def followed(error: str, fill: dict[str, str]) -> list[str]:
    """The words of the command that the hint of an error names, its placeholders filled in."""
    command = error.split("try: comictool ")[1].splitlines()[0]
    return [fill.get(word, word) for word in command.split()]


IMPORTED = ["data", "import", "comics", "-o", "made", "-q"]


@pytest.mark.parametrize(
    ("before", "asked", "fill"),
    [
        ([], ["data", "panels", "comics"], {"CORPUS": "made"}),
        ([], ["data", "panels", "comics/0.png"], {"CORPUS": "made"}),
        ([], ["query", "comics", "comics/0.png"], {"LIBRARY": "made"}),
        ([IMPORTED], ["query", "made", "comics/0.png"], {"STORE": "vectors"}),
    ],
)
def test_what_a_hint_says_works_and_damages_nothing(
    before: list[list[str]],
    asked: list[str],
    fill: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The hint of a failed command is run as it stands; it succeeds, and all that was there is as it was."""
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        save(Path("comics", f"{number}.png"), drawing("ann", number, side=96))
    for words in before:
        assert run(words) == 0
    were = {path: path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}
    capfd.readouterr()
    assert run(asked) not in (0, None)
    command = followed(capfd.readouterr().err, fill)
    assert run(command) == 0, command
    assert {path: path.read_bytes() for path in were} == were
