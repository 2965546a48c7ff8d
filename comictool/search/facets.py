"""How many answers there are of each series, comic, page type, character and year: for lists of filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from comictool.core.errors import UsageError
from comictool.search.asking import inside_of, with_words
from comictool.search.filters import parse_filters
from comictool.search.query import Query
from comictool.search.text_query import saying
from comictool.search.wording import parse_words
from comictool.vectors.collection import Collection, StoreCollection
from comictool.vectors.columns import LEVELS

FACETS = ("series", "comic", "type", "character", "year")
MOST_VALUES = 50


class Count(NamedTuple):
    """A value that answers have, and how many rows of them do."""

    value: str
    rows: int


def facets(
    place: Collection,
    asked: Query | None,
    *,
    filters: Sequence[str] = (),
    level: str | None = None,
    most: int = MOST_VALUES,
) -> dict[str, list[Count]]:
    """Of each of `FACETS` the commonest values among what may be answers, with their counts; empty if none is known.

    Counted are rows of the level asked for, panels by default, or pages where no panel was found: with words those
    that say them, else all that the filters let through, since everything is more or less like a picture.

    Args:
        asked: None: all that the filters let through.
        filters, level: used without a question; else they are the question's own.

    Raises:
        UsageError: packs, of which nothing is known to count.
        InputError: as `search.query.query`.
    """
    if not isinstance(place, StoreCollection):
        raise UsageError(f"{place.root} holds packs, of which nothing is known to count")
    facts, conditions = place.facts, parse_filters(asked.filters if asked is not None else filters)
    wanted, glob = (asked.level, asked.comic_glob) if asked is not None else (level, None)
    level = wanted if wanted in LEVELS else "panel" if facts.rows("panel") else "page"
    inside, ranges = inside_of(place, level, glob, conditions)
    rows = np.flatnonzero(inside) if inside is not None else np.arange(facts.rows(level))
    if asked is not None and asked.text is not None and level != "character":
        metadata, words = with_words(place, level), parse_words(asked.text)
        for other in (level, "page") if asked.level is None else (level,):
            level = other
            inside, ranges = inside_of(place, level, asked.comic_glob, conditions)
            near = not asked.exact
            enough = asked.offset + asked.k
            found = saying(metadata, level, words, inside=inside, ranges=ranges, enough=enough, near=near)
            rows = np.sort(found.rows).astype(np.int64)
            if len(rows):
                break
    pages = facts.page_of(level)[rows]
    of_comic = np.bincount(facts.comic_of[pages], minlength=len(facts.comics))
    told = {name: Counter[str]() for name in FACETS}
    for number in np.flatnonzero(of_comic):
        count = int(of_comic[number])
        told["comic"][facts.comics[number]] += count
        for name in ("series", "year"):
            if facts.facts and (value := facts.facts[number].get(name, "")):
                told[name][value] += count
    kinds = np.bincount(facts.names["type"][pages], minlength=len(facts.values["type"]))
    told["type"].update({value: int(count) for value, count in zip(facts.values["type"], kinds, strict=True) if count})
    told["character"].update(_characters(place, level, rows))
    return {
        name: [Count(*one) for one in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:most]]
        for name, counts in told.items()
    }


def _characters(place: StoreCollection, level: str, rows: np.ndarray) -> Counter[str]:
    """In how many of the rows each named character is."""
    facts = place.facts
    wanted = np.zeros(facts.rows(level), bool)
    wanted[rows] = True
    seen = set()
    for number, (name, page, panel) in enumerate(facts.identities):
        if not name or not 0 <= page < len(facts.page):
            continue
        row = {"page": page, "character": number, "panel": int(facts.first["panel"][page]) + panel - 1}[level]
        if 0 <= row < len(wanted) and wanted[row]:
            seen.add((name, row))
    return Counter(name for name, _ in seen)
