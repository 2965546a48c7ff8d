"""Writing TOML: nested tables of plain values, as the standard library's `tomllib` reads them back."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def write_tables(tables: Mapping[str, object], comments: Mapping[str, str] | None = None) -> str:
    """TOML text of nested dicts of texts, finite numbers, booleans and lists. None values are left out.

    Args:
        tables: what is written, values before tables.
        comments: for dotted keys (`training.epochs`), a remark that is written behind the value.

    Raises:
        TypeError: a value that has no place in TOML.
    """
    return "\n".join(_lines(tables, "", comments or {})).lstrip("\n") + "\n"


def toml_key(key: str) -> str:
    """A key as TOML writes it: bare where it can be, else quoted."""
    return key if BARE_KEY.match(key) else _text(key)


def toml_value(value: object) -> str:
    """A value as TOML writes it.

    Raises:
        TypeError: it has no place in TOML.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml_key(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
    raise TypeError(f"{type(value).__name__} has no place in TOML")


def _lines(table: Mapping[str, object], path: str, comments: Mapping[str, str]) -> list[str]:
    lines = []
    for key, value in table.items():
        if value is not None and not isinstance(value, Mapping):
            comment = comments.get(f"{path}.{key}" if path else key)
            lines.append(f"{toml_key(key)} = {toml_value(value)}" + (f"  # {comment}" if comment else ""))
    for key, value in table.items():
        if isinstance(value, Mapping):
            name = f"{path}.{toml_key(key)}" if path else toml_key(key)
            only_tables = any(isinstance(item, Mapping) for item in value.values()) and not any(
                item is not None and not isinstance(item, Mapping) for item in value.values()
            )
            lines += [*([] if only_tables else ["", f"[{name}]"]), *_lines(value, name, comments)]
    return lines


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + CONTROL_CHARACTERS.sub(lambda found: f"\\u{ord(found.group()):04x}", escaped) + '"'
