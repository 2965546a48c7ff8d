"""Several questions at once: how far a row stands out by each is made comparable, and what a row lacks does not count.

Cosines of different encoders and BM25 have no common scale. Each is measured against the store itself: a cosine by how
many deviations it lies above what is usual among the rows of the store for this question (median and median absolute
deviation); words by how improbable so many of them are in a text of the store, were words independent: with
probability p = exp(-s) a normal variable exceeds about sqrt(2 s). Independent deviations z add up to
sum(w z) / sqrt(sum(w^2)) (Stouffer; Lipták 1958), over those questions to which the row has an answer at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comictool.search.text_query import Found

SAMPLE = 20_000  # rows from which the usual is taken
LEAST_DEVIATION = 1e-3  # of cosines: below it all rows are the same to an encoder


@dataclass(frozen=True)
class Part:
    """What one question says of all rows.

    Attributes:
        name: image, id, text, semantic, or `id:COLUMN`.
        scores: (rows,) cosine or BM25, for those that are present.
        present: (rows,) bool: whether the row has what is asked about (a vector, any text).
        deviations: (rows,) how far it stands out from what is usual.
        weight: above 0.
    """

    name: str
    scores: np.ndarray
    present: np.ndarray
    deviations: np.ndarray
    weight: float = 1.0


def of_cosines(name: str, cosines: np.ndarray, present: np.ndarray, weight: float) -> Part:
    """A part whose scores are cosines."""
    sample = cosines[present]
    sample = sample[:: len(sample) // SAMPLE + 1]
    middle = float(np.median(sample)) if len(sample) else 0.0
    spread = 1.4826 * float(np.median(np.abs(sample - middle))) if len(sample) else 0.0
    return Part(name, cosines, present, (cosines - middle) / max(spread, LEAST_DEVIATION), weight)


def of_words(found: Found, present: np.ndarray, weight: float) -> Part:
    """A part of words: rows that say them stand out by how improbable that is; other texts not at all."""
    scores, deviations = np.zeros(len(present)), np.zeros(len(present))
    scores[found.rows] = found.scores
    deviations[found.rows] = np.sqrt(2 * np.maximum(found.evidence, 0.0))
    return Part("text", scores, present, deviations, weight)


def fused(parts: Sequence[Part], inside: np.ndarray) -> np.ndarray:
    """(rows,) how far each row stands out by all parts together; minus infinity outside, and where nothing is known."""
    total, squares = np.zeros(len(inside)), np.zeros(len(inside))
    for part in parts:
        total += np.where(part.present, part.weight * part.deviations, 0.0)
        squares += np.where(part.present, part.weight**2, 0.0)
    known = inside & (squares > 0)
    return np.where(known, total / np.sqrt(np.where(known, squares, 1.0)), -np.inf)
