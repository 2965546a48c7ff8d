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


@dataclass(frozen=True)
class Candidate:
    """A character that a picture may show."""

    character: str
    score: float
    reference: str
    """Path of the reference that decided the score; empty for a centroid."""


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
