"""Vectors refined by what the references know as a set, for targets that come one after the other.

Only what depends on the references and on one picture is here: whitening, and joining with the nearest reference.
K-reciprocal re-ranking asks for the neighbours of all targets at once, so a decision would depend on which others came
with it: that is for closed sets, see `comictool.reid.evaluation`.

Naming crops by the nearest reference of another page with the classic encoder, macro rank-1 on two test series: cosine
.896 and .693, joined .896 and .676, whitened .862 and .613. So none is the default. Thresholds are fitted to plain
cosines and hold for nothing else: means and neighbours taken from enrolled characters make strangers look enrolled, two
to ten times as often as asked (tests/bench/reid_accuracy.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comictool.core.errors import UsageError, near_matches
from comictool.reid.reranking import Transform, fit_whitening, join_neighbours
from comictool.reid.scoring import same_group

REFINEMENTS = ("none", "whiten", "join")
SHRINKAGE = 0.9  # of whitening; with 0.5 macro rank-1 falls by another .08 and .11 on the test series


class Refinement:
    """One way, fitted to references.

    Args:
        name: none, whiten (directions in which all references vary are levelled), or join (each vector is added to its
            nearest reference of another content, weighted by the cube of their cosine).
        references: (R, D) float32 unit rows.
        digests: R content hashes; a picture is not joined with itself.

    Raises:
        UsageError: another name.
    """

    def __init__(self, name: str, references: np.ndarray, digests: Sequence[str]) -> None:
        if name not in REFINEMENTS:
            raise UsageError(f"there is no refinement {name!r}", near=near_matches(name, REFINEMENTS) or REFINEMENTS)
        self.name = name
        self._pool, self._digests = references, list(digests)
        self._whiten: Transform | None = fit_whitening(references, SHRINKAGE) if name == "whiten" else None
        self.references = self(references, self._digests)
        """The references, refined as well: (R, D) float32 unit rows."""

    def __call__(self, vectors: np.ndarray, digests: Sequence[str]) -> np.ndarray:
        """(N, D) float32 unit rows of pictures with these contents; what one becomes does not depend on the others."""
        if self._whiten is not None:
            return self._whiten(vectors)
        if self.name == "join":
            return join_neighbours(vectors, self._pool, excluded=same_group(list(digests), self._digests))
        return vectors
