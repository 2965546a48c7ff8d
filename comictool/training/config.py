"""Configurations: nested frozen dataclasses filled from presets, TOML files and the command line, origins known.

What comes later wins: the dataclass's default, the preset, the file, `--set key=value`, an option such as `--epochs`.
Every key and every type is checked, and each value's origin is kept, because "which setting did it run with, and why"
is the first question about a result.
"""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.core.files import write_text
from comictool.core.toml_text import write_tables

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
    typed = {key: _typed(value, known[key], f"{key} ({origin})") for key, (value, origin) in given.items()}
    origins = {key: given[key][1] if key in given else DEFAULT for key in known}
    return Resolved(_build(config_type, typed, ""), origins)


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


def _typed(value: Any, kind: Any, key: str) -> Any:
    """The value as the dataclass wants it; only a whole number for a float is changed."""
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        choices = typing.get_args(kind)
        if value in choices and any(type(value) is type(choice) for choice in choices):
            return value
        shown = ", ".join(str(choice) for choice in choices)
        raise UsageError(
            f"{key} is {value!r:.80}: it must be one of {shown}", near=near_matches(str(value), map(str, choices))
        )
    if origin is tuple:
        arguments = typing.get_args(kind)
        inner = arguments[0]
        length = None if len(arguments) == 2 and arguments[1] is Ellipsis else len(arguments)
        if not isinstance(value, list | tuple) or (length is not None and len(value) != length):
            raise _wrong(key, "a list" if length is None else f"a list of {length}", value)
        kinds = [inner] * len(value) if length is None else arguments
        return tuple(_typed(item, each, key) for item, each in zip(value, kinds, strict=True))
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1e300 < value < 1e300:
            raise _wrong(key, "a number", value)
        return float(value)
    names = {int: "a whole number", bool: "true or false", str: "a text"}
    if kind not in names:
        raise TypeError(f"{key}: a configuration has no fields of type {kind}")
    if type(value) is not kind:
        raise _wrong(key, names[kind], value)
    if kind is int and abs(value) >= 2**63:
        raise _wrong(key, "below 2**63", value)
    return value


def _wrong(key: str, must: str, value: Any) -> UsageError:
    return UsageError(f"{key} is {value!r:.80}: it must be {must}")


def _build(config_type: type[C], typed: Mapping[str, Any], path: str) -> C:
    hints = typing.get_type_hints(config_type)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(typing.cast(Any, config_type)):
        key, kind = path + field.name, hints[field.name]
        if dataclasses.is_dataclass(kind):
            inner = {name: value for name, value in typed.items() if name.startswith(f"{key}.")}
            default = _default(field)
            values[field.name] = _build_over(default, typing.cast(type, kind), inner, f"{key}.")
        elif key in typed:
            values[field.name] = typed[key]
    return config_type(**values)


def _build_over(default: Any, kind: type, typed: Mapping[str, Any], path: str) -> Any:
    """A nested table: the recipe's own default for it (which may differ from the type's), changed where given."""
    if default is None:
        return _build(kind, typed, path)
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        key, value = path + field.name, getattr(default, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = _build_over(value, type(value), typed, f"{key}.")
        elif key in typed:
            changes[field.name] = typed[key]
    return dataclasses.replace(default, **changes)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else None


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
