"""Which rows say some words: exactly first, then nearly; imports neither torch nor zarr.

Exact answers have all words and come by BM25 (Robertson and Zaragoza 2009, https://doi.org/10.1561/1500000019) as
SQLite's FTS5 has it (https://www.sqlite.org/fts5.html#the_bm25_function). After them come texts in which words are
only alike (`comictool.search.likeness`), and, when four or more were asked for, texts that lack some of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from comictool.search.likeness import Alike, rarest, weights, words_alike
from comictool.search.wording import Span, Term, Words, either
from comictool.vectors.metadata import Metadata
from comictool.vectors.words import Parted, part

MOST_RANKED = 20_000  # texts that are near, the best by BM25
MOST_READ = 400  # texts that are compared word by word
FEW = 4  # words; of fewer all must be there
ENOUGH = 0.6  # of the weight of all words
LEAST = 0.3  # of it, when what is there is by itself more than chance
CHANCE = 3.0  # nats: e^-3 texts of a store have so much of it by chance
LONGEST_SHOWN = 240  # characters of a text in an answer


@dataclass(frozen=True)
class Saying:
    """A row that says the words.

    Attributes:
        score: BM25; of rows that say them only nearly less than that of any before it.
        evidence: nats: how improbable so many of the words are in a text of this store, were words independent.
        exact: whether all words are there as they were typed.
    """

    row: int
    score: float
    evidence: float
    exact: bool


@dataclass(frozen=True)
class Found:
    """What is said where: the rows, best first, and how to show them."""

    level: str
    words: Words
    rows: list[Saying]
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
    exact = metadata.rows_matching(level, words.expression, most=most, ranges=ranges, inside=inside)
    alike = words_alike(metadata, level, words) if near and len(exact) < enough else None
    plain = alike or Alike(
        {t.single: {t.single: 1.0} for t in words.terms if t.single}, _counts(metadata, level, words)
    )
    weight = weights(metadata, level, words, plain)
    rows = [Saying(row, score, sum(weight), True) for row, score in exact]
    if alike is not None:
        known = {row for row, _ in exact}
        share = LEAST if len(words.groups) >= FEW or len(weight) < sum(len(t.words) for t in words.terms) else 1.0
        chance = math.log(max(metadata.text_count(level), 1)) + CHANCE
        candidates = _candidates(metadata, level, words, alike, weight, share, ranges, inside)
        texts = metadata.said(level, [row for row, _ in candidates if row not in known][:MOST_READ])
        ranked = dict(candidates)
        nearly = []
        for row, text in texts.items():
            likeness = _likeness(words, alike, part(text))
            found = sum(w * like for w, like in zip(weight, likeness, strict=True))
            if all(likeness) or (share < 1 and found >= min(ENOUGH * sum(weight), max(chance, LEAST * sum(weight)))):
                nearly.append((round(found, 3), ranked[row], row))
        last = rows[-1].score if rows else float("inf")
        for evidence, score, row in sorted(nearly, key=lambda one: (-one[0], -one[1], one[2])):
            last = min(last, score)
            rows.append(Saying(row, last, evidence, False))
    return Found(level, words, rows, alike)


def shown(found: Found, text: str, *, exact: bool = True) -> tuple[str, tuple[Span, ...]]:
    """The part of a text around the words that were found, in one line, and where they stand in it."""
    parted = part(text)
    like = {} if exact or found.alike is None else found.alike.of
    spans = sorted({span for term in found.words.terms for span in _spans(term, parted, like)})
    return _around(text, _merged(spans))


def _counts(metadata: Metadata, level: str, words: Words) -> dict[str, int]:
    singles = [term.single for term in words.terms if term.single]
    return dict.fromkeys(singles, 0) | metadata.word_counts(level, singles)


def _candidates(
    metadata: Metadata,
    level: str,
    words: Words,
    alike: Alike,
    weight: Sequence[float],
    share: float,
    ranges: Sequence[tuple[int, int]],
    inside: np.ndarray | None,
) -> list[tuple[int, float]]:
    """Texts that may be near, those that have most of the words first."""
    chosen = rarest(alike, words, weight, share)
    parts = []
    for number in chosen:
        for term in words.groups[number]:
            if term.single:
                parts += [f'"{word}"' for word in alike.of[term.single]]
            elif len(term.words) > 1 and not term.quoted:
                parts += [f'"{word}"' for word in term.words]  # pairs of letters, any of them
            else:
                parts.append(term.expression)
    if not parts:
        return []
    expression = f"({' OR '.join(dict.fromkeys(parts))})"
    expression += f" NOT {either(words.without)}" if words.without else ""
    return metadata.rows_matching(level, expression, most=MOST_RANKED, ranges=ranges, inside=inside)


def _likeness(words: Words, alike: Alike, parted: Parted) -> list[float]:
    there = {word.word for word in (*parted.words, *parted.joined)}
    torn = {one.word + other.word for one, other in pairwise(parted.words)}
    return [max(alike.best(term, parted, there, torn) for term in group) for group in words.groups]


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
