"""Answering queries: the rows of a store, or of packs, most like one of them, like a picture, or that say some words.

Nothing here imports torch, zarr or an image library unless a picture has to be embedded, so that asking by identifier
takes as long as reading the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from comictool.core.errors import UsageError, near_matches
from comictool.corpus.page_pictures import PagePicture
from comictool.search.approximate import nearest_by_index, usable_index
from comictool.search.asking import (
    IMAGE,
    TEXT,
    columns_of,
    encoder_of,
    first_of_groups,
    groups_of,
    inside_of,
    only_level,
    picture_of,
    stored_vector,
    text_vector,
    with_words,
)
from comictool.search.everyday import has_both_levels, pages_showing
from comictool.search.filters import parse_filters
from comictool.search.fusing import Part, fused, of_cosines, of_words
from comictool.search.nearest import Searched, cosines, nearest
from comictool.search.text_query import MOST_RANKED, Found, saying, shown
from comictool.search.wording import Words, parse_words
from comictool.vectors.collection import Collection, Described, SearchedColumn, StoreCollection, open_collection
from comictool.vectors.columns import LEVELS
from comictool.vectors.metadata import Box, Metadata

if TYPE_CHECKING:
    from comictool.core.images import Held
    from comictool.plugins.encoder import Encoder

COMIC, GROUPS = "comic", ("comic", "duplicates")
PARTS = ("image", "id", "text", "semantic")


@dataclass(frozen=True)
class Hit:
    """One answer.

    Attributes:
        score: the cosine, -1..1, with several columns their mean by weight; for words BM25, higher is better, without
            a fixed scale; for several questions how many deviations the row stands out (`search.fusing`).
        panel, box: None for pages.
        identity: of a character; else empty.
        image: the picture of the page, or without a box that of the row itself; it may be gone by now.
            In a dictionary it is a path, or None for a page that is in a comic file only.
        source, member: the comic file or folder that the page was imported from, and its name in there.
        text: the place that matched, for words, in one line.
        spans: where the words stand in `text`, as half-open ranges of its characters.
        why: by question its own `score`, and how far that stands out: `z` in deviations of several questions together,
            `evidence` in nats of words, from 0 to 1 of pictures. What the row lacks (no text, no vector) is not in it.
        match: for pictures that are looked for at both levels, `same`, `similar` or empty; see `search.everyday`.
        found_by: then what decided: `page`, `panel`, or `panels` of the picture asked with. For words `words`, or
            `near` where some are only alike or lacking.
    """

    rank: int
    id: str
    score: float
    comic: str
    page: int
    panel: int | None
    identity: str
    box: Box | None
    image: PagePicture | None
    type: str
    split: str
    source: str = ""
    member: str = ""
    text: str = ""
    match: str = ""
    found_by: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    why: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and tables."""
        box, image = (list(self.box) if self.box else None), (str(self.image) if isinstance(self.image, Path) else None)
        return {**asdict(self), "box": box, "image": image}


