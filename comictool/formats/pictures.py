"""Page pictures: finding the file that an annotation names, and reading its size from the header."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path

from comictool.archives.members import PICTURE_ENDINGS, ending, is_page
from comictool.core.errors import InputError
from comictool.core.images import size_and_turn_of
from comictool.core.names import distinct_names, natural_key, safe_component, same_name

# Folders in which the layouts that we read keep their pages, below the folder that holds the annotations.
PICTURE_FOLDERS = ("", "images", "page_images", "pages", "raw_panel_images", "train", "val", "valid", "test", "data")
# Where annotations lie beside their pictures: the folder above is searched for them (AI4VA, CoMix's guide, Manga109).
ANNOTATION_FOLDERS = re.compile(r"annotations|labels|dataspec|comix\.coco", re.IGNORECASE)
DEPTH = 5  # folders down to a page: data/datasets.unify/<db>/images/<book> in CoMix's guide
MOST_FOLDERS = 50_000  # that are looked through
_DIGITS = re.compile(r"\d+")
_LONGEST_NUMBER = 9  # digits of a page number


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture as it is shown (turned as its EXIF says); raises like `size_and_turn`."""
    return size_and_turn(path)[0]


def size_and_turn(path: Path) -> tuple[tuple[int, int], int]:
    """Width and height of a picture as it is shown, and its EXIF orientation (1 to 8), from its header.

    Raises:
        InputError: not a picture that can be read.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    return _size(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=1 << 17)
def _size(path: Path, changed: int, size: int) -> tuple[tuple[int, int], int]:
    """Remembered, for a conversion asks for each size more than once; the time of change is part of the key."""
    return size_and_turn_of(path)


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


def picture_root(source: Path) -> Path:
    """The folder below which the pictures of an annotation file or folder are looked for."""
    root = source if source.is_dir() else source.parent
    whole = root.resolve()
    return whole.parent if ANNOTATION_FOLDERS.match(whole.name) else root


class PictureFinder:
    """Finds the pictures that annotations name, below one folder and never outside it.

    Attributes:
        root: that folder.
        notes: what was done to fit annotations to their pictures, each with the pages it was done to.
    """

    def __init__(self, source: Path, pictures: Path | None = None) -> None:
        self.root = pictures or picture_root(source)
        self.notes: dict[str, set[str]] = {}
        self._resolved = self.root.resolve()
        self._listings: dict[Path, dict[str, str]] = {}
        self._below: dict[str, list[str]] | None = None

    def find(self, reference: str, near: Path | None = None) -> str | None:
        """Path relative to the root of the picture that an annotation names; None when it is not there.

        Leading parts that exist only on the annotator's machine are dropped, but never the folder right above the
        file: a bare file name would find the page of another book. What lies in none of the usual folders is looked
        for in all of them, and counts when there is just one.

        Args:
            near: the folder of the annotation file, which is tried first.
        """
        parts = components(reference)
        if not parts:
            return None
        keep = min(2, len(parts))
        beside = self._relative(near) if near is not None else ""
        for start in range(len(parts) - keep + 1):
            for folder in dict.fromkeys((beside, *PICTURE_FOLDERS)):
                found = self._descend([*folder.split("/"), *parts[start:]] if folder else parts[start:])
                if found is not None:
                    return found
        return self._anywhere(parts)

    def _relative(self, folder: Path) -> str:
        """A folder as a path below the root; empty when it lies elsewhere."""
        try:
            inside = folder.resolve().relative_to(self._resolved).as_posix()
        except ValueError:
            return ""
        return "" if inside == "." else inside

    def _anywhere(self, parts: list[str]) -> str | None:
        """The one picture of that name in a folder of that name; a bare name may lie in usual folders only."""
        if self._below is None:
            self._below = self._folders()
        if len(parts) > 1 and parts[-2] not in PICTURE_FOLDERS:
            folders = self._below.get(same_name(parts[-2]), [])
        else:
            usual = set(PICTURE_FOLDERS)
            folders = [f for name in usual for f in self._below.get(name, []) if usual.issuperset(f.split("/"))]
        found = {place for f in folders if (place := self._descend([*f.split("/"), parts[-1]])) is not None}
        return found.pop() if len(found) == 1 else None

    def _folders(self) -> dict[str, list[str]]:
        """Every folder down to `DEPTH` by its name; hidden ones and links are passed over."""
        below: dict[str, list[str]] = {}
        level, seen = [("", 0)], 0
        while level and seen < MOST_FOLDERS:
            folder, depth = level.pop()
            try:
                entries = sorted(e.name for e in os.scandir(self.root / folder) if e.is_dir(follow_symlinks=False))
            except OSError:
                continue
            for name in entries:
                if name[0] != ".":
                    path = f"{folder}/{name}" if folder else name
                    below.setdefault(same_name(name), []).append(path)
                    seen += 1
                    if depth + 1 < DEPTH:
                        level.append((path, depth + 1))
        return below

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


def free_title(title: str, other: str, taken: Collection[str]) -> str:
    """A title that nobody has: this one, else the other one, else that with a number."""
    number = 1
    for chosen in (title, other):
        if chosen and chosen not in taken:
            return chosen
    while True:
        number += 1
        if (chosen := f"{other or title} ({number})") not in taken:
            return chosen


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
