"""Box arithmetic against counting pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from comictool.corpus.boxes import area, iou, share_inside, shared_area

SIDE = 24
spans = st.integers(0, SIDE - 1).flatmap(lambda start: st.tuples(st.just(start), st.integers(start + 1, SIDE)))
boxes = st.tuples(spans, spans).map(lambda both: (both[0][0], both[1][0], both[0][1], both[1][1]))


def pixels(box: tuple[int, int, int, int]) -> np.ndarray:
    page = np.zeros((SIDE, SIDE), bool)
    page[box[1] : box[3], box[0] : box[2]] = True
    return page


@given(boxes, boxes)
def test_as_pixels_are_counted(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> None:
    first, second = pixels(a), pixels(b)
    both, either = (first & second).sum(), (first | second).sum()
    assert area(a) == first.sum()
    assert shared_area(a, b) == shared_area(b, a) == both
    assert share_inside(a, b) == both / first.sum()
    assert iou(a, b) == both / either


def test_boxes_without_area_share_nothing() -> None:
    assert share_inside((3, 3, 3, 9), (0, 0, 9, 9)) == iou((3, 3, 3, 3), (3, 3, 3, 3)) == 0
