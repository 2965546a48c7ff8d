"""Answering queries by words from the text that a store keeps (FTS5); imports neither torch nor zarr."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from comictool.core.errors import InputError, UsageError
from comictool.search.query import Hit, chosen_ranges, find_store, located_hits
from comictool.search.store import Store

_TERM = re.compile(r'"([^"]*)"|(\S+)')
# Written without spaces between words: the index, which parts text at spaces, holds whole sentences as one word.
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


@dataclass(frozen=True)
class TextHit(Hit):
    """One answer. `score` is BM25, higher is better, without a fixed scale; `text` the place that matched."""

    text: str = ""


def query_text(
    root: Path,
    words: str,
    *,
    k: int = 10,
    level: str | None = None,
    comic_glob: str | None = None,
    group_by: str | None = None,
) -> list[TextHit]:
    """The k panels or pages whose text matches best, by BM25 (Robertson and Zaragoza 2009, as SQLite's FTS5 has it).

    Args:
        root: a store, or a library with one inside.
        words: all of them must occur, in any order; `"in quotes"` one after the other; `begin*` as a beginning.
            Case and accents do not matter. Words of scripts without spaces are looked for anywhere in the text, and
            answers then come by how often they occur.
        level: `panel` or `page`; by default panels, and pages when no panel matches (text outside of panels is only
            that of its page).
        comic_glob, group_by: as in `comictool.search.query.query_store`.

    Raises:
        UsageError: no words, or an unknown level.
        InputError: a store without text, no comic of that name, a damaged or foreign store.
    """
    terms = parse_words(words)
    if k < 1:
        raise UsageError(f"{k} answers: ask for 1 or more")
    if level not in (None, "panel", "page"):
        raise UsageError(f"the level is panel or page, not {level!r}")
    if group_by not in (None, "comic"):
        raise UsageError(f"answers can be grouped by comic, not by {group_by!r}")
    with Store.open(find_store(root)) as store:
        if not store.metadata.has_text():
            raise InputError(
                f"no page of {store.root} has text",
                cause="text comes with annotations that have it; pictures are not read for letters",
                hint=f"comictool embed CORPUS -o {store.root}, after the corpus has text",
            )
        for tried in [level] if level else ["panel", "page"]:
            ranges = chosen_ranges(store, tried, comic_glob)
            found = _first(store, tried, terms, ranges, k, grouped=group_by == "comic")
            if found:
                hits = located_hits(store, tried, [(row, score) for row, score, _ in found])
                return [TextHit(**vars(hit), text=text) for hit, (_, _, text) in zip(hits, found, strict=True)]
    return []


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


def _first(
    store: Store, level: str, terms: Sequence[str], ranges: Sequence[tuple[int, int]], k: int, *, grouped: bool
) -> list[tuple[int, float, str]]:
    """The best k rows within the ranges: row, score, and the text around the match."""
    if any(_is_without_spaces(term) for term in terms):
        answers = store.metadata.rows_containing(level, [term.strip('"*') for term in terms])
    else:
        answers = store.metadata.rows_matching(level, " ".join(terms))
    comics = [comic.range(level) for comic in store.metadata.comics()] if grouped else []
    seen: set[tuple[int, int]] = set()
    found = []
    for row, score, text in _within(answers, ranges):
        if grouped:
            own = next(found for found in comics if found[0] <= row < found[1])
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
