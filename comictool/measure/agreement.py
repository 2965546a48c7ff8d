"""How far answers agree with the truth: confusion, and clusters against names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def confusion(truth: Sequence[str], answers: Sequence[str | None]) -> tuple[list[str], np.ndarray]:
    """Names in order (those answered too, and last "" for no name) and counts, rows truth, columns answers."""
    given = ["" if answer is None else answer for answer in answers]
    names = sorted((set(truth) | set(given)) - {""})
    names.append("")
    place = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, ([place[name] for name in truth], [place[name] for name in given]), 1)
    return names, counts


def clustering_agreement(truth: Sequence[str], clusters: np.ndarray) -> dict[str, float]:
    """`ari`, `ami`, `nmi`, `bcubed` and `pairwise` (both F1) of clusters with the truth; noise (-1) counts as clusters
    of one.
    """
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score

    found = np.asarray(clusters, np.int64).copy()
    noise = np.flatnonzero(found < 0)
    found[noise] = found.max(initial=-1) + 1 + np.arange(len(noise))
    return {
        "ari": float(adjusted_rand_score(truth, found)),
        "ami": float(adjusted_mutual_info_score(truth, found)),
        "nmi": float(normalized_mutual_info_score(truth, found)),
        "bcubed": bcubed(truth, found)[2],
        "pairwise": pairwise(truth, found)[2],
    }


def bcubed(truth: Sequence[str] | np.ndarray, clusters: np.ndarray) -> tuple[float, float, float]:
    """B-cubed precision, recall and F1 (Bagga and Baldwin, 1998); nan for nothing.

    Of each item: the share of its cluster (of its character) that is of its character (in its cluster), itself
    included; then the means over items.
    """
    counts = _contingency(truth, clusters)
    total = counts.sum()
    if not total:
        return (float("nan"),) * 3
    squares = counts.astype(np.float64) ** 2
    precision = float((squares / np.maximum(counts.sum(axis=0), 1)).sum() / total)
    recall = float((squares / np.maximum(counts.sum(axis=1, keepdims=True), 1)).sum() / total)
    return precision, recall, 2 * precision * recall / (precision + recall)


def pairwise(truth: Sequence[str] | np.ndarray, clusters: np.ndarray) -> tuple[float, float, float]:
    """Precision, recall and F1 of "these two are one character" over all pairs.

    With no pair joined (none to join) precision (recall) is 1: nothing said is wrong, nothing to find is missed.
    """
    counts = _contingency(truth, clusters).astype(np.float64)
    right, joined, same = (float((n * (n - 1)).sum()) for n in (counts, counts.sum(axis=0), counts.sum(axis=1)))
    precision, recall = right / joined if joined else 1.0, right / same if same else 1.0
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0


def _contingency(truth: Sequence[str] | np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """(C, K) int64: items of each character in each cluster."""
    names, of = np.unique(np.asarray(truth, dtype=str), return_inverse=True)
    numbers, into = np.unique(np.asarray(clusters), return_inverse=True)
    counts = np.zeros((len(names), len(numbers)), np.int64)
    np.add.at(counts, (of, into), 1)
    return counts
