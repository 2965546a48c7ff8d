"""What a run of `embed` has to do: which rows keep the vectors that a store has, and what is encoded for the others.

A vector is kept as long as its picture, its box and the settings of its column are the same. So a character that is
named, a panel that is added or a page that moves costs no vector of anything else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from comictool.core.files import state_of
from comictool.core.jobs import Item
from comictool.corpus.page_pictures import BY_CONTENT
from comictool.vectors.columns import ABSENT, Column
from comictool.vectors.metadata import CROPS, NOWHERE, ComicFacts, CropEntry, PageEntry, PageRow
from comictool.vectors.pages import ComicState, Place, SourcePage, Target, entry_fingerprint
from comictool.vectors.pictures import Picture
from comictool.vectors.sources import Wanted
from comictool.vectors.store import Store

# What a kill can cost a worker: some ten seconds of a slow encoder.
ITEM_ROWS, ITEM_PICTURES = 256, 256


@dataclass(slots=True)
class PlannedPage:
    """A page of the source.

    Attributes:
        id: `comic/page`.
        split: that it belongs to.
        old: where it lies in the store with this very picture, or None.
        entry: what is to be told of it; None: what the store tells already.
        kept: by level the old row of each panel and character, -1 for none; None: those of `old`, in their order.
        work: the pictures to encode, with what each of their parts is.
        item: the number of its item.
    """

    id: str
    split: str
    old: PageRow | None
    entry: PageEntry | None
    kept: dict[str, np.ndarray] | None
    work: list[tuple[Picture, list[Target]]]
    item: int = -1

    @property
    def comic(self) -> str:
        """Its comic."""
        return self.id.rpartition("/")[0]

    def rows(self, level: str) -> np.ndarray:
        """The old rows of its rows at a level, -1 for none."""
        if self.kept is not None and level in self.kept:
            return self.kept[level]
        if self.old is not None:
            return np.arange(*self.old.range(level))
        return np.full(1, -1) if level == "page" or self.entry is None else np.full(len(self.entry.crops(level)), -1)


@dataclass
class Plan:
    """All pages in the order of the rows to be, the items of the job, and the states and facts of comics."""

    pages: list[PlannedPage] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    facts: dict[str, ComicFacts] = field(default_factory=dict)


def make_plan(
    place: Place,
    wanted: Wanted,
    columns: Mapping[str, Column],
    store: Store | None,
    *,
    split: str | None = None,
    anew: bool = False,
) -> Plan:
    """Read the source once and set it against what a store has.

    Args:
        columns: those of the run, by level.
        split: encode only pages of this split.
        anew: encode even what the store has.
    """
    states: dict[str, np.ndarray] = {}
    if store is not None and not anew:
        found = {level: store.columns.get(column.name) for level, column in columns.items()}
        states = {level: column.states for level, column in found.items() if column is not None}
    complete = set(states) == set(columns) and all(bool(state.all()) for state in states.values())
    plan = Plan()
    marks: list[list[str]] = []
    groupings: dict[str, _Grouping] = {}  # one a split, so that its items are the same whatever split is asked for
    current: dict[str, int] = {}
    old: dict[int, PageRow] = {}

    def add(planned: PlannedPage, digest: str, parts: int, pictures: int) -> None:
        if split in (None, planned.split):
            if groupings.setdefault(planned.split, _Grouping()).begins(planned.comic, parts, pictures):
                current[planned.split] = len(marks)
                marks.append([])
            planned.item = current[planned.split]
            marks[planned.item].append(digest)
        else:
            planned.work = []
        plan.pages.append(planned)

    known = {comic.comic: comic for comic in store.metadata.comics()} if store is not None else {}

    unread: set[str] = set()  # comics that are as the store has them
    views = len(columns["page"].views) if "page" in columns else 0
    for page in place.pages_and_states(wanted, unread.__contains__):
        if isinstance(page, ComicState):
            old = {row.page: row for row in store.metadata.pages_of(page.comic)} if store is not None else {}
            plan.states[page.comic] = page.state
            if page.facts:
                plan.facts[page.comic] = page.facts
            same = complete and bool(page.state) and page.comic in known and known[page.comic].state == page.state
            if same and _pictures_stay(place.root, old.values()):
                unread.add(page.comic)
                for row in old.values():
                    parts = views + sum(len(range(*row.range(level))) for level in CROPS if level in columns)
                    add(PlannedPage(row.id, row.split, row, None, None, []), row.digest, parts, 1)
            continue
        entry = page.entry
        planned = _planned(page, old.get(entry.page), columns, states, store, complete)
        parts = sum(level in columns for _, targets in page.pictures for level, _ in targets)
        add(planned, entry.digest, parts, len(page.pictures))
    plan.items = list(_items(plan.pages, marks))
    return plan


def _pictures_stay(root: Path, rows: Iterable[PageRow]) -> bool:
    """Whether the picture of each page is what it was. Of one kept by reference its record tells, which is the same."""
    for row in rows:
        if row.fingerprint.startswith(BY_CONTENT):
            continue
        try:
            state = state_of(os.stat(root / row.image))
        except (OSError, ValueError):
            return False
        if row.fingerprint != entry_fingerprint(state, row.image, row.width, row.height):
            return False
    return True


def _planned(
    page: SourcePage,
    old: PageRow | None,
    columns: Mapping[str, Column],
    states: Mapping[str, np.ndarray],
    store: Store | None,
    complete: bool,
) -> PlannedPage:
    entry = page.entry
    if old is not None and store is not None and old.fingerprint == entry.fingerprint:
        same = old.digest == entry.digest
        if same and complete:
            return PlannedPage(entry.id, entry.split, old, None, None, [])
        kept = None if same else {level: _kept(store, level, old, entry.crops(level)) for level in CROPS}
        planned = PlannedPage(entry.id, entry.split, old, None if same else entry, kept, [])
    else:
        planned = PlannedPage(entry.id, entry.split, None, entry, None, [])
    has = {level: _has(planned.rows(level), states.get(level)) for level in columns}
    for picture, targets in page.pictures:
        numbers = [
            number
            for number, (level, place) in enumerate(targets)
            if level in columns and not has[level][0 if level == "page" else place]
        ]
        if numbers or (not targets and planned.old is None and (picture.error or picture.problems)):
            parts = tuple(picture.parts[number] for number in numbers)
            planned.work.append((replace(picture, parts=parts), [targets[number] for number in numbers]))
    return planned


def _kept(store: Store, level: str, old: PageRow, crops: Sequence[CropEntry]) -> np.ndarray:
    """The old row of each panel or character that is cut as before."""
    rows = {_place(crop): row for row, crop in reversed(store.metadata.crops_of(level, old.row))}
    return np.array([rows.get(_place(crop), -1) for crop in crops], np.int64)


def _place(crop: CropEntry) -> object:
    return crop.box if crop.box != NOWHERE else crop.name


def _has(rows: np.ndarray, states: np.ndarray | None) -> np.ndarray:
    if states is None:
        return np.zeros(len(rows), bool)
    known = rows >= 0
    known[known] = states[rows[known]] != ABSENT
    return known


class _Grouping:
    """Neighbouring pages, across comics, as items: at most some hundred rows, but whole pages.

    A comic that fills half an item ends it, so that a change in one comic leaves the items of later ones as they are.
    """

    def __init__(self) -> None:
        self._rows = self._pictures = 0
        self._comic: str | None = None

    def begins(self, comic: str, rows: int, pictures: int) -> bool:
        """Whether a page begins an item."""
        full = self._rows + rows > ITEM_ROWS or self._pictures + pictures > ITEM_PICTURES
        changed = comic != self._comic and 2 * self._rows >= ITEM_ROWS
        fresh = self._comic is None or ((full or changed) and self._pictures > 0)
        if fresh:
            self._rows = self._pictures = 0
        self._comic = comic
        self._rows += rows
        self._pictures += pictures
        return fresh


def _items(pages: Sequence[PlannedPage], marks: Sequence[Sequence[str]]) -> Iterator[Item]:
    members: list[list[PlannedPage]] = [[] for _ in marks]
    for page in pages:
        if page.item >= 0:
            members[page.item].append(page)
    for own, digests in zip(members, marks, strict=True):
        name = own[0].id if len(own) == 1 else f"{own[0].id} to {own[-1].id}"
        pictures = tuple(picture for page in own for picture, _ in page.work)
        yield Item(name, blake2b("/".join(digests).encode("ascii"), digest_size=12).hexdigest(), pictures)
