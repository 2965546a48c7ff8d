"""Writing packs: one entry in memory at a time, whatever the comic's size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from comictool.core.errors import InputError
from comictool.datasets.packs.layout import (
    BLOB,
    IMAGES,
    OFFSETS,
    TEXT_BLOB,
    TEXT_OFFSETS,
    TEXTS,
    ComicFiles,
    decode_text,
)

Read = Callable[[Path], bytes]

CHUNK_BYTES = 16 * 1024 * 1024  # handed to HDF5 at once


def write_published(target: Path, group: str, comics: list[ComicFiles]) -> None:
    """The layout that ELRIC and ASTERX read: a variable-length byte row for each picture."""
    with h5py.File(target, "w", track_order=False) as pack:
        split = pack.create_group(group)
        for comic in comics:
            place = split.create_group(comic.comic)
            if comic.pictures:
                rows = place.create_dataset(IMAGES, (len(comic.pictures),), dtype=h5py.vlen_dtype(np.uint8))
                for row, file in enumerate(comic.pictures):
                    # One by one: h5py takes a block of rows that happen to be equally long for a table.
                    rows[row] = np.frombuffer(_picture(file), np.uint8)
            if comic.texts:
                rows = place.create_dataset(TEXTS, (len(comic.texts),), dtype=h5py.string_dtype("utf-8"))
                for row, file in enumerate(comic.texts):
                    rows[row] = read_text(file)


def write_blob(target: Path, group: str, comics: list[ComicFiles]) -> None:
    """All bytes end to end and where each entry begins: contiguous in the file, so that a reader can seek to it."""
    pictures = [file for comic in comics for file in comic.pictures]
    texts = [file for comic in comics for file in comic.texts]
    with h5py.File(target, "w") as pack:
        split = pack.create_group(group)
        _write_bytes(split, BLOB, OFFSETS, pictures, _picture)
        if texts:
            _write_bytes(split, TEXT_BLOB, TEXT_OFFSETS, texts, Path.read_bytes)


def read_text(file: Path) -> str:
    """A CSV file as text."""
    text = decode_text(file.read_bytes())
    if "\0" in text:
        raise InputError(f"{file} is not text")
    return text


def _write_bytes(split: Any, blob: str, offsets: str, files: list[Path], read: Read) -> None:
    sizes = [file.stat().st_size for file in files]
    ends = np.zeros(len(files) + 1, np.int64)
    np.cumsum(sizes, out=ends[1:])
    split.create_dataset(offsets, data=ends)
    data = split.create_dataset(blob, (int(ends[-1]),), dtype=np.uint8)
    for begin, block in _blocks(files, sizes, read):
        data[begin : begin + block.size] = block


def _blocks(files: list[Path], sizes: list[int], read: Read) -> Iterator[tuple[int, np.ndarray]]:
    begin, waiting, held = 0, [], 0
    for file, size in zip(files, sizes, strict=True):
        content = read(file)
        if len(content) != size:
            raise InputError(f"{file} changed while it was packed", hint="run it again")
        waiting.append(content)
        held += size
        if held >= CHUNK_BYTES:
            yield begin, np.frombuffer(b"".join(waiting), np.uint8)
            begin, waiting, held = begin + held, [], 0
    if held:
        yield begin, np.frombuffer(b"".join(waiting), np.uint8)


def _picture(file: Path) -> bytes:
    data = file.read_bytes()
    if not data:
        raise InputError(f"{file} is empty (0 bytes)")
    return data
