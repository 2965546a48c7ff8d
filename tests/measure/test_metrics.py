"""Metrics against scikit-learn, pytorch-metric-learning and explicit loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from comictool.core.errors import InputError
from comictool.measure.agreement import bcubed, clustering_agreement, confusion, pairwise
from comictool.measure.chance import random_precision, random_rank, random_reciprocal
from comictool.measure.intervals import bootstrap, wilson
from comictool.measure.retrieval import macro, retrieval, tie_starts
from comictool.measure.verification import auroc, detection_at, equal_error_rate, error_rates, false_positives_at


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_retrieval_is_what_a_loop_counts(rng) -> None:
    labels = rng.integers(0, 5, 40).astype(str)
    pages = rng.integers(0, 12, 40)
    scores = rng.normal(size=(40, 40))
    excluded = pages[:, None] == pages[None, :]
    found = retrieval(scores, labels, labels, excluded)
    place, precision, at_r, asked = [], [], [], []
    for query in range(40):
        order = sorted((i for i in range(40) if not excluded[query, i]), key=lambda i: -scores[query, i])
        right = [labels[i] == labels[query] for i in order]
        if not any(right):
            continue
        hits = [sum(right[: n + 1]) / (n + 1) for n in range(len(right)) if right[n]]
        asked.append(query)
        place.append(right.index(True) + 1)
        precision.append(sum(hits) / len(hits))
        at_r.append(sum(hits[: sum(right[: sum(right)])]) / sum(right))
    assert found.answered.tolist() == asked
    assert [found.within(k).sum() for k in range(1, 41)] == [sum(p <= k for p in place) for k in range(1, 41)]
    assert found.precision == pytest.approx(precision)
    assert found.at_r == pytest.approx(at_r)
    assert found.rank(5) == pytest.approx(np.mean(np.array(place) <= 5))
    by_character = [np.mean([p <= 1 for p, q in zip(place, asked, strict=True) if labels[q] == c]) for c in set(labels)]
    assert found.macro_rank(1) == pytest.approx(np.mean(by_character))


def test_ties_are_no_skill() -> None:
    # 4F.25: in gallery order, equal vectors got mAP .209 where chance is .126: characters lie side by side.
    labels = np.repeat([f"c{n}" for n in range(12)], 25)
    found = retrieval(np.zeros((300, 300)), labels, labels, np.eye(300, dtype=bool))
    n, r = np.array([299]), np.array([24])
    assert found.mean_precision == pytest.approx(random_precision(n, r)[0], abs=1e-12)
    assert found.mean_at_r == pytest.approx(random_precision(n, r, r)[0], abs=1e-12)
    for k in (1, 5, 10, 299):
        assert found.rank(k) == pytest.approx(random_rank(n, r, k)[0], abs=1e-12)
        assert found.macro_rank(k) == pytest.approx(found.rank(k))


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_ties_get_the_mean_over_their_orders(rng, levels) -> None:
    """4F.25: every order of the ties is tried, and counted by the loop of definitions without ties."""
    labels = np.array([0, 0, 1, 0, 1, 1, 0]).astype(str)
    scores = rng.integers(0, levels, (7, 7)).astype(np.float32) / 3
    found = retrieval(scores, labels, labels, np.eye(7, dtype=bool))
    for row, query in enumerate(found.answered):
        figures = []
        for shuffled in itertools.permutations([i for i in range(7) if i != query]):
            order = sorted(shuffled, key=lambda i: -scores[query, i])  # stable: ties stay as they were shuffled
            right = [labels[i] == labels[query] for i in order]
            hits = [sum(right[: n + 1]) / (n + 1) if right[n] else 0.0 for n in range(6)]
            of = sum(right)
            figures.append([sum(hits) / of, sum(hits[:of]) / of, *(any(right[:k]) for k in range(1, 7))])
        expected = np.mean(figures, axis=0)
        ours = [found.precision[row], found.at_r[row], *(found.within(k)[row] for k in range(1, 7))]
        assert ours == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dimension", [8, 50, 384, 2048])
def test_equal_vectors_tie_however_their_products_round(rng, dimension) -> None:
    """4F.25: a product of equal rows may differ in its last digit with the place of a row."""
    row = rng.normal(size=dimension).astype(np.float32)
    rows = np.tile(row / np.linalg.norm(row), (203, 1))
    labels = (np.arange(203) // 20).astype(str)
    alike = rows @ rows.T
    alike *= 1 + np.finfo(np.float32).eps * (np.arange(203) // 20 % 3 - 1)  # the worst: by neighbours
    found = retrieval(alike, labels, labels, np.eye(203, dtype=bool))
    assert (found.tied == 202).all()
    assert (found.before == 0).all()


def test_ties_are_as_wide_as_rounding() -> None:
    """A chain of neighbours that nearly tie is no tie as a whole."""
    eps = float(np.finfo(np.float32).eps)
    chain = (1 - 3 * eps * np.arange(12)).astype(np.float32)
    starts = tie_starts(chain)
    assert len(starts) == 6
    for start, end in zip(starts, [*starts[1:], 12], strict=True):
        assert chain[start] - chain[end - 1] <= 4 * eps
    assert tie_starts(np.array([3, 3, 2, 1, 1])).tolist() == [0, 2, 3]
    assert tie_starts(np.array([2.0, 1.0, -np.inf, -np.inf])).tolist() == [0, 1, 2]


def test_average_precision_is_that_of_scikit_learn(rng) -> None:
    from sklearn.metrics import average_precision_score

    labels = rng.integers(0, 3, 30).astype(str)
    scores = rng.normal(size=(30, 30))
    found = retrieval(scores, labels, labels, np.eye(30, dtype=bool))
    for query, precision in zip(found.answered, found.precision, strict=True):
        others = np.arange(30) != query
        assert precision == pytest.approx(
            average_precision_score(labels[others] == labels[query], scores[query, others])
        )


def test_map_at_r_is_that_of_pytorch_metric_learning(rng) -> None:
    pytest.importorskip("torch")
    accuracy = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    torch = pytest.importorskip("torch")
    labels = rng.integers(0, 4, 32)
    rows = rng.normal(size=(32, 8)).astype(np.float32) + labels[:, None]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def nearest(query, k, reference, together):
        order = torch.argsort(-(query @ reference.T).masked_fill(torch.eye(32, dtype=bool), -9), dim=1)[:, :k]
        return None, order

    calculator = accuracy.AccuracyCalculator(
        include=("mean_average_precision_at_r", "precision_at_1"), k=31, knn_func=nearest, device=torch.device("cpu")
    )
    theirs = calculator.get_accuracy(torch.from_numpy(rows), torch.from_numpy(labels))
    ours = retrieval(rows @ rows.T, labels.astype(str), labels.astype(str), np.eye(32, dtype=bool))
    assert ours.mean_at_r == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)
    assert ours.rank(1) == pytest.approx(theirs["precision_at_1"], abs=1e-6)


def test_more_than_256_characters_do_not_wrap() -> None:
    labels = np.arange(300).repeat(2).astype(str)
    scores = np.equal.outer(labels, labels).astype(float)
    assert retrieval(scores, labels, labels, np.eye(600, dtype=bool)).rank(1) == 1
    assert len(confusion(labels.tolist(), labels.tolist())[0]) == 301


def test_error_rates_are_those_of_scikit_learn(rng) -> None:
    from sklearn.metrics import roc_curve

    same = rng.random(500) < 0.3
    scores = (rng.normal(size=500) + same).round(1)
    rates = error_rates(scores, same)
    false, true, thresholds = roc_curve(same, scores, drop_intermediate=False)
    assert rates.false_positive == pytest.approx(false)
    assert 1 - rates.false_negative == pytest.approx(true)
    assert rates.thresholds[1:] == pytest.approx(thresholds[1:])


def test_equal_error_rate_of_two_known_distributions(rng) -> None:
    # Two normal distributions 2 apart cross at 1: the rate is the tail of one beyond one deviation.
    scores = np.concatenate([rng.normal(0, 1, 60_000), rng.normal(2, 1, 60_000)])
    same = np.arange(120_000) >= 60_000
    assert equal_error_rate(scores, same) == pytest.approx(0.15866, abs=0.004)
    assert false_positives_at(scores, same, 0.15866) == pytest.approx(0.15866, abs=0.006)


def test_extremes_of_pairs() -> None:
    assert equal_error_rate(np.array([0.1, 0.9]), np.array([False, True])) == 0
    assert equal_error_rate(np.array([0.9, 0.1]), np.array([False, True])) == 1
    assert equal_error_rate(np.array([0.5, 0.5]), np.array([False, True])) == 0.5
    assert false_positives_at(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 0.0) == 1
    assert false_positives_at(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 0.5) == 0
    with pytest.raises(InputError, match="0 pairs of the same"):
        equal_error_rate(np.array([1.0]), np.array([False]))
    with pytest.raises(InputError, match="finite"):
        equal_error_rate(np.array([1.0, np.nan]), np.array([False, True]))


def test_detection_never_accepts_more_strangers_than_allowed(rng) -> None:
    for _ in range(50):
        unknown, known = rng.normal(size=37).round(1), rng.normal(1, 1, 20).round(1)
        right = rng.random(20) < 0.8
        for far in (0.0, 0.05, 0.3, 1.0):
            rate, threshold = detection_at(known, right, unknown, far)
            assert np.mean(unknown >= threshold) <= far
            # No lower threshold that still keeps the rate finds more: tried at every score there is.
            allowed = [t for t in (*unknown, *known) if np.mean(unknown >= t) <= far]
            assert rate >= max((float(np.mean(right & (known >= t))) for t in allowed), default=0) - 1e-12


def test_confusion_counts_no_answer_last() -> None:
    names, counts = confusion(["a", "b", "b"], ["a", None, "c"])
    assert names == ["a", "b", "c", ""]
    assert counts.tolist() == [[1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_noise_is_not_one_cluster() -> None:
    alone = clustering_agreement(["a", "a", "b", "b"], np.array([-1, -1, -1, -1]))
    assert alone["ari"] == 0
    assert clustering_agreement(["a", "a", "b"], np.array([5, 5, 2]))["ari"] == 1


def test_macro_weighs_characters_alike() -> None:
    assert macro(np.array([True] * 9 + [False]), np.array(["a"] * 9 + ["b"])) == 0.5
    assert math.isnan(macro(np.zeros(0, bool), np.zeros(0, str)))
    rng = np.random.default_rng(3)
    for labels in (rng.integers(0, 40, 500), rng.integers(0, 40, 500).astype(str), np.array(["a"])):
        right = rng.random(len(labels)) < 0.3
        by_hand = [float(right[labels == label].mean()) for label in sorted(set(labels.tolist()))]
        assert macro(right, labels) == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-12)


def test_an_interval_of_many_labels_does_not_look_through_all_points_for_each() -> None:
    """A count of work instead of a time: how many arrays one macro average of 400 labels makes."""
    labels = np.arange(2000) % 400
    calls = 0

    class Counted(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            plain = [np.asarray(value) if isinstance(value, np.ndarray) else value for value in inputs]
            return getattr(ufunc, method)(*plain, **options)

    macro(labels % 3 == 0, labels.view(Counted))
    assert calls < 20


def test_wilson_is_the_published_interval() -> None:
    # Newcombe (1998), table I: 81 of 263 is .2553 to .3662, 0 of 20 is 0 to .1611.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0, 1)


def test_bootstrap_covers_and_repeats(rng) -> None:
    values = rng.normal(size=400)
    low, high = bootstrap(400, lambda chosen: float(values[chosen].mean()))
    expected = 1.96 * values.std() / 20
    assert (high - low) / 2 == pytest.approx(expected, rel=0.15)
    assert (low, high) == bootstrap(400, lambda chosen: float(values[chosen].mean()))


def test_bootstrap_by_groups_is_wider_for_dependent_items(rng) -> None:
    values = rng.normal(size=20).repeat(20)
    groups = np.arange(20).repeat(20).astype(str)

    def mean(chosen: np.ndarray) -> float:
        return float(values[chosen].mean())

    alone, together = bootstrap(400, mean), bootstrap(400, mean, groups=groups)
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])
    assert all(math.isnan(v) for v in bootstrap(0, mean))


def accuracy_of_pml(rows, queries, references, together, avg_of_avgs):
    """All metrics of pytorch-metric-learning's calculator, on exact neighbours and clusters by residue."""
    torch = pytest.importorskip("torch")
    accuracy = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")

    def nearest(query, k, reference, ref_includes_query):
        alike = query @ reference.T
        if ref_includes_query:
            alike.fill_diagonal_(-9)
        return None, torch.argsort(-alike, dim=1)[:, :k]

    calculator = accuracy.AccuracyCalculator(
        k=len(references) - together,
        avg_of_avgs=avg_of_avgs,
        knn_func=nearest,
        kmeans_func=lambda vectors, count: torch.arange(len(vectors)) % count,
        device=torch.device("cpu"),
    )
    vectors = torch.from_numpy(rows)
    if together:
        return calculator.get_accuracy(vectors, torch.from_numpy(queries))
    asked, left = vectors[: len(queries)], vectors[len(queries) :]
    return calculator.get_accuracy(asked, torch.from_numpy(queries), left, torch.from_numpy(references))


