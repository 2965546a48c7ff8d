"""Reading order: hand-made layouts with the order a reader takes, and properties that hold for any boxes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comictool.corpus.order import ORDERS, order_boxes

Box = tuple[int, int, int, int]
GRID: list[Box] = [
    (0, 0, 45, 30),
    (50, 0, 100, 30),
    (0, 35, 100, 60),
    (0, 65, 30, 100),
    (35, 65, 65, 100),
    (70, 65, 100, 100),
]


def reading(boxes: list[Box], direction: str = "ltr") -> list[int]:
    """Order found when the boxes are given shuffled, as positions in the list."""
    places = list(range(len(boxes)))
    random.Random(4).shuffle(places)
    return [places[i] for i in order_boxes([boxes[place] for place in places], direction)]


def test_rows_from_left_to_right() -> None:
    assert reading(GRID) == [0, 1, 2, 3, 4, 5]


def test_rows_from_right_to_left() -> None:
    assert reading(GRID, "rtl") == [1, 0, 2, 5, 4, 3]


def test_one_strip_downwards() -> None:
    assert reading([(0, 0, 60, 30), (40, 35, 100, 60), (0, 65, 100, 100)], "ttb") == [0, 1, 2]


def test_panels_beside_each_other_in_a_strip() -> None:
    """Fault 6.14: from left to right, though the right one begins higher; what only begins higher comes first."""
    assert reading([(52, 0, 100, 58), (0, 4, 48, 60), (0, 70, 100, 90)], "ttb") == [1, 0, 2]
    assert reading([(52, 0, 100, 58), (0, 40, 48, 98), (52, 80, 100, 130)], "ttb") == [0, 1, 2]
    assert reading([(0, 0, 100, 60), (60, 30, 95, 55), (0, 65, 100, 100)], "ttb") == [0, 1, 2]


def test_a_tall_panel_beside_a_column() -> None:
    boxes: list[Box] = [(0, 0, 40, 100), (45, 0, 100, 30), (45, 35, 100, 60), (45, 65, 100, 100)]
    assert reading(boxes) == [0, 1, 2, 3]
    assert reading(boxes, "rtl") == [1, 2, 3, 0]


def test_staggered_columns_are_read_column_by_column() -> None:
    assert reading([(0, 0, 48, 35), (0, 38, 48, 100), (52, 0, 100, 62), (52, 65, 100, 100)]) == [0, 1, 2, 3]


def test_a_small_stagger_is_still_rows() -> None:
    assert reading([(0, 0, 48, 48), (52, 0, 100, 52), (0, 51, 48, 100), (52, 55, 100, 100)]) == [0, 1, 2, 3]


def test_slanted_gutters_make_boxes_overlap() -> None:
    assert reading([(0, 0, 60, 54), (50, 0, 100, 48), (0, 46, 100, 100)]) == [0, 1, 2]
    assert reading([(40, 0, 100, 54), (0, 0, 52, 48), (0, 46, 100, 100)], "rtl") == [0, 1, 2]


def test_an_inset_comes_right_after_its_host() -> None:
    assert reading([(0, 0, 100, 60), (60, 30, 95, 55), (0, 65, 100, 100)]) == [0, 1, 2]
    assert reading([(0, 0, 60, 100), (5, 70, 30, 95), (32, 70, 58, 95), (65, 0, 100, 100)]) == [0, 1, 2, 3]


def test_a_pinwheel_has_an_order() -> None:
    assert reading([(0, 0, 65, 30), (70, 0, 100, 65), (0, 35, 30, 100), (35, 35, 65, 65), (35, 70, 100, 100)])[0] == 0


def test_a_spread_is_read_page_by_page() -> None:
    left: list[Box] = [(0, 0, 48, 48), (52, 0, 100, 48), (0, 52, 48, 100), (52, 52, 100, 100)]
    right: list[Box] = [(x0 + 112, y0, x1 + 112, y1) for x0, y0, x1, y1 in left]
    assert reading(left + right) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert reading(left + right, "rtl") == [5, 4, 7, 6, 1, 0, 3, 2]


def test_a_wide_page_of_strips_is_read_across() -> None:
    boxes: list[Box] = [(x, y, x + 48, y + 40) for y in (0, 44) for x in (0, 52, 104, 156)]
    assert reading(boxes) == list(range(8))


def test_nothing_and_one() -> None:
    assert order_boxes([]) == []
    assert order_boxes([(0, 0, 1, 1)]) == [0]


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="upwards"):
        order_boxes([(0, 0, 1, 1)], "upwards")


_BOX = st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(1, 60), st.integers(1, 60)).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
)


@given(st.lists(_BOX, max_size=12), st.sampled_from(["ltr", "rtl", "ttb"]), st.sampled_from(ORDERS))
def test_every_box_is_read_once(boxes: list[Box], direction: str, order: str) -> None:
    assert sorted(order_boxes(boxes, direction, order)) == list(range(len(boxes)))


@given(st.lists(_BOX, max_size=8))
def test_right_to_left_is_the_mirror_of_left_to_right(boxes: list[Box]) -> None:
    mirrored = [(200 - x1, y0, 200 - x0, y1) for x0, y0, x1, y1 in boxes]
    assert order_boxes(mirrored, "rtl") == order_boxes(boxes, "ltr")


def test_four_panel_strips_are_read_down_the_columns() -> None:
    """Fault 4E.24: 4-koma, right column first; a grid whose columns are no further apart than its rows is not one."""
    right = [(380, 56 + 241 * i, 640, 282 + 241 * i) for i in range(4)]
    left = [(60, y0, 320, y1) for _, y0, _, y1 in right]
    rows = [box for pair in zip(right, left, strict=True) for box in pair]
    assert [rows[i] for i in order_boxes(rows, "rtl")] == right + left
    close = [(x0 + 50 * (x0 == 60), y0, x1 + 50 * (x0 == 60), y1) for x0, y0, x1, y1 in rows]
    assert [close[i] for i in order_boxes(close, "rtl")] == close


@pytest.mark.parametrize("seed", range(20))
def test_four_panel_strips_are_seen_though_balloons_move_their_boxes(seed: int) -> None:
    """Fault 4E.24: boxes found on 4-koma pages reach over their panels, and into each other, at some sides."""
    rng = random.Random(seed)
    panels = [(x, 47 + 329 * i, x + 433, 368 + 329 * i) for x in (520, 47) for i in range(4)]
    strips = [(x0 - _rim(rng), y0 - _rim(rng), x1 + _rim(rng), y1 + _rim(rng)) for x0, y0, x1, y1 in panels]
    assert reading(strips, "rtl") == list(range(8))
    grid = [(x0 + 32 * (x1 < 500), y0, x1 + 32 * (x1 < 500), y1) for x0, y0, x1, y1 in strips]  # gutters alike
    assert reading(grid, "rtl") == [0, 4, 1, 5, 2, 6, 3, 7]


def _rim(rng: random.Random) -> int:
    return rng.choice((0, 0, 0, 8))


def test_four_panel_strips_from_left_to_right() -> None:
    """Fault 4E.24: only where the strips are plainly apart, since grids of two by four are common there."""
    strips = [(x, 56 + 241 * i, x + 260, 282 + 241 * i) for x in (60, 380) for i in range(4)]
    assert reading(strips) == list(range(8))
    assert order_boxes(strips, "ltr", "rows") == [0, 4, 1, 5, 2, 6, 3, 7]
    grid = [(x0 - 35 * (x0 == 380), y0, x1 - 35 * (x0 == 380), y1) for x0, y0, x1, y1 in strips]  # 25 apart, and 15
    assert reading(grid) == [0, 4, 1, 5, 2, 6, 3, 7]


def test_columns_when_asked() -> None:
    """Fault 4E.24: a title across parts the page; what stands below it is read down the columns."""
    title: Box = (0, 0, 100, 10)
    left: list[Box] = [(0, y, 45, y + 20) for y in (15, 40, 65)]
    right: list[Box] = [(55, y, 100, y + 20) for y in (15, 40, 65)]
    foot: Box = (0, 90, 100, 99)
    for direction, page in (("ltr", [title, *left, *right, foot]), ("rtl", [title, *right, *left, foot])):
        assert order_boxes(page, direction, "columns") == list(range(8))
        assert order_boxes(page, direction, "rows") == [0, 1, 4, 2, 5, 3, 6, 7]
        assert order_boxes(page, direction) == order_boxes(page, direction, "rows")
    with pytest.raises(ValueError, match="spiral"):
        order_boxes([title], "ltr", "spiral")
