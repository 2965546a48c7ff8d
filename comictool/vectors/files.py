"""Finding the pictures that a user means: files, and folders of any depth, in natural order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from comictool.core.errors import InputError
from comictool.core.names import natural_key

# What `comictool.core.images` can decode, by the endings in use.
PICTURE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".avif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".jp2",
        ".ico",
    ]
)


def find_pictures(targets: Sequence[Path], problems: list[str] | None = None) -> list[Path]:
    """The pictures under files and folders, sorted naturally, each once.

    A file that is named is taken whatever its ending; in folders, endings decide. Hidden files and folders are passed
    over, and so are links to folders (they may run in circles); links to files are followed. Names are never patterns:
    brackets and stars in them mean themselves.

    Args:
        targets: files and folders.
        problems: gets a line for each name that is not valid text and each folder that cannot be listed; such
            pictures are left out, since no record could name them.

    Raises:
        InputError: a target does not exist.
    """
    found: dict[str, Path] = {}
    lines: list[str] = [] if problems is None else problems
    for target in targets:
        if target.is_dir():
            for absolute, file in _walk(target, lines):
                if absolute not in found:
                    found[absolute] = Path(file)
        elif target.exists():
            found.setdefault(os.path.abspath(target), target)
        else:
            raise InputError(f"{target} does not exist")
    bad = [name for name in found if not _is_text(name)]
    for name in bad:
        lines.append(f"{found.pop(name)!a}: the name is not valid UTF-8; rename the file")
    return sorted(found.values(), key=lambda path: natural_key(path.as_posix()))


def _walk(folder: Path, problems: list[str]) -> Iterator[tuple[str, str]]:
    """(absolute path, path as it begins with `folder`) of each picture."""

    def report(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be listed: {error.strerror or error}")

    for where, folders, names in os.walk(folder, onerror=report):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here, absolute = os.path.join(where, ""), os.path.join(os.path.abspath(where), "")
        for name in names:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES:
                yield absolute + name, here + name


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # bytes that are no UTF-8 arrive as lone surrogates
        return False
    return True
