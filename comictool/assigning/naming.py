"""Names for groups from a gallery, and nobody where no name is near: an exact assignment.

After the constrained optimisation of Magiv2 (Sachdeva, Shin and Zisserman, ACCV 2024), with groups in place of crops:
every group gets one character of the gallery or nobody; each of its instances costs its distance to the character, or
a fixed price for nobody; two groups that share a panel never get one name. A panel whose instances are all groups of
one is an assignment problem; over a book it is a small integer program, which HiGHS solves (scipy.optimize.milp).
Groups that get one name are one character from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

NOBODY = 0.75  # of unit vectors, Magiv2's
MOST_SECONDS = 20.0  # then names go one by one, the surest first
ALONE = -1


@dataclass(frozen=True)
class Named:
    """Names of groups.

    Attributes:
        names: (G,) number of the character, -1 for nobody.
        cost: what they cost together.
        exact: whether nothing costs less.
    """

    names: np.ndarray
    cost: float
    exact: bool


def name_groups(
    costs: np.ndarray,
    sizes: Sequence[int] | np.ndarray,
    panels: Sequence[Sequence[int]],
    *,
    nobody: float = NOBODY,
    given: Mapping[int, int] | None = None,
) -> Named:
    """Give each group the character that costs least under the panels.

    Args:
        costs: (G, C) sums over a group's instances of their distances to a character.
        sizes: (G,) instances that were compared.
        panels: groups that stand in one panel, for each panel.
        nobody: price of an instance that is nobody.
        given: characters of groups that somebody has named; -1 for a name that is not among them.
    """
    count, characters = costs.shape
    price = nobody * np.asarray(sizes, np.float64)
    given = dict(given or {})
    together = sorted({tuple(sorted(set(panel))) for panel in panels if len(set(panel)) > 1})
    if not characters or not count:
        return Named(np.full(count, ALONE), float(price.sum()), True)
    worth = costs < price[:, None]  # a name that costs more than nobody is never given
    for group, character in given.items():
        worth[group] = np.arange(characters) == character
    groups, names = np.nonzero(worth)
    if not len(groups):
        return Named(np.full(count, ALONE), float(price.sum()), True)
    gain = costs[groups, names] - price[groups]
    gain = np.where([group in given for group in groups.tolist()], -1e6, gain)  # what somebody has named is named
    chosen = _solve(gain, groups, names, together)
    exact = chosen is not None
    if chosen is None:
        chosen = _greedy(gain, groups, names, together)
    found = np.full(count, ALONE)
    found[groups[chosen]] = names[chosen]
    cost = float(np.where(found >= 0, costs[np.arange(count), np.maximum(found, 0)], price).sum())
    return Named(found, cost, exact)


@dataclass
class _Rows:
    """Constraints `sum of these <= 1`."""

    row: list[int] = field(default_factory=list)
    column: list[int] = field(default_factory=list)
    count: int = 0

    def add(self, columns: Sequence[int]) -> None:
        self.row += [self.count] * len(columns)
        self.column += columns
        self.count += 1


def _solve(
    gain: np.ndarray, groups: np.ndarray, names: np.ndarray, together: Sequence[tuple[int, ...]]
) -> np.ndarray | None:
    """The pairs of the best assignment; None when it took too long."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    place = {pair: number for number, pair in enumerate(zip(groups.tolist(), names.tolist(), strict=True))}
    rows = _Rows()
    for group in np.unique(groups).tolist():
        rows.add(np.flatnonzero(groups == group).tolist())
    for panel in together:
        for name in np.unique(names).tolist():
            pairs = [place[group, name] for group in panel if (group, name) in place]
            if len(pairs) > 1:
                rows.add(pairs)
    table = coo_array((np.ones(len(rows.row)), (rows.row, rows.column)), shape=(rows.count, len(gain)))
    found = milp(
        gain,
        integrality=np.ones(len(gain)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(table.tocsc(), -np.inf, 1),
        options={"time_limit": MOST_SECONDS},
    )
    return np.flatnonzero(found.x > 0.5) if found.status == 0 and found.x is not None else None


def _greedy(gain: np.ndarray, groups: np.ndarray, names: np.ndarray, together: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Pairs from the surest on, leaving out those that a panel forbids by now."""
    beside: dict[int, set[int]] = {}
    for panel in together:
        for group in panel:
            beside.setdefault(group, set()).update(panel)
    said: dict[int, int] = {}
    chosen = []
    for number in np.argsort(gain, kind="stable").tolist():
        group, name = int(groups[number]), int(names[number])
        if group not in said and all(said.get(other) != name for other in beside.get(group, ())):
            said[group] = name
            chosen.append(number)
    return np.array(chosen, np.int64)


def distances_to(rows: np.ndarray, references: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(N, C) Euclidean distances, 0..2, of unit rows to the nearest reference of each character."""
    apart = np.sqrt(np.maximum(2 - 2 * np.clip(rows @ references.T, -1, 1), 0))
    return np.stack([apart[:, labels == name].min(axis=1) for name in names], axis=1)
