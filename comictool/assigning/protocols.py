"""Who is asked about among whom: the published protocols of identity within short sequences of panels.

*In-series*: within every set of characters of a series that are known to be different, each instance asks the others;
a figure is the plain mean over the sets. *Inter-series*: of each series the set with most instances; of a character
with two instances or more the first asks and the others are looked for, among those of all series. *Triplets*: an
instance, another of its character, one of a character that is known to be another.

Soykan, Yuret and Sezgin, arXiv 2308.09096, and its code (github.com/gsoykan/comic_char_reid). There queries came out of
sets of strings, whose order changes with every run; here everything goes by the order of the instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from comictool.assigning.cliques import maximal_cliques
from comictool.core.seeds import derive_seed

LEAST = 5  # instances that a set must have to be asked, as published


@dataclass(frozen=True)
class People:
    """N labelled instances in reading order.

    Attributes:
        series: (N,) names of series.
        identity: (N,) who it is, a name within its series.
        together: by series, sets of identities that are known to be different.
    """

    series: np.ndarray
    identity: np.ndarray
    together: Mapping[str, Sequence[Iterable[str]]] = field(default_factory=dict)

    @property
    def label(self) -> np.ndarray:
        """(N,) `series/identity`."""
        pairs = zip(self.series.tolist(), self.identity.tolist(), strict=True)
        return np.array([f"{series}/{identity}" for series, identity in pairs], dtype=str)

    def cliques(self) -> dict[str, list[tuple[str, ...]]]:
        """By series, in order of first instance: the maximal sets of characters known to be different."""
        found = {}
        for series in dict.fromkeys(self.series.tolist()):
            there = set(self.identity[self.series == series].tolist())
            found[series] = maximal_cliques([there.intersection(members) for members in self.together.get(series, ())])
        return found


@dataclass(frozen=True)
class Group:
    """A set of characters that are known to be different, and the rows of their instances."""

    series: str
    characters: tuple[str, ...]
    rows: np.ndarray


def groups_of(people: People, chosen: np.ndarray | None = None) -> list[Group]:
    """One group for each clique; an instance of k cliques stands in k of them.

    Args:
        chosen: (N,) bool, the instances that count; None: all.
    """
    usable = np.ones(len(people.series), bool) if chosen is None else chosen
    found = []
    for series, cliques in people.cliques().items():
        own = usable & (people.series == series)
        found += [Group(series, clique, np.flatnonzero(own & np.isin(people.identity, clique))) for clique in cliques]
    return found


def in_series(groups: Iterable[Group], least: int = LEAST) -> list[Group]:
    """The groups with `least` instances or more."""
    return [group for group in groups if len(group.rows) >= least]


def inter_series(people: People, groups: Iterable[Group]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of queries and of references.

    Of the groups of a series the one with most instances counts, the first of equals. Characters with a single
    instance are references only.
    """
    best: dict[str, Group] = {}
    for group in groups:
        if len(group.rows) > len(best[group.series].rows if group.series in best else ()):
            best[group.series] = group
    queries, references = list[int](), list[int]()
    for group in best.values():
        for identity in group.characters:
            rows = group.rows[people.identity[group.rows] == identity].tolist()
            alone = len(rows) < 2
            queries += [] if alone else rows[:1]
            references += rows if alone else rows[1:]
    return np.array(sorted(queries), np.int64), np.array(sorted(references), np.int64)


def triplets(people: People, groups: Iterable[Group], seed: int = 0) -> np.ndarray:
    """(T, 3) rows anchor, positive, negative: for each instance of each group one of each kind, drawn.

    The draw goes by the seed, the series and the place of the anchor among all instances, so that it does not change
    with other series.
    """
    found = []
    for group in groups:
        names = people.identity[group.rows]
        for place, anchor in enumerate(group.rows.tolist()):
            same = group.rows[(names == names[place]) & (group.rows != anchor)]
            other = group.rows[names != names[place]]
            if len(same) and len(other):
                drawn = np.random.default_rng(
                    derive_seed(seed, "triplet", group.series, *group.characters, place)
                ).integers([len(same), len(other)])
                found.append((anchor, int(same[drawn[0]]), int(other[drawn[1]])))
    return np.array(found, np.int64).reshape(-1, 3)
