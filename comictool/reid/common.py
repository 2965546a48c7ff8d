"""What all pictures of a run have in common (paper, printing, the artist's hand), taken off before they are compared.

Less the mean of references and targets, strangers are told from enrolled characters far better: they have their part
in the mean too. The mean of references alone does the opposite: it is taken from enrolled characters and not from
strangers, of whom two to ten times as many are then named as was asked (tests/bench/reid_accuracy.py). So it is left
as it is where targets are fewer than references, or few at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from comictool.core.errors import UsageError
from comictool.reid.enrolled import EnrolledSet
from comictool.reid.references import ReferenceSet
from comictool.reid.reranking import less
from comictool.vectors.stream import EmbeddedBatch

# Of targets, spread over all: a mean of so many is within some hundredths of that of thousands.
SAMPLE = 256
# Targets below which nothing is taken off: with 12 and 4 beside some 30 references, three to five times as many
# strangers are named as was asked (LOG.md, 2026-11-30).
LEAST_TARGETS = 24
Embed = Callable[[Sequence[Path]], Iterable[EmbeddedBatch]]


@dataclass(frozen=True)
class Common:
    """A part of all vectors; `vector` (D,) is empty where nothing is taken off. `parts`: see `reranking.less`."""

    vector: np.ndarray
    parts: Sequence[int] = ()

    def off(self, batches: Iterable[EmbeddedBatch]) -> Iterable[EmbeddedBatch]:
        """Vectors less this part, of length 1 again."""
        return (batch._replace(vectors=self.less(batch.vectors)) for batch in batches)

    def less(self, vectors: np.ndarray) -> np.ndarray:
        """(N, D) vectors less this part.

        Raises:
            UsageError: it is of vectors of another size.
        """
        if not self.vector.size or not len(vectors):
            return vectors
        if vectors.shape[1] != self.vector.size:
            raise UsageError(f"vectors of {vectors.shape[1]} numbers, and a common part of {self.vector.size}")
        return less(vectors, self.vector, self.parts)

    def enrolled(self, found: EnrolledSet) -> EnrolledSet:
        """References and refusals less this part."""
        refused = self._of(found.refused) if found.refused is not None else None
        return replace(found, found=self._of(found.found), refused=refused)

    def _of(self, found: ReferenceSet) -> ReferenceSet:
        return replace(found, vectors=self.less(found.vectors))


NOTHING = Common(np.zeros(0, np.float32))


def common_part(references: np.ndarray, targets: Sequence[Path], embed: Embed, parts: Sequence[int] = ()) -> Common:
    """The mean of references and targets, of which at most `SAMPLE` are looked at.

    Args:
        references: (R, D) unit rows.
        targets: pictures; what is not readable does not count.
        embed: gives their vectors.
        parts: of joined vectors.
    """
    if len(targets) < max(LEAST_TARGETS, len(references)):
        return NOTHING
    places = np.linspace(0, len(targets) - 1, min(len(targets), SAMPLE)).astype(np.int64)
    total, count = np.zeros(references.shape[1]), 0
    for batch in embed([targets[place] for place in places]):
        if (ok := batch.ok).any():
            total += batch.vectors[ok].sum(axis=0, dtype=np.float64)
            count += int(ok.sum())
    if count < min(LEAST_TARGETS, len(places)):
        return NOTHING
    both = references.sum(axis=0, dtype=np.float64) + total / count * len(targets)
    return Common((both / (len(references) + len(targets))).astype(np.float32), parts)
