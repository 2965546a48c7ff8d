"""Measures by hand, by slow loops and by scipy; that they cannot be had by what is not depth."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from comictool.core.errors import InputError
from comictool.depth.dense import compare_maps, depth_at
from comictool.depth.maps import page_map, panel_maps, scale_and_shift
from comictool.depth.measures import Ranked, errors, order_of, orders, points_right, tau_b
from comictool.depth.ranking import Pooled, ranks
from comictool.depth.segments import Segment
from tests.depth.fixture import Bright

NAN = float("nan")


def some(seed: int = 4, count: int = 60) -> tuple[Ranked, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    inter = random.integers(0, 5, count).astype(float)
    intra = random.integers(1, 4, count).astype(float)
    inter[::7] = np.nan
    intra[::5] = np.nan
    panel = random.integers(0, 6, count)
    truth = Ranked(np.array([f"p{n // 2}" for n in panel]), np.array([f"p{n}" for n in panel]), inter, intra)
    return truth, random.integers(0, 6, count).astype(float), random.normal(size=count)


def test_errors_are_the_challenges_and_leave_out_what_is_missing() -> None:
    pages = np.array(["a", "a", "b"])
    truth = Ranked(pages, pages, np.array([0.0, 2.0, NAN]), np.array([1.0, NAN, 3.0]))
    said = np.array([1.0, 2.0, 50.0]), np.array([1.0, 50.0, 1.0])
    found = {each.name: each.value for each in errors(truth, said, {"ones": (np.ones(3), np.ones(3))})}
    assert found["MSE inter"] == pytest.approx(0.5)
    assert found["MSE intra"] == pytest.approx(2.0)
    assert found["MSE overall"] == pytest.approx(1.25)
    assert found["MAE overall"] == pytest.approx(0.75)
    floor = {each.name: each.chance for each in errors(truth, said, {"ones": (np.ones(3), np.ones(3))})}
    assert floor["MSE overall"] == pytest.approx((1 + 2) / 2)


def test_order_and_tau_are_what_slow_loops_and_scipy_find() -> None:
    truth, inter, intra = some()
    found = {each.name: each for each in orders(truth, (inter, intra), {})}
    ratios, taus, all_right, all_pairs = [], [], 0, 0
    for panel in np.unique(truth.panels):
        rows = [i for i in np.flatnonzero(truth.panels == panel) if np.isfinite(truth.inter[i])]
        pairs = [(i, j) for i, j in combinations(rows, 2) if truth.inter[i] != truth.inter[j]]
        right = sum(
            (truth.inter[i] < truth.inter[j]) == (inter[i] < inter[j]) and inter[i] != inter[j] for i, j in pairs
        )
        if pairs:
            ratios.append(right / len(pairs))
            taus.append(kendalltau(truth.inter[rows], inter[rows]).statistic)
            all_right, all_pairs = all_right + right, all_pairs + len(pairs)
    assert found["order inter"].value == pytest.approx(np.mean(ratios))
    assert found["order inter"].details["micro"] == pytest.approx(all_right / all_pairs)
    assert found["tau inter"].value == pytest.approx(np.mean(taus))
    right = pairs_ = 0
    for i, j in combinations(range(len(truth)), 2):
        same = truth.panels[i] == truth.panels[j] and truth.inter[i] == truth.inter[j]
        if same and np.isfinite(truth.intra[[i, j]]).all() and truth.intra[i] != truth.intra[j]:
            pairs_ += 1
            right += bool((truth.intra[i] < truth.intra[j]) == (intra[i] < intra[j]))
    assert found["order intra"].details["pairs"] == pairs_
    assert found["order intra"].details["micro"] == pytest.approx(right / pairs_)


def test_ties_are_wrong_and_a_constant_has_no_order() -> None:
    levels = np.array([0.0, 1.0, 2.0, 2.0])
    assert order_of(levels, np.zeros(4)) == (0, 5)
    assert order_of(levels, levels) == (5, 5)
    assert tau_b(levels, np.zeros(4)) == 0
    assert tau_b(levels, levels) == pytest.approx(1)


def test_exchanging_the_two_answers_changes_every_score() -> None:
    truth, *_ = some()
    said = np.nan_to_num(truth.inter), np.nan_to_num(truth.intra)
    for measure in (errors, orders):
        right = {each.name: each.value for each in measure(truth, said, {})}
        wrong = {each.name: each.value for each in measure(truth, said[::-1], {})}
        assert all(right[name] != wrong[name] for name in right)


def test_intervals_are_over_pages() -> None:
    """Fifty segments of one page are one draw: what is right on one page of two is right between 0 and 1."""
    pages = np.array(["a"] * 50 + ["b"] * 50)
    truth = Ranked(pages, pages, np.r_[np.zeros(50), np.zeros(50)], np.full(100, NAN))
    said = np.r_[np.zeros(50), np.ones(50)], np.zeros(100)
    found = errors(truth, said, {})[0]
    assert (found.low, found.value, found.high) == (0, 0.5, 1)


def test_points_and_the_floor_that_lower_is_nearer() -> None:
    heights = np.array([[9.0, 1.0], [8.0, 2.0], [1.0, 7.0]])
    near, far = np.array([0.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0])
    found = {each.name: each for each in points_right(near, far, heights, ["a", "b", "c"])}
    assert found["pairs"].value == pytest.approx(2 / 3)  # the tie is wrong
    assert found["pairs, nearer is lower"].value == 0.5
    assert found["pairs, nearer is higher"].value == 1
    assert found["pairs, balanced"].value == 0.75
    assert found["pairs, balanced"].chance == 0.5
    assert (found["WHDR"].value, found["WHDR"].chance) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_maps_are_measured_after_scale_and_shift_but_not_turned_round() -> None:
    truth = np.linspace(0.1, 1, 60).reshape(6, 10)
    assert compare_maps(truth, 40 * truth - 7).abs_rel == pytest.approx(0, abs=1e-9)
    assert compare_maps(truth, -truth).abs_rel == compare_maps(truth, np.zeros_like(truth)).abs_rel > 0.3
    hole = np.where(truth > 0.5, truth, np.nan)
    assert compare_maps(hole, truth).pixels == int((truth > 0.5).sum())
    with pytest.raises(InputError):
        compare_maps(np.full((3, 3), 0.5), truth[:3, :3])
    values, target = np.random.default_rng(1).normal(size=(2, 50))
    assert scale_and_shift(values, target) == pytest.approx(np.polyfit(values, target, 1))
    assert depth_at(np.arange(100.0).reshape(10, 10), (5, 5)) == 55
    assert np.isnan(depth_at(np.full((4, 4), NAN), (1, 1)))


def test_tiles_give_the_map_of_the_whole() -> None:
    picture = np.zeros((300, 500, 3), np.uint8)
    picture[:] = (np.add.outer(np.arange(300) * 0.3, np.arange(500) * 0.3))[..., None].astype(np.uint8)
    model = Bright()
    (whole,), (tiled,) = panel_maps(model, [picture]), panel_maps(model, [picture], tile=200)
    assert tiled.shape == whole.shape
    assert np.abs(whole - tiled).max() < 4
    assert np.isnan(page_map(model, picture, [_panel(1, (0, 0, 100, 100))])[150:]).all()


def test_parts_share_the_plane_of_their_figure_and_panels_start_anew() -> None:
    body, head = (10, 10, 50, 90), (20, 15, 40, 35)
    back = (0, 0, 300, 300)
    segments = [Segment(i, 1, 1, "x", 1, box) for i, box in enumerate((body, head, back))]
    (body_at, head_at, back_at) = ranks(segments, [Pooled(0.3), Pooled(0.1), Pooled(0.9)], 1.0)
    assert int(body_at[0]) == int(head_at[0]) == 0
    assert int(back_at[0]) == 1
    assert head_at[1] < body_at[1]
    assert ranks([], [], 1.0) == []


def _panel(number: int, box: tuple[int, int, int, int]):  # type: ignore[no-untyped-def]
    from comictool.corpus.records import Panel

    return Panel(number, box, number)


def test_files_of_points(tmp_path: Path) -> None:
    from PIL import Image

    from comictool.depth.truth import kind_of, read_points

    Image.new("RGB", (40, 30)).save(tmp_path / "page1.png")
    (tmp_path / "page1.txt").write_text("1 1 5 6\n1 2 7 8\n2 1 9 10")
    assert kind_of(tmp_path) == "points"
    (panel,) = read_points(tmp_path)
    assert (panel.page, panel.inter.tolist(), panel.intra.tolist()) == ("page", [1, 1, 2], [1, 2, 1])
    assert panel.points.tolist() == [[5, 6], [7, 8], [9, 10]]
    (tmp_path / "page1.txt").write_text("1 1 5\n")
    with pytest.raises(InputError, match="line 1 is not"):
        read_points(tmp_path)
