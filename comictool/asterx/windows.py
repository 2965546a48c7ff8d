"""Windows of panels: which rows lie around a panel, what is padding, and what comes before and after.

A window centred on panel i holds the panels i - before .. i + after of its comic. Places beyond the comic's ends are
padding: they hold nothing, are hidden from attention and never scored. So every panel of every comic has a window,
that of a comic of one panel included.

The windows before and after that of panel i are centred on i - length and i + length: they touch it and share no panel
with it. Padding tells on which side of a comic a window lies, so order is only taught and measured where all three
windows are complete.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comictool.asterx.config import PUBLISHED_AFTER, PUBLISHED_BEFORE
from comictool.core.errors import UsageError

MAX_TOKENS = 100  # positions that the published encoder knows


@dataclass(frozen=True)
class WindowShape:
    """How many panels a window has before and after its centre.

    Raises:
        UsageError: a negative number, a window without context, or one too long for the encoder's positions.
    """

    before: int = PUBLISHED_BEFORE
    after: int = PUBLISHED_AFTER

    def __post_init__(self) -> None:
        if self.before < 0 or self.after < 0 or self.length < 2:
            raise UsageError(
                f"a window of {self.before} panels before and {self.after} after its centre has no context",
                hint="give at least one of both",
            )
        if self.tokens > MAX_TOKENS:
            raise UsageError(
                f"two windows of {self.length} panels make {self.tokens} tokens, more than {MAX_TOKENS}",
                hint=f"at most {(MAX_TOKENS - 2) // 2} panels in a window",
            )

    @property
    def length(self) -> int:
        """Panels in a window, and how far neighbouring windows are apart."""
        return self.before + 1 + self.after

    @property
    def tokens(self) -> int:
        """Length of `[CLS] window [SEP] window`."""
        return 2 * self.length + 2


@dataclass(frozen=True)
class Windows:
    """B windows: `rows` (B, L) int64, 0 at padding; `real` (B, L) bool, False at padding."""

    rows: np.ndarray
    real: np.ndarray

    @property
    def complete(self) -> np.ndarray:
        """(B,) bool: without any padding."""
        return np.asarray(self.real.all(axis=1))

    @property
    def present(self) -> np.ndarray:
        """(B,) bool: at least one panel."""
        return np.asarray(self.real.any(axis=1))


def windows_at(shape: WindowShape, centres: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Windows:
    """The windows centred on rows.

    Args:
        centres: (B,) rows; one outside its comic gives a window that is partly or wholly padding.
        starts, ends: (B,) first row, and one past the last, of the comic that each window belongs to.
    """
    rows = centres[:, None] + np.arange(-shape.before, shape.after + 1)
    real = (rows >= starts[:, None]) & (rows < ends[:, None])
    return Windows(np.where(real, rows, 0), real)


@dataclass(frozen=True)
class Pairs:
    """Windows with the one before or after them.

    Attributes:
        first, second: the windows; `second` is all padding where a comic has neither neighbour.
        is_next: (B,) bool: whether `second` comes after `first`.
        orderable: (B,) bool: whether the order may be asked for (see the module text).
    """

    first: Windows
    second: Windows
    is_next: np.ndarray
    orderable: np.ndarray


def pairs_at(
    shape: WindowShape, centres: np.ndarray, starts: np.ndarray, ends: np.ndarray, want_next: np.ndarray
) -> Pairs:
    """Pair each window with its next or previous one.

    Args:
        centres, starts, ends: as for `windows_at`.
        want_next: (B,) bool: which neighbour; where the comic has only the other one, that is taken.
    """
    first = windows_at(shape, centres, starts, ends)
    before = windows_at(shape, centres - shape.length, starts, ends)
    after = windows_at(shape, centres + shape.length, starts, ends)
    is_next = np.where(want_next, after.present, after.present & ~before.present)
    second = Windows(
        np.where(is_next[:, None], after.rows, before.rows), np.where(is_next[:, None], after.real, before.real)
    )
    return Pairs(first, second, is_next, first.complete & before.complete & after.complete)
