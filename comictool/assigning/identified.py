"""A corpus with the identities that were found beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from comictool.core.files import read_json
from comictool.core.jobs import Problem
from comictool.core.typed import typed
from comictool.corpus.page_pictures import PagePicture
from comictool.corpus.records import PageRecord
from comictool.corpus.views import ComicPages, CorpusView


@dataclass(frozen=True)
class _Instance:
    page: int
    character: int
    identity: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Found:
    instances: list[_Instance]
    extra: dict[str, Any] = field(default_factory=dict)


class IdentifiedView:
    """A view whose characters bear the identities of a file for each comic."""

    def __init__(self, view: CorpusView, files: Mapping[str, Path]) -> None:
        self._view = view
        self._files = files
        self.root, self.name, self.format = view.root, view.name, view.format
        self.problems: Sequence[Problem] = view.problems

    def comics(self) -> list[str]:
        """As the view."""
        return self._view.comics()

    def read(self, comic: str) -> ComicPages:
        """The records with the identities found."""
        read = self._view.read(comic)
        file = self._files[comic]
        found = typed(_Found, read_json(file), str(file))
        names = {(instance.page, instance.character): instance.identity for instance in found.instances}
        return replace(read, pages=[_with(record, names) for record in read.pages])

    def pages(self, comic: str) -> list[PageRecord]:
        """Those of `read`, by page number."""
        return sorted(self.read(comic).pages, key=lambda record: record.page)

    def annotation_files(self, comic: str) -> list[Path]:
        """Those of the view and our own."""
        return [*self._view.annotation_files(comic), self._files[comic]]

    def comic_facts(self, comic: str) -> dict[str, Any]:
        """As the view."""
        return self._view.comic_facts(comic)

    def image_path(self, record: PageRecord) -> Path:
        """As the view."""
        return self._view.image_path(record)

    def picture(self, record: PageRecord) -> PagePicture:
        """As the view."""
        return self._view.picture(record)


def _with(record: PageRecord, names: dict[tuple[int, int], str | None]) -> PageRecord:
    people = [replace(person, identity=names.get((record.page, person.id))) for person in record.characters]
    return replace(record, characters=people)
