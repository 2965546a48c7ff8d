"""Which rows say some words: from the text that a store keeps (FTS5); imports neither torch nor zarr."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from comictool.core.errors import UsageError
from comictool.vectors.metadata import Metadata

Range = tuple[int, int]
_TERM = re.compile(r'"([^"]*)"|(\S+)')
# Written without spaces between words: the index, which parts text at spaces, holds whole sentences as one word.
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


def parse_words(words: str) -> list[str]:
    """What a user types as terms of FTS5, each quoted, so that nothing in it is an operator.

    Raises:
        UsageError: no letter or digit in it.
    """
    words = "".join(" " if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in words)
    terms = []
    for phrase, word in _TERM.findall(words):
        term = phrase or word.strip('"')
        beginning = term.endswith("*")
        if any(unicodedata.category(letter)[0] in "LN" for letter in term):
            terms.append('"' + term.rstrip("*").replace('"', "") + '"' + ("*" if beginning else ""))
    if not terms:
        raise UsageError(f"--text {words!r}: there is no word in it")
    return terms


def first_matching(
    metadata: Metadata, level: str, terms: Sequence[str], ranges: Sequence[Range], k: int, groups: Sequence[Range] = ()
) -> list[tuple[int, float, str]]:
    """The best k rows within the ranges: row, score, and the text around the match; of each group only the best.

    The score is BM25 (Robertson and Zaragoza 2009, https://doi.org/10.1561/1500000019) as SQLite's FTS5 has it
    (https://www.sqlite.org/fts5.html#the_bm25_function).
    """
    if any(_is_without_spaces(term) for term in terms):
        answers = metadata.rows_containing(level, [term.strip('"*') for term in terms])
    else:
        answers = metadata.rows_matching(level, " ".join(terms))
    seen: set[Range] = set()
    found = []
    for row, score, text in _within(answers, ranges):
        if groups:
            own = next(group for group in groups if group[0] <= row < group[1])
            if own in seen:
                continue
            seen.add(own)
        found.append((row, score, text))
        if len(found) == k:
            break
    return found


def _within(
    answers: Iterator[tuple[int, float, str]], ranges: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, float, str]]:
    return (answer for answer in answers if any(start <= answer[0] < stop for start, stop in ranges))


def _is_without_spaces(term: str) -> bool:
    return any(unicodedata.name(letter, "").startswith(_WITHOUT_SPACES) for letter in term)
