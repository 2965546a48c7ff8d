"""Which rows have the words of a question, and how well, by arrays: exactly with BM25, and nearly with evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from comictool.search.likeness import TORN, Alike
from comictool.search.wording import Term, Words
from comictool.vectors.metadata import Metadata
from comictool.vectors.postings import Posting, common, together
from comictool.vectors.words import is_spaceless, part

MOST_READ = 400  # texts in which a word may be torn; of more the index tells
SPACELESS_ENOUGH = 0.5  # of the pairs of letters of a word in a script without spaces


@dataclass(frozen=True)
class Wanted:
    """The rows that may be answers: (rows,) bool and half-open ranges around them; None and empty for all."""

    inside: np.ndarray | None = None
    ranges: Sequence[tuple[int, int]] = ()

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Those of the rows that may be."""
        if self.inside is None:
            return rows
        rows = rows[rows < len(self.inside)]
        return rows[self.inside[rows]]


class Ranking:
    """One question of the words of a level."""

    def __init__(self, metadata: Metadata, level: str, words: Words, wanted: Wanted) -> None:
        self.metadata, self.level, self.words, self.wanted = metadata, level, words, wanted
        self.postings = metadata.postings(level)
        self._words: dict[str, Posting] = {}
        self._terms: dict[Term, tuple[np.ndarray, np.ndarray]] = {}

    def exact(self, most: int = -1) -> tuple[np.ndarray, np.ndarray]:
        """Rows that have a term of every group, best first, equal ones in row order, with BM25.

        Args:
            most: how many; all when negative.
        """
        groups = [[self._rows(term) for term in group] for group in self.words.groups]
        groups.sort(key=lambda terms: sum(map(len, terms)))
        rows = self.wanted.of(together(groups[0]))
        for terms in groups[1:]:
            rows = rows[_among(rows, terms)]
        rows = self._less(rows)
        scores = np.zeros(len(rows))
        for term in self.words.terms:
            at, gains = self._gains(term, rows)
            scores[at] += gains
        return _best(rows, scores, most)

    def near(self, alike: Alike, weight: Sequence[float], need: float, first: Sequence[int], without: np.ndarray,
             most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
        """Rows in which all groups are at least alike, or that have so much evidence.

        Args:
            weight: of each group, in nats.
            need: evidence that is enough when groups lack; infinite when none may.
            first: groups of which such a row has one.
            without: rows that are left out.
            most: how many, those with most evidence.

        Returns:
            Rows, best first, equal ones in row order; their evidence; BM25 of all that is alike in them.
        """
        strict = not np.isfinite(need)
        sizes = [sum(len(rows) for rows in self._near_rows(group, alike)) for group in self.words.groups]
        order = sorted(range(len(sizes)), key=lambda n: (sizes[n] if strict else -weight[n], n))
        start = [order[0]] if strict else first
        rows = self.wanted.of(together([r for n in start for r in self._near_rows(self.words.groups[n], alike)]))
        rows = self._less(rows)
        rows = np.delete(rows, common(rows, without)[0])
        found, every, rest = np.zeros(len(rows)), np.ones(len(rows), bool), float(sum(weight))
        for number in order:
            likeness = self._likeness(self.words.groups[number], alike, rows)
            found, every, rest = found + weight[number] * likeness, every & (likeness > 0), rest - weight[number]
            kept = every if strict else every | (found + rest >= need - 1e-9)
            rows, found, every = rows[kept], found[kept], every[kept]
        kept = every | (found >= need)
        rows, found = rows[kept], np.round(found[kept], 3)
        scores = np.zeros(len(rows))
        for posting in {
            word: self._word(word) for group in self.words.groups for word in _meant(group, alike)
        }.values():
            at, which = common(rows, posting.rows)
            scores[at] += self.postings.gains(posting, which)
        for term in self.words.terms:
            if not term.single and not _by_pairs(term):
                there, gains = self._gains(term, rows)
                scores[there] += gains
        best = np.lexsort((rows, -scores, -found))[:most]
        return rows[best], found[best], np.round(scores[best], 6)

    def _likeness(self, group: Sequence[Term], alike: Alike, rows: np.ndarray) -> np.ndarray:
        """(R,) of each row how like the likest of the terms is, 0..1."""
        best = np.zeros(len(rows))
        for term in group:
            if term.single:
                own = np.zeros(len(rows))
                for word, like in alike.of[term.single].items():
                    at, _ = common(rows, self._word(word).rows)
                    own[at] = np.maximum(own[at], like)
                self._torn(term.single, rows, own)
                best = np.maximum(best, own)
            elif _by_pairs(term):
                there = np.zeros(len(rows))
                for word in term.words:
                    there[common(rows, self._word(word).rows)[0]] += 1 / len(term.words)
                best = np.maximum(best, np.where(there >= SPACELESS_ENOUGH - 1e-9, there, 0.0))
            else:
                best[common(rows, self._rows(term))[0]] = 1.0
        return best

    def _torn(self, word: str, rows: np.ndarray, best: np.ndarray) -> None:
        """Count a word that a text has in two pieces."""
        for place in range(1, len(word)):
            pieces = [self._word(word[:place]).rows, self._word(word[place:]).rows]
            if not (len(pieces[0]) and len(pieces[1])):
                continue
            at = np.flatnonzero(best == 0)
            for piece in pieces:
                at = at[common(rows[at], piece)[0]]
            if len(at) > MOST_READ:
                term = Term((word[:place], word[place:]), quoted=True)
                best[at[common(rows[at], self._rows(term))[0]]] = TORN
                continue
            texts = self.metadata.said(self.level, map(int, rows[at]))
            for number in at:
                parted = [one.word for one in part(texts.get(int(rows[number]), "")).words]
                if (word[:place], word[place:]) in pairwise(parted):
                    best[number] = TORN

    def _near_rows(self, group: Sequence[Term], alike: Alike) -> list[np.ndarray]:
        """Rows among which are all where a group is at least alike, but for words that were torn in two."""
        rows = [self._word(word).rows for word in _meant(group, alike)]
        return rows + [self._rows(term) for term in group if not term.single and not _by_pairs(term)]

    def _word(self, word: str) -> Posting:
        if word not in self._words:
            self._words[word] = self.postings.of(word)
        return self._words[word]

    def _rows(self, term: Term) -> np.ndarray:
        if _is_word(term):
            return self._word(term.words[0]).rows
        if term not in self._terms:  # phrases, beginnings, words with a hyphen: the index knows
            found = sorted(self.metadata.rows_matching(self.level, term.expression, ranges=self.wanted.ranges))
            self._terms[term] = np.array([row for row, _ in found], np.uint32), np.array([gain for _, gain in found])
        return self._terms[term][0]

    def _less(self, rows: np.ndarray) -> np.ndarray:
        """Those of the rows in which nothing is that must not be there."""
        without = [self._rows(term) for term in self.words.without]
        return rows[~_among(rows, without)] if without else rows

    def _gains(self, term: Term, rows: np.ndarray) -> tuple[np.ndarray | slice, np.ndarray]:
        """The places of rows that have a term, and what it adds to their BM25."""
        if _is_word(term):
            posting = self._word(term.words[0])
            if rows is posting.rows:
                return slice(None), self.postings.gains(posting, slice(None))
            at, which = common(rows, posting.rows)
            return at, self.postings.gains(posting, which)
        at, which = common(rows, self._rows(term))
        return at, self._terms[term][1][which]


def _is_word(term: Term) -> bool:
    return len(term.words) == 1 and not term.begins and not term.joined


def _by_pairs(term: Term) -> bool:
    """Whether a term is near when many of its pairs of letters are there."""
    return not term.single and len(term.words) > 1 and not term.quoted and is_spaceless(term.words[0])


def _meant(group: Sequence[Term], alike: Alike) -> list[str]:
    """The words that may be meant by a group."""
    meant = [word for term in group if term.single for word in alike.of[term.single]]
    return list(dict.fromkeys(meant + [word for term in group if _by_pairs(term) for word in term.words]))


def _among(rows: np.ndarray, several: Sequence[np.ndarray]) -> np.ndarray:
    """(R,) bool: which rows are in any of several ascending arrays."""
    found = np.zeros(len(rows), bool)
    for other in several:
        found[common(rows, other)[0]] = True
    return found


def _best(rows: np.ndarray, scores: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    if 0 < most < len(rows):
        least = np.partition(scores, len(scores) - most)[len(scores) - most]
        rows, scores = rows[scores >= least], scores[scores >= least]
    order = np.lexsort((rows, -scores))[: most if most >= 0 else None]
    return rows[order], np.round(scores[order], 6)
