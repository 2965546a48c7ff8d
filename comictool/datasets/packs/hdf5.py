"""The one door to HDF5 files, which may come from somebody else.

A link can lead into any other file of the disk, and so can a dataset whose bytes lie outside or are composed of other
datasets (https://docs.hdfgroup.org/hdf5/v1_14/group___h5_l.html); a shape costs nothing to write, whatever memory it
would take. A damaged file makes h5py raise RuntimeError as well as OSError.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py

from comictool.core.errors import InputError

Kind = TypeVar("Kind", h5py.Group, h5py.Dataset)
MOST_EXPANSION = 1100  # deflate makes 1032 bytes of one; nothing that these packs are compressed with makes more
UNWRITTEN = 1 << 20  # bytes that may have no place in the file, for HDF5 keeps none of what was never written
UNREADABLE = (OSError, RuntimeError, KeyError, IndexError, ValueError, TypeError, OverflowError, MemoryError)


def open_hdf5(file: Path, mode: str = "r") -> h5py.File:
    """An HDF5 file that is there.

    Raises:
        InputError: it cannot be read.
    """
    with explained(file):
        return h5py.File(file, mode)


@contextmanager
def explained(file: Path | str, what: str = "") -> Iterator[None]:
    """Within the block what h5py raises of a damaged file is one sentence about it."""
    try:
        yield
    except UNREADABLE as error:
        raise InputError(f"{file}{what} cannot be read: {str(error)[:300]}", hint="write it again") from error


def member(place: Any, name: str, kind: type[Kind]) -> Kind | None:
    """The group or dataset of a name in a file or group; None without one, or if it is of the other kind.

    Raises:
        InputError: it leads out of the file, or is damaged, or a dataset holds more than its bytes could.
    """
    file = place.file.filename
    with explained(file):
        link = place.get(name, getlink=True)
        if link is not None and not isinstance(link, h5py.HardLink):
            raise InputError(f"{file}: {name!r:.100} is a link out of its place; packs of ours have none")
        found = place.get(name)
        if isinstance(found, h5py.Dataset):
            if found.external is not None or found.is_virtual:
                raise InputError(f"{file}: the data of {name!r:.100} lies outside; packs of ours hold theirs")
            if found.size * found.dtype.itemsize > MOST_EXPANSION * found.id.get_storage_size() + UNWRITTEN:
                raise InputError(f"{file}: {name!r:.100} has not the bytes for its shape {found.shape}")
    return found if isinstance(found, kind) else None


def groups(place: Any) -> Iterator[tuple[str, h5py.Group]]:
    """The groups in a file or group, by name; raises like `member`."""
    with explained(place.file.filename):
        names = list(place)
    for name in names:
        group = member(place, name, h5py.Group)
        if group is not None:
            yield name, group
