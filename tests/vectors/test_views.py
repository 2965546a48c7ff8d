from __future__ import annotations

import numpy as np
import pytest

from comictool.vectors.views import FEW_VIEWS, VIEWS, WHOLE
from tests.bench.page_search import FORMS, measure, pages_of
from tests.data import data, needs_data


def test_the_whole_page_comes_first_and_the_windows_reach_every_border() -> None:
    assert VIEWS[0] == WHOLE
    assert VIEWS[:6] == FEW_VIEWS
    assert len(set(VIEWS)) == len(VIEWS) == 10
    windows = np.array(VIEWS[1:])
    assert windows.min() == 0
    assert windows.max() == 1
    np.testing.assert_allclose(windows[:, 2:] - windows[:, :2], 0.8)
    np.testing.assert_allclose(np.array(VIEWS[1]), [0.1, 0.1, 0.9, 0.9])
    corners = {(round(box[0], 6), round(box[1], 6)) for box in FEW_VIEWS[2:]}
    assert corners == {(0, 0), (0.2, 0), (0, 0.2), (0.2, 0.2)}


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_pages_are_found_again_in_other_forms() -> None:
    """A third of the pages, with all their files; python -m tests.bench.page_search takes all, in all forms."""
    pages = pages_of(data())
    kept = set(sorted({page.label for page in pages})[::3])
    pages = [page for page in pages if page.label in kept]
    chosen = ("as it is", "JPEG q40", "resized to 50 %", "cut to 80 %, corner", "cut to 80 %, random")
    vectors = measure(pages, {form: FORMS[form] for form in chosen}, {})["classic"]
    has_other_file = np.array([page.has_other_file for page in pages])
    for form in chosen:
        least = 0.97 if form.startswith("cut") else 0.985
        assert vectors.right(pages, form, len(VIEWS), other_file=True)[has_other_file].mean() >= least, form
        assert vectors.right(pages, form, len(VIEWS), other_file=False).mean() >= least, form
    whole_page_alone = vectors.right(pages, "cut to 80 %, corner", 1, other_file=True)[has_other_file].mean()
    assert whole_page_alone < 0.95, "the windows are needed: without them cropped copies get lost"
