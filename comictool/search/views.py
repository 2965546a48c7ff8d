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

import numpy as np

from comictool.core.errors import UsageError

Box = tuple[float, float, float, float]

WINDOW = 0.8  # of each side: covers copies cut to between 70 % and 90 %
BLOCK_ROWS = 65_536  # rows compared at a time by `page_scores`


def _window(across: float, down: float) -> Box:
    """The window at a place of its free play, 0 (left, top) to 1 (right, bottom)."""
    left, top = across * (1 - WINDOW), down * (1 - WINDOW)
    right, bottom = left + WINDOW, top + WINDOW
    return (round(left, 6), round(top, 6), round(right, 6), round(bottom, 6))  # they are written into stores


WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

# In the order of their use, so that a shorter list is a prefix: the whole page, the middle, the corners, the edges.
VIEWS: tuple[Box, ...] = (
    WHOLE,
    _window(0.5, 0.5),
    *(_window(across, down) for down in (0.0, 1.0) for across in (0.0, 1.0)),
    *(_window(across, down) for across, down in ((0.5, 0.0), (0.0, 0.5), (1.0, 0.5), (0.5, 1.0))),
)
FEW_VIEWS = VIEWS[:6]  # whole, middle, corners: for encoders so slow that ten views are too many


def cut(image: np.ndarray, box: Box) -> np.ndarray:
    """The part of a `(H, W, channels)` picture in a box of fractions of its sides, at least one pixel; no copy."""
    height, width = image.shape[:2]
    left, top = min(round(box[0] * width), width - 1), min(round(box[1] * height), height - 1)
    right, bottom = max(left + 1, round(box[2] * width)), max(top + 1, round(box[3] * height))
    return image[top:bottom, left:right]


def page_views(image: np.ndarray, views: tuple[Box, ...] = VIEWS) -> list[np.ndarray]:
    """The pictures of a stored page that get vectors, the whole page first."""
    return [cut(image, box) for box in views]


def query_views(image: np.ndarray) -> list[np.ndarray]:
    """The pictures of a query: itself alone (see the figures above)."""
    return [image]


def nearest_view(products: np.ndarray) -> np.ndarray:
    """Page scores from the products of every query vector with every view: `(Q, P, V)` to `(P,)`, the largest."""
    return np.asarray(products.max(axis=(0, 2)))


def page_scores(query_vectors: np.ndarray, page_view_vectors: np.ndarray, views: int = len(VIEWS)) -> np.ndarray:
    """How near each page is to a query: the cosine of its nearest view.

    Args:
        query_vectors: `(Q, D)` unit rows, one for each view of the query.
        page_view_vectors: `(P * views, D)` unit rows of any float type, the views of a page one after the other.
        views: rows of a page.

    Returns:
        `(P,)` float32, -1..1.

    Raises:
        UsageError: the rows are not a whole number of pages, or the dimensions differ.
    """
    rows, dimension = page_view_vectors.shape
    if rows % views or query_vectors.shape[1] != dimension or not len(query_vectors):
        raise UsageError(
            f"{rows} rows of {dimension} numbers do not fit {views} views a page "
            f"and {len(query_vectors)} query vectors of {query_vectors.shape[1]} numbers"
        )
    queries = np.asarray(query_vectors, np.float32).T
    scores = np.empty(rows // views, np.float32)
    pages_at_once = max(1, BLOCK_ROWS // views)
    for start in range(0, len(scores), pages_at_once):
        block = page_view_vectors[start * views : (start + pages_at_once) * views].astype(np.float32)
        products = (block @ queries).reshape(-1, views, queries.shape[1])
        scores[start : start + pages_at_once] = products.max(axis=(1, 2))
    return scores
