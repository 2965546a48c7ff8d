"""Drawn pages: the same for the same seed, and every label true to the pixels."""

from __future__ import annotations

import hashlib
import itertools
import math
from multiprocessing import get_context

import numpy as np
import pytest

from comictool.core.errors import UsageError
from comictool.corpus.records import DIRECTIONS, PAGE_TYPES, TEXT_KINDS, Box, PageRecord, from_json, to_json
from comictool.drawn.depth import TOP
from comictool.drawn.inks import STYLES
from comictool.drawn.page import DrawnPage, draw_page
from comictool.formats.masks import rle_mask

WIDTH, HEIGHT = 600, 840


def _digest(key: tuple[int, int, int]) -> str:
    page = draw_page(*key, width=WIDTH, height=HEIGHT)
    return hashlib.sha256(page.image.tobytes() + page.depth.tobytes() + repr(page.record).encode()).hexdigest()


@pytest.fixture(scope="module")
def pages() -> list[DrawnPage]:
    """Pages of every type from comics of every style."""
    return [
        draw_page(7, comic, page, width=WIDTH, height=HEIGHT)
        for comic in range(1, 13)
        for page in (1, 3, 5, 6, 8, 9, 10)
    ]


@pytest.fixture(scope="module")
def stories(pages: list[DrawnPage]) -> list[DrawnPage]:
    return [page for page in pages if page.record.type == "story"]


def _inside(box: Box, outer: Box) -> bool:
    return outer[0] <= box[0] < box[2] <= outer[2] and outer[1] <= box[1] < box[3] <= outer[3]


def test_same_page_whatever_was_drawn_before_and_in_whichever_process() -> None:
    keys = [(3, 2, 4), (3, 1, 1), (3, 5, 9)]
    first = [_digest(key) for key in keys]
    again = [_digest(key) for key in reversed(keys)][::-1]
    with get_context("spawn").Pool(1) as pool:
        elsewhere = pool.map(_digest, keys)
    assert first == again == elsewhere
    assert len(set(first)) == len(keys)


def test_other_seeds_draw_other_pages() -> None:
    one, two = (draw_page(seed, 1, 2, width=WIDTH, height=HEIGHT) for seed in (1, 2))
    assert not np.array_equal(one.image, two.image)


def test_shapes_and_types(pages: list[DrawnPage]) -> None:
    for page in pages:
        assert page.image.shape == (HEIGHT, WIDTH, 3)
        assert page.image.dtype == np.uint8
        assert page.depth.shape == (HEIGHT, WIDTH)
        assert page.depth.dtype == np.uint16
        assert page.record.type in PAGE_TYPES
        assert page.record.direction in DIRECTIONS


def test_records_survive_json(pages: list[DrawnPage]) -> None:
    for page in pages:
        page.record.image = "page_images/x.jpg"
        assert to_json(from_json(to_json(page.record))) == to_json(page.record)


def test_labels_lie_on_the_page_and_refer_to_each_other(pages: list[DrawnPage]) -> None:
    whole = (0, 0, WIDTH, HEIGHT)
    for page in pages:
        record = page.record
        panels, people = [p.id for p in record.panels], [c.id for c in record.characters]
        assert panels == list(range(1, len(panels) + 1))
        assert people == list(range(1, len(people) + 1))
        assert [t.id for t in record.texts] == list(range(1, len(record.texts) + 1))
        for panel in record.panels:
            assert _inside(panel.box, whole)
        for character in record.characters:
            assert _inside(character.box, whole)
            assert character.identity is None or character.identity.count("-") == 1
            assert -1 <= (character.valence or 0) <= 1
            assert 0 < character.extra["visibility"] <= 1
            assert character.panel is None or character.panel in panels
            assert character.body == character.box
            if character.face:
                assert _inside(character.face, character.box)
        for text in record.texts:
            assert text.box is not None
            assert _inside(text.box, whole)
            assert text.kind in TEXT_KINDS
            assert text.text.strip()
            assert "{" not in text.text
            assert text.panel is None or text.panel in panels
            assert text.speaker is None or text.speaker in people
        for segment in record.segments:
            assert _inside(tuple(segment["box"]), whole)


def test_only_stories_have_panels(pages: list[DrawnPage]) -> None:
    for page in pages:
        assert bool(page.record.panels) == (page.record.type == "story")


def test_characters_lie_in_their_panel(stories: list[DrawnPage]) -> None:
    for page in stories:
        boxes = {panel.id: panel.box for panel in page.record.panels}
        for character in page.record.characters:
            assert character.panel is not None
            x0, y0, x1, y1 = boxes[character.panel]
            rises = character.extra.get("breaks_frame", False)
            assert _inside(character.box, (x0, 0 if rises else y0, x1, y1))
            assert rises == (character.box[1] < y0)


