"""`data draw --story`: a comic whose light and places go on from panel to panel, in one direction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.corpus.drawn import draw_corpus, draw_page
from comictool.corpus.drawn.colours import LIGHTS, light_at, luma
from comictool.corpus.drawn.script import JOURNEY, beats_of_page, on_journey

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
    from comictool.corpus.drawn.plan import make_plan

    for comic in (1, 2):
        plan = make_plan(0, comic, story=True)
        seen = []
        for page in range(len(JOURNEY)):
            beats = on_journey(beats_of_page(0, comic, page, 4, plan.episode, len(plan.cast)), page)
            assert len({beat.setting for beat in beats}) == 1
            seen.append(beats[0].setting)
        assert tuple(seen) == JOURNEY


def test_the_light_passes_through_the_times_of_day_without_a_jump() -> None:
    assert light_at(0.0) == LIGHTS["morning"]
    assert light_at(1.0) == LIGHTS["night"]
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
    assert light_at(hour) in (LIGHTS["morning"], LIGHTS["night"])
