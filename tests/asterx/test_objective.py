"""Both losses against explicit loops, values and gradients; padding is never chosen."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from comictool.asterx.objective import candidate_scores, mean_over, order_losses, ranks, retrieval_losses
from comictool.core.errors import UsageError


def slow_score(query: list[float], answer: list[float], similarity: str) -> float:
    if similarity == "euclidean":
        return -math.sqrt(sum((a - q) ** 2 for q, a in zip(query, answer, strict=True)))
    product = sum(q * a for q, a in zip(query, answer, strict=True))
    return product / math.sqrt(sum(q * q for q in query)) / math.sqrt(sum(a * a for a in answer))


def slow_loss(prediction: Tensor, candidates: Tensor, real: Tensor, similarity: str, temperature: float) -> float:
    """The mean over rows of minus the log of the share of candidate 0 among the real ones."""
    total = 0.0
    for query, answers, counted in zip(prediction.tolist(), candidates.tolist(), real.tolist(), strict=True):
        scores = [
            slow_score(query, a, similarity) / temperature for a, there in zip(answers, counted, strict=True) if there
        ]
        total -= math.log(math.exp(scores[0]) / sum(math.exp(score) for score in scores))
    return total / len(prediction)


def example() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    real = torch.rand(5, 7) < 0.6
    real[:, 0] = True
    return torch.randn(5, 4), torch.randn(5, 7, 4), real


@pytest.mark.parametrize("similarity", ["euclidean", "cosine"])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_retrieval_is_that_of_a_slow_loop(similarity: str, temperature: float) -> None:
    prediction, candidates, real = example()
    prediction.requires_grad_()

    def loss(query: Tensor) -> Tensor:
        scores = candidate_scores(query, candidates, real, similarity=similarity, temperature=temperature)
        return retrieval_losses(scores, torch.zeros(5, dtype=torch.int64)).mean()

    value = loss(prediction)
    assert value.item() == pytest.approx(slow_loss(prediction, candidates, real, similarity, temperature), rel=1e-5)
    value.backward()
    assert prediction.grad is not None
    for row, column in ((0, 0), (2, 3), (4, 1)):  # the gradient by differences of the slow loop
        step = torch.zeros_like(prediction)
        step[row, column] = 1e-4
        high, low = (
            slow_loss(prediction.detach().double() + sign * step, candidates.double(), real, similarity, temperature)
            for sign in (1, -1)
        )
        assert prediction.grad[row, column].item() == pytest.approx((high - low) / 2e-4, rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("similarity", ["euclidean", "cosine"])
def test_shared_candidates_score_as_each_rows_own(similarity: str) -> None:
    torch.manual_seed(0)
    prediction, shared = torch.randn(4, 6), torch.randn(9, 6)
    own = shared.expand(4, 9, 6)
    real = torch.rand(4, 9) < 0.7
    one = candidate_scores(prediction, shared, real, similarity=similarity)
    other = candidate_scores(prediction, own, real, similarity=similarity)
    torch.testing.assert_close(one, other)


def test_padding_never_wins() -> None:
    # The published code scores padding -1: far above minus the distance of any real candidate, which is tens.
    prediction = torch.zeros(2, 384)
    candidates = torch.full((2, 6, 384), 3.0)
    candidates[:, 4:] = 0.0  # padding happens to lie exactly on the prediction
    real = torch.tensor([[True] * 4 + [False] * 2] * 2)
    scores = candidate_scores(prediction, candidates, real)
    assert (scores.argmax(dim=1) < 4).all()
    assert torch.isneginf(scores[:, 4:]).all()
    assert scores[0, 0] < -50
    assert ranks(scores, torch.zeros(2, dtype=torch.int64)).max() <= 4
    prediction.requires_grad_()
    retrieval_losses(candidate_scores(prediction, candidates, real), torch.zeros(2, dtype=torch.int64)).sum().backward()
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()


def test_a_prediction_on_its_candidate_has_finite_gradients() -> None:
    candidates = torch.randn(1, 3, 8)
    prediction = candidates[:, 0].clone().requires_grad_()
    scores = candidate_scores(prediction, candidates, torch.ones(1, 3, dtype=torch.bool))
    retrieval_losses(scores, torch.zeros(1, dtype=torch.int64)).sum().backward()
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()


def test_order_is_binary_cross_entropy() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5], requires_grad=True)
    is_next = torch.tensor([True, True, False])
    losses = order_losses(logits, is_next)
    for loss, logit, label in zip(losses.tolist(), logits.tolist(), is_next.tolist(), strict=True):
        sure = 1 / (1 + math.exp(-logit))
        assert loss == pytest.approx(-math.log(sure if label else 1 - sure), rel=1e-5)
    losses.sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, logits.detach().sigmoid() - is_next.float())


def test_ranks_count_equals_before() -> None:
    scores = torch.tensor([[1.0, 2.0, 1.0, 0.0], [5.0, 1.0, 1.0, -torch.inf], [0.0, 0.0, 0.0, 0.0]])
    assert ranks(scores, torch.tensor([0, 0, 2])).tolist() == [3, 1, 4]


def test_what_does_not_count_has_no_part_in_the_mean() -> None:
    values = torch.tensor([1.0, torch.inf, 3.0], requires_grad=True)
    counted = torch.tensor([True, False, True])
    mean = mean_over(values, counted)
    assert mean.item() == 2.0
    mean.backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0.5, 0.0, 0.5]
    assert mean_over(values, torch.zeros(3, dtype=torch.bool)).item() == 0.0


def test_processes_together_have_the_mean_of_all_rows() -> None:
    torch.manual_seed(1)
    values, counted = torch.rand(12), torch.rand(12) < 0.5
    whole = mean_over(values, counted)
    # Two processes, each with half of the rows, both dividing by the mean number of rows that count.
    total = counted.sum() / 2
    halves = [mean_over(values[part], counted[part], total) for part in (slice(0, 6), slice(6, 12))]
    torch.testing.assert_close(sum(halves, torch.tensor(0.0)) / 2, whole)


def test_unknown_similarities_are_refused() -> None:
    with pytest.raises(UsageError, match="euclidean or cosine"):
        candidate_scores(torch.zeros(1, 2), torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool), similarity="dot")
