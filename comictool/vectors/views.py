"""Which parts of a page get a vector of their own, so that a cut copy of the page still finds it.

One vector of the whole page fails on copies that were cropped: everything moved. So the store keeps, beside it, one
vector for each of nine windows, and a page is as near as the nearest of them. This asks nothing of the encoder.

Measured with `python -m tests.bench.page_search` (classic encoder, page copies cut to 80 % of each side, first answer
right): with the whole page alone 81 % of the copies cut at a corner and 94 % of those cut anywhere, with middle and
corners too 100 % and 98 %, with all nine windows 100 % and 100 %. On pages in black ink: 53 % and 92 %, 100 % and
99 %, 100 % and 100 %. Other windows tried: three quarters of each side is better for copies of 60 % and worse for
80 %, 85 % the other way round. Windows of the query, beside or instead of those of the page, gained nothing: one
vector of the query is enough.
"""

from __future__ import annotations

from comictool.vectors.columns import WHOLE
from comictool.vectors.columns import View as Box

WINDOW = 0.8  # of each side: covers copies cut to between 70 % and 90 %


def _window(across: float, down: float) -> Box:
    """The window at a place of its free play, 0 (left, top) to 1 (right, bottom)."""
    left, top = across * (1 - WINDOW), down * (1 - WINDOW)
    right, bottom = left + WINDOW, top + WINDOW
    return (round(left, 6), round(top, 6), round(right, 6), round(bottom, 6))  # they are written into stores


# In the order of their use, so that a shorter list is a prefix: the whole page, the middle, the corners, the edges.
VIEWS: tuple[Box, ...] = (
    WHOLE,
    _window(0.5, 0.5),
    *(_window(across, down) for down in (0.0, 1.0) for across in (0.0, 1.0)),
    *(_window(across, down) for across, down in ((0.5, 0.0), (0.0, 0.5), (1.0, 0.5), (0.5, 1.0))),
)
FEW_VIEWS = VIEWS[:6]  # whole, middle, corners: for encoders so slow that ten views are too many
