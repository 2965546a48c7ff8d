"""Comics that are one long strip, whole or cut into slices: they are read from top to bottom, and say so nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from comictool.corpus.importing.staging import StagedPage

TALL = 2.0  # height by width of a strip; pages have up to 1.7
SHOWS = 10.0  # levels, standard deviation along a rim that shows something: paper is plain
GOES_ON = 14.0  # levels by which two rims differ that were neighbours before the cut, after compression
UNLIKE = 0.5  # share of what other rims differ by; scans all have the same border
FEWEST = 3  # cuts through pictures that prove slices: two pages may be a spread of a third of a book
RIM = 64  # values kept of a rim
MOST_COMPARED = 200  # pages of which every rim is compared with every other


def rims_of(picture: Image.Image) -> bytes:
    """The uppermost and the lowest row of a picture in grey, `RIM` values of 0..255 each."""
    height = picture.height
    rows = [picture.crop((0, y, picture.width, y + 1)).convert("L").resize((RIM, 1), 4) for y in (0, height - 1)]
    return b"".join(row.tobytes() for row in rows)


def is_strip(pages: Sequence[StagedPage]) -> bool:
    """Whether the pages of a comic are strips or slices of one.

    Most are twice as high as wide, or most that are cut through a picture go on in the next one.
    """
    if 2 * sum(page.height >= TALL * page.width for page in pages) > len(pages):
        return True
    import numpy as np

    rims = np.array([list(page.rims) for page in pages[:MOST_COMPARED]], dtype=np.float32).reshape(-1, 2, RIM)
    upper, lower = rims[1:, 0], rims[:-1, 1]
    cut = np.flatnonzero((upper.std(axis=1) >= SHOWS) & (lower.std(axis=1) >= SHOWS))
    if len(cut) < FEWEST:
        return False
    apart = np.abs(lower[cut, None] - upper[None]).mean(axis=2)  # of each cut's lower rim to all upper ones
    here = apart[np.arange(len(cut)), cut]
    goes_on = int(((here <= GOES_ON) & (here < UNLIKE * np.median(apart, axis=1))).sum())
    return goes_on >= FEWEST and 2 * goes_on > len(cut)
