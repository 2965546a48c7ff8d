"""Who is known to be somebody else. Annotations of a few panels say who is the same, and seldom who is not.

Two instances are known to be two people when they stand in one panel, belong to different series, or bear names that
occur in one annotated sequence; where names are people (`InstanceTable.relative` off), whenever both are named
differently. Of two others of one series nothing is known: they may be one person, and are no negatives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch

from comictool.identity.instances import Instance, InstanceTable

UNNAMED = -1


class Certainty:
    """What is known of the instances of a table, for the rows of a batch.

    Attributes:
        labels: (N,) number of the identity, or -1.
        series: (N,) number of the series.
        panels: (N,) number of the panel; instances of no panel have one each.
    """

    def __init__(self, table: InstanceTable) -> None:
        instances = table.instances
        self.relative = table.relative
        self.labels = _numbered([instance.label for instance in instances])
        self.series = _numbered([instance.series for instance in instances])
        own = (f"{i.panel_id}" if i.panel else f"{i.panel_id}#{row}" for row, i in enumerate(instances))
        self.panels = _numbered(list(own))
        self.count = int(self.labels.max()) + 1 if len(instances) else 0
        self._pairs = _together(instances, self.labels.tolist(), self.count)

    def to(self, device: torch.device) -> Certainty:
        """The same on a device; moved once."""
        for name in ("labels", "series", "panels", "_pairs"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def different(self, rows: torch.Tensor) -> torch.Tensor:
        """(B, B) bool: which of these instances are known to be two people. An instance is not another than itself."""
        labels, series, panels = self.labels[rows], self.series[rows], self.panels[rows]
        known = (series[:, None] != series[None, :]) | (panels[:, None] == panels[None, :])
        both = (labels[:, None] != UNNAMED) & (labels[None, :] != UNNAMED)
        names_differ = both & (labels[:, None] != labels[None, :])
        if self.relative:
            known |= names_differ & torch.isin(labels[:, None] * self.count + labels[None, :], self._pairs)
        else:
            known |= names_differ
        return known & ~self.same(rows) & (rows[:, None] != rows[None, :])

    def same(self, rows: torch.Tensor) -> torch.Tensor:
        """(B, B) bool: which are known to be one person: themselves, and those of one name."""
        labels = self.labels[rows]
        named = (labels[:, None] == labels[None, :]) & (labels[:, None] != UNNAMED)
        return named | (rows[:, None] == rows[None, :])


def _numbered(names: Sequence[str | None]) -> torch.Tensor:
    """Numbers in the order of first appearance; -1 for None."""
    numbers: dict[str, int] = {}
    return torch.tensor(
        [UNNAMED if name is None else numbers.setdefault(name, len(numbers)) for name in names], dtype=torch.int64
    )


def _together(instances: Sequence[Instance], labels: Sequence[int], count: int) -> torch.Tensor:
    """Codes `a * count + b` of all pairs of names that occur in one sequence or one panel, both ways, sorted."""
    places: defaultdict[str, set[int]] = defaultdict(set)
    for instance, label in zip(instances, labels, strict=True):
        if label != UNNAMED:
            for place in (*instance.sequences, *([f"panel {instance.panel_id}"] if instance.panel else [])):
                places[place].add(label)
    pairs = {a * count + b for found in places.values() for a in found for b in found if a != b}
    return torch.tensor(sorted(pairs), dtype=torch.int64)
