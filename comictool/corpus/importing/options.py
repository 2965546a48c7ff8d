"""What an import can be told, declared once for `data import`, `index`, `build_library` and the Python API."""

from __future__ import annotations

from dataclasses import dataclass

from comictool.core.errors import UsageError
from comictool.corpus.records import DIRECTIONS


@dataclass(frozen=True)
class ImportOptions:
    """How comics are imported.

    Attributes:
        direction: `ltr`, `rtl` or `ttb` for all of them; without it each comic's own description decides, and the
            default of the corpus where that says nothing.
        password: for encrypted zip, 7z and pdf files.
        text_books: whether the pictures of books of prose are taken, too. It decides what is refused, nothing else, so
            that a comic that is done stays done.
        prune: remove the comics whose files are gone from the folders given. A file that was moved to another place
            below them, or to another folder given, is the same comic.

    Raises:
        UsageError: another direction.
    """

    direction: str | None = None
    password: str | None = None
    text_books: bool = False
    prune: bool = False

    def __post_init__(self) -> None:
        check_direction(self.direction)


def check_direction(direction: str | None) -> str | None:
    """A reading direction as given, or None, checked.

    Raises:
        UsageError: none of ltr, rtl, ttb.
    """
    if direction is not None and direction not in DIRECTIONS:
        raise UsageError(f"direction {direction!r}: it is {', '.join(DIRECTIONS[:-1])} or {DIRECTIONS[-1]}")
    return direction
