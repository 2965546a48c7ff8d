"""Feature packs: vectors in the HDF5 and JSON layout through which the methods exchange them.

```
<split>_features.hdf5           /<group>/<comic>/feat_data  (N, D) float32, one row a panel or character
<split>_features_indexing.json  {"<group>": {"<comic>": {"feat_data": [names in the order of the rows]}}}
```
The group is `<split>_features`, or `<split>_sequence_features` for contextual vectors; names are `<page>_<panel>` and
`<page>_<panel>_<identity>`, as in packs of pictures. The published readers ask for no more. Packs written here also say
in attributes of the group what made them, and each `feat_data` carries a digest of its names, so that an index of
another pack is noticed even where the counts agree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import escape
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from comictool.core.errors import InputError, UsageError, near_matches
from comictool.core.files import TEMPORARY_SUFFIX, write_json
from comictool.corpus.crop_names import comic_folder
from comictool.datasets.packs.hdf5 import explained, member, open_hdf5
from comictool.datasets.packs.layout import ByComic, index_file, read_index
from comictool.vectors.parts import Piece

FEATURES = "feat_data"
DIGEST = "names"  # attribute of a `feat_data`
DTYPES = ("float32", "float16")
Rows = tuple[Sequence[str], np.ndarray]


class FeaturePack(ByComic):
    """The vectors of a pack, comic by comic or stacked.

    Only the index and the group's attributes are read at first; the file is open until `close`.

    Args:
        file: `<split>_features.hdf5` or `<split>_sequence_features.hdf5`, its index beside it.
        token: for packs with several vectors a row, (N, T, D), as the published ASTERX writes them with T = 6: which
            one to read, 0 for `[CLS]`, 3 for the centre panel. Packs with one vector a row take no notice of it.

    Attributes:
        group: the group that the vectors lie in.
        attributes: what the writer said of them (plugin, level, normalised or not...); empty for published packs.

    Raises:
        InputError: no such pack; it holds pictures; its index is missing, damaged or another pack's.
    """

    def __init__(self, file: Path, *, token: int | None = None) -> None:
        self.file = Path(file)
        self.token = token
        self.group, self._names = _read_index(self.file)
        self._dimension: int | None = None
        self._open = open_hdf5(self.file)
        place = member(self._open, self.group, h5py.Group)
        if place is None:
            found = ", ".join(self._open) or "nothing"
            raise InputError(f"{self.file} has no group {self.group!r} as its index says, but {found}")
        self._place = place
        with explained(self.file):
            self.attributes: dict[str, Any] = {key: _plain(value) for key, value in place.attrs.items()}
            present = set(place)
        self._compare_comics(present)

    def __len__(self) -> int:
        return sum(len(names) for names in self._names.values())

    @property
    def dimension(self) -> int:
        """D, numbers in a vector.

        Raises:
            InputError: the pack holds no comic to tell it by, or is damaged.
        """
        if self._dimension is None:
            if self._names:
                self._dimension = self._shape(next(iter(self._names)))[-1]
            elif isinstance(self.attributes.get("dimension"), int):
                self._dimension = int(self.attributes["dimension"])
            else:
                raise InputError(f"{self.file} holds no vectors")
        return self._dimension

    def matrix(self, comic: str) -> np.ndarray:
        """(N, D) float32, one row for each of `names(comic)`.

        Raises:
            InputError: no such comic, or its vectors do not fit the index, the dimension of the others or float32, or
                are not finite numbers.
        """
        out = np.empty((len(self.names(comic)), self.dimension), np.float32)
        self._read(comic, out)
        return out

    def stacked(self, dtype: str = "float32") -> np.ndarray:
        """(total, D): all vectors, comic after comic; 1.2 million rows of 384 take 0.9 GB in float16.

        Raises:
            UsageError: neither float32 nor float16.
            InputError: as `matrix`; also when a number is beyond float16 (65,504).
        """
        if dtype not in DTYPES:
            raise UsageError(f"vectors are stacked as {' or '.join(DTYPES)}, not as {dtype}")
        vectors, start = np.empty((len(self), self.dimension), dtype), 0
        for comic, names in self._names.items():
            self._read(comic, vectors[start : start + len(names)])
            start += len(names)
        return vectors

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def _compare_comics(self, present: set[str]) -> None:
        lacking = [comic for comic in self._names if comic not in present]
        if lacking:
            some = ", ".join(repr(comic) for comic in lacking[:3])
            raise InputError(
                f"{self.file} lacks {len(lacking)} of the {len(self._names)} comics of its index: {some}",
                cause="pack and index do not belong together",
                near=near_matches(lacking[0], present),
            )
        beyond = sorted(present - self._names.keys())
        if beyond:
            some = ", ".join(repr(comic) for comic in beyond[:3])
            raise InputError(
                f"{self.file} holds {len(beyond)} comics that its index does not name: {some}",
                cause="pack and index do not belong together",
            )

    def _dataset(self, comic: str) -> Any:
        place = member(self._place, comic, h5py.Group)
        data = member(place, FEATURES, h5py.Dataset) if place is not None else None
        if data is None:
            raise InputError(f"{self.file}: {comic} has no {FEATURES}")
        return data

    def _shape(self, comic: str) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._dataset(comic).shape
        if len(shape) == 3 and self.token is None:
            raise InputError(
                f"{self.file}: {comic} has {shape[1]} vectors a row, {shape}",
                cause="the published ASTERX writes [CLS] and its five panels",
                hint="choose one with token=0 ([CLS])",
            )
        if len(shape) not in (2, 3) or shape[-1] < 1:
            raise InputError(f"{self.file}: the vectors of {comic} have the shape {shape}, not (rows, dimension)")
        if len(shape) == 3 and not 0 <= (self.token or 0) < shape[1]:
            raise InputError(f"{self.file}: {comic} has {shape[1]} vectors a row, no token {self.token}")
        return shape

    def _read(self, comic: str, out: np.ndarray) -> None:
        """Fill `out` with the vectors of a comic, converted by HDF5 and checked."""
        names = self._names[comic]
        data, shape = self._dataset(comic), self._shape(comic)
        if shape[0] != len(names):
            raise InputError(
                f"{self.file}: {comic} has {shape[0]} vectors, its index names {len(names)}",
                cause="pack and index do not belong together",
            )
        if DIGEST in data.attrs and _plain(data.attrs[DIGEST]) != names_digest(names):
            raise InputError(
                f"{self.file}: the index gives {comic} other names than its vectors were written with",
                cause="pack and index do not belong together",
            )
        if shape[-1] != out.shape[1]:
            raise InputError(f"{self.file}: {comic} has vectors of {shape[-1]} numbers, others of {out.shape[1]}")
        if data.dtype.kind not in "fiu":
            raise InputError(f"{self.file}: the vectors of {comic} are of type {data.dtype}, not numbers")
        if not len(names):
            return
        with explained(self.file, f": the vectors of {comic}"), np.errstate(over="ignore"):
            data.read_direct(out, np.s_[:, self.token, :] if len(shape) == 3 else None)
        sound = np.isfinite(out).all(axis=1)
        if not sound.all():
            row = int(np.flatnonzero(~sound)[0])
            infinite = out.dtype == np.float16 and not np.isnan(out).any()
            raise InputError(
                f"{self.file}: {int((~sound).sum())} vectors of {comic} are not finite, the first for {names[row]!r}",
                cause="numbers beyond 65,504 have no float16" if infinite else "",
                hint="read them as float32" if infinite else "",
            )


def write_features(
    path: Path,
    group: str,
    comics: Mapping[str, Rows] | Iterable[tuple[str, Rows]],
    attributes: Mapping[str, Any],
    *,
    dtype: str = "float32",
) -> int:
    """Write a pack and its index; both are whole or absent, and a pack never lies beside another's index.

    Args:
        path: `<split>_features.hdf5`.
        group: `<split>_features`, `<split>_sequence_features`.
        comics: for each comic its names and its (N, D) vectors, or (N, T, D) for readers of the published ASTERX;
            an iterable of such pairs is written one by one and never held whole.
        attributes: what to remember of the vectors: texts, numbers, truth values; anything else as JSON.
        dtype: as stored. The published readers take either.

    Returns:
        Vectors written.

    Raises:
        UsageError: no such type.
        InputError: names and vectors differ in number, a vector is not finite or of another dimension than the first,
            a comic comes twice or cannot be the name of a group.
        OSError: the disk is full; what was there before is unchanged.
    """
    if dtype not in DTYPES:
        raise UsageError(f"vectors are stored as {' or '.join(DTYPES)}, not as {dtype}")
    index: dict[str, dict[str, list[str]]] = {}
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{escape(path.name)}.*{TEMPORARY_SUFFIX}"):  # of a killed run
        left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    trailing: tuple[int, ...] | None = None
    total = 0
    try:
        with h5py.File(temporary, "w", track_order=False) as pack:
            place = pack.create_group(group)
            for comic, (names, vectors) in comics.items() if isinstance(comics, Mapping) else comics:
                rows = _checked(path, comic, names, np.asarray(vectors), trailing, dtype)
                if comic in index:
                    raise InputError(f"{path.name}: the comic {comic!r} comes twice")
                trailing = rows.shape[1:]
                data = place.create_group(comic_folder(comic)).create_dataset(FEATURES, data=rows)
                data.attrs[DIGEST] = names_digest(names)
                index[comic] = {FEATURES: list(names)}
                total += len(rows)
            for key, value in attributes.items():
                plain = isinstance(value, (str, bool, int, float))
                place.attrs[key] = value if plain else json.dumps(value, ensure_ascii=False, default=str)
            if trailing is not None:
                place.attrs["dimension"] = trailing[-1]
        file = index_file(path)
        # The index goes first out of the way: a reader must never meet a new pack with an old index.
        file.unlink(missing_ok=True)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    write_json(file, {group: index}, indent=None)
    return total


def names_digest(names: Iterable[str]) -> str:
    """A short hash of names and their order."""
    text = json.dumps(list(names), ensure_ascii=True)
    return blake2b(text.encode("ascii"), digest_size=8).hexdigest()


def _checked(
    path: Path, comic: str, names: Sequence[str], vectors: np.ndarray, trailing: tuple[int, ...] | None, dtype: str
) -> np.ndarray:
    if vectors.ndim not in (2, 3) or len(vectors) != len(names):
        raise InputError(f"{path.name}: {comic} has {len(names)} names for vectors of shape {vectors.shape}")
    if trailing is not None and vectors.shape[1:] != trailing:
        raise InputError(f"{path.name}: {comic} has vectors of shape {vectors.shape[1:]}, others of {trailing}")
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(vectors, dtype)
    sound = np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))
    if not sound.all():
        row = int(np.flatnonzero(~sound)[0])
        raise InputError(f"{path.name}: the vector of {names[row]!r} in {comic} is not finite in {dtype}")
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _read_index(file: Path) -> tuple[str, dict[str, list[str]]]:
    group, comics = read_index(file, hint="comictool features backbone CORPUS --plugin P -o FOLDER")
    kinds = {kind for entries in comics.values() for kind in entries}
    if kinds and FEATURES not in kinds:
        raise InputError(
            f"{file} holds {', '.join(sorted(kinds))}, no {FEATURES}",
            cause="it is a pack of pictures" if "img_data" in kinds else "",
            hint=f"comictool features backbone {file} --plugin P -o FOLDER",
        )
    return group, {comic: entries.get(FEATURES, []) for comic, entries in comics.items()}


def by_comic(pieces: Iterable[Piece]) -> Iterator[tuple[str, Rows]]:
    """Join consecutive pieces of one comic, as `write_features` takes them; one comic in memory at a time."""
    comic: str | None = None
    names: list[str] = []
    held: list[np.ndarray] = []
    for own, own_names, vectors in pieces:
        if comic is not None and own != comic:
            yield comic, (names, np.concatenate(held))
            names, held = [], []
        comic = own
        names.extend(own_names)
        held.append(vectors)
    if comic is not None:
        yield comic, (names, np.concatenate(held))
