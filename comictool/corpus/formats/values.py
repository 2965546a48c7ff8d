"""Reading values from files that other people's programs wrote: JSON, CSV, numbers and text, all of it suspect."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError, near_matches

# The largest public annotation file that we know of (7 million COCO annotations) has about 1.3 GB.
MAX_BYTES = 2 * 1024**3
MAX_FIELD = 16 * 1024**2  # one CSV cell: a polygon of a million points
LARGEST_INTEGER = 10**12


def read_bounded(path: Path) -> bytes:
    """The bytes of an annotation file.

    Raises:
        InputError: missing, unreadable, or larger than `MAX_BYTES`.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path} has {size:,} bytes, more than the {MAX_BYTES:,} allowed for annotations")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def read_text(path: Path) -> str:
    """The text of an annotation file: UTF-8 with or without byte order mark, UTF-16 with one, else Windows-1252.

    Spreadsheet programs still save CSV in the Windows code page; undefined bytes in it become U+FFFD.
    """
    data = read_bounded(path)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        InputError: unreadable, too large, not JSON, or nested too deeply.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply") from error
    except ValueError as error:  # not JSON, or an integer of more digits than Python converts
        raise InputError(f"{path} is not JSON: {error}") from error


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with a header, each with the number of its row (the header is 1); cells stripped.

    The delimiter is the one of comma, semicolon and tab that finds the required columns. Missing cells are empty,
    surplus ones are dropped, rows without any content are left out.

    Args:
        path: the file.
        columns: those that must be there.

    Raises:
        InputError: a required column is missing, or the file cannot be read as CSV.
    """
    text = read_text(path)
    header: list[str] = []
    for delimiter in (",", ";", "\t"):
        header = [name.strip() for name in next(_parse(text, delimiter, path), [])]
        if set(columns) <= set(header):
            break
    else:
        header = [name.strip() for name in next(_parse(text, ",", path), [])]
        missing = next(name for name in columns if name not in header)
        raise InputError(f"{path} has no column {missing!r}", near=near_matches(missing, header))
    rows = _parse(text, delimiter, path)
    next(rows)
    for number, cells in enumerate(rows, start=2):
        padded = [cell.strip() for cell in cells] + [""] * (len(header) - len(cells))
        if any(padded):
            # Of columns with one name the first counts, as in pandas.
            yield number, dict(zip(reversed(header), reversed(padded[: len(header)]), strict=True))


def _parse(text: str, delimiter: str, path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_FIELD)  # of the whole process: never set back, another thread may be reading
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise InputError(f"{path} is not CSV: {error}") from error


def header_of(path: Path) -> list[str]:
    """Column names of a CSV file without reading all of it; empty when it has none."""
    try:
        with path.open("rb") as stream:
            line = stream.readline(64 * 1024)
    except OSError:
        return []
    text = line.decode("utf-8-sig", "replace")
    delimiter = max(",;\t", key=text.count)
    return [name.strip() for name in next(csv.reader([text.rstrip("\r\n")], delimiter=delimiter), [])]


def number_of(value: Any) -> float | None:
    """A finite number from a number or from text (`12`, `12.5`, `1.2e3`); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def integer_of(value: Any) -> int | None:
    """A whole number, also when it is written `3.0` or `3e0`; None for anything else."""
    number = number_of(value)
    if number is None or number != math.floor(number) or abs(number) > LARGEST_INTEGER:
        return None
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
        return int(value)
    return int(number)


def share_of(value: Any, default: float = 1.0) -> float:
    """A score or confidence in 0..1; the default when it is missing or no number."""
    number = number_of(value)
    return default if number is None else min(1.0, max(0.0, number))


def text_of(value: Any) -> str | None:
    """Text that can be written as UTF-8 (lone surrogates become U+FFFD); numbers as text; None for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return None
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def list_of(value: Any) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def object_of(value: Any) -> dict[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}
