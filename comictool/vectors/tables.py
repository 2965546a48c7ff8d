"""The vectors of one column in memory, split by split: from a store, or from packs that anybody wrote.

What is trained and evaluated reads its vectors here, whichever of the two lies at the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.core.files import parse_json
from comictool.datasets.splitting.folders import SPLITS, members, not_in_split, read_manifest
from comictool.vectors.metadata import PageRow
from comictool.vectors.packs import FeaturePack, names_digest
from comictool.vectors.store import OpenColumn, Store, read_head, store_at

ALL = "all"
ENDINGS = {"image": "_features.hdf5", "sequence": "_sequence_features.hdf5"}
_MAKING = ("comictool features backbone CORPUS -o FEATURES", "comictool features asterx FEATURES -o FEATURES")


@dataclass(frozen=True)
class Table:
    """The vectors of a split, N rows in reading order, comic after comic.

    Attributes:
        vectors: (N, D) float16 or float32.
        comics: names of the C comics.
        offsets: (C + 1,) int64; comic c has the rows offsets[c] to offsets[c + 1].
        names: of the N rows, `<page>_<panel>` or `<page>_<panel>_<identity>`.
        facts: what is known of them: `encoder_id`, `normalised`, `level`, `encoder` and more.
    """

    vectors: np.ndarray
    comics: list[str]
    offsets: np.ndarray
    names: list[str]
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """D."""
        return int(self.vectors.shape[1])

    @property
    def origin(self) -> str:
        """What made the vectors, for people and for comparing tables."""
        return str(self.facts.get("encoder_id") or self.facts.get("plugin") or "")

    @property
    def comic_of(self) -> np.ndarray:
        """(N,) int64: the number of each row's comic."""
        return np.repeat(np.arange(len(self.comics), dtype=np.int64), np.diff(self.offsets))

    @property
    def starts(self) -> np.ndarray:
        """(N,) int64: the first row of each row's comic."""
        return self.offsets[:-1][self.comic_of]

    @property
    def ends(self) -> np.ndarray:
        """(N,) int64: one past the last row of each row's comic."""
        return self.offsets[1:][self.comic_of]

    @property
    def identifiers(self) -> list[str]:
        """`<comic>/<page>_<panel>` of each row, as tables of panels and characters name them."""
        return [f"{self.comics[comic]}/{name}" for comic, name in zip(self.comic_of, self.names, strict=True)]

    def comic(self, number: int) -> tuple[list[str], np.ndarray]:
        """Names and vectors of a comic."""
        start, stop = self.offsets[number], self.offsets[number + 1]
        return self.names[start:stop], self.vectors[start:stop]

    def digest(self) -> str:
        """A short hash of names, order and vectors."""
        found = blake2b(names_digest([*self.comics, *self.names]).encode(), digest_size=8)
        found.update(np.ascontiguousarray(self.vectors).data)
        return found.hexdigest()


def read_tables(
    source: Path,
    *,
    level: str = "panel",
    modality: str = "image",
    splits: Sequence[str] = (),
    token: int | None = None,
    dtype: str = "float32",
) -> dict[str, Table]:
    """The vectors of a column by split, in the order train, val, test, others.

    Args:
        source: a store, a library, a pack, or a folder of packs. Of a folder with both, the store when it has the
            column. Of a pack, itself; with `splits` also those beside it.
        level, modality: of a store, which column; of a folder of packs, `sequence` are those in sequence.
        splits: only these; all that there are by default.
        token: for packs with several vectors a row; see `comictool.vectors.packs.FeaturePack`.
        dtype: float16 or float32.

    Raises:
        InputError: there are none, one is missing (with those that are there), or damaged.
    """
    found = _packs_at(source, level, modality)
    if found is None:
        with Store.open(store_at(source)) as store:
            tables = tables_of(store, level, modality, splits=splits, dtype=dtype)
        _demand(source, list(tables), splits, f"vectors {level}/{modality} of <split>", modality)
        return tables
    if source.is_file():
        found = {split_of(source): source} | ({} if set(splits) <= {split_of(source)} else found)
    _demand(source, found, splits, f"<split>{ENDINGS.get(modality, ENDINGS['image'])}", modality)
    return {
        split: read_pack(file, token=token, dtype=dtype) for split, file in found.items() if split in (splits or found)
    }


def splits_at(source: Path, *, level: str = "panel", modality: str = "image") -> list[str]:
    """The splits that `read_tables` can be asked for; of a pack also those beside it.

    Raises:
        InputError: there are none, or the store is damaged.
    """
    found = _packs_at(source, level, modality)
    if found is None:
        with Store.open(store_at(source)) as store:
            return list(_pages_by_split(store, _opened(store, f"{level}/{modality}")))
    _demand(source, found, (), f"<split>{ENDINGS.get(modality, ENDINGS['image'])}", modality)
    return list(found)


def _packs_at(source: Path, level: str, modality: str) -> dict[str, Path] | None:
    """The packs at a place by split, those beside a named one too; None where a store is read."""
    if source.is_file():
        if modality == "image" and source.name.endswith(ENDINGS["sequence"]):
            raise InputError(f"{source} is no pack of {level} features", cause="its vectors are those of sequences")
        return pack_files(source.parent, modality) | {split_of(source): source}
    packs = pack_files(source, modality)
    root = store_at(source)
    if (root / "zarr.json").is_file() and not (packs and read_head(root).column(f"{level}/{modality}") is None):
        return None
    return packs


