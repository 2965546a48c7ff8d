"""New names for the comics in a pack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from comictool.datasets.packs.hdf5 import explained, groups, open_hdf5
from comictool.datasets.packs.layout import BLOB


def rename_comics(file: Path, names: Mapping[str, str]) -> None:
    """Rename the groups of comics in a pack, in place; names may swap. Other names stay.

    A pack of the blob layout holds no names: they stand in its index alone.
    """
    with open_hdf5(file, "r+") as pack, explained(file):
        for _, split in groups(pack):
            if BLOB in split:
                continue
            renamed = [(old, names[old]) for old in split if names.get(old, old) != old]
            for number, (old, _) in enumerate(renamed):
                split.move(old, f".renaming-{number}")
            for number, (_, new) in enumerate(renamed):
                split.move(f".renaming-{number}", new)
