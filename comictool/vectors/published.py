"""The door to other programs: columns of a store as packs `<split>_features.hdf5`, and rows of packs as columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from comictool import __version__
from comictool.core.errors import InputError
from comictool.core.ledger import Ledger
from comictool.datasets.packs.layout import index_file
from comictool.vectors.columns import ABSENT, PRESENT, Column
from comictool.vectors.packs import FeaturePack, Rows, names_digest, write_features
from comictool.vectors.parts import Piece, work_folder
from comictool.vectors.publish import publish
from comictool.vectors.store import Store
from comictool.vectors.tables import ALL, ENDINGS, pack_files, tables_of


def check_packs(output: Path, level: str, modality: str = "image") -> None:
    """Refuse a folder whose packs are not ours to replace.

    Raises:
        InputError: packs of another level, or that were written by something else.
    """
    for file in pack_files(output, modality).values():
        try:
            pack = FeaturePack(file, token=0)
        except InputError:
            continue  # damaged, or killed before its index was written: it is written anew
        pack.close()
        before = pack.attributes.get("level")
        if "tool" not in pack.attributes:
            raise InputError(f"{file} was not written by this program", hint="choose another -o")
        if before != level:
            raise InputError(
                f"{output} holds features with level {before}, not {level}",
                cause="all features of a folder must be comparable",
                hint="choose another -o, or delete that folder",
            )


def write_packs(
    store: Store, output: Path, level: str, modality: str = "image", *, split: str | None = None
) -> list[Path]:
    """Write a column as the published readers want it; packs that are current stay as they are.

    Args:
        split: only this one; `all`: everything in one; None: each that the rows have, or `all`.

    Returns:
        The packs, in the order train, val, test, all.

    Raises:
        InputError: no such column, or no row of that split has a vector.
    """
    tables = tables_of(store, level, modality, whole=split == ALL)
    column = store.columns[f"{level}/{modality}"].column
    written = []
    for name, table in tables.items():
        if split not in (None, name):
            continue
        facts = {**table.facts, "rows": names_digest([column.fingerprint, *table.comics, *table.names])}
        comics = ((comic, table.comic(number)) for number, comic in enumerate(table.comics))
        written.append(write_pack(output, name, modality, comics, facts, dtype=str(table.vectors.dtype)))
    if not written:
        raise InputError(
            f"{store.corpus} has no {level}s" + (f" in {split}" if split not in (None, ALL) else ""),
            hint=f"comictool data panels {store.corpus}" if level == "panel" else "",
        )
    return written


def write_pack(
    output: Path,
    split: str,
    modality: str,
    comics: Iterable[tuple[str, Rows]],
    facts: Mapping[str, Any],
    *,
    dtype: str = "float32",
) -> Path:
    """Write the pack of a split, unless it is there with the same facts.

    Args:
        comics: as `comictool.vectors.packs.write_features` takes them.
        facts: what to remember of the vectors; something in them must change whenever the vectors do.

    Returns:
        Its file.
    """
    file = output / f"{split}{ENDINGS.get(modality, ENDINGS['image'])}"
    facts = {**facts, "split": split, "tool": f"comictool {__version__}"}
    marks = json.dumps(facts, sort_keys=True, default=str).encode("ascii")
    contents = blake2b(marks, digest_size=12).hexdigest()
    if _contents(file) != contents:
        write_features(file, file.stem, comics, {**facts, "contents": contents}, dtype=dtype)
    return file


def write_column(root: Path, column: Column, pieces: Iterable[Piece]) -> Column:
    """Add a column to a store, or replace the one of that name; the others are not touched.

    Args:
        root: the store.
        column: what the vectors are.
        pieces: of comics: its name, names of rows as packs have them, (n, D) vectors. Rows that are not named are
            absent; names that the store does not have are refused.

    Returns:
        The column as it was written.

    Raises:
        InputError: a name that the store lacks, damaged vectors, or another run is writing the store.
    """
    with Ledger(work_folder(root), "store").writing(), Store.open(root) as store:
        ranges = {comic.comic: comic.range(column.level) for comic in store.metadata.comics()}
        rows = np.zeros(
            (store.counts[column.level], column.dimension), "float32" if column.dtype == "int8" else column.dtype
        )
        states = np.full(len(rows), ABSENT, np.uint8)
        known = [crop.name for _, _, crop in store.metadata.all_crops(column.level)]
        for comic, names, vectors in pieces:
            start, stop = ranges.get(comic, (0, 0))
            free: dict[str, list[int]] = {}
            for row in range(stop - 1, start - 1, -1):
                if states[row] == ABSENT:
                    free.setdefault(known[row], []).append(row)
            for name, vector in zip(names, vectors, strict=True):
                if not free.get(name):
                    raise InputError(f"{root} has no {column.level} {name!r} of {comic!r}")
                row = free[name].pop()
                rows[row], states[row] = vector, PRESENT
        others = [other for other in store.head.columns if other.name != column.name]
        head = publish(
            root, replace(store.head, columns=(*others, column)), blocks={column.name: lambda: [(rows, states)]}
        )
    written = head.column(column.name)
    assert written is not None
    return written


def _contents(file: Path) -> str:
    """What a pack was written from; empty when it is not there or not whole."""
    if not file.is_file() or not index_file(file).is_file():
        return ""
    try:
        pack = FeaturePack(file, token=0)
    except InputError:
        return ""
    pack.close()
    return str(pack.attributes.get("contents", ""))
