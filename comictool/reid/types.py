"""What the parts of re-identification hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Status = Literal["ok", "unknown", "ambiguous", "error"]


@dataclass(frozen=True)
class Reference:
    """One enrolled picture of a character."""

    character: str
    path: Path
    digest: str
    """Hash of the picture's content (blake2b, hexadecimal)."""


Shown = tuple[str, str, str]  # character, digest and absolute path of a picture


@dataclass(frozen=True)
class Lesson:
    """What a person said of pictures, as far as a gallery did not know it; it can be taken back.

    Attributes:
        references: pictures that show the character.
        refused: pictures that do not.
        allowed: refusals that are withdrawn: the person changed their mind.
        renamed: characters with another name, the one before and the one after.
        gallery: absolute path of its folder.
        made: whether the gallery is made by this.
    """

    references: list[Shown] = field(default_factory=list)
    refused: list[Shown] = field(default_factory=list)
    allowed: list[Shown] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    gallery: str = ""
    made: bool = False

    def __bool__(self) -> bool:
        return bool(self.references or self.refused or self.allowed or self.renamed)


@dataclass(frozen=True)
class Candidate:
    """A character that a picture may show."""

    character: str
    score: float
    reference: str
    """Path of the reference that decided the score, of the nearest where several did."""


@dataclass
class Decision:
    """What was decided about one picture."""

    path: str
    digest: str
    status: Status
    character: str | None
    score: float | None
    threshold: float | None
    margin: float | None
    candidates: list[Candidate] = field(default_factory=list)
    error: str = ""
