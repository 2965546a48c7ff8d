"""Segments as they come from files, their masks against pycocotools and slow loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comictool.depth.segments import Segment, listed, open_segments, read_segments, segment_pages
from comictool.formats.converting import convert
from comictool.formats.masks import rle_mask, to_rle
from tests.depth import fixture


def test_numbers_and_ranks_are_those_of_the_file(tmp_path: Path) -> None:
    (page,) = read_segments(fixture.write(tmp_path))
    assert (page.id, page.image_id, page.picture) == ("Vaillant_0542_1955_10_02/16", 131, tmp_path / fixture.NAME)
    found = {each.annotation_id: each for each in page.segments}
    assert list(found) == [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22]
    assert {n: (s.inter, s.intra) for n, s in found.items() if n > 12} == {
        13: (None, None), 14: (0, 2), 15: (0, 1), 16: (1, 1), 17: (3, None), 18: (0, 0), 19: (12, 14),
        20: (2, 1), 22: (4, 1),
    }  # fmt: skip
    assert (found[15].category_id, found[15].category, found[11].category) == (22, "face", "panel")
    assert [found[n].panel for n in (11, 12, 14, 18, 20)] == [1, 2, 1, 2, 2]
    assert found[20].box == (180, 60, 200, 100)


def test_every_annotation_is_listed_once_even_without_a_box(tmp_path: Path) -> None:
    file = fixture.write(tmp_path, test=True)
    assert [row[0] for row in listed(file)] == list(range(11, 23))
    assert {row[1] for row in listed(file)} == {131}


def test_test_segments_without_ranks_are_read_too(tmp_path: Path) -> None:
    (page,) = read_segments(fixture.write(tmp_path, "depth_TEST_segments.json", test=True))
    assert len(page.segments) == 11
    assert all(each.inter is None and each.intra is None for each in page.segments)


def test_numbers_survive_a_corpus_and_the_way_back(tmp_path: Path) -> None:
    convert(fixture.write(tmp_path / "a").parent, tmp_path / "corpus", "corpus")
    convert(tmp_path / "corpus", tmp_path / "back", "ai4va-coco")
    first, second, third = (list(read_segments(tmp_path / name)) for name in ("a", "corpus", "back"))
    for other in (second, third):
        assert [each.image_id for each in other] == [131]
        for one, two in zip(first[0].segments, other[0].segments, strict=True):
            assert (one.annotation_id, one.category_id, one.category, one.box, one.inter, one.intra) == (
                two.annotation_id, two.category_id, two.category, two.box, two.inter, two.intra,
            )  # fmt: skip


def test_a_rank_that_is_missing_is_no_zero(tmp_path: Path) -> None:
    (page,) = read_segments(fixture.write(tmp_path))
    assert [each.annotation_id for each in page.segments if each.inter is None] == [11, 12, 13]


def test_run_lengths_as_pycocotools_spreads_them() -> None:
    coco = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(3)
    for size in ((7, 5), (40, 33), (1, 9)):
        mask = random.random(size) > 0.6
        packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        value = {"size": list(size), "counts": packed["counts"].decode()}
        assert (rle_mask(value) == mask).all()
        assert to_rle(mask, (0, 0), size) == value
        larger = np.pad(mask, ((3, 2), (4, 1)))
        packed = coco.encode(np.asfortranarray(larger.astype(np.uint8)))
        assert to_rle(mask, (4, 3), larger.shape)["counts"] == packed["counts"].decode()
    assert rle_mask({"size": [4, 4], "counts": [3, 2]}) is None  # too short for its size


def test_masks_at_any_scale_are_what_a_slow_loop_finds() -> None:
    outline = ((3.0, 2.0), (21.0, 5.0), (17.0, 19.0), (8.0, 14.0))
    segment = Segment(1, 1, 1, "x", None, (3, 2, 21, 19), (outline,))
    for window, size in (((0, 0, 24, 24), (24, 24)), ((0, 0, 24, 24), (12, 48)), ((5, 5, 15, 30), (20, 20))):
        found = segment.mask(window, size)
        assert found.shape == size
        slow = np.array(
            [
                [
                    _inside(
                        outline,
                        window[0] + (column + 0.5) * (window[2] - window[0]) / size[1],
                        window[1] + (row + 0.5) * (window[3] - window[1]) / size[0],
                    )
                    for column in range(size[1])
                ]
                for row in range(size[0])
            ]
        )
        assert (found == slow).all()


def test_a_mask_is_never_empty_and_several_outlines_are_one() -> None:
    thin = Segment(1, 1, 1, "x", None, (10, 10, 11, 90), (((10.1, 10.0), (10.2, 10.0), (10.2, 90.0)),))
    assert thin.mask((0, 0, 100, 100), (10, 10)).sum() == 1
    two = Segment(
        1, 1, 1, "x", None, (0, 0, 10, 4), (((0, 0), (4, 0), (4, 4), (0, 4)), ((6, 0), (10, 0), (10, 4), (6, 4)))
    )
    assert two.mask().sum() == 32
    assert Segment(1, 1, 1, "x", None, (2, 3, 6, 5)).mask((0, 0, 8, 8)).sum() == 8


def test_a_corpus_of_drawn_pages_has_segments_in_panels(drawn: Path) -> None:
    pages = list(segment_pages(open_segments(drawn)))
    segments = [each for page in pages for each in page.segments]
    assert len({each.annotation_id for each in segments}) == len(segments) > 20
    assert all(each.inter is not None and each.depth is not None for each in segments)
    assert any(each.character is not None for each in segments)


def _inside(outline: tuple[tuple[float, float], ...], x: float, y: float) -> bool:
    inside = False
    for (ax, ay), (bx, by) in zip(outline, outline[1:] + outline[:1], strict=True):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            inside = not inside
    return inside
