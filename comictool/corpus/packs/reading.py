"""Reading packs of either layout: opened at the first read, anew in each process, never inherited through a fork."""

from __future__ import annotations

import json
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
from comictool.corpus.packs.layout import BLOB, IMAGES, OFFSETS, TEXT_BLOB, TEXT_OFFSETS, ByComic, Index, decode_text


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
        self.group, comics = _read_index(self.file)
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
        self._file = h5py.File(file, "r")
        self._group = self._file[group]
        self._kind = kind
        self._datasets: dict[str, Any] = {}

    def read(self, comic: str, row: int, overall: int) -> bytes:
        try:
            rows = self._datasets.get(comic)
            if rows is None:
                rows = self._datasets[comic] = self._group[comic][self._kind]
            value = rows[row]
        except (KeyError, IndexError, ValueError, OSError) as error:
            raise InputError(f"{self._file.filename}: {comic} has no row {row}; pack it again") from error
        return bytes(value) if isinstance(value, bytes) else bytes(memoryview(value))

    def close(self) -> None:
        self._file.close()


class _Bytes(_Source):
    """The blob layout: HDF5 says where the bytes begin, then they are read straight from the file."""

    def __init__(self, file: Path, group: str, kind: str) -> None:
        blob, offsets = (BLOB, OFFSETS) if kind == IMAGES else (TEXT_BLOB, TEXT_OFFSETS)
        with h5py.File(file, "r") as pack:
            self._offsets: np.ndarray = pack[group][offsets][:]
            data = pack[group][blob]
            # An array of no bytes has no place in the file.
            self._begin = int(data.id.get_offset() or 0)
            sound = self._offsets[0] == 0 and (np.diff(self._offsets) >= 0).all() and self._offsets[-1] == data.size
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
    try:
        with h5py.File(file, "r") as pack:
            if group not in pack:
                raise InputError(f"{file} has no group {group!r}; it does not belong to its index")
            blob = BLOB in pack[group]
        if not blob:
            return _Rows(file, group, kind)
        source = _Bytes(file, group, kind)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    except (KeyError, IndexError) as error:
        raise InputError(f"{file} is damaged or lacks its {kind}; pack it again") from error
    if source.count != count:
        source.close()
        raise InputError(f"{file} holds {source.count} entries, its index names {count}; pack it again")
    return source


def _read_index(file: Path) -> tuple[str, dict[str, dict[str, list[str]]]]:
    index = file.with_name(f"{file.stem}_indexing.json")
    if not file.is_file():
        raise InputError(f"{file} does not exist", hint="comictool data hdf5 CORPUS")
    try:
        with open(index, encoding="utf-8") as stream:
            value: Index = json.load(stream)
        ((group, comics),) = value.items()
        if not all(isinstance(name, str) for kinds in comics.values() for names in kinds.values() for name in names):
            raise TypeError
    except FileNotFoundError as error:
        raise InputError(f"{index} is missing: without it the rows of {file.name} have no names") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{index} is damaged; pack it again") from error
    return group, comics
