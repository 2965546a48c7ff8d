"""What may be typed as words: all of them, `"a phrase"`, `-without`, `this OR that`, `begin*`; and where they stand.

Case, accents, kinds of quotes and dashes do not matter (`comictool.vectors.words`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from comictool.core.errors import UsageError
from comictool.vectors.words import Parted, Word, is_spaceless, part

Span = tuple[int, int]
MOST_WORDS = 64  # of a query; the rest of a page that was pasted in says nothing more
_TERM = re.compile(r'(-?)"([^"]*)"(\*?)|(\S+)')
EITHER = "OR"


@dataclass(frozen=True)
class Term:
    """A word or phrase that is looked for.

    Attributes:
        words: folded, one after the other; of scripts without spaces pairs of letters.
        joined: the same as one word, where it was typed with a hyphen or an apostrophe; else empty.
        begins: whether the last word is only a beginning.
        quoted: typed in quotes: nothing merely alike is meant.
        shown: as it was typed.
    """

    words: tuple[str, ...]
    joined: str = ""
    begins: bool = False
    quoted: bool = False
    shown: str = ""

    @property
    def expression(self) -> str:
        """The same for FTS5; every word is quoted, so that nothing in it is an operator."""
        own = f'"{" ".join(self.words)}"' + (" *" if self.begins else "")
        return f'({own} OR "{self.joined}")' if self.joined else own

    @property
    def single(self) -> str:
        """The word, if it is a single whole one of a script with spaces; else empty."""
        one = len(self.words) == 1 and not (self.begins or self.quoted or self.joined)
        return self.words[0] if one and not is_spaceless(self.words[0]) else ""

    def spans(self, parted: Parted, like: Mapping[str, Iterable[str]] | None = None) -> Iterator[Span]:
        """Where it stands in a text.

        Args:
            like: by word, others that count as it.
        """
        accepted = [{word, *(like or {}).get(word, ())} for word in self.words]
        for first in range(len(parted.words) - len(accepted) + 1):
            here = parted.words[first : first + len(accepted)]
            if all(self._is(found, choice, n) for n, (found, choice) in enumerate(zip(here, accepted, strict=True))):
                one_letter = self.begins and is_spaceless(self.words[-1])  # of a pair
                yield here[0].start, here[-1].start + 1 if one_letter else here[-1].stop
        wanted = {self.joined} if self.joined else accepted[0] if len(accepted) == 1 else set()
        yield from ((word.start, word.stop) for word in parted.joined if word.word in wanted)

    def _is(self, found: Word, choice: set[str], number: int) -> bool:
        if self.begins and number == len(self.words) - 1:
            return found.word.startswith(self.words[-1])
        return found.word in choice


@dataclass(frozen=True)
class Words:
    """A query: of each group one term must be there, and none of `without`."""

    groups: tuple[tuple[Term, ...], ...]
    without: tuple[Term, ...] = ()

    @property
    def expression(self) -> str:
        """The same for FTS5."""
        wanted = " AND ".join(either(group) for group in self.groups)
        return f"({wanted}) NOT {either(self.without)}" if self.without else wanted

    @property
    def terms(self) -> list[Term]:
        """All that may be there."""
        return [term for group in self.groups for term in group]


def either(terms: Sequence[Term]) -> str:
    """One of them, for FTS5."""
    return f"({' OR '.join(term.expression for term in terms)})"


def parse_words(typed: str) -> Words:
    """What a user types.

    Raises:
        UsageError: no letter or digit in it, or only words that must not be there.
    """
    text = "".join(" " if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in typed)
    groups: list[list[Term]] = []
    without: list[Term] = []
    chained = False
    for minus, phrase, star, word in _TERM.findall(text):
        if word == EITHER and groups:
            chained = True
            continue
        leaves_out = bool(minus) or (word.startswith("-") and len(word) > 1)
        plain = word.lstrip("-") if leaves_out else word
        term = _term((phrase + star) if phrase else plain.strip('"'), quoted=bool(phrase))
        if term is None:
            continue
        if leaves_out:
            without.append(term)
        elif chained:
            groups[-1].append(term)
        else:
            groups.append([term])
        chained = False
    if not groups:
        said = "only words that must not be there" if without else "there is no word in it"
        raise UsageError(f"--text {typed!r}: {said}")
    return Words(tuple(map(tuple, groups[:MOST_WORDS])), tuple(without[:MOST_WORDS]))


def _term(text: str, *, quoted: bool) -> Term | None:
    parted = part(text)
    words = [word.word for word in parted.words]
    if not words:
        return None
    begins = text.endswith("*")
    if is_spaceless(words[-1]):
        if len(words[-1]) == 1 and len(words) > 1 and words[-2].endswith(words[-1]):
            words.pop()  # the last letter by itself, which need not end the sentence that is looked for
        elif len(words[-1]) == 1:
            begins = True
    joined = parted.joined[0].word if len(parted.joined) == 1 and not quoted and not begins else ""
    return Term(tuple(words[:MOST_WORDS]), joined, begins, quoted, text)
