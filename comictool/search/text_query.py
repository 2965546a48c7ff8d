"""Which rows say some words: exactly first, then nearly; imports neither torch nor zarr.

Exact answers have all words and come by BM25 (Robertson and Zaragoza 2009, https://doi.org/10.1561/1500000019) as
SQLite's FTS5 has it (https://www.sqlite.org/fts5.html#the_bm25_function). After them come texts in which words are
only alike (`comictool.search.likeness`), and, when four or more were asked for, texts that lack some of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comictool.search.likeness import Alike, rarest, weights, words_alike
from comictool.search.ranking import Ranking, Wanted
from comictool.search.wording import Span, Term, Words
from comictool.vectors.metadata import Metadata
from comictool.vectors.words import Parted, part

MOST_RANKED = 20_000  # answers that are put together with those of other questions
MOST_NEAR = 400  # of answers that are only near
FEW = 4  # words; of fewer all must be there
ENOUGH = 0.6  # of the weight of all words
LEAST = 0.3  # of it, when what is there is by itself more than chance
CHANCE = 3.0  # nats: e^-3 texts of a store have so much of it by chance
LONGEST_SHOWN = 240  # characters of a text in an answer


@dataclass(frozen=True)
class Found:
    """What is said where, and how to show it.

    Attributes:
        rows: (R,) rows that say the words, best first.
        scores: (R,) BM25; of rows that say them only nearly not more than that of any before it.
        evidence: (R,) nats: how improbable so many of the words are in a text of this store, were words independent.
        exact: how many of the rows, the first, have all words as they were typed.
    """

    level: str
    words: Words
    rows: np.ndarray
    scores: np.ndarray
    evidence: np.ndarray
    exact: int
    alike: Alike | None


def saying(
    metadata: Metadata,
    level: str,
    words: Words,
    *,
    inside: np.ndarray | None = None,
    ranges: Sequence[tuple[int, int]] = (),
    enough: int,
    most: int = -1,
    near: bool = True,
) -> Found:
    """The rows of a level that say the words, best first; equal ones in row order.

    Args:
        inside: (rows,) bool, the rows that may be answers; all when None.
        ranges: half-open ranges outside of which none is inside; may be empty.
        enough: with so many exact answers none is looked for that is only near.
        most: how many exact answers, not less than `enough`; all when negative.
        near: whether words may be alike, and of four or more some may lack.

    Raises:
        InputError: the store is damaged.
    """
    ranking = Ranking(metadata, level, words, Wanted(inside, ranges))
    rows, scores = ranking.exact(most)
    exact = len(rows)
    alike = words_alike(metadata, level, words) if near and exact < enough else None
    plain = alike or Alike(
        {t.single: {t.single: 1.0} for t in words.terms if t.single}, _counts(metadata, level, words)
    )
    weight = weights(metadata, level, words, plain)
    evidence = np.full(exact, sum(weight))
    if alike is not None:
        share = LEAST if len(words.groups) >= FEW or len(weight) < sum(len(t.words) for t in words.terms) else 1.0
        chance = math.log(max(metadata.text_count(level), 1)) + CHANCE
        need = min(ENOUGH * sum(weight), max(chance, LEAST * sum(weight))) if share < 1 else math.inf
        first = rarest(alike, words, weight, share)
        more, found, by_bm25 = ranking.near(alike, weight, need, first, np.sort(rows), MOST_NEAR)
        last = scores[-1] if exact else np.inf
        rows, evidence = np.concatenate([rows, more]), np.concatenate([evidence, found])
        scores = np.concatenate([scores, np.minimum(np.minimum.accumulate(by_bm25), last)])
    return Found(level, words, rows, scores, evidence, exact, alike)


def shown(found: Found, text: str, *, exact: bool = True) -> tuple[str, tuple[Span, ...]]:
    """The part of a text around the words that were found, in one line, and where they stand in it."""
    parted = part(text)
    like = {} if exact or found.alike is None else found.alike.of
    spans = sorted({span for term in found.words.terms for span in _spans(term, parted, like)})
    return _around(text, _merged(spans))


def _counts(metadata: Metadata, level: str, words: Words) -> dict[str, int]:
    singles = [term.single for term in words.terms if term.single]
    return dict.fromkeys(singles, 0) | metadata.word_counts(level, singles)


def _spans(term: Term, parted: Parted, like: dict[str, dict[str, float]]) -> list[Span]:
    spans = list(term.spans(parted, like))
    if not spans and like and not term.quoted and len(term.words) > 1:
        wanted = set(term.words)
        spans = [(word.start, word.stop) for word in parted.words if word.word in wanted]
    return spans


def _merged(spans: Sequence[Span]) -> list[Span]:
    out: list[Span] = []
    for start, stop in spans:
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(stop, out[-1][1]))
        else:
            out.append((start, stop))
    return out


def _around(text: str, spans: Sequence[Span]) -> tuple[str, tuple[Span, ...]]:
    line: list[str] = []
    place = []  # where each letter of the text comes to stand in the line
    for letter in text:
        place.append(len(line))
        if not letter.isspace():
            line.append(letter)
        elif line and line[-1] != " ":
            line.append(" ")
    place.append(len(line))
    whole = "".join(line)
    moved = [(place[start], min(place[stop - 1] + 1, len(whole))) for start, stop in spans]
    begin, end = 0, len(whole)
    if end > LONGEST_SHOWN:
        middle = moved[0][0] if moved else 0
        begin = max(0, min(middle - LONGEST_SHOWN // 3, end - LONGEST_SHOWN))
        end = begin + LONGEST_SHOWN
        begin = max(whole.rfind(" ", 0, begin) + 1, begin - LONGEST_SHOWN // 3)  # a whole word
    cut = "\u2026" if begin else ""
    kept = [(a - begin + len(cut), b - begin + len(cut)) for a, b in moved if begin <= a and b <= end]
    shown_text = cut + whole[begin:end].rstrip() + ("\u2026" if end < len(whole) else "")
    return shown_text, tuple(kept)
