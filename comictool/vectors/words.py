"""Words of lettering as they are indexed and looked for: folded, parted, and where each stands in the text.

Folded are case, accents, widths, kinds of quotes and dashes; a word that is broken at the end of a line is one word.
Scripts without spaces between words (Han, kana, Hangul, Thai, Lao, Khmer, Myanmar) are parted into overlapping pairs of
letters, so that a phrase of pairs is found wherever it stands in a sentence; lines of them run on (columns of a
balloon). The last letter of a run is a word of its own, so that every letter begins some word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

APOSTROPHE, HYPHEN = "'", "-"
_APOSTROPHES = "\u2018\u2019\u201b\u02bc\u2032\u00b4\u0060\uff07"
_HYPHENS = "\u2010\u2011\ufe63\uff0d"
_NOTHING = "\u00ad\u200b\u200c\u200d\u2060\ufeff"  # soft hyphen, joiners, marks of order
# Accents of Latin, Greek and Cyrillic, points of Hebrew, vowel signs of Arabic. Other marks (vowels of Indic scripts
# and of Thai, voicing of kana) are letters to their readers and stay.
_ACCENT = re.compile("[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u1dc0-\u1dff]")
# Hiragana and katakana with their marks, Han, Hangul, Thai, Lao, Myanmar, Khmer.
_SPACELESS = (
    "\u3005-\u3007\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ede"
    "\u1000-\u1049\u1050-\u109d\u1780-\u17d3"
)
_MARKS = "\u0300-\u036f\u0900-\u0963\u0966-\u0dff"  # letters and marks of Indic scripts, which \w would part
_LETTER = f"(?:[^\\W_{_SPACELESS}]|[{_MARKS}])"
_TIED = r"(?:'|-(?:[^\S\n]*\n\s*)?)"  # within a word, or a hyphen at the end of a line
_RUN = re.compile(f"{_LETTER}+(?:{_TIED}{_LETTER}+)*|[{_SPACELESS}]+(?:\\s+[{_SPACELESS}]+)*")
_PIECE = re.compile(f"{_LETTER}+")
_IS_SPACELESS = re.compile(f"[{_SPACELESS}]")
_SPACED_HANGUL = re.compile("(?<=[\uac00-\ud7a3])\\s+|\\s+(?=[\uac00-\ud7a3])")
LONGEST_WORD = 100  # characters; what is longer is no word, and is cut


class Word(NamedTuple):
    """A word, folded, and the half-open range of the text that it stands in."""

    word: str
    start: int
    stop: int


class Parted(NamedTuple):
    """The words of a text.

    Attributes:
        words: in their order.
        joined: what else they may be looked for as: `don't` and `week-end` also as one word, `some-` / `thing` as two.
    """

    words: list[Word]
    joined: list[Word]


def is_spaceless(text: str) -> bool:
    """Whether a script without spaces is in it."""
    return _IS_SPACELESS.search(text) is not None


def part(text: str) -> Parted:
    """The words of a text, in the order in which they are written."""
    folded, places = fold(text)
    words: list[Word] = []
    joined: list[Word] = []
    for found in _RUN.finditer(folded):
        run, start = found.group(), found.start()
        if run.isalnum() and (run.isascii() or not _IS_SPACELESS.match(run)):
            words.append(_word(run, start, start + len(run), places))
        elif _IS_SPACELESS.match(run):
            words += _pairs(run, start, places)
        else:
            pieces = [_word(p.group(), start + p.start(), start + p.end(), places) for p in _PIECE.finditer(run)]
            if len(pieces) == 1:
                words += pieces
                continue
            whole = _word("".join(piece.word for piece in pieces), start, start + len(run), places)
            broken = "\n" in run
            words += [whole] if broken else pieces
            joined += pieces if broken else [whole]
    return Parted(words, joined)


def fold(text: str) -> tuple[str, Sequence[int]]:
    """A text folded, and for each place in it (and for its end) the place in the text as it was."""
    if text.isascii():
        return text.lower().replace("`", "'"), range(len(text) + 1)
    letters: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        folded = _folded(letter)
        letters.append(folded)
        places += [place] * len(folded)
    places.append(len(text))
    whole = "".join(letters)
    return whole, places


def _word(word: str, start: int, stop: int, places: Sequence[int]) -> Word:
    first = places[start]
    return Word(word[:LONGEST_WORD], first, max(places[stop], first + 1))


def _pairs(run: str, start: int, places: Sequence[int]) -> Iterator[Word]:
    begin = 0
    for part_ in _SPACED_HANGUL.split(run):
        begin = run.index(part_, begin)
        letters = [place for place in range(begin, begin + len(part_)) if not run[place].isspace()]
        for number, place in enumerate(letters):
            last = letters[min(number + 1, len(letters) - 1)]
            pair = run[place] + (run[last] if last != place else "")
            yield _word(pair, start + place, start + last + 1, places)
        begin += len(part_)


@cache
def _folded(letter: str) -> str:
    if letter in _APOSTROPHES:
        return APOSTROPHE
    if letter in _HYPHENS:
        return HYPHEN
    if letter in _NOTHING:
        return ""
    if _IS_SPACELESS.match(letter):
        return unicodedata.normalize("NFKC", letter)
    plain = unicodedata.normalize("NFKD", letter)
    folded = _ACCENT.sub("", plain).casefold()
    return _ACCENT.sub("", unicodedata.normalize("NFKD", folded)) if not folded.isascii() else folded
