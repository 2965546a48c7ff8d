"""Answering queries: the rows of a store, or of packs, most like one of them, like a picture, or that say some words.

Nothing here imports torch, zarr or an image library unless a picture has to be embedded, so that asking by identifier
takes as long as reading the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.corpus.page_pictures import PagePicture
from comictool.search.everyday import has_both_levels, pages_showing
from comictool.search.nearest import Searched, nearest
from comictool.search.text_query import Found, Saying, saying, shown
from comictool.search.wording import Words, parse_words
from comictool.vectors.collection import Collection, Described, SearchedColumn, StoreCollection, open_collection
from comictool.vectors.columns import LEVELS
from comictool.vectors.metadata import Box, Metadata

if TYPE_CHECKING:
    from comictool.core.images import Held
    from comictool.plugins.encoder import Encoder
    from comictool.plugins.load import EncoderSpec

IMAGE = "image"
T = TypeVar("T")


@dataclass(frozen=True)
class Hit:
    """One answer.

    Attributes:
        score: the cosine, -1..1, with several columns their mean by weight; for words BM25, higher is better, without
            a fixed scale.
        panel, box: None for pages.
        identity: of a character; else empty.
        image: the picture of the page, or without a box that of the row itself; it may be gone by now.
            In a dictionary it is a path, or None for a page that is in a comic file only.
        source, member: the comic file or folder that the page was imported from, and its name in there.
        text: the place that matched, for words, in one line.
        spans: where the words stand in `text`, as half-open ranges of its characters.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and tables."""
        box, image = (list(self.box) if self.box else None), (str(self.image) if isinstance(self.image, Path) else None)
        return {**asdict(self), "box": box, "image": image}


@dataclass(frozen=True)
class Query:
    """What is asked: one of `image`, `id` and `text`.

    Attributes:
        image: a picture to look for, a file or one in memory that has a name; embedded by the plugin that made the
            column.
        id: `comic/page`, `comic/page/panel` or `comic/page/panel/identity`; never among its own answers.
        text: words that must all occur, in any order; `"in quotes"` one after the other; `begin*` as a beginning;
            `this OR that`; `-without`. Case, accents, quotes and dashes do not matter. Words of scripts without spaces
            are looked for anywhere in the text. See `search.text_query` for what comes after exact answers.
        exact: no answers in which words are only alike, or lack.
        k: how many answers.
        offset: how many of the best are left out, for the next page of answers.
        level: page, panel or character; by default what `id` names, for a picture pages and panels at once, in every
            way that it can be seen (`search.everyday`), where the place has both, and for words panels, or pages when
            no panel matches (text outside of panels is only that of its page).
        columns: modalities with their weights; by default `image`, or the only one that there is.
        comic_glob: only comics whose name matches this shell pattern.
        exclude_same_comic: leave out the comic of `id`.
        group_by: `comic`: only the best answer of each comic.

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

    def __post_init__(self) -> None:
        if sum(asked is not None for asked in (self.image, self.id, self.text)) != 1:
            raise UsageError(
                "a query needs one of a picture, an id and words",
                hint="--image FILE, --id comic/page[/panel[/identity]], or --text WORDS",
            )
        if self.k < 1:
            raise UsageError(f"{self.k} answers: ask for 1 or more")
        if self.offset < 0:
            raise UsageError(f"{self.offset} answers left out: that is 0 or more")
        if self.level is not None and self.level not in LEVELS:
            raise UsageError(
                f"the level is {', '.join(LEVELS)}, not {self.level!r}", near=near_matches(self.level, LEVELS)
            )
        if self.group_by not in (None, "comic"):
            raise UsageError(f"answers can be grouped by comic, not by {self.group_by!r}")
        if self.exclude_same_comic and self.id is None:
            raise UsageError("--exclude-same-comic needs --id: nothing else is of a comic")
        if any(not weight > 0 for _, weight in self.columns):
            raise UsageError("the weight of a column is above 0")


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
    if asked.text is not None:
        return _by_words(place, asked)
    if asked.image is not None and asked.level is None and not asked.columns and has_both_levels(place):
        return _everyday(place, asked, encoder, trust=trust, device=device)
    own = place.find(asked.id) if asked.id is not None else None
    level = asked.level or (
        own[0] if own else next((n for n in LEVELS if f"{n}/{IMAGE}" in place.columns), _only(place))
    )
    columns = _columns(place, level, asked.columns)
    searched = []
    for column, weight in columns:
        vectors = (
            _stored(place, column, own[0], own[1])
            if own is not None
            else _encoder(place, column, encoder, trust=trust, device=device).embed([_picture(asked.image)])
        )
        facts = column.column
        searched.append(Searched(column.rows, vectors, len(facts.views), column.present, weight, facts.normalised))
    comics = _chosen(place, level, asked.comic_glob)
    found = nearest(
        searched,
        asked.offset + asked.k,
        ranges=_joined([c for c in comics if not (asked.exclude_same_comic and own is not None and c[0] == own[2])]),
        without=[own[1]] if own is not None and own[0] == level else [],
        groups=np.array([start for _, start, stop in place.comics(level) if stop > start], np.int64)
        if asked.group_by
        else None,
    )[asked.offset :]
    described = place.describe(level, [row for row, _ in found])
    return [
        _hit(rank, what, score)
        for rank, (what, (_, score)) in enumerate(zip(described, found, strict=True), asked.offset + 1)
    ]


