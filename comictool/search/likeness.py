"""Words that are nearly those that were typed: slips of the typist, and letters that a reader of lettering mistook.

The edit distance decides (`comictool.vectors.vocabulary`), over all words of a store.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from comictool.search.wording import Words
from comictool.vectors.metadata import LEAST_LIKE, MOST_LIKE, Metadata

MOST_ALIKE = 24  # other words that one may stand for
TORN = 0.95  # likeness of words that were read as one, or of one that was read as two
LONG = 8  # letters from which two edits are allowed


@dataclass(frozen=True)
class Alike:
    """Words of a store by a word that was typed, each with its likeness, above 0 and at most 1 (itself)."""

    of: dict[str, dict[str, float]]
    counts: dict[str, int]  # in how many texts any of them is


def words_alike(metadata: Metadata, level: str, words: Words) -> Alike:
    """For each single word of a query the words of a store that may be meant, itself among them when it is there."""
    of: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    for term in words.terms:
        if not (word := term.single) or word in of:
            continue
        own = metadata.word_counts(level, [word])
        of[word] = dict.fromkeys(own, 1.0)
        counts[word] = sum(own.values())
        if not LEAST_LIKE <= len(word) <= MOST_LIKE or word.isdigit():
            continue
        others = dict(metadata.vocabulary.near(word, allowed_edits(word)))
        near = [(others[other], -count, other) for other, count in metadata.word_counts(level, others).items()]
        for edits, count, other in sorted(near)[:MOST_ALIKE]:
            of[word][other] = 1 - edits / (len(word) + 1)
            counts[word] -= count
    singles = [group[0].single for group in words.groups if len(group) == 1]
    for one, other in pairwise(singles):  # read without the space between them
        if one and other and metadata.word_counts(level, [one + other]):
            of[one][one + other] = of[other][one + other] = TORN
    return Alike(of, counts)


def allowed_edits(word: str) -> int:
    """How many edits still make the same word: one from four letters, two from eight."""
    return 2 if len(word) >= LONG else 1


def rarity(count: int, texts: int) -> float:
    """How much a word in so many of so many texts says, above 0: the inverse document frequency of BM25."""
    return max(math.log((texts - count + 0.5) / (count + 0.5)), 1e-6) if count < texts else 1e-6


def weights(metadata: Metadata, level: str, words: Words, alike: Alike) -> list[float]:
    """What each group of a query says, in nats; of a phrase the sum of its words'."""
    texts = max(metadata.text_count(level), 1)
    found = []
    for group in words.groups:
        own = []
        for term in group:
            if term.single:
                own.append(rarity(alike.counts[term.single], texts))
            else:
                counts = metadata.word_counts(level, term.words)
                own.append(sum(rarity(counts.get(word, 0), texts) for word in term.words))
        found.append(min(own))
    return found


def rarest(alike: Alike, words: Words, weights: Sequence[float], share: float) -> list[int]:
    """Few, rare groups of which a text must have one when it has groups that make up this share of the weight."""
    order = sorted(range(len(weights)), key=lambda number: -weights[number])
    total, rest, chosen = sum(weights), sum(weights), []
    for number in order:
        chosen.append(number)
        rest -= weights[number]
        if rest < share * total:
            break
    return chosen
