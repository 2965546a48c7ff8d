"""Page pictures: finding the file that an annotation names, and reading its size from the header."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from comictool.core.errors import InputError
from comictool.core.images import open_picture
from comictool.corpus.archives.members import PICTURE_ENDINGS, ending, is_page
from comictool.corpus.names import distinct_names, natural_key, safe_component, same_name

# Folders in which the layouts that we read keep their pages, below the folder that holds the annotations.
PICTURE_FOLDERS = ("", "images", "page_images", "pages", "raw_panel_images", "train", "val", "test")
_ORIENTATION = 0x0112  # EXIF tag; values 5 to 8 turn the picture on its side
_DIGITS = re.compile(r"\d+")
_LONGEST_NUMBER = 9  # digits of a page number


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture as it is shown (turned as its EXIF orientation says), from its header.

    Raises:
        InputError: not a picture that can be read.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    return _size(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=1 << 17)
def _size(path: Path, changed: int, size: int) -> tuple[int, int]:
    """Remembered, for a conversion asks for each size more than once; the time of change is part of the key."""
    with open_picture(path) as picture:
        width, height = picture.size
        try:
            turned = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        except Exception:  # damaged EXIF raises many types; such a picture is shown as it is stored
            turned = False
    return (height, width) if turned else (width, height)


def page_number(name: str) -> int | None:
    """The last number in the stem of a file name: 3 for `page-3.jpg`, `003.png` and `book 2 p003.jpg`."""
    stem = name.replace("\\", "/").rpartition("/")[2]
    if ending(stem) in PICTURE_ENDINGS:
        stem = stem.rpartition(".")[0]
    found = [digits for digits in _DIGITS.findall(stem) if digits.isascii()]
    return int(found[-1]) if found and len(found[-1]) <= _LONGEST_NUMBER else None


def components(reference: str) -> list[str]:
    """The parts of a path in an annotation; `..`, drives and empty parts are dropped, so it never leads upwards."""
    parts = reference.replace("\\", "/").split("/")
    return [part for part in parts if part not in ("", ".", "..") and not part.endswith(":") and "\0" not in part]


class PictureFinder:
    """Finds the pictures that annotations name, below one folder and never outside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._resolved = root.resolve()
        self._listings: dict[Path, dict[str, str]] = {}

    def find(self, reference: str) -> str | None:
        """Path relative to the root of the picture that an annotation names; None when it is not there.

        Leading parts that exist only on the annotator's machine are dropped, but never the folder right above the
        file: a bare file name would find the page of another book.
        """
        parts = components(reference)
        if not parts:
            return None
        keep = min(2, len(parts))
        for start in range(len(parts) - keep + 1):
            for folder in PICTURE_FOLDERS:
                found = self._descend([folder, *parts[start:]] if folder else parts[start:])
                if found is not None:
                    return found
        return None

    def files(self, folder: str) -> list[str]:
        """Names of the pictures in a folder, in natural order; empty when there is no such folder."""
        path = self.root / folder
        if not path.is_dir() or not path.resolve().is_relative_to(self._resolved):
            return []
        return sorted((n for n in self._listing(path).values() if is_page(n)), key=natural_key)

    def folder(self, parent: str, name: str) -> str | None:
        """The folder of that name, also when it is stored in another Unicode form or with blanks around it."""
        found = self._listing(self.root / parent).get(same_name(name))
        return f"{parent}/{found}" if found is not None else None

    def _descend(self, parts: Iterable[str]) -> str | None:
        path, names = self.root, []
        for part in parts:
            name = self._listing(path).get(same_name(part))
            if name is None:
                return None
            names.append(name)
            path = path / name
        return "/".join(names) if path.is_file() and path.resolve().is_relative_to(self._resolved) else None

    def _listing(self, folder: Path) -> dict[str, str]:
        if folder not in self._listings:
            try:
                names = sorted(entry.name for entry in folder.iterdir())
            except OSError:
                names = []
            self._listings[folder] = {same_name(name): name for name in reversed(names)}
        return self._listings[folder]


def comic_names(titles: Iterable[str]) -> dict[str, str]:
    """A name for each title that is one path component, different for different titles whatever the letter case.

    A title that can be a folder name as it is stays as it is (also with quotes in it: the research layouts name
    folders by title); others are made safe.
    """
    plain = {title: title if _is_component(title) else safe_component(title) for title in sorted(set(titles))}
    return distinct_names(plain)


def _is_component(title: str) -> bool:
    bad = any(ord(c) < 32 or c in "/\\\x7f" or 0xD800 <= ord(c) <= 0xDFFF for c in title)
    return bool(title) and not bad and title == title.strip() and title[0] not in ".-~" and len(title.encode()) <= 200
