"""One strict reader: plain values of JSON or TOML into a dataclass, by its type hints.

    @dataclass(frozen=True)
    class Entry:
        name: Annotated[str, text(200)]
        size: Annotated[int, within(1, 65_536)] = 224
        mode: Literal["fit", "squash"] = "fit"

    entry = typed(Entry, value, "plugin.toml")     # InputError: plugin.toml: size must be a whole number, not '224'

Hints that are understood: `str`, `int`, `float` (a whole number is taken), `bool`, `None`, `Any`, `Literal`, unions,
`list[T]`, `tuple[T, ...]`, `tuple[A, B]`, `dict[str, T]`, dataclasses, and `Annotated` with a `Check`. An unknown key
is refused with those nearest to it; a dataclass that has a field `extra: dict[str, Any]` keeps it there instead.
Standard library only: completion and listing read manifests with it.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import types
import typing
from collections.abc import Callable, Iterable
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from comictool.core.errors import ComicError, InputError, near_matches

T = TypeVar("T")
Reader = Callable[[Any], Any]
LARGEST_INTEGER = 2**63  # what numpy, TOML and SQLite can hold
EXTRA = "extra"


@dataclasses.dataclass(frozen=True)
class Check:
    """A condition on a value beyond its type, for `Annotated`; `must` completes "... must be"."""

    holds: Callable[[Any], bool]
    must: str


def within(low: float, high: float) -> Check:
    """A number from `low` to `high`."""
    return Check(lambda value: value is None or low <= value <= high, f"from {low:g} to {high:g}")


def at_least(low: float) -> Check:
    """A number that is not smaller than `low`."""
    return Check(lambda value: value is None or value >= low, f"at least {low:g}")


def text(most: int = 200, *, pattern: str = "", must: str = "", least: int = 0) -> Check:
    """Printable text of at most `most` characters that matches `pattern` as a whole."""
    said = must or (f"text like {pattern}" if pattern else f"printable text of {least} to {most} characters")

    def holds(value: Any) -> bool:
        fits = least <= len(value) <= most and value.isprintable()
        return fits and (not pattern or re.fullmatch(pattern, value) is not None)

    return Check(lambda value: value is None or holds(value), said)


class Wrong(Exception):
    """A value that does not fit; the path to it grows while the error travels up."""

    def __init__(self, must: str, value: Any, *, near: Iterable[str] = (), hint: str = "", key: str = "") -> None:
        super().__init__(must)
        self.must, self.value, self.near, self.hint = must, value, list(near), hint
        self.path: list[str] = [key] if key else []

    def within(self, key: str) -> Wrong:
        """The same, one step further out."""
        self.path.insert(0, key)
        return self

    def sentence(self, where: str) -> str:
        """Which key of what must be what, and what it is."""
        name = "".join(part if part.startswith("[") else f".{part}" for part in self.path).lstrip(".")
        place = f"{where}: {name}" if where and name else where or name
        shown = repr(self.value)
        but = "" if self.value is MISSING else f", not {shown if len(shown) <= 80 else shown[:77] + '...'}"
        return f"{place} {self.must}{but}"


MISSING = object()


def typed(kind: type[T], value: Any, where: str = "", *, error: type[ComicError] = InputError, hint: str = "") -> T:
    """`value` as `kind` wants it.

    Args:
        kind: a dataclass, or any hint that is understood.
        value: what `json` or `tomllib` gave.
        where: the file, for the sentence.
        error: what is raised.
        hint: what to do about a value that does not fit.

    Raises:
        ComicError: `error`, naming the key by its dotted path, what it must be and what it is.
    """
    try:
        return typing.cast(T, reader_of(typing.cast(Any, kind))(value))
    except Wrong as wrong:
        raise error(wrong.sentence(where), near=wrong.near, hint=hint or wrong.hint) from None


@cache
def reader_of(kind: Any) -> Reader:
    """The function that reads values of a hint; it raises `Wrong`.

    Raises:
        TypeError: a hint that is not understood, which is the fault of the dataclass.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda value: value
    if kind in _PLAIN:
        return _PLAIN[kind]
    if origin is Annotated:
        return _checked(reader_of(arguments[0]), [c for c in arguments[1:] if isinstance(c, Check)])
    if origin is Literal:
        return _literal(arguments)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin in (list, tuple) or kind in (list, tuple):
        return _sequence(origin or kind, arguments)
    if origin is dict or kind is dict:
        return _mapping(arguments[1] if arguments else Any)
    if dataclasses.is_dataclass(kind):
        return _dataclass(typing.cast(type, kind))
    raise TypeError(f"no reader for {kind}")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Wrong("must be text", value)
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or not -LARGEST_INTEGER <= value < LARGEST_INTEGER:
        raise Wrong("must be a whole number", value)
    return value


