"""Every loss against a slow loop or a formula of its own, values and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from comictool.depth.losses import (
    direct_loss,
    gradient_loss,
    invariant_loss,
    listwise_loss,
    ordinal_loss,
    pairwise_loss,
    points_loss,
    regression_loss,
)

NAN = float("nan")


def maps(seed: int, missing: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    found, truth = rng.normal(size=(3, 5, 7)), rng.random((3, 5, 7))
    if missing:
        truth[rng.random(truth.shape) < 0.3] = NAN
    return torch.tensor(found, requires_grad=True), torch.tensor(truth)


def ranks(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two panels, with ties and missing ranks; a third with none, a fourth with one."""
    rng = np.random.default_rng(seed)
    truth = [[0, 1, 1, NAN, 3], [2, 0, NAN, NAN, 0], [NAN] * 5, [NAN, 1, NAN, NAN, NAN]]
    return torch.tensor(rng.normal(size=(4, 5)), requires_grad=True), torch.tensor(truth, dtype=torch.float64)


def check_gradient(loss: Callable[[torch.Tensor], torch.Tensor], found: torch.Tensor) -> None:
    """The gradient against differences."""
    (ours,) = torch.autograd.grad(loss(found), found)
    assert ours.isfinite().all()
    flat = found.detach().clone().view(-1)
    for place in range(0, len(flat), 3):
        step = torch.zeros_like(flat)
        step[place] = 1e-6
        with torch.no_grad():
            rise = loss((flat + step).view_as(found)) - loss((flat - step).view_as(found))
        assert float(rise) / 2e-6 == pytest.approx(float(ours.view(-1)[place]), abs=1e-5)


