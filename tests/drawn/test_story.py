"""`data draw --story`: a comic whose light and places go on from panel to panel, in one direction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.drawn.colours import LIGHTS, light_at, luma, white_at
from comictool.drawn.corpus import draw_corpus
from comictool.drawn.daylight import REACH, SHADE, in_daylight, sun_at
from comictool.drawn.inks import STYLES
from comictool.drawn.page import draw_page
from comictool.drawn.script import JOURNEY, beats_of_page, on_journey

SMALL = {"width": 300, "height": 420}


def test_the_hour_goes_on_from_panel_to_panel_and_page_to_page() -> None:
    hours = [
        panel.extra["hour"]
        for page in range(1, 11)
        for panel in draw_page(3, 5, page, story=True, **SMALL).record.panels
    ]
    assert hours == sorted(hours)
    assert len(set(hours)) == len(hours) > 20
    assert 0 < hours[0] < 0.1
    assert 0.9 < hours[-1] < 1


def test_every_story_page_is_another_place_in_the_same_order() -> None:
    from comictool.drawn.plan import make_plan

    for comic in (1, 2):
        plan = make_plan(0, comic, story=True)
        seen = []
        for page in range(len(JOURNEY)):
            beats = on_journey(beats_of_page(0, comic, page, 4, plan.episode, len(plan.cast)), page)
            assert len({beat.setting for beat in beats}) == 1
            seen.append(beats[0].setting)
        assert tuple(seen) == JOURNEY


def test_the_light_passes_through_the_times_of_day_without_a_jump() -> None:
    assert light_at(0.0) == replace(LIGHTS["morning"], hour=0.0)
    assert light_at(1.0) == replace(LIGHTS["night"], hour=1.0)
    tops = np.array([light_at(hour / 100).sky_top for hour in range(101)], float)
    assert np.abs(np.diff(tops, axis=0)).max() < 8
    lows = [luma(light_at(hour).sky_low) for hour in (0.35, 0.7, 1.0)]
    assert lows == sorted(lows, reverse=True)


def test_pages_get_dark_towards_the_end() -> None:
    first, last = (draw_page(7, 5, page, story=True, **SMALL).image.mean() for page in (2, 9))
    assert last < first - 20


def test_without_story_nothing_says_so(tmp_path: Path) -> None:
    draw_corpus(tmp_path, 2, seed=1, options=JobOptions(jobs=1), **SMALL)
    corpus = Corpus.open(tmp_path)
    (comic,) = corpus.comics()
    assert "story" not in corpus.comic_facts(comic)
    assert all("hour" not in panel.extra for page in corpus.pages(comic) for panel in page.panels)


def test_a_story_is_another_drawing_of_the_same_comics(tmp_path: Path) -> None:
    draw_corpus(tmp_path, 2, seed=1, story=True, options=JobOptions(jobs=1), **SMALL)
    again = draw_corpus(tmp_path, 2, seed=1, story=True, options=JobOptions(jobs=1), **SMALL)
    assert (again.done, again.skipped) == (0, 1)
    corpus = Corpus.open(tmp_path)
    (comic,) = corpus.comics()
    assert corpus.comic_facts(comic)["story"] is True
    plain = draw_corpus(tmp_path, 2, seed=1, options=JobOptions(jobs=1), **SMALL)
    assert plain.done == 1


@pytest.mark.parametrize("hour", [-1.0, 2.0])
def test_hours_beyond_the_day_are_its_ends(hour: float) -> None:
    end = min(1.0, max(0.0, hour))
    assert light_at(hour) == light_at(end)
    assert sun_at(hour) == sun_at(end)


def test_the_sun_goes_once_from_left_to_right_and_is_highest_at_midday() -> None:
    way = np.array([sun_at(hour / 100) for hour in range(101)])
    assert (np.diff(way[:, 0]) > 0).all()
    assert way[0, 0] > 0
    assert way[-1, 0] < 1
    assert way[:, 1].argmin() == 50
    assert way[[0, -1], 1].min() > 0.7  # low at both ends
    assert way[:, 1].min() > 0  # and always in the sky


def test_light_falls_off_from_the_sun_as_a_slow_loop_says() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    lit = np.asarray(in_daylight(Image.fromarray(picture), 0.9))
    sun_x, sun_y = sun_at(0.9)
    for row in range(5):
        for column in range(7):
            across, down = (column + 0.5) / 7 - sun_x, (row + 0.5) / 5 - sun_y / 2
            light = 1 - SHADE * min(1.0, (across * across + 0.25 * down * down) / (REACH * REACH))
            for channel in range(3):
                expected = picture[row, column, channel] * light * white_at(0.9)[channel] / 255
                assert abs(int(lit[row, column, channel]) - expected) <= 1
    assert lit[:, 5].sum() / picture[:, 5].sum() > 2 * lit[:, 0].sum() / picture[:, 0].sum()


@pytest.mark.parametrize("style", STYLES)
def test_the_side_the_light_comes_from_can_be_seen_in_every_style(style: str) -> None:
    """Also in print that knows black and white only: otherwise the order of its panels could not be learnt."""
    leanings = []
    for page in (2, 7):  # morning and dusk
        drawn = draw_page(12, 4, page, style=style, story=True, **SMALL)
        for panel in drawn.record.panels:
            x0, y0, x1, y1 = panel.box
            grey = drawn.image[y0:y1, x0:x1].mean(axis=(0, 2))
            half = len(grey) // 2
            leanings.append((page, grey[:half].mean() - grey[-half:].mean()))
    morning, dusk = (np.mean([leaning for page, leaning in leanings if page == wanted]) for wanted in (2, 7))
    assert morning > dusk + 20, "left is lighter in the morning, right at dusk"
