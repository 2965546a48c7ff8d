"""Who is who among the instances of a book: clusters, with or without what is known of them.

*average* is the published baseline: average linkage of Euclidean distances of unit vectors, cut at a distance.
*constrained* joins by mean evidence (`evidence`), and nothing that is known is broken: two instances of one panel are
two people; a face and a body of one instance are one, for they are one row; what somebody has named alike is one
person, what somebody has named differently is two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from comictool.assigning.evidence import Calibration, distances, evidence
from comictool.assigning.instances import Instance, Vectors
from comictool.core.jobs import Problem
from comictool.reid.clustering import cluster, group_similarities

METHODS = ("constrained", "average")
NEVER = -1e6  # as evidence: no mean with one of these reaches a cut
Pair = tuple[int, int]


@dataclass(frozen=True)
class Known:
    """What is known before anything is compared: pairs of positions, and what of it contradicts itself."""

    cannot: list[Pair] = field(default_factory=list)
    must: list[Pair] = field(default_factory=list)
    conflicts: list[Problem] = field(default_factory=list)


def known_of(instances: Sequence[Instance], names: Sequence[str | None]) -> Known:
    """Links from panels and from names that somebody gave.

    A name that stands twice in one panel (a mirror, a mistake) counts for the first of them; the other is reported and
    taken for unnamed, for it cannot be told which of the two is wrong.

    Args:
        names: of each instance, None for those that nobody has named.
    """
    panels: dict[str, list[int]] = defaultdict(list)
    for place, instance in enumerate(instances):
        panels[instance.panel_id].append(place)
    cannot = {pair for places in panels.values() for pair in combinations(places, 2)}
    by_name: dict[str, list[int]] = defaultdict(list)
    conflicts = []
    for places in panels.values():
        first: dict[str, int] = {}
        for place in places:
            name = names[place]
            if name is None:
                continue
            if name in first:
                other = instances[first[name]].id
                conflicts.append(Problem(instances[place].id, f"named {name!r} as {other} of its panel is"))
                continue
            first[name] = place
            by_name[name].append(place)
    must = [(places[0], place) for places in by_name.values() for place in places[1:]]
    cannot |= {(min(a[0], b[0]), max(a[0], b[0])) for a, b in combinations(by_name.values(), 2)}
    return Known(sorted(cannot), sorted(must), conflicts)


def average(vectors: Vectors, distance: float) -> np.ndarray:
    """(N,) groups by the published baseline, -1 for instances without any vector.

    Args:
        distance: largest mean distance of two groups that are joined, 0..2.
    """
    fused, there = vectors.fused()
    found = np.full(len(there), -1, np.int64)
    rows = fused[there]
    found[there] = cluster(rows, threshold=-distance, similarities=-distances(rows))
    return found


def constrained(vectors: Vectors, known: Known, calibration: Calibration | None) -> np.ndarray:
    """(N,) groups under what is known; -1 for instances without any vector, unless a name joins them to others.

    Args:
        calibration: what distances mean; None: likeness is centred and shared by neighbours, and the cut is chosen
            without labels (`comictool.reid.clustering`), which knows less.
    """
    fused, there = vectors.fused()
    threshold = None
    if calibration is None:
        alike = np.zeros((len(there), len(there)), np.float32)
        if there.any():
            alike[np.ix_(there, there)] = group_similarities(fused[there])
    else:
        alike, threshold = evidence(vectors, calibration.lines), calibration.cut
        # What has no vector says nothing, 0, of anybody: it must not join where the cut lies below 0.
        alike[~there], alike[:, ~there] = NEVER, NEVER
    found = cluster(fused, threshold=threshold, similarities=alike, cannot_link=known.cannot, must_link=known.must)
    found[~there & (np.bincount(found, minlength=1)[found] == 1 if len(found) else there)] = -1
    return found


def broken_panels(instances: Sequence[Instance], groups: np.ndarray) -> list[Problem]:
    """Instances whose group another instance of their panel has: never after `constrained`, often after `average`."""
    seen: dict[tuple[str, int], Instance] = {}
    problems = []
    for instance, group in zip(instances, groups.tolist(), strict=True):
        if group < 0:
            continue
        first = seen.setdefault((instance.panel_id, group), instance)
        if first is not instance:
            problems.append(Problem(instance.id, f"has one identity with {first.id} of its panel"))
    return problems


def best_cut(
    comics: Sequence[tuple[np.ndarray, Known, np.ndarray]], *, linked: bool, steps: int = 40
) -> tuple[float, float]:
    """The cut with the best mean AMI over labelled comics, and that AMI.

    Args:
        comics: of each (N, N) likeness, what is known of it, and (N,) identities, "" for unknown.
        linked: whether links hold.
    """
    from comictool.measure.agreement import clustering_agreement

    values = np.concatenate([alike[np.triu_indices(len(alike), 1)] for alike, _, _ in comics])
    cuts = np.unique(np.quantile(values, np.linspace(0.02, 0.995, steps)))
    reached = []
    for cut in cuts.tolist():
        scores = []
        for alike, known, names in comics:
            labelled = names != ""
            cannot = known.cannot if linked else ()
            groups = cluster(np.zeros((len(alike), 1)), threshold=cut, similarities=alike, cannot_link=cannot)
            scores.append(clustering_agreement(names[labelled].tolist(), groups[labelled])["ami"])
        reached.append(float(np.mean(scores)))
    best = np.flatnonzero(np.array(reached) >= max(reached) - 1e-9)
    return float(cuts[best[len(best) // 2]]), max(
        reached
    )  # of equals the middle one, which is farthest from worse ones
