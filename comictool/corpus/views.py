"""What the data steps need of a corpus, native or in any other layout, and the order they go through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from comictool.core.errors import InputError
from comictool.core.files import is_inside, read_json
from comictool.core.jobs import Problem
from comictool.core.names import natural_key
from comictool.core.typed import typed
from comictool.corpus.page_pictures import PagePicture
from comictool.corpus.records import PageRecord

NAMES_FILE = "annotations/names.json"


@dataclass
class ComicPages:
    """The pages of one comic, by page number, what was wrong with its annotations, and pictures that are not there.

    Attributes:
        missing: pages whose picture is not there; one problem speaks of all of them.
    """

    pages: list[PageRecord] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    missing: list[PageRecord] = field(default_factory=list)

    def problems_of(self, record: PageRecord) -> list[str]:
        """What was wrong with one page."""
        return [problem.message for problem in self.problems if problem.key == record.id]

    def of_no_page(self) -> list[Problem]:
        """What was wrong with the comic, or with what has become no page."""
        ids = {record.id for record in self.pages}
        return [problem for problem in self.problems if problem.key not in ids]


class CorpusView(Protocol):
    """A directory that can be read as a corpus: `Corpus`, and every view that `formats.open_any` gives."""

    @property
    def root(self) -> Path:
        """The directory."""

    @property
    def name(self) -> str:
        """What the corpus is called."""

    @property
    def format(self) -> str:
        """The name of its format, as `data convert --to` has it."""

    @property
    def problems(self) -> Sequence[Problem]:
        """What its reader could not make sense of beyond single comics."""

    def comics(self) -> list[str]:
        """The names of all comics."""

    def read(self, comic: str) -> ComicPages:
        """The page records of one comic and what its reader could not make sense of."""

    def pages(self, comic: str) -> list[PageRecord]:
        """The page records of one comic, by page number."""

    def annotation_files(self, comic: str) -> list[Path]:
        """The files that its records are read from: a change of one may change them."""

    def comic_facts(self, comic: str) -> dict[str, Any]:
        """What is known of a comic as a whole."""

    def image_path(self, record: PageRecord) -> Path:
        """The file of a page picture; it may be missing."""

    def picture(self, record: PageRecord) -> PagePicture:
        """The picture of a page, to be read wherever it is kept; it may be missing."""


def picture_path(folder: Path, record: PageRecord) -> Path:
    """The picture that a record names relative to a folder.

    Raises:
        InputError: it would lie outside the folder.
    """
    path = folder / record.image
    if "\0" in record.image or PurePosixPath(record.image).is_absolute() or not is_inside(path, folder):
        raise InputError(f"{record.id}: the picture {record.image!r} lies outside {folder}")
    return path


def original_names(root: Path) -> dict[str, str]:
    """Normalised name to the name before `data normalize`; empty when the corpus was never normalised.

    Raises:
        InputError: the record of names is damaged.
    """
    return read_names(root).names


@dataclass(frozen=True)
class Names:
    """`annotations/names.json`.

    Attributes:
        names: normalised name to the name before.
        titles: normalised name to the spelling in tables, where that is another one.
        title_norm: whether normalising added the column of titles to metadata.csv.
    """

    version: int = 1
    title_norm: bool = False
    names: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)


def read_names(root: Path) -> Names:
    """The record of names that `data normalize` keeps, or an empty one.

    Raises:
        InputError: it is damaged.
    """
    file = root / NAMES_FILE
    return typed(Names, read_json(file, default={}), str(file))


def in_stable_order(comics: list[str], originals: dict[str, str]) -> list[str]:
    """Comics in natural order of their original names, so that no later step depends on when names were normalised."""
    return sorted(comics, key=lambda comic: natural_key(str(originals.get(comic, comic))))