def test_lettering_of_a_story_does_not_overlap_and_has_ink_on_its_ground(stories: list[DrawnPage]) -> None:
    for page in stories:
        for one, other in itertools.combinations(page.record.texts, 2):
            a, b = one.box, other.box
            assert a is not None
            assert b is not None
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, (page.record.id, one.text, other.text)
        for text in page.record.texts:
            assert text.box is not None
            x0, y0, x1, y1 = text.box
            patch = page.image[y0:y1, x0:x1].astype(int).sum(axis=2)
            assert patch.max() - patch.min() > 200, (page.record.id, text.text)


def test_outlines_are_the_pixels_of_their_layers(pages: list[DrawnPage]) -> None:
    """Each is what its box and count say, no two share a pixel, and the map has their depth under them."""
    for page in pages:
        taken = np.zeros((HEIGHT, WIDTH), bool)
        for segment in page.record.segments:
            mask = rle_mask(segment["rle"])
            assert mask is not None
            assert mask.sum() == segment["pixels"]
            rows, columns = np.nonzero(mask)
            assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == segment["box"]
            assert not (mask & taken).any()
            taken |= mask
            if segment["kind"] == "character":
                stored = page.depth[mask].astype(np.int64)
                assert np.abs(stored - round(segment["depth"] * TOP + 1)).max() <= 1
        assert (taken == (page.depth > 0)).mean() > 0.99


def _character_depths(record: PageRecord, character: int) -> list[float]:
    return [s["depth"] for s in record.segments if s.get("character") == character]


def _showing(page: DrawnPage, panel: Box, depths: list[float]) -> np.ndarray:
    """Where the depth map of a panel shows one of the given depths."""
    x0, y0, x1, y1 = panel
    part = page.depth[y0:y1, x0:x1].astype(np.int64)
    stored = np.array([round(depth * TOP + 1) for depth in depths])
    return (np.abs(part[..., None] - stored) <= 1).any(axis=2)


def test_boxes_are_where_the_depth_map_shows_the_figure(stories: list[DrawnPage]) -> None:
    """The label and the depth map are written by different code; they must agree to the pixel."""
    checked = 0
    for page in stories:
        boxes = {panel.id: panel.box for panel in page.record.panels}
        for character in page.record.characters:
            assert character.panel is not None
            depths = _character_depths(page.record, character.id)
            x0, y0, x1, y1 = boxes[character.panel]
            y0 = min(y0, character.box[1])  # a figure may rise over the frame
            mine = _showing(page, (x0, y0, x1, y1), depths)
            # The floor passes through the depth of the figure's feet, so other pixels may have the same depth;
            # everything inside the box's edges must show the figure.
            cx0, cy0, cx1, cy1 = (v - o for v, o in zip(character.box, (x0, y0, x0, y0), strict=True))
            inside = mine[cy0:cy1, cx0:cx1]
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()
            pixels = sum(s["pixels"] for s in page.record.segments if s.get("character") == character.id)
            assert pixels <= inside.sum()
            checked += 1
    assert checked > 60


def test_what_covers_is_nearer(stories: list[DrawnPage]) -> None:
    """Two figures whose boxes overlap: where the nearer one is drawn the map shows it, never the farther one."""
    pairs = 0
    for page in stories:
        for one, other in itertools.combinations(page.record.characters, 2):
            if one.panel != other.panel:
                continue
            near, far = sorted((one, other), key=lambda c: c.extra["depth"])
            assert max(_character_depths(page.record, near.id)) < min(_character_depths(page.record, far.id))
            if far.extra["visibility"] < 1 and near.extra["visibility"] == 1:
                pairs += 1
    assert pairs >= 5


def test_figures_are_nearer_than_what_is_behind_them(stories: list[DrawnPage]) -> None:
    behind = {"sky", "wall", "hills", "skyline", "mountains", "backdrop", "outdoors"}
    for page in stories:
        for character in page.record.characters:
            own = max(_character_depths(page.record, character.id))
            far = [s["depth"] for s in page.record.segments if s["panel"] == character.panel and s["kind"] in behind]
            assert all(own < depth for depth in far)


def test_depth_is_nothing_between_the_panels(stories: list[DrawnPage]) -> None:
    for page in stories:
        outside = np.ones(page.depth.shape, dtype=bool)
        for panel in page.record.panels:
            x0, y0, x1, y1 = panel.box
            outside[y0:y1, x0:x1] = False
        for character in page.record.characters:
            if character.extra.get("breaks_frame"):
                x0, y0, x1, y1 = character.box
                outside[y0:y1, x0:x1] = False
        assert not page.depth[outside].any()


