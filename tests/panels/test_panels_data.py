"""Panel detection on real comics: floors slightly under what `python -m tests.bench.panels` measures."""

from __future__ import annotations

import pytest

from tests.bench.panels import Score, evaluate, labelled, ours, plain_cut
from tests.data import data, needs_data

pytestmark = [needs_data, pytest.mark.data]
ASKED = (
    "pepper_carrot",
    "all tuned",
    "all held out",
    "page_blanche, held out",
    "without panels, tuned",
    "without panels, held out",
)


@pytest.fixture(scope="module")
def scores() -> dict[str, Score]:
    """Our score on the sets that are asked about here."""
    sets = labelled(data())
    return {name: evaluate(sets[name], ours) for name in ASKED}


@pytest.mark.parametrize(
    ("name", "at_half", "at_seven_tenths", "with_order"),
    [
        ("pepper_carrot", 0.98, 0.97, 0.95),
        ("all tuned", 0.94, 0.93, 0.86),
        ("all held out", 0.95, 0.94, 0.82),
        ("page_blanche, held out", 0.95, 0.95, 0.75),
    ],
)
def test_real_pages(
    scores: dict[str, Score], name: str, at_half: float, at_seven_tenths: float, with_order: float
) -> None:
    score = scores[name]
    assert score.f1(2) >= at_half
    assert score.f1(3) >= at_seven_tenths
    assert score.ordered / len(score.counts) >= with_order


@pytest.mark.parametrize(("name", "most"), [("without panels, tuned", 1), ("without panels, held out", 2)])
def test_pages_without_panels_get_none(scores: dict[str, Score], name: str, most: int) -> None:
    score = scores[name]
    assert len(score.counts) - score.exact <= most


def test_a_plain_cut_fails_on_old_scans() -> None:
    pages = labelled(data())["alarming_tales_1957, held out"]
    assert evaluate(pages, plain_cut).f1(2) < 0.2
