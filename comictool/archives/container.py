"""What every kind of comic file looks like from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from comictool.archives.limits import DEFAULT_LIMITS, Limits
from comictool.archives.members import Member


@dataclass(frozen=True)
class Access:
    """How a comic file may be opened.

    Attributes:
        password: for encrypted zip, 7z and pdf files.
        scratch: where solid archives are unpacked for a while; the system's temporary folder when None.
        limits: bounds on what is read.
        text_books: whether the pictures of a book of prose are taken, too.
    """

    password: str | None = None
    scratch: Path | None = None
    limits: Limits = field(default_factory=lambda: DEFAULT_LIMITS)
    text_books: bool = False


@dataclass(frozen=True)
class Link:
    """A member that refers to another instead of holding anything.

    Attributes:
        target: the name that it gives: a path from its own folder, or from the root when it is `hard`; None for a
            device, or when it cannot be said.
    """

    name: str
    target: str | None
    hard: bool = False


class Container(ABC):
    """An opened file or folder that holds members.

    Attributes:
        kind: `zip`, `rar`, `7z`, `tar`, `pdf`, `epub`, `folder` or `image`.
        problems: what was found wrong besides single pages, one line each.
        links: members that only refer to others, known once `entries` was called.
        reads_singly: whether a member is read without unpacking or drawing others, so that pages can stay in there.
    """

    kind: str
    reads_singly: bool = False

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.links: list[Link] = []

    @abstractmethod
    def entries(self) -> list[Member]:
        """All regular files inside, in the container's own order; folders, links and devices left out."""

    @abstractmethod
    def read(self, member: Member) -> bytes:
        """The unpacked bytes of a member; at most its declared size is unpacked.

        Raises:
            InputError: encrypted, damaged, or larger than declared or allowed.
        """

    def note(self, member: Member) -> str:
        """What is wrong with a page that was read all the same; empty mostly."""
        return ""

    def close(self) -> None:  # noqa: B027 - most containers hold a file, some hold nothing
        """Release files and temporary folders."""