def test_segments_rank_by_depth(stories: list[DrawnPage]) -> None:
    for page in stories:
        for panel in page.record.panels:
            mine = [s for s in page.record.segments if s["panel"] == panel.id]
            first = {}
            for segment in mine:
                first[segment["inter"]] = min(first.get(segment["inter"], 2.0), segment["depth"])
            assert list(first) == sorted(first)
            assert list(first.values()) == sorted(first.values())


def _order_holds(boxes: list[Box], direction: str) -> bool:
    """Earlier panels lie before later ones: above, or beside in reading direction."""
    for a, b in itertools.combinations(boxes, 2):
        down = min(a[3], b[3]) - max(a[1], b[1])
        across = min(a[2], b[2]) - max(a[0], b[0])
        beside = down > 0.6 * min(a[3] - a[1], b[3] - b[1]) and across <= 0.2 * min(a[2] - a[0], b[2] - b[0])
        if beside and (a[0] < b[0]) != (direction != "rtl"):
            return False
        over = across > 0.6 * min(a[2] - a[0], b[2] - b[0]) and down <= 0.2 * min(a[3] - a[1], b[3] - b[1])
        if over and a[1] > b[1]:
            return False
    return True


def test_panels_count_in_reading_order(stories: list[DrawnPage]) -> None:
    seen = set()
    for page in stories:
        boxes = [p.box for p in page.record.panels if p.extra["kind"] != "inset"]
        assert _order_holds(boxes, page.record.direction), page.record.id
        if len(boxes) > 2:
            seen.add(page.record.direction)
    assert seen == set(DIRECTIONS)


def test_tails_point_at_their_speakers(stories: list[DrawnPage]) -> None:
    tails = 0
    for page in stories:
        people = {c.id: c for c in page.record.characters}
        for text in page.record.texts:
            if "tail" not in text.extra:
                continue
            assert text.speaker is not None
            face = people[text.speaker].face
            assert face is not None
            (ax, ay), (bx, by) = text.extra["tail"]
            x0, y0, x1, y1 = text.extra["balloon"]
            to_tip = (bx - (x0 + x1) / 2, by - (y0 + y1) / 2)
            to_face = ((face[0] + face[2]) / 2 - (x0 + x1) / 2, (face[1] + face[3]) / 2 - (y0 + y1) / 2)
            cosine = (to_tip[0] * to_face[0] + to_tip[1] * to_face[1]) / (math.hypot(*to_tip) * math.hypot(*to_face))
            assert cosine > 0.7, (page.record.id, text.text)
            assert math.hypot(bx - ax, by - ay) > 1
            tails += 1
    assert tails > 40


def test_balloons_leave_faces_free(stories: list[DrawnPage]) -> None:
    for page in stories:
        for text in page.record.texts:
            if text.kind == "sfx" or "balloon" not in text.extra:
                continue
            x0, y0, x1, y1 = text.extra["balloon"]
            for character in page.record.characters:
                if character.face and character.panel == text.panel:
                    fx0, fy0, fx1, fy1 = character.face
                    w, h = min(x1, fx1) - max(x0, fx0), min(y1, fy1) - max(y0, fy0)
                    assert max(0, w) * max(0, h) <= 0.31 * (fx1 - fx0) * (fy1 - fy0)


def test_every_style_can_be_asked_for_and_grey_ones_are_grey() -> None:
    for style in STYLES:
        page = draw_page(5, 1, 2, width=WIDTH, height=HEIGHT, style=style)
        assert page.record.extra["style"] == style
        grey = (page.image[..., 0] == page.image[..., 1]).mean() > 0.99
        assert grey == (style in ("line", "screentone", "hatching", "wash")), style
        assert page.image.std() > 12


@pytest.mark.parametrize(("width", "height"), [(300, 400), (1000, 500), (800, 2400)])
def test_other_page_sizes(width: int, height: int) -> None:
    for page in (1, 2, 5, 8, 10):
        drawn = draw_page(2, 3, page, width=width, height=height)
        assert drawn.image.shape == (height, width, 3)
        for text in drawn.record.texts:
            assert text.box is not None
            assert _inside(text.box, (0, 0, width, height))


def test_refusals() -> None:
    with pytest.raises(UsageError) as caught:
        draw_page(1, 1, 1, style="screntone")
    assert caught.value.near[0] == "screentone"
    for arguments in ({"page": 0}, {"comic": 0}, {"width": 10}, {"height": 9000}, {"seed": -1}):
        with pytest.raises(UsageError):
            draw_page(**{"seed": 1, "comic": 1, "page": 1, **arguments})
