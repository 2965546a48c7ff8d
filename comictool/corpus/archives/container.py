"""What every kind of comic file looks like from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from comictool.corpus.archives.limits import DEFAULT_LIMITS, Limits
from comictool.corpus.archives.members import Member


@dataclass(frozen=True)
class Access:
    """How a comic file may be opened.

    Attributes:
        password: for encrypted zip, 7z and pdf files.
        scratch: where solid archives are unpacked for a while; the system's temporary folder when None.
        limits: bounds on what is read.
    """

    password: str | None = None
    scratch: Path | None = None
    limits: Limits = field(default_factory=lambda: DEFAULT_LIMITS)


class Container(ABC):
    """An opened file or folder that holds members.

    Attributes:
        kind: `zip`, `rar`, `7z`, `tar`, `pdf`, `epub`, `folder` or `image`.
        problems: what was found wrong besides single pages, one line each.
    """

    kind: str

    def __init__(self) -> None:
        self.problems: list[str] = []

    @abstractmethod
    def entries(self) -> list[Member]:
        """All regular files inside, in the container's own order; folders, links and devices left out."""

    @abstractmethod
    def read(self, member: Member) -> bytes:
        """The unpacked bytes of a member; at most its declared size is unpacked.

        Raises:
            InputError: encrypted, damaged, or larger than declared or allowed.
        """

    def close(self) -> None:  # noqa: B027 - most containers hold a file, some hold nothing
        """Release files and temporary folders."""