@pytest.mark.parametrize("avg_of_avgs", [False, True])
@pytest.mark.parametrize("together", [True, False])
def test_all_retrieval_figures_are_those_of_pytorch_metric_learning(rng, together, avg_of_avgs) -> None:
    labels = rng.integers(0, 6, 60)
    labels[7] = 9  # a character with one picture: nobody can answer
    rows = rng.normal(size=(60, 8)) + 0.5 * np.eye(8)[labels % 8]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries, references = (labels, labels) if together else (labels[:25], labels[25:])
    theirs = accuracy_of_pml(rows, queries, references, together, avg_of_avgs)
    scores = rows @ rows.T if together else rows[:25] @ rows[25:].T
    found = retrieval(scores, queries.astype(str), references.astype(str), np.eye(60, dtype=bool) if together else None)
    for name, values in found.by_query().items():
        ours = macro(values, found.labels) if avg_of_avgs else values.mean()
        # Theirs computes reciprocal ranks in float32; an exact one is below.
        slack = 1e-6 if name == "mean_reciprocal_rank" else 1e-9
        assert ours == pytest.approx(theirs[name], abs=slack), name
    agreement = clustering_agreement(queries.tolist(), np.arange(len(queries)) % len(np.unique(queries)))
    assert agreement["ami"] == pytest.approx(theirs["AMI"], abs=1e-9)
    assert agreement["nmi"] == pytest.approx(theirs["NMI"], abs=1e-9)


