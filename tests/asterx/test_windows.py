"""Windows against explicit loops; the three windows of a panel are three different ones."""

from __future__ import annotations

import numpy as np
import pytest

from comictool.asterx.windows import WindowShape, pairs_at, windows_at
from comictool.core.errors import UsageError
from tests.asterx.stories import of_lengths


def everything(lengths: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    panels = of_lengths(*lengths)
    return np.arange(len(panels)), panels.starts, panels.ends


def slow_window(shape: WindowShape, centre: int, start: int, end: int) -> tuple[list[int], list[bool]]:
    rows, real = [], []
    for row in range(centre - shape.before, centre + shape.after + 1):
        inside = start <= row < end
        rows.append(row if inside else 0)
        real.append(inside)
    return rows, real


@pytest.mark.parametrize("shape", [WindowShape(), WindowShape(1, 3), WindowShape(4, 0), WindowShape(0, 1)])
def test_windows_are_those_of_a_slow_loop(shape: WindowShape) -> None:
    rows, starts, ends = everything((1, 2, 5, 17))
    found = windows_at(shape, rows, starts, ends)
    for row in rows:
        expected = slow_window(shape, int(row), int(starts[row]), int(ends[row]))
        assert (found.rows[row].tolist(), found.real[row].tolist()) == expected


def test_every_panel_has_a_window_and_is_its_centre() -> None:
    # The published code keys no panel nearer than 9 to the beginning or 5 to the end of a comic.
    rows, starts, ends = everything((1, 2, 3, 14, 15, 40))
    shape = WindowShape()
    found = windows_at(shape, rows, starts, ends)
    assert found.real[:, shape.before].all()
    assert (found.rows[:, shape.before] == rows).all()


def test_the_three_windows_differ_and_touch() -> None:
    # The published code fetches the same window three times: the order then has no signal.
    rows, starts, ends = everything((30,))
    middle = rows[7:23]
    shape = WindowShape()
    after = pairs_at(shape, middle, starts[middle], ends[middle], np.ones(len(middle), bool))
    before = pairs_at(shape, middle, starts[middle], ends[middle], np.zeros(len(middle), bool))
    for place, row in enumerate(middle):
        assert after.first.rows[place].tolist() == list(range(row - 2, row + 3))
        assert after.second.rows[place].tolist() == list(range(row + 3, row + 8))
        assert before.second.rows[place].tolist() == list(range(row - 7, row - 2))
    assert after.is_next.all()
    assert not before.is_next.any()
    assert after.orderable.all()


def test_a_comic_without_the_wanted_neighbour_shows_the_other_one() -> None:
    rows, starts, ends = everything((7,))
    want_next = pairs_at(WindowShape(), rows, starts, ends, np.ones(7, bool))
    # Panels 0 to 3 have panels 3 or more places on; 4 to 6 have only some before.
    assert want_next.is_next.tolist() == [True] * 4 + [False] * 3
    assert want_next.second.present.all()
    want_previous = pairs_at(WindowShape(), rows, starts, ends, np.zeros(7, bool))
    assert want_previous.is_next.tolist() == [True] * 3 + [False] * 4


def test_short_comics_have_no_second_window_and_no_order() -> None:
    rows, starts, ends = everything((1, 2, 3))
    for wanted in (True, False):
        pairs = pairs_at(WindowShape(), rows, starts, ends, np.full(6, wanted))
        assert not pairs.second.present.any()
        assert not pairs.is_next.any()
        assert not pairs.orderable.any()


def test_order_is_asked_only_where_padding_cannot_tell_it() -> None:
    rows, starts, ends = everything((15, 14, 20))
    for wanted in (True, False):
        pairs = pairs_at(WindowShape(), rows, starts, ends, np.full(len(rows), wanted))
        asked = np.flatnonzero(pairs.orderable)
        assert asked.tolist() == [7, *range(15 + 14 + 7, 15 + 14 + 13)]
        assert pairs.first.complete[asked].all()
        assert pairs.second.complete[asked].all()


def test_windows_never_leave_their_comic() -> None:
    panels = of_lengths(4, 9, 1, 30)
    rows, comics = np.arange(len(panels)), panels.comic_of
    for wanted in (True, False):
        pairs = pairs_at(WindowShape(), rows, panels.starts, panels.ends, np.full(len(rows), wanted))
        for windows in (pairs.first, pairs.second):
            assert (comics[windows.rows] == comics[rows][:, None])[windows.real].all()
            assert not windows.rows[~windows.real].any()


@pytest.mark.parametrize(("before", "after"), [(-1, 2), (0, 0), (25, 25)])
def test_windows_without_context_or_too_long_are_refused(before: int, after: int) -> None:
    with pytest.raises(UsageError):
        WindowShape(before, after)


def test_the_longest_window_fits_the_positions() -> None:
    assert WindowShape(24, 24).tokens == 100
