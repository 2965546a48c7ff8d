"""Names of exported crops and their folders: `<page>_<panel>.jpg` and `<page>_<panel>_<identity>.jpg`.

The published readers take an entry's name up to its first dot and cut it at underscores. So no dot may stand in an
identity, and a second crop of the same identity in one panel is `<page>_<panel>_<identity>.2.jpg`: those readers see
the right page, panel and identity, and both crops exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from comictool.core.errors import InputError
from comictool.core.names import natural_key, safe_component

_CROP = re.compile(
    r"(?P<page>\d+)_(?P<panel>\d+)(?:_(?P<identity>[^.]*))?(?:\.(?P<copy>\d+))?\.(?:jpe?g|png|webp)", re.IGNORECASE
)
_OF_PAGE = re.compile(r"\.?(\d+)_\d+[_.]")


def comic_folder(comic: str) -> str:
    """The folder of a comic: its name, which every reader makes one path component.

    Raises:
        InputError: it is none, so that a file would land somewhere else.
    """
    if comic in ("", ".", "..") or "/" in comic or "\\" in comic or "\0" in comic:
        raise InputError(f"the comic name {comic!r} cannot be a folder")
    return comic


def identity_part(identity: str) -> str:
    """An identity as a part of a file name: one safe component without dots."""
    return safe_component(identity.replace(".", "-"), fallback="unnamed")


def number_copies(stems: Iterable[str]) -> list[str]:
    """Make file stems unique by appending `.2`, `.3`... to later ones, on case-blind file systems too."""
    seen: dict[str, int] = {}
    out = []
    for stem in stems:
        count = seen[stem.casefold()] = seen.get(stem.casefold(), 0) + 1
        out.append(stem if count == 1 else f"{stem}.{count}")
    return out


def page_of_file(name: str) -> int | None:
    """The page that an exported file belongs to (also a temporary one left by a kill); None for other files."""
    match = _OF_PAGE.match(name)
    return int(match[1]) if match else None


def is_crop(name: str) -> bool:
    """Whether a file name is one that the exporters write."""
    return _CROP.fullmatch(name) is not None


def crop_key(name: str) -> tuple[object, ...]:
    """Sort key of crops in one comic: page, panel, identity and copy as numbers, however many there are."""
    match = _CROP.fullmatch(name)
    if match is None:
        return (1, 0, 0, natural_key(name), 0)
    identity = natural_key(match["identity"] or "")
    return (0, int(match["page"]), int(match["panel"]), identity, int(match["copy"] or 1))


def entry_name(name: str) -> str:
    """The name of a packed entry: the file name up to its first dot, as the published readers expect."""
    return name.split(".", 1)[0]
