"""CSV files as other programs write them: their encoding, byte order mark, line ends and quoting, found and kept."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from comictool.core.errors import InputError, near_matches
from comictool.formats.values import encoding_of

SAMPLE = 1 << 16  # bytes looked at to learn how a file is written
csv.field_size_limit(1 << 24)  # polygons with thousands of points pass the default of 131,072 characters

Row = list[str]


@dataclass(frozen=True)
class TableStyle:
    """How a CSV file is written."""

    encoding: str = "utf-8"
    delimiter: str = ","
    line_end: str = "\n"
    quote_all: bool = False


def text_encoding(file: Path) -> str:
    """As `encoding_of` finds it; a file of UTF-8 is never in memory as a whole."""
    with open(file, "rb") as stream:
        head = encoding_of(stream.read(4))
        if head.startswith("utf-16") or head.endswith("sig"):
            return head
        stream.seek(0)
        checker = io.TextIOWrapper(stream, encoding="utf-8")
        try:
            while checker.read(SAMPLE):
                pass
        except UnicodeDecodeError:
            return encoding_of(file.read_bytes())
        finally:
            checker.detach()
    return "utf-8"


def table_style(file: Path) -> TableStyle:
    """Learn how a file is written from its beginning."""
    encoding = text_encoding(file)
    with open(file, "rb") as stream:
        head = stream.read(SAMPLE).decode(encoding, errors="ignore")
    first = head.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count) if first else ","
    line_end = "\r\n" if "\r\n" in head else "\n"
    bare = first.rstrip("\r\n")
    quote_all = bare.startswith('"') and bare.endswith('"') and bare.count(f'"{delimiter}"') == bare.count(delimiter)
    return TableStyle(encoding, delimiter, line_end, quote_all)


@contextmanager
def open_table(file: Path, style: TableStyle | None = None) -> Iterator[TextIO]:
    """Open a CSV file for the csv module, in its own encoding.

    Raises:
        InputError: it cannot be opened, or is not text.
    """
    try:
        encoding = style.encoding if style else text_encoding(file)
        with open(file, encoding=encoding, newline="", errors="replace") as stream:
            yield stream
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except csv.Error as error:
        raise InputError(f"{file} is not a table: {error}") from error


def read_rows(file: Path, *, needed: tuple[str, ...] = ()) -> Iterator[dict[str, str]]:
    """The rows of a CSV file by column name, one at a time; cells that a short row lacks are empty.

    Raises:
        InputError: it cannot be read, or a needed column is missing.
    """
    style = table_style(file) if file.is_file() else TableStyle()
    with open_table(file, style) as stream:
        reader = csv.reader(stream, delimiter=style.delimiter)
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in needed if name not in header]
        if missing:
            raise InputError(f"{file} has no column {missing[0]!r}", near=near_matches(missing[0], header))
        for row in reader:
            if any(cell.strip() for cell in row):
                yield {name: row[i] if i < len(row) else "" for i, name in enumerate(header)}


def rewrite_table(
    source: Path, target: BinaryIO, make: Callable[[Row], tuple[Row, Callable[[Row], Row | None]]]
) -> int:
    """Copy a CSV file row by row with changes, written the way it was; returns how many rows differ.

    Args:
        make: takes the header, returns the new header and the function that changes one row (None: leave it out).
    """
    style = table_style(source)
    text = io.TextIOWrapper(target, encoding=style.encoding, newline="", write_through=True)
    quoting: Any = csv.QUOTE_ALL if style.quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=style.delimiter, lineterminator=style.line_end, quoting=quoting)
    changed = 0
    with open_table(source, style) as stream:
        rows = csv.reader(stream, delimiter=style.delimiter)
        header = next(rows, [])
        if header:
            new_header, change = make(header)
            changed += new_header != header
            writer.writerow(new_header)
            for row in rows:
                new_row: Row | None = change(row) if row else row
                changed += new_row != row
                if new_row is not None:
                    writer.writerow(new_row)
    text.flush()
    text.detach()
    return changed
