"""A directory in somebody else's layout, seen as a corpus: comics, page records and picture paths, read only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from comictool.core.errors import InputError, near_matches
from comictool.core.jobs import Problem
from comictool.core.names import natural_key
from comictool.corpus.records import PageRecord
from comictool.corpus.views import ComicPages, picture_path
from comictool.formats.pictures import PictureFinder


class Problems:
    """What is wrong with single items, one line each; the same thing on the same item is counted, not repeated."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, item: str, message: str) -> None:
        """Note that something is wrong with an item."""
        self._counts[item, message] = self._counts.get((item, message), 0) + 1

    def take(self, other: Problems) -> None:
        """Note all that another list has."""
        for key, count in other._counts.items():
            self._counts[key] = self._counts.get(key, 0) + count

    def found(self) -> list[Problem]:
        """What was noted, with how often when it happened more than once."""
        return [Problem(item, text + (f" ({n} times)" if n > 1 else "")) for (item, text), n in self._counts.items()]


def missing_pictures(item: str, missing: Sequence[PageRecord], pages: int, *, foreign: bool = True) -> Problem:
    """The one line about all pictures that are not there, with what to do about it."""
    where = "; --pictures-from FOLDER says where pictures are" if foreign else ""
    if len(missing) == 1:
        return Problem(missing[0].id, f"the picture {missing[0].image} is not there{where}")
    return Problem(
        item, f"{len(missing):,} of {pages:,} pictures are not there, the first is {missing[0].image}{where}"
    )


class ForeignCorpus:
    """A read-only view of comics in another format. Records are made when a comic is asked for.

    Attributes:
        root: the folder that was opened.
        format: name of the format.
        pictures: the folder that `PageRecord.image` is relative to.
        problems: what is wrong with the source as a whole; `read` has what is wrong with one comic.
    """

    def __init__(
        self,
        root: Path,
        *,
        format: str,
        comics: Iterable[str],
        build: Callable[[str], ComicPages],
        finder: PictureFinder,
        facts: Mapping[str, dict[str, Any]] | None = None,
        problems: Iterable[Problem] = (),
        notes: Iterable[str] = (),
        annotation_files: Iterable[Path] = (),
        direction: str = "ltr",
    ) -> None:
        self.root = root
        self.format = format
        self.name = root.resolve().name
        self.direction = direction
        self.pictures = finder.root
        self._notes = finder.notes
        self._of_source = list(notes)
        self.problems = list(problems)
        self._files = list(annotation_files)
        self._comics = sorted(comics, key=natural_key)
        self._known = set(self._comics)
        self._build = build
        self._facts = dict(facts or {})

    def comics(self) -> list[str]:
        """Names of all comics, in natural order; each is one safe path component."""
        return list(self._comics)

    def read(self, comic: str) -> ComicPages:
        """The records of one comic together with its problems.

        Raises:
            InputError: no such comic (with near names).
        """
        if comic not in self._known:
            raise InputError(f"no comic named {comic!r} in {self.root}", near=near_matches(comic, self._comics))
        built = self._build(comic)
        if built.missing:
            built.problems.append(missing_pictures(comic, built.missing, len(built.pages)))
        return built

    def notes(self) -> list[str]:
        """What is good to know of the source, and what was done to pages read so far to fit them to their pictures."""
        return [*self._of_source, *(f"{len(pages):,} pages: {what}" for what, pages in self._notes.items())]

    def pages(self, comic: str) -> list[PageRecord]:
        """The page records of one comic, by page number; raises like `read`."""
        return self.read(comic).pages

    def annotation_files(self, comic: str) -> list[Path]:
        """The files that it was read from, for any comic; a change of one makes a conversion run again."""
        return self._files

    def all_pages(self, comics: Iterable[str] | None = None) -> Iterator[PageRecord]:
        """Every page record, comic by comic; one comic in memory at a time."""
        for comic in self._comics if comics is None else comics:
            yield from self.pages(comic)

    def comic_facts(self, comic: str) -> dict[str, Any]:
        """What the source says of a comic as a whole; empty when nothing."""
        return dict(self._facts.get(comic, {}))

    def image_path(self, record: PageRecord) -> Path:
        """The file of a page picture.

        Raises:
            InputError: the record points outside the folder of the pictures.
        """
        return picture_path(self.pictures, record)

    picture = image_path
