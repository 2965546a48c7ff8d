"""Reference pictures with their vectors, in memory: what a gallery stores and what pictures are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import numpy as np

from comictool.core.errors import InputError
from comictool.core.names import natural_key
from comictool.core.progress import Progress
from comictool.plugins.load import EncoderSpec
from comictool.reid.configuration import Config, reference_pictures
from comictool.reid.types import Reference
from comictool.vectors.stream import EmbeddingStream, StreamOptions

BLOCK = 2048  # references compared at a time
SAME_PICTURE = 0.999  # cosine from which two files are the same picture, saved again
FEWEST = 4  # references of a character below which none of them can be called unusual
# Of similarities to the other references of a character: this many robust standard deviations below their median.
UNUSUAL = 3.5
MAD_TO_SIGMA = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class ReferenceSet:
    """References and their vectors (R, D) float32, unit rows in the same order; `key` says what they compare with."""

    references: list[Reference]
    vectors: np.ndarray
    key: str

    @property
    def characters(self) -> list[str]:
        """The characters, each once, in natural order."""
        return sorted({reference.character for reference in self.references}, key=natural_key)

    @property
    def labels(self) -> np.ndarray:
        """(R,) the character of each reference."""
        return np.array([reference.character for reference in self.references], dtype=object)

    def of(self, keep: Sequence[bool] | np.ndarray) -> ReferenceSet:
        """The references at which `keep` is true."""
        mask = np.asarray(keep, dtype=bool)
        chosen = [reference for reference, kept in zip(self.references, mask, strict=True) if kept]
        return ReferenceSet(chosen, self.vectors[mask], self.key)

    def joined(self, other: ReferenceSet) -> ReferenceSet:
        """Both together in order, without a second reference of the same character and content.

        Raises:
            InputError: vectors of different encoders.
        """
        if not self.references:
            return other.ordered()
        if not other.references:
            return self
        if self.key != other.key:
            raise InputError(
                "these references were embedded in different ways",
                cause=f"{self.key} and {other.key}",
                hint="enroll both with the same plugin and options",
            )
        together = [*self.references, *other.references]
        vectors = np.concatenate([self.vectors, other.vectors])
        seen: set[tuple[str, str]] = set()
        fresh = [not (mark in seen or seen.add(mark)) for r in together if (mark := (r.character, r.digest))]  # type: ignore[func-returns-value]
        return ReferenceSet(together, vectors, self.key).of(fresh).ordered()

    def ordered(self) -> ReferenceSet:
        """By character, then by path, both in natural order: the order that decides ties."""
        characters = {name: natural_key(name) for name in {r.character for r in self.references}}
        keys = [(characters[r.character], natural_key(r.path.as_posix())) for r in self.references]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        return ReferenceSet([self.references[place] for place in order], self.vectors[order], self.key)


@dataclass
class Gathered:
    """What embedding the references of a configuration gave."""

    found: ReferenceSet
    failed: dict[Path, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Names that cannot be used, and pictures that were listed twice for one character."""
    computed: int = 0


def gather_references(
    config: Config, spec: EncoderSpec, *, progress: Progress | None = None, **options: Unpack[StreamOptions]
) -> Gathered:
    """Find and embed the reference pictures of each character.

    Unreadable pictures are reported in `failed`, and cost nothing else as long as their character has others.

    Raises:
        InputError: a character is left without a readable picture.
        UsageError, SetupError: as for loading the encoder.
    """
    problems: list[str] = []
    pictures = reference_pictures(config, problems)
    owners = [(character, path) for character, paths in pictures.items() for path in paths]
    paths = list(dict.fromkeys(path for _, path in owners))
    stream = EmbeddingStream(spec, **options)
    place_of = {path: place for place, path in enumerate(paths)}
    vectors, digests, failed = [np.zeros((0, 0), np.float32)], list[str](), dict[Path, str]()
    for batch in stream.batches(paths, progress):
        vectors.append(batch.vectors)
        digests.extend(batch.digests)
        failed.update(batch.errors)
    every = np.concatenate(vectors[1:])
    rows, references = list[int](), dict[tuple[str, str], Reference]()
    for character, path in owners:
        if path in failed:
            continue
        digest = digests[place_of[path]]
        if (twin := references.get((character, digest))) is not None:
            problems.append(f"{path} is the same file as {twin.path}, both of {character!r}; it counts once")
            continue
        references[character, digest] = Reference(character, path.absolute(), digest)
        rows.append(place_of[path])
    left = {reference.character for reference in references.values()}
    for character in pictures:
        if character not in left:
            first = pictures[character][0]
            raise InputError(f"no picture of {character!r} can be read", cause=f"{first}: {failed[first]}")
    found = ReferenceSet(list(references.values()), every[rows], stream.key).ordered()
    return Gathered(found, failed, problems, stream.computed)


def questionable(found: ReferenceSet) -> list[str]:
    """Warnings about references: the same picture under two characters, and pictures that seem to be somebody else.

    A reference is unusual when its mean similarity to the others of its character is far below what is usual among
    them (by the median and the median absolute deviation), and its nearest reference is another character's.
    """
    count = len(found.references)
    if count < 2:
        return []
    names = found.characters
    index = {name: place for place, name in enumerate(names)}
    label = np.array([index[reference.character] for reference in found.references])
    sizes = np.bincount(label, minlength=len(names))
    nearest = np.empty(count, dtype=np.int64)
    to_own = np.empty(count)
    warnings: list[str] = []
    sums = np.zeros((len(names), found.vectors.shape[1]))
    np.add.at(sums, label, found.vectors.astype(np.float64))
    for start in range(0, count, BLOCK):
        rows = slice(start, min(count, start + BLOCK))
        similarities = found.vectors[rows] @ found.vectors.T
        own = np.arange(rows.start, rows.stop)
        similarities[np.arange(len(own)), own] = -np.inf
        nearest[rows] = similarities.argmax(axis=1)
        with_own = np.einsum("nd,nd->n", found.vectors[rows].astype(np.float64), sums[label[rows]])
        to_own[rows] = (with_own - 1.0) / np.maximum(sizes[label[rows]] - 1, 1)
        for row, column in zip(*np.nonzero(similarities >= SAME_PICTURE), strict=True):
            first, second = found.references[start + row], found.references[column]
            if start + row < column and first.character != second.character:
                warnings.append(
                    f"{first.path} ({first.character}) and {second.path} ({second.character}) are the same picture"
                )
    for place, name in enumerate(names):
        members = np.nonzero(label == place)[0]
        if len(members) < FEWEST:
            continue
        middle = np.median(to_own[members])
        spread = MAD_TO_SIGMA * np.median(np.abs(to_own[members] - middle))
        for member in members[to_own[members] < middle - UNUSUAL * spread]:
            other = found.references[nearest[member]]
            if other.character != name:
                path = found.references[member].path
                warnings.append(f"{path} ({name}) is unlike the others of {name} and most like {other.character}")
    return warnings
