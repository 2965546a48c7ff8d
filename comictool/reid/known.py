"""What is known of characters: pictures that show them, and pictures of which somebody said that they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from comictool.reid.references import ReferenceSet
from comictool.reid.types import Lesson, Reference, Shown


def _nothing() -> ReferenceSet:
    return ReferenceSet([], np.zeros((0, 0), np.float32), "")


@dataclass(frozen=True)
class Known:
    """References and refusals. A refusal goes before a reference of the same picture and character."""

    found: ReferenceSet = field(default_factory=_nothing)
    refused: ReferenceSet = field(default_factory=_nothing)

    @cached_property
    def counted(self) -> ReferenceSet:
        """The references that count: those that were not refused."""
        if not self.refused.references:
            return self.found
        against = _marks(self.refused.references)
        return self.found.of([(r.character, r.digest) not in against for r in self.found.references])

    def with_(self, lesson: Lesson, rows: Mapping[str, np.ndarray], key: str) -> Known:
        """After a lesson; a second time nothing changes.

        Args:
            lesson: what was said.
            rows: (D,) vectors of its pictures by digest.
            key: of their encoder, see `ReferenceSet`.
        """
        names = dict(lesson.renamed)
        found, refused = _renamed(self.found, names), _renamed(self.refused, names)
        found = found.joined(_pictures(lesson.references, rows, key))
        allowed = {(character, digest) for character, digest, _ in lesson.allowed}
        refused = refused.of([(r.character, r.digest) not in allowed for r in refused.references])
        return Known(found, refused.joined(_pictures(lesson.refused, rows, key)))

    def at(self, moved: Mapping[str, str]) -> Known:
        """With other paths, by those before."""
        return Known(_at(self.found, moved), _at(self.refused, moved))

    def without(self, lesson: Lesson) -> Known:
        """Before a lesson: `with_` taken back."""
        rows = {r.digest: row for r, row in zip(self.found.references, self.found.vectors, strict=True)}
        withdrawn = [shown for shown in lesson.allowed if shown[1] in rows]
        refused = _left(self.refused, lesson.refused).joined(_pictures(withdrawn, rows, self.found.key))
        names = {after: before for before, after in lesson.renamed}
        return Known(_renamed(_left(self.found, lesson.references), names), _renamed(refused, names))


def _marks(references: Sequence[Reference]) -> set[tuple[str, str]]:
    return {(reference.character, reference.digest) for reference in references}


def _left(found: ReferenceSet, gone: Sequence[Shown]) -> ReferenceSet:
    marks = {(character, digest) for character, digest, _ in gone}
    return found.of([(r.character, r.digest) not in marks for r in found.references])


def _at(found: ReferenceSet, moved: Mapping[str, str]) -> ReferenceSet:
    references = [replace(r, path=Path(moved.get(str(r.path), str(r.path)))) for r in found.references]
    return ReferenceSet(references, found.vectors, found.key).ordered() if references else found


def _renamed(found: ReferenceSet, names: Mapping[str, str]) -> ReferenceSet:
    if not names:
        return found
    references = [replace(r, character=names.get(r.character, r.character)) for r in found.references]
    return ReferenceSet(references, found.vectors, found.key).ordered()


def _pictures(shown: Sequence[Shown], rows: Mapping[str, np.ndarray], key: str) -> ReferenceSet:
    if not shown:
        return _nothing()
    references = [Reference(character, Path(path), digest) for character, digest, path in shown]
    return ReferenceSet(references, np.stack([rows[digest] for _, digest, _ in shown]).astype(np.float32), key)
