"""What the data steps need of a corpus, native or in any other layout, and the order they go through it."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from comictool.core.errors import InputError
from comictool.core.files import is_inside
from comictool.corpus.names import natural_key
from comictool.corpus.records import PageRecord

NAMES_FILE = "annotations/names.json"


class CorpusView(Protocol):
    """A directory that can be read as a corpus: `Corpus`, and every view that `formats.open_any` gives."""

    @property
    def root(self) -> Path:
        """The directory."""

    @property
    def name(self) -> str:
        """What the corpus is called."""

    def comics(self) -> list[str]:
        """The names of all comics."""

    def pages(self, comic: str) -> list[PageRecord]:
        """The page records of one comic, by page number."""

    def comic_facts(self, comic: str) -> dict[str, Any]:
        """What is known of a comic as a whole."""

    def image_path(self, record: PageRecord) -> Path:
        """The file of a page picture; it may be missing."""


def picture_path(folder: Path, record: PageRecord) -> Path:
    """The picture that a record names relative to a folder.

    Raises:
        InputError: it would lie outside the folder.
    """
    path = folder / record.image
    if PurePosixPath(record.image).is_absolute() or not is_inside(path, folder):
        raise InputError(f"{record.id}: the picture {record.image!r} lies outside {folder}")
    return path


def original_names(root: Path) -> dict[str, str]:
    """Normalised name to the name before `data normalize`; empty when the corpus was never normalised.

    Raises:
        InputError: the record of names is damaged.
    """
    return dict(read_names(root).get("names", {}))


def read_names(root: Path) -> dict[str, Any]:
    """The whole record of names that `data normalize` keeps, or an empty one."""
    file = root / NAMES_FILE
    if not file.is_file():
        return {}
    try:
        value = json.loads(file.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{file} is not JSON") from error
    names = value.get("names") if isinstance(value, dict) else None
    if not isinstance(names, dict) or not all(isinstance(v, str) for v in names.values()):
        raise InputError(f"{file} is damaged: it must map each name to the name before")
    return value


def in_stable_order(comics: list[str], originals: dict[str, str]) -> list[str]:
    """Comics in natural order of their original names, so that no later step depends on when names were normalised."""
    return sorted(comics, key=lambda comic: natural_key(str(originals.get(comic, comic))))


def read_comic(view: CorpusView, comic: str) -> tuple[list[PageRecord], list[str]]:
    """The pages of a comic, and one line for each thing that a reader of another format could not make sense of."""
    read = getattr(view, "read", None)
    if read is None:
        return view.pages(comic), []
    found = read(comic)
    return list(found.pages), list(found.problems)
