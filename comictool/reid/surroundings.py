"""How crowded it is around a picture: its likeness to the other pictures of a run, by which scores are scaled.

All pictures of a comic are somewhat alike (paper, printing, the artist's hand), and some more than others: a dark bust
in profile is near to every other. A score says whom a picture shows only as far as it exceeds that. So the distance to
a character is divided by the mean distance to the nearest half of the other pictures (local scaling, Zelnik-Manor and
Perona 2004; in speaker verification a cohort of impostors, T-norm, Auckenthaler and others 2000). Names are not looked
at, and the order of the characters of a picture stays as it is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comictool.core.errors import InputError
from comictool.vectors.stream import EmbeddedBatch

SAMPLE = 128  # targets, spread over all: of 64 a mean cosine is within a hundredth or two of that of thousands
LEAST_TARGETS = 24  # below which scores stay cosines: the nearest half of a dozen is nearly all one character
COPY = 1e-4  # distance within which two pictures are the same one, which says nothing of what is around it
Embed = Callable[[Sequence[Path]], Iterable[EmbeddedBatch]]


@dataclass(frozen=True)
class Surroundings:
    """Pictures (S, D) float16, unit rows, among which others are looked at; none: scores stay as they are."""

    pictures: np.ndarray

    def __bool__(self) -> bool:
        return len(self.pictures) > 0

    def around(self, vectors: np.ndarray) -> np.ndarray | None:
        """(N,) mean cosine of unit rows (N, D) with the nearest half of the pictures, copies left out; None of none."""
        if not self or vectors.shape[1] != self.pictures.shape[1]:
            return None
        alike = vectors.astype(np.float32) @ self.pictures.astype(np.float32).T
        alike[alike > 1 - COPY] = -np.inf
        alike = -np.sort(-alike, axis=1)
        half = np.maximum((np.isfinite(alike).sum(axis=1) + 1) // 2, 1)
        nearest = np.where(np.arange(alike.shape[1]) < half[:, None], alike, 0)
        nearest[~np.isfinite(nearest)] = 0
        found: np.ndarray = nearest.sum(axis=1, dtype=np.float64) / half
        return found

    def to_text(self) -> str:
        """For the journal of a run that moves its targets away."""
        return base64.b64encode(np.ascontiguousarray(self.pictures, "<f2").tobytes()).decode()

    @classmethod
    def from_text(cls, text: str, dimension: int) -> Surroundings:
        """The inverse of `to_text`; nothing where it is of vectors of another size.

        Raises:
            InputError: not what `to_text` wrote.
        """
        try:
            numbers = np.frombuffer(base64.b64decode(text, validate=True), "<f2")
        except (ValueError, binascii.Error) as error:
            raise InputError("the vectors in the journal of this run are damaged", hint="--no-resume") from error
        fits = numbers.size % max(dimension, 1) == 0 and np.isfinite(numbers).all()
        return cls(numbers.reshape(-1, dimension)) if fits else NOTHING


NOTHING = Surroundings(np.zeros((0, 0), np.float16))


def surroundings_of(targets: Sequence[Path], embed: Embed) -> Surroundings:
    """`SAMPLE` of the targets at most; `NOTHING` where fewer than `LEAST_TARGETS` can be read.

    Args:
        targets: pictures; what is not readable does not count.
        embed: gives their vectors.
    """
    if len(targets) < LEAST_TARGETS:
        return NOTHING
    places = np.linspace(0, len(targets) - 1, min(len(targets), SAMPLE)).astype(np.int64)
    rows = [batch.vectors[batch.ok] for batch in embed([targets[place] for place in places])]
    found = np.concatenate(rows).astype(np.float16)
    return Surroundings(found) if len(found) >= min(LEAST_TARGETS, len(places)) else NOTHING
