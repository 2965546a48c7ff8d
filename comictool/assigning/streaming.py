"""Identities while reading: panel after panel, with nothing looked at twice.

One prototype a character, the unit mean of its committed instances. The instances of a panel are given to characters
together, each to another one, at the least cost (Kuhn 1955); a new character costs as much as the evidence of the cut.
A character's own guesses make its prototype worse (Re:Cognize, 2026: galleries that grow by their own top answer lose),
so a prototype grows by vouched instances alone: after the policy Re:Cast, an instance is committed when another
instance of its page stands for the same character and the two look alike as well. The first instance of a character is
its seed. A character that was seen on one page only is pending, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from comictool.assigning.evidence import Calibration
from comictool.assigning.instances import KINDS, Instance, Vectors


@dataclass
class _Character:
    """A character so far: sums and counts of committed vectors by kind, and the pages that it was given on."""

    sums: dict[str, np.ndarray] = field(default_factory=dict)
    pages: set[tuple[str, int]] = field(default_factory=set)
    committed: int = 0

    def commit(self, rows: dict[str, np.ndarray]) -> None:
        for kind, row in rows.items():
            self.sums[kind] = self.sums.get(kind, 0) + row.astype(np.float64)
        self.committed += 1

    def prototype(self, kind: str) -> np.ndarray | None:
        total = self.sums.get(kind)
        length = 0.0 if total is None else float(np.linalg.norm(total))
        return None if total is None or length < 1e-9 else total / length


class IdentityStream:
    """Characters met so far; `read` takes the next page.

    Args:
        calibration: what distances mean, and the cut below which nobody known is meant.
    """

    def __init__(self, calibration: Calibration) -> None:
        self._lines = calibration.lines
        self._cut = calibration.cut
        self._known: list[_Character] = []

    @property
    def pending(self) -> list[int]:
        """Characters that were seen on one page only."""
        return [number for number, known in enumerate(self._known) if len(known.pages) < 2]

    @property
    def committed(self) -> list[int]:
        """By character, how many instances its prototype is of."""
        return [known.committed for known in self._known]

    def read(self, instances: Sequence[Instance], vectors: Vectors) -> np.ndarray:
        """The characters of the instances of one page, (N,) from 0; -1 for one without any vector."""
        found = np.full(len(instances), -1, np.int64)
        rows = [_rows_of(vectors, place) for place in range(len(instances))]
        fresh = set[int]()
        for panel in dict.fromkeys(instance.panel_id for instance in instances):
            places = [p for p, instance in enumerate(instances) if instance.panel_id == panel and rows[p]]
            for place, character in zip(places, self._assign([rows[p] for p in places]), strict=True):
                found[place] = character
                if not self._known[character].committed:
                    self._known[character].commit(rows[place])
                    fresh.add(place)
        for place, instance in enumerate(instances):
            if found[place] >= 0:
                known = self._known[found[place]]
                known.pages.add((instance.comic, instance.page))
                alike = (
                    self._evidence(rows[place], rows[other])
                    for other in np.flatnonzero(found == found[place]).tolist()
                    if other != place
                )
                if place not in fresh and any(value > max(self._cut, 0.0) for value in alike):
                    known.commit(rows[place])
        return found

    def _assign(self, rows: Sequence[dict[str, np.ndarray]]) -> list[int]:
        from scipy.optimize import linear_sum_assignment

        count = len(self._known)
        gains = np.full((len(rows), count + len(rows)), self._cut)
        for place, own in enumerate(rows):
            for number, known in enumerate(self._known):
                prototypes = {kind: row for kind in KINDS if (row := known.prototype(kind)) is not None}
                gains[place, number] = self._evidence(own, prototypes)
        chosen = linear_sum_assignment(gains, maximize=True)[1].tolist()
        answers = []
        for number in chosen:
            if number >= count:
                self._known.append(_Character())
                number = len(self._known) - 1
            answers.append(number)
        return answers

    def _evidence(self, one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
        total = 0.0
        for kind, line in self._lines.items():
            if kind in one and kind in other:
                apart = float(np.sqrt(max(0.0, 2 - 2 * float(one[kind] @ other[kind]))))
                total += line.offset - line.slope * apart
        return total


def _rows_of(vectors: Vectors, place: int) -> dict[str, np.ndarray]:
    return {kind: vectors.rows[kind][place] for kind in KINDS if vectors.present[kind][place]}
