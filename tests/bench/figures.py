"""Rows of docs/figures.md. A bench prints each of its rows; with `--write` it also puts them there, with command and
the date, and into the table of README where that shows the same.
"""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path

from comictool.core.files import write_text

ROOT = Path(__file__).parents[2]
TABLE, README = ROOT / "docs" / "figures.md", ROOT / "README.md"
RESULTS = Path(__file__).parent / "results"  # whole tables of the benches that train
WRITE = "--write"


def arguments() -> list[str]:
    """What a bench was called with, less `--write`."""
    return [text for text in sys.argv[1:] if text != WRITE]


def figure(what: str, ours: str, rival: str = "") -> None:
    """Print a row; with `--write`, replace the one that measures the same, or add it as the last."""
    spec = sys.modules["__main__"].__spec__
    bench = spec.name.removeprefix("tests.bench.") if spec else "?"
    real = " *" if "tests.data" in sys.modules and os.environ.get("COMICTOOL_TEST_DATA") else ""
    command = " ".join([bench, *arguments()])
    print(f"| {what} | {ours} | {rival} |")
    if WRITE in sys.argv:
        replace_row(TABLE, what, [what, ours, rival, f"`{command}`{real}", date.today().isoformat()], add=True)
        replace_row(README, what, [what, ours, rival], add=False)


def replace_row(file: Path, what: str, cells: list[str], *, add: bool) -> None:
    """Put a row of a Markdown table in place of the one with the same first cell."""
    lines = file.read_text("utf-8").splitlines()
    row = f"| {' | '.join(cells)} |".replace("|  |", "| |")
    same = [n for n, line in enumerate(lines) if line.startswith(f"| {what} |")]
    if same:
        lines[same[0]] = row
    elif add:
        lines.insert(max(n for n, line in enumerate(lines) if line.startswith("|")) + 1, row)
    write_text(file, "\n".join(lines) + "\n")


def ratio(share: float) -> str:
    """A share with three decimals, without a zero in front: `.983`, `1.000`."""
    return f"{share:.3f}".removeprefix("0")


def between(low: float, high: float) -> str:
    """An interval: `[.92, 1]`."""
    return f"[{ratio(low)}, {ratio(high)}]"
