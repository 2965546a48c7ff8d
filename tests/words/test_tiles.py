"""Large pages and tall strips."""

from __future__ import annotations

import numpy as np

from comictool.plugins.protocols import TextLine
from comictool.words import tiles
from comictool.words.tiles import read_lines


def bars(piece: np.ndarray) -> list[TextLine]:
    """A toy that sees black bars: each run of black rows is a line, in the columns that it has."""
    black = (piece < 100).all(axis=2)
    rows = np.flatnonzero(np.diff(np.concatenate([[0], black.any(axis=1), [0]]).astype(int)))
    found = []
    for top, bottom in rows.reshape(-1, 2):
        columns = np.flatnonzero(black[top:bottom].any(axis=0))
        box = (float(columns[0]), float(top), float(columns[-1] + 1), float(bottom))
        found.append(TextLine(box, f"{bottom - top} high", 1.0))
    return found


def page(height: int, width: int, tops: list[int], thick: int = 20) -> np.ndarray:
    picture = np.full((height, width, 3), 255, np.uint8)
    for top in tops:
        picture[top : top + thick, 50:250] = 0
    return picture


def test_each_line_of_a_strip_is_seen_once_wherever_it_is_cut() -> None:
    tops = list(range(10, 5000, 47))
    lines = read_lines(page(5030, 300, tops), bars)
    assert sorted(line.box[1] for line in lines) == tops
    assert {line.text for line in lines} == {"20 high"}


def test_a_large_page_is_made_smaller_and_its_lines_are_in_its_own_pixels() -> None:
    seen = []

    def read(piece: np.ndarray) -> list[TextLine]:
        seen.append(piece.shape[:2])
        return bars(piece)

    (line,) = read_lines(page(4200, 2800, [1000], 40), read)
    assert seen == [(2100, 1400)]
    assert np.abs(np.array(line.box) - (50, 1000, 250, 1040)).max() <= 4
    assert tiles.SHORT_SIDE == 1400


def test_slivers_hold_no_words_and_cost_nothing() -> None:
    assert read_lines(np.zeros((4, 60_000, 3), np.uint8), lambda piece: 1 / 0) == []  # type: ignore[arg-type, return-value]
    seen = []
    read_lines(np.zeros((60_000, 10, 3), np.uint8), lambda piece: seen.append(piece.shape) or [])
    assert len(seen) <= 61
