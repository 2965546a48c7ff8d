"""Strict reading of TOML tables: every wrong value is named by file and key. `core.toml_text` writes them.

Standard library only, because listing and completing plugin names must not import anything heavy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from comictool.core.errors import InputError, near_matches
from comictool.core.toml_text import BARE_KEY


class TableReader:
    """Takes the known keys out of one parsed table and refuses what is left over.

    Args:
        table: what `tomllib` gave.
        file: named in every error.
        path: dotted path of the table, empty for the top level.
    """

    def __init__(self, table: Mapping[str, Any], file: str, path: str = "") -> None:
        self._table = table
        self._file = file
        self._path = path
        self._known: list[str] = []

    def wrong(self, key: str, must: str, value: object) -> InputError:
        """The uniform sentence: which key of which file must be what, and what it is."""
        shown = repr(value)
        return InputError(
            f"{self._file}: {self._name(key)} must be {must}, not {shown if len(shown) <= 80 else shown[:77] + '...'}"
        )

    def take(self, key: str, *, required: bool = False) -> Any:
        """The raw value, or None when absent.

        Raises:
            InputError: required and absent.
        """
        self._known.append(key)
        value = self._table.get(key)
        if value is None and required:
            near = near_matches(key, self._table, limit=1)  # most often it is there, misspelt
            raise InputError(f"{self._file}: {self._name(key)} is missing", near=near)
        return value

    def text(self, key: str, *, required: bool = False, pattern: str = "", must: str = "", limit: int = 200) -> str:
        """A text of at most `limit` printable characters; empty when absent."""
        value = self.take(key, required=required)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.wrong(key, "a text", value)
        if len(value) > limit or not value.isprintable() or (required and not value.strip()):
            raise self.wrong(key, f"a text of 1 to {limit} printable characters", value)
        if pattern and not re.fullmatch(pattern, value):
            raise self.wrong(key, must or f"like {pattern}", value)
        return value

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of `choices`; `default` when absent (required when that is None)."""
        value = self.take(key, required=default is None)
        if value is None:
            return default or ""
        if value not in choices:
            error = self.wrong(key, "one of " + ", ".join(choices), value)
            error.near = near_matches(str(value), choices)
            raise error
        return str(value)

    def integer(self, key: str, low: int, high: int, *, required: bool = False) -> int | None:
        """A whole number in `low..high`; None when absent. TOML booleans are not numbers."""
        value = self.take(key, required=required)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, f"a whole number from {low} to {high}", value)
        return value

    def number(self, key: str, low: float, high: float, *, required: bool = False) -> float | None:
        """A finite number in `low..high`; None when absent."""
        value = self.take(key, required=required)
        if value is None:
            return None
        if not _is_number(value) or not low <= value <= high:
            raise self.wrong(key, f"a number from {low:g} to {high:g}", value)
        return float(value)

    def numbers(self, key: str, count: int, low: float, high: float) -> tuple[float, ...] | None:
        """`count` finite numbers in `low..high`; None when absent."""
        value = self.take(key)
        if value is None:
            return None
        good = (
            isinstance(value, list) and len(value) == count and all(_is_number(v) and low <= v <= high for v in value)
        )
        if not good:
            raise self.wrong(key, f"{count} numbers from {low:g} to {high:g}", value)
        return tuple(float(v) for v in value)

    def flag(self, key: str, default: bool) -> bool:
        """A TOML boolean; `default` when absent."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false", value)
        return value

    def table(self, key: str, *, required: bool = False) -> TableReader | None:
        """A sub-table; None when absent."""
        value = self.take(key, required=required)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(key, f"a table, written [{self._name(key)}]", value)
        return TableReader(value, self._file, self._name(key))

    def plain_values(self, *, depth: int = 3) -> dict[str, Any]:
        """The whole table when it holds only texts, finite numbers, booleans, and lists and tables of those."""
        self._known.extend(self._table)
        for key, value in self._table.items():
            if not _is_plain(value, depth):
                raise self.wrong(key, "a text, number, boolean, or short lists and tables of them", value)
        return dict(self._table)

    def finish(self) -> None:
        """Refuse the keys that nobody took.

        Raises:
            InputError: an unknown key, with the known ones nearest to it.
        """
        for key in self._table:
            if key not in self._known:
                near = near_matches(key, self._known)
                raise InputError(
                    f"{self._file}: {self._name(key)} is not a known key",
                    hint=f"known here: {', '.join(dict.fromkeys(self._known))}",
                    near=near,
                )

    def _name(self, key: str) -> str:
        shown = key if BARE_KEY.match(key) else repr(key[:60])
        return f"{self._path}.{shown}" if self._path else shown


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_plain(value: object, depth: int) -> bool:
    if isinstance(value, str):
        return len(value) <= 500 and value.isprintable()
    if isinstance(value, bool) or _is_number(value):
        return True
    if depth == 0:
        return False
    if isinstance(value, list):
        return len(value) <= 1000 and all(_is_plain(item, depth - 1) for item in value)
    return isinstance(value, dict) and len(value) <= 100 and all(_is_plain(v, depth - 1) for v in value.values())
