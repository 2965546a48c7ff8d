"""Scores against explicit loops, ties, exclusions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from comictool.core.errors import UsageError
from comictool.reid import scoring
from comictool.reid.scoring import Scorer, parse_mode, same_group, score_characters, similarity

LABELS = ["saffron", "pepper", "carrot", "pepper", "saffron", "pepper", "carrot", "pepper"]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def by_loops(query, references, labels, mode, left, metric):
    """One query against one list of references, in words of the definition."""

    def score(one, other):
        cosine = math.fsum(float(a) * float(b) for a, b in zip(one, other, strict=True))
        return cosine if metric == "cosine" else -math.dist([float(a) for a in one], [float(b) for b in other])

    answers = {}
    for name in sorted(set(labels)):
        own = [i for i in range(len(labels)) if labels[i] == name and left[i]]
        single = sorted((score(query, references[i]) for i in own), reverse=True)
        if not own:
            answers[name] = -math.inf
        elif mode == "max":
            answers[name] = single[0]
        elif mode == "avg":
            answers[name] = sum(single) / len(single)
        elif mode == "knn:2":
            answers[name] = sum(single[:2]) / len(single[:2])
        else:
            mean = np.sum([references[i] for i in own], axis=0, dtype=np.float64)
            answers[name] = score(query, mean / np.linalg.norm(mean))
    return answers


@pytest.mark.parametrize("metric", ["cosine", "legacy"])
@pytest.mark.parametrize("mode", ["max", "avg", "knn:2", "centroid"])
@pytest.mark.parametrize("block", [1, 4_000_000])
def test_every_mode_is_what_its_definition_says(rng, monkeypatch, metric, mode, block) -> None:
    monkeypatch.setattr(scoring, "BLOCK_NUMBERS", block)  # one query at a time, or all at once
    queries, references = unit(rng.normal(size=(7, 9))), unit(rng.normal(size=(8, 9)))
    excluded = rng.random((7, 8)) < 0.4
    excluded[0, [2, 6]] = True  # nothing is left of carrot
    found = score_characters(queries, references, LABELS, mode, excluded=excluded, metric=metric)
    assert found.characters == ("carrot", "pepper", "saffron")
    for row in range(7):
        expected = by_loops(queries[row], references, LABELS, mode, ~excluded[row], metric)
        assert found.scores[row] == pytest.approx(list(expected.values()), abs=2e-6)
    assert found.scores[0, 0] == -np.inf
    assert found.deciding[0, 0] == -1


def test_the_deciding_reference_is_the_nearest_of_its_character(rng) -> None:
    queries, references = unit(rng.normal(size=(5, 6))), unit(rng.normal(size=(8, 6)))
    for mode in ("max", "avg", "knn:3", "centroid"):
        found = score_characters(queries, references, LABELS, mode)
        for row, column in np.ndindex(5, 3):
            own = [i for i, name in enumerate(LABELS) if name == found.characters[column]]
            assert found.deciding[row, column] == max(own, key=lambda i: float(queries[row] @ references[i]))


def test_ties_go_to_the_first_name_and_the_first_reference() -> None:
    same = unit(np.random.default_rng(0).normal(size=(1, 713)))
    references = np.repeat(same, 41, axis=0)  # 41: BLAS computes the edge with another kernel
    labels = ["b"] * 20 + ["a"] * 21
    found = score_characters(same, references, labels)
    assert found.characters[found.order()[0, 0]] == "a"
    assert found.deciding[0].tolist() == [20, 0]
    assert found.scores[0, 0] == found.scores[0, 1]


def test_legacy_is_minus_the_distance_and_exact_near_zero() -> None:
    one = unit(np.array([[1.0, 1.0, 0.0]]))
    near = unit(np.array([[1.0, 1.0001, 0.0]]))
    found = score_characters(one, np.concatenate([one, near, -one]), ["same", "near", "other"], metric="legacy")
    by_name = dict(zip(found.characters, found.scores[0].tolist(), strict=True))
    assert by_name["same"] == 0
    assert by_name["other"] == pytest.approx(-2, abs=1e-6)
    assert by_name["near"] == pytest.approx(-math.dist(one[0].tolist(), near[0].tolist()), abs=1e-6)


def test_the_older_avg_is_the_mean_of_scores_and_not_the_score_of_the_mean(rng) -> None:
    query, references = unit(rng.normal(size=(1, 5))), unit(rng.normal(size=(3, 5)))
    avg = score_characters(query, references, ["x"] * 3, "Avg", metric="legacy").scores[0, 0]
    centroid = score_characters(query, references, ["x"] * 3, "centroid", metric="legacy").scores[0, 0]
    assert avg == pytest.approx(-np.linalg.norm(references - query, axis=1).mean(), abs=1e-5)
    assert abs(avg - centroid) > 1e-3


def test_batches_give_the_bits_of_one_call(rng) -> None:
    queries, references = unit(rng.normal(size=(9, 32))), unit(rng.normal(size=(8, 32)))
    pages = [str(i % 3) for i in range(9)]
    scorer = Scorer(references, LABELS, "knn:2")
    whole = scorer(queries, excluded=same_group(pages, pages[:8]))
    parts = [scorer(queries[i : i + 1], excluded=same_group(pages[i : i + 1], pages[:8])).scores for i in range(9)]
    assert np.abs(np.concatenate(parts) - whole.scores).max() <= 1e-6


def test_groups_exclude_and_the_empty_group_does_not() -> None:
    rows = same_group(["p1", ""], ["p1", "", "p2"])
    assert rows(0, 2).tolist() == [[True, False, False], [False, False, False]]


@pytest.mark.parametrize("text", ["Any", "MAX", "max"])
def test_the_older_spelling_of_modes(text) -> None:
    assert parse_mode(text).name == "max"


@pytest.mark.parametrize("text", ["", "best", "knn", "knn:0", "knn:x", "max:3", "knn:-1", "knn:²"])
def test_a_wrong_mode_is_a_clear_error(text) -> None:
    with pytest.raises(UsageError, match="no scoring mode"):
        parse_mode(text)


def test_what_does_not_fit_is_refused(rng) -> None:
    rows = unit(rng.normal(size=(2, 4)))
    for queries, references, labels in ((rows, rows[:0], []), (rows, rows, ["a"]), (rows[:, :3], rows, ["a", "b"])):
        with pytest.raises(UsageError):
            score_characters(queries, references, labels)
    with pytest.raises(UsageError, match="no score"):
        score_characters(rows, rows, ["a", "b"], metric="euclid")


def test_no_queries_give_no_scores(rng) -> None:
    found = score_characters(np.zeros((0, 4), np.float32), unit(rng.normal(size=(2, 4))), ["a", "b"])
    assert found.scores.shape == (0, 2)
    assert found.order().shape == (0, 2)


def test_a_cosine_is_never_above_one() -> None:
    """Lengths are 1 only to the digits of float32, and people compare what is printed."""
    rows = np.full((3, 16), 0.2500002, np.float32)
    assert similarity(rows, rows).max() == 1
    assert similarity(rows, -rows).min() == -1
