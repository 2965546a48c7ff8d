"""The score of kosuke1701/character-reid: minus the Euclidean distance of unit vectors, -2 to 0, higher is more alike.

Of unit vectors a and b, |a - b|² = 2 - 2 a·b, so the order is that of the cosine; only the numbers differ.
"""

from __future__ import annotations

import numpy as np

BLOCK = 1024  # queries at a time


def legacy_score(first: np.ndarray, second: np.ndarray) -> float:
    """The score of two vectors (D,); they are scaled to length 1."""
    return float(legacy_scores(first[None], second[None])[0, 0])


def legacy_scores(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    """(Q, R) float32 scores of every query (Q, D) with every reference (R, D); rows are scaled to length 1.

    In double precision throughout: 2 - 2 a·b of nearly equal vectors would lose half of the digits of float32.
    """
    right = _unit(references)
    scores = np.empty((len(queries), len(references)), np.float32)
    for start in range(0, len(queries), BLOCK):
        left = _unit(queries[start : start + BLOCK])
        scores[start : start + BLOCK] = -np.sqrt(np.maximum(2.0 - 2.0 * (left @ right.T), 0.0))
    return scores


def from_cosine(cosine: np.ndarray) -> np.ndarray:
    """Cosines, -1..1, to this score."""
    return np.asarray(-np.sqrt(np.maximum(2.0 - 2.0 * np.asarray(cosine, np.float64), 0.0)))


def to_cosine(score: float) -> float:
    """A score, -2..0, to the cosine."""
    return 1.0 - score * score / 2.0


def _unit(vectors: np.ndarray) -> np.ndarray:
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))
