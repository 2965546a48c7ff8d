"""Which pictures a person should decide on first: those from which most is learned."""

from __future__ import annotations

from collections.abc import Sequence

from comictool.reid.types import Decision

FIRST = 20  # pictures that a person is asked about first


def guess_of(decision: Decision) -> str:
    """The name that was given, else the best guess; empty where there was nothing to compare with."""
    if decision.character is not None:
        return decision.character
    return decision.candidates[0].character if decision.candidates else ""


def worth_first(decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions, the most uncertain first: smallest lead of the best guess over the second, then lowest score."""
    return sorted(decisions, key=lambda d: (d.status == "ok", _lead(d), d.score or 0.0, d.path))


def _lead(decision: Decision) -> float:
    return 9.0 if decision.margin is None else decision.margin
