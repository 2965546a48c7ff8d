"""Plans, layouts, depth files: every kind is reachable and means what it says."""

from __future__ import annotations

import io
import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from comictool.drawn.canvas import FINE, Canvas
from comictool.drawn.depth import encode_png16, from_stored, to_stored
from comictool.drawn.inks import STYLES, Press, ink
from comictool.drawn.layout import FAMILIES, Area, make_layout
from comictool.drawn.places import SETTINGS
from comictool.drawn.plan import BALLOONS, FRAMES, GUTTERS, comic_plan, make_plan
from comictool.drawn.script import PHASES, beats_of_page
from comictool.drawn.seeds import stream

AREA = Area(40, 40, 960, 1360, 14)


def test_every_kind_of_comic_occurs() -> None:
    plans = [make_plan(1, comic) for comic in range(1, 200)]
    assert {p.style for p in plans} == set(STYLES)
    assert {p.style for p in plans[:9]} == set(STYLES)  # a small library already has them all
    for seed in range(6):
        assert {make_plan(seed, comic).direction for comic in range(1, 5)} == {"ltr", "rtl", "ttb"}
    assert {p.gutter for p in plans} == set(GUTTERS)
    assert {p.frame for p in plans} == set(FRAMES)
    assert {p.balloon for p in plans} == set(BALLOONS)
    assert {family for p in plans for family in p.families} == set(FAMILIES)
    assert len({p.name for p in plans}) == len(plans)
    assert {look.species for p in plans for look in p.cast} >= {"human", "cat", "robot"}


def test_facts_of_a_comic() -> None:
    facts = comic_plan(7, 4)
    assert facts["number"] == 2
    assert facts["series"] == comic_plan(7, 3)["series"]
    assert len(facts["cast"]) >= 3
    assert facts == comic_plan(7, 4)


def test_a_series_shares_its_cast_and_no_two_series_do() -> None:
    casts = [{member["identity"] for member in comic_plan(7, comic)["cast"]} for comic in range(1, 9)]
    for volume in range(4):
        assert casts[2 * volume] == casts[2 * volume + 1]
    for a, b in itertools.combinations(range(4), 2):
        assert not casts[2 * a] & casts[2 * b]


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_layouts_do_not_overlap_and_mirror_exactly(family: str, direction: str) -> None:
    for seed in range(25):
        cells = make_layout(random.Random(seed), family, AREA, direction, 1000)
        left_to_right = make_layout(random.Random(seed), family, AREA, "ltr", 1000)
        assert len(cells) == len(left_to_right)
        for cell, original in zip(cells, left_to_right, strict=True):
            x0, y0, x1, y1 = cell.bounds
            assert x1 - x0 > 40
            assert y1 - y0 > 40
            if cell.kind != "bleed":
                assert x0 >= 39
                assert y0 >= 39
                assert x1 <= 961
                assert y1 <= 1361
            if direction == "rtl":
                assert cell.bounds == pytest.approx((1000 - original.bounds[2], y0, 1000 - original.bounds[0], y1))
        for a, b in itertools.combinations([c for c in cells if c.kind != "inset" and not c.slanted], 2):
            ax0, ay0, ax1, ay1 = a.bounds
            bx0, by0, bx1, by1 = b.bounds
            assert min(ax1, bx1) <= max(ax0, bx0) + 1e-6 or min(ay1, by1) <= max(ay0, by0) + 1e-6


def test_slanted_layouts_have_leaning_gutters_of_constant_width() -> None:
    leaning = 0
    for seed in range(20):
        cells = make_layout(random.Random(seed), "slanted", AREA, "ltr", 1000)
        leaning += sum(cell.slanted for cell in cells)
    assert leaning > 20


def test_script_tells_every_phase_and_fills_every_gap() -> None:
    plan = make_plan(7, 1)
    spoken = set()
    for story in range(2 * len(PHASES)):
        for beat in beats_of_page(7, 1, story, 7, plan.episode, len(plan.cast)):
            assert beat.setting in SETTINGS
            assert all(0 <= role < len(plan.cast) for role in beat.roles)
            for line in beat.lines:
                assert "{" not in line.text
                spoken.add(line.text)
    assert len(spoken) > 60


def test_streams_depend_on_every_part_of_their_name() -> None:
    names = [("a", 1), ("a", 2), ("b", 1), ("a", "1")]
    assert len({stream(1, *name).random() for name in names} | {stream(2, "a", 1).random()}) == 5


@pytest.mark.parametrize("style", STYLES)
def test_inks_keep_the_order_of_tones(style: str) -> None:
    """A brighter field never prints darker, black stays black and white stays white, whatever the screen."""
    press = Press(style, 5.2, ((20, 10, 60), (90, 90, 220), (220, 220, 250)), (1, 0), (300, 300))
    means = [float(ink(np.full((200, 200, 3), tone, np.uint8), press, 10, 20).mean()) for tone in range(0, 256, 5)]
    assert all(after >= before - 0.51 for before, after in itertools.pairwise(means))
    assert means[0] < 40
    assert means[-1] > 235


def test_screens_continue_from_panel_to_panel() -> None:
    press = Press("screentone", 6.0, ((0, 0, 0), (9, 9, 9), (255, 255, 255)), (0, 0), (300, 300))
    field = np.full((120, 160, 3), 120, np.uint8)
    whole = ink(field, press, 30, 40)
    assert np.array_equal(ink(field[50:, 70:], press, 100, 90), whole[50:, 70:])
    assert whole.std() > 40


def test_a_nearer_thing_hides_a_farther_one_exactly() -> None:
    canvas = Canvas(200, 160, (255, 255, 255), line=0)
    canvas.begin("wall", 0.9)
    canvas.box(0, 0, 200, 160, (200, 200, 200), line=0)
    canvas.begin("ball", 0.25)
    canvas.disc(100, 80, 40, 40, (255, 0, 0), line=0)
    layers = canvas.layer_map()
    depth = canvas.depth(layers)
    y, x = np.mgrid[0:80, 0:100] * FINE
    distance = np.hypot(x - 100, y - 80)
    assert np.all(depth[distance < 38] == np.float32(0.25))
    assert np.all(depth[distance > 42] == np.float32(0.9))
    assert set(np.unique(layers)) == {1, 2}


def test_floors_come_nearer_towards_the_viewer() -> None:
    canvas = Canvas(40, 200, (255, 255, 255), line=0)
    canvas.begin("floor", 1.0, -0.004)
    canvas.box(0, 0, 40, 200, (9, 9, 9), line=0)
    column = canvas.depth(canvas.layer_map())[:, 5]
    assert np.all(np.diff(column) < 0)
    assert column[50] == pytest.approx(1.0 - 0.004 * 100)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_depth_files_read_back_exactly(width: int, height: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 65536, (height, width), dtype=np.uint16)
    picture = Image.open(io.BytesIO(encode_png16(values)))
    assert picture.mode.startswith("I")
    assert np.array_equal(np.asarray(picture).astype(np.uint16), values)


def test_stored_depth_keeps_order_and_marks_nothing() -> None:
    depth = np.linspace(0, 1, 1001, dtype=np.float32)[None]
    stored = to_stored(depth)
    assert stored[0, 0] == 1
    assert stored[0, -1] == 65535
    assert np.all(np.diff(stored[0].astype(int)) > 0)
    assert from_stored(stored) == pytest.approx(depth, abs=2e-5)
    assert np.isnan(from_stored(np.zeros((1, 1), np.uint16))).all()
