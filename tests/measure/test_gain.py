"""Normalised discounted cumulative gain against scikit-learn, ties included."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from comictool.measure.gain import gain_of_one, ndcg


@pytest.mark.parametrize("k", [1, 3, 10, 50])
def test_as_scikit_learn_has_it(k: int) -> None:
    random = np.random.default_rng(k)
    scores = random.integers(0, 6, (20, 12)).astype(float)  # many tie
    gains = random.integers(0, 3, (20, 12)).astype(float)
    gains[:, 0] += 1
    expected = [ndcg_score(g[None], s[None], k=k) for g, s in zip(gains, scores, strict=True)]
    np.testing.assert_allclose(ndcg(scores, gains, k), expected, atol=1e-12)
    assert np.isnan(ndcg(scores[:1], np.zeros((1, 12)))[0])


def test_one_right_candidate_is_a_case_of_it() -> None:
    scores = np.random.default_rng(3).integers(0, 5, (30, 15)).astype(float)
    gains = np.zeros_like(scores)
    gains[:, 4] = 1
    own = scores[:, 4:5]
    before, tied = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    np.testing.assert_allclose(gain_of_one(before, tied, 10), ndcg(scores, gains, 10), atol=1e-12)
