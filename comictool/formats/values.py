"""Reading values from files that other people's programs wrote: JSON, CSV, numbers and text, all of it suspect."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from comictool.archives.legacy_names import likely_encoding
from comictool.core.errors import InputError, near_matches
from comictool.core.files import parse_json, read_bounded

# The largest public annotation file that we know of (7 million COCO annotations) has about 1.3 GB.
MAX_BYTES = 2 * 1024**3
MAX_FIELD = 16 * 1024**2  # one CSV cell: a polygon of a million points
DELIMITERS = (",", ";", "\t", "|")
LARGEST_INTEGER = 10**12
# What pandas and spreadsheets write for a cell without a number; a person may be called so, where names are asked for.
NOTHING = frozenset({"", "nan", "NaN", "NAN", "<NA>", "NA", "N/A", "#N/A", "NaT", "NULL", "null", "None"})
_WHOLE = re.compile(r"([+-]?\d+)[.,]0*\Z")  # with a comma where that is the decimal sign
_CELLS = re.compile(rb"[^,;\t|\"\r\n{}\[\]]+")
_SEPARATOR = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # the first line of a sheet, which tells Excel the delimiter


def read_text(path: Path) -> str:
    """The text of an annotation file, in the encoding that `encoding_of` finds; impossible bytes become U+FFFD."""
    data = read_bounded(path, what="the annotations", most_bytes=MAX_BYTES)
    return data.decode(encoding_of(data), "replace")


def encoding_of(data: bytes) -> str:
    """UTF-8 or UTF-16 with or without byte order mark, else the likeliest of those from before Unicode.

    Spreadsheet programs still save CSV in the code page of the country: Windows-1252, Shift-JIS, GBK.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    # In UTF-16 without a mark every second byte of the first letters, which are ASCII here, is 0.
    if len(data) > 3 and b"\0" in data[:4]:
        return "utf-16-le" if data[1] == 0 else "utf-16-be"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        cells = _CELLS.findall(data, max(0, error.start - 1000), error.start + 1_000_000)
        telling = [cell for cell in cells if not cell.isascii()]
        found = likely_encoding(telling)
        # Words of other alphabets have no Latin letters in them; accented ones nearly always do.
        mixed = sum(re.search(rb"[A-Za-z]", cell) is not None for cell in telling)
        latin = found == "cp1251" and 2 * mixed >= len(telling)
        # No spreadsheet of today writes the DOS code pages.
        return "cp1252" if latin or found in ("utf-8", "cp437", "cp850", "cp866") else found
    return "utf-8-sig" if data[:3] == b"\xef\xbb\xbf" else "utf-8"


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        InputError: unreadable, too large, not JSON, or nested too deeply.
    """
    return parse_json(read_text(path), str(path))


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with a header, each with the number of its row (the header is 1); cells stripped.

    The delimiter is the one of comma, semicolon, tab and bar that finds the required columns, whatever their letter
    case. Missing cells are empty, surplus ones are dropped, rows without any content are left out.

    Args:
        path: the file.
        columns: those that must be there.

    Raises:
        InputError: a required column is missing, or the file cannot be read as CSV.
    """
    text = read_text(path)
    separator = _SEPARATOR.match(text)
    text = text[separator.end() :] if separator else text
    spelled = {name.casefold(): name for name in columns}
    header: list[str] = []
    for delimiter in DELIMITERS:
        header = [name.strip() for name in next(_parse(text, delimiter, path), [])]
        header = [spelled.get(name.casefold(), name) for name in header]
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
            data = stream.read(64 * 1024)
    except OSError:
        return []
    text = data.decode(encoding_of(data), "replace")
    separator = _SEPARATOR.match(text)
    line = text[separator.end() if separator else 0 :].partition("\n")[0]
    delimiter = max(DELIMITERS, key=line.count)
    return [name.strip() for name in next(csv.reader([line.rstrip("\r")], delimiter=delimiter), [])]


def identifier(text: str) -> str:
    """What a cell names a region or a person by: `12` for `12.0` and `12,0`; empty for what means that there is none.

    pandas writes whole numbers as floats in a column with missing values, and spreadsheets follow it.
    """
    if text in NOTHING:
        return ""
    whole = _WHOLE.match(text)
    if whole is not None:
        return whole.group(1)
    number = integer_of(text) if "e" in text.casefold() else None
    return text if number is None else str(number)


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
    """A whole number, also when it is written `3.0`, `3,0` or `3e0`; None for anything else."""
    if isinstance(value, str) and (whole := _WHOLE.match(value.strip())):
        value = whole.group(1)
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
        whole = integer_of(value)
        return str(value if whole is None else whole)
    if not isinstance(value, str):
        return None
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def list_of(value: Any) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def object_of(value: Any) -> dict[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}
