"""Clusters: scikit-learn as oracle without links, links kept always."""

from __future__ import annotations

import numpy as np
import pytest

from comictool.core.errors import InputError, UsageError
from comictool.measure.agreement import clustering_agreement
from comictool.reid import clustering
from comictool.reid.clustering import cluster, group_similarities
from tests.reid.test_calibration import characters


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.35, 0.5, 0.65])
def test_without_links_it_is_average_linkage(seed, threshold) -> None:
    from sklearn.cluster import AgglomerativeClustering

    rows, _, _ = characters(seed, 6, 7, spread=1.2)
    alike = (rows @ rows.T).astype(np.float32)
    theirs = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=1 - threshold
    ).fit_predict(1 - alike)
    ours = cluster(rows, threshold=threshold, similarities=alike)
    assert clustering_agreement(theirs.astype(str).tolist(), ours)["ari"] == 1


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_a_threshold_is_a_cosine_of_pictures(threshold) -> None:
    """Groups are means of the cosines that `reid similarity` prints: found again by looking at every pair."""
    rows, _, _ = characters(1, 6, 7, spread=1.2)
    cosines = rows @ rows.T
    groups = cluster(rows, threshold=threshold)
    parts = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    between = [cosines[np.ix_(a, b)].mean() for a in parts for b in parts if a is not b]
    assert max(between) < threshold, "nothing is left that should have been joined"
    assert (groups == cluster(rows, threshold=threshold, similarities=cosines)).all()
    assert len(np.unique(cluster(rows, threshold=1.0))) == len(rows)
    assert len(np.unique(cluster(rows, threshold=-1.0))) == 1


def test_hdbscan_takes_no_threshold() -> None:
    with pytest.raises(UsageError, match="without a threshold"):
        cluster(np.eye(3, dtype=np.float32), method="hdbscan", threshold=0.5)


@pytest.mark.parametrize("seed", range(3))
def test_the_cut_chosen_without_labels_finds_clear_characters(seed) -> None:
    rows, names, _ = characters(seed, 8, 9, spread=0.5)
    found = cluster(rows)
    assert clustering_agreement(names.tolist(), found)["ari"] > 0.95


@pytest.mark.parametrize("method", ["average", "hdbscan"])
def test_forbidden_pairs_are_never_together(method) -> None:
    rng = np.random.default_rng(1)
    rows, _, _ = characters(1, 3, 10, spread=0.3)
    pairs = [tuple(map(int, rng.choice(30, 2, replace=False))) for _ in range(25)]
    found = cluster(rows, method=method, cannot_link=pairs, threshold=None if method == "hdbscan" else 0.0)
    assert all(found[a] != found[b] or found[a] == -1 for a, b in pairs)


@pytest.mark.parametrize("method", ["average", "hdbscan"])
def test_must_links_hold_whatever_the_pictures_say(method) -> None:
    rows, _, _ = characters(2, 3, 6, spread=0.3)
    found = cluster(rows, method=method, must_link=[(0, 7), (7, 14)])
    assert found[0] == found[7] == found[14]


def test_links_that_contradict_each_other_are_an_error() -> None:
    rows, _, _ = characters(3, 2, 3)
    with pytest.raises(InputError, match="must and cannot"):
        cluster(rows, must_link=[(0, 1), (1, 2)], cannot_link=[(0, 2)])
    with pytest.raises(InputError, match="names no picture"):
        cluster(rows, must_link=[(0, 6)])


def test_hdbscan_groups_clear_characters() -> None:
    rows, names, _ = characters(4, 5, 12, spread=0.3)
    assert clustering_agreement(names.tolist(), cluster(rows, method="hdbscan"))["ari"] > 0.9


def test_groups_are_numbered_by_their_first_member_and_repeat() -> None:
    rows, _, _ = characters(5, 4, 5, spread=0.4)
    first = cluster(rows)
    assert first[0] == 0
    seen = list(dict.fromkeys(first.tolist()))
    assert seen == sorted(seen)
    assert (first == cluster(rows)).all()


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("method", ["average", "hdbscan"])
def test_few_pictures(count, method) -> None:
    rows, _, _ = characters(6, 2, 1)
    assert len(cluster(rows[:count], method=method)) == count


def test_everything_forbidden_leaves_everyone_alone() -> None:
    rows, _, _ = characters(7, 2, 3)
    pairs = [(a, b) for a in range(6) for b in range(a)]
    assert cluster(rows, cannot_link=pairs).tolist() == list(range(6))


def test_the_cut_of_a_large_set_is_that_of_a_small_one(monkeypatch) -> None:
    rows, _, _ = characters(9, 6, 10, spread=0.5)
    whole = cluster(rows)
    monkeypatch.setattr(clustering, "MOST_GROUPS", 15)
    assert (cluster(rows) == whole).all()


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UsageError, match="no clustering method"):
        cluster(np.eye(3, dtype=np.float32), method="kmeans")


def test_similarities_of_groups_lie_between_0_and_1() -> None:
    alike = group_similarities(characters(8, 3, 5)[0])
    assert alike.min() >= -1e-6
    assert alike.max() <= 1 + 1e-6