def _number(value: Any) -> float:
    if type(value) not in (float, int) or not -1e300 < value < 1e300:
        raise Wrong("must be a finite number", value)
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong("must be true or false", value)
    return value


def _nothing(value: Any) -> None:
    if value is not None:
        raise Wrong("must be empty", value)


_PLAIN: dict[Any, Reader] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _flag,
    None: _nothing,
    type(None): _nothing,
}


def _checked(inner: Reader, checks: list[Check]) -> Reader:
    def read(value: Any) -> Any:
        found = inner(value)
        for holds, must in tests:
            if not holds(found):
                raise Wrong(f"must be {must}", value)
        return found

    tests = [(check.holds, check.must) for check in checks]
    return read


def _literal(choices: tuple[Any, ...]) -> Reader:
    def read(value: Any) -> Any:
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            shown = ", ".join(str(choice) for choice in choices)
            raise Wrong(f"must be one of {shown}", value, near=near_matches(str(value)[:200], map(str, choices)))
        return value

    return read


def _union(kinds: tuple[Any, ...]) -> Reader:
    readers = [reader_of(kind) for kind in kinds if kind is not type(None)]
    optional = type(None) in kinds

    *others, last = readers

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        for reader in others:
            try:
                return reader(value)
            except Wrong:
                continue
        return last(value)

    return read


def _sequence(kind: Any, arguments: tuple[Any, ...]) -> Reader:
    fixed = kind is tuple and bool(arguments) and arguments[-1] is not Ellipsis
    readers = [reader_of(argument) for argument in arguments if argument is not Ellipsis] or [lambda value: value]
    must = f"must be a list of {len(readers)}" if fixed else "must be a list"
    whole = fixed and set(arguments) == {int}

    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple) or (fixed and len(value) != len(readers)):
            raise Wrong(must, value)
        if whole and {*map(type, value)} == {int} and -LARGEST_INTEGER <= min(value) <= max(value) < LARGEST_INTEGER:
            return tuple(value)  # boxes: half of the time that reading page records takes
        found: list[Any] = []
        try:
            for reader, item in zip(readers if fixed else itertools.repeat(readers[0]), value):  # noqa: B905
                found.append(reader(item))
        except Wrong as wrong:
            raise wrong.within(f"[{len(found)}]") from None
        return tuple(found) if kind is tuple else found

    return read


def _mapping(inner: Any) -> Reader:
    reader = reader_of(inner)

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Wrong("must be a table", value)
        if inner is Any:
            return dict(value)
        found = {}
        for key, item in value.items():
            try:
                found[key] = reader(item)
            except Wrong as wrong:
                raise wrong.within(key if key.isprintable() and len(key) <= 60 else repr(key[:60])) from None
        return found

    return read


def _dataclass(kind: type) -> Reader:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    keeps = EXTRA in fields
    known = [name for name in fields if name != EXTRA]
    readers: dict[str, Reader] = {}  # made at the first use, since a dataclass may hold its own kind
    required = [
        name
        for name in known
        if fields[name].default is dataclasses.MISSING and fields[name].default_factory is dataclasses.MISSING
    ]

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Wrong("must be a table", value)
        if not readers:
            readers.update({name: reader_of(hints[name]) for name in known})
        found: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for key, item in value.items():
            if key in readers:
                try:
                    found[key] = readers[key](item)
                except Wrong as wrong:
                    raise wrong.within(key) from None
            elif keeps:
                extra[key] = item
            else:
                near = near_matches(str(key)[:200], known)
                raise Wrong(
                    "is not a known key", MISSING, near=near, hint=f"known here: {', '.join(known)}", key=str(key)
                )
        for name in required:
            if name not in found:
                raise Wrong("is missing", MISSING, near=near_matches(name, map(str, value), limit=1), key=name)
        if keeps:
            found[EXTRA] = extra
        return kind(**found)

    return read