@dataclass(frozen=True)
class Query:
    """What is asked: one or several of `image`, `id`, `text` and `semantic`.

    Attributes:
        image: a picture to look for, a file or one in memory that has a name; embedded by the plugin that made the
            column.
        id: `comic/page`, `comic/page/panel` or `comic/page/panel/identity`; never among its own answers.
        text: words that must all occur, in any order; `"in quotes"` one after the other; `begin*` as a beginning;
            `this OR that`; `-without`. Case, accents, quotes and dashes do not matter. Words of scripts without spaces
            are looked for anywhere in the text. See `search.text_query` for what comes after exact answers.
        semantic: words to be understood: embedded by the encoder of texts that made the column `text`.
        weights: of several questions, by name (`image`, `id`, `text`, `semantic`), above 0; 1 by default.
        filters: conditions on answers, see `search.filters`.
        exact: no answers in which words are only alike, or lack; vectors are compared with every row.
        ann: vectors are compared with those that an index finds (`search.approximate`); by default that is done when
            there is one of a large column, and nothing forbids it.
        k: how many answers.
        offset: how many of the best are left out, for the next page of answers.
        level: page, panel or character, or comic for the best answer of each under its name. By default what `id`
            names, for a picture pages and panels at once, in every way that it can be seen (`search.everyday`), where
            the place has both, and for words panels, or pages when no panel matches (text outside of panels is only
            that of its page).
        columns: modalities with their weights; by default `image`, or the only one that there is.
        comic_glob: only comics whose name matches this shell pattern.
        exclude_same_comic: leave out the comic of `id`.
        group_by: `comic`: only the best answer of each comic; `duplicates`: only the best of pages that show the same.
        duplicates: the report of `data dedupe` that says which; `duplicates.json` in the corpus by default.

    Raises:
        UsageError: contradicting or missing values.
    """

    image: Path | Held | None = None
    id: str | None = None
    text: str | None = None
    k: int = 10
    level: str | None = None
    columns: tuple[tuple[str, float], ...] = ()
    comic_glob: str | None = None
    exclude_same_comic: bool = False
    group_by: str | None = None
    exact: bool = False
    offset: int = 0
    semantic: str | None = None
    weights: tuple[tuple[str, float], ...] = ()
    filters: tuple[str, ...] = ()
    duplicates: Path | None = None
    ann: bool = False

    def __post_init__(self) -> None:
        if not self.parts:
            raise UsageError(
                "a query needs a picture, an id or words",
                hint="--image FILE, --id comic/page[/panel[/identity]], --text WORDS, or --semantic WORDS",
            )
        if self.ann and self.exact:
            raise UsageError("either the index (--ann) or every row (--exact)")
        for name, weight in self.weights:
            if name not in self.parts:
                raise UsageError(f"--weights {name}: that is not asked", near=near_matches(name, self.parts))
            if not 0 < weight < float("inf"):
                raise UsageError(f"--weights {name}: a weight is above 0")
        if self.semantic is not None and not self.semantic.strip():
            raise UsageError("--semantic: there is no word in it")
        if self.k < 1:
            raise UsageError(f"{self.k} answers: ask for 1 or more")
        if self.offset < 0:
            raise UsageError(f"{self.offset} answers left out: that is 0 or more")
        levels = (*LEVELS, COMIC)
        if self.level is not None and self.level not in levels:
            raise UsageError(
                f"the level is {', '.join(levels)}, not {self.level!r}", near=near_matches(self.level, levels)
            )
        if self.group_by not in (None, *GROUPS):
            raise UsageError(f"answers can be grouped by {' or '.join(GROUPS)}, not by {self.group_by!r}")
        parse_filters(self.filters)
        if self.exclude_same_comic and self.id is None:
            raise UsageError("--exclude-same-comic needs --id: nothing else is of a comic")
        if any(not weight > 0 for _, weight in self.columns):
            raise UsageError("the weight of a column is above 0")

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what is asked."""
        return tuple(name for name in PARTS if getattr(self, name) is not None)


def query(
    place: Path | Collection, asked: Query, *, encoder: Encoder | None = None, trust: bool = False, device: str = "auto"
) -> list[Hit]:
    """The answers to a query, best first; equal scores in natural order of identifiers.

    Args:
        place: a store, a library with one inside, a pack or a folder of packs; or what `open_collection` gave.
        encoder: used for a picture instead of loading the column's own.
        trust: let the plugin run its own code this once.
        device: where a torch encoder runs.

    Raises:
        InputError: no such identifier (with near ones), column or comic, an unreadable picture, no text, damaged files.
    """
    if isinstance(place, Path):
        with open_collection(place) as opened:
            return query(opened, asked, encoder=encoder, trust=trust, device=device)
    if asked.level == COMIC:
        hits = query(place, replace(asked, level=None, group_by=COMIC), encoder=encoder, trust=trust, device=device)
        return [replace(hit, id=hit.comic) for hit in hits]
    asking = _Asking(place, asked, encoder, trust, device)
    if len(asked.parts) > 1:
        return asking.by_several()
    if asked.text is not None:
        return asking.by_words()
    alone = asked.level is None and not asked.columns
    if asked.image is not None and alone and has_both_levels(place):
        return asking.everyday(place)
    return asking.by_vectors()


def columns_asked(place: Collection, asked: Query) -> list[str]:
    """The columns whose vectors one question alone is compared with; none for words, or for several questions."""
    if len(asked.parts) > 1 or asked.text is not None:
        return []
    if asked.level == COMIC:
        asked = replace(asked, level=None)
    asking = _Asking(place, asked, None, False, "auto")
    columns = ((TEXT, 1.0),) if asked.semantic is not None else asked.columns
    return [column.column.name for column, _ in columns_of(place, asking.level(), columns)]


class _Asking:
    """One query of an open place."""

    def __init__(self, place: Collection, asked: Query, encoder: Encoder | None, trust: bool, device: str) -> None:
        self.place, self.asked, self.conditions = place, asked, parse_filters(asked.filters)
        self.encoder, self.trust, self.device = encoder, trust, device
        self.own = place.find(asked.id) if asked.id is not None else None

    def by_vectors(self) -> list[Hit]:
        """One question that is a vector: cosines, with every row or those that an index finds."""
        asked, (name,) = self.asked, self.asked.parts
        level = self.level()
        questions = self.questions(level)
        searched = [
            Searched(column.rows, vectors, len(column.column.views), column.present, weight, column.column.normalised)
            for column, vectors, weight in questions
        ]
        inside, ranges = self.inside(level)
        wanted, itself = asked.offset + asked.k, self.itself(level)
        groups = groups_of(self.place, level, asked.group_by, asked.duplicates)
        found = None
        if not asked.exact:
            names = [column.column.name for column, *_ in questions]
            index = usable_index(self.place, names, wanted=asked.ann)
            if index is not None:
                (one,) = searched
                found = nearest_by_index(index, one, wanted, admitted=inside, without=itself, groups=groups)
        if found is None:
            found = nearest(searched, wanted, ranges=ranges or None, admitted=inside, without=itself, groups=groups)
        found = found[asked.offset :]
        described = self.place.describe(level, [row for row, _ in found])
        return [
            replace(_hit(rank, what, score), why={name: {"score": round(score, 4)}})
            for rank, (what, (_, score)) in enumerate(zip(described, found, strict=True), asked.offset + 1)
        ]

    def everyday(self, place: StoreCollection) -> list[Hit]:
        """A picture as people have them, among pages and panels at once."""
        asked = self.asked
        encoder = encoder_of(place, place.columns[f"page/{IMAGE}"], self.encoder, trust=self.trust, device=self.device)
        inside, _ = self.inside("page")
        found = pages_showing(place, encoder, picture_of(asked.image), inside)
        groups = groups_of(place, "page", asked.group_by, asked.duplicates)
        chosen = first_of_groups([answer.page for answer in found], groups)[asked.offset : asked.offset + asked.k]
        hits = []
        for rank, answer in enumerate((found[number] for number in chosen), start=asked.offset + 1):
            level, row = ("page", answer.page) if answer.panel is None else ("panel", answer.panel)
            (what,) = place.describe(level, [row])
            why = {"image": {"score": round(answer.score, 4), "evidence": round(answer.evidence, 4)}}
            hits.append(replace(_hit(rank, what, answer.score), match=answer.match, found_by=answer.found_by, why=why))
        return hits

    def by_words(self) -> list[Hit]:
        """Words alone, among panels, or pages when no panel has them."""
        asked = self.asked
        words = parse_words(asked.text or "")
        metadata = with_words(self.place, asked.level)
        wanted = asked.offset + asked.k
        most = -1 if asked.group_by else wanted  # of a group the best alone counts, so that all must be known
        found = [self.saying(metadata, asked.level or "panel", words, wanted, most)]
        if asked.level is None and not found[0].exact:
            # What is said over two panels is said on the page; words that are merely alike in a panel come after that.
            found.append(self.saying(metadata, "page", words, wanted, most))
        best = max(found, key=lambda one: (one.exact > 0, len(one.rows) > 0))
        groups = groups_of(self.place, best.level, asked.group_by, asked.duplicates)
        chosen = [int(n) for n in first_of_groups(best.rows, groups)[asked.offset : wanted]]
        described = self.place.describe(best.level, [int(best.rows[n]) for n in chosen])
        hits = []
        for rank, (what, n) in enumerate(zip(described, chosen, strict=True), asked.offset + 1):
            score = float(best.scores[n])
            why = {"text": {"score": score, "evidence": round(float(best.evidence[n]), 2)}}
            hits.append(self.said(replace(_hit(rank, what, score), why=why), metadata, best, n))
        return hits

    def by_several(self) -> list[Hit]:
        """Several questions, each measured against what is usual; see `search.fusing`."""
        asked, level = self.asked, self.level()
        weights = dict.fromkeys(asked.parts, 1.0) | dict(asked.weights)
        inside, _ = self.inside(level)
        parts: list[Part] = []
        for name in ("image", "id", "semantic"):
            for column, vectors, weight in self.questions(level, name) if name in asked.parts else ():
                facts = column.column
                one = Searched(column.rows, vectors, len(facts.views), column.present, 1.0, facts.normalised)
                scores = cosines(one, np.ones(len(column.present), bool)).max(axis=0)
                several = name if not (name == "id" and len(asked.columns) > 1) else f"id:{facts.modality}"
                parts.append(of_cosines(several, scores, column.present, weights[name] * weight))
        found, metadata = None, None
        if asked.text is not None:
            metadata = with_words(self.place, level)
            found = self.saying(metadata, level, parse_words(asked.text), MOST_RANKED)
            there = self.place.facts.text[level]  # type: ignore[attr-defined]
            parts.append(of_words(found, there, weights["text"]))
        rows = len(parts[0].present)
        total = fused(parts, np.ones(rows, bool) if inside is None else inside)
        total[self.itself(level)] = -np.inf
        order = np.argsort(-np.round(total, 6), kind="stable")
        order = order[: int(np.isfinite(total).sum())]
        groups = groups_of(self.place, level, asked.group_by, asked.duplicates)
        chosen = [int(row) for row in order[first_of_groups(order, groups)][asked.offset : asked.offset + asked.k]]
        said = {int(row): n for n, row in enumerate(found.rows)} if found is not None else {}
        hits = []
        for rank, (what, row) in enumerate(zip(self.place.describe(level, chosen), chosen, strict=True), 1):
            why = {
                part.name: {"score": round(float(part.scores[row]), 4), "z": round(float(part.deviations[row]), 2)}
                for part in parts
                if part.present[row]
            }
            hit = replace(_hit(asked.offset + rank, what, round(float(total[row]), 4)), why=why)
            if found is not None and metadata is not None and row in said:
                hit = self.said(hit, metadata, found, said[row])
            hits.append(hit)
        return hits

    def level(self) -> str:
        """The level of the answers."""
        asked, there = self.asked, self.place.columns
        if asked.level is not None:
            return asked.level
        if self.own is not None:
            return self.own[0]
        if asked.semantic is not None:
            return next((n for n in ("panel", "page") if f"{n}/{TEXT}" in there), "panel")
        if asked.text is not None and f"panel/{IMAGE}" in there:
            return "panel"
        return next((n for n in LEVELS if f"{n}/{IMAGE}" in there), only_level(self.place))

    def questions(self, level: str, name: str = "") -> list[tuple[SearchedColumn, np.ndarray, float]]:
        """What vectors are compared with which columns, with weights."""
        asked, how = self.asked, {"trust": self.trust, "device": self.device}
        name = name or asked.parts[0]
        if name == "semantic":
            ((column, _),) = columns_of(self.place, level, ((TEXT, 1.0),))
            return [(column, text_vector(self.place, column, asked.semantic or "", **how), 1.0)]  # type: ignore[arg-type]
        found = []
        for column, weight in columns_of(self.place, level, asked.columns):
            if name == "id":
                assert self.own is not None
                vectors = stored_vector(self.place, column, self.own[0], self.own[1])
            else:
                encoder = encoder_of(self.place, column, self.encoder, **how)  # type: ignore[arg-type]
                vectors = encoder.embed([picture_of(asked.image)])
            found.append((column, vectors, weight))
        return found

    def inside(self, level: str) -> tuple[np.ndarray | None, list[tuple[int, int]]]:
        """Which rows may be answers; see `search.asking.inside_of`."""
        without = self.own[2] if self.asked.exclude_same_comic and self.own is not None else ""
        return inside_of(self.place, level, self.asked.comic_glob, self.conditions, without)

    def itself(self, level: str) -> list[int]:
        """The row that was asked with."""
        return [self.own[1]] if self.own is not None and self.own[0] == level else []

    def saying(self, metadata: Metadata, level: str, words: Words, enough: int, most: int = -1) -> Found:
        """What is said at a level."""
        inside, ranges = self.inside(level)
        near = not self.asked.exact
        return saying(metadata, level, words, inside=inside, ranges=ranges, enough=enough, most=most, near=near)

    def said(self, hit: Hit, metadata: Metadata, found: Found, number: int) -> Hit:
        """An answer, the one of this number, with its words."""
        row, exact = int(found.rows[number]), number < found.exact
        text, spans = shown(found, metadata.said(found.level, [row]).get(row, ""), exact=exact)
        return replace(hit, text=text, spans=spans, found_by="words" if exact else "near")


def _hit(rank: int, what: Described, score: float) -> Hit:
    return Hit(
        rank,
        what.id,
        score,
        what.comic,
        what.page,
        what.panel,
        what.identity,
        what.box,
        what.image,
        what.type,
        what.split,
        what.source,
        what.member,
    )
