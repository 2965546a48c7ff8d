"""The one output object: data on standard output in the format asked for, everything else on standard error."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TextIO

from comictool.core.progress import Bar, Heartbeat, Progress


class Format(StrEnum):
    """How results are written to standard output."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


class Output:
    """Verbs that commands speak with.

    Args:
        format: of the data on standard output.
        quiet: only data and errors.
        verbose: 0, 1 (details) or 2 (everything).
    """

    def __init__(self, format: Format = Format.table, *, quiet: bool = False, verbose: int = 0) -> None:
        self.format = format
        self.quiet = quiet
        self.verbose = verbose

    def rows(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Many results. A table or CSV shows the named columns, JSON every field. JSON lines stream."""
        if self.format is Format.jsonl:
            for row in rows:
                self._write(_dumps(row) + "\n")
        elif self.format is Format.json:
            self._write(_dumps(list(rows), indent=2) + "\n")
        elif self.format is Format.csv:
            self._csv(rows, columns)
        else:
            self._table(list(rows), columns)

    def record(self, record: Mapping[str, Any]) -> None:
        """One result: an object in JSON, `name  value` lines in a table (lists are left to JSON)."""
        if self.format is Format.json:
            self._write(_dumps(record, indent=2) + "\n")
        elif self.format is Format.jsonl:
            self._write(_dumps(record) + "\n")
        else:
            plain = {k: v for k, v in record.items() if not isinstance(v, (list, dict))}
            if self.format is Format.csv:
                self._csv([plain], list(plain))
            else:
                width = max((len(k) for k in plain), default=0)
                for name, value in plain.items():
                    self._write(f"{name.replace('_', ' '):<{width}}  {_cell(value)}\n")

    def text(self, text: str) -> None:
        """Data that is a text of its own (a manifest, a script)."""
        self._write(text if text.endswith("\n") else text + "\n")

    def note(self, text: str) -> None:
        """Something good to know; not data."""
        if not self.quiet:
            self._say(text)

    def detail(self, text: str) -> None:
        """Shown with -v."""
        if self.verbose >= 1 and not self.quiet:
            self._say(text)

    def warn(self, text: str) -> None:
        """A warning: something is off but the work continues."""
        self._say(f"warning: {text}")

    def next_commands(self, commands: Sequence[str]) -> None:
        """What to type next, ready to paste."""
        if commands and not self.quiet:
            self._say("\ntry next:")
            for command in commands:
                self._say(f"  {command}")

    def progress(self) -> Progress:
        """A bar on a terminal, heartbeat lines elsewhere, nothing when quiet."""
        if self.quiet:
            return QuietProgress()
        animate = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and os.environ.get("TTY_INTERACTIVE") != "0"
        if not animate:
            return Heartbeat()
        from rich.console import Console

        return Bar(Console(stderr=True))

    def _csv(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row.get(c)) for c in columns])
        self._write(buffer.getvalue())

    def _table(self, rows: list[Mapping[str, Any]], columns: Sequence[str]) -> None:
        if not rows:
            self.note("nothing found")
            return
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text

            table = Table(box=None, pad_edge=False, header_style="bold")
            for column in columns:
                number = all(isinstance(row.get(column), (int, float)) for row in rows)
                table.add_column(column.replace("_", " "), justify="right" if number else "left", overflow="fold")
            for row in rows:
                table.add_row(*(Text(_cell(row.get(c))) for c in columns))
            Console().print(table)
            return
        # On a pipe nothing is wrapped or cut: grep and awk read it.
        cells = [[c.replace("_", " ") for c in columns], *([_cell(row.get(c)) for c in columns] for row in rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        for line in cells:
            self._write("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() + "\n")

    def _write(self, text: str) -> None:
        _emit(sys.stdout, text)

    def _say(self, text: str) -> None:
        sys.stdout.flush()
        _emit(sys.stderr, text + "\n")


class QuietProgress(Progress):
    """No bar, but problems of single items are still errors and still reported."""

    def message(self, text: str) -> None:
        _emit(sys.stderr, text + "\n")


def _emit(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:  # an ASCII terminal: show what it cannot as escapes rather than fail
        stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))


_LINE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def _dumps(value: Any, indent: int | None = None) -> str:
    separators = None if indent else (",", ":")
    text = _LINE.encode(value) if indent is None else json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # an ASCII stream, or a file name that is no UTF-8: JSON's own escapes say it
        return json.dumps(value, indent=indent, separators=separators, default=str)
    return text


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:.1f}"
    if isinstance(value, (list, tuple)):
        return " ".join(_cell(v) for v in value)
    # Names come out of files: control characters must not reach a terminal.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
