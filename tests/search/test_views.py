from __future__ import annotations

import numpy as np
import pytest

from comictool.core.errors import UsageError
from comictool.search import views as module
from comictool.search.views import FEW_VIEWS, VIEWS, WHOLE, nearest_view, page_scores, page_views, query_views
from tests.bench.page_search import FORMS, measure, pages_of
from tests.data import data, needs_data


def unit_rows(rng: np.random.Generator, count: int, dimension: int = 12) -> np.ndarray:
    rows = rng.normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


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


def test_views_are_the_cut_pixels() -> None:
    image = np.arange(100 * 50 * 3, dtype=np.uint32).reshape(100, 50, 3)
    cuts = page_views(image)
    np.testing.assert_array_equal(cuts[0], image)
    np.testing.assert_array_equal(cuts[1], image[10:90, 5:45])
    np.testing.assert_array_equal(cuts[5], image[20:, 10:])
    assert [part.shape for part in query_views(image)] == [image.shape]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2)])
def test_the_smallest_pages_have_no_empty_view(size: tuple[int, int]) -> None:
    assert all(part.size for part in page_views(np.zeros((*size, 3), np.uint8)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_scores_are_those_of_a_plain_loop(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)  # several blocks, the last one short
    rng = np.random.default_rng(3)
    pages, views = 5, 3
    stored: np.ndarray = unit_rows(rng, pages * views).astype(dtype)
    queries = unit_rows(rng, 2)
    wanted = [
        max(float(queries[q] @ stored[page * views + view]) for q in range(2) for view in range(views))
        for page in range(pages)
    ]
    np.testing.assert_allclose(page_scores(queries, stored, views), wanted, atol=1e-3 if dtype == np.float16 else 1e-6)
    products = (queries @ stored.astype(np.float32).T).reshape(2, pages, views)
    np.testing.assert_allclose(nearest_view(products), wanted, atol=1e-3)


def test_no_pages_give_no_scores() -> None:
    assert page_scores(np.ones((1, 4), np.float32), np.zeros((0, 4), np.float16)).shape == (0,)


@pytest.mark.parametrize(("rows", "queries"), [((7, 4), (1, 4)), ((6, 4), (1, 5)), ((6, 4), (0, 4))])
def test_wrong_shapes_are_refused(rows: tuple[int, int], queries: tuple[int, int]) -> None:
    with pytest.raises(UsageError):
        page_scores(np.zeros(queries, np.float32), np.zeros(rows, np.float32), views=3)


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_pages_are_found_again_in_other_forms() -> None:
    """Measured: 1.000 in every row here; python -m tests.bench.page_search prints all forms."""
    pages = pages_of(data())
    chosen = ("as it is", "JPEG q40", "resized to 50 %", "cut to 80 %, corner", "cut to 80 %, random")
    vectors = measure(pages, {form: FORMS[form] for form in chosen}, {})["classic"]
    has_other_file = np.array([page.has_other_file for page in pages])
    for form in chosen:
        least = 0.97 if form.startswith("cut") else 0.985
        assert vectors.right(pages, form, len(VIEWS), other_file=True)[has_other_file].mean() >= least, form
        assert vectors.right(pages, form, len(VIEWS), other_file=False).mean() >= least, form
    whole_page_alone = vectors.right(pages, "cut to 80 %, corner", 1, other_file=True)[has_other_file].mean()
    assert whole_page_alone < 0.95, "the windows are needed: without them cropped copies get lost"
