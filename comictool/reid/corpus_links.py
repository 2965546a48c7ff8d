"""What is known beforehand of who is who: pictures that must, or cannot, show the same character."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from comictool.core.errors import InputError
from comictool.core.files import read_json
from comictool.core.typed import typed

MOST_BYTES = 64 * 1024 * 1024  # of a file of links
# The names that `comictool data export characters` writes: page, panel, perhaps the identity, perhaps a copy.
_CROP = re.compile(r"(?P<page>\d+)_(?P<panel>\d+)(?:_(?P<identity>[^.]*))?(?:\.\d+)?\.\w+")


@dataclass
class Links:
    """Pairs of positions, the smaller first."""

    must: set[tuple[int, int]] = field(default_factory=set)
    cannot: set[tuple[int, int]] = field(default_factory=set)


@dataclass(frozen=True)
class _Given:
    """A file of links."""

    must: list[tuple[str, str]] = field(default_factory=list)
    cannot: list[tuple[str, str]] = field(default_factory=list)


def panel_links(paths: Sequence[Path]) -> Links:
    """Cannot-links between characters that were cut from one panel of one comic (nobody is drawn there twice).

    Crops are known by their names as `comictool data export characters` writes them; other files give no links. Two
    crops of the same named identity in a panel are left alone.
    """
    panels: dict[tuple[str, int, int], list[tuple[int, str]]] = defaultdict(list)
    for position, path in enumerate(paths):
        match = _CROP.fullmatch(path.name)
        if match:
            where = (os.path.abspath(path.parent), int(match["page"]), int(match["panel"]))
            panels[where].append((position, match["identity"] or ""))
    links = Links()
    for crops in panels.values():
        for (a, first), (b, second) in combinations(crops, 2):
            if not first or first != second:
                links.cannot.add((min(a, b), max(a, b)))
    return links


def read_links(file: Path, paths: Sequence[Path]) -> Links:
    """Links that a user gives: `{"must": [["a.png", "b.png"]], "cannot": [["a.png", "c.png"]]}`, relative to the file.

    Raises:
        InputError: unreadable, another form, a name that is none of `paths`, or a pair that both must and cannot.
    """
    value = typed(_Given, read_json(file, most_bytes=MOST_BYTES), str(file))
    positions = {os.path.abspath(path): position for position, path in enumerate(paths)}
    links = Links(*(_pairs(file, kind, getattr(value, kind), positions) for kind in ("must", "cannot")))
    both = sorted(links.must & links.cannot)
    if both:
        a, b = both[0]
        raise InputError(f"{file}: {paths[a]} and {paths[b]} both must and cannot be the same")
    return links


def _pairs(file: Path, kind: str, value: list[tuple[str, str]], positions: dict[str, int]) -> set[tuple[int, int]]:
    pairs = set()
    for number, pair in enumerate(value, start=1):
        found = []
        for name in pair:
            place = os.path.abspath(file.parent / name)
            if place not in positions:
                raise InputError(f"{file}: {kind} number {number} names {name!r}, which is not among the pictures")
            found.append(positions[place])
        if found[0] != found[1]:
            pairs.add((min(found), max(found)))
        elif kind == "cannot":
            raise InputError(f"{file}: cannot number {number} names the same picture twice")
    return pairs
