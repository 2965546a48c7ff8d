"""Re-ranking against an explicit loop of the paper; what centring does."""

from __future__ import annotations

import numpy as np
import pytest

from comictool.core.errors import UsageError
from comictool.measure.retrieval import retrieval
from comictool.reid import reranking
from comictool.reid.reranking import centred, k_reciprocal
from tests.reid.test_calibration import characters


def by_loops(distance: list[list[float]], near: int, expand: int, share: float) -> np.ndarray:
    """Zhong and others (2017), section 3, with sets and loops."""
    number = len(distance)
    ranks = [sorted(range(number), key=lambda j, i=i: (distance[i][j], j)) for i in range(number)]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in ranks[i][: k + 1] if i in ranks[j][: k + 1]}

    fuzzy = []
    for i in range(number):
        members = reciprocal(i, near)
        wide = set(members)
        for j in sorted(members):
            other = reciprocal(j, max(1, round(near / 2)))
            if len(other & members) > 2 / 3 * len(other):
                wide |= other
        weights = {j: np.exp(-distance[i][j]) for j in wide}
        total = sum(weights.values())
        fuzzy.append([weights.get(j, 0.0) / total for j in range(number)])
    if expand > 1:
        fuzzy = [[sum(fuzzy[n][j] for n in ranks[i][:expand]) / expand for j in range(number)] for i in range(number)]
    answer = np.zeros((number, number))
    for i in range(number):
        for j in range(number):
            least = sum(min(a, b) for a, b in zip(fuzzy[i], fuzzy[j], strict=True))
            most = sum(max(a, b) for a, b in zip(fuzzy[i], fuzzy[j], strict=True))
            answer[i, j] = -((1 - share) * (1 - least / most) + share * distance[i][j])
    return answer


@pytest.mark.parametrize(("near", "expand"), [(6, 2), (4, 1), (9, 3)])
def test_re_ranking_is_what_the_paper_says(near, expand) -> None:
    rows, _, _ = characters(0, 4, 6, spread=1.2)
    distance = 2 - 2 * np.round(rows @ rows.T, 6)
    np.fill_diagonal(distance, 0)
    distance = distance / distance.max(axis=1, keepdims=True)
    ours = k_reciprocal(rows, near=near, expand=expand)
    assert ours == pytest.approx(by_loops(distance.tolist(), near, expand, 0.3), abs=1e-5)


def test_re_ranking_raises_precision_where_characters_are_chains() -> None:
    rows, names, _ = characters(1, 10, 8, spread=1.6)
    own = np.eye(80, dtype=bool)
    plain = retrieval(rows @ rows.T, names, names, own).mean_precision
    assert retrieval(k_reciprocal(rows, near=6, expand=2), names, names, own).mean_precision > plain


def test_too_many_are_refused_before_memory_is_taken(monkeypatch) -> None:
    monkeypatch.setattr(reranking, "MOST_RERANKED", 10)
    with pytest.raises(UsageError, match="too many to re-rank"):
        k_reciprocal(np.zeros((11, 4), np.float32))


def test_centring_takes_out_what_all_share() -> None:
    rows, _, _ = characters(2, 10, 5)
    moved = centred(rows, rows)
    assert abs(float((moved @ moved.T).mean())) < 0.05 < float((rows @ rows.T).mean())
    assert np.linalg.norm(moved, axis=1) == pytest.approx(1)
