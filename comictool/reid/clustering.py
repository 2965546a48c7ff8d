"""Groups of pictures of one character, without references."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.reid.reranking import MOST_RERANKED, centred, k_reciprocal
from comictool.reid.scoring import similarity

METHODS = ("average", "hdbscan")
# On two test series, cut without labels: ARI .56 and .30 with 20 and 6 on centred vectors (the values of the re-ranking
# paper), .57 and .19 with centred cosines, .01 and .00 with plain ones, where one odd picture is the best first cut.
NEAR, EXPAND = 20, 6
LEAST_DENSE = (
    3  # pictures that make a dense group; with 2, chance pairs break characters up (ARI .42 and .14, not .48 and .29)
)
MOST_CLUSTERED = 10_000  # every pair is held, twice: 0.8 GB in float32 at this size
MOST_GROUPS = (
    2_000  # cuts that leave more groups are not considered: sums of N x groups would pass the pairs themselves
)
Pair = tuple[int, int]


def cluster(
    vectors: np.ndarray,
    *,
    method: str = "average",
    threshold: float | None = None,
    groups: int | None = None,
    cannot_link: Sequence[Pair] = (),
    must_link: Sequence[Pair] = (),
    similarities: np.ndarray | None = None,
) -> np.ndarray:
    """Group vectors.

    Args:
        vectors: (N, D) unit rows.
        method: `average` linkage, or `hdbscan`, which leaves what is dense nowhere as noise.
        threshold: least mean similarity of two groups that are joined: a cosine, -1..1, unless `similarities` are
            given. None chooses it without labels (see `choose_cut`). Average linkage only.
        groups: how many there shall be; joining stops there. Links that forbid to join so many leave more. Average
            linkage only.
        cannot_link: pairs that are never in one group, such as two figures of one panel; never broken by `average`.
            `hdbscan` splits groups that break them.
        must_link: pairs that always are.
        similarities: (N, N); None takes plain cosines with a threshold, which people know from pairs of pictures, and
            `group_similarities` without one. Cut where it is best (labels known), cosines give ARI .56 and .29 on two
            test series, at .67 and .71; `group_similarities` .58 and .35, at .41 and .53.

    Returns:
        (N,) group numbers, from 0 by first member; -1 is noise.

    Raises:
        InputError: links that contradict each other or name no picture.
        UsageError: an unknown method, a threshold for one that has none, too many vectors.
    """
    number = len(vectors)
    if method not in METHODS:
        raise UsageError(f"there is no clustering method {method!r}", near=METHODS)
    if method != "average" and (threshold is not None or groups is not None):
        raise UsageError(f"{method} finds its groups without a threshold or number", hint="--method average")
    if groups is not None and threshold is not None:
        raise UsageError("a threshold and a number of groups both say where to stop", hint="give one of the two")
    if number > MOST_CLUSTERED:
        raise UsageError(
            f"{number} pictures are too many to cluster at once",
            cause=f"every pair is compared; the limit is {MOST_CLUSTERED}",
            hint="cluster in parts, enrol the groups, and classify the rest",
        )
    if number == 0:
        return np.zeros(0, np.int64)
    if similarities is None:
        similarities = group_similarities(vectors) if threshold is None else similarity(vectors, vectors)
    alike = similarities.astype(np.float32)
    linked, forbidden = _links(number, cannot_link, must_link)
    if method == "hdbscan":
        return _numbered(_hdbscan(alike, linked, forbidden))
    merges, levels = _average_linkage(alike, linked, forbidden)
    if groups is not None:
        joins = max(0, len(forbidden) - groups)
        return _numbered(_cut(linked, merges[:joins], levels[:joins], -np.inf))
    least = choose_cut(levels, merges, linked, alike) if threshold is None else threshold
    return _numbered(_cut(linked, merges, levels, least))


def group_similarities(vectors: np.ndarray) -> np.ndarray:
    """(N, N) float32, 0..1: centred vectors, re-ranked by shared neighbours; centred cosines for very large sets.

    Centring is right here and wrong for open sets: every picture has its part in the mean.
    """
    moved = centred(vectors, vectors)
    if len(vectors) > MOST_RERANKED:
        return similarity(moved, moved)
    # A circle of a quarter of the set at most: in a small set the paper's twenty would take in everybody.
    near = max(2, min(NEAR, len(vectors) // 4))
    return k_reciprocal(moved, near=near, expand=max(1, round(near * EXPAND / NEAR))) + 1


def choose_cut(levels: np.ndarray, merges: np.ndarray, groups: np.ndarray, alike: np.ndarray) -> float:
    """The similarity to stop joining at, from the pictures alone: the cut with the best mean silhouette.

    Silhouette (Rousseeuw 1987) in similarities: how much more alike a picture is to its own group than to the nearest
    other one. Groups of one count as 0, so neither all-apart nor all-together wins.
    """
    best, chosen = -np.inf, (float(levels[0]) if len(levels) else 1.0)
    first = max(0, int(groups.max()) + 1 - MOST_GROUPS)
    names, current = np.unique(_cut(groups, merges[:first], levels[:first], -np.inf), return_inverse=True)
    merges, levels = np.searchsorted(names, merges[first:]), levels[first:]
    counts = np.bincount(current).astype(np.float64)
    sums = np.zeros((len(alike), len(counts)), np.float64)
    for group in range(len(counts)):
        sums[:, group] = alike[:, current == group].sum(axis=1)
    own_pair = np.diagonal(alike).astype(np.float64)
    # Cuts far apart are enough for large sets, where each costs N x groups.
    step = max(1, len(levels) // 200)
    for index, ((kept, gone), level) in enumerate(zip(merges, levels, strict=True)):
        sums[:, kept] += sums[:, gone]
        counts[kept] += counts[gone]
        counts[gone] = 0
        current[current == gone] = kept
        active = np.flatnonzero(counts)
        skipped = index % step and index + 1 < len(levels)
        if skipped or len(active) < 2:
            continue
        value = _silhouette(sums[:, active], counts[active], np.searchsorted(active, current), own_pair)
        if value > best:
            best, chosen = value, float(level)
    return chosen


def _silhouette(sums: np.ndarray, counts: np.ndarray, own: np.ndarray, own_pair: np.ndarray) -> float:
    rows = np.arange(len(own))
    size = counts[own]
    inside = 1 - (sums[rows, own] - own_pair) / np.maximum(size - 1, 1)
    means = 1 - sums / counts
    means[rows, own] = np.inf
    outside = means.min(axis=1)
    value = (outside - inside) / np.maximum(np.maximum(outside, inside), 1e-12)
    return float(np.where(size > 1, value, 0).mean())


def _links(number: int, cannot: Sequence[Pair], must: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) groups that must-links make, and (G, G) bool of groups that may not join."""
    for first, second in (*cannot, *must):
        if not (0 <= first < number and 0 <= second < number):
            raise InputError(f"the link {first} - {second} names no picture; there are {number}, from 0")
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.array(must, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(number, number))
    groups = connected_components(graph, directed=False)[1].astype(np.int64)
    forbidden = np.zeros((groups.max() + 1,) * 2, bool)
    for first, second in cannot:
        if groups[first] == groups[second]:
            raise InputError(
                f"pictures {first} and {second} must and cannot be one character",
                cause="the links contradict each other, perhaps through other pictures",
            )
        forbidden[groups[first], groups[second]] = forbidden[groups[second], groups[first]] = True
    return groups, forbidden


