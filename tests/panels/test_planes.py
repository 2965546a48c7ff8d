"""Sums and greatest values of planes, against numpy's and scipy's own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from comictool.panels.gutters import Plane
from comictool.panels.planes import closing, counts, opening, share


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 5), (13, 1), (1, 6)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_closing_and_opening_are_those_of_scipy(size: tuple[int, int], kind: type) -> None:
    plane = (np.random.default_rng(1).random((40, 23)) * 255).astype(kind)
    assert np.array_equal(closing(plane, size), ndimage.grey_closing(plane, size=size))
    assert np.array_equal(opening(plane, size), ndimage.grey_opening(plane, size=size))


def test_counts_are_sums_however_a_plane_lies_in_memory() -> None:
    mask = np.random.default_rng(2).random((700, 300)) < 0.6
    for plane in (
        mask,
        mask.T,
        mask[5:40, 7:200],
        np.asfortranarray(mask)[9:600],
        np.ones((3, 70_000), bool),
        mask[:0],
    ):
        assert share(plane) == (plane.mean() if plane.size else 0)
        for axis in (0, 1):
            assert np.array_equal(counts(plane, axis), plane.sum(axis))


def test_steps_to_what_is_closed() -> None:
    """Against a walk from every pixel."""
    paper = np.random.default_rng(3).random((9, 12)) < 0.7
    plane = Plane(paper, 1.0)
    for x in range(12):
        for y in range(9):
            up, down = (int(step[0]) for step in plane.steps(np.array([y]), np.array([x])))
            above, below = np.flatnonzero(~paper[: y + 1, x]), np.flatnonzero(~paper[y:, x])
            assert up == y - above[-1] if len(above) else up > 9
            assert down == below[0] if len(below) else down > 9