def _everyday(place: StoreCollection, asked: Query, encoder: Encoder | None, *, trust: bool, device: str) -> list[Hit]:
    assert asked.image is not None
    column = place.columns[f"page/{IMAGE}"]
    encoder = _encoder(place, column, encoder, trust=trust, device=device)
    chosen = _joined(_chosen(place, "page", asked.comic_glob))
    found = pages_showing(place, encoder, _picture(asked.image), chosen)
    if asked.group_by:
        best: dict[str, Any] = {}
        comics = {row: comic for comic, start, stop in place.comics("page") for row in range(start, stop)}
        for answer in found:
            best.setdefault(comics[answer.page], answer)
        found = list(best.values())
    hits = []
    for rank, answer in enumerate(found[asked.offset : asked.offset + asked.k], start=asked.offset + 1):
        level, row = ("page", answer.page) if answer.panel is None else ("panel", answer.panel)
        (what,) = place.describe(level, [row])
        hit = _hit(rank, what, answer.score)
        hits.append(replace(hit, match=answer.match, found_by=answer.found_by))
    return hits


def _only(place: Collection) -> str:
    """The level of the first column, where none is of pictures."""
    return next(iter(place.columns.values())).column.level if place.columns else "panel"


def _columns(place: Collection, level: str, asked: Sequence[tuple[str, float]]) -> list[tuple[SearchedColumn, float]]:
    there = [column.column.modality for column in place.columns.values() if column.column.level == level]
    if not there:
        known = sorted({column.column.level for column in place.columns.values()})
        raise InputError(
            f"{place.root} has no vectors of {level}s",
            cause=f"it has those of {' and '.join(f'{name}s' for name in known)}" if known else "",
            hint=f"comictool embed CORPUS -o {place.root} --level {level}",
        )
    wanted = asked or ((IMAGE if IMAGE in there else there[0], 1.0),)
    for modality, _ in wanted:
        if modality not in there:
            raise InputError(
                f"{place.root} has no column {level}/{modality}", near=[f"{level}/{name}" for name in there]
            )
    return [(place.columns[f"{level}/{modality}"], weight) for modality, weight in wanted]


def _stored(place: Collection, column: SearchedColumn, level: str, row: int) -> np.ndarray:
    """The vector of a row of the place itself, which may be of another level than the answers."""
    own = place.columns.get(f"{level}/{column.column.modality}")
    if own is None:
        raise InputError(f"{place.root} has no vectors of {level}s", hint=f"comictool embed --level {level}")
    if own.column.encoder_id != column.column.encoder_id:
        raise InputError(
            f"{own.column.name} and {column.column.name} of {place.root} are of different encoders",
            hint=f"--level {level}",
        )
    if not own.present[row]:
        raise InputError(f"this row has no vector {own.column.name} in {place.root}")
    # The first view is the whole page; more views of the query do not help (see comictool.vectors.views).
    return own.rows.take([row * len(own.column.views)]).astype(np.float32)


def _encoder(
    place: Collection, column: SearchedColumn, encoder: Encoder | None, *, trust: bool, device: str
) -> Encoder:
    """The encoder that made a column: the one given, or that which the column remembers."""
    facts = column.column
    if encoder is None:
        if not facts.encoder:
            raise InputError(
                f"{place.root} does not say which encoder of pictures made {facts.name}",
                cause="vectors of panels in their sequence have none" if facts.modality == "sequence" else "",
                hint="ask by --id" if facts.modality == "sequence" else "name it with --plugin, or ask by --id",
            )
        from comictool.plugins.load import EncoderSpec

        # Trust and device are the user's to give: what a file remembers runs no code.
        encoder = _loaded(EncoderSpec.recalled(facts.encoder, given=EncoderSpec("", trust=trust, device=device)))
    if encoder.dimension != facts.dimension or (facts.encoder_id and encoder.encoder_id != facts.encoder_id):
        raise InputError(
            f"{place.root} was made by {facts.encoder_id or f'an encoder of {facts.dimension} numbers'}, the plugin "
            f"found is {encoder.encoder_id}",
            cause="vectors of different encoders cannot be compared",
            hint=f"name the right one with --plugin, or embed again: comictool embed CORPUS -o {place.root}",
        )
    return encoder


