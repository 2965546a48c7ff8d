"""What a query needs of a place: its columns, the vectors and encoders to ask them with, and which rows may answer."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.duplicates.results import read_groups
from comictool.search.filters import Condition, admitted
from comictool.vectors.collection import Collection, SearchedColumn, StoreCollection
from comictool.vectors.metadata import Metadata

if TYPE_CHECKING:
    from comictool.core.images import Held
    from comictool.plugins.encoder import Encoder
    from comictool.plugins.load import EncoderSpec

IMAGE, TEXT = "image", "text"
DUPLICATES = "duplicates.json"  # in the corpus, where nothing else is named
MOST_RANGES = 64  # of rows that are asked for one by one


def only_level(place: Collection) -> str:
    """The level of the first column, where none is of pictures."""
    return next(iter(place.columns.values())).column.level if place.columns else "panel"


def columns_of(place: Collection, level: str, asked: Sequence[tuple[str, float]]) -> list[tuple[SearchedColumn, float]]:
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
            corpus = place.store.corpus if isinstance(place, StoreCollection) else "CORPUS"
            makes = f"comictool embed {corpus} -o {place.root} --level {level} --modality {modality}"
            raise InputError(
                f"{place.root} has no column {level}/{modality}",
                hint=makes if modality in (TEXT, "layout") else "",
                near=[f"{level}/{name}" for name in there],
            )
    return [(place.columns[f"{level}/{modality}"], weight) for modality, weight in wanted]


def stored_vector(place: Collection, column: SearchedColumn, level: str, row: int) -> np.ndarray:
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


def encoder_of(
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


def picture_of(image: Path | Held | None) -> np.ndarray:
    from comictool.core.images import decode_array

    assert image is not None
    try:
        return decode_array(image)
    except InputError as error:
        named = image if isinstance(image, Path) else image.name
        raise InputError(f"{named}: {error.fact}", cause=error.cause, hint=error.hint) from error


def text_vector(place: Collection, column: SearchedColumn, words: str, *, trust: bool, device: str) -> np.ndarray:
    """Words as the encoder of texts that made a column sees them: (1, D).

    Raises:
        InputError: the column does not say which, or it is not to be found, or another one now.
    """
    facts = column.column
    if not facts.encoder:
        raise InputError(f"{place.root} does not say which encoder of texts made {facts.name}")
    from comictool.plugins.load import EncoderSpec

    encoder = _text_encoder(EncoderSpec.recalled(facts.encoder, given=EncoderSpec("", trust=trust, device=device)))
    if encoder.encoder_id != facts.encoder_id:
        raise InputError(
            f"{facts.name} of {place.root} was made by {facts.encoder_id}, the plugin found is {encoder.encoder_id}",
            hint=f"comictool embed CORPUS -o {place.root} --modality text",
        )
    vectors: np.ndarray = encoder.embed_texts([words])
    return vectors


@lru_cache(maxsize=2)
def _loaded(spec: EncoderSpec) -> Encoder:
    """Loaded once for all pictures that a process asks with: it takes up to seconds."""
    from comictool.plugins.load import load_encoder

    return load_encoder(spec)


@lru_cache(maxsize=2)
def _text_encoder(spec: EncoderSpec) -> Any:
    from comictool.plugins.load import load_model

    return load_model(spec, "text-encoder")


def inside_of(
    place: Collection, level: str, glob: str | None, conditions: Sequence[Condition], without: str = ""
) -> tuple[np.ndarray | None, list[tuple[int, int]]]:
    """Which rows of a level may be answers.

    Args:
        without: a comic that is left out.

    Returns:
        (rows,) bool, or None for all; and the ranges of the comics among them, empty for all or when they are many.

    Raises:
        InputError: nothing of the place matches, with near names.
    """
    if glob is None and not conditions and not without:
        return None, []
    comics = [comic for comic in chosen_comics(place, level, glob) if comic[0] != without]
    ranges = joined_ranges(comics)
    last = max((stop for _, _, stop in place.comics(level)), default=0)
    inside = np.zeros(last, bool)
    for start, stop in ranges:
        inside[start:stop] = True
    if conditions:
        if not isinstance(place, StoreCollection):
            raise UsageError(f"{place.root} holds packs, of which nothing is known to filter by", hint="--comic GLOB")
        inside &= admitted(place.facts, level, conditions, str(place.root))
    return inside, ranges if len(ranges) <= MOST_RANGES else []


def groups_of(place: Collection, level: str, group_by: str | None, file: Path | None) -> np.ndarray | None:
    """(rows,) the group of each row of a level, of which only the best is an answer; None: each is its own.

    Args:
        group_by: `comic`, or `duplicates`: pages that show the same by a report of `data dedupe`, with what is on them.
        file: that report; the one in the corpus when None.

    Raises:
        InputError: there is none.
    """
    if group_by is None:
        return None
    comics = place.comics(level)
    if group_by == "comic":
        last = max((stop for _, _, stop in comics), default=0)
        found = np.zeros(last, np.int64)
        for number, (_, start, stop) in enumerate(comics):
            found[start:stop] = number
        return found
    if not isinstance(place, StoreCollection):
        raise UsageError(f"{place.root} holds packs, whose pages are not known", hint="--group-by comic")
    corpus = place.store.corpus
    report = file or corpus / DUPLICATES
    if not report.is_file():
        raise InputError(f"{report} does not exist", hint=f"comictool data dedupe {corpus} -o {report}")
    facts = place.facts
    names = {
        f"{facts.comics[comic]}/{page}": row
        for row, (comic, page) in enumerate(zip(facts.comic_of, facts.page, strict=True))
    }
    of_page = np.arange(len(facts.page))
    for group in read_groups(report):
        rows = [names[page] for page in group if page in names]
        of_page[rows] = min(of_page[rows], default=0)
    if level == "page":
        return of_page
    # The panels of pages that are the same stand for each other where there are as many, by their number.
    first, count = facts.first[level], facts.count[level]
    page = facts.page_of(level)
    own = np.arange(len(page))
    twin = of_page[page]
    place_in = own - first[page]
    same = count[twin] == count[page]
    return np.where(same, first[twin] + place_in, own)


def first_of_groups(rows: Sequence[int] | np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """The places of rows, best first, less those of whose group an earlier one is."""
    if groups is None:
        return np.arange(len(rows))
    _, first = np.unique(groups[np.asarray(rows, np.int64)], return_index=True)
    return np.sort(first)


def with_words(place: Collection, level: str | None) -> Metadata:
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


def chosen_comics(place: Collection, level: str, glob: str | None) -> list[tuple[str, int, int]]:
    """The comics that match a shell pattern."""
    comics = place.comics(level)
    chosen = [comic for comic in comics if glob is None or fnmatchcase(comic[0], glob)]
    if glob is not None and not chosen:
        raise InputError(
            f"no comic in {place.root} matches {glob!r}", near=near_matches(glob, [name for name, *_ in comics])
        )
    return chosen


def joined_ranges(comics: Sequence[tuple[str, int, int]]) -> list[tuple[int, int]]:
    """Neighbouring ranges as one."""
    out: list[tuple[int, int]] = []
    for _, start, stop in comics:
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], stop)
        elif stop > start:
            out.append((start, stop))
    return out
