"""RAR archives in several files: which are parts of one, by their names (`book.part1.rar`; `book.rar`, `book.r00`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_NEW = re.compile(r"(?i)^(.+)\.part(\d{1,5})\.(?:rar|cbr|exe)$")
_OLD = re.compile(r"(?i)^(.+)\.([r-v])(\d\d)$")
_OLD_FIRST = re.compile(r"(?i)^(.+)\.(?:rar|cbr|exe)$")


def volume(name: str) -> tuple[str, int] | None:
    """Name of the archive and number of a part, from 0 for what may be the first; None for other files."""
    if match := _NEW.match(name):
        return match[1], max(0, int(match[2]) - 1)
    if match := _OLD.match(name):
        return match[1], 100 * (ord(match[2].lower()) - ord("r")) + int(match[3]) + 1
    if match := _OLD_FIRST.match(name):
        return match[1], 0
    return None


def later_volumes(names: Iterable[str]) -> set[str]:
    """Those files of one folder that are further parts; of an archive without its first part, one stays to name it."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if part := volume(name):
            found.setdefault(part[0].casefold(), []).append((part[1], name))
    # Two whole archives may share a name: book.rar beside book.cbr.
    return {name for parts in found.values() for number, name in parts if number > min(parts)[0]}


def volumes_beside(path: Path) -> list[Path]:
    """All parts of the archive that a file is the first part of, in name order; the file alone for all else."""
    part = volume(path.name)
    if part is None or part[1] != 0:
        return [path]
    names = sorted(entry.name for entry in path.parent.iterdir())
    same = [n for n in names if (other := volume(n)) and other[0].casefold() == part[0].casefold() and other[1] > 0]
    return [path, *(path.with_name(name) for name in same)]