@lru_cache(maxsize=2)
def _loaded(spec: EncoderSpec) -> Encoder:
    """Loaded once for all pictures that a process asks with: it takes up to seconds."""
    from comictool.plugins.load import load_encoder

    return load_encoder(spec)


def _picture(image: Path | Held | None) -> np.ndarray:
    from comictool.core.images import decode_array

    assert image is not None
    try:
        return decode_array(image)
    except InputError as error:
        named = image if isinstance(image, Path) else image.name
        raise InputError(f"{named}: {error.fact}", cause=error.cause, hint=error.hint) from error


def _by_words(place: Collection, asked: Query) -> list[Hit]:
    assert asked.text is not None
    words = parse_words(asked.text)
    metadata = _with_words(place, asked.level)
    levels = [asked.level] if asked.level else ["panel", "page"]
    found = [(level, *_saying(place, metadata, level, words, asked)) for level in levels[:1]]
    if len(levels) > 1 and not any(one.exact for one in found[0][2]):
        # What is said over two panels is said on the page; words that are merely alike in a panel come after that.
        found.append((levels[1], *_saying(place, metadata, levels[1], words, asked)))
    level, said, rows = max(found, key=lambda one: (any(row.exact for row in one[2]), len(one[2]) > 0))
    rows = rows[asked.offset : asked.offset + asked.k]
    texts = metadata.said(level, [one.row for one in rows])
    hits = []
    for rank, (what, one) in enumerate(zip(place.describe(level, [one.row for one in rows]), rows, strict=True), 1):
        text, spans = shown(said, texts.get(one.row, ""), exact=one.exact)
        hit = _hit(asked.offset + rank, what, one.score)
        hits.append(replace(hit, text=text, spans=spans, found_by="words" if one.exact else "near"))
    return hits


def _saying(
    place: Collection, metadata: Metadata, level: str, words: Words, asked: Query
) -> tuple[Found, list[Saying]]:
    """What is said at a level, and the answers, those that are left out among them."""
    chosen = _chosen(place, level, asked.comic_glob)
    ranges = _joined(chosen) if asked.comic_glob is not None else []
    enough = asked.offset + asked.k
    found = saying(metadata, level, words, ranges=ranges, enough=enough, near=not asked.exact)
    if not asked.group_by:
        return found, found.rows
    starts = np.array([start for _, start, stop in chosen if stop > start], np.int64)
    groups = np.searchsorted(starts, [one.row for one in found.rows], side="right")
    return found, first_of_groups(found.rows, groups)


def first_of_groups(rows: Sequence[T], groups: np.ndarray) -> list[T]:
    """The rows less those of whose group an earlier one is."""
    _, first = np.unique(groups, return_index=True)
    return [rows[place] for place in np.sort(first)]


def _with_words(place: Collection, level: str | None) -> Metadata:
    """What knows the words of a place."""
    if not isinstance(place, StoreCollection):
        raise UsageError(f"{place.root} holds packs, which have no words", hint="--id or --image")
    if level == "character":
        raise UsageError("text is found in panels and pages, not in characters")
    metadata = place.store.metadata
    if not metadata.has_text():
        raise InputError(
            f"no page of {place.root} has text",
            cause="text comes with annotations that have it, or is read from the pictures",
            hint=f"comictool embed CORPUS -o {place.root}, after the corpus has text",
        )
    if not metadata.has_words:
        raise InputError(
            f"{place.root} was made by an earlier comictool, whose index of words this one does not read",
            hint=f"comictool embed {place.store.corpus} -o {place.root} (vectors are kept)",
        )
    return metadata


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


def _chosen(place: Collection, level: str, glob: str | None) -> list[tuple[str, int, int]]:
    """The comics that match a shell pattern."""
    comics = place.comics(level)
    chosen = [comic for comic in comics if glob is None or fnmatchcase(comic[0], glob)]
    if glob is not None and not chosen:
        raise InputError(
            f"no comic in {place.root} matches {glob!r}", near=near_matches(glob, [name for name, *_ in comics])
        )
    return chosen


def _joined(comics: Sequence[tuple[str, int, int]]) -> list[tuple[int, int]]:
    """Neighbouring ranges as one."""
    out: list[tuple[int, int]] = []
    for _, start, stop in comics:
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], stop)
        elif stop > start:
            out.append((start, stop))
    return out
