"""What an import can be told, declared once for `data import`, `index`, `build_library` and the Python API."""

from __future__ import annotations

from dataclasses import dataclass

from comictool.core.errors import UsageError
from comictool.corpus.page_pictures import KEEPS
from comictool.corpus.records import DIRECTIONS


@dataclass(frozen=True)
class ImportOptions:
    """How comics are imported.

    Attributes:
        direction: `ltr`, `rtl` or `ttb` for all of them; without it each comic's own description decides. Where that
            says nothing, strips and slices of one are read from top to bottom, others by the default of the corpus.
        password: for encrypted zip, 7z and pdf files.
        text_books: whether the pictures of books of prose are taken, too. It decides what is refused, nothing else, so
            that a comic that is done stays done.
        prune: remove the comics whose files are gone from the folders given. A file that was moved to another place
            below them, or to another folder given, is the same comic.
        keep: `copy` puts a copy of every page into the corpus; `reference` leaves pages where they are and reads them
            there, as far as they need no change and can be read singly (out of zip, tar, epub and folders); None: as
            the corpus was made, which is `copy`.

    Raises:
        UsageError: another direction, or another way to keep pages.
    """

    direction: str | None = None
    password: str | None = None
    text_books: bool = False
    prune: bool = False
    keep: str | None = None

    def __post_init__(self) -> None:
        check_direction(self.direction)
        if self.keep not in (None, *KEEPS):
            raise UsageError(f"keep {self.keep!r}: it is {' or '.join(KEEPS)}")


def check_direction(direction: str | None) -> str | None:
    """A reading direction as given, or None, checked.

    Raises:
        UsageError: none of ltr, rtl, ttb.
    """
    if direction is not None and direction not in DIRECTIONS:
        raise UsageError(f"direction {direction!r}: it is {', '.join(DIRECTIONS[:-1])} or {DIRECTIONS[-1]}")
    return direction
