"""Configurations: nested frozen dataclasses filled from presets, TOML files and the command line, origins known.

What comes later wins: the dataclass's default, the preset, the file, `--set key=value`, an option such as `--epochs`.
Every key and every type is checked, and each value's origin is kept, because "which setting did it run with, and why"
is the first question about a result.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.core.files import write_text
from comictool.core.toml_text import write_tables
from comictool.core.typed import typed

DEFAULT = "default"
MAX_BYTES = 1 << 20  # of a configuration file; a long one has a few kilobytes

C = TypeVar("C")


@dataclass(frozen=True)
class Resolved(Generic[C]):
    """A configuration with the origin of each value.

    Attributes:
        config: the filled dataclass.
        origins: for each dotted key: `default`, `preset tiny`, `file x.toml`, `--set`, or an option's name.
    """

    config: C
    origins: dict[str, str]

    def values(self) -> dict[str, Any]:
        """Every dotted key and its value, in the order of the dataclasses."""
        return flatten(self.config)


def resolve(
    config_type: type[C],
    presets: Mapping[str, Mapping[str, Any]],
    *,
    preset: str = "",
    file: Path | None = None,
    sets: Sequence[str] = (),
    options: Mapping[str, tuple[Any, str]] | None = None,
) -> Resolved[C]:
    """Fill a configuration.

    Args:
        config_type: frozen dataclass whose fields are int, float, bool, str, Literal texts, tuples of those, or
            further such dataclasses; every field has a default.
        presets: values by preset; nested like the dataclass, or with dotted keys.
        preset: which of them; empty for the defaults alone.
        file: TOML, nested like the dataclass.
        sets: `a.b=value`, the value written as TOML; text may go without quotes.
        options: for a dotted key, a value and the option that it came from.

    Raises:
        UsageError: no such preset, key or choice, a value of another type, or one that the dataclass refuses.
        InputError: a file that cannot be read or is no TOML.
    """
    known = fields_of(config_type)
    given: dict[str, tuple[Any, str]] = {}
    if preset:
        if preset not in presets:
            raise UsageError(
                f"there is no preset {preset!r}", hint=", ".join(presets), near=near_matches(preset, presets)
            )
        _take(given, known, presets[preset], f"preset {preset}")
    if file is not None:
        _take(given, known, read_toml(file), f"file {file}")
    for text in sets:
        key, value = _parse_set(text, known)
        given[key] = (value, "--set")
    for key, (value, origin) in (options or {}).items():
        _check_key(key, known, origin)
        given[key] = (value, origin)
    read = {
        key: typed(known[key], value, f"{key} ({origin})", error=UsageError) for key, (value, origin) in given.items()
    }
    origins = {key: given[key][1] if key in given else DEFAULT for key in known}
    return Resolved(_changed(config_type(), read, ""), origins)


def fields_of(config_type: type, path: str = "") -> dict[str, Any]:
    """The type of every value of a nested dataclass by its dotted key."""
    hints = typing.get_type_hints(config_type)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config_type):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            found.update(fields_of(typing.cast(type, kind), f"{path}{field.name}."))
        else:
            found[path + field.name] = kind
    return found


def meanings(config_type: type, path: str = "") -> dict[str, str]:
    """What the docstrings of a nested dataclass say of each attribute, by dotted key, where they say something."""
    hints = typing.get_type_hints(config_type)
    said: dict[str, str] = {}
    for owner in reversed(config_type.__mro__):  # each class speaks of its own attributes
        said |= _attributes(inspect.cleandoc(owner.__doc__ or ""))
    found: dict[str, str] = {}
    for field in dataclasses.fields(config_type):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            found |= meanings(typing.cast(type, kind), f"{path}{field.name}.")
        elif field.name in said:
            found[path + field.name] = said[field.name][:1].upper() + said[field.name][1:]
    return found


def _attributes(doc: str) -> dict[str, str]:
    """The section `Attributes:` of a docstring; `one, other: text` speaks of both."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in doc.partition("Attributes:\n")[2].split("\n"):
        if match := re.match(r"    (\w+(?:, \w+)*): (.*)", line):
            names = match[1].split(", ")
            found |= dict.fromkeys(names, match[2])
        elif line.startswith("        "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        elif line.strip():
            break
    return found


def flatten(config: Any, path: str = "") -> dict[str, Any]:
    """Every value of a filled configuration by its dotted key."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        nested = dataclasses.is_dataclass(value)
        found.update(flatten(value, f"{path}{field.name}.") if nested else {path + field.name: value})
    return found


def flatten_tables(tables: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Every value of nested dicts by its dotted key."""
    found: dict[str, Any] = {}
    for name, value in tables.items():
        found.update(flatten_tables(value, f"{path}{name}.") if isinstance(value, Mapping) else {path + name: value})
    return found


def as_tables(config: Any) -> dict[str, Any]:
    """The configuration as nested dicts of plain values (tuples as lists), for TOML, JSON and checkpoints."""
    return {
        field.name: as_tables(value) if dataclasses.is_dataclass(value) else _plain(value)
        for field in dataclasses.fields(config)
        for value in [getattr(config, field.name)]
    }


def config_text(resolved: Resolved[Any], heading: str = "") -> str:
    """The configuration as TOML, the origin of each value that is no default behind it."""
    comments = {key: _printable(origin) for key, origin in resolved.origins.items() if origin != DEFAULT}
    return (f"# {_printable(heading)}\n\n" if heading else "") + write_tables(as_tables(resolved.config), comments)


def write_config(path: Path, resolved: Resolved[Any], heading: str = "") -> None:
    """Write the whole configuration as TOML; the file can be given to `-c` again."""
    write_text(path, config_text(resolved, heading))


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InputError: missing, too large, not UTF-8 or no TOML; the line is named.
    """
    try:
        with open(file, "rb") as stream:  # a pipe or a device has no size to ask for
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"{file} has more than the {MAX_BYTES:,} bytes that a configuration may have")
        return tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text (byte {error.start})") from error
    except (ValueError, RecursionError) as error:  # ValueError also for a number of thousands of digits
        raise InputError(f"{file} is no valid TOML: {error}") from error


def _take(given: dict[str, tuple[Any, str]], known: Mapping[str, Any], tables: Mapping[str, Any], origin: str) -> None:
    for key, value in _dotted(tables, known, ""):
        _check_key(key, known, origin)
        given[key] = (value, origin)


def _dotted(tables: Mapping[str, Any], known: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        key = path + name
        if isinstance(value, Mapping) and key not in known:
            yield from _dotted(value, known, f"{key}.")
        else:
            yield key, value


def _check_key(key: str, known: Mapping[str, Any], origin: str) -> None:
    if key in known:
        return
    if any(name.startswith(f"{key}.") for name in known):
        raise UsageError(f"{key} is a table, not a value ({origin})", hint=f"write [{key}] and its keys below it")
    # Most mistakes are in the last part, or leave the table out: `epochs` for `training.epochs`.
    last = key.rpartition(".")[2]
    near = near_matches(key, known) + [name for name in known if name.rpartition(".")[2] == last]
    near += [
        name for name in known if name.rpartition(".")[2] in near_matches(last, [k.rpartition(".")[2] for k in known])
    ]
    raise UsageError(f"there is no setting {key!r} ({origin})", near=list(dict.fromkeys(near))[:3])


def _parse_set(text: str, known: Mapping[str, Any]) -> tuple[str, Any]:
    key, equals, written = text.partition("=")
    key, written = key.strip(), written.strip()
    if not equals or not key:
        raise UsageError(f"--set {text!r}: write it as key=value", hint="--set training.epochs=10")
    _check_key(key, known, "--set")
    if "\n" not in written:
        try:
            return key, tomllib.loads(f"value = {written}")["value"] if not _takes_text(
                known[key], written
            ) else written
        except (ValueError, RecursionError):
            pass
    return key, written


def _takes_text(kind: Any, written: str) -> bool:
    """Whether `written` is meant as it stands: text wanted, and no quotes given."""
    texts = kind is str or (typing.get_origin(kind) is typing.Literal and isinstance(typing.get_args(kind)[0], str))
    return texts and not written.startswith(('"', "'"))


def _changed(default: C, given: Mapping[str, Any], path: str) -> C:
    """A table, whose own default may differ from that of its type, with the values that are given."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(typing.cast(Any, default)):
        key, value = path + field.name, getattr(default, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = _changed(value, given, f"{key}.")
        elif key in given:
            changes[field.name] = given[key]
    return typing.cast(C, dataclasses.replace(typing.cast(Any, default), **changes))


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