@pytest.mark.parametrize("levels", [1, 2, 4, 1000])
def test_reciprocal_rank_and_r_precision_are_means_over_orders_of_ties(rng, levels) -> None:
    labels = np.array([0, 0, 1, 0, 1, 1, 0]).astype(str)
    scores = rng.integers(0, levels, (7, 7)).astype(np.float64)
    found = retrieval(scores, labels, labels, np.eye(7, dtype=bool))
    for row, query in enumerate(found.answered):
        figures = []
        for shuffled in itertools.permutations([i for i in range(7) if i != query]):
            right = [labels[i] == labels[query] for i in sorted(shuffled, key=lambda i: -scores[query, i])]
            figures.append([1 / (1 + right.index(True)), np.mean(right[: sum(right)])])
        assert [found.reciprocal[row], found.r_precision[row]] == pytest.approx(np.mean(figures, axis=0), abs=1e-12)


def test_random_reciprocal_is_what_shuffling_gives() -> None:
    counts = [(5, 2, 0), (6, 6, 3), (9, 1, 2)]
    for n, r, before in counts:
        orders = set(itertools.permutations([True] * r + [False] * (n - r))) if n < 9 else None
        firsts = [order.index(True) for order in orders] if orders else range(9)
        expected = np.mean([1 / (before + 1 + first) for first in firsts])
        assert random_reciprocal(np.array([n]), np.array([r]), np.array([before]))[0] == pytest.approx(expected)


