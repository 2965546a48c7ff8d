"""What a person said of sorted pictures: by moving files, by renaming folders, by ticking in the report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from comictool.core.errors import InputError
from comictool.core.files import read_json
from comictool.core.typed import Check, text, typed
from comictool.reid.configuration import MAX_NAME, checked_name, folder_names
from comictool.reid.known import Known
from comictool.reid.sorting.moving import content_digest
from comictool.reid.sorting.positions import Filed, Positions
from comictool.reid.types import Lesson, Shown

MOST_BYTES = 64 * 1024 * 1024  # of a file of corrections
NAME = text(MAX_NAME, must="a name")
PATH = Check(lambda path: "\0" not in path, "a path")


@dataclass(frozen=True)
class Correction:
    """One picture of the report: whom it shows, or whom it does not."""

    digest: Annotated[str, text(128)]
    path: Annotated[str, PATH] = ""
    character: Annotated[str, NAME] | None = None
    refused: list[Annotated[str, NAME]] = field(default_factory=list)


@dataclass(frozen=True)
class _Written:
    kind: Literal["comictool reid corrections"]
    version: Literal[1]
    corrections: list[Correction]


def read_corrections(file: Path) -> list[Correction]:
    """The file that the report saves.

    Raises:
        InputError: unreadable, of another form, or a name that cannot be one.
    """
    found = typed(_Written, read_json(file, most_bytes=MOST_BYTES), str(file), hint="save it in the report again")
    for correction in found.corrections:
        if correction.character is not None:
            checked_name(correction.character, file)
    return found.corrections


@dataclass
class Said:
    """What a person said: of each content the name, and the names that it does not have.

    Attributes:
        shows: character by digest.
        refused: characters by digest.
        places: digest to where the picture is, relative to the result folder.
        renamed: character to its new name.
        problems: corrections that fit no picture, and such that contradict each other.
    """

    shows: dict[str, str] = field(default_factory=dict)
    refused: dict[str, set[str]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def show(self, digest: str, character: str, place: str) -> None:
        """It shows this character."""
        before = self.shows.get(digest, character)
        if before != character:
            self.problems.append(f"{place} was said to show {before!r} and {character!r}; the latter counts")
        self.shows[digest], self.places[digest] = character, place
        self.refused.get(digest, set()).discard(character)

    def refuse(self, digest: str, character: str, place: str) -> None:
        """It does not show this character."""
        if self.shows.get(digest) != character:
            self.refused.setdefault(digest, set()).add(character)
            self.places.setdefault(digest, place)


def what_was_said(
    root: Path, positions: Positions, characters: Sequence[str], corrections: Iterable[Correction] = ()
) -> Said:
    """Put together what a person did with the files and ticked in the report; what was ticked counts for more.

    A picture that was moved into a character's folder shows that character, and not the one under whose name or
    suggestions it was. One that was moved out of a character's folder does not show that character. A folder of a
    character with another name renames the character; a group's or a suggestion's with a name says it of all in it.

    Raises:
        InputError: a folder whose name cannot be a character's.
    """
    names = {folder: character for character, folder in folder_names(list(characters)).items()}

    def character(folder: str) -> str:
        return names.get(folder) or checked_name(folder, root)

    said = Said(renamed={names[old]: new for old, new in _renamed(root, positions, names).items()})
    for new in said.renamed.values():
        checked_name(new, root)
    for one in positions.pictures:
        was, now = positions.suggestion(one.before), positions.suggestion(one.now)
        if one.named and not one.moved:
            said.show(one.digest, one.named, one.now)
        if not one.moved or said.renamed.get(names.get(was, "")) == now:
            continue
        if positions.folder(one.now):
            said.show(one.digest, character(now), one.now)
        if was and was != now and was in names:
            said.refuse(one.digest, names[was], one.now)
    for digest, place in positions.copied:
        if positions.folder(place):
            said.show(digest, character(positions.folder(place)), place)
    there: dict[str, Filed] = {one.digest: one for one in positions.pictures}
    for correction in corrections:
        found = there.get(correction.digest)
        if found is None:
            said.problems.append(f"{correction.path or correction.digest} is not in {root}; its correction is left out")
            continue
        for name in correction.refused:
            if said.shows.get(correction.digest) == name:
                del said.shows[correction.digest]
            said.refuse(correction.digest, said.renamed.get(name, name), found.now)
        if correction.character is not None:
            wanted = said.renamed.get(correction.character, correction.character)
            said.show(correction.digest, wanted, found.now)
            was = names.get(positions.suggestion(found.now), wanted)
            if was != wanted:
                said.refuse(correction.digest, was, found.now)
    return said


def _renamed(root: Path, positions: Positions, names: Mapping[str, str]) -> dict[str, str]:
    """Folders of characters that have another name now: the old is gone, and all that was in it is in the new."""
    now_in: dict[str, set[str]] = {}
    for one in positions.pictures:
        if (old := positions.folder(one.before)) in names and not os.path.lexists(root / old):
            now_in.setdefault(old, set()).add(positions.folder(one.now))
    before = {positions.folder(one.before) for one in positions.pictures}
    found: dict[str, str] = {}
    for old, new in now_in.items():
        fresh = new - {""} - set(names) - before - set(found.values())
        if len(new) == len(fresh) == 1:
            found[old] = fresh.pop()
    return found


def lesson_of(said: Said, known: Known, root: Path, positions: Positions, *, gallery: Path, made: bool) -> Lesson:
    """What of it a gallery does not know yet."""
    after = {new: old for old, new in said.renamed.items()}

    def mark(character: str, digest: str) -> tuple[str, str]:
        return after.get(character, character), digest

    references = {(r.character, r.digest) for r in known.found.references}
    refusals = {(r.character, r.digest) for r in known.refused.references}
    counted = {(r.character, r.digest) for r in known.counted.references}
    origins = {one.digest: one.origin for one in positions.pictures}

    def shown(character: str, digest: str) -> Shown:
        origin = origins.get(digest, "")
        place = os.path.abspath(root / said.places[digest])
        return character, digest, origin if _is_still(origin, digest, root) else place

    wanted = [(character, digest) for digest, character in said.shows.items()]
    against = {(character, digest) for digest, names in said.refused.items() for character in names}
    for character, digest in wanted:  # a reference of one character is none of another any more
        against |= {(said.renamed.get(c, c), d) for c, d in counted if d == digest and (c, d) != mark(character, d)}
    return Lesson(
        references=[shown(c, d) for c, d in wanted if mark(c, d) not in references],
        refused=[shown(c, d) for c, d in sorted(against) if mark(c, d) not in refusals],
        allowed=[shown(c, d) for c, d in wanted if mark(c, d) in refusals],
        renamed=sorted(said.renamed.items()),
        gallery=os.path.abspath(gallery),
        made=made,
    )


def _is_still(origin: str, digest: str, root: Path) -> bool:
    """Whether the picture is where it was before it was sorted, unchanged; it stays there whatever is sorted."""
    path = Path(origin)
    try:
        return bool(origin) and not path.is_relative_to(os.path.abspath(root)) and content_digest(path) == digest
    except OSError:
        return False


def check_names(said: Said, characters: Sequence[str], root: Path) -> None:
    """Refuse names that would share a folder with another.

    Raises:
        InputError: two names, or a new one and a character, that one folder cannot hold.
    """
    every = dict.fromkeys(said.renamed.get(name, name) for name in (*characters, *said.shows.values()))
    try:
        folder_names(list(every))
    except Exception as error:
        raise InputError(f"{root}: {error}") from error