def _demand(
    source: Path, found: Sequence[str] | dict[str, Path], splits: Sequence[str], kind: str, modality: str
) -> None:
    missing = [split for split in splits if split not in found]
    if not missing and found:
        return
    if not source.exists():
        raise InputError(f"{source} does not exist", hint=_MAKING[modality == "sequence"])
    raise InputError(
        f"{source} holds no {kind.replace('<split>', missing[0]) if missing else kind}",
        cause="they are of a corpus without splits" if ALL in found else "",
        hint="comictool data split CORPUS, then the features again"
        if ALL in found
        else _MAKING[modality == "sequence"],
        near=list(found),
    )


def pack_files(folder: Path, modality: str = "image") -> dict[str, Path]:
    """The packs of a folder by split, in the order train, val, test, others."""
    ending, sequences = ENDINGS.get(modality, ENDINGS["image"]), ENDINGS["sequence"]
    files = [file for file in folder.glob(f"*{ending}") if modality == "sequence" or not file.name.endswith(sequences)]
    return {split_of(file): file for file in sorted(files, key=lambda file: _order(split_of(file)))}


def split_of(file: Path) -> str:
    """The split that a pack's name tells."""
    return file.name.split("_", 1)[0].removesuffix(".hdf5")


def read_pack(file: Path, *, token: int | None = None, dtype: str = "float32") -> Table:
    """The vectors of one pack.

    Raises:
        InputError: as for `comictool.vectors.packs.FeaturePack`.
    """
    pack = FeaturePack(file, token=token)
    try:
        vectors = pack.stacked(dtype) if len(pack) else np.zeros((0, 1), dtype)
    finally:
        pack.close()
    facts = dict(pack.attributes)
    if isinstance(facts.get("encoder"), str):  # HDF5 attributes are plain; tables are kept in JSON
        facts["encoder"] = parse_json(facts["encoder"], f"the attribute encoder of {file}")
    names = [pack.names(comic) for comic in pack.comics()]
    offsets = np.cumsum([0, *map(len, names)], dtype=np.int64)
    return Table(vectors, pack.comics(), offsets, [name for own in names for name in own], facts)


def tables_of(
    store: Store, level: str, modality: str, *, splits: Sequence[str] = (), whole: bool = False, dtype: str = ""
) -> dict[str, Table]:
    """The rows that have a vector in a column of a store, by split; in the order of `splits.json` where it is there.

    Args:
        splits: only these.
        whole: all in one, under `all`, whatever their split.
        dtype: float16 or float32; as stored by default.

    Raises:
        InputError: no such column (with those that there are).
    """
    if dtype not in ("", "float16", "float32"):
        raise UsageError(f"vectors are read as float16 or float32, not as {dtype}")
    opened = _opened(store, f"{level}/{modality}")
    column = opened.column
    facts = {
        "encoder_id": column.encoder_id,
        "plugin": column.encoder_id.split("@", 1)[0],
        "dimension": column.dimension,
        "normalised": column.normalised,
        "level": level,
        "encoder": column.encoder,
        "reads": list(column.reads),
        **column.settings,
    }
    pages = _pages_by_split(store, opened, whole=whole)
    tables = {}
    for split, own in pages.items():
        if split not in (splits or pages):
            continue
        comics, offsets, names, rows = [], [0], [], []
        for comic in _in_order(store, split, own):
            crops = [found for page in own[comic] for found in store.metadata.crops_of(level, page.row)]
            there = [(row, crop.name) for row, crop in crops if opened.present[row]]
            comics.append(comic)
            rows += [row for row, _ in there]
            names += [name for _, name in there]
            offsets.append(len(rows))
        vectors = opened.rows.take(np.array(rows, np.int64))
        column.check(vectors, str(store.root))
        tables[split] = Table(
            vectors.astype(dtype or vectors.dtype, copy=False), comics, np.array(offsets, np.int64), names, facts
        )
    return tables


def _opened(store: Store, name: str) -> OpenColumn:
    if name not in store.columns:
        raise InputError(
            f"{store.root} has no vectors {name}", near=near_matches(name, store.columns) or list(store.columns)
        )
    return store.columns[name]


def _pages_by_split(store: Store, opened: OpenColumn, *, whole: bool = False) -> dict[str, dict[str, list[PageRow]]]:
    """The pages with vectors of each comic of each split, the splits in order."""
    pages: dict[str, dict[str, list[PageRow]]] = {}
    for page in store.metadata.all_pages():
        if opened.present[slice(*page.range(opened.column.level))].any():
            split = ALL if whole or not page.split else page.split
            pages.setdefault(split, {}).setdefault(page.comic, []).append(page)
    if not whole and len(pages) > 1:
        pages.pop(ALL, None)  # pages that no split has
    return {split: pages[split] for split in sorted(pages, key=_order)}


def _in_order(store: Store, split: str, comics: dict[str, list[PageRow]]) -> list[str]:
    """The comics of a split in the order of `splits.json`; else in one that does not depend on their present names.

    Raises:
        InputError: the corpus was split anew since.
    """
    from comictool.corpus.views import in_stable_order, original_names

    manifest = read_manifest(store.corpus) if split in SPLITS and store.corpus.is_dir() else None
    if manifest is not None:
        pages = ((page.comic, page.page) for own in comics.values() for page in own)
        if stale := not_in_split(manifest, split, pages):
            raise InputError(
                f"the vectors of {store.root} are of an older split",
                cause=f"they have {stale} in {split}, splits.json has not",
                hint="make them again with the same command; only the split is written",
            )
        return [comic for comic in members(manifest, split) if comic in comics]
    return in_stable_order(list(comics), original_names(store.corpus)) if store.corpus.is_dir() else list(comics)


def _order(split: str) -> tuple[int, str]:
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)