def _average_linkage(alike: np.ndarray, groups: np.ndarray, forbidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join the most alike groups until none may be joined: (M, 2) kept and gone groups, (M,) mean similarities.

    The Lance-Williams mean of minus infinity and anything is minus infinity, so a forbidden pair stays forbidden
    through every join. Each row's best partner is remembered; a join refreshes only rows that pointed at it.
    """
    count = len(forbidden)
    size = np.bincount(groups).astype(np.float64)
    if count == len(alike):
        table = alike.astype(np.float32, copy=True)
    else:
        member = np.zeros((count, len(alike)), np.float32)
        member[groups, np.arange(len(alike))] = 1
        table = ((member @ alike @ member.T) / np.outer(size, size)).astype(np.float32)
    table[forbidden] = -np.inf
    np.fill_diagonal(table, -np.inf)
    partner, best = table.argmax(axis=1), table.max(axis=1)
    merges, levels = [], []
    for _ in range(count - 1):
        first = int(best.argmax())
        if not np.isfinite(best[first]):
            break
        kept, gone = sorted((first, int(partner[first])))
        merges.append((kept, gone))
        levels.append(float(best[first]))
        row = (size[kept] * table[kept] + size[gone] * table[gone]) / (size[kept] + size[gone])
        row[[kept, gone]] = -np.inf
        size[kept] += size[gone]
        table[kept], table[:, kept] = row, row
        table[gone], table[:, gone] = -np.inf, -np.inf
        stale = np.flatnonzero(np.isin(partner, (kept, gone)) & np.isfinite(best))
        for place in {*stale.tolist(), kept, gone}:
            partner[place], best[place] = table[place].argmax(), table[place].max()
        # The mean of two is at most the larger, which was no better than a row's remembered best: nothing else moves.
    return np.array(merges, np.int64).reshape(-1, 2), np.array(levels)


def _cut(groups: np.ndarray, merges: np.ndarray, levels: np.ndarray, least: float) -> np.ndarray:
    current = groups.copy()
    for (kept, gone), level in zip(merges, levels, strict=True):
        if level < least:
            break
        current[current == gone] = kept
    return current


def _hdbscan(alike: np.ndarray, groups: np.ndarray, forbidden: np.ndarray) -> np.ndarray:
    """HDBSCAN (Campello and others, 2013) on distances; must-linked are pulled together, forbidden ones split."""
    from sklearn.cluster import HDBSCAN

    distance = np.maximum(1 - alike.astype(np.float64), 0)
    distance = (distance + distance.T) / 2
    distance[groups[:, None] == groups[None, :]] = 0
    far = float(distance.max()) * 4 + 1
    distance[forbidden[groups][:, groups]] = far
    if len(distance) < LEAST_DENSE:
        return groups
    found = HDBSCAN(metric="precomputed", min_cluster_size=LEAST_DENSE, copy=True).fit(distance)
    labels: np.ndarray = found.labels_.astype(np.int64)
    # Density reachability goes around a forbidden pair: members that clash with an earlier one start a new group.
    following = labels.max(initial=-1) + 1
    for label in range(following):
        parts: list[list[int]] = []
        for member in np.flatnonzero(labels == label):
            fits = [part for part in parts if not forbidden[groups[member], groups[part]].any()]
            if not fits:
                fits = [[]]
                parts.append(fits[0])
            fits[0].append(int(member))
        for part in parts[1:]:
            labels[part] = following
            following += 1
    for group in np.flatnonzero(np.bincount(groups) > 1):
        members = np.flatnonzero(groups == group)
        if len(set(labels[members])) > 1 or labels[members[0]] < 0:
            labels[members] = following
            following += 1
    return labels


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Groups numbered from 0 in order of their first member; noise stays -1."""
    names = {label: place for place, label in enumerate(dict.fromkeys(labels[labels >= 0].tolist()))}
    return np.array([names.get(label, -1) for label in labels.tolist()], np.int64)
