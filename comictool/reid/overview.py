"""What a gallery looks like: how close the references of a character are, and which characters are near."""

from __future__ import annotations

from typing import Any

import numpy as np

from comictool.reid.references import ReferenceSet

BLOCK = 512  # characters compared at a time


def overview(found: ReferenceSet) -> list[dict[str, Any]]:
    """One row a character: `references`, `spread` (mean cosine of its references to each other, null with one),
    `nearest` (the character whose mean vector is most like its own) and `nearest_cosine`.
    """
    labels = found.labels.astype(str)
    names = found.characters
    if not names:
        return []
    sums = np.stack([found.vectors[labels == name].sum(axis=0, dtype=np.float64) for name in names])
    counts = np.array([(labels == name).sum() for name in names])
    # The squared length of a sum of n unit vectors is n plus twice the sum over their pairs.
    pairs = (np.square(sums).sum(axis=1) - counts) / np.maximum(counts * (counts - 1), 1)
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    rows = []
    for start in range(0, len(names), BLOCK):
        alike = means[start : start + BLOCK] @ means.T
        for offset, line in enumerate(alike):
            place = start + offset
            line[place] = -np.inf
            nearest = int(line.argmax())
            alone = len(names) == 1
            rows.append(
                {
                    "character": names[place],
                    "references": int(counts[place]),
                    "spread": round(float(pairs[place]), 4) if counts[place] > 1 else None,
                    "nearest": None if alone else names[nearest],
                    "nearest_cosine": None if alone else round(float(line[nearest]), 4),
                }
            )
    return rows
