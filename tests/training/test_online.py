from __future__ import annotations

import numpy as np
import pytest

from comictool.measure.probes import Points
from comictool.training.online import probe_figures


def points(signal: float) -> Points:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 24)
    centres = rng.normal(size=(5, 16)) * signal
    vectors = (centres[labels] + rng.normal(size=(120, 16))).astype(np.float32)
    return Points(vectors, np.array([f"c{n}" for n in labels]), np.array([f"g{n % 12}" for n in range(120)]))


def test_probes_see_a_signal_and_only_that() -> None:
    with_signal, without = (
        probe_figures(points(3.0), neighbours=5, linear=True),
        probe_figures(points(0.0), neighbours=5),
    )
    assert with_signal["knn"] > 0.9
    assert with_signal["linear"] > 0.9
    assert with_signal["knn_over_chance"] == pytest.approx(with_signal["knn"] - 0.2, abs=0.05)
    assert abs(without["knn_over_chance"]) < 0.12, "noise scores chance: no row is its own neighbour"
    assert 0.5 < without["feature_spread"] < 1.1
