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
    """`ari`, `ami`, `nmi` of clusters with the truth; noise (-1) counts as clusters of one."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score

    found = np.asarray(clusters, np.int64).copy()
    noise = np.flatnonzero(found < 0)
    found[noise] = found.max(initial=-1) + 1 + np.arange(len(noise))
    return {
        "ari": float(adjusted_rand_score(truth, found)),
        "ami": float(adjusted_mutual_info_score(truth, found)),
        "nmi": float(normalized_mutual_info_score(truth, found)),
    }
