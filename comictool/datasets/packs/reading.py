"""Reading packs of either layout: opened at the first read, anew in each process, never inherited through a fork."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from comictool.core.errors import InputError
from comictool.core.images import decode
from comictool.corpus.crop_names import page_of_file
from comictool.datasets.packs.hdf5 import explained, member, open_hdf5
from comictool.datasets.packs.layout import (
    BLOB,
    IMAGES,
    OFFSETS,
    TEXT_BLOB,
    TEXT_OFFSETS,
    ByComic,
    decode_text,
    read_index,
)
from comictool.datasets.splitting.folders import LEVELS, SPLITS, lacking, not_in_split, read_manifest


class Pack(ByComic):
    """The pictures (or texts) of a pack, by row over all comics or by comic.

    Cheap to make and to pickle: only the index is read. The pack itself is opened by the first read in each process,
    so an instance can be handed to the workers of a data loader, forked or not.

    Args:
        file: `<split>_images.hdf5`, its index beside it.
        kind: `img_data` or `str_data`.

    Raises:
        InputError: no such pack, or its index is missing or damaged.
    """

    def __init__(self, file: Path, *, kind: str = IMAGES) -> None:
        self.file = Path(file)
        self.kind = kind
        self.group, comics = read_index(self.file, hint="comictool data hdf5 CORPUS")
        self._names = {comic: list(entries.get(kind, [])) for comic, entries in comics.items()}
        self._starts: dict[str, int] = {}
        start = 0
        for comic, names in self._names.items():
            self._starts[comic] = start
            start += len(names)
        self._count = start
        self._rows: list[tuple[str, int]] | None = None
        self._process = 0
        self._open: _Source | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None, "_process": 0}

    def __len__(self) -> int:
        return self._count

    def entries(self) -> Iterator[tuple[str, str]]:
        """`(comic, name)` of every row."""
        for comic, names in self._names.items():
            for name in names:
                yield comic, name

    def read(self, comic: str, row: int) -> bytes:
        """The encoded bytes of a row of a comic, counted from 0.

        Raises:
            InputError: no such row, or the pack does not fit its index.
        """
        if not 0 <= row < len(self.names(comic)):
            raise InputError(f"{self.file.name}: {comic} has {len(self._names[comic])} entries, no row {row}")
        return self._source().read(comic, row, self._starts[comic] + row)

    def read_row(self, row: int) -> bytes:
        """The encoded bytes of a row counted over all comics."""
        if self._rows is None:
            self._rows = [(comic, r) for comic, names in self._names.items() for r in range(len(names))]
        comic, own = self._rows[row]
        return self._source().read(comic, own, row)

    def picture(self, comic: str, row: int) -> Image.Image:
        """A row decoded to RGB, whatever it was encoded as."""
        return decode(self.read(comic, row))

    def text(self, comic: str, row: int) -> str:
        """A row as text (for `str_data`)."""
        return decode_text(self.read(comic, row))

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        if self._open is not None and self._process == os.getpid():
            self._open.close()
        self._open = None

    def _source(self) -> _Source:
        if self._open is None or self._process != os.getpid():
            # After a fork the parent's handle is left alone: its file position and HDF5's state are shared.
            self._open = _open(self.file, self.group, self.kind, self._count)
            self._process = os.getpid()
        return self._open


def stale_reason(pack: Pack) -> str:
    """Why a pack `<corpus>/processed/<level>/<split>_images.hdf5` is not of the split that `splits.json` has: a page of
    another split, or of none, or a comic that it lacks; empty when it is, or lies elsewhere.

    Raises:
        InputError: `splits.json` is damaged.
    """
    place, split = pack.file.resolve().parent, pack.file.name.removesuffix("_images.hdf5")
    manifest = read_manifest(place.parents[1]) if place.parent.name == "processed" else None
    if manifest is None or split not in SPLITS:
        return ""
    page = not_in_split(manifest, split, ((comic, page_of_file(f"{name}.jpg")) for comic, name in pack.entries()))
    if page:
        return f"it holds {page}, which splits.json does not have there"
    known = place.name in LEVELS and pack.kind == IMAGES
    comic = lacking(place.parents[1], manifest, place.name, split, pack.comics()) if known else ""
    return f"it lacks {comic}, which splits.json has there" if comic else ""


class _Source(ABC):
    """An open pack."""

    @abstractmethod
    def read(self, comic: str, row: int, overall: int) -> bytes:
        """The bytes of a row."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""


class _Rows(_Source):
    """The published layout, through HDF5."""

    def __init__(self, file: Path, group: str, kind: str) -> None:
        self._file = open_hdf5(file)
        self._group = group
        self._kind = kind
        self._datasets: dict[str, Any] = {}

    def read(self, comic: str, row: int, overall: int) -> bytes:
        rows = self._datasets.get(comic)
        if rows is None:
            place = member(self._file[self._group], comic, h5py.Group)
            rows = member(place, self._kind, h5py.Dataset) if place is not None else None
            if rows is None:
                raise InputError(f"{self._file.filename}: {comic} has no {self._kind}; pack it again")
            self._datasets[comic] = rows
        with explained(self._file.filename, f": row {row} of {comic}"):
            value = rows[row]
        return bytes(value) if isinstance(value, bytes) else bytes(memoryview(value))

    def close(self) -> None:
        self._file.close()


class _Bytes(_Source):
    """The blob layout: HDF5 says where the bytes begin, then they are read straight from the file."""

    def __init__(self, file: Path, group: str, kind: str) -> None:
        blob, offsets = (BLOB, OFFSETS) if kind == IMAGES else (TEXT_BLOB, TEXT_OFFSETS)
        with open_hdf5(file) as pack, explained(file):
            place, data = member(pack[group], offsets, h5py.Dataset), member(pack[group], blob, h5py.Dataset)
            if place is None or data is None:
                raise InputError(f"{file} lacks its {kind}; pack it again")
            self._offsets: np.ndarray = place[:]
            # An array of no bytes has no place in the file.
            self._begin = int(data.id.get_offset() or 0)
            sound = self._offsets[0] == 0 and (np.diff(self._offsets) >= 0).all() and self._offsets[-1] == data.size
            sound &= self._begin + data.size <= file.stat().st_size  # also bounds what a read may take
        if not sound:
            raise InputError(f"{file}: its offsets are damaged; pack it again")
        self._stream = open(file, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        self.count = len(self._offsets) - 1

    def read(self, comic: str, row: int, overall: int) -> bytes:
        begin, end = int(self._offsets[overall]), int(self._offsets[overall + 1])
        if hasattr(os, "pread"):  # no shared position: threads may read side by side
            data = os.pread(self._stream.fileno(), end - begin, self._begin + begin)
        else:
            self._stream.seek(self._begin + begin)
            data = self._stream.read(end - begin)
        if len(data) != end - begin:
            raise InputError(f"{self._stream.name} is cut off; pack it again")
        return data

    def close(self) -> None:
        self._stream.close()


def _open(file: Path, group: str, kind: str, count: int) -> _Source:
    with open_hdf5(file) as pack, explained(file):
        place = member(pack, group, h5py.Group)
        if place is None:
            raise InputError(f"{file} has no group {group!r}; it does not belong to its index")
        blob = BLOB in place
    if not blob:
        return _Rows(file, group, kind)
    source = _Bytes(file, group, kind)
    if source.count != count:
        source.close()
        raise InputError(f"{file} holds {source.count} entries, its index names {count}; pack it again")
    return source