def slow_aligned(values: np.ndarray) -> np.ndarray:
    middle = sorted(values)[(len(values) - 1) // 2]
    spread = np.mean(np.abs(values - middle))
    return (values - middle) / spread


def test_the_invariant_loss_is_the_trimmed_mean_of_aligned_residuals() -> None:
    found, truth = maps(1)
    total, count = 0.0, 0
    for own, aim in zip(found.detach().numpy(), truth.numpy(), strict=True):
        there = np.isfinite(aim)
        off = sorted(np.abs(slow_aligned(own[there]) - slow_aligned(aim[there])))
        kept = off[: math.ceil(0.8 * len(off))]
        total, count = total + sum(kept), count + len(kept)
    assert float(invariant_loss(found, truth, trim=0.2, gradient=0).detach()) == pytest.approx(total / count)
    check_gradient(lambda f: invariant_loss(f, truth, trim=0.2, gradient=0.5), found)


def test_scale_and_shift_of_a_panel_change_nothing_and_a_turned_sign_does() -> None:
    found, truth = maps(2)
    moved = found * torch.tensor([2.0, 0.5, 7.0])[:, None, None] + torch.tensor([3.0, -1.0, 0.0])[:, None, None]
    assert float(invariant_loss(found, truth).detach()) == pytest.approx(float(invariant_loss(moved, truth).detach()))
    exact = truth.nan_to_num() * 4 - 2
    assert float(invariant_loss(exact, truth).detach()) == pytest.approx(0, abs=1e-12)
    assert float(invariant_loss(-exact, truth)) > 0.5


def test_the_gradient_term_is_the_mean_difference_of_neighbours_on_four_scales() -> None:
    found, truth = maps(3)
    there = truth.isfinite().numpy()
    residual = found.detach().numpy()
    total = 0.0
    for step in (1, 2, 4, 8):
        own, seen = residual[:, ::step, ::step], there[:, ::step, ::step]
        for axis in (1, 2):
            parts = []
            for index in np.ndindex(own.shape):
                following = tuple(v + (place == axis) for place, v in enumerate(index))
                if following[axis] < own.shape[axis] and seen[index] and seen[following]:
                    parts.append(abs(own[index] - own[following]))
            total += float(np.mean(parts)) if parts else 0.0
    assert float(gradient_loss(found, truth.isfinite()).detach()) == pytest.approx(total / 4)


@pytest.mark.parametrize("truth", [torch.full((3, 5, 7), NAN), torch.ones(3, 5, 7)], ids=["nothing known", "flat"])
def test_maps_that_say_nothing_cost_nothing(truth: torch.Tensor) -> None:
    found, _ = maps(4)
    loss = invariant_loss(found, truth.double())
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert found.grad is not None
    assert not found.grad.any()


def test_the_direct_loss_and_the_regression_leave_out_what_is_missing() -> None:
    found, truth = maps(5)
    off = (found.detach() - truth).numpy()
    off = off[np.isfinite(off)]
    assert float(direct_loss(found, truth).detach()) == pytest.approx(np.mean(np.abs(off)))
    assert float(regression_loss(found, truth).detach()) == pytest.approx(np.mean(off**2))
    huber = [0.5 * v * v if abs(v) <= 0.3 else 0.3 * (abs(v) - 0.15) for v in off]
    assert float(regression_loss(found, truth, huber=0.3).detach()) == pytest.approx(np.mean(huber))
    check_gradient(lambda f: regression_loss(f, truth, huber=0.3), found)
    assert float(regression_loss(found, torch.full_like(truth, NAN))) == 0.0


def test_the_order_of_points_counts_pairs_that_are_far_enough_apart() -> None:
    found, truth = maps(6)
    places = torch.randint(0, 35, (3, 2, 40), generator=torch.Generator().manual_seed(0))
    parts = []
    for own, aim, (first, second) in zip(found.detach(), truth, places, strict=True):
        flat = torch.tensor(slow_aligned(own.flatten().numpy()))
        for a, b in zip(first, second, strict=True):
            gap = float(aim.flatten()[a] - aim.flatten()[b])
            if math.isfinite(gap) and abs(gap) >= 0.1:
                parts.append(math.log1p(math.exp(-math.copysign(1, gap) * 2 * float(flat[a] - flat[b]))))
    assert float(points_loss(found, truth, places, least_gap=0.1).detach()) == pytest.approx(np.mean(parts))
    check_gradient(lambda f: points_loss(f, truth, places, least_gap=0.1), found)


def test_corn_asks_each_step_only_where_the_one_before_was_passed() -> None:
    truth = torch.tensor([0.0, 2.0, NAN, 9.0], dtype=torch.float64)
    logits = torch.tensor(np.random.default_rng(7).normal(size=(4, 3)), requires_grad=True)
    parts = []
    for rank, row in zip(truth.tolist(), logits.tolist(), strict=True):
        for step, logit in enumerate(row):
            if math.isfinite(rank) and rank >= step:
                chance = 1 / (1 + math.exp(-logit))
                parts.append(-math.log(chance if rank > step else 1 - chance))
    assert len(parts) == 1 + 3 + 3
    assert float(ordinal_loss(logits, truth).detach()) == pytest.approx(np.mean(parts))
    check_gradient(lambda f: ordinal_loss(f, truth), logits)


def test_the_pairwise_loss_is_over_pairs_of_different_ranks_and_panels_weigh_alike() -> None:
    found, truth = ranks()
    panels = []
    for own, aim in zip(found.tolist(), truth.tolist(), strict=True):
        pairs = [
            math.log1p(math.exp(b - a))
            for a, x in zip(own, aim, strict=True)
            for b, y in zip(own, aim, strict=True)
            if x > y
        ]
        panels += [np.mean(pairs)] if pairs else []
    assert len(panels) == 2
    assert float(pairwise_loss(found, truth).detach()) == pytest.approx(np.mean(panels))
    check_gradient(lambda f: pairwise_loss(f, truth), found)


def test_the_listwise_loss_is_the_likelihood_of_the_true_order() -> None:
    found, truth = ranks(1)
    panels = []
    for own, aim in zip(found.tolist(), truth.tolist(), strict=True):
        parts = []
        for a, x in zip(own, aim, strict=True):
            left = [math.exp(-b) for b, y in zip(own, aim, strict=True) if y >= x]
            if left:
                parts.append(-math.log(math.exp(-a) / sum(left)))
        panels += [np.mean(parts)] if parts else []
    assert len(panels) == 3
    assert float(listwise_loss(found, truth).detach()) == pytest.approx(np.mean(panels))
    check_gradient(lambda f: listwise_loss(f, truth), found)


def test_larger_is_farther_for_every_loss_of_order() -> None:
    truth = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    for loss in (pairwise_loss, listwise_loss):
        assert float(loss(truth * 3, truth)) < 0.2 < float(loss(-truth * 3, truth))