def test_bcubed_and_pairwise_are_what_loops_count(rng) -> None:
    truth, clusters = rng.integers(0, 5, 40).astype(str), rng.integers(0, 7, 40)
    of_item = [
        [np.mean(truth[clusters == k] == t), np.mean(clusters[truth == t] == k)]
        for t, k in zip(truth, clusters, strict=True)
    ]
    precision, recall = np.mean(of_item, axis=0)
    assert bcubed(truth, clusters) == pytest.approx((precision, recall, 2 * precision * recall / (precision + recall)))
    pairs = list(itertools.combinations(range(40), 2))
    joined = {(a, b) for a, b in pairs if clusters[a] == clusters[b]}
    same = {(a, b) for a, b in pairs if truth[a] == truth[b]}
    p, r = len(joined & same) / len(joined), len(joined & same) / len(same)
    assert pairwise(truth, clusters) == pytest.approx((p, r, 2 * p * r / (p + r)))
    assert pairwise(["a", "a", "b"], np.array([0, 1, 2])) == (1.0, 0.0, 0.0)
    assert bcubed(["a", "b"], np.array([3, 4])) == (1.0, 1.0, 1.0)


def test_auroc_is_that_of_scikit_learn(rng) -> None:
    from sklearn.metrics import roc_auc_score

    same, scores = rng.random(300) < 0.4, rng.integers(0, 40, 300) / 7  # with ties
    assert auroc(scores, same) == pytest.approx(roc_auc_score(same, scores), abs=1e-12)
    with pytest.raises(InputError):
        auroc(scores, np.ones(300, bool))
