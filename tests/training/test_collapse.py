from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from comictool.training.collapse import collapse_metrics, effective_rank, feature_std


def test_std_against_a_loop_and_its_healthy_value() -> None:
    features = torch.randn(400, 32, generator=torch.Generator().manual_seed(0)) * 7
    rows = [row / np.linalg.norm(row) for row in features.double().numpy()]
    expected = np.mean([np.std([row[d] for row in rows]) for d in range(32)])
    assert feature_std(features) == pytest.approx(expected, rel=1e-9)
    assert collapse_metrics(features)["feature_spread"] == pytest.approx(1.0, abs=0.05)


def test_rank_counts_directions() -> None:
    generator = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(24, 24, generator=generator, dtype=torch.float64))[0]
    for directions in (1, 3, 8):
        signs = torch.tensor([[2.0 * (row >> d & 1) - 1 for d in range(directions)] for row in range(256)]).double()
        assert effective_rank(signs @ basis[:directions] + 5.0) == pytest.approx(directions, rel=1e-6)


def test_rank_against_the_entropy_of_singular_values() -> None:
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(2)) * torch.tensor([9.0, 4, 2, 1, 0.5, 0.1])
    values = np.linalg.svd(features.double().numpy() - features.double().numpy().mean(0), compute_uv=False)
    shares = values / values.sum()
    assert effective_rank(features) == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-9)


def test_collapsed_features_show() -> None:
    same = torch.ones(20, 8)
    metrics = collapse_metrics(same + 1e-4 * torch.randn(20, 8, generator=torch.Generator().manual_seed(3)))
    assert metrics["feature_spread"] < 0.01
    assert effective_rank(same) == 1.0
    line = torch.linspace(-1, 1, 20)[:, None] * torch.ones(8)
    assert effective_rank(line) == pytest.approx(1.0)
