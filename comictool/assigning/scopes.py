"""Identities of one comic: solved within each scope, then named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from comictool.assigning.cliques import runs_of
from comictool.assigning.instances import KINDS, Instance, Vectors
from comictool.assigning.naming import ALONE, distances_to, name_groups
from comictool.assigning.solving import average, broken_panels, constrained, known_of
from comictool.assigning.streaming import IdentityStream
from comictool.core.errors import InputError
from comictool.core.jobs import Problem

if TYPE_CHECKING:
    from comictool.assigning.job import AssignOptions

SCOPES = ("comic", "page", "sequence")
SEQUENCE = 4  # panels, as in the published annotations
PREFIX = "somebody "  # of identities that nobody has a name for
PUBLISHED = 0.82  # distance of the published baseline


@dataclass(frozen=True)
class Gallery:
    """References that give names: (R, D) unit rows, (R,) labels, the encoder, and a digest for ledgers."""

    rows: np.ndarray
    labels: np.ndarray
    encoder_id: str
    digest: str = ""

    @property
    def names(self) -> list[str]:
        """Its characters in order."""
        return sorted(set(self.labels.tolist()))

    def check(self, encoder_id: str) -> None:
        """Refuse another encoder.

        Raises:
            InputError: the gallery was enrolled with another one.
        """
        if self.encoder_id != encoder_id:
            raise InputError(
                f"the gallery is of {self.encoder_id}, the vectors are of {encoder_id}",
                cause="their vectors cannot be compared",
                hint="enrol the references with this encoder",
            )


@dataclass(frozen=True)
class Identified:
    """What came out for one comic.

    Attributes:
        names: of each instance; None where nothing could be compared and nobody said.
        conflicts: by item, never silent.
        pending: characters of a stream that were seen on one page only.
        prefix: how names of nobody begin.
    """

    names: list[str | None]
    conflicts: list[Problem] = field(default_factory=list)
    pending: int = 0
    prefix: str = PREFIX


def identify(
    instances: Sequence[Instance],
    vectors: Vectors,
    given: Sequence[str | None],
    chosen: AssignOptions,
    gallery: Gallery | None = None,
) -> Identified:
    """Who is who in one comic.

    Args:
        given: what somebody has named, by instance; None for the others.
    """
    conflicts: list[Problem] = []
    groups = np.full(len(instances), ALONE, np.int64)
    pending = 0
    for places in scopes(instances, chosen.scope):
        own, part = [instances[p] for p in places], _part(vectors, places)
        names = [given[p] for p in places] if chosen.method == "constrained" else [None] * len(places)
        known = known_of(own, names)
        conflicts += known.conflicts
        if chosen.stream:
            found, pending = _streamed(own, part, chosen)
        elif chosen.method == "average":
            fitted = chosen.calibration.distance if chosen.calibration else PUBLISHED
            found = average(part, fitted if chosen.distance is None else chosen.distance)
        else:
            found = constrained(part, known, chosen.calibration)
        conflicts += broken_panels(own, found)
        groups[places] = np.where(found >= 0, found + groups.max(initial=ALONE) + 1, ALONE)
    names, more = _named(instances, vectors, groups, given, chosen, gallery)
    return Identified(names, conflicts + more, pending)


def scopes(instances: Sequence[Instance], scope: str) -> Iterator[list[int]]:
    """Positions of the instances that identities hold among, scope after scope."""
    places = range(len(instances))
    if scope == "comic":
        yield [*places]
    elif scope == "page":
        for _, group in groupby(places, key=lambda place: instances[place].page):
            yield [*group]
    else:
        panels = list(dict.fromkeys((i.page, i.panel) for i in instances))
        seen = set[tuple[int, int]]()
        for run in runs_of(panels, SEQUENCE):
            wanted = set(run) - seen  # the last run reaches back; nobody is named twice
            seen |= wanted
            yield [p for p in places if (instances[p].page, instances[p].panel) in wanted]


def _part(vectors: Vectors, places: Sequence[int]) -> Vectors:
    return Vectors(
        {kind: vectors.rows[kind][places] for kind in KINDS}, {kind: vectors.present[kind][places] for kind in KINDS}
    )


def _streamed(instances: Sequence[Instance], vectors: Vectors, chosen: AssignOptions) -> tuple[np.ndarray, int]:
    assert chosen.calibration is not None
    stream, found = IdentityStream(chosen.calibration), list[np.ndarray]()
    for places in scopes(instances, "page"):
        found.append(stream.read([instances[p] for p in places], _part(vectors, places)))
    return np.concatenate(found), len(stream.pending)


def _named(
    instances: Sequence[Instance],
    vectors: Vectors,
    groups: np.ndarray,
    given: Sequence[str | None],
    chosen: AssignOptions,
    gallery: Gallery | None,
) -> tuple[list[str | None], list[Problem]]:
    """A name for each group: what somebody has said, else the gallery's, else a number."""
    groups = np.unique(np.append(groups, ALONE), return_inverse=True)[1][:-1] - 1  # without gaps
    count = int(groups.max(initial=ALONE)) + 1
    said: dict[int, str] = {}
    conflicts = []
    for instance, group, name in zip(instances, groups.tolist(), given, strict=True):
        if group >= 0 and name is not None and said.setdefault(group, name) != name:
            conflicts.append(Problem(instance.id, f"named {name!r}, and its group {said[group]!r}"))
    names: list[str | None] = [said.get(group) for group in range(count)]
    if gallery is not None and count:
        known = gallery.names
        costs, sizes = _costs(vectors, groups, count, gallery)
        panels: dict[str, list[int]] = {}
        for instance, group in zip(instances, groups.tolist(), strict=True):
            if group >= 0:
                panels.setdefault(instance.panel_id, []).append(group)
        pinned = {g: known.index(name) if name in known else ALONE for g, name in said.items()}
        answer = name_groups(costs, sizes, list(panels.values()), nobody=chosen.nobody, given=pinned)
        if not answer.exact and instances:
            conflicts.append(Problem(instances[0].comic, "too many ways to give names; they were given one by one"))
        for group, character in enumerate(answer.names.tolist()):
            names[group] = names[group] or (known[character] if character >= 0 else None)
    taken, number = {name for name in (*names, *given) if name}, 0
    for group in range(count):
        while names[group] is None:
            number += 1
            names[group] = None if f"{PREFIX}{number}" in taken else f"{PREFIX}{number}"
    final = [name or (names[group] if group >= 0 else None) for name, group in zip(given, groups.tolist(), strict=True)]
    return final, conflicts


def _costs(vectors: Vectors, groups: np.ndarray, count: int, gallery: Gallery) -> tuple[np.ndarray, np.ndarray]:
    """(G, C) sums of distances, of each instance that of its face or its body, whichever is nearer; (G,) instances."""
    best = np.full((len(groups), len(gallery.names)), np.inf)
    for kind in KINDS:
        there = np.flatnonzero(vectors.present[kind])
        if len(there):
            apart = distances_to(vectors.rows[kind][there], gallery.rows, gallery.labels, gallery.names)
            best[there] = np.minimum(best[there], apart)
    costs, sizes = np.zeros((count, best.shape[1])), np.zeros(count)
    usable = (groups >= 0) & np.isfinite(best).all(axis=1)
    np.add.at(costs, groups[usable], best[usable])
    np.add.at(sizes, groups[usable], 1)
    return costs, sizes
