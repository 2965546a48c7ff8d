"""Words that are nearly those that were typed: slips of the typist, and letters that a reader of lettering mistook.

The words of a store that share most groups of three letters with a word are the candidates; the restricted edit
distance (Damerau 1964, https://doi.org/10.1145/363958.363994: insert, delete, replace, swap neighbours) decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from comictool.search.wording import Term, Words
from comictool.vectors.metadata import EDGE, LEAST_LIKE, MOST_LIKE, Metadata
from comictool.vectors.words import Parted, is_spaceless

CANDIDATES = 300  # words that are compared letter by letter
MOST_ALIKE = 24  # other words that one may stand for
TORN = 0.95  # likeness of words that were read as one, or of one that was read as two
LONG = 8  # letters from which two edits are allowed
# What readers of lettering take for each other, after folding; half an edit.
CONFUSED = {frozenset(pair) for pair in ("0o", "1l", "1i", "il", "lt", "5s", "8b", "6g", "uv", "ce", "co", "do", "qo")}


@dataclass(frozen=True)
class Alike:
    """Words of a store by a word that was typed, each with its likeness, above 0 and at most 1 (itself)."""

    of: dict[str, dict[str, float]]
    counts: dict[str, int]  # in how many texts any of them is

    def best(self, term: Term, parted: Parted, there: set[str], torn: set[str]) -> float:
        """How like the likest thing in a text is to a term, 0..1.

        Args:
            there: the words of the text.
            torn: neighbouring words as one.
        """
        if term.single:
            whole = TORN if term.single in torn else 0.0
            return max((like for word, like in self.of[term.single].items() if word in there), default=whole)
        if is_spaceless(term.words[0]) and not term.quoted and len(term.words) > 1:
            found = sum(word in there for word in term.words) / len(term.words)
            return found if found >= 0.5 else 0.0
        return 1.0 if next(term.spans(parted), None) is not None else 0.0


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
        allowed = allowed_edits(word)
        whole = f"{EDGE}{word}{EDGE}"
        grams = {whole[start : start + 3] for start in range(len(whole) - 2)}
        # Two letters that changed places leave a short word no group of three.
        swapped = [word[:n] + word[n + 1] + word[n] + word[n + 2 :] for n in range(len(word) - 1)]
        candidates = dict(metadata.words_alike(level, sorted(grams), CANDIDATES))
        near = []
        for other, count in (candidates | metadata.word_counts(level, swapped)).items():
            if other != word and abs(len(other) - len(word)) <= allowed:
                edits = distance(word, other, allowed)
                if edits <= allowed:
                    near.append((edits, -count, other))
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


def distance(one: str, other: str, most: float) -> float:
    """Edits between two words, a letter that is easily mistaken for another counting half; above `most` any number."""
    before: list[float] = []
    last = [float(n) for n in range(len(other) + 1)]
    for row, letter in enumerate(one, start=1):
        now = [float(row)]
        for column, counterpart in enumerate(other, start=1):
            if letter == counterpart:
                step = 0.0
            else:
                step = 0.5 if frozenset((letter, counterpart)) in CONFUSED else 1.0
            cost = min(last[column - 1] + step, last[column] + 1, now[-1] + 1)
            if row > 1 and column > 1 and letter == other[column - 2] and counterpart == one[row - 2]:
                cost = min(cost, before[column - 2] + 1)
            now.append(cost)
        if min(now) > most:
            return most + 1
        before, last = last, now
    return last[-1]


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
