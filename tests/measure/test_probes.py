"""Probes against scikit-learn and explicit loops; noise must score chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from comictool.core.errors import InputError
from comictool.measure.chance import chance_of, random_precision, random_rank
from comictool.measure.metrics import Metric, as_document, share, statistic
from comictool.measure.points import Points, held_out, leave_groups_out
from comictool.measure.probes import knn, linear_probe, linear_probe_folds, neighbours, retrieval_probe


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def clusters(rng: np.random.Generator, count: int, classes: int = 4, spread: float = 1.0) -> Points:
    centres = np.random.default_rng(99).normal(size=(classes, 12)) * 2
    labels = rng.integers(0, classes, count)
    vectors = centres[labels] + rng.normal(size=(count, 12)) * spread
    return Points(vectors, labels.astype(str), rng.integers(0, count // 4, count).astype(str))


# --- neighbours -----------------------------------------------------------------------------------------------------


def test_neighbours_are_what_a_loop_finds(rng, monkeypatch) -> None:
    monkeypatch.setattr("comictool.measure.probes.BLOCK_BYTES", 30 * 4 * 7)  # blocks of seven queries
    bank = rng.integers(-1, 2, (30, 3)).astype(np.float32)  # many equal cosines, some rows of zeros
    groups = rng.integers(0, 5, 30).astype(str)
    rows, cosines = neighbours(bank, bank, 26, bank_groups=groups, query_groups=groups)
    unit = [v / np.linalg.norm(v) if v.any() else v for v in bank]
    for query in range(30):
        others = [i for i in range(30) if groups[i] != groups[query]]
        order = sorted(others, key=lambda i: (-np.float32(round(float(unit[i] @ unit[query]), 5)), i))[:26]
        assert [round(float(c), 5) for c in cosines[query][: len(order)]] == pytest.approx(
            [round(float(unit[i] @ unit[query]), 5) for i in order], abs=2e-5
        )
        assert set(rows[query][: len(order)]) <= set(others)
        assert (rows[query][len(order) :] == -1).all()
        assert np.isneginf(cosines[query][len(order) :]).all()


def test_equal_cosines_come_in_bank_order() -> None:
    bank = np.ones((6, 2), np.float32)
    rows, _ = neighbours(bank, bank[:1], 3)
    assert rows.tolist() == [[0, 1, 2]]


# --- k-NN -----------------------------------------------------------------------------------------------------------


def test_plain_knn_is_that_of_scikit_learn(rng) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    bank, queries = clusters(rng, 200, spread=3), clusters(rng, 80, spread=3)
    bank, queries = Points(bank.vectors, bank.labels), Points(queries.vectors, queries.labels)
    found = knn(bank, queries, (1, 5, 50), weighted=False)
    for k, answers in found.items():
        other = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(bank.vectors, bank.labels)
        expected = other.predict(queries.vectors)
        assert [answers.classes[a] for a in answers.answers] == expected.tolist()
        assert answers.accuracy == pytest.approx(np.mean(expected == queries.labels))


def test_weighted_knn_is_what_the_loop_of_dino_counts(rng) -> None:
    points = clusters(rng, 120, spread=3)
    (answers,) = knn(points, points, [7], temperature=0.1).values()
    unit = points.vectors / np.linalg.norm(points.vectors, axis=1, keepdims=True)
    for number, query in enumerate(answers.asked):
        others = [i for i in range(120) if points.groups[i] != points.groups[query]]
        nearest = sorted(others, key=lambda i: -(unit[i] @ unit[query]))[:7]
        votes: dict[str, float] = {}
        for i in nearest:
            votes[points.labels[i]] = votes.get(points.labels[i], 0) + math.exp(unit[i] @ unit[query] / 0.1)
        ranking = sorted(votes, key=lambda label: -votes[label])
        assert answers.classes[answers.answers[number]] == ranking[0]
        own = str(points.labels[query])
        assert answers.rank[number] == (ranking.index(own) + 1 if own in votes else len(answers.classes) + 1)


def test_noise_scores_chance_and_the_leak_of_the_original_is_refused(rng) -> None:
    """The released evaluator fits 5-NN on the points that it scores: 28.75 % for 16 classes of Gaussian noise."""
    labels = (np.arange(480) % 16).astype(str)
    noise = rng.normal(size=(480, 64))

    from sklearn.neighbors import KNeighborsClassifier

    leaky = KNeighborsClassifier(5).fit(noise, labels).score(noise, labels)
    assert leaky > 0.2  # what that evaluator reports of noise

    with pytest.raises(InputError, match="same points"):
        knn(Points(noise, labels), Points(noise.copy(), labels), [5])
    with pytest.raises(InputError, match="same points"):
        linear_probe(Points(noise, labels), Points(noise, labels))
    panels = (np.arange(480) // 2).astype(str)
    points = Points(noise, labels, panels)
    metrics = [metric for answers in knn(points, points, (1, 5, 20)).values() for metric in answers.metrics("k-NN")]
    metrics += linear_probe_folds(points, costs=[0.01, 1.0]).metrics("linear")
    metrics += retrieval_probe(points, points, name="noise")
    for metric in metrics:
        assert not metric.beats_chance, metric
        assert metric.low <= metric.chance <= metric.high or metric.value < metric.chance, metric


def test_noise_scores_chance_when_classes_are_uneven(rng) -> None:
    labels = np.where(rng.random(600) < 0.8, "common", "rare")
    points = Points(rng.normal(size=(600, 8)), labels, np.arange(600).astype(str))
    (answers,) = knn(points, points, [1]).values()
    accuracy, macro = answers.metrics("k-NN")
    assert accuracy.value > 0.6  # which looks like something, and is not
    assert accuracy.chance == pytest.approx(np.mean(labels == "common"))
    assert not accuracy.beats_chance
    assert macro.chance == pytest.approx(0.5, abs=0.03)
    assert abs(macro.value - 0.5) < 0.08


def test_signal_beats_chance_beside_noise(rng) -> None:
    bank, queries = clusters(rng, 300), clusters(rng, 100)
    other = Points(queries.vectors, queries.labels, np.char.add("q", queries.groups))
    for answers in (*knn(bank, other, [5]).values(), linear_probe(bank, other)):
        assert answers.accuracy > 0.9
        assert all(metric.beats_chance for metric in answers.metrics("x", top=(1,)))
    assert all(metric.beats_chance for metric in retrieval_probe(bank, other, name="x", ranks=(1,)))


def test_points_of_the_same_group_never_vote() -> None:
    """Two pictures of one page are almost the same picture; without the rule they answer for each other."""
    vectors = np.repeat(np.eye(4), 2, axis=0)
    points = Points(vectors, ["a", "a", "b", "b", "a", "a", "b", "b"], ["1", "1", "2", "2", "3", "3", "4", "4"])
    rows, _ = neighbours(vectors, vectors, 3, bank_groups=points.groups, query_groups=points.groups)
    assert all(points.groups[row] != points.groups[i] for i in range(8) for row in rows[i] if row >= 0)
    alone = Points(vectors, [str(i // 2) for i in range(8)], points.groups)
    (answers,) = knn(alone, alone, [3]).values()
    assert len(answers.asked) == 0  # no class occurs in two groups: nothing can be answered, nothing counts
    metric = answers.metrics("x")[0]
    assert metric.count == 0
    assert math.isnan(metric.value)
    assert not metric.beats_chance


def test_queries_of_unknown_classes_do_not_count(rng) -> None:
    bank = Points(rng.normal(size=(20, 3)), ["a", "b"] * 10)
    queries = Points(rng.normal(size=(4, 3)), ["a", "stranger", "b", "b"])
    (answers,) = knn(bank, queries, [3]).values()
    assert answers.asked.tolist() == [0, 2, 3]
    assert linear_probe(bank, queries).asked.tolist() == [0, 2, 3]


def test_bad_questions(rng) -> None:
    one, other = Points(np.ones((3, 2)), list("aab")), Points(np.ones((2, 3)), list("ab"))
    with pytest.raises(InputError, match="bank has vectors of 2 numbers, the queries of 3"):
        knn(one, other, [1])
    with pytest.raises(InputError, match="from 1"):
        knn(one, one, [0])
    with pytest.raises(InputError, match="2 labels for 3"):
        Points(np.ones((3, 2)), ["a", "b"])
    with pytest.raises(InputError, match="finite"):
        Points(np.full((3, 2), np.nan), ["a", "b", "c"])
    grouped = Points(np.ones((3, 2)), list("aab"), list("xyz"))
    with pytest.raises(InputError, match="share 3 groups, such as 'x'"):
        linear_probe(grouped, grouped)
    with pytest.raises(InputError, match="two classes"):
        linear_probe(Points(np.ones((3, 2)), list("aaa")), Points(np.zeros((1, 2)), ["a"]))


# --- linear probe ---------------------------------------------------------------------------------------------------


def test_linear_probe_is_logistic_regression_on_standardised_vectors(rng) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for classes in (2, 5):
        bank, queries = clusters(rng, 200, classes, 4), clusters(rng, 60, classes, 4)
        bank, queries = Points(bank.vectors, bank.labels), Points(queries.vectors, queries.labels)
        answers = linear_probe(bank, queries, costs=[0.1])
        other = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)).fit(bank.vectors, bank.labels)
        assert [answers.classes[a] for a in answers.answers] == other.predict(queries.vectors).tolist()


def test_cost_is_chosen_without_the_queries(rng) -> None:
    bank, queries = clusters(rng, 200, spread=4), clusters(rng, 60, spread=4)
    queries = Points(queries.vectors, queries.labels, np.char.add("q", queries.groups))
    chosen = linear_probe(bank, queries).chosen
    shuffled = Points(queries.vectors, rng.permutation(queries.labels), queries.groups)
    assert linear_probe(bank, shuffled).chosen == chosen


def test_folds_answer_each_point_once_from_other_groups(rng) -> None:
    points = clusters(rng, 150)
    answers = linear_probe_folds(points, folds=4, costs=[1.0])
    assert answers.asked.tolist() == list(range(150))
    assert [answers.classes[t] for t in answers.truth] == points.labels.tolist()
    assert answers.accuracy > 0.9
    seen = []
    for bank, queries in leave_groups_out(points, 4):
        assert not set(points.groups[bank]) & set(points.groups[queries])
        seen.extend(queries)
    assert sorted(seen) == list(range(150))


def test_held_out_keeps_groups_whole_and_classes_in_proportion(rng) -> None:
    points = clusters(rng, 100)
    fit, rest = held_out(points, 0.2, 0)
    assert not set(points.groups[fit]) & set(points.groups[rest])
    assert sorted([*fit, *rest]) == list(range(100))
    plain = Points(points.vectors, ["a"] * 90 + ["b"] * 10)
    _, rest = held_out(plain, 0.2, 0)
    assert np.unique(plain.labels[rest], return_counts=True)[1].tolist() == [18, 2]


# --- retrieval ------------------------------------------------------------------------------------------------------


def test_retrieval_in_blocks_is_retrieval_at_once(rng, monkeypatch) -> None:
    points = clusters(rng, 90, spread=4)
    whole = retrieval_probe(points, points, name="x")
    monkeypatch.setattr("comictool.measure.probes.BLOCK_BYTES", 90 * 4 * 11)
    assert [f.as_record() for f in retrieval_probe(points, points, name="x")] == [f.as_record() for f in whole]


def test_random_ranking_is_what_shuffling_gives(rng) -> None:
    for n, r in ((1, 1), (6, 2), (25, 7), (25, 25)):
        rankings = rng.permuted(np.tile(np.arange(n) < r, (20_000, 1)), axis=1)
        precisions = (rankings.cumsum(axis=1) / np.arange(1, n + 1) * rankings).sum(axis=1) / r
        assert random_precision([n], [r])[0] == pytest.approx(precisions.mean(), abs=0.01)
        for k in (1, 3):
            hits = rankings[:, :k].any(axis=1)
            assert random_rank([n], [r], k)[0] == pytest.approx(hits.mean(), abs=0.01)
        places = np.array([np.flatnonzero(rng.permutation(n) < r) + 1 for _ in range(4000)])
        within = np.where(places <= r, np.arange(1, r + 1) / places, 0).sum(axis=1) / r
        assert random_precision([n], [r], [r])[0] == pytest.approx(within.mean(), abs=0.02)
    assert random_precision([], []).shape == (0,)


# --- chance and metrics ---------------------------------------------------------------------------------------------


def test_chance_levels_are_what_drawing_gives(rng) -> None:
    bank = np.array([0, 0, 0, 1, 2])
    truth, answers = rng.integers(0, 4, 400), rng.choice([-1, 0, 1, 1], 400)
    levels = chance_of(bank, truth, answers, 4)
    guesses = rng.integers(0, 3, (2000, 400))
    assert levels.uniform == pytest.approx((guesses == truth).mean(), abs=0.01)
    assert levels.majority == np.mean(truth == 0)
    shuffled = [np.mean(rng.permutation(truth) == answers) for _ in range(2000)]
    assert levels.permuted == pytest.approx(np.mean(shuffled), abs=0.005)

    def macro(given: np.ndarray) -> float:
        return float(np.mean([np.mean(given[truth == c] == c) for c in np.unique(truth)]))

    assert levels.macro_uniform == pytest.approx(np.mean([macro(g) for g in guesses]), abs=0.01)
    assert levels.macro_majority == macro(np.zeros(400))
    assert levels.macro_permuted == pytest.approx(
        np.mean([macro(rng.permutation(answers)) for _ in range(2000)]), abs=0.005
    )


def test_top_k_stands_beside_the_k_most_frequent_classes(rng) -> None:
    labels = rng.choice(list("abcd"), 400, p=[0.5, 0.3, 0.1, 0.1])
    points = Points(rng.normal(size=(400, 8)), labels, np.arange(400).astype(str))
    (answers,) = knn(points, points, [200]).values()
    metric = next(f for f in answers.metrics("x", top=(2,)) if "top-2" in f.name)
    assert metric.chance == pytest.approx(np.mean(np.isin(labels, ["a", "b"])))
    assert not metric.beats_chance


def test_a_single_group_is_no_certainty() -> None:
    values = np.random.default_rng(0).random(40)
    found = statistic("x", 40, lambda rows: float(values[rows].mean()), 0.5, groups=np.full(40, "one"))
    alone = statistic("x", 40, lambda rows: float(values[rows].mean()), 0.5)
    assert found.high - found.low > 0.05
    assert (found.low, found.high) == (alone.low, alone.high)


def test_shares_of_groups_have_wider_intervals() -> None:
    right = np.repeat(np.arange(10) % 2 == 0, 20)
    groups = np.repeat(np.arange(10), 20).astype(str)
    alone, together = share("x", right, 0.5), share("x", right, 0.5, groups=groups)
    assert alone.value == together.value == 0.5
    assert together.high - together.low > 2 * (alone.high - alone.low)
    perfect = share("x", np.ones(40, bool), 0.5, groups=np.repeat(np.arange(4), 10).astype(str))
    assert perfect.low < 1.0  # a bootstrap of answers that are all right would claim certainty


def test_figures_as_plain_values() -> None:
    empty = share("x", np.empty(0, bool), math.nan)
    assert empty.as_record() == {
        "metric": "x",
        "value": None,
        "low": 0.0,
        "high": 1.0,
        "chance": None,
        "count": 0,
        "beats_chance": False,
        "higher_is_better": True,
    }
    error = Metric("MAE", 0.2, 0.1, 0.3, 0.5, 10, higher_is_better=False)
    assert error.beats_chance
    assert not Metric("MAE", 0.6, 0.5, 0.7, 0.5, 10, higher_is_better=False).beats_chance
    assert as_document([error], {"bank": 3})["metrics"][0]["value"] == 0.2
    drawn = statistic("mean", 50, lambda rows: float(rows.mean()), 0.0)
    assert drawn.low < drawn.value < drawn.high


def test_equal_vectors_score_chance() -> None:
    """4F.25: mAP and rank-k of equal vectors, where classes recur on neighbouring pages."""
    labels, pages = np.arange(120) // 12, np.arange(120) // 4
    points = Points(np.ones((120, 8), np.float32), labels.astype(str), pages.astype(str))
    for metric in retrieval_probe(points, points, name="identity", ranks=(1, 5, 50)):
        assert metric.value == pytest.approx(metric.chance, abs=1e-9), metric.name
        assert metric.low <= metric.chance <= metric.high
    for answers in knn(points, points, (1, 5, 20)).values():
        assert not any(metric.beats_chance for metric in answers.metrics("identity", top=(3,)))
