"""The figures of the published protocols, each with its chance level and a bootstrap interval over series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comictool.assigning.protocols import Group, People, groups_of, in_series, inter_series, triplets
from comictool.measure.chance import random_precision, random_reciprocal
from comictool.measure.metrics import Metric, statistic
from comictool.measure.retrieval import Retrieval, macro, retrieval
from comictool.measure.verification import auroc

SHORT = {
    "precision_at_1": "P@1",
    "r_precision": "R-precision",
    "mean_reciprocal_rank": "MRR",
    "mean_average_precision": "MAP",
    "mean_average_precision_at_r": "MAP@R",
}
SHUFFLES = 5  # of names in each group, for the chance level of NMI
STARTS = 10  # of k-means; the best counts, as is usual


@dataclass(frozen=True)
class Row:
    """What is measured: vectors of some instances, and which of them ask.

    Attributes:
        name: stands before each figure.
        vectors: (N, D) unit rows of all instances; rows of others than `chosen` are not looked at.
        chosen: (N,) bool, the instances that take part.
        asking: (N,) bool, of them those that ask; None: all.
    """

    name: str
    vectors: np.ndarray
    chosen: np.ndarray
    asking: np.ndarray | None = None

    def alike(self, queries: np.ndarray, references: np.ndarray) -> np.ndarray:
        """(Q, R) cosines."""
        return self.vectors[queries] @ self.vectors[references].T

    def asked(self, rows: np.ndarray) -> np.ndarray:
        """Those of some rows that ask."""
        return rows if self.asking is None else rows[self.asking[rows]]


def in_series_figures(row: Row, people: People, groups: Sequence[Group], seed: int = 0) -> list[Metric]:
    """Leave-one-out within each group: macro over characters as published, then the plain mean over groups.

    AMI and NMI are those of k-means that is told the true number of characters, as published; they flatter. They are
    of all instances, so that rows of which only some ask have none.
    """
    values: dict[str, list[float]] = {key: [] for key in SHORT}
    chances: dict[str, list[float]] = {key: [] for key in SHORT}
    clusters: dict[str, list[tuple[float, float]]] = {"ami": [], "nmi": []}
    series, of_clusters = list[str](), list[str]()
    for group in in_series(groups):
        asked = row.asked(group.rows)
        itself = asked[:, None] == group.rows[None, :]
        names = people.identity
        found = retrieval(row.alike(asked, group.rows), names[asked], names[group.rows], itself)
        if len(found.answered):
            series.append(group.series)
            guesses = by_chance(found, names[group.rows], len(group.rows) - 1, itself_among=True)
            for key, each in found.by_query().items():
                values[key].append(macro(each, found.labels))
                chances[key].append(macro(guesses[key], found.labels))
        if row.asking is None:
            of_clusters.append(group.series)
            for key, pair in _cluster_agreement(row.vectors[group.rows], names[group.rows], seed).items():
                clusters[key].append(pair)
    title = f"{row.name}, in-series"
    metrics = [
        _mean_over_groups(f"{title} {SHORT[key]}", np.array(values[key]), np.array(chances[key]), series)
        for key in SHORT
    ]
    for key, pairs in clusters.items():
        both = np.array(pairs, np.float64).reshape(-1, 2)
        if len(both):
            metrics.append(_mean_over_groups(f"{title} {key.upper()}, k known", both[:, 0], both[:, 1], of_clusters))
    return metrics


def inter_series_figures(row: Row, people: People, groups: Sequence[Group]) -> list[Metric]:
    """One query of each character among the references of all series."""
    queries, references = inter_series(people, groups)
    asked, label = row.asked(queries), people.label
    found = retrieval(row.alike(asked, references), label[asked], label[references])
    guesses = by_chance(found, label[references], len(references))
    series = people.series[asked][found.answered]
    facts = {"references": len(references)}
    return [
        statistic(
            f"{row.name}, inter-series {SHORT[key]}",
            len(each),
            lambda chosen, each=each: float(each[chosen].mean()),  # type: ignore[misc]
            _mean(guesses[key]),
            groups=series,
            details=facts,
        )
        for key, each in found.by_query().items()
    ]


def triplet_figures(row: Row, people: People, three: np.ndarray) -> list[Metric]:
    """AUROC of all pairs of the triplets, and the share whose positive is nearer than the negative (ties half).

    Args:
        three: (T, 3) rows anchor, positive, negative.
    """
    three = three[row.asking[three[:, 0]]] if row.asking is not None else three
    if not len(three):
        return []
    anchor, positive, negative = row.vectors[three.T]
    near, far = np.einsum("ij,ij->i", anchor, positive), np.einsum("ij,ij->i", anchor, negative)
    right = (near > far) + 0.5 * (near == far)

    def area(chosen: np.ndarray) -> float:
        same = np.arange(2 * len(chosen)) < len(chosen)
        return auroc(np.concatenate([near[chosen], far[chosen]]), same)

    series = people.series[three[:, 0]]
    return [
        statistic(f"{row.name}, triplets AUROC", len(three), area, 0.5, groups=series),
        statistic(f"{row.name}, triplets right", len(three), lambda c: float(right[c].mean()), 0.5, groups=series),
    ]


def protocol_figures(
    row: Row, people: People, *, seed: int = 0, three: np.ndarray | None = None
) -> tuple[list[Metric], dict[str, int]]:
    """All figures of one row, and how much they are of.

    Args:
        three: (T, 3) given triplets; None: drawn from the groups.
    """
    groups = groups_of(people, row.chosen)
    three = triplets(people, groups, seed) if three is None else three[row.chosen[three].all(axis=1)]
    queries, references = inter_series(people, groups)
    counts = {
        "instances": int(row.chosen.sum()),
        "groups": len(in_series(groups)),
        "queries": len(row.asked(queries)),
        "references": len(references),
        "triplets": len(three),
    }
    metrics = in_series_figures(row, people, groups, seed)
    return metrics + inter_series_figures(row, people, groups) + triplet_figures(row, people, three), counts


def by_chance(
    found: Retrieval, references: np.ndarray, candidates: int, *, itself_among: bool = False
) -> dict[str, np.ndarray]:
    """(A,) what a random ranking gets of each answered query, by the names of `Retrieval.by_query`.

    Args:
        references: (R,) labels of the references.
        candidates: how many each query has.
        itself_among: each query is one of the references, and no candidate for itself.
    """
    names, counts = np.unique(references, return_counts=True)
    right = counts[np.searchsorted(names, found.labels)] - itself_among if len(found.labels) else np.zeros(0, np.int64)
    n = np.full(len(right), candidates)
    return {
        "precision_at_1": right / np.maximum(n, 1),
        "r_precision": right / np.maximum(n, 1),
        "mean_reciprocal_rank": random_reciprocal(n, right),
        "mean_average_precision": random_precision(n, right),
        "mean_average_precision_at_r": random_precision(n, right, right),
    }


def _cluster_agreement(vectors: np.ndarray, names: np.ndarray, seed: int) -> dict[str, tuple[float, float]]:
    """AMI and NMI of k-means; chance is 0 for the one by definition, for the other the mean with shuffled names."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

    _, truth = np.unique(names, return_inverse=True)
    found = KMeans(truth.max() + 1, n_init=STARTS, random_state=seed).fit_predict(vectors)
    rng = np.random.default_rng(seed)
    guesses = [normalized_mutual_info_score(rng.permutation(truth), found) for _ in range(SHUFFLES)]
    return {
        "ami": (float(adjusted_mutual_info_score(truth, found)), 0.0),
        "nmi": (float(normalized_mutual_info_score(truth, found)), float(np.mean(guesses))),
    }


def _mean_over_groups(name: str, values: np.ndarray, chances: np.ndarray, series: Sequence[str]) -> Metric:
    return statistic(
        name,
        len(values),
        lambda chosen: float(values[chosen].mean()),
        _mean(chances),
        groups=np.array(series, dtype=str),
        details={"series": len(set(series))},
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
