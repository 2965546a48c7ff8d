"""Sampling keys: what two panels may have in common (the panel itself, comic, shape, colours, a character)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from comictool.core.errors import InputError, UsageError
from comictool.datasets.csv_tables import read_rows

BINNED = ("ratio", "intensity", "saturation")
KEYS = ("panel", "comic", *BINNED, "character")
HASH_ROWS = 1 << 14


class SamplingKey(Protocol):
    """Which panels are alike under a key."""

    def same(self, row: int) -> np.ndarray:
        """Ascending rows that have the key of a row in common, the row itself always among them."""


class ValueKey:
    """One value a panel.

    Args:
        values: (N,) integers, below 0 where the value is unknown; such a panel is like no other.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = np.asarray(values, np.int64)
        self._order = np.argsort(self.values, kind="stable")
        found, starts = np.unique(self.values[self._order], return_index=True)
        ends = np.append(starts[1:], len(self.values))
        self._places = {int(v): (int(a), int(b)) for v, a, b in zip(found, starts, ends, strict=True)}

    def same(self, row: int) -> np.ndarray:
        """See `SamplingKey`."""
        value = int(self.values[row])
        if value < 0:
            return np.array([row])
        start, end = self._places[value]
        return self._order[start:end]


class PanelKey:
    """A panel has nothing in common with any other."""

    def same(self, row: int) -> np.ndarray:
        """See `SamplingKey`."""
        return np.array([row])


class CopyKey:
    """Panels whose vectors are equal to the last bit: black ones, blank ones, an advertisement printed twice.

    Args:
        vectors: (N, D), D = 0 when nothing is known of them: then no panel is a copy.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        self._rows: dict[int, np.ndarray] = {}
        if not vectors.shape[1]:
            return
        hashes = row_hashes(vectors)
        order = np.argsort(hashes, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(hashes[order])) + 1) if _any_equal(hashes) else ():
            if len(rows) > 1:
                self._rows |= dict.fromkeys(rows.tolist(), rows)

    def same(self, row: int) -> np.ndarray:
        """See `SamplingKey`."""
        return self._rows.get(row, np.array([row]))

    def __contains__(self, row: int) -> bool:
        """Whether a panel has copies."""
        return row in self._rows


def row_hashes(vectors: np.ndarray) -> np.ndarray:
    """(N,) uint64, equal for rows of equal bits: their words times odd numbers, summed modulo 2**64.

    Among a million different rows the chance that any two get the same number is below 1e-6.
    """
    words = np.ascontiguousarray(vectors).view(f"u{vectors.dtype.itemsize}")
    factors = np.random.default_rng(0).integers(1 << 63, size=words.shape[1], dtype=np.uint64) * np.uint64(2) + 1
    out = np.empty(len(words), np.uint64)
    for start in range(0, len(words), HASH_ROWS):  # a copy in 64 bits of all of them would double the memory
        out[start : start + HASH_ROWS] = (words[start : start + HASH_ROWS].astype(np.uint64) * factors).sum(axis=1)
    return out


def _any_equal(hashes: np.ndarray) -> bool:
    return len(np.unique(hashes)) < len(hashes)


class MemberKey:
    """Several values a panel, such as the characters in it: two panels are alike when they share one."""

    def __init__(self, members: Sequence[Iterable[str]]) -> None:
        self._of_row = [tuple(sorted(set(each))) for each in members]
        rows: dict[str, list[int]] = {}
        for row, each in enumerate(self._of_row):
            for member in each:
                rows.setdefault(member, []).append(row)
        self._rows = {member: np.array(each) for member, each in rows.items()}

    def same(self, row: int) -> np.ndarray:
        """See `SamplingKey`."""
        members = self._of_row[row]
        if not members:
            return np.array([row])
        return np.unique(np.concatenate([self._rows[member] for member in members]))


def read_key(
    key: str, identifiers: Sequence[str], comic_of: np.ndarray, folders: Sequence[Path], split: str
) -> tuple[SamplingKey, int]:
    """The key of a split's panels, and how many panels it is known for.

    `ratio`, `intensity` and `saturation` are the bins that `data metainfo` writes; `character` comes from
    `characters_indexing.csv` of `data export characters`.

    Args:
        key: one of `KEYS`; the original's spelling with `_level` is understood.
        identifiers: `<comic>/<page>_<panel>` of the N panels.
        comic_of: (N,) the number of each panel's comic.
        folders: where tables are looked for, in this order; the places they have in a corpus are looked at too.
        split: names `metainfo_<split>.csv`; `metainfo_all.csv` serves every split.

    Raises:
        UsageError: no such key.
        InputError: its table is missing, damaged, or about none of these panels.
    """
    plain = key.removesuffix("_level")
    if plain not in KEYS:
        raise UsageError(f"sampling key {key!r}: it is one of {', '.join(KEYS)}")
    if plain == "panel":
        return PanelKey(), len(identifiers)
    if plain == "comic":
        return ValueKey(comic_of), len(identifiers)
    if plain == "character":
        file = _find(folders, ("characters_indexing.csv", "annotations/characters_indexing.csv"), "export characters")
        found: dict[str, set[str]] = {}
        for line in read_rows(file, needed=("panel_id", "character")):
            found.setdefault(line["panel_id"], set()).add(line["character"])
        members = [found.get(name, set()) for name in identifiers]
        known = sum(1 for each in members if each)
        _demand(known, file)
        return MemberKey(members), known
    names = tuple(f"{place}metainfo_{part}.csv" for part in (split, "all") for place in ("", "processed/panels/"))
    file = _find(folders, names, f"metainfo --split {split}")
    bins = {}
    for line in read_rows(file, needed=("panel_id", f"{plain}_bin")):
        try:
            bins[line["panel_id"]] = int(line[f"{plain}_bin"])
        except ValueError as error:
            raise InputError(f"{file}: {plain}_bin of {line['panel_id']} is no whole number") from error
    values = np.array([bins.get(name, -1) for name in identifiers], np.int64)
    _demand(int((values >= 0).sum()), file)
    return ValueKey(values), int((values >= 0).sum())


def _find(folders: Sequence[Path], names: Sequence[str], command: str) -> Path:
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    looked = ", ".join(str(folder) for folder in folders) or "nowhere"
    raise InputError(
        f"{names[0]} was not found",
        cause=f"looked in {looked}",
        hint=f"comictool data {command} CORPUS, then name the corpus with --keys CORPUS",
    )


def _demand(known: int, file: Path) -> None:
    if not known:
        raise InputError(f"{file} is about none of these panels", hint="it belongs to another corpus or split")
